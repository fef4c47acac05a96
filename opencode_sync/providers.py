"""Where a configuration can come from: code, environment, file, program or address.

Every provider is immutable and may be used from any thread. Making one does no I/O; ``get_config``
does it anew each time, in bounded time, and what it raises never shows the token.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from opencode_sync.config import (
    IpcConfig,
    SecretStr,
    describe_kind,
    is_loopback,
    make_config,
    parse_config,
    parse_document,
    seconds_problem,
)
from opencode_sync.errors import IpcConfigError
from opencode_sync.runtime_file import default_runtime_file, is_gone, read_small_file

__all__ = [
    "PORT_VARIABLE",
    "TOKEN_VARIABLE",
    "CommandConfigProvider",
    "DefaultConfigProvider",
    "EnvironmentConfigProvider",
    "FileConfigProvider",
    "HttpConfigProvider",
    "StaticConfigProvider",
]

PORT_VARIABLE = "OPENCODE_IPC_PORT"
"""The environment variable with the backend's port."""

TOKEN_VARIABLE = "OPENCODE_IPC_TOKEN"
"""The environment variable with the backend's token."""

_VARIABLES = ((PORT_VARIABLE, "port"), (TOKEN_VARIABLE, "auth_token"))

_START = "start a gateway with: opencode-sync gateway"


class StaticConfigProvider:
    """Always the same configuration.

    Args:
        config: The configuration.
    """

    def __init__(self, config: IpcConfig) -> None:
        if not isinstance(config, IpcConfig):
            raise IpcConfigError(
                f"config is {describe_kind(config)}; give an IpcConfig.", field="config"
            )
        self._config = config

    def get_config(self) -> IpcConfig:
        """Return the configuration."""
        return self._config

    def __repr__(self) -> str:
        return f"StaticConfigProvider({self._config!r})"


class EnvironmentConfigProvider:
    """The variables ``OPENCODE_IPC_PORT`` and ``OPENCODE_IPC_TOKEN``.

    Args:
        environ: The variables to look in.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def is_set(self) -> bool:
        """Return whether either variable is there, blank or not."""
        return PORT_VARIABLE in self._environ or TOKEN_VARIABLE in self._environ

    def get_config(self) -> IpcConfig:
        """Return what the variables say.

        Raises:
            IpcConfigError: If one is missing or wrong.
        """
        for variable, field in _VARIABLES:
            if variable not in self._environ:
                raise IpcConfigError(
                    f"The environment variable {variable} is not set; set both {PORT_VARIABLE} and "
                    f"{TOKEN_VARIABLE} to what the gateway was started with.",
                    field=field,
                    source=f"environment variable {variable}",
                )
        text = self._environ[PORT_VARIABLE].strip()
        # Narrower than int(), which also takes "4_096", "+4096" and the digits of other scripts.
        port: object = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
        return make_config(
            {"port": port, "auth_token": SecretStr(self._environ[TOKEN_VARIABLE])},
            {key: f"environment variable {name}" for name, key in _VARIABLES},
        )

    def __repr__(self) -> str:
        return "EnvironmentConfigProvider()"


class FileConfigProvider:
    """A JSON file ``{"port", "auth_token"}``, such as a gateway's runtime file.

    On POSIX it must belong to this user and be closed to all others, as with a private key. If the
    file also has the gateway's ``"pid"``, a gateway that is gone is noticed at once.

    Args:
        path: The file; a leading ``~`` stands for the home folder.

    Raises:
        IpcConfigError: If it is no path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise IpcConfigError(
                f"The path is of type {type(path).__name__}; give it as a str or a Path.",
                field="path",
            )
        self._path = Path(path).expanduser()

    def get_config(self) -> IpcConfig:
        """Return what the file says.

        Raises:
            IpcConfigError: If it is missing, unsafe, unreadable, wrong, or left by a gateway that
                has ended.
        """
        config = _from_file(self._path, follow_symlinks=True)
        if config is None:
            raise IpcConfigError(
                f"The file {self._path} does not exist, so no gateway runs that writes it; "
                f"{_START} --runtime-file {self._path}, or correct the path",
                field="path",
                source=str(self._path),
            )
        return config

    def __repr__(self) -> str:
        return f"FileConfigProvider({str(self._path)!r})"


class CommandConfigProvider:
    """A program that prints the JSON ``{"port", "auth_token"}`` to its standard output.

    It is run without a shell and with nothing to read. A program that takes too long or prints too
    much is killed with all it started.

    Args:
        argv: The program and its arguments, each one text.
        timeout: Seconds for the whole run.

    Raises:
        IpcConfigError: If an argument is wrong; ``field`` names it.
    """

    def __init__(self, argv: Sequence[str | os.PathLike[str]], timeout: float = 10.0) -> None:
        problem = _argv_problem(argv)
        if problem is not None:
            raise IpcConfigError(f"{problem}.", field="argv")
        _require_seconds(timeout)
        self._argv = tuple(os.fspath(each) for each in argv)
        self._timeout = timeout
        # Only the program: arguments may be secret.
        self._source = f"command {self._argv[0]}"

    def get_config(self) -> IpcConfig:
        """Run the program and return what it printed.

        Raises:
            IpcConfigError: If it cannot be started, fails, takes too long, or prints anything else.
        """
        from opencode_sync.config_command import command_output

        return parse_config(
            command_output(self._argv, timeout=self._timeout, source=self._source),
            source=self._source,
        )

    def __repr__(self) -> str:
        return f"CommandConfigProvider({self._argv[0]!r} and {len(self._argv) - 1} arguments)"


class HttpConfigProvider:
    """An address that answers a ``GET`` with the JSON ``{"port", "auth_token"}``.

    Needs the package requests: ``pip install "opencode-sync-sdk[http]"``. Redirects are not
    followed, proxies are not used, and nothing of the query is ever shown.

    Args:
        url: An http or https address, without a user name or password in it.
        timeout: Seconds for the whole exchange, however slowly the server sends.
        allow_remote: Whether the host may be another machine than this one. Over http the token
            then travels in the clear: everybody on the way can read it and use the backend.

    Raises:
        IpcConfigError: If an argument is wrong; ``field`` names it.
    """

    def __init__(self, url: str, timeout: float = 5.0, allow_remote: bool = False) -> None:
        shown, problem = _check_url(url, allow_remote)
        if problem is not None:
            raise IpcConfigError(f"{problem}.", field="url", source=shown)
        _require_seconds(timeout)
        self._url = url
        self._timeout = timeout
        self._allow_remote = allow_remote
        self._source = str(shown)

    def get_config(self) -> IpcConfig:
        """Fetch the address and return what it says.

        Raises:
            IpcConfigError: If requests is not installed, or if the address does not answer in time
                with status 200 and that JSON.
        """
        try:
            from opencode_sync.config_http import fetch
        except ImportError as error:
            raise IpcConfigError(
                "HttpConfigProvider needs the package requests, which is not installed; "
                'run: pip install "opencode-sync-sdk[http]"',
                source=self._source,
            ) from error
        return parse_config(
            fetch(
                self._url,
                timeout=self._timeout,
                allow_remote=self._allow_remote,
                source=self._source,
            ),
            source=self._source,
        )

    def __repr__(self) -> str:
        return f"HttpConfigProvider({self._source!r})"


class DefaultConfigProvider:
    """The environment if it says anything, else the runtime file of a running gateway.

    Args:
        environ: The variables to look in.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environment = EnvironmentConfigProvider(environ)

    def get_config(self) -> IpcConfig:
        """Return what is found first.

        Raises:
            IpcConfigError: If nothing is found, saying what was looked for; or if what is found is
                wrong, which is not passed over in silence.
        """
        if self._environment.is_set():
            return self._environment.get_config()
        path = default_runtime_file()
        # Its folder may be one that others can write to, so a link there is nobody's choice.
        config = _from_file(path, follow_symlinks=False)
        if config is None:
            raise IpcConfigError(
                f"No backend to connect to was found: neither {PORT_VARIABLE} nor {TOKEN_VARIABLE} "
                f"is set, and there is no runtime file {path}; {_START}",
                source="environment and runtime file",
            )
        return config

    def __repr__(self) -> str:
        return "DefaultConfigProvider()"


def _from_file(path: Path, *, follow_symlinks: bool) -> IpcConfig | None:
    content = read_small_file(path, private=True, follow_symlinks=follow_symlinks)
    if content is None:
        return None
    config, pid = parse_document(content, source=str(path))
    if pid is not None and is_gone(pid):
        raise IpcConfigError(
            f"The file {path} is stale: the gateway that wrote it (process {pid}) has ended; "
            "start it again with: opencode-sync gateway",
            field="pid",
            source=str(path),
        )
    return config


def _require_seconds(timeout: object) -> None:
    problem = seconds_problem("timeout", timeout)
    if problem is not None:
        raise IpcConfigError(f"{problem}.", field="timeout")


def _argv_problem(argv: object) -> str | None:
    remedy = 'give a list such as ["program", "argument"]; no shell is used'
    if isinstance(argv, str | bytes):
        return f"argv is one text, not a list of texts; {remedy}"
    if not isinstance(argv, Sequence):
        return f"argv is {describe_kind(argv)}; {remedy}"
    if not argv:
        return f"argv is empty; {remedy}"
    for position, each in enumerate(argv):
        text = os.fspath(each) if isinstance(each, os.PathLike) else each
        if not isinstance(text, str):
            return f"argv[{position}] is {describe_kind(text)}, not text; {remedy}"
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            return (
                f"argv[{position}] contains what no argument can (NUL, half a character); remove it"
            )
    if not os.fspath(argv[0]).strip():
        return f"argv[0], the program, is blank; {remedy}"
    return None


def _check_url(url: object, allow_remote: bool) -> tuple[str | None, str | None]:
    """Return the address as it may be shown, and what is wrong with it."""
    remedy = "give one such as http://127.0.0.1:8080/ipc-config"
    if not isinstance(url, str):
        return None, f"url is {describe_kind(url)}, not text; {remedy}"
    # Different readers of addresses disagree about these, which is how checks are got around.
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\<>"'):
        return None, f"url contains characters that must be percent-encoded; {remedy}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        at_sign = "@" in parts.netloc
    except ValueError:
        parts = None
    if parts is None:
        return None, f"url is not a valid address; {remedy}"
    if parts.scheme not in ("http", "https"):
        return None, f"url does not begin with http:// or https://; {remedy}"
    if at_sign:
        return None, f"url contains a user name or password; leave it out, {remedy}"
    if not host:
        return None, f"url has no host; {remedy}"
    name = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{parts.path}"
    if not allow_remote and host != "localhost" and not is_loopback(host):
        return shown, (
            f"url leads to {host}, which is not this machine, and the token would travel over the "
            "network for others to read; use 127.0.0.1, or accept that with allow_remote=True"
        )
    return shown, None
