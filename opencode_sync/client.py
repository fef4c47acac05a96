"""``IpcClient``: its lifecycle. The operations are in ``blocking`` and ``prompting``."""

from __future__ import annotations

import atexit
import copy
import importlib
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from opencode_sync.answers import StrayCounters
from opencode_sync.binding import ServerBinder, ServerBinding
from opencode_sync.blocking import BlockingOperations
from opencode_sync.calls import Calls, checked_timeout
from opencode_sync.config import IpcConfig, IpcConfigProvider, resolve_provider
from opencode_sync.connection import Connection
from opencode_sync.deadline import Deadline
from opencode_sync.deadlines import DeadlineSweep
from opencode_sync.errors import IpcArgumentError, IpcConfigError, IpcError
from opencode_sync.extras import needs_opentelemetry
from opencode_sync.futures import IpcFutures
from opencode_sync.keeper import Keeper
from opencode_sync.log_thread import finish_log, log_soon
from opencode_sync.logger import logger
from opencode_sync.metrics import Metrics, WatchesConnections, guarded
from opencode_sync.notifier import Notifier, log_no_thread
from opencode_sync.operations import check_directory
from opencode_sync.options import IpcClientOptions
from opencode_sync.own_threads import OwnThreads
from opencode_sync.prompting import StreamingOperations
from opencode_sync.reconnect import ReconnectPolicy
from opencode_sync.state import ConnectionState, StateListener, StateMachine
from opencode_sync.supervisor import Supervisor
from opencode_sync.transport.base import Transport, TransportFactory

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["IpcClient"]

_LAST_CALLBACKS: Final = 0.25
_LAST_LINES: Final = 1.0  # seconds a close waits for sinks of the log
"""Seconds a failed connect waits for state listeners to be told of it."""

_AFTER_INTERRUPT: Final = 1.0
"""Seconds to end an attempt whose caller was interrupted."""

_AT_EXIT: Final = 0.5
"""Seconds the interpreter's exit gives all clients that were left open, together."""


class IpcClient(BlockingOperations, StreamingOperations):
    """A blocking client of an OpenCode IPC backend, shared by as many threads as you like.

    Example::

        with IpcClient() as client:
            for session in client.list_sessions():
                print(session.title)

    Every operation takes ``timeout`` (seconds for the whole call; None means the option's default)
    and ``cancel`` (a ``CancelToken``), and returns or raises in that time. What each may raise:

    - ``IpcArgumentError``: an argument is wrong; nothing was sent.
    - ``IpcUsageError``: called from a callback of this client's, or in a forked child, or too many
      requests are in flight.
    - ``IpcConnectionError``: there is no connection, or it was lost; ``request_sent`` tells whether
      the backend may have acted.
    - ``IpcTimeoutError``, ``IpcCancelledError``: the time ran out; the token was cancelled.
    - ``IpcServerError``: the backend answered with an error; ``IpcUnsupportedOperationError`` where
      it does not know the operation.
    - ``IpcPromptError``: a prompt's run failed.
    - ``IpcProtocolError``: the answer was not one to this request.

    Any thread may call any method, ``close`` included; listeners and done-callbacks may call all
    but those that block.
    """

    def __init__(
        self,
        config: IpcConfig | IpcConfigProvider | None = None,
        *,
        options: IpcClientOptions | None = None,
        metrics: Metrics | None = None,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008 - it is immutable
        transport_factory: TransportFactory | None = None,
        directory: str | os.PathLike[str] | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        """Make a client. Does no I/O.

        Args:
            config: Where to connect: the values themselves, or a provider that is asked at each
                attempt. None looks in the environment (``OPENCODE_IPC_PORT``,
                ``OPENCODE_IPC_TOKEN``), then for a running gateway.
            options: Time-outs and limits.
            metrics: Told what the client does: ``InMemoryMetrics``, ``OpenTelemetryMetrics``, or
                a recorder of your own; see ``Metrics``.
            reconnect: How a lost connection is restored; None for not at all.
            transport_factory: Makes the link; None for a WebSocket.
            directory: The project folder of all operations that depend on one and are not given
                another; a relative path starts at the current folder. None: the backend's own.
            tracer_provider: Where OpenTelemetry spans go, one for each operation, such as
                ``opentelemetry.trace.get_tracer_provider()``; the request takes its trace along to
                the gateway. None: no spans.

        Raises:
            IpcConfigError: an argument is of the wrong type, or needs a package that is not
                installed.
            IpcArgumentError: ``directory`` is no path.
        """
        folder = check_directory(directory)
        self._provider = resolve_provider(config)
        _check_type("options", options, IpcClientOptions)
        _check_type("reconnect", reconnect, ReconnectPolicy)
        self._options = IpcClientOptions() if options is None else options
        self._metrics = None if metrics is None else guarded(metrics)
        self._transport_factory = transport_factory or _websocket
        self._own_threads = OwnThreads()
        self._notifier = Notifier(
            "opencode-sync-notifier",
            self._own_threads,
            partial(log_soon, log_no_thread),
        )
        self._keeper = Keeper("opencode-sync-keeper")
        self._sweep = DeadlineSweep(self._keeper)
        self._machine = StateMachine(self._notifier, self._metrics)
        _have_watched(self._metrics, self._machine)
        self._strays = StrayCounters()
        self._binding = ServerBinding()
        self._supervisor = Supervisor(
            make_connection=self._make_connection,
            machine=self._machine,
            keeper=self._keeper,
            sweep=self._sweep,
            policy=reconnect,
            connection_timeout=self._options.connection_timeout,
            authentication_timeout=self._options.authentication_timeout,
            max_waiting=self._options.max_pending_requests,
        )
        self._calls = self._make_calls(
            tracer_provider,
            options=self._options,
            directory=folder,
            metrics=self._metrics,
            notifier=self._notifier,
            own_threads=self._own_threads,
            sweep=self._sweep,
            supervisor=self._supervisor,
            binding=self._binding,
        )
        self._run = self._calls.run
        self._binder = ServerBinder(
            self._binding,
            submit=self._supervisor.submit,
            make_call=self._calls.make_own,
        )

    def _make_calls(self, tracer_provider: TracerProvider | None, **parts: Any) -> Calls:
        if tracer_provider is None:
            return Calls(**parts)
        with needs_opentelemetry("tracer_provider"):
            from opencode_sync.tracing import TracedCalls

        return TracedCalls(
            tracer_provider=tracer_provider, endpoint=lambda: self._supervisor.endpoint, **parts
        )

    # --- Lifecycle ---

    def connect(self) -> None:
        """Connect and authenticate, unless connected already.

        Threads that call at the same time share one attempt. Takes at most the options'
        ``connection_timeout`` and ``authentication_timeout`` together.

        Raises:
            IpcConfigError: there is no usable configuration.
            IpcConnectionError: the backend is not there, or is no WebSocket server.
            IpcAuthenticationError: it refused the token.
            IpcTimeoutError: it did not answer in time.
            IpcProtocolError: it answered something else.
            IpcUsageError: called from a callback of this client's, or in a forked child.
        """
        self._calls.check_caller("connect")
        self._load()
        self._calls.settle()
        _open_clients.add(self)
        try:
            self._supervisor.open()
        except BaseException as error:
            if not isinstance(error, IpcError) and not self.is_connected:
                self._close(Deadline.after(_AFTER_INTERRUPT))  # nobody waits for it any more
            # Nobody has to close a client that could not connect.
            self._notifier.stop(Deadline.after(_LAST_CALLBACKS))
            finish_log(_LAST_CALLBACKS)
            raise

    def close(self) -> None:
        """Disconnect, and fail what is in flight. Idempotent; any thread, also from a listener.

        Takes at most the option ``shutdown_timeout`` (and a listener that runs longer than that
        is left to end by itself). The client may be connected again afterwards.
        """
        self._close(Deadline.after(self._options.shutdown_timeout))

    def _close(self, deadline: Deadline) -> None:
        if self._calls.is_forked():
            self._supervisor.disown()
            return
        self._supervisor.close(deadline)
        if not self._notifier.stop(deadline) and not self._notifier.is_current_thread():
            logger.warning("a callback is still running while its client closes")
        finish_log(min(_LAST_LINES, deadline.remaining() or 0.0))
        _open_clients.discard(self)

    def _load(self) -> None:
        """Import what connecting needs, here, where no lock is held.

        A fork in the middle of an import leaves the child waiting for it for ever, so forks wait.
        """
        with _loading:
            if self._transport_factory is _websocket:
                importlib.import_module("opencode_sync.transport.websocket")
            importlib.import_module("tenacity")  # for ReconnectPolicy.delay

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def state(self) -> ConnectionState:
        """The connection's state now."""
        return self._machine.state

    @property
    def is_connected(self) -> bool:
        """Whether calls would go out at once."""
        return self._machine.state is ConnectionState.CONNECTED

    @property
    def retry_in(self) -> float | None:
        """Seconds until the client tries to connect; 0.0 while it does, None when it will not.

        It counts down while the backend is known to be down: then nothing is sent but this one
        attempt, and calls wait for it or fail at once, as ``ReconnectPolicy.wait_while_down`` says.
        """
        return self._supervisor.retry_in

    def wait_for_state(self, state: ConnectionState, timeout: float | None = None) -> bool:
        """Wait until the connection is in ``state``, or has meanwhile been.

        Args:
            state: What to wait for.
            timeout: Seconds; None waits for ever, 0 only looks.

        Returns:
            False when the time ran out first.

        Raises:
            IpcArgumentError: ``timeout`` is no such number.
            IpcUsageError: called from a callback of this client's.
        """
        self._calls.check_caller("wait_for_state")
        if timeout is not None and timeout != 0:
            timeout = checked_timeout(timeout)
        return self._machine.wait_for(state, Deadline.after(timeout))

    def on_state_change(self, listener: StateListener) -> Callable[[], None]:
        """Have ``listener(change)`` called with each ``StateChange`` from now on, in order.

        It runs on the client's notifier thread: it may take its time, and hand over to a GUI's
        thread, but not call this client's blocking operations.

        Returns:
            A function that ends it.

        Raises:
            IpcArgumentError: it cannot be called.
        """
        if not callable(listener):
            raise IpcArgumentError(
                f"listener is of type {type(listener).__name__}; give a function that takes a "
                "StateChange",
                field="listener",
            )
        return self._machine.subscribe(listener)

    @property
    def options(self) -> IpcClientOptions:
        """The options this client was made with."""
        return self._options

    @property
    def strays(self) -> StrayCounters:
        """How many messages belonged to no waiting call; a copy."""
        return copy.copy(self._strays)

    @property
    def futures(self) -> IpcFutures:
        """The same operations, each returning a ``concurrent.futures.Future`` at once."""
        return IpcFutures(self._calls.begin)

    def __repr__(self) -> str:
        return f"<IpcClient {self._machine.state.value}>"

    def _make_connection(self) -> Connection:
        return Connection(
            provider=self._provider,
            options=self._options,
            transport_factory=self._transport_factory,
            events=self._supervisor,
            keeper=self._keeper,
            metrics=self._metrics,
            strays=self._strays,
            own_threads=self._own_threads,
            rescue=self._binder.rescue,
            make_call=self._calls.make_own,
        )


# Held while connecting imports what it needs, and by whoever forks.
_loading = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_loading.acquire,
        after_in_parent=_loading.release,
        after_in_child=_loading.release,
    )

_open_clients: weakref.WeakSet[IpcClient] = weakref.WeakSet()


def _check_type(field: str, value: object, wanted: type) -> None:
    if value is not None and not isinstance(value, wanted):
        raise IpcConfigError(
            f"{field} is of type {type(value).__name__}; give an instance of {wanted.__name__}, or "
            "None",
            field=field,
        )


def _have_watched(metrics: object, machine: StateMachine) -> None:
    if isinstance(metrics, WatchesConnections):
        metrics.watch_connection(machine)


def _websocket(config: IpcConfig, options: IpcClientOptions) -> Transport:
    # Imported here so that importing the package does not import websocket-client.
    from opencode_sync.transport.websocket import WebSocketTransport

    return WebSocketTransport(config, options)


@atexit.register
def _close_all() -> None:
    """Say goodbye for clients that were left open, so that nothing runs on while Python ends."""
    deadline = Deadline.after(_AT_EXIT)
    for client in list(_open_clients):
        client._close(deadline)
