"""``launch``: a connected client, and all that stands behind it, in one ``with``."""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from opencode_sync.client import IpcClient
from opencode_sync.config import IpcConfig
from opencode_sync.errors import (
    IpcArgumentError,
    IpcConfigError,
    IpcServerError,
    IpcUnsupportedOperationError,
    IpcUsageError,
)
from opencode_sync.forks import this_process
from opencode_sync.logger import logger
from opencode_sync.metrics import Metrics
from opencode_sync.options import IpcClientOptions
from opencode_sync.uninterrupted import uninterrupted
from opencode_sync.wire import ipc_pb2

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from opencode_sync.gateway import Gateway, OpenCodeBackend

__all__ = ["Launch", "launch"]

_DISCOVER_SECONDS: Final = 10.0
_SPAWN_SECONDS: Final = 30.0

_STOP_SECONDS: Final = 5.0
"""What requests in flight get to end. OpenCode's own end comes on top: at most 7 seconds more."""

_LONGEST_STOP: Final = 60.0
"""Seconds after which whoever waits for the end stops waiting. All steps of it are bounded, and
take less together."""

_UNUSED_PORT: Final = 65535
"""A configuration has to name one; a link in memory has none."""

_INSTALLATION: Final = "installation"
_EXTRA: Final = "pip install 'opencode-sync-sdk[gateway]'"


class Launch:
    """What ``launch`` returns: a context manager that is used once."""

    def __init__(
        self,
        directory: Path,
        *,
        url: str | None,
        username: str,
        password: str | None,
        executable: str | Path | None,
        discover: bool,
        spawn: bool,
        options: IpcClientOptions | None,
        metrics: Metrics | None,
        environ: Mapping[str, str] | None,
        tracer_provider: TracerProvider | None,
    ) -> None:
        """Remember what to start; the arguments are ``launch``'s, checked."""
        self._directory = directory
        self._url = url
        self._username = username
        self._password = password
        self._executable = executable
        self._discover = discover
        self._spawn = spawn
        self._options = options
        self._metrics = metrics
        self._environ = environ
        self._tracer_provider = tracer_provider
        self._process = this_process()
        # Held through the end, so that whoever asks for it a second time waits for it too. The main
        # thread takes no lock here: Ctrl-C may come between any two of its steps, and each of
        # what follows is changed by one.
        self._ending = threading.Lock()
        self._entries = itertools.count()
        self._ended = False
        self._started = False
        self._parts: tuple[IpcClient, OpenCodeBackend, Gateway] | None = None

    def __repr__(self) -> str:
        return f"<Launch in {self._directory}>"

    def __enter__(self) -> IpcClient:
        if next(self._entries):
            raise IpcUsageError("this launch was used already; call launch() again")
        try:
            # For a block that is never left: the interpreter's end is the end of this, too.
            atexit.register(self._close)
            client, backend, gateway = self._make()
            self._parts = client, backend, gateway
            if self._ended:  # which takes what it finds, and so has found nothing
                raise IpcUsageError("the interpreter ends; nothing is launched any more")
            self._start(client, backend)
            self._started = True
            return client
        except BaseException as error:
            self._close()
            if _is_missing(error):
                # The text says it all. How far we came inside is of no use to its reader.
                raise error.with_traceback(None) from None
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    # Beginning

    def _make(self) -> tuple[IpcClient, OpenCodeBackend, Gateway]:
        """Return what it takes. Nothing of it is started yet."""
        # Only now: the client does without it elsewhere.
        from opencode_sync.gateway import Gateway, OpenCodeBackend

        backend = OpenCodeBackend(
            self._url,
            username=self._username,
            password=self._password,
            directory=self._directory,
            executable=self._executable,
            environ=self._environ,
        )
        gateway = Gateway(backend, tracer_provider=self._tracer_provider)
        client = IpcClient(
            IpcConfig(_UNUSED_PORT, gateway.auth_token),
            options=self._options,
            metrics=self._metrics,
            transport_factory=lambda config, options: gateway.connect_in_memory(),
            directory=self._directory,
            tracer_provider=self._tracer_provider,
        )
        return client, backend, gateway

    def _start(self, client: IpcClient, backend: OpenCodeBackend) -> None:
        """Connect, and have a server bound.

        The client does the binding, for then it binds again when that server is lost.
        """
        if self._url is not None:
            _check(backend)
        client.connect()
        if self._url is None and not self._discovered(client):
            client.spawn_server(timeout=_SPAWN_SECONDS)

    def _discovered(self, client: IpcClient) -> bool:
        """Return whether a running server is in use now; False: one is to be spawned."""
        if not self._discover:
            return False
        try:
            if client.discover_server(timeout=_DISCOVER_SECONDS) is not None:
                return True
        except IpcUnsupportedOperationError as error:
            # All that the OpenCode backend ever lacks for it is a package.
            raise IpcConfigError(
                f"{error.message} (it comes with the extra gateway; run: {_EXTRA})",
                source=_INSTALLATION,
            ) from None
        except IpcServerError as error:
            locked = error.code == ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR
            if not (locked and self._spawn):
                raise
            logger.info("a server of our own is spawned, because {}", error.message)
        if self._spawn:
            return False
        raise _server_error(
            "no running OpenCode server of this user was found; start one with `opencode serve`, "
            "or leave out spawn=False to have one started",
            ipc_pb2.IPC_ERROR_CODE_NO_SERVER,
        )

    # Ending

    def _close(self) -> None:
        """End what was started, whatever was. Idempotent; a second call waits for the first."""
        try:
            uninterrupted(self._end, _LONGEST_STOP)
        except KeyboardInterrupt:
            # The end has begun and goes on. It is short, so it is waited for all the same; who
            # insists, by another Ctrl-C, does not have to.
            uninterrupted(self._end, _LONGEST_STOP)
            raise

    def _end(self) -> None:
        with self._ending:
            self._ended = True
            parts, self._parts = self._parts, None
            if parts is not None:
                client, backend, gateway = parts
                client.close()
                # What a parent process started is not a child's to end.
                if not self._process.left:
                    if not self._started:
                        # Frees a request that waits for a server to start, and ends that server.
                        backend.close()
                    gateway.stop(_STOP_SECONDS)
            atexit.unregister(self._close)


def launch(
    directory: str | os.PathLike[str] = ".",
    *,
    url: str | None = None,
    username: str | None = None,
    password: str | None = None,
    executable: str | Path | None = None,
    discover: bool = True,
    spawn: bool = True,
    options: IpcClientOptions | None = None,
    metrics: Metrics | None = None,
    environ: Mapping[str, str] | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Launch:
    """Return a context manager that gives a connected client, and needs nothing to run already.

    Example::

        with launch() as client:
            session = client.create_session()
            print(client.prompt(session.id, "What does this project do?").text)

    It uses an OpenCode server of this user that runs already, or else starts one, with a random
    password. The gateway is in this process and reached in memory: no port, no runtime file. At the
    end of the block, and however else this process ends, all of it is over, but a server that was
    not started here is left running. Entering and leaving wait; entering for a server that has to
    be started takes a few seconds.

    Any number may be open at the same time, in any threads. Each context manager is used once.

    Args:
        directory: The project that the client's calls are about.
        url: The OpenCode server to use; no other is looked for, and none is started.
        username: Of the server at ``url``, or found; None for the variable
            OPENCODE_SERVER_USERNAME, or "opencode".
        password: Likewise; None for the variable OPENCODE_SERVER_PASSWORD.
        executable: What to start, a path or a command; None for ``opencode`` on PATH.
        discover: Whether to use a server that runs already.
        spawn: Whether to start one when there is none to use.
        options: The client's time-outs and limits.
        metrics: Told what the client does.
        environ: The whole environment of a server that is started, and where the two variables
            above are looked for; None for this process's own.
        tracer_provider: Where OpenTelemetry spans go: the client's, the gateway's, and one for each
            call to OpenCode, in one trace. None: no spans.

    Raises:
        IpcArgumentError: an argument is wrong; names the field.

    Entering raises:
        IpcConfigError: a package of the extra ``gateway`` is not installed.
        IpcServerError: there is no server to use (``NO_SERVER``; says how to install OpenCode), it
            refuses the password (``AUTH_ERROR``), or it does not work.
        IpcTimeoutError: it took too long.
        IpcUsageError: it was entered before.
    """
    folder = _checked_directory(directory)
    if url is None and not (discover or spawn):
        raise IpcArgumentError(
            "discover and spawn are both False and there is no url, so there can be no server; "
            "allow one of them, or give a url",
            field="discover",
        )
    variables = os.environ if environ is None else environ
    return Launch(
        folder,
        url=url,
        username=username or variables.get("OPENCODE_SERVER_USERNAME") or "opencode",
        password=password or variables.get("OPENCODE_SERVER_PASSWORD") or None,
        executable=executable,
        discover=discover,
        spawn=spawn,
        options=options,
        metrics=metrics,
        environ=environ,
        tracer_provider=tracer_provider,
    )


def _checked_directory(directory: str | os.PathLike[str]) -> Path:
    if not isinstance(directory, str | os.PathLike):
        raise IpcArgumentError(
            f"directory is of type {type(directory).__name__}; give the path of the project's "
            "folder",
            field="directory",
        )
    try:
        folder = Path(directory).resolve()
        if folder.is_dir():
            return folder
        problem = "is not a folder" if folder.exists() else "does not exist"
    except (OSError, ValueError, TypeError) as error:
        problem = f"cannot be looked at ({getattr(error, 'strerror', None) or error})"
    raise IpcArgumentError(
        f"directory is {str(directory)!r}, which {problem}; give the path of the project's folder",
        field="directory",
    )


def _is_missing(error: BaseException) -> bool:
    """Return whether all that is wrong is that something is not installed, or does not run."""
    if isinstance(error, IpcServerError):
        return error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER
    return isinstance(error, IpcConfigError) and error.source == _INSTALLATION


def _check(backend: OpenCodeBackend) -> None:
    """Raise unless the server that was named works."""
    from opencode_sync.gateway import BackendError

    try:
        backend.start()
    except BackendError as error:
        raise _server_error(error.message, error.code) from None


def _server_error(message: str, code: int) -> IpcServerError:
    return IpcServerError(message, request_id=0, code=code, operation="launch")
