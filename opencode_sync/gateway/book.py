"""Which requests of a client are in flight, and which of them may run."""

from __future__ import annotations

import threading

from opencode_sync.gateway.dispatch import error_answer
from opencode_sync.gateway.jobs import Job, Lane
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.wire import ipc_pb2

__all__ = ["STOPPING", "JobBook"]

STOPPING = "gateway is stopping"


class JobBook:
    """The jobs of one client. For every method the caller holds ``changed``.

    Args:
        limits: The gateway's.
    """

    def __init__(self, limits: GatewayLimits) -> None:
        self._limits = limits
        # Guards the book and the state of its jobs; waited on for room and for rest.
        self.changed = threading.Condition()
        self.jobs: dict[Job, None] = {}
        """All that have no end yet, but for subscriptions that have begun."""
        self.subscriptions: dict[Job, None] = {}
        """Those that have begun, or try to."""
        self.stopping = False
        self.ended = False
        """Whether nobody is left to read an answer."""
        # Those without an answer: an id is free again just before its answer is sent.
        self._by_id: dict[int, Job] = {}
        self._quick = Lane(limits.max_in_flight)
        self._runs = Lane(limits.max_runs)
        self._line_length = 0
        self._line_size = 0
        self._controls = 0

    def lane(self, job: Job) -> Lane:
        """Return the lane in which a job goes."""
        return self._runs if job.run else self._quick

    def judge(self, job: Job) -> None:
        """Settle a job whose id is not its own."""
        if job.request_id in self._by_id:
            job.refuse(
                0,
                f"request_id {job.request_id} belongs to a request still in flight; count up "
                f"from 2",
            )

    def may_pass(self, request_id: int) -> bool:
        """Return whether a request may be answered without a place in the book."""
        return not (self.ended or self.stopping or request_id in self._by_id)

    def has_room(self, job: Job) -> bool:
        """Return whether the job can be taken now."""
        if self.ended:
            return True
        if job.control:  # may be what makes room, so it has a room of its own
            return self._controls < self._limits.max_queued
        return not self.lane(job).full or (
            self._line_length < self._limits.max_queued
            and self._line_size + job.size <= self._limits.max_message_size
        )

    def enter(self, job: Job) -> bool:
        """Take a job that was judged; returns whether it may run now, else it waits in line."""
        if self.stopping and not job.control and job.refusal is None:
            job.refusal = error_answer(
                job.request_id, ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, STOPPING
            )
        if job.request_id:
            self._by_id[job.request_id] = job
        self.jobs[job] = None
        if job.control:
            self._controls += 1
            return True
        lane = self.lane(job)
        if lane.full:
            lane.line.append(job)
            self._line_length += 1
            self._line_size += job.size
            return False
        lane.running += 1
        return True

    def find(self, request_id: int) -> Job | None:
        """Return the request of this id that is in flight."""
        return self._by_id.get(request_id)

    def claim(self, job: Job) -> bool:
        """Return whether the answer is still to be sent, which the caller has to do then.

        Frees the id before the answer is out: who has the answer may use the id again.
        """
        if job.answered:
            return False
        job.answered = True
        if self._by_id.get(job.request_id) is job:
            del self._by_id[job.request_id]
        return True

    def next(self, lane: Lane) -> Job | None:
        """Return which job of the line runs next, now that one of the lane has ended."""
        if not lane.line:
            lane.running -= 1
            return None
        job = lane.line.popleft()
        self._left_line(job)
        return job

    def leave_line(self, job: Job) -> bool:
        """Take a job out of its line; returns whether it stood there."""
        try:
            self.lane(job).line.remove(job)
        except ValueError:
            return False
        self._left_line(job)
        return True

    def clear_lines(self) -> None:
        """Forget all jobs in line, whatever becomes of their answers."""
        for lane in (self._quick, self._runs):
            while lane.line:
                job = lane.line.popleft()
                self._left_line(job)
                self.forget(job)

    def _left_line(self, job: Job) -> None:
        self._line_length -= 1
        self._line_size -= job.size
        self.changed.notify_all()

    def forget(self, job: Job) -> None:
        """Strike a job off: it has its answer, or nobody wants that."""
        self.claim(job)
        if job in self.jobs:
            del self.jobs[job]
            self._controls -= job.control
        self.subscriptions.pop(job, None)
        job.ended = True
        self.changed.notify_all()
