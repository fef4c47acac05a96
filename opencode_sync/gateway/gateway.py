"""The gateway: serves the IPC protocol in front of a backend.

Threads: one takes connections in; each peer has one that reads; requests run on workers, of which
there are as many as there are requests at work. All are daemons and all are joined by ``stop``.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from opencode_sync.deadline import Deadline
from opencode_sync.errors import IpcArgumentError, IpcError, IpcUsageError
from opencode_sync.extras import needs_opentelemetry
from opencode_sync.gateway.backends.base import Backend
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.link import MemoryLink
from opencode_sync.gateway.peers import Peers
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.logger import logger
from opencode_sync.masking import remember_secret
from opencode_sync.transport.memory import MemoryTransport, memory_link

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from opencode_sync.gateway.listener import Listener

__all__ = ["Gateway", "GatewayError"]

_LARGEST_RESERVE = 1.0
_CLOSE_SECONDS = 1.0


class GatewayError(IpcError):
    """The gateway cannot start; the text says why and what to do."""


class Gateway:
    """Serves the IPC protocol on the loopback address, in memory, or both.

    Used once: started, stopped. As a context manager it does both. Any thread may call any method.

    Args:
        backend: Does the work. The gateway starts it, and closes it in the end.
        port: Where to listen, 1024 to 65535; 0 takes any free port.
        auth_token: What clients have to show; None makes a fresh one.
        runtime_file: Where to leave port and token for clients; None leaves them nowhere.
        limits: How much to take on.
        tracer_provider: Where OpenTelemetry spans go: one for each request, in the trace that it
            brings along, and one for each call to OpenCode that it takes. None: no spans.

    Raises:
        IpcArgumentError: an argument is wrong; names the field.
        IpcConfigError: ``tracer_provider`` is none, or OpenTelemetry is not installed.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        port: int = 0,
        auth_token: str | None = None,
        runtime_file: str | os.PathLike[str] | None = None,
        limits: GatewayLimits | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        self._backend = backend
        self._wanted_port = _checked_port(port)
        self._auth_token = _checked_token(auth_token)
        remember_secret(self._auth_token)
        self._runtime_file = None if runtime_file is None else Path(runtime_file)
        self._limits = limits or GatewayLimits()
        self._workers = WorkerPool("opencode-sync-gateway-worker")
        self._peers = Peers(
            dispatcher=self._new_dispatcher(tracer_provider),
            workers=self._workers,
            token=self._auth_token,
            limits=self._limits,
        )
        # Held through a start or a stop, so that one waits for the other; guards the rest.
        self._lifecycle = threading.Lock()
        self._backend_started = False
        self._listener: Listener | None = None
        self._stopped = False

    # What clients have to know

    @property
    def port(self) -> int:
        """Where it listens.

        Raises:
            IpcUsageError: it does not listen yet.
        """
        listener = self._listener
        if listener is None:
            raise IpcUsageError("the gateway has no port before start()")
        return listener.port

    @property
    def auth_token(self) -> str:
        """What clients have to show. A secret."""
        return self._auth_token

    @property
    def endpoint(self) -> str:
        """Where it is reached: ``"ws://127.0.0.1:4096/"``; ``"memory:"`` before ``start``."""
        listener = self._listener
        return "memory:" if listener is None else f"ws://127.0.0.1:{listener.port}/"

    @property
    def backend(self) -> Backend:
        """What does the work."""
        return self._backend

    @property
    def runtime_file(self) -> Path | None:
        """Where port and token are left for clients, if anywhere."""
        return self._runtime_file

    def __repr__(self) -> str:
        return f"Gateway({self._backend.name}, {self.endpoint})"

    # Life

    def start(self) -> None:
        """Start the backend if need be, listen, and leave port and token for clients.

        A second call does nothing.

        Raises:
            BackendError: the backend cannot start.
            GatewayError: the port cannot be had, another gateway serves by the same runtime file,
                or ``websockets`` is not installed.
            IpcConfigError: the runtime file cannot be written.
            IpcUsageError: the gateway was stopped.
        """
        with self._lifecycle:
            self._check_usable()
            if self._listener is not None:
                return
            listener = self._new_listener()
            ours = not self._backend_started
            try:
                self._start_backend()
                if self._runtime_file is not None:
                    from opencode_sync.runtime_file import gateway_behind, write_runtime_file

                    other = gateway_behind(self._runtime_file)
                    if other is not None:
                        raise GatewayError(
                            f"another gateway ({other}) serves clients by {self._runtime_file}; "
                            "stop that one, or give this one a file of its own (--runtime-file, "
                            "and OPENCODE_SYNC_RUNTIME_FILE for its clients)"
                        )
                    write_runtime_file(
                        self._runtime_file,
                        port=listener.port,
                        auth_token=self._auth_token,
                        pid=os.getpid(),
                    )
            except BaseException:
                listener.stop(Deadline.after(_CLOSE_SECONDS))
                if ours:
                    self._backend_started = False
                    self._backend.close()
                raise
            self._listener = listener
            listener.start()
        logger.bind(backend=self._backend.name, port=listener.port).info("the gateway listens")

    def connect_in_memory(self) -> MemoryTransport:
        """Return the client's end of a new link that needs no socket; ``start`` is not needed.

        Raises:
            BackendError: the backend cannot start.
            IpcUsageError: the gateway was stopped.
        """
        with self._lifecycle:
            self._check_usable()
            self._start_backend()
            transport, peer = memory_link()
            self._peers.serve(MemoryLink(peer, max_message_size=self._limits.max_message_size))
            return transport

    def stop(self, timeout: float = 5.0) -> None:
        """Answer or fail what is in flight, say goodbye to all peers, and close the backend.

        Idempotent; a call during another waits for that one. Never raises for what a peer does.

        Args:
            timeout: Seconds for requests in flight and goodbyes, all peers together. What is left
                then is dropped. The backend's own end comes on top, and is bounded too.
        """
        deadline = Deadline.after(timeout)
        # Time to tell peers that their requests failed.
        grace = Deadline.after(timeout - min(_LARGEST_RESERVE, timeout / 4))
        with self._lifecycle:
            if self._stopped:
                return
            self._stopped = True
            self._remove_runtime_file()
            if self._listener is not None:
                self._listener.stop(deadline)
            ended = self._peers.stop(deadline, grace=grace)
            # Closing the backend frees requests that are stuck in it, so it comes first.
            self._backend.close()
            ended = self._workers.close(Deadline.after(_CLOSE_SECONDS)) and ended
        if not ended:
            logger.warning("threads of the gateway are stuck and are left to the process's end")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Steps; the caller holds the lifecycle lock

    def _check_usable(self) -> None:
        if self._stopped:
            raise IpcUsageError("the gateway was stopped; make a new one")

    def _new_dispatcher(self, tracer_provider: TracerProvider | None) -> Dispatcher:
        dispatcher: Callable[..., Dispatcher] = Dispatcher
        if tracer_provider is not None:
            with needs_opentelemetry("tracer_provider"):
                from opencode_sync.gateway.tracing import TracedDispatcher

            dispatcher = partial(
                TracedDispatcher, tracer_provider=tracer_provider, endpoint=lambda: self.endpoint
            )
        return dispatcher(
            self._backend,
            request_timeout=self._limits.request_timeout,
            prompt_timeout=self._limits.prompt_timeout,
            max_message_size=self._limits.max_message_size,
        )

    def _start_backend(self) -> None:
        if not self._backend_started:
            self._backend.start()
            self._backend_started = True

    def _new_listener(self) -> Listener:
        try:
            # Here, because a gateway in memory has no use for them.
            from opencode_sync.gateway.listener import Listener
            from opencode_sync.gateway.websocket import WebSocketLink
        except ImportError as error:
            package = (error.name or "websockets").partition(".")[0]
            raise GatewayError(
                f"the gateway needs the package {package} to listen; install it with: "
                f'pip install "opencode-sync-sdk[gateway]"'
            ) from error

        def take(connection: socket.socket) -> None:
            self._peers.serve(
                WebSocketLink(
                    connection,
                    port=listener.port,
                    max_message_size=self._limits.max_message_size,
                    send_timeout=self._limits.send_timeout,
                    ping_interval=self._limits.ping_interval,
                    ping_timeout=self._limits.ping_timeout,
                    later=self._workers.submit,
                )
            )

        try:
            listener = Listener(self._wanted_port, take)
        except OSError as error:
            raise GatewayError(
                f"port: the gateway cannot listen on port {self._wanted_port} "
                f"({error.strerror or error}); name another one, or 0 for any free port"
            ) from error
        return listener

    def _remove_runtime_file(self) -> None:
        if self._listener is None or self._runtime_file is None:
            return
        from opencode_sync.runtime_file import remove_runtime_file

        try:
            remove_runtime_file(self._runtime_file, auth_token=self._auth_token)
        except (OSError, IpcError) as error:
            logger.warning("the runtime file stays behind: {}", error)


def _checked_port(port: int) -> int:
    if isinstance(port, bool) or not isinstance(port, int):
        raise IpcArgumentError(f"port must be a whole number, but is {port!r}", field="port")
    if port != 0 and not 1024 <= port <= 65535:
        raise IpcArgumentError(
            f"port must be from 1024 to 65535, or 0 for any free port, but is {port}", field="port"
        )
    return port


def _checked_token(token: str | None) -> str:
    if token is None:
        return str(uuid.uuid4())
    # What is wrong with it is said without showing it.
    if not isinstance(token, str) or not token.strip():
        raise IpcArgumentError(
            "auth_token must be a text that is not blank; leave it out to have one made",
            field="auth_token",
        )
    try:
        token.encode()
    except UnicodeEncodeError:
        raise IpcArgumentError(
            "auth_token holds a character that cannot be sent; leave it out to have one made",
            field="auth_token",
        ) from None
    return token
