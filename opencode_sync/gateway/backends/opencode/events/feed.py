"""Keeps one stream of events open: the thread that reads it, and connects again after a loss."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from tenacity import Retrying, retry_if_exception, wait_random_exponential

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.feed_check import make_sure
from opencode_sync.gateway.backends.opencode.events.sse import SseStream
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.logger import logger

__all__ = ["Feed", "FeedOwner", "FeedTiming"]

THREAD_NAME = "opencode-sync-gateway-events"

_PATH = "/global/event"


@dataclass(frozen=True, kw_only=True)
class FeedTiming:
    """How patient a feed is; all in seconds."""

    connect: float = 5.0
    """For a connection, the answer, and the first event. OpenCode never answers what comes in the
    moment before it is ready, so to wait much longer would be in vain."""
    silence: float = 25.0
    """Without a byte after which the server counts as gone; its heartbeats come every 10 s."""
    shortest_pause: float = 0.1
    longest_pause: float = 5.0
    settled: float = 5.0
    """A connection that held so long is followed by another at once."""
    linger: float = 30.0
    """For which a connection without a subscriber is kept: the next prompt may come soon. It is
    then ended with the next heartbeat."""


class FeedOwner(Protocol):
    """Is told by the feed's thread what happens. Nothing here may raise."""

    def feed_connecting(self, feed: Feed) -> None:
        """An attempt begins."""

    def feed_failed(self, feed: Feed, error: BackendError) -> bool:
        """The attempt failed; returns whether there shall be another."""

    def feed_connected(self, feed: Feed, lost_at: float | None) -> None:
        """The server has confirmed, and no event is passed over from here on.

        Args:
            feed: Which one.
            lost_at: When something of the connection before came last, in Unix seconds; None when
                this is the first.
        """

    def feed_frame(self, feed: Feed, frame: str) -> None:
        """One event's data."""

    def feed_lost(self, feed: Feed, error: BackendError) -> None:
        """The connection is gone; another is made, unless the feed was stopped."""


class Feed:
    """A thread with a connection. Any thread may call its methods."""

    def __init__(self, http: OpenCodeHttp, owner: FeedOwner, timing: FeedTiming) -> None:
        """Do no I/O; ``start`` it."""
        self._http = http
        self._owner = owner
        self._timing = timing
        self._lock = threading.Lock()  # guards the next two
        self._stream: SseStream | None = None
        self._stopped = False
        self._wake = threading.Event()  # ends a pause
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether it was told to end."""
        return self._stopped

    @property
    def is_current_thread(self) -> bool:
        """Whether this is called by what the feed calls."""
        return threading.current_thread() is self._thread

    def hurry(self) -> None:
        """End the pause before the next attempt, if there is one."""
        self._wake.set()

    def stop(self) -> None:
        """Have it end: at once, unless it is connecting just now."""
        with self._lock:
            self._stopped = True
            stream = self._stream
        self._wake.set()
        if stream is not None:
            stream.close()

    def join(self, timeout: float) -> bool:
        """Wait for its thread; returns whether that has ended. Not for the thread itself."""
        if not self.is_current_thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # The thread...

    def _run(self) -> None:
        lost_at: float | None = None
        short_lives = 0
        while not self._stopped:
            opened = self._connect()
            if opened is None:
                return
            stream, came = opened
            began = time.monotonic()
            try:
                self._owner.feed_connected(self, lost_at)
                for frame in came:
                    self._owner.feed_frame(self, frame)
                lost_at = self._read(stream)
            finally:
                stream.dispose()
            if time.monotonic() - began >= self._timing.settled:
                short_lives = 0
            else:  # a server that ends each connection at once must not keep both of us busy
                if short_lives:
                    self._pause(self._growing(short_lives))
                short_lives += 1

    def _growing(self, count: int) -> float:
        ceiling = min(self._timing.longest_pause, self._timing.shortest_pause * 2.0**count)
        return random.uniform(ceiling / 2, ceiling)

    def _connect(self) -> tuple[SseStream, list[str]] | None:
        """Try until it works; returns the stream and its first events, None if there is none."""
        retrying = Retrying(
            wait=wait_random_exponential(
                multiplier=self._timing.shortest_pause, max=self._timing.longest_pause
            ),
            retry=retry_if_exception(self._again),
            sleep=self._pause,
        )
        try:
            return retrying(self._attempt)
        except BackendError:
            return None  # the owner knows

    def _attempt(self) -> tuple[SseStream, list[str]] | None:
        stream = SseStream(self._http, _PATH)
        with self._lock:
            if self._stopped:
                return None
            self._stream = stream
        deadline = Deadline.after(self._timing.connect)
        try:
            self._owner.feed_connecting(self)
            stream.open(deadline)
            stream.read(deadline)  # "server.connected"
            return stream, make_sure(self._http, stream, deadline)
        except BackendError:
            stream.dispose()
            raise
        except Exception as error:
            stream.dispose()
            logger.exception("connecting to OpenCode's events failed; this is a bug")
            raise server_error(
                "the gateway failed to connect to OpenCode's events; its log says more"
            ) from error

    def _again(self, error: BaseException) -> bool:
        again = isinstance(error, BackendError) and self._owner.feed_failed(self, error)
        return again and not self._stopped

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        if not self._stopped:
            self._wake.clear()

    def _read(self, stream: SseStream) -> float:
        """Read until the stream ends; returns when something of it came last."""
        came = time.time()
        never = Deadline(None)
        while True:
            try:
                frame = stream.read(never, silence=self._timing.silence)
            except BackendError as error:
                if not self._stopped:
                    logger.warning("{}; connecting again", error.message)
                self._owner.feed_lost(self, error)
                return came
            came = time.time()
            self._owner.feed_frame(self, frame)
