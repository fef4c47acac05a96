"""What the window's parts share: the client, and the way of its results to the Qt thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import shiboken6
from PySide6.QtCore import QObject, QTimer, Signal

from opencode_sync import (
    ConnectionState,
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcConfigProvider,
    IpcConnectionError,
    IpcError,
    IpcServerError,
    StateChange,
)
from opencode_sync.config import resolve_provider
from opencode_sync.desktop.activity.feed import ActivityFeed
from opencode_sync.desktop.dispatch.base import Delivery
from opencode_sync.desktop.dispatch.qt import QtDispatcher
from opencode_sync.desktop.lifecycle import Lifecycle
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.target import Target
from opencode_sync.futures import IpcFutures
from opencode_sync.logger import logger
from opencode_sync.types import OcAgentInfo, OcMessage, OcSessionInfo
from opencode_sync.wire.ext_operations_pb2 import IpcBackendInfo, IpcModelList

__all__ = ["Done", "Failed", "Service"]

T = TypeVar("T")

Done = Callable[[T], None]
"""Gets a result, on the Qt thread."""

Failed = Callable[[BaseException], None]
"""Gets what went wrong, on the Qt thread."""

_PROBE_SECONDS: Final = 10.0
_ENDED: Final = (ConnectionState.FAILED, ConnectionState.DISCONNECTED)


class Service(QObject):
    """Owns the client, the dispatcher and, if this window has started one, a gateway.

    Made, called and closed on the Qt thread, and never blocks it: connecting, closing and gateways
    are the business of threads of its own. Operations take ``done`` and ``failed``, of which
    exactly one is called on the Qt thread, unless the ``Delivery`` was cancelled or the service
    closed before; without ``failed`` the error goes to the log.
    """

    state_changed = Signal(object)
    """Each ``StateChange``."""

    connected = Signal()
    """The backend is there, for the first time or again."""

    connect_failed = Signal(object)
    """The exception that ended an attempt which somebody has asked for."""

    lost = Signal(object)
    """The exception that ended a connection."""

    latency_changed = Signal(float)
    """Seconds that an answer took."""

    backend_identified = Signal(str)
    """What serves the connection, for people; "" when it does not say."""

    def __init__(
        self,
        config: IpcConfig | IpcConfigProvider | None = None,
        *,
        options: IpcClientOptions | None = None,
        directory: Path | None = None,
        probe_seconds: float = _PROBE_SECONDS,
        parent: QObject | None = None,
    ) -> None:
        """Make a service that is not connected. Does no I/O.

        Args:
            config: Where to connect; None for the environment, then a running gateway.
            options: The client's time-outs and limits; None for those of the environment.
            directory: The project that calls are about; None leaves it to the backend.
            probe_seconds: Between two measurements of the latency.
            parent: The Qt object that this belongs to.

        Raises:
            IpcConfigError: a setting is wrong.
        """
        super().__init__(parent)
        self._target = Target(resolve_provider(config))
        self.client: Final = IpcClient(
            self._target,
            options=IpcClientOptions.from_environment() if options is None else options,
            directory=directory,
        )
        self.dispatcher: Final = QtDispatcher(self)
        self._lifecycle = Lifecycle(self.client, self._target, directory)
        # Apart from those that wait for the network, so that what computes does not wait for them.
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="opencode-sync-desktop-compute")
        self._wishes = 0
        self._end: Future[None] | None = None
        self.activity: Final = ActivityFeed(self)
        """What goes on in the backend's sessions."""
        self._probe = QTimer(self)
        self._probe.setInterval(max(1, round(probe_seconds * 1000)))
        self._probe.timeout.connect(self._measure)
        self.dispatcher.watch_state(self.client, self._on_state_change)

    # --- The connection ---

    @property
    def endpoint(self) -> str:
        """Where the client connects to: ``"ws://127.0.0.1:4096/"``; "" before it is known."""
        return self._target.endpoint

    @property
    def state(self) -> ConnectionState:
        """The connection's state now."""
        return self.client.state

    def start(self) -> None:
        """Connect in the background; ``connected`` or ``connect_failed`` tells how it ended.

        Does nothing while connected. A client that waits for its next attempt makes it now.
        """
        self._wish(self._lifecycle.connect())

    def use_address(self, config: IpcConfig) -> None:
        """Leave the backend in use, if any, and connect to another one, in the background."""
        self._wish(self._lifecycle.move_to(config))

    def look_again(self) -> None:
        """Look anew for what was looked for at the start, and connect to it, in the background."""
        self._wish(self._lifecycle.look_again())

    def start_gateway(self, kind: GatewayKind) -> None:
        """Start a gateway that ends with this service and connect to it, in the background."""
        self._wish(self._lifecycle.start_gateway(kind))

    def _wish(self, attempt: Future[None]) -> None:
        self._wishes += 1
        wish = self._wishes

        def failed(error: BaseException) -> None:
            # Of several wishes only the newest still matters to anybody.
            if wish == self._wishes:
                self.connect_failed.emit(error)

        self.dispatcher.deliver(attempt, _ignore, failed)

    def close(self) -> None:
        """End everything, in the background. Idempotent; nothing is delivered any more."""
        if self._end is not None:
            return
        if shiboken6.isValid(self._probe):  # not so once Qt has destroyed this
            self._probe.stop()
        self.dispatcher.close()
        self._end = self._lifecycle.close()
        self._computing.shutdown(wait=False, cancel_futures=True)

    def wait_closed(self, timeout: float) -> bool:
        """Wait for the end that ``close`` has begun. Blocks: for after the event loop.

        Args:
            timeout: Seconds.

        Returns:
            False when the time ran out first.
        """
        if self._end is None:
            return False
        try:
            self._end.result(timeout)
        except TimeoutError:
            return False
        return True

    def _on_state_change(self, change: StateChange) -> None:
        self.state_changed.emit(change)
        if change.new is ConnectionState.CONNECTED:
            self._probe.start()
            self._measure()
            self.activity.begin()
            self.connected.emit()
        elif change.new in _ENDED:
            self._probe.stop()
            self.activity.end()
            if change.old is ConnectionState.CONNECTED:
                cause = change.cause or IpcConnectionError("the backend closed the connection")
                self.lost.emit(cause)

    def _measure(self) -> None:
        begun = time.monotonic()
        # The notifier's thread writes it, before the result is posted to ours.
        taken: list[float] = []

        def answered(info: IpcBackendInfo | None) -> None:
            self.latency_changed.emit(taken[0])
            self.backend_identified.emit("" if info is None else info.description)
            if info is not None and (info.server_version or info.backend == "embedded"):
                self.activity.resume()  # who has the sessions is there

        def failed(error: BaseException) -> None:
            # A refusal is an answer, too: from a backend that does not know the question.
            if isinstance(error, IpcServerError):
                answered(None)
            else:
                logger.debug("the latency could not be measured: {}", error)

        future = self.client.futures.get_backend_info()
        future.add_done_callback(lambda _: taken.append(time.monotonic() - begun))
        self.dispatcher.deliver(future, answered, failed)

    # --- Operations ---

    def call(
        self,
        begin: Callable[[IpcFutures], Future[T]],
        done: Done[T],
        failed: Failed | None = None,
    ) -> Delivery:
        """Make any call of ``client.futures``: ``service.call(lambda f: f.list_models(), ...)``.

        Also an argument that is refused before anything is sent goes to ``failed``.
        """
        try:
            future = begin(self.client.futures)
        except IpcError as error:
            future = Future()
            future.set_exception(error)

        def answered(result: T) -> None:
            self.activity.resume()
            done(result)

        return self.dispatcher.deliver(future, answered, failed)

    def compute(
        self, work: Callable[[], T], done: Done[T], failed: Failed | None = None
    ) -> Delivery:
        """Have ``work()`` run by a thread for what takes more than a moment, one after another."""
        try:
            future = self._computing.submit(work)
        except RuntimeError:  # it is closed
            future = Future()
            future.cancel()
        return self.dispatcher.deliver(future, done, failed)

    def list_sessions(
        self, done: Done[Sequence[OcSessionInfo]], failed: Failed | None = None
    ) -> Delivery:
        """See ``IpcClient.list_sessions``."""
        return self.call(lambda futures: futures.list_sessions(), done, failed)

    def create_session(
        self, title: str | None, done: Done[OcSessionInfo], failed: Failed | None = None
    ) -> Delivery:
        """See ``IpcClient.create_session``."""
        return self.call(lambda futures: futures.create_session(title), done, failed)

    def get_session(
        self, session_id: str, done: Done[OcSessionInfo], failed: Failed | None = None
    ) -> Delivery:
        """See ``IpcClient.get_session``."""
        return self.call(lambda futures: futures.get_session(session_id), done, failed)

    def update_session(
        self,
        session_id: str,
        title: str,
        done: Done[OcSessionInfo],
        failed: Failed | None = None,
    ) -> Delivery:
        """Rename a session; see ``IpcClient.update_session``."""
        return self.call(
            lambda futures: futures.update_session(session_id, title=title), done, failed
        )

    def delete_session(
        self, session_id: str, done: Done[bool], failed: Failed | None = None
    ) -> Delivery:
        """See ``IpcClient.delete_session``."""
        return self.call(lambda futures: futures.delete_session(session_id), done, failed)

    def list_messages(
        self,
        session_id: str,
        done: Done[Sequence[OcMessage]],
        failed: Failed | None = None,
        *,
        limit: int | None = None,
    ) -> Delivery:
        """See ``IpcClient.list_messages``."""
        return self.call(
            lambda futures: futures.list_messages(session_id, limit=limit), done, failed
        )

    def list_models(self, done: Done[IpcModelList], failed: Failed | None = None) -> Delivery:
        """See ``IpcClient.list_models``."""
        return self.call(lambda futures: futures.list_models(), done, failed)

    def list_agents(
        self, done: Done[Sequence[OcAgentInfo]], failed: Failed | None = None
    ) -> Delivery:
        """See ``IpcClient.list_agents``."""
        return self.call(lambda futures: futures.list_agents(), done, failed)

    def abort_session(
        self, session_id: str, done: Done[bool], failed: Failed | None = None
    ) -> Delivery:
        """See ``IpcClient.abort_session``."""
        return self.call(lambda futures: futures.abort_session(session_id), done, failed)


def _ignore(_: None) -> None:
    pass
