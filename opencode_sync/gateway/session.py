"""One peer of the gateway: its handshake, then its requests.

The session's thread only reads. What it reads it hands to the peer's ``Requests``, which wait for
room when there are too many.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.book import STOPPING
from opencode_sync.gateway.dispatch import Dispatcher, decode_request
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.link import (
    GOING_AWAY,
    INTERNAL_ERROR,
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Link,
)
from opencode_sync.gateway.requests import Requests
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.logger import logger
from opencode_sync.transport.base import TransportClosed, TransportError, TransportTimeout
from opencode_sync.wire import ipc_pb2

__all__ = ["PeerSession"]

_WRONG_TOKEN = "Invalid authentication token"
_GOODBYE_SECONDS = 1.0


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
        self._requests = Requests(link, dispatcher=dispatcher, workers=workers, limits=limits)
        self._token = token.encode()
        self._limits = limits
        self._admit = admit
        self._handshake_deadline = handshake_deadline

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
            self._requests.give_up()
            self._link.dispose()

    def finish(self, deadline: Deadline, *, grace: Deadline) -> None:
        """Answer or fail what is in flight, say goodbye, and end the link.

        Args:
            deadline: When all of it has to be over.
            grace: Until when requests in flight may still be answered.
        """
        self._requests.stop(grace)
        self._link.close(GOING_AWAY, STOPPING, deadline)
        self._requests.wait_ended(deadline.earlier(Deadline.after(_GOODBYE_SECONDS)))
        self.abort()

    def abort(self) -> None:
        """End the link at once."""
        self._requests.end()
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
            if self._requests.take(message):
                continue
            self._goodbye(INTERNAL_ERROR, "the gateway has no thread left")
            return
