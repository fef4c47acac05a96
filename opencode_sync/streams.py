"""Streams: what the backend pushes, as blocking iterators that never hold up the reader."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from types import TracebackType
from typing import Any, Final, Generic, NoReturn, Self, TypeVar

from opencode_sync.call import FutureCall
from opencode_sync.calls import checked_timeout
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import (
    IpcCancelledError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
)
from opencode_sync.prompts import STEP_SEPARATOR, PromptResult
from opencode_sync.push_buffer import PushBuffer
from opencode_sync.run_events import RunEvent, TextDelta, run_event
from opencode_sync.uninterrupted import uninterrupted
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_event_pb2 import IpcEvent

__all__ = ["EventStream", "PromptStream"]

R = TypeVar("R")

_SETTLED: Final = 5.0  # between another thread's claim and its result lie a few instructions


def _patience(timeout: float | None) -> Deadline:
    return Deadline.after(timeout if timeout in (None, 0) else checked_timeout(timeout))


class _Stream(Generic[R]):
    """What both kinds of stream share: a call, and the buffer of what is pushed for it."""

    _kind = "stream"

    def __init__(
        self,
        call: FutureCall[R],
        buffer: PushBuffer,
        *,
        check_caller: Callable[[str], None],
        may_block: Callable[[], bool],
        is_forked: Callable[[], bool],
        patience: float,
    ) -> None:
        """Make a stream; for this package's own.

        Args:
            call: The call whose pushes these are.
            buffer: Where they are.
            check_caller: Raises for a thread that must not wait.
            may_block: Tells the same.
            is_forked: Tells whether this is a fork of the process whose stream it is.
            patience: Seconds that ``close`` waits at most.
        """
        self._call = call
        self._buffer = buffer
        self._check_caller = check_caller
        self._may_block = may_block
        self._is_forked = is_forked
        self._patience = patience
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream. Any thread; more than once is fine. In a fork it does nothing."""
        if not self._is_forked():  # or it would end its parent's
            uninterrupted(self._end, _SETTLED)

    def _end(self) -> None:
        self._closed = True
        self._call.cancel_by_token()
        self._buffer.discard()

    def _error(self) -> BaseException | None:
        """Return the error of a call that has ended, or is about to."""
        try:
            return self._call.exception(_SETTLED)
        except TimeoutError as error:
            # Whoever has claimed it did not come to end it.
            raise IpcTimeoutError(
                f"the {self._kind} has no outcome: it was interrupted as it ended",
                request_id=self._call.request_id,
                timeout=self._call.timeout or 0.0,
                operation=self._call.operation,
                request_sent=self._call.sent,
            ) from error

    def _next_item(self, deadline: Deadline) -> IpcEvent | None:
        """Wait for the next event; None when there is no more, or none in time.

        Raises:
            IpcSlowConsumerError: events are missing here.
        """
        self._check_caller(f"reading a {self._kind}")
        allowed = self._call.deadline
        item = self._buffer.take(deadline.earlier(allowed))
        if item is None and allowed.passed():
            self._call.expire()  # as a rule somebody did it before
            item = self._buffer.take(NOW)
        if isinstance(item, int):
            raise IpcSlowConsumerError(
                f"{item} events are missing at this place, because the stream was not read fast "
                "enough; read on for what follows, or raise the option stream_buffer_size",
                missed=item,
            )
        return item

    def _fail(self, error: BaseException) -> NoReturn:
        # An instance for each time: one that is raised again and again grows at each.
        raise copy.copy(error) from error.__cause__


class EventStream(_Stream[str]):
    """OpenCode's events as they happen; made by ``client.events``.

    A context manager and a blocking iterator of ``IpcEvent``::

        with client.events(types=["session.*"]) as events:
            for event in events:
                print(event.type, event.session_id)

    It goes on until it is closed. It holds a bounded number of events that nobody has read yet
    (option ``stream_buffer_size``). When more come, the next are dropped, and
    ``IpcSlowConsumerError`` tells how many, exactly where they are missing; the stream can be read
    on after it. Several threads may read one stream: each event goes to one of them.

    Iterating ends after ``close()``, and raises when the stream ended otherwise:
    ``IpcConnectionError`` when the connection was lost (it is not resumed: what happened meanwhile
    would be missing unseen), ``IpcServerError`` when the backend ended it, ``IpcCancelledError``
    when its token was cancelled.
    """

    _kind = "stream of events"

    def __iter__(self) -> Iterator[IpcEvent]:
        return self

    def __next__(self) -> IpcEvent:
        event = self._next_item(Deadline(None))
        if event is None:
            if self._closed:
                raise StopIteration
            self._raise_end()
        return event

    def next_event(self, timeout: float | None = None) -> IpcEvent:
        """Wait for the next event.

        Args:
            timeout: Seconds; None waits as long as it takes, 0 only looks.

        Raises:
            IpcTimeoutError: none came in time. The stream goes on.
            IpcCancelledError: the stream was closed.
            IpcError: whatever else ended it; see the class.
        """
        event = self._next_item(_patience(timeout))
        if event is None:
            if self._closed:
                raise IpcCancelledError(
                    "the stream of events was closed", operation=self._call.operation
                )
            if self._buffer.drained:
                self._raise_end()
            raise IpcTimeoutError(
                f"no event came within {timeout:g} s; the stream goes on",
                request_id=self._call.request_id,
                timeout=timeout or 0.0,
                operation=self._call.operation,
                request_sent=True,
            )
        return event

    @property
    def closed(self) -> bool:
        """Whether the stream has ended, for whatever reason; events may still be there to read."""
        return self._closed or self._call.done()

    def __repr__(self) -> str:
        return f"<EventStream {'closed' if self.closed else 'open'}>"

    def _raise_end(self) -> NoReturn:
        error = self._error()
        if error is not None:
            self._fail(error)
        reason = self._call.result(_SETTLED) or "it gave no reason"
        raise IpcServerError(
            f"the backend ended the stream of events: {reason}",
            request_id=self._call.request_id,
            code=ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
            operation=self._call.operation,
        )


class PromptStream(_Stream[PromptResult]):
    """A run of the agent while it goes on; made by ``client.stream_prompt``.

    A context manager and a blocking iterator of ``RunEvent``; leaving the block before the run has
    ended aborts it::

        with client.stream_prompt(session.id, "What is in this folder?") as stream:
            for text in stream.text_stream:
                print(text, end="", flush=True)
            print(stream.result().cost)

    Iterating ends when the run has succeeded and raises when it has not, after all events that came
    before: ``IpcPromptError``, ``IpcTimeoutError``, ``IpcConnectionError``, or
    ``IpcCancelledError`` when it was cancelled or closed. Its time-out is for the whole run, and is
    kept whether or not anybody iterates. Of events that nobody reads only a bounded number is kept
    (option ``stream_buffer_size``); ``IpcSlowConsumerError`` tells where some are missing, and
    reading goes on after it. The result is complete in any case.
    """

    _kind = "stream of a prompt"

    def __init__(
        self, session_id: str, call: FutureCall[PromptResult], *args: Any, **keywords: Any
    ):
        """Make a stream; for this package's own."""
        super().__init__(call, *args, **keywords)
        self._session_id = session_id

    @property
    def session_id(self) -> str:
        """The session in which the prompt runs."""
        return self._session_id

    @property
    def done(self) -> bool:
        """Whether the run has ended; events may still be there to read."""
        return self._call.done()

    def __iter__(self) -> Iterator[RunEvent]:
        return self

    def __next__(self) -> RunEvent:
        event = self._next_item(Deadline(None))
        if event is None:
            error = self._error()
            if error is not None:
                self._fail(error)
            raise StopIteration
        return run_event(event)

    @property
    def text_stream(self) -> Iterator[str]:
        """The answer's text, piece by piece, with a blank line between two messages.

        It is the text of the prompt's own session, without reasoning and without what other agents
        say below it; what was begun in vain before a retry is part of it, and no part of the
        result. Reading it passes over all other events; it may be read by turns with the stream
        itself.
        """
        return _TextIterator(self, self._session_id)

    def result(self, timeout: float | None = None) -> PromptResult:
        """Wait for the run to end and return its result. Any thread; as often as you like.

        Events that nobody has read stay there to be read.

        Args:
            timeout: Seconds to wait; None waits as long as the run may take.

        Raises:
            IpcTimeoutError: the run, or this wait, took too long. The run goes on in the second
                case.
            IpcPromptError: the run failed.
            IpcCancelledError: it was cancelled, or closed before its end.
            IpcConnectionError: the connection was lost.
            IpcUsageError: called from a callback of this client's before the run has ended.
        """
        if not self._call.done():
            self._check_caller("result")
            allowed = self._call.deadline
            wait([self._call], _patience(timeout).earlier(allowed).remaining())
            if allowed.passed():
                self._call.expire()  # as a rule somebody did it before
            elif not self._call.done():
                raise IpcTimeoutError(
                    f"the prompt has not ended within {timeout:g} s; it goes on",
                    request_id=self._call.request_id,
                    timeout=timeout or 0.0,
                    operation=self._call.operation,
                    request_sent=self._call.sent,
                )
        error = self._error()
        if error is not None:
            self._fail(error)
        return self._call.result(_SETTLED)

    def cancel(self) -> None:
        """Abort the run, without waiting for that. Any thread; more than once is fine."""
        if not self._is_forked():
            uninterrupted(self._call.cancel_by_token, _SETTLED)

    def close(self) -> None:
        """Abort the run unless it has ended, and drop what was not read.

        Waits until the backend has aborted it, at most the option ``shutdown_timeout``; in a
        callback of this client's it does not wait. Any thread; more than once is fine.
        """
        super().close()
        aborting = self._call.cancelling
        if aborting is not None and self._may_block() and not self._is_forked():
            wait([aborting], self._patience)

    def __repr__(self) -> str:
        return f"<PromptStream {self._session_id} {'done' if self.done else 'running'}>"


class _TextIterator:
    """The text of a stream. Not a generator: that would end for good with the first error."""

    def __init__(self, stream: PromptStream, session_id: str) -> None:
        self._stream = stream
        self._session_id = session_id
        self._message_id = ""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            event = next(self._stream)
            if isinstance(event, TextDelta) and event.session_id == self._session_id and event.text:
                break
        begun, self._message_id = self._message_id, event.message_id
        return STEP_SEPARATOR + event.text if begun not in ("", event.message_id) else event.text
