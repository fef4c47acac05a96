"""All peers of a gateway: a thread for each, a bound on their number, and their common end.

Connections that have not shown a token are cheap to open for any program of this machine, so they
are few. When they are too many, a new one waits for a place, and soon pushes out the oldest: silent
ones cannot keep out a client that shows its token at once, and of many clients that come at once
none is lost.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.link import Link
from opencode_sync.gateway.session import PeerSession
from opencode_sync.gateway.workers import WorkerPool
from opencode_sync.logger import logger

__all__ = ["Peers"]

_ABORT_SECONDS = 1.0
_STRANGER_SECONDS = 0.5
"""How long a connection may take to show its token while others wait for its place."""


class Peers:
    """Serves each link on a thread of its own. Any thread may call any method.

    Args:
        dispatcher: Answers the requests.
        workers: Run them.
        token: What a peer has to show.
        limits: The gateway's.
    """

    def __init__(
        self, *, dispatcher: Dispatcher, workers: WorkerPool, token: str, limits: GatewayLimits
    ) -> None:
        self._dispatcher = dispatcher
        self._workers = workers
        self._token = token
        self._limits = limits
        self._numbers = itertools.count(1)
        # Guards every attribute below; waited on for a place among the untrusted.
        self._changed = threading.Condition()
        self._stopped = False
        self._threads: dict[PeerSession, threading.Thread] = {}
        # With the time each came, the oldest first; a session is in one of the two at most.
        self._untrusted: dict[PeerSession, float] = {}
        self._trusted: set[PeerSession] = set()

    def serve(self, link: Link) -> bool:
        """Serve a link until its end, in the background; returns False, ending it, if we cannot.

        May wait for a moment, when many connections have not shown a token yet.
        """
        with self._changed:
            oldest = self._make_room()
            session = self._session(link)
            started = not self._stopped and self._start(session)
            if started:
                self._untrusted[session] = time.monotonic()
        if oldest is not None:
            logger.warning(
                "the gateway drops the oldest of {} connections without a token",
                self._limits.max_unauthenticated,
            )
            oldest.abort()
        if not started:
            link.abort()
            link.dispose()
        return started

    def stop(self, deadline: Deadline, *, grace: Deadline) -> bool:
        """End all peers, after answering or failing what they have in flight.

        Args:
            deadline: When all of it should be over; what is left then is dropped.
            grace: Until when requests in flight may still be answered.

        Returns:
            Whether every peer's thread has ended.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            threads = dict(self._threads)
        for session in threads:
            if not self._workers.submit(_finishing(session, deadline, grace)):
                session.abort()
        for thread in threads.values():
            thread.join(deadline.remaining())
        for session in threads:
            session.abort()
        last = Deadline.after(_ABORT_SECONDS)
        for thread in threads.values():
            thread.join(last.remaining())
        return not any(thread.is_alive() for thread in threads.values())

    def _make_room(self) -> PeerSession | None:
        """Wait for a place among the untrusted; returns whom to drop for it, if anyone.

        The caller holds the lock.
        """
        while not self._stopped and len(self._untrusted) >= self._limits.max_unauthenticated:
            oldest, came = next(iter(self._untrusted.items()))
            patience = came + _STRANGER_SECONDS - time.monotonic()
            if patience <= 0:
                del self._untrusted[oldest]
                return oldest
            self._changed.wait(patience)
        return None

    def _session(self, link: Link) -> PeerSession:
        session: PeerSession
        session = PeerSession(
            link,
            dispatcher=self._dispatcher,
            workers=self._workers,
            token=self._token,
            limits=self._limits,
            admit=lambda: self._admit(session),
            handshake_deadline=Deadline.after(self._limits.handshake_timeout),
        )
        return session

    def _start(self, session: PeerSession) -> bool:
        """Give a session its thread. The caller holds the lock: ``stop`` sees both or none."""
        thread = threading.Thread(
            target=self._run,
            args=(session,),
            name=f"opencode-sync-gateway-peer-{next(self._numbers)}",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:
            logger.error("the gateway has no thread for another peer: {}", error)
            return False
        self._threads[session] = thread
        return True

    def _admit(self, session: PeerSession) -> bool:
        with self._changed:
            if session not in self._untrusted or len(self._trusted) >= self._limits.max_peers:
                return False
            del self._untrusted[session]
            self._changed.notify_all()
            self._trusted.add(session)
            return True

    def _run(self, session: PeerSession) -> None:
        try:
            session.run()
        finally:
            with self._changed:
                self._untrusted.pop(session, None)
                self._changed.notify_all()
                self._trusted.discard(session)
                self._threads.pop(session, None)


def _finishing(session: PeerSession, deadline: Deadline, grace: Deadline) -> Callable[[], None]:
    return lambda: session.finish(deadline, grace=grace)
