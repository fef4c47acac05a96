"""Reading a stream on a thread of its own, for a toolkit's thread that takes it in batches."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Generic, TypeVar

from opencode_sync.deadline import Deadline
from opencode_sync.desktop.dispatch.delivery import Delivery, Forget, Post
from opencode_sync.errors import IpcSlowConsumerError
from opencode_sync.logger import logger

__all__ = ["Following"]

T = TypeVar("T")

_numbers = itertools.count(1)


class Following(Delivery, Generic[T]):
    """A stream that is followed; see ``Dispatcher.follow``."""

    def __init__(
        self,
        open: Callable[[], AbstractContextManager[Iterable[T]]],
        items: Callable[[Sequence[T]], object],
        ended: Callable[[BaseException | None], object],
        missed: Callable[[int], object] | None,
        *,
        batch: int,
        post: Post,
        forget: Forget,
    ) -> None:
        """See ``Dispatcher.follow``."""
        super().__init__(forget)
        self._open = open
        self._callbacks: _Callbacks[T] | None = (items, ended, missed or _log_missed)
        self._batch = batch
        self._post = post
        # Guards the three below, and is waited on by the reading thread.
        self._changed = threading.Condition()
        self._items: list[T] = []
        self._posted = False  # a callback for them is on its way, or runs
        self._stream: object = None  # while it is open
        self._threads = [
            threading.Thread(
                target=self._run, name=f"opencode-sync-follow-{next(_numbers)}", daemon=True
            )
        ]

    def begin(self) -> None:
        """Start to read.

        Raises:
            RuntimeError: no thread can be started.
        """
        try:
            self._threads[0].start()
        except RuntimeError:
            self.cancel()
            self._forget(self)
            raise

    def join(self, deadline: Deadline) -> bool:
        """See ``Delivery``."""
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(deadline.remaining())
        return not any(thread.is_alive() for thread in self._threads)

    # --- The reading thread ---

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._open_and_read()
        except BaseException as raised:  # noqa: BLE001 - it is told
            error = raised
        if self._all_taken():
            self._post(partial(self._tell_end, error))
        elif error is not None:
            logger.debug("a stream that was called off ended with: {}", error)
        self._forget(self)  # not before: who closes the dispatcher waits for this thread

    def _open_and_read(self) -> None:
        if self.done:
            return
        with self._open() as stream:
            with self._changed:
                self._stream = stream
            try:
                self._read(iter(stream))
            finally:
                with self._changed:
                    self._stream = None

    def _read(self, stream: Iterator[T]) -> None:
        while not self.done:
            try:
                item = next(stream)
            except StopIteration:
                return
            except IpcSlowConsumerError as error:
                # The stream goes on. What is missing is told where it is missing: after all that
                # came before it, and before what follows.
                if self._all_taken():
                    self._post(partial(self._tell_missed, error.missed))
            else:
                self._put(item)

    def _put(self, item: T) -> None:
        """Hand over an item, as soon as there is room."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._batch or self.done)
            if self.done:
                return
            self._items.append(item)
            post, self._posted = not self._posted, True
        if post:
            self._post(self._hand_over)

    def _all_taken(self) -> bool:
        """Wait until every item was taken; False when nobody wants them any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._posted or self.done)
        return not self.done

    # --- The toolkit's thread ---

    def _hand_over(self) -> None:
        with self._changed:
            items, self._items = self._items, []
            self._changed.notify_all()
        try:
            if self._callbacks is not None and not self.done:
                self._callbacks[0](items)
        finally:
            with self._changed:
                again = self._posted = bool(self._items)
                self._changed.notify_all()
            if again:
                self._post(self._hand_over)

    def _tell_missed(self, number: int) -> None:
        if self._callbacks is not None and not self.done:
            self._callbacks[2](number)

    def _tell_end(self, error: BaseException | None) -> None:
        callbacks = self._callbacks
        if callbacks is not None and self._finish():
            self._callbacks = None
            callbacks[1](error)

    # --- Calling it off ---

    def _stop(self) -> None:
        # Not the base's: it is kept until its thread has ended.
        with self._changed:
            self._callbacks = None
            self._items = []
            self._changed.notify_all()
            stream = self._stream
        if stream is None:
            return  # it is not open yet, or not any more
        # Closing may wait for the backend, or for who reads.
        reader = self._threads[0]
        ender = threading.Thread(
            target=_end, args=(stream,), name=f"{reader.name}-end", daemon=True
        )
        try:
            ender.start()
        except RuntimeError as error:  # as when Python ends
            logger.debug("a stream ends only with its next item: {}", error)
            return
        self._threads.append(ender)


_Callbacks = tuple[
    Callable[[Sequence[T]], object],
    Callable[[BaseException | None], object],
    Callable[[int], object],
]


def _end(stream: object) -> None:
    """Have a stream's iteration end, whoever waits in it."""
    for name in ("cancel", "close"):
        end = getattr(stream, name, None)
        if callable(end):
            try:
                end()
            except Exception as error:  # noqa: BLE001 - whose thread it is, ends it at its next item
                logger.debug("a stream could not be ended from outside: {}", error)
            return


def _log_missed(number: int) -> None:
    logger.warning("{} events are missing: they came faster than they were taken", number)
