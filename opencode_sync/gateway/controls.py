"""The requests about other requests: ``cancel`` and ``unsubscribe``.

The reader judges them at once, whatever else waits in line, and lets a run know that nobody wants
it. The rest needs time, and is done by one worker for all that the client has sent: the other
request is answered first and these after it.
"""

from __future__ import annotations

from collections.abc import Callable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.book import JobBook
from opencode_sync.gateway.jobs import Job
from opencode_sync.wire import ipc_pb2

__all__ = ["CANCELLED", "Controls"]

CANCELLED = "cancelled by the client"
_UNSUBSCRIBED = "ended by the client"
_PATIENCE_SECONDS = 5.0
"""How long a run may take to its end, before the client is told that it will come."""


class Controls:
    """The controls of one client that have no answer yet.

    Args:
        book: Holds all of its jobs; its lock guards the state here.
        end: Ends a request before its time, given the reason; whoever calls it has claimed the
            request, which the backend may still be at.
        settle: Sends a control's answer, unless it has one.
    """

    def __init__(
        self,
        book: JobBook,
        *,
        end: Callable[[Job, str], None],
        settle: Callable[[Job, bytes], None],
    ) -> None:
        self._book = book
        self._end = end
        self._settle = settle
        # Guarded by the book's lock.
        self._waiting: list[Job] = []
        self._served = False

    def take(self, job: Job) -> bool:
        """Judge a control; returns whether ``serve`` is to be called. The caller locks the book."""
        if job.operation == "cancel":
            target = self._book.find(job.request.cancel.request_id)
        else:
            target = self._book.find(job.request.unsubscribe.request_id)
            if target is not None and not target.subscribes:
                target = None
        if target is not None and not target.control:
            target.cancelled = True
            job.target = target
            job.patience = Deadline.after(_PATIENCE_SECONDS)
        self._waiting.append(job)
        self._book.changed.notify_all()
        served, self._served = self._served, True
        return not served

    def serve(self) -> None:
        """Answer all there are and those that come meanwhile. One thread at a time, a worker."""
        while (job := self._next()) is not None:
            target = job.target
            if target is not None and self._claim(target):
                self._end(target, CANCELLED if job.operation == "cancel" else _UNSUBSCRIBED)
            self._settle(job, _answer(job))
            with self._book.changed:
                self._book.forget(job)

    def _next(self) -> Job | None:
        """Wait for one that can be answered; None when there are none."""
        with self._book.changed:
            while self._waiting and not self._book.ended:
                for job in self._waiting:
                    if self._ready(job):
                        self._waiting.remove(job)
                        return job
                soonest = Deadline(None)
                for job in self._waiting:
                    soonest = soonest.earlier(job.patience)
                self._book.changed.wait(soonest.remaining())
            for job in self._waiting:
                self._book.forget(job)
            self._waiting.clear()
            self._served = False
            return None

    def _ready(self, job: Job) -> bool:
        """Return whether a control need not wait any more. The caller locks the book."""
        target = job.target
        return (
            target is None
            or target.ended
            or job.answered
            or job.patience.passed()
            or self._can_end(target)
        )

    def _can_end(self, target: Job) -> bool:
        """Return whether the answer is ours to give: not that of a run, which is on its way."""
        return not target.answered and not (target.run and target.begun)

    def _claim(self, target: Job) -> bool:
        with self._book.changed:
            if not self._can_end(target):
                return False
            self._book.claim(target)
            if self._book.leave_line(target):
                self._book.forget(target)
            return True


def _answer(job: Job) -> bytes:
    answer = ipc_pb2.IpcServerMessage(request_id=job.request_id)
    if job.operation == "cancel":
        answer.cancel_response.found = job.target is not None
    else:
        answer.unsubscribe_response.found = job.target is not None
    # Present, also when all they hold is False.
    getattr(answer, f"{job.operation}_response").SetInParent()
    return answer.SerializeToString()
