"""One subscription to an OpenCode server's events, for all who want them.

It is opened with the first subscriber and closed some time after the last has gone. When it is
lost, which shows by missing heartbeats at the latest, it is made again, and what can be read again
is handed on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import no_server, server_error
from opencode_sync.gateway.backends.opencode.events.feed import Feed, FeedTiming
from opencode_sync.gateway.backends.opencode.events.feed_check import is_check
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.reader import (
    CONNECTED,
    HEARTBEAT,
    EventReader,
    OddLog,
    OpenCodeEvent,
)
from opencode_sync.gateway.backends.opencode.events.readings import Finding
from opencode_sync.gateway.backends.opencode.events.replay import read_again
from opencode_sync.gateway.backends.opencode.events.secrets import ServerSecrets
from opencode_sync.gateway.backends.opencode.events.subscribers import (
    Delivery,
    HubSubscription,
    Subscriber,
)
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.logger import logger

__all__ = ["EventHub", "FeedTiming", "HubSubscription", "Subscriber"]

_REREAD_TIMEOUT = 15.0

_END_TIMEOUT = 1.0
"""Seconds to wait for the thread; it ends at once, unless it waits for an answer just now."""

_DELIVERY_TIMEOUT = 5.0
"""Seconds after which a subscriber is said to block, which it must not."""


class EventHub:
    """The events of one server. Every method may be called by any thread."""

    def __init__(self, http: OpenCodeHttp, *, timing: FeedTiming | None = None) -> None:
        """Do no I/O.

        Args:
            http: The server.
            timing: How patient it is.
        """
        self._http = http
        self._timing = timing or FeedTiming()
        self._memory = EventMemory()
        self._odd_log = OddLog()
        self._reader = EventReader(self._memory, self._odd_log)
        self._secrets = ServerSecrets(http)
        self._delivery = Delivery()  # taken before _lock
        self._lock = threading.Lock()  # guards all that follows
        self._changed = threading.Condition(self._lock)
        self._subscriptions: tuple[HubSubscription, ...] = ()
        self._waiting = 0  # threads in subscribe()
        self._unused_since = 0.0
        self._feed: Feed | None = None
        self._connected = False
        self._connecting = False
        self._attempts = 0  # that began
        self._failure: tuple[int, BackendError] | None = None  # the last, and its attempt
        self._closed: str | None = None  # why

    def __repr__(self) -> str:
        return f"<EventHub of {self._http.base_url}: {len(self._subscriptions)} subscribers>"

    @property
    def odd(self) -> dict[str, int]:
        """How often events held what could not be carried, by what it was."""
        return dict(self._odd_log.counts)

    # Coming and going...

    def subscribe(
        self,
        subscriber: Subscriber,
        *,
        deadline: Deadline,
        opened: Callable[[], None] | None = None,
    ) -> HubSubscription:
        """Have all events go to ``subscriber``; returns once none is passed over any more.

        Args:
            subscriber: Who wants them.
            deadline: When to give up waiting for OpenCode to confirm.
            opened: Called before the first event, with delivery held: it must not block either.

        Raises:
            BackendError: OpenCode cannot be reached, refuses, has no such stream, or is late. One
                attempt to reach it was made, also while the hub is trying again and again for
                others.
        """
        subscription = HubSubscription(subscriber, self._unsubscribe, self._delivery)
        with self._lock:
            self._waiting += 1
        try:
            while True:
                self._wait_until_connected(deadline)
                with self._delivery.held(deadline):
                    with self._lock:
                        if not self._connected:
                            continue  # it was lost again meanwhile
                        self._subscriptions += (subscription,)
                    if opened is not None:
                        try:
                            opened()
                        except BaseException:
                            self._remove(subscription)
                            raise
                    return subscription
        finally:
            with self._lock:
                self._waiting -= 1
            self._end_feed_if_unused()

    def _wait_until_connected(self, deadline: Deadline) -> None:
        with self._lock:
            # Of a feed that connects again an attempt counts only if it begins from now on.
            under_way = self._connecting and not self._subscriptions
            wanted = self._attempts + (0 if under_way else 1)
            if self._feed is not None and not self._connected:
                self._feed.hurry()
            while not self._connected:
                if self._closed is not None:
                    raise no_server(f"there are no more events: {self._closed}")
                if self._failure is not None and self._failure[0] >= wanted:
                    raise _again(self._failure[1])
                if deadline.passed():
                    raise server_error(
                        f"OpenCode at {self._http.base_url} did not begin to send events within "
                        f"the time allowed"
                    )
                if self._feed is None:
                    self._memory.begin()
                    feed = Feed(self._http, self, self._timing)
                    feed.start()  # waits for _lock before it asks whose it is
                    self._feed = feed
                self._changed.wait(deadline.remaining())

    def _unsubscribe(self, subscription: HubSubscription) -> None:
        self._remove(subscription)
        try:
            with self._delivery.held(Deadline.after(_DELIVERY_TIMEOUT)):
                pass  # so what was being delivered is delivered
        except BackendError:
            self._log_blocked()
        self._end_feed_if_unused()

    @staticmethod
    def _log_blocked() -> None:
        logger.error(
            "A subscriber to OpenCode's events has blocked for {} s; this is a bug",
            _DELIVERY_TIMEOUT,
        )

    def _remove(self, subscription: HubSubscription) -> None:
        with self._lock:
            self._subscriptions = tuple(
                each for each in self._subscriptions if each is not subscription
            )

    def _end_feed_if_unused(self) -> None:
        with self._lock:
            if self._subscriptions or self._waiting:
                return
            self._unused_since = time.monotonic()
            # One that is not connected is of no use to whoever comes next.
            feed = None if self._connected and self._timing.linger else self._take_feed()
        self._end(feed)

    def _end_feed_if_forgotten(self) -> None:
        with self._lock:
            if self._subscriptions or self._waiting:
                return
            if time.monotonic() - self._unused_since < self._timing.linger:
                return
            feed = self._take_feed()
        self._end(feed)

    def _take_feed(self) -> Feed | None:
        """Have no feed any more; returns the one there was. Caller holds ``_lock``."""
        feed, self._feed = self._feed, None
        self._connected = self._connecting = False
        return feed

    def _end(self, feed: Feed | None) -> None:
        if feed is not None:
            feed.stop()
            if not feed.join(_END_TIMEOUT) and not feed.is_current_thread:
                logger.debug("The thread of OpenCode's events ends when its request has ended")

    def disconnect(self, reason: str) -> None:
        """End all subscriptions; others may come.

        Args:
            reason: For people.
        """
        with self._lock:
            feed = self._take_feed()
            subscriptions, self._subscriptions = self._subscriptions, ()
            self._changed.notify_all()
        self._end(feed)
        with ExitStack() as stack:
            try:
                stack.enter_context(self._delivery.held(Deadline.after(_DELIVERY_TIMEOUT)))
            except BackendError:
                self._log_blocked()  # the others are told all the same
            for subscription in subscriptions:
                subscription.end(reason)

    def close(self, reason: str = "the gateway has let go of the OpenCode server") -> None:
        """End all subscriptions, for good; ``subscribe`` fails from now on. Idempotent.

        Args:
            reason: For people.
        """
        with self._lock:
            self._closed = self._closed or reason
        self.disconnect(reason)

    # What is known...

    def hide(self, secrets: Iterable[str]) -> None:
        """Have these strings taken out of what providers say in later events.

        The keys that the server itself knows of are hidden without being named here.

        Args:
            secrets: Keys, for example.
        """
        self._secrets.hide(secrets)

    def directory_of_question(self, question_or_permission_id: str) -> str | None:
        """Return the project folder of a question that was asked, None if it is not known."""
        return self._memory.directory_of_question(question_or_permission_id)

    def standing(self, finding: Finding, *, since: float) -> OpenCodeEvent:
        """Return what was read from the server as an event, and remember it.

        Args:
            finding: A session's status, or a question.
            since: When it was asked for, in ``time.monotonic()`` seconds.
        """
        kind, properties, directory = finding
        cleaned = self._secrets.clean(kind, properties, directory)
        return self._reader.standing(kind, cleaned, directory, since=since)

    def directories(self) -> list[str]:
        """Return the project folders that events came from, the newest first; bounded."""
        return self._memory.directories()

    # What the feed's thread calls...

    def feed_connecting(self, feed: Feed) -> None:
        """See ``FeedOwner``."""
        with self._lock:
            if feed is self._feed:
                self._attempts += 1
                self._connecting = True

    def feed_failed(self, feed: Feed, error: BackendError) -> bool:
        """See ``FeedOwner``."""
        with self._lock:
            if feed is not self._feed:
                return False
            self._connecting = False
            self._failure = (self._attempts, error)
            self._changed.notify_all()
            if self._subscriptions:
                logger.debug("No events from OpenCode: {}; trying again", error.message)
                return True
            # Those who wait get the error; the next one to come begins anew.
            self._feed = None
            return False

    def feed_connected(self, feed: Feed, lost_at: float | None) -> None:
        """See ``FeedOwner``."""
        with self._delivery.held():
            with self._lock:
                if feed is not self._feed:
                    return
                self._connecting, self._connected = False, True
                self._changed.notify_all()
                subscriptions = self._subscriptions
            if lost_at is None:
                return
            logger.info("OpenCode's events are back; reading again what may have been missed")
            for subscription in subscriptions:
                subscription.call(subscription.subscriber.resubscribed)
        missed = read_again(
            self._http,
            self._memory,
            lost_at=lost_at,
            deadline=Deadline.after(_REREAD_TIMEOUT),
            stopped=lambda: feed.stopped,
        )
        try:
            for each in missed:
                self._hand_on(feed, each.type, each.properties, each.directory, replayed=True)
        except Exception:  # noqa: BLE001 - events go on all the same
            logger.exception("reading events again failed; this is a bug")

    def feed_frame(self, feed: Feed, frame: str) -> None:
        """See ``FeedOwner``."""
        try:
            read = self._reader.read(frame)
            if read is None:
                return
            kind, properties, directory, event_id = read
            if kind == HEARTBEAT:
                self._end_feed_if_forgotten()
            elif kind != CONNECTED and not is_check(kind, properties):
                self._hand_on(feed, kind, properties, directory, event_id)
        except Exception:  # noqa: BLE001 - one event must not end all others
            logger.exception("an event could not be handed on; this is a bug")

    def feed_lost(self, feed: Feed, error: BackendError) -> None:
        """See ``FeedOwner``."""
        with self._lock:
            if feed is not self._feed:
                return
            self._connected = False
            if not self._subscriptions and not self._waiting:
                self._feed = None
                feed.stop()

    def _hand_on(
        self,
        feed: Feed,
        kind: str,
        properties: dict[str, Any],
        directory: str,
        event_id: str = "",
        *,
        replayed: bool = False,
    ) -> None:
        cleaned = self._secrets.clean(kind, properties, directory)
        event = self._reader.event(kind, cleaned, directory, event_id, replayed=replayed)
        if event is None:
            return
        with self._delivery.held():
            with self._lock:
                subscriptions = self._subscriptions if feed is self._feed else ()
            for subscription in subscriptions:
                subscription.call(subscription.subscriber.event, event)


def _again(error: BackendError) -> BackendError:
    """Return an error like this one, for another thread to raise: each has its own traceback."""
    return BackendError(error.code, error.message)
