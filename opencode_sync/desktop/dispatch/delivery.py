"""What is on its way to a toolkit's thread, and can be called off: an outcome, state changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar

from opencode_sync.client import IpcClient
from opencode_sync.deadline import Deadline
from opencode_sync.forks import this_process
from opencode_sync.logger import logger
from opencode_sync.state import StateChange

__all__ = ["Delivery", "Outcome", "Post", "StateWatch"]

T = TypeVar("T")

Post = Callable[[Callable[[], object]], None]
"""Has a callback run on the toolkit's thread; ``Dispatcher.post``."""

Forget = Callable[["Delivery"], None]
"""Told of the end of a delivery."""


class Delivery:
    """Something that a dispatcher still brings to its toolkit's thread.

    Any thread may call any method.
    """

    def __init__(self, forget: Forget) -> None:
        """Note who keeps it until its end; for this package's own."""
        self._forget = forget
        self._process = this_process()
        self._over = threading.Lock()  # guards the end: taken once, by who may make it, for ever

    @property
    def done(self) -> bool:
        """Whether no callback of it will begin any more."""
        return self._over.locked()

    def cancel(self) -> None:
        """Call it off. Never blocks; more than once is fine.

        On the toolkit's thread no callback of it runs after this has returned; elsewhere one that
        has just begun still runs. A stream that is followed is closed, and its thread ends. In a
        forked child it only counts as ended: what it waits for is its parent's.
        """
        if self._finish() and not self._process.left:
            self._stop()

    def join(self, deadline: Deadline) -> bool:
        """Wait for its thread, if it has one; False when the deadline came first.

        For the dispatcher, which has cancelled it before.
        """
        return True

    def _finish(self) -> bool:
        """Take the right to end it; False when somebody else has it."""
        return self._over.acquire(blocking=False)

    def _stop(self) -> None:
        """Let go of what it waits for, and of the callbacks, which may hold half a program.

        Once, by who has the right to end it.
        """
        self._forget(self)


class Outcome(Delivery, Generic[T]):
    """The result or exception of a future."""

    def __init__(
        self,
        future: Future[T],
        done: Callable[[T], object],
        failed: Callable[[BaseException], object] | None,
        *,
        post: Post,
        forget: Forget,
    ) -> None:
        """See ``Dispatcher.deliver``."""
        super().__init__(forget)
        self._future: Future[T] | None = future
        self._callbacks: tuple[Callable[[T], object], Callable[[BaseException], object]] | None
        self._callbacks = (done, _log if failed is None else failed)
        self._post = post

    def begin(self) -> None:
        """Wait for the future, which may be done already."""
        future = self._future
        if future is not None:
            future.add_done_callback(self._arrived)

    def _arrived(self, future: Future[T]) -> None:
        # On whatever thread has ended the future.
        if not self.done:
            self._post(lambda: self._tell(future))

    def _tell(self, future: Future[T]) -> None:
        callbacks = self._callbacks
        if callbacks is None or not self._finish():
            return
        self._stop()
        done, failed = callbacks
        error = CancelledError() if future.cancelled() else future.exception(0)
        if error is None:
            done(future.result(0))
        else:
            failed(error)

    def _stop(self) -> None:
        super()._stop()
        self._future = self._callbacks = None


class StateWatch(Delivery):
    """The changes of a client's state."""

    def __init__(
        self,
        client: IpcClient,
        changed: Callable[[StateChange], object],
        *,
        post: Post,
        forget: Forget,
    ) -> None:
        """See ``Dispatcher.watch_state``."""
        super().__init__(forget)
        self._client = client
        self._changed: Callable[[StateChange], object] | None = changed
        self._post = post
        self._lock = threading.Lock()  # guards _unsubscribe, and that it is called
        self._unsubscribe: Callable[[], None] | None = None

    def begin(self) -> None:
        """Have the client tell."""
        unsubscribe = self._client.on_state_change(self._arrived)
        with self._lock:
            if not self.done:
                self._unsubscribe = unsubscribe
                return
        unsubscribe()

    def _arrived(self, change: StateChange) -> None:
        # On the client's notifier thread.
        self._post(lambda: self._tell(change))

    def _tell(self, change: StateChange) -> None:
        changed = self._changed
        if changed is not None and not self.done:
            changed(change)

    def _stop(self) -> None:
        super()._stop()
        with self._lock:
            unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()
        self._changed = None


def _log(error: BaseException) -> None:
    if isinstance(error, CancelledError):
        logger.debug("a future was cancelled, and nobody asked to be told")
    else:
        logger.error("{}, and nobody asked to be told: {}", type(error).__name__, error)
