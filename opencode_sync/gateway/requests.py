"""All requests of one client: in their lanes, with the workers, and to their end.

Each request is run by a worker, which also sends the answer, so one that takes minutes holds up no
other and answers come in any order. So many run at a time and so many more wait in line; beyond
that nothing is read from the client until some are done, which is how a client that sends faster
than it is served gets to know it. Requests that wait for a model have a lane of their own, with
more room, so that the quick ones never wait for them. Nor is a request begun while the client
leaves much unread, or while other large answers are made for it: who asks and does not read costs
little.

A subscription holds a worker only until it has begun. From then on the backend's own thread brings
its events, until somebody ends it.

What the backend can answer without waiting is answered by the reader, without a job and a worker:
to wake one takes ten times as long as the answer.

Of request ids: 0 is refused, as an answer to it would look like an error that belongs to no
request. An id still in flight is refused, with an error of id 0, for the earlier request owns the
answer. An id used before and answered (1, the handshake's, among them) is served: nobody can
mistake the answer.
"""

from __future__ import annotations

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.book import STOPPING, JobBook
from opencode_sync.gateway.controls import CANCELLED, Controls
from opencode_sync.gateway.dispatch import Dispatcher, decode_request, error_answer
from opencode_sync.gateway.jobs import Job
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.link import Link
from opencode_sync.gateway.pushes import Pushes
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.logger import logger
from opencode_sync.transport.base import TransportClosed
from opencode_sync.wire import ipc_pb2

__all__ = ["Requests"]

_GONE = "the client has gone"
_BROKEN_OFF = "the request failed inside the gateway; its log has the details"
_MIDWAY = "; the request was begun, so it may have been done"
_SIGN_OF_LIFE_SECONDS = 10.0
_LARGE_ANSWER = 1 << 16
_ANSWERS_SIZE = 8 << 20
"""Bytes of large answers made for one client at a time, unless it is a single one."""


class Requests:
    """Takes requests in and sees that each is answered once. Any thread may call any method.

    Args:
        link: Where the answers go.
        dispatcher: Makes the answers.
        workers: Run the requests.
        limits: The gateway's.
    """

    def __init__(
        self, link: Link, *, dispatcher: Dispatcher, workers: WorkerPool, limits: GatewayLimits
    ) -> None:
        self._link = link
        self._dispatcher = dispatcher
        self._workers = workers
        self._limits = limits
        self._book = JobBook(limits)
        # The book's own: it guards the answers' size, too.
        self._changed = self._book.changed
        self._answers_size = 0
        self._controls = Controls(self._book, end=self._end, settle=self._settle)

    # The reader

    def take(self, message: bytes) -> bool:
        """Have a message served now or later, waiting for room; returns False if nobody can.

        Raises:
            TransportClosed: the client went away meanwhile.
        """
        request = decode_request(message)
        if request is not None and self._answer_at_once(request):
            return True
        self._link.push()  # from here on this thread may have to wait
        job = Job(request, len(message))
        with self._changed:
            self._book.judge(job)
            while not self._changed.wait_for(
                lambda: self._book.has_room(job), _SIGN_OF_LIFE_SECONDS
            ):
                # Nothing is read meanwhile, pings included: show the client that we live.
                if not self._link.nudge():
                    raise TransportClosed("the peer went away while its requests were in line")
            needs_worker = self._book.enter(job)
            if job.control:
                needs_worker = self._controls.take(job)
        if job.target is not None:
            job.target.cancel(CANCELLED)
        if not needs_worker:
            return True
        if self._workers.submit(self._controls.serve if job.control else lambda: self._work(job)):
            return True
        with self._changed:
            self._book.forget(job)
        return False

    def _answer_at_once(self, request: ipc_pb2.IpcClientMessage) -> bool:
        with self._changed:
            if not self._book.may_pass(request.request_id):
                return False
        answer = self._dispatcher.answer_at_once(request)
        # When there is no room for it, the worker that does it again can wait for some.
        return answer is not None and self._link.reply(answer)

    # The end

    def stop(self, grace: Deadline) -> None:
        """End what has no end of its own, wait for the rest, and fail what is late."""
        with self._changed:
            self._book.stopping = True
            self._changed.notify_all()
            subscriptions = [job for job in self._book.subscriptions if job.subscription]
        for job in subscriptions:
            self._end_subscription(job, STOPPING)
        with self._changed:
            self._changed.wait_for(
                lambda: not self._book.jobs or self._book.ended, grace.remaining()
            )
            late = [job for job in self._book.jobs if self._book.claim(job)]
            self._book.clear_lines()
        for job in late:
            job.cancel(STOPPING)
        for job in late:
            self._fail(job, ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, STOPPING)

    def wait_ended(self, deadline: Deadline) -> None:
        """Wait until it is known that the client is gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._book.ended, deadline.remaining())

    def end(self) -> None:
        """Begin nothing any more: nobody is left to read an answer."""
        with self._changed:
            self._book.ended = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Begin nothing any more, and cancel what runs."""
        self.end()
        with self._changed:
            self._book.clear_lines()
            jobs, subscriptions = list(self._book.jobs), list(self._book.subscriptions)
        for job in jobs:
            job.cancel(_GONE)
        for job in subscriptions:
            self._end_subscription(job, _GONE)

    # The workers

    def _work(self, first: Job) -> None:
        lane = self._book.lane(first)
        job: Job | None = first
        while job is not None:
            try:
                self._answer(job)
            except BaseException as error:  # noqa: BLE001 - or the job's place is lost for good
                self._break_off(job, error)
            with self._changed:
                if job in self._book.subscriptions:  # it goes on without us
                    self._book.jobs.pop(job, None)
                    self._changed.notify_all()
                else:
                    self._book.forget(job)
                job = self._book.next(lane)

    def _answer(self, job: Job) -> None:
        if job.refusal is not None:
            self._settle(job, job.refusal)
            return
        # The room is for what is made soon, not for what a model takes minutes for.
        size = 0 if job.run else self._dispatcher.expected_size(job.request, job.directory)
        if not self._begin(job, size):
            return
        try:
            if job.pushes is None:
                self._settle(job, self._dispatcher.answer(job.request, job.directory))
            elif job.cancellation is not None:
                answer = self._dispatcher.run(
                    job.request, job.directory, cancellation=job.cancellation, pushes=job.pushes
                )
                self._settle(job, answer)
            else:
                self._subscribe(job, job.pushes)
        finally:
            with self._changed:
                self._answers_size -= size
                self._changed.notify_all()

    def _break_off(self, job: Job, error: BaseException) -> None:
        """End a request that a bug of ours, or of a backend's, has stopped on its way."""
        logger.bind(request_id=job.request_id, operation=job.operation).opt(exception=error).error(
            "a request was broken off; this is a bug"
        )
        with self._changed:
            self._book.subscriptions.pop(job, None)
            claimed = self._book.claim(job)
        if claimed:
            self._fail(job, ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, _BROKEN_OFF)

    def _begin(self, job: Job, size: int) -> bool:
        """Wait for room for an answer of about this size, and take it.

        Returns:
            Whether to go on: not when the job was answered or cancelled meanwhile, or nobody is
            left to read the answer.
        """
        self._link.wait_for_room()
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._book.ended
                    or job.answered
                    or job.cancelled
                    or size < _LARGE_ANSWER
                    or not self._answers_size
                    or self._answers_size + size <= _ANSWERS_SIZE
                )
            )
            if not (self._book.ended or job.answered or job.cancelled):
                self._answers_size += size
                job.begun = True
                if job.run or job.subscribes:
                    # In one step with the begin: who ends it early ends the pushes as well.
                    job.pushes = self._dispatcher.pushes(
                        self._link, job.request, lambda reason: self._ended_by_backend(job, reason)
                    )
                return True
            claimed = job.cancelled and self._book.claim(job)
        if claimed:
            self._end(job, CANCELLED)
        return False

    # Subscriptions

    def _subscribe(self, job: Job, pushes: Pushes) -> None:
        with self._changed:
            full = len(self._book.subscriptions) >= self._limits.max_subscriptions
            if not full:
                self._book.subscriptions[job] = None
        try:
            if full:
                raise BackendError(
                    ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
                    f"this connection has {self._limits.max_subscriptions} subscriptions, which "
                    f"is as many as it may have; end one with unsubscribe",
                )
            subscription = self._dispatcher.subscribe(job.request, job.directory, pushes)
        except BackendError as error:
            with self._changed:
                self._book.subscriptions.pop(job, None)
                claimed = self._book.claim(job)
            if claimed:
                self._fail(job, error.code, error.message)
            return
        with self._changed:
            job.subscription = subscription
            # Whoever ended it meanwhile did not know what to close.
            over = job.answered or self._book.ended or self._book.stopping
        if over:
            self._end_subscription(job, STOPPING)

    def _ended_by_backend(self, job: Job, reason: str) -> None:
        with self._changed:
            claimed = job.subscribes and self._book.claim(job)
        if claimed:
            self._fail(job, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, reason)
        with self._changed:
            if job.subscription is not None:
                self._book.forget(job)

    def _end_subscription(self, job: Job, reason: str) -> None:
        with self._changed:
            claimed = self._book.claim(job)
        if claimed:
            self._fail(job, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, reason)
        self._close(job)

    def _close(self, job: Job) -> None:
        """Have the backend bring no more; one that still begins is closed once it has."""
        subscription = job.subscription
        if subscription is None:
            return
        try:
            subscription.close()
        except Exception:  # noqa: BLE001 - others have to be closed, too
            logger.exception("a subscription could not be closed; this is a bug")
        with self._changed:
            self._book.forget(job)

    # Answers

    def _end(self, job: Job, reason: str) -> None:
        """End a request early, which the caller has claimed."""
        self._fail(job, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, reason)
        self._close(job)

    def _fail(self, job: Job, code: int, reason: str) -> None:
        """Tell the client of an early end, without waiting. The caller has claimed the job."""
        if job.pushes is not None and job.pushes.end(reason):
            return
        if job.begun and not job.subscribes:
            reason += _MIDWAY
        self._link.offer(error_answer(job.request_id, code, reason), urgent=True)

    def _settle(self, job: Job, answer: bytes) -> None:
        with self._changed:
            claimed = self._book.claim(job)
        if claimed and not self._link.send(answer):
            with self._changed:
                self._book.ended = True
                self._changed.notify_all()
