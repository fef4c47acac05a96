"""The client's time-outs and limits, and where they may be set."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opencode_sync.config import describe_kind, seconds_problem
from opencode_sync.errors import IpcConfigError
from opencode_sync.runtime_file import read_small_file

__all__ = ["IpcClientOptions"]

_PREFIX = "OPENCODE_SYNC_"
_TABLE = "opencode_sync"
_MAX_COUNT = 2**31 - 1  # also the largest message that the protobuf encoding allows, in bytes

# What a field holds, in its metadata: it decides how text is read and what is checked.
_SECONDS = {"kind": "seconds"}
_SECONDS_OR_OFF = {"kind": "seconds or off"}
_COUNT = {"kind": "count"}

_DECIMAL = re.compile(r"[+-]?(?=\.?[0-9])[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class IpcClientOptions:
    """Time-outs in seconds and limits of a client. Immutable; any thread may use it.

    Raises:
        IpcConfigError: If a value is of the wrong type or out of range; ``field`` names it.
    """

    # Time-outs

    default_request_timeout: float = field(default=30.0, metadata=_SECONDS)
    """Seconds, default 30: for a whole request when its call gives no time-out of its own."""

    connection_timeout: float = field(default=10.0, metadata=_SECONDS)
    """Seconds, default 10: until the link to the backend stands."""

    authentication_timeout: float = field(default=5.0, metadata=_SECONDS)
    """Seconds, default 5: for the backend's verdict on the token."""

    shutdown_timeout: float = field(default=5.0, metadata=_SECONDS)
    """Seconds, default 5: what ``close()`` takes at most."""

    default_prompt_timeout: float = field(default=600.0, metadata=_SECONDS)
    """Seconds, default 600: in place of ``default_request_timeout`` for a run of the agent."""

    # Detection of a dead link

    ping_interval: float | None = field(default=20.0, metadata=_SECONDS_OR_OFF)
    """Seconds, default 20: of silence, after which the backend is pinged. None: never ("off" in
    variables and files); a link whose other end vanished is then noticed by time-outs only."""

    ping_timeout: float = field(default=20.0, metadata=_SECONDS)
    """Seconds, default 20: without any byte after a ping, until the link is given up."""

    # Limits

    max_receive_buffer_size: int = field(default=65536, metadata=_COUNT)
    """Bytes, default 65536: asked of the socket at once."""

    max_message_size: int = field(default=64 * 1024 * 1024, metadata=_COUNT)
    """Bytes, default 67108864 (64 MiB): a larger message from the backend ends the connection."""

    max_pending_requests: int = field(default=65536, metadata=_COUNT)
    """Number, default 65536: of requests in flight at once; one more is refused."""

    stream_buffer_size: int = field(default=10_000, metadata=_COUNT)
    """Number, default 10000: of events that a reader of a stream may lag behind; together they may
    have ``max_message_size`` bytes. What comes beyond that is dropped, and the reader is told."""

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            value = getattr(self, name)
            problem = _problem(name, kind, value)
            if problem is not None:
                raise IpcConfigError(f"{problem}.", field=name)
            if kind != "count" and value is not None:
                object.__setattr__(self, name, float(value))

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> IpcClientOptions:
        """Read each field from the variable ``OPENCODE_SYNC_`` plus its name in capitals.

        Variables that are not set leave the default. ``OPENCODE_SYNC_PING_INTERVAL`` may be
        ``none`` or ``off``.

        Args:
            environ: The variables to look in.

        Raises:
            IpcConfigError: If a value is wrong; it names the field and the variable.
        """
        values: dict[str, Any] = {}
        for name, kind in _kinds().items():
            variable = _PREFIX + name.upper()
            text = environ.get(variable)
            if text is None:
                continue
            values[name] = _from_text(text, kind)
            _check(name, kind, values[name], f"environment variable {variable}")
        return cls(**values)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> IpcClientOptions:
        """Read a TOML file: its table ``[opencode_sync]``, or its top level if it has none.

        Fields that are not there keep their default. ``ping_interval`` may be ``"none"`` or
        ``"off"``, as TOML has no null.

        Args:
            path: The file, at most 64 KiB.

        Raises:
            IpcConfigError: If the file cannot be read or is not TOML, if a key is unknown, or if a
                value is wrong; it names the field and the file.
        """
        source = f"file {os.fspath(path)}"
        values = _toml_table(Path(path), source)
        kinds = _kinds()
        for name, value in values.items():
            if name not in kinds:
                raise _unknown(name, source)
            if kinds[name] == "seconds or off" and isinstance(value, str):
                values[name] = None if _is_off(value) else value
            _check(name, kinds[name], values[name], source)
        return cls(**values)

    def replace(self, **changes: Any) -> IpcClientOptions:
        """Return a copy with some fields changed.

        Raises:
            IpcConfigError: If a name is unknown or a value is wrong.
        """
        for name in changes:
            if name not in _kinds():
                raise _unknown(name, None)
        return dataclasses.replace(self, **changes)


def _kinds() -> dict[str, str]:
    return {each.name: each.metadata["kind"] for each in dataclasses.fields(IpcClientOptions)}


def _check(name: str, kind: str, value: object, source: str) -> None:
    problem = _problem(name, kind, value)
    if problem is not None:
        raise IpcConfigError(f"In {source}, {problem}.", field=name, source=source)


def _problem(name: str, kind: str, value: object) -> str | None:
    """Return what is wrong with a field's value, as a sentence; None if nothing is."""
    if kind == "count":
        return _count_problem(name, value)
    if kind == "seconds or off":
        if value is None:
            return None
        problem = seconds_problem(name, value)
        return None if problem is None else f'{problem}, or turn it off with None ("off" as text)'
    return seconds_problem(name, value)


def _count_problem(name: str, value: object) -> str | None:
    remedy = f"give a whole number from 1 to {_MAX_COUNT}"
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{name} is {describe_kind(value)}, not a whole number; {remedy}"
    if not 1 <= value <= _MAX_COUNT:
        shown = value if abs(value) < 10**18 else "a huge number"
        return f"{name} is {shown}, which is out of range; {remedy}"
    return None


def _from_text(text: str, kind: str) -> object:
    """Read a variable's text. What cannot be read stays text, which the checks then refuse."""
    text = text.strip()
    if kind == "count":
        return int(text) if _WHOLE.fullmatch(text) else text
    if kind == "seconds or off" and _is_off(text):
        return None
    # Narrower than float(), which also takes "1_0" and the digits of other scripts.
    if _DECIMAL.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text)
    return text


def _is_off(text: str) -> bool:
    return text.strip().lower() in ("none", "off")


def _toml_table(path: Path, source: str) -> dict[str, Any]:
    content = read_small_file(path, private=False)
    if content is None:
        raise IpcConfigError(
            f"The options {source} does not exist; create it or correct the path.",
            field="path",
            source=source,
        )
    problem: str | None = None
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = f"it is not TOML ({error})"
    except ValueError:  # a number with more digits than Python reads
        problem = "it has a number that is too long"
    # Raised here and not above: the decoders' errors carry the whole file, which may hold secrets
    # of others.
    if problem is not None:
        raise IpcConfigError(
            f"The options {source} cannot be used: {problem}; correct it.",
            field="path",
            source=source,
        )
    table = document.get(_TABLE, document)
    if not isinstance(table, dict):
        raise IpcConfigError(
            f"In {source}, {_TABLE} is not a table; write [{_TABLE}] and the options below it.",
            field=_TABLE,
            source=source,
        )
    return dict(table)


def _unknown(name: str, source: str | None) -> IpcConfigError:
    where = "" if source is None else f"In {source}, "
    return IpcConfigError(
        f"{where}{name} is not an option; the options are {', '.join(_kinds())}.",
        field=name,
        source=source,
    )
