"""What ``opencode-sync gateway`` does: choose a backend, and serve until told to stop."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcArgumentError
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.gateway.gateway import Gateway, GatewayError
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

if TYPE_CHECKING:
    from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend

__all__ = ["BACKEND_KINDS", "choose_backend", "run"]

BACKEND_KINDS = ("auto", "opencode", "embedded")

_DISCOVER_SECONDS = 10.0
_SPAWN_SECONDS = 30.0
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_JOIN_SECONDS = 5.0


class StopRequest:
    """Tells ``run`` to end. Any thread may ``send`` it; once is enough."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()

    def send(self, reason: str) -> None:
        """Ask for the end; the reason goes to the log."""
        self._queue.put(reason)

    def wait(self) -> str:
        """Wait until somebody asks, and return the reason."""
        return self._queue.get()


def run(
    gateway: Gateway,
    *,
    announce: Callable[[str], None],
    stop: StopRequest | None = None,
) -> int:
    """Start a gateway, serve until SIGTERM, SIGINT or a stop request, and stop it.

    Signals are handled only when this is the main thread, as Python allows no other; elsewhere
    ``stop`` is the way to end.

    Args:
        gateway: Not started yet.
        announce: Gets one line for people once the gateway serves; it holds no secret.
        stop: Ends the call when sent.

    Returns:
        0, the exit code of a gateway that ended as told.

    Raises:
        IpcError: the gateway cannot start; the text says why and what to do.
    """
    request = stop or StopRequest()
    with _signals_to(request):
        try:
            gateway.start()
            line = f"Serving {gateway.backend.description}; clients connect to {gateway.endpoint}"
            if gateway.runtime_file is not None:
                line += f" (they find it by {gateway.runtime_file})"
            announce(line)
            logger.info("the gateway stops: {}", request.wait())
        finally:
            gateway.stop()
    return 0


@contextlib.contextmanager
def _signals_to(request: StopRequest) -> Iterator[None]:
    """Turn the signals that end a program into a stop request.

    Python runs a signal's handler on the main thread, once that is at work again; but a signal that
    the system has given to another thread does not wake it. So each signal also writes a byte, for
    which a thread waits.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    # One that is ignored on purpose (by nohup, say) stays so.
    ours = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def listen() -> None:
        while told := reading.recv(64):
            for number in told:
                if number in ours:
                    request.send(signal.Signals(number).name)

    def handle(number: int, frame: FrameType | None) -> None:
        pass  # the byte does it

    listener = threading.Thread(target=listen, name="opencode-sync-gateway-signals", daemon=True)
    listener.start()
    former_descriptor = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    previous = {number: signal.signal(number, handle) for number in ours}
    try:
        yield
    finally:
        for number, handler in previous.items():
            # None: it was set by something other than Python, which cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(former_descriptor)
        writing.close()  # which ends the listener
        listener.join(_JOIN_SECONDS)
        reading.close()


def choose_backend(
    kind: str,
    *,
    url: str | None = None,
    discover: bool = False,
    spawn: bool = False,
    directory: Path | str | None = None,
    database: Path | str | None = None,
    announce: Callable[[str], None],
) -> Backend:
    """Return the backend asked for, or, for ``"auto"``, the best there is, already started.

    ``"auto"`` takes an OpenCode server that runs already, else spawns one if ``opencode`` is
    installed, else the embedded store, and announces which and why. Given a ``url``, ``discover``
    or ``spawn`` it means ``"opencode"``. The password of an OpenCode server comes from the variable
    OPENCODE_SERVER_PASSWORD, its user from OPENCODE_SERVER_USERNAME if that is not "opencode".

    Args:
        kind: ``"auto"``, ``"opencode"`` or ``"embedded"``.
        url: Where an OpenCode server is.
        discover: Whether to look for a running OpenCode server.
        spawn: Whether to start an OpenCode server.
        directory: The project's directory; None means the current one.
        database: The embedded store's file; None means the usual one.
        announce: Gets lines for people.

    Raises:
        IpcArgumentError: the arguments contradict each other; names the field.
        GatewayError: the OpenCode backend needs a package that is not installed.
    """
    if kind not in BACKEND_KINDS:
        raise IpcArgumentError(
            f"backend must be one of {', '.join(BACKEND_KINDS)}, but is {kind!r}", field="backend"
        )
    told = url is not None or discover or spawn
    if kind == "embedded":
        if told:
            raise IpcArgumentError(
                "backend: the embedded store uses no OpenCode server; leave out the URL, discover "
                "and spawn, or choose the backend opencode",
                field="backend",
            )
        return _embedded(database, directory)
    if kind == "opencode" or told:
        return _opencode(url, discover=discover, spawn=spawn, directory=directory)
    backend, reason = _best_opencode(directory)
    if backend is not None:
        announce(f"Using {backend.description}: {reason}")
        return backend
    embedded = _embedded(database, directory)
    announce(f"Using {embedded.description}: {reason}")
    return embedded


def _best_opencode(directory: Path | str | None) -> tuple[Backend | None, str]:
    """Return an OpenCode backend in use, if one can be had, and why that one or none."""
    try:
        backend = _opencode(None, directory=directory)
    except GatewayError as error:
        return None, error.message
    try:
        backend.start()
        found, locked = _discover(backend)
        if found:
            return backend, "it is running already"
        if shutil.which("opencode") is None:
            problem = locked or (
                "no OpenCode server is running, and no opencode is on the PATH to start one"
            )
        else:
            backend.spawn_server(None, deadline=Deadline.after(_SPAWN_SECONDS))
            return backend, (
                f"it was started, because {locked}"
                if locked
                else "none was running, so it was started"
            )
    except BackendError as error:
        problem = error.message
    except BaseException:
        backend.close()
        raise
    backend.close()
    return None, problem


def _discover(backend: Backend) -> tuple[bool, str]:
    """Return whether a running OpenCode server is in use now; if it is closed to us, in words."""
    try:
        return backend.discover_server(deadline=Deadline.after(_DISCOVER_SECONDS)) is not None, ""
    except BackendError as error:
        if error.code != ipc_pb2.IPC_ERROR_CODE_AUTH_ERROR:
            raise
        return False, error.message


def _embedded(database: Path | str | None, directory: Path | str | None) -> Backend:
    from opencode_sync.gateway.backends.embedded import EmbeddedBackend

    return EmbeddedBackend(database, directory=directory)


def _opencode(
    url: str | None,
    *,
    discover: bool = False,
    spawn: bool = False,
    directory: Path | str | None,
) -> OpenCodeBackend:
    try:
        from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
    except ImportError as error:
        raise GatewayError(
            f"the OpenCode backend needs the package {error.name}; install it with: "
            f'pip install "opencode-sync-sdk[gateway]"'
        ) from error
    return OpenCodeBackend(
        url,
        username=os.environ.get("OPENCODE_SERVER_USERNAME") or "opencode",
        password=os.environ.get("OPENCODE_SERVER_PASSWORD") or None,
        directory=directory,
        spawn=spawn,
        discover=discover,
    )
