"""Where to connect: the values, how they are checked, and what can supply them.

All checks are made here, so that every source refuses the same things in the same words. The words
never contain a value that could be the token, also when somebody has mixed up the fields: they
describe it instead.
"""

from __future__ import annotations

import ipaddress
import json
import math
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from opencode_sync.errors import IpcConfigError
from opencode_sync.logger import logger

__all__ = [
    "IpcConfig",
    "IpcConfigProvider",
    "SecretBytes",
    "SecretStr",
    "parse_config",
    "resolve_provider",
]

MIN_PORT = 1024
MAX_PORT = 65535
SHORT_TOKEN = 16
"""Characters below which a token is worth a warning."""
MAX_SECONDS = 30 * 24 * 3600.0
"""The longest time-out, in seconds: operating systems cannot wait for any number."""

_PORT_REMEDY = f"give the gateway's port, a whole number from {MIN_PORT} to {MAX_PORT}"
_TOKEN_REMEDY = "give the token that the gateway was started with"
_HOST_REMEDY = 'use "127.0.0.1", "::1" or "localhost", because the token travels unencrypted'
_KEYS_REMEDY = 'give {"port": ..., "auth_token": ...} and at most "host" and "pid" besides'
_DOCUMENT_REMEDY = 'give a JSON object such as {"port": 4096, "auth_token": "..."}'


class SecretStr(str):
    """Text that does not show in ``repr``, so neither in tracebacks with values nor in dumps.

    In every other way it is the text itself, which is what the protocol's encoder needs.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SecretBytes(bytes):
    """The same for bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"


@dataclass(frozen=True)
class IpcConfig:
    """Where the backend listens and the token it expects. Checked when made; safe to print.

    Raises:
        IpcConfigError: If a value is of the wrong type or out of range; ``field`` names it.
    """

    port: int
    """The backend's TCP port, 1024 to 65535."""

    auth_token: str = field(repr=False)
    """The shared secret of the handshake. Kept exactly as given, hidden from ``repr``."""

    host: str = "127.0.0.1"
    """A loopback address (127.0.0.0/8 or ``::1``) or ``localhost``."""

    def __post_init__(self) -> None:
        token: object = self.auth_token
        if isinstance(token, str) and not isinstance(token, SecretStr):
            # First of all, so that no later step can show it.
            object.__setattr__(self, "auth_token", SecretStr(token))
        for name, problem in (
            ("port", _port_problem(self.port)),
            ("auth_token", _token_problem(self.auth_token)),
            ("host", _host_problem(self.host)),
        ):
            if problem is not None:
                raise IpcConfigError(f"{problem}.", field=name)
        if len(self.auth_token) < SHORT_TOKEN:
            logger.bind(token_length=len(self.auth_token)).warning(
                "auth_token has only {} characters; use at least {} so that it cannot be guessed",
                len(self.auth_token),
                SHORT_TOKEN,
            )

    @property
    def endpoint(self) -> str:
        """The address as ``"ws://127.0.0.1:4096/"``; an IPv6 host is bracketed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}/"


class IpcConfigProvider(Protocol):
    """Supplies the configuration anew for each connection attempt.

    A gateway that was started again has another port and another token, so what a provider said
    before is not remembered.
    """

    def get_config(self) -> IpcConfig:
        """Return the configuration as it is now. Called from any thread; must end in bounded time.

        Raises:
            IpcConfigError: If there is none, or a wrong one.
        """
        ...


def parse_config(document: str | bytes | Mapping[str, Any], *, source: str) -> IpcConfig:
    """Read the JSON object ``{"port", "auth_token"}``, optionally with ``"host"`` and ``"pid"``.

    Args:
        document: The JSON text, its UTF-8 bytes (a byte order mark is tolerated), or the object.
        source: Where it came from, for error messages; it must hold no secret.

    Raises:
        IpcConfigError: If it is anything else than that object, with ``field`` and ``source`` set.
            The message never shows the token.
    """
    document = _hidden(document)
    return parse_document(document, source=source)[0]


def parse_document(
    document: str | bytes | Mapping[str, Any], *, source: str
) -> tuple[IpcConfig, int | None]:
    """Do as ``parse_config``, and return the document's process id besides, if it has one."""
    # The errors of the JSON and UTF-8 decoders carry the whole document, token included, so they
    # are not chained: each step returns what is wrong, and the error is raised out of its reach.
    document = _hidden(document)
    values, problem, name = _load(document)
    if problem is not None:
        raise IpcConfigError(f"In {source}, {problem}.", field=name, source=source)
    pid = values.get("pid")
    return make_config(values, defaultdict(lambda: source)), pid


def make_config(values: Mapping[str, Any], sources: Mapping[str, str]) -> IpcConfig:
    """Check values that came from outside; an error names ``sources[key]`` of the wrong one.

    Args:
        values: The document's keys and values; texts must be ``SecretStr``.
        sources: Where each key came from, for error messages.
    """
    problem, name = _values_problem(values)
    if problem is not None:
        source = sources[name or ""]
        raise IpcConfigError(f"In {source}, {problem}.", field=name, source=source)
    return IpcConfig(**{key: value for key, value in values.items() if key != "pid"})


def resolve_provider(config: IpcConfig | IpcConfigProvider | None) -> IpcConfigProvider:
    """Return what supplies the configuration: a provider as it is, or one made for the value.

    Args:
        config: A fixed configuration, a provider, or None for the default: the environment, then
            the runtime file of a running gateway.

    Raises:
        IpcConfigError: If it is none of these.
    """
    from opencode_sync.providers import DefaultConfigProvider, StaticConfigProvider

    if config is None:
        return DefaultConfigProvider()
    if isinstance(config, IpcConfig):
        return StaticConfigProvider(config)
    if not isinstance(config, type) and callable(getattr(config, "get_config", None)):
        return config
    raise IpcConfigError(
        f"config is {describe_kind(config)}, which does not say where to connect; "
        "give an IpcConfig, an object with a get_config() method, or None.",
        field="config",
    )


def seconds_problem(name: str, value: object) -> str | None:
    """Return what is wrong with a time-out in seconds, as a sentence; None if nothing is."""
    remedy = f"give a number of seconds above 0 and up to {MAX_SECONDS:.0f}, such as 5.0"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{name} is {describe_kind(value)}, not a number; {remedy}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name} is {value}, which is not a finite number; {remedy}"
    if value <= 0:
        return f"{name} is {_number(value)}, which is not above 0; {remedy}"
    if value > MAX_SECONDS:
        return f"{name} is {_number(value)}, which is too long; {remedy}"
    return None


def _hidden(document: Any) -> Any:
    """Return the same document (or text in it) out of reach of tracebacks that show values."""
    if isinstance(document, str):
        return SecretStr(document)
    if isinstance(document, bytes | bytearray):
        return SecretBytes(document)
    if isinstance(document, Mapping):
        # Nothing nested is ever right, so its kind is all that is worth keeping of it.
        return {
            _hidden(key): type(value)() if isinstance(value, list | dict) else _hidden(value)
            for key, value in document.items()
        }
    return document


def _load(document: object) -> tuple[dict[str, Any], str | None, str | None]:
    """Return the document's keys and values, and what is wrong with it and with which key."""
    duplicates: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        collected = dict(pairs)
        if len(collected) != len(pairs):
            keys = [key for key, _ in pairs]
            duplicates.extend(key for key in collected if keys.count(key) > 1)
        return collected

    if isinstance(document, dict):
        return dict(document), None, None
    if not isinstance(document, str | bytes):
        return {}, f"the document is {describe_kind(document)}; {_DOCUMENT_REMEDY}", None
    try:
        text = document if isinstance(document, str) else document.decode("utf-8")
    except UnicodeDecodeError:
        return {}, f"the document is not UTF-8 text; {_DOCUMENT_REMEDY}", None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return {}, f"the document is empty; {_DOCUMENT_REMEDY}", None
    try:
        values = json.loads(text, object_pairs_hook=collect)
    except (ValueError, RecursionError) as error:
        # A decode error knows its place; other ValueErrors come from numbers too long to read.
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        return {}, f"the document is not JSON{line}; {_DOCUMENT_REMEDY}", None
    if not isinstance(values, dict):
        return (
            {},
            f"the document is {describe_kind(values)}, not a JSON object; {_DOCUMENT_REMEDY}",
            None,
        )
    if duplicates:
        return {}, f"{_key(duplicates[0])} appears twice; keep one", _key_name(duplicates[0])
    return _hidden(values), None, None


def _values_problem(values: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return what is wrong with a document's values, and which key it is about."""
    for key in values:
        if key not in ("port", "auth_token", "host", "pid"):
            return f"{_key(key)} is not a known key; {_KEYS_REMEDY}", _key_name(key)
    for key in ("port", "auth_token"):
        if key not in values:
            return f'"{key}" is missing; {_KEYS_REMEDY}', key
    for key, problem in (
        ("port", _port_problem(values["port"])),
        ("auth_token", _token_problem(values["auth_token"])),
        ("host", _host_problem(values.get("host", "localhost"))),
        ("pid", _pid_problem(values.get("pid"))),
    ):
        if problem is not None:
            return problem, key
    return None, None


def _port_problem(port: object) -> str | None:
    if isinstance(port, bool) or not isinstance(port, int):
        return f"port is {describe_kind(port)}, not a whole number; {_PORT_REMEDY}"
    if not MIN_PORT <= port <= MAX_PORT:
        return f"port is {_number(port)}, which is out of range; {_PORT_REMEDY}"
    return None


def _token_problem(token: object) -> str | None:
    if not isinstance(token, str):
        return f"auth_token is {describe_kind(token)}, not text; {_TOKEN_REMEDY}"
    if not token.strip():
        return f"auth_token is blank; {_TOKEN_REMEDY}"
    for character in token:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs"):
            what = "a lone surrogate" if category == "Cs" else "a control character"
            if character in "\r\n":
                what = "a line break"
            return f"auth_token contains {what}; {_TOKEN_REMEDY}, without it"
    return None


def _host_problem(host: object) -> str | None:
    if not isinstance(host, str):
        return f"host is {describe_kind(host)}, not text; {_HOST_REMEDY}"
    if host.lower() != "localhost" and not is_loopback(host):
        return f"host is not an address of this machine itself; {_HOST_REMEDY}"
    return None


def is_loopback(address: str) -> bool:
    """Return whether the text is an address in 127.0.0.0/8, or ``::1``."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed.is_loopback
    return parsed == ipaddress.IPv6Address("::1")


def _pid_problem(pid: object) -> str | None:
    if pid is None or (isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid < 2**31):
        return None
    return 'pid is not a process id; leave "pid" out'


def describe_kind(value: object) -> str:
    """Describe a value of the wrong type without showing it."""
    if value is None:
        return "missing (null)"
    if isinstance(value, str):
        return "text" if value.strip() else "blank"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, type):
        return f"the class {value.__name__}, not an instance of it"
    return f"of type {type(value).__name__}"


def _number(value: float) -> str:
    # A number too long to be a slip may be a token in the wrong place.
    return f"{value}" if -(10**6) < value < 10**9 else "a huge number"


def _key(key: object) -> str:
    name = _key_name(key)
    return "a key" if name is None else f'"{name}"'


def _key_name(key: object) -> str | None:
    """Return a key as it may be shown: short and like a name, so hardly a token."""
    if isinstance(key, str) and len(key) <= 32 and key.isascii() and key.isidentifier():
        return key
    return None
