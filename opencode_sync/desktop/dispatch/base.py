"""What the adapters of all toolkits share: a line of callbacks, run on the toolkit's own thread."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self, TypeVar

from opencode_sync.client import IpcClient
from opencode_sync.deadline import Deadline
from opencode_sync.desktop.dispatch.delivery import Delivery, Outcome, StateWatch
from opencode_sync.desktop.dispatch.following import Following
from opencode_sync.errors import IpcArgumentError
from opencode_sync.forks import this_process
from opencode_sync.logger import logger
from opencode_sync.state import StateChange

__all__ = ["Delivery", "Dispatcher"]

T = TypeVar("T")

_TURN: Final = 0.01
"""Seconds of callbacks in one go, after which the toolkit gets its turn."""

_REST: Final = 0.001
"""Seconds between two turns: some toolkits draw only while they have nothing else to do."""

_FAREWELL: Final = 0.03
"""Seconds ``close`` waits for threads: more would be felt on a toolkit's thread."""


class Dispatcher(ABC):
    """Brings results, streams and state changes to the one thread a toolkit can be used from.

    Made on the toolkit's thread, and closed before its loop ends, or after::

        ui = TkDispatcher(root)
        ui.deliver(client.futures.list_sessions(), show, complain)

    Callbacks run on that thread, one after another, in the order they were posted, and never
    within the call that posts them. One that raises goes where the toolkit reports its own
    callbacks' exceptions, and those after it run all the same. However many there are, the toolkit
    gets its turn after some 10 ms of them.

    Any thread may call any method; none of them waits for the toolkit or the network. In a forked
    child it is closed, for the toolkit is its parent's, and whatever the child does with it
    disturbs nobody.
    """

    def __init__(self, batch: int = 256) -> None:
        """Begin to take callbacks; the toolkit's adapter calls it when it is ready to be woken.

        Args:
            batch: The largest number of a stream's items that one callback gets.

        Raises:
            IpcArgumentError: ``batch`` is no such number.
        """
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise IpcArgumentError(
                f"batch is {batch!r}; give the number of items one callback gets at most, 1 or "
                "more",
                field="batch",
            )
        self._batch = batch
        self._process = this_process()
        self._rested_from = 0.0  # when the newest turn ended; the toolkit's thread's own
        # Guards the four below, and what _wake takes. Reentrant, because a finaliser or a signal
        # handler that posts may run in the middle of it. No callback runs under it; waking the
        # toolkit is only a note. Not for a forked child, where nobody may be there to release it.
        self._lock = threading.RLock()
        self._callbacks: deque[Callable[[], object]] = deque()
        self._awake = False  # a turn is to come
        self._closed = False
        self._deliveries: set[Delivery] = set()
        _open.add(self)
        # Anew each time, so that it runs before what the toolkit does at exit, by now imported.
        atexit.unregister(_close_all)
        atexit.register(_close_all)

    # --- What a toolkit's adapter does ---

    @abstractmethod
    def _wake(self) -> bool:
        """Have the toolkit call ``_woken`` on its thread, soon. Any thread; must not block.

        Not called again before the turn that follows has begun, nor after ``close``.

        Returns:
            False when there is no toolkit any more, so that nothing will ever run.
        """

    @abstractmethod
    def _wake_after_rest(self) -> None:
        """Have the toolkit call ``_woken`` in a millisecond or more. On its thread."""

    @abstractmethod
    def _report(self, error: Exception) -> None:
        """Hand a callback's exception to who reports the toolkit's own. On its thread."""

    def _let_go(self) -> None:  # noqa: B027 - there may be nothing to do
        """Give back what waking took: once, under the lock, by whichever thread closes."""

    # --- For everybody ---

    def post(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` run on the toolkit's thread, after all that was posted before.

        After ``close`` it is dropped.
        """
        if self._is_inherited:
            return
        with self._lock:
            if self._closed:
                return
            self._callbacks.append(callback)
            if self._awake:
                return
            self._awake = True
            alive = self._wake()
        if not alive:
            self.close()

    def deliver(
        self,
        future: Future[T],
        done: Callable[[T], object],
        failed: Callable[[BaseException], object] | None = None,
    ) -> Delivery:
        """Have ``done(result)`` or ``failed(error)`` run when the future is done.

        Exactly one of them runs, unless the delivery is cancelled or the dispatcher closed before.
        Cancelling a delivery does not cancel its future: that is ``future.cancel()``, after which
        ``failed`` gets a ``CancelledError``.

        Args:
            future: Of this package's or any other.
            done: Gets its result.
            failed: Gets its exception; None has it logged, at level ERROR.
        """
        outcome = Outcome(future, done, failed, post=self.post, forget=self._forget)
        if self._keep(outcome):
            outcome.begin()
        return outcome

    def follow(
        self,
        open: Callable[[], AbstractContextManager[Iterable[T]]],
        items: Callable[[Sequence[T]], object],
        ended: Callable[[BaseException | None], object],
        *,
        missed: Callable[[int], object] | None = None,
    ) -> Delivery:
        """Have ``items(batch)`` run with what a stream brings, and in the end ``ended(error)``.

        A thread ``opencode-sync-follow-N`` opens the stream, which may take its time, reads it and
        closes it. What comes while the toolkit is busy is handed over together. When as much as
        one batch waits, reading waits too, so that no toolkit is flooded and memory is bounded; a
        stream of this package's then drops what does not fit into its own buffer, and says so.

        Example::

            ui.follow(lambda: client.stream_prompt(session.id, text), show_events, show_end)

        Args:
            open: Returns the stream in a ``with`` statement's form, as ``client.events`` and
                ``client.stream_prompt`` do. To end it, its ``cancel()`` or else ``close()`` is
                called on yet another thread; a stream without either, or one that does not end by
                it, ends with its next item.
            items: Gets one or more items, in order. It is not called again before it has returned.
            ended: Gets None when the stream came to its end, or what ``open`` or reading raised.
                It is not called after the ``cancel()`` of what this returns, nor after ``close``.
            missed: Gets the number of events that are missing after those before
                (``IpcSlowConsumerError``); the stream goes on. None has it logged, as a warning.
        """
        following = Following(
            open, items, ended, missed, batch=self._batch, post=self.post, forget=self._forget
        )
        if self._keep(following):
            following.begin()
        return following

    def watch_state(self, client: IpcClient, changed: Callable[[StateChange], object]) -> Delivery:
        """Have ``changed(change)`` run with each change of a client's state from now on."""
        watch = StateWatch(client, changed, post=self.post, forget=self._forget)
        if self._keep(watch):
            watch.begin()
        return watch

    @property
    def closed(self) -> bool:
        """Whether nothing is delivered any more."""
        return self._closed or self._is_inherited

    @property
    def _is_inherited(self) -> bool:
        """Whether this is a fork of the process that made it."""
        return self._process.left

    def close(self, timeout: float = _FAREWELL) -> bool:
        """Stop all deliveries and end the streams that are followed. Idempotent.

        On the toolkit's thread no callback begins any more once this has been called. Futures and
        clients are left alone.

        Args:
            timeout: Seconds to wait for the threads that follow streams. The default is for the
                toolkit's thread, and too short for a run whose abortion the backend has to confirm;
                such a thread ends by itself a little later.

        Returns:
            False when a thread has not ended yet.
        """
        if self._is_inherited:
            return True
        deadline = Deadline.after(timeout)
        failure: Exception | None = None
        deliveries: list[Delivery] = []
        try:
            with self._lock:
                first, self._closed = not self._closed, True
                self._callbacks.clear()
                deliveries = list(self._deliveries)
                if first:
                    _open.discard(self)
                    try:
                        self._let_go()
                    except Exception as error:  # noqa: BLE001 - logged, when the lock is free
                        failure = error
        finally:
            for delivery in deliveries:
                delivery.cancel()
        if failure is not None:
            logger.warning("closing a dispatcher left something of it behind: {}", failure)
        return all(delivery.join(deadline) for delivery in deliveries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- On the toolkit's thread ---

    def _woken(self) -> None:
        """Run what was posted, for as long as a turn may take, unless it is the toolkit's turn."""
        begun = time.monotonic()
        if begun < self._rested_from + _REST:
            self._wake_after_rest()
            return
        with self._lock:
            self._awake = False
        try:
            while (callback := self._next_callback()) is not None:
                try:
                    callback()
                except Exception as error:  # noqa: BLE001 - the toolkit's own report gets it
                    self._report(error)
                if time.monotonic() >= begun + _TURN:
                    return
        finally:
            self._rested_from = time.monotonic()

    def _next_callback(self) -> Callable[[], object] | None:
        """Take the next one, having seen to it that those after it get a turn.

        Before it runs, not after: it may run a loop of the toolkit's (a dialog), or raise. None
        also in a child that the callback before has forked: the rest is for the parent.
        """
        if self._is_inherited:
            return None
        with self._lock:
            if not self._callbacks:
                return None
            callback = self._callbacks.popleft()
            if self._callbacks and not self._awake:
                self._awake = True
                self._wake_after_rest()
        return callback

    # --- Deliveries ---

    def _keep(self, delivery: Delivery) -> bool:
        if not self._is_inherited:
            with self._lock:
                if not self._closed:
                    self._deliveries.add(delivery)
                    return True
        delivery.cancel()
        return False

    def _forget(self, delivery: Delivery) -> None:
        if self._is_inherited:
            return
        with self._lock:
            self._deliveries.discard(delivery)


_open: Final[weakref.WeakSet[Dispatcher]] = weakref.WeakSet()


def _close_all() -> None:
    """Close what was left open: a toolkit that is posted to while Python ends crashes."""
    deadline = Deadline.after(_FAREWELL)
    for dispatcher in list(_open):
        dispatcher.close(deadline.remaining() or 0.0)
