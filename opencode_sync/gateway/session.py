"""One peer of the gateway: its handshake, then its requests, many at a time.

The session's thread only reads. Each request is run by a worker, which also sends the answer, so a
request that takes minutes holds up no other and answers come in any order. Of one peer, so many
requests run at a time and so many more wait; beyond that nothing is read from it until some are
done, which is how a client that sends faster than it is served gets to know it. Nor is a request
begun while the peer leaves much unread, or while other large answers are made for it: who asks and
does not read costs little.

Of request ids: 0 is refused, as an answer to it would look like an error that belongs to no
request. An id still in flight is refused, with an error of id 0, for the earlier request owns the
answer. An id used before and answered (1, the handshake's, among them) is served: nobody can
mistake the answer.
"""

from __future__ import annotations

import hmac
import threading
from collections import deque
from collections.abc import Callable

from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.dispatch import Dispatcher, decode_request, error_answer
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.link import (
    GOING_AWAY,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Link,
)
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.transport.base import TransportClosed, TransportError, TransportTimeout
from opencode_sync.wire import ipc_pb2

__all__ = ["PeerSession"]

_WRONG_TOKEN = "Invalid authentication token"
_UNDECODABLE = "Invalid protobuf message"
_STOPPING = "gateway is stopping"
_STOPPING_MIDWAY = "gateway is stopping; the request was begun, so it may have been done"
_GOODBYE_SECONDS = 1.0
_SIGN_OF_LIFE_SECONDS = 10.0
_LARGE_ANSWER = 1 << 16
_ANSWERS_SIZE = 8 << 20
"""Bytes of large answers made for one peer at a time, unless it is a single one."""


class _Job:
    """A message of the peer, from its arrival to its answer."""

    __slots__ = ("answered", "begun", "refusal", "request", "size")

    def __init__(self, request: ipc_pb2.IpcClientMessage | None, size: int) -> None:
        self.request = request
        self.size = size
        # The rest is guarded by the session's lock.
        self.refusal: bytes | None = None
        """The answer, when it is settled without asking the backend."""
        self.answered = False
        self.begun = False
        """Whether the backend was asked."""


class PeerSession:
    """Serves one peer. ``run`` belongs to one thread; any thread may call the rest.

    Args:
        link: Carries the messages.
        dispatcher: Answers the requests.
        workers: Run them.
        token: What the peer has to show.
        limits: The gateway's.
        admit: Asked once, when the token was right: whether there is room for one more peer.
        handshake_deadline: When the peer must have shown its token.
    """

    def __init__(
        self,
        link: Link,
        *,
        dispatcher: Dispatcher,
        workers: WorkerPool,
        token: str,
        limits: GatewayLimits,
        admit: Callable[[], bool],
        handshake_deadline: Deadline,
    ) -> None:
        self._link = link
        self._dispatcher = dispatcher
        self._workers = workers
        self._token = token.encode()
        self._limits = limits
        self._admit = admit
        self._handshake_deadline = handshake_deadline
        # Guards every attribute below and the jobs' state; waited on for room and for rest.
        self._changed = threading.Condition()
        self._jobs: dict[_Job, None] = {}
        self._waiting: deque[_Job] = deque()
        self._waiting_size = 0
        self._running = 0
        self._answers_size = 0
        self._ids: set[int] = set()
        self._stopping = False
        self._ended = False

    def run(self) -> None:
        """Serve the peer until its link ends."""
        try:
            if self._authenticate():
                self._serve()
        except TransportClosed as end:
            logger.debug("a peer of the gateway has gone: {}", end)
        except TransportError as error:
            logger.info("a peer of the gateway was dropped: {}", error)
        except Exception:  # noqa: BLE001
            logger.exception("the gateway drops a peer for a reason it does not know")
            self._link.abort()
        finally:
            with self._changed:
                self._ended = True
                # Nobody is left to read these answers; what runs already cannot be taken back.
                for job in self._waiting:
                    self._jobs.pop(job, None)
                self._waiting.clear()
                self._changed.notify_all()
            self._link.dispose()

    def finish(self, deadline: Deadline, *, grace: Deadline) -> None:
        """Answer or fail what is in flight, say goodbye, and end the link.

        Args:
            deadline: When all of it has to be over.
            grace: Until when requests in flight may still be answered.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._jobs or self._ended, grace.remaining())
            late = [job for job in self._jobs if self._claim(job)]
            self._waiting.clear()
            self._waiting_size = 0
            self._changed.notify_all()
        for job in late:
            if job.request is not None:
                self._send(_stopping_answer(job.request.request_id, begun=job.begun))
        self._link.close(GOING_AWAY, _STOPPING, deadline)
        with self._changed:
            patience = deadline.earlier(Deadline.after(_GOODBYE_SECONDS))
            self._changed.wait_for(lambda: self._ended, patience.remaining())
        self.abort()

    def abort(self) -> None:
        """End the link at once."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._link.abort()

    # The reader: handshake

    def _authenticate(self) -> bool:
        deadline = self._handshake_deadline
        try:
            self._link.open(deadline)
            message = self._link.receive(deadline)
        except TransportTimeout:
            # Without an answer, as for anything else that is not a handshake.
            self._goodbye(POLICY_VIOLATION, "no handshake in time")
            return False
        request = None if message is None else decode_request(message)
        if request is None or request.WhichOneof("payload") != "auth_handshake":
            self._goodbye(POLICY_VIOLATION, "")
            return False
        right = hmac.compare_digest(request.auth_handshake.token.encode(), self._token)
        # What holds the token goes, so that no traceback of what follows can show it.
        request_id = request.request_id
        del message, request
        if not right:
            logger.warning("the gateway refused a peer that showed a wrong token")
            self._answer_handshake(request_id, _WRONG_TOKEN)
            self._goodbye(POLICY_VIOLATION, _WRONG_TOKEN)
            return False
        if not self._admit():
            # Without an answer: a refusal would say that something is wrong with the token.
            self._goodbye(
                TRY_AGAIN_LATER,
                f"the gateway serves {self._limits.max_peers} connections already; close one",
            )
            return False
        self._link.trust()
        self._answer_handshake(request_id, None)
        return True

    def _answer_handshake(self, request_id: int, error: str | None) -> None:
        response = ipc_pb2.IpcAuthHandshakeResponse(success=error is None, error=error)
        answer = ipc_pb2.IpcServerMessage(request_id=request_id, auth_handshake_response=response)
        self._link.send(answer.SerializeToString())

    def _goodbye(self, code: int, reason: str) -> None:
        self._link.close(code, reason, Deadline.after(_GOODBYE_SECONDS))

    # The reader: requests

    def _serve(self) -> None:
        never = Deadline(None)
        while True:
            message = self._link.receive(never)
            if message is None:
                continue  # text is ignored once the handshake is done
            if self._take(_Job(decode_request(message), len(message))):
                continue
            self._goodbye(INTERNAL_ERROR, "the gateway has no thread left")
            return

    def _take(self, job: _Job) -> bool:
        """Have the job run now or later; returns False when nobody can run it."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._has_room(job), _SIGN_OF_LIFE_SECONDS):
                # Nothing is read meanwhile, pings included: show the peer that we live.
                self._link.nudge()
            self._judge(job)
            self._jobs[job] = None
            if self._running >= self._limits.max_in_flight:
                self._waiting.append(job)
                self._waiting_size += job.size
                return True
            self._running += 1
        if self._workers.submit(lambda: self._work(job)):
            return True
        with self._changed:
            self._running -= 1
            self._forget(job)
        return False

    def _has_room(self, job: _Job) -> bool:
        """Return whether the job can be taken now. The caller holds the lock."""
        return (
            self._ended
            or self._running < self._limits.max_in_flight
            or (
                len(self._waiting) < self._limits.max_queued
                and self._waiting_size + job.size <= self._limits.max_message_size
            )
        )

    def _judge(self, job: _Job) -> None:
        """Settle what needs no backend, and note the id of the rest. The caller holds the lock."""
        if job.request is None:
            job.refusal = error_answer(0, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, _UNDECODABLE)
            return
        request_id = job.request.request_id
        if request_id in self._ids:
            job.request = None
            job.refusal = error_answer(
                0,
                ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                f"request_id {request_id} belongs to a request still in flight; count up from 2",
            )
            return
        if self._stopping:
            job.refusal = _stopping_answer(request_id, begun=False)
        if request_id:
            self._ids.add(request_id)

    def _forget(self, job: _Job) -> None:
        """Strike a job off. The caller holds the lock."""
        self._claim(job)
        self._jobs.pop(job, None)
        self._changed.notify_all()

    def _claim(self, job: _Job) -> bool:
        """Return whether the answer is still to be sent, which the caller has to do then.

        Frees the id before the answer is out: who has the answer may use the id again. The caller
        holds the lock.
        """
        if job.answered:
            return False
        job.answered = True
        if job.request is not None:
            self._ids.discard(job.request.request_id)
        return True

    # The workers

    def _work(self, first: _Job) -> None:
        job: _Job | None = first
        while job is not None:
            self._answer(job)
            with self._changed:
                self._forget(job)
                if self._waiting:
                    job = self._waiting.popleft()
                    self._waiting_size -= job.size
                else:
                    job = None
                    self._running -= 1

    def _answer(self, job: _Job) -> None:
        if job.refusal is not None or job.request is None:
            self._settle(job, job.refusal)
            return
        size = self._dispatcher.expected_size(job.request)
        if not self._begin(job, size):
            return
        try:
            self._settle(job, self._dispatcher.answer(job.request))
        finally:
            with self._changed:
                self._answers_size -= size
                self._changed.notify_all()

    def _begin(self, job: _Job, size: int) -> bool:
        """Wait for room for an answer of about this size, and take it.

        Returns:
            Whether to go on: not when the job was answered meanwhile, or nobody is left to read it.
        """
        self._link.wait_for_room()
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._ended
                    or job.answered
                    or size < _LARGE_ANSWER
                    or not self._answers_size
                    or self._answers_size + size <= _ANSWERS_SIZE
                )
            )
            if self._ended or job.answered:
                return False
            self._answers_size += size
            job.begun = True
            return True

    def _settle(self, job: _Job, answer: bytes | None) -> None:
        with self._changed:
            claimed = self._claim(job)
        if claimed and answer is not None:
            self._send(answer)

    def _send(self, answer: bytes) -> None:
        if not self._link.send(answer):
            with self._changed:
                self._ended = True
                self._changed.notify_all()


def _stopping_answer(request_id: int, *, begun: bool) -> bytes:
    return error_answer(
        request_id,
        ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR,
        _STOPPING_MIDWAY if begun else _STOPPING,
    )
