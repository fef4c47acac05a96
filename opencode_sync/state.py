"""The states of a client's connection, the only steps between them, and who is told of them."""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opencode_sync.clause import clause
from opencode_sync.deadline import Deadline
from opencode_sync.log_thread import log_soon
from opencode_sync.logger import logger
from opencode_sync.metrics import Metrics
from opencode_sync.notifier import Notifier

__all__ = [
    "TRANSITIONS",
    "ConnectionState",
    "StateChange",
    "StateListener",
    "StateMachine",
    "log_gone",
]


class ConnectionState(enum.Enum):
    """Where a client stands, and what that means for its user."""

    DISCONNECTED = "disconnected"
    """Not connected, by wish: never connected, closed, or the backend closed in good order."""

    CONNECTING = "connecting"
    """Looking up the backend and opening the link; calls wait or fail fast, as the policy says."""

    AUTHENTICATING = "authenticating"
    """The link is open; the backend is checking the token."""

    CONNECTED = "connected"
    """Ready: calls go out at once."""

    DISCONNECTING = "disconnecting"
    """``close`` is under way; what was in flight has failed."""

    FAILED = "failed"
    """The connection could not be made, or was lost. ``StateChange.retry_in`` tells whether the
    client tries again by itself; if not, call ``connect``."""


_S = ConnectionState

TRANSITIONS: Final[dict[ConnectionState, frozenset[ConnectionState]]] = {
    _S.DISCONNECTED: frozenset({_S.CONNECTING}),
    _S.CONNECTING: frozenset({_S.AUTHENTICATING, _S.FAILED}),
    _S.AUTHENTICATING: frozenset({_S.CONNECTED, _S.FAILED}),
    _S.CONNECTED: frozenset({_S.DISCONNECTING, _S.DISCONNECTED, _S.FAILED}),
    _S.DISCONNECTING: frozenset({_S.DISCONNECTED}),
    _S.FAILED: frozenset({_S.CONNECTING}),
}
"""Every step there is. Any other is a bug in this package."""


@dataclass(frozen=True)
class StateChange:
    """One step of the connection.

    Attributes:
        old: The state left.
        new: The state entered.
        cause: Why, when the step was not asked for; else None.
        attempt: Which attempt in a row this belongs to: 1 for the first; 0 when none is under way.
        retry_in: Seconds until the client tries again by itself; None when it will not.
    """

    old: ConnectionState
    new: ConnectionState
    cause: Exception | None = None
    attempt: int = 0
    retry_in: float | None = None


StateListener = Callable[[StateChange], object]
"""Called with each change, in order, on the client's notifier thread."""


class _Subscription:
    """One listener; a class of its own so that the same function may listen twice."""

    __slots__ = ("active", "listener")

    def __init__(self, listener: StateListener) -> None:
        self.listener = listener
        self.active = True

    def deliver(self, change: StateChange) -> None:
        if self.active:
            self.listener(change)


def log_gone(cause: Exception, attempt: int) -> None:
    """Tell that nobody tries to connect any more."""
    logger.bind(attempt=attempt).warning(
        "the connection stays down: {}; call connect() to connect again", clause(cause)
    )


def _log(change: StateChange) -> None:
    """Tell of a step as loudly as it matters: of an outage once, not of each attempt to end it."""
    old, new = change.old.value, change.new.value
    cause, attempt = change.cause, change.attempt
    retry_in = None if change.retry_in is None else round(change.retry_in, 3)
    if change.new is ConnectionState.CONNECTED:
        logger.bind(old=old, state=new, attempt=attempt).info("the connection is up")
    elif change.old is ConnectionState.CONNECTED and cause is not None:
        then = "call connect() to connect again"
        if retry_in is not None:
            then = f"the next attempt is in {retry_in:.1f} s"
        logger.bind(old=old, state=new, retry_in=retry_in).warning(
            "the connection is down: {}; {}", clause(cause), then
        )
    else:
        because = "" if cause is None else f": {clause(cause)}"
        logger.bind(old=old, state=new, attempt=attempt, retry_in=retry_in).debug(
            "connection {} -> {}{}", old, new, because
        )


class StateMachine:
    """Holds the state, takes only legal steps, and tells listeners of each, once and in order.

    Any thread may call any method.
    """

    def __init__(self, notifier: Notifier, metrics: Metrics | None) -> None:
        self._notifier = notifier
        self._metrics = metrics
        # Guards every attribute below; waited on by wait_for. Listeners are only posted to the
        # notifier under it, never called.
        self._changed = threading.Condition()
        self._state = ConnectionState.DISCONNECTED
        self._entered: Counter[ConnectionState] = Counter()
        self._subscriptions: list[_Subscription] = []

    @property
    def state(self) -> ConnectionState:
        """The state now."""
        return self._state

    def advance(
        self,
        new: ConnectionState,
        *,
        cause: Exception | None = None,
        attempt: int = 0,
        retry_in: float | None = None,
    ) -> None:
        """Take one step.

        Raises:
            RuntimeError: there is no such step in ``TRANSITIONS``.
        """
        with self._changed:
            old = self._state
            if new not in TRANSITIONS[old]:
                raise RuntimeError(f"no step leads from {old.name} to {new.name}; this is a bug")
            self._state = new
            self._entered[new] += 1
            self._changed.notify_all()
            change = StateChange(old, new, cause, attempt, retry_in)
            log_soon(_log, change)
            if self._metrics is not None:
                self._notifier.post(self._metrics.record_connection_state_change, old, new)
            for subscription in self._subscriptions:
                self._notifier.post(subscription.deliver, change)

    def wait_for(self, state: ConnectionState, deadline: Deadline) -> bool:
        """Wait until the state is, or has meanwhile been, ``state``.

        Returns:
            False when the deadline came first.
        """
        with self._changed:
            seen = self._entered[state]
            return self._changed.wait_for(
                lambda: self._state is state or self._entered[state] > seen, deadline.remaining()
            )

    def subscribe(self, listener: StateListener) -> Callable[[], None]:
        """Have ``listener`` told of every change from now on.

        Returns:
            What ends it: after that, nothing new is delivered; a call just beginning still runs.
            Idempotent.
        """
        subscription = _Subscription(listener)
        with self._changed:
            self._subscriptions.append(subscription)

        def unsubscribe() -> None:
            subscription.active = False
            with self._changed:
                if subscription in self._subscriptions:
                    self._subscriptions.remove(subscription)

        return unsubscribe
