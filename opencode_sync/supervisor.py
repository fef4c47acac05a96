"""A client's connections, one after another: making them, losing them, coming back, closing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from opencode_sync.call import Call
from opencode_sync.clause import clause
from opencode_sync.connection import Connection
from opencode_sync.deadline import Deadline
from opencode_sync.deadlines import DeadlineSweep
from opencode_sync.errors import (
    IpcConnectionError,
    IpcError,
    IpcUsageError,
)
from opencode_sync.keeper import Keeper, Timer
from opencode_sync.log_thread import log_soon
from opencode_sync.loss import (
    closed_in_order,
    down_error,
    fail_lost,
    own_instance,
    timeout_error,
)
from opencode_sync.pending import WaitingCalls
from opencode_sync.reconnect import ReconnectPolicy
from opencode_sync.retry_plan import RetryPlan
from opencode_sync.state import ConnectionState, StateMachine, log_gone
from opencode_sync.uninterrupted import uninterrupted

__all__ = ["Supervisor"]

_SETTLED: Final = 5.0  # between deciding how an attempt ended and saying so lie a few instructions
_JOINED: Final = 0.25
_OWN_TIMEOUT_FIRST: Final = 1.0  # seconds; what ends by itself says better why


class Supervisor:
    """Decides when there is a connection, and what becomes of calls while there is none.

    Any thread may call any method. The connection's own thread reports to ``authenticating``,
    ``opened`` and ``ended``; what it reports of a connection already given up is ignored.
    """

    def __init__(
        self,
        *,
        make_connection: Callable[[], Connection],
        machine: StateMachine,
        keeper: Keeper,
        sweep: DeadlineSweep,
        policy: ReconnectPolicy | None,
        connection_timeout: float,
        authentication_timeout: float,
        max_waiting: int,
    ) -> None:
        """Make a supervisor that has not been asked to connect.

        Args:
            make_connection: Makes the connection of one attempt.
            machine: Holds the state.
            keeper: Waits for the next attempt, and for one that does not end.
            sweep: Told when the keeper starts anew.
            policy: How to come back; None for not at all.
            connection_timeout: Seconds an attempt has until the link is open.
            authentication_timeout: Seconds it has from there.
            max_waiting: Calls that may wait for a connection.
        """
        self._make_connection = make_connection
        self._machine = machine
        # The keeper works while the user wants a connection; only this class starts and stops it.
        self._keeper = keeper
        self._sweep = sweep
        self._policy = policy
        self._connection_timeout = connection_timeout
        self._authentication_timeout = authentication_timeout
        self._waiting = WaitingCalls(max_waiting, self._why_waiting)
        # Guards every attribute below, so that they and the machine's state change together; waited
        # on while a close is under way. Nothing is sent and no call is ended under it (but when the
        # system has no thread for an attempt, which then ends before it began).
        self._changed = threading.Condition()
        self._connection: Connection | None = None  # the attempt under way, or what came of it
        self._previous: Connection | None = None  # the newest that is over, or about to be
        self._live: Connection | None = None  # the same, once calls may go out on it
        self._opening: Future[None] | None = None  # what connect() waits for
        self._timer: Timer | None = None  # the next attempt
        self._patience: Timer | None = None  # the end of the attempt under way
        self._next_attempt_at = 0.0
        self._wanted = False  # the user has connected and not closed
        self._established = False  # ... and it has worked at least once
        self._closing = False
        self._plan = RetryPlan(policy)
        self._last_cause: Exception | None = None
        self._because = ""  # its text, for those who are refused, each within microseconds

    # --- For the client ---

    def open(self) -> None:
        """Connect unless connected; wait for the attempt that is under way, or begin one.

        Raises:
            IpcError: the attempt failed. Each caller gets an instance of its own.
        """
        timeout = self._connection_timeout + self._authentication_timeout
        attempt = uninterrupted(lambda: self._join_attempt(timeout), timeout + _SETTLED)
        if attempt is None:
            return
        opening, connection = attempt
        # Its own time-out comes first.
        error = opening.exception(timeout + _SETTLED)
        if error is not None:
            soon = Deadline.after(_JOINED)  # leave no thread behind
            connection.wait_ended(soon)
            if not self._wanted:
                self._keeper.wait_ended(soon)
            raise own_instance(error) from error.__cause__

    def _join_attempt(self, timeout: float) -> tuple[Future[None], Connection] | None:
        """Return the attempt under way, begun if there was none; None when there is no need."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._closing, timeout):
                raise timeout_error(timeout, "another thread is still closing the client")
            if self._live is not None:
                return None
            if not self._wanted:
                self._wanted = True
                self._plan.reset()
                self._keeper.open()
                self._sweep.reset()
            if self._connection is None or self._opening is None:
                return self._begin_attempt()
            return self._opening, self._connection

    def submit(self, call: Call[Any]) -> None:
        """Send a call, or have it wait for a connection, or end it with the reason why not.

        Never blocks.
        """
        try:
            while True:
                live = self._live
                if live is not None and live.submit(call):
                    return
                with self._changed:
                    if self._live is not live:
                        continue  # things have changed since we looked
                    refusal = self._wait_or_refuse(call)
                break
        except IpcUsageError as error:
            refusal = error
        if refusal is not None and call.claim():
            call.fail(refusal)

    def close(self, deadline: Deadline) -> None:
        """End the connection and every call; returns when it is over, or the deadline has come."""
        with contextlib.suppress(TimeoutError):
            uninterrupted(lambda: self._close(deadline), (deadline.remaining() or 0) + _SETTLED)

    def _close(self, deadline: Deadline) -> None:
        with self._changed:
            if self._closing:
                self._changed.wait_for(lambda: not self._closing, deadline.remaining())
                return
            self._wanted = self._established = False
            self._stop_timer()
            connection, previous = self._connection, self._previous
            self._closing = True
            if self._live is not None:
                self._machine.advance(ConnectionState.DISCONNECTING)
        cause = IpcConnectionError("the client was closed")
        calls = self._waiting.take_all()
        try:
            if connection is not None:
                calls += connection.close(cause, deadline)
            for call in calls:
                fail_lost(call, cause, "the client was closed")
            if connection is not None:
                connection.join(deadline)
            elif previous is not None:
                previous.wait_ended(deadline)
        finally:
            opening = None
            with self._changed:
                if self._connection is not None:  # its thread did not end in time
                    opening, _ = self._note_end(self._connection, cause)
                self._previous = None
                self._closing = False
                self._keeper.stop()
                self._changed.notify_all()
            if opening is not None:
                opening.set_exception(cause)
        self._keeper.wait_ended(deadline)

    @property
    def retry_in(self) -> float | None:
        """Seconds until the next attempt, 0.0 during one; None when none is planned. Any thread."""
        if self._timer is None:
            return None if self._opening is None else 0.0
        return max(0.0, self._next_attempt_at - time.monotonic())

    @property
    def endpoint(self) -> str | None:
        """Where the connection of the moment goes, if there is one."""
        live = self._live
        return None if live is None else live.endpoint

    def disown(self) -> None:
        """Free the descriptor in a forked child. Takes no lock: its holder may not exist here."""
        if self._connection is not None:
            self._connection.disown()

    # --- What a connection reports, on its own thread ---

    def authenticating(self, connection: Connection) -> None:
        """See ``ConnectionEvents``."""
        with self._changed:
            if connection is self._connection:
                self._machine.advance(ConnectionState.AUTHENTICATING, attempt=self._plan.attempt)
                self._have_patience(
                    connection,
                    self._authentication_timeout,
                    "the handshake did not end (option authentication_timeout)",
                )

    def opened(self, connection: Connection) -> None:
        """See ``ConnectionEvents``."""
        with self._changed:
            if connection is not self._connection or self._closing:
                return
            self._live = connection
            self._established = True
            self._plan.opened()
            opening, self._opening = self._opening, None
            self._stop_patience()
            self._machine.advance(ConnectionState.CONNECTED, attempt=self._plan.attempt)
        for call in self._waiting.take_all():
            self.submit(call)
        if opening is not None:
            opening.set_result(None)

    def ended(self, connection: Connection, cause: Exception, calls: list[Call[Any]]) -> None:
        """See ``ConnectionEvents``."""
        with self._changed:
            if connection is not self._connection:
                return  # given up before, and then it had no calls
            opening, coming_back = self._note_end(connection, cause)
        for call in calls:
            if not (coming_back and self._may_repeat(call)):
                fail_lost(call, cause, f"the connection was lost: {clause(cause)}")
                continue
            call.repeated = call.sent
            call.bindings = 0  # the next connection has to be bound anew
            with self._changed:
                refusal = self._wait_or_refuse(call, repeat=call.sent)
            if refusal is not None:
                fail_lost(call, cause, f"the connection was lost: {clause(cause)}")
        if not coming_back:
            self._fail_waiting(cause)
        if opening is not None:
            opening.set_exception(cause)

    # --- Inner steps. The caller holds the lock, unless the text says otherwise ---

    def _begin_attempt(self) -> tuple[Future[None], Connection]:
        self._stop_timer()
        self._machine.advance(ConnectionState.CONNECTING, attempt=self._plan.attempt)
        opening: Future[None] = Future()
        connection = self._make_connection()
        self._opening, self._connection = opening, connection
        self._have_patience(
            connection,
            self._connection_timeout,
            "the attempt did not end (option connection_timeout); does the config provider hang?",
        )
        connection.start()
        return opening, connection

    def _have_patience(self, connection: Connection, timeout: float, why: str) -> None:
        """Give the attempt's next step this long, and what the step's own time-out may be late."""
        self._stop_patience()
        self._patience = self._keeper.call_later(
            timeout + _OWN_TIMEOUT_FIRST,
            lambda: self._give_up(connection, timeout_error(timeout, why)),
        )

    def _note_end(
        self, connection: Connection, cause: Exception
    ) -> tuple[Future[None] | None, bool]:
        """Take note that the connection is over and plan what comes next.

        Returns:
            The future ``connect`` waits on, if one does, and whether there will be an attempt.
        """
        was_live = self._live is connection
        self._connection = self._live = None
        self._previous = connection
        opening, self._opening = self._opening, None
        self._stop_patience()
        self._last_cause, self._because = cause, f": {clause(cause)}"
        delay = self._plan_retry(was_live=was_live)
        in_order = was_live and (self._closing or closed_in_order(cause))
        self._machine.advance(
            ConnectionState.DISCONNECTED if in_order else ConnectionState.FAILED,
            cause=None if self._closing and was_live else cause,
            attempt=0 if was_live else self._plan.attempt,
            retry_in=delay,
        )
        if delay is None and not self._closing:
            if self._established and not was_live:
                log_soon(log_gone, cause, self._plan.attempt)
            self._wanted = self._established = False
            self._keeper.stop()
        return opening, delay is not None

    def _plan_retry(self, *, was_live: bool) -> float | None:
        if self._closing or not (self._wanted and self._established):
            return None
        delay = self._plan.next_delay(was_live=was_live)
        if delay is not None:
            self._next_attempt_at = time.monotonic() + delay
            self._timer = self._keeper.call_later(delay, self.retry_now)
        return delay

    def retry_now(self) -> None:
        """End the pause before the next attempt. Any thread; does nothing when there is none."""
        with self._changed:
            if self._timer is None or self._closing or self._connection is not None:
                return  # the user was faster
            self._plan.begin()
            self._begin_attempt()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self, connection: Connection, cause: IpcError) -> None:
        """Keeper thread: let go of an attempt that does not end."""
        with self._changed:
            if self._connection is not connection or self._live is not None:
                return  # it has ended, or succeeded, at the last moment
            opening, coming_back = self._note_end(connection, cause)
        connection.doom(cause)
        if opening is not None:
            opening.set_exception(cause)
        if not coming_back:
            self._fail_waiting(cause)

    def _fail_waiting(self, cause: Exception) -> None:
        """End who waits for a connection. The caller does not hold the lock."""
        for call in self._waiting.take_all():
            fail_lost(call, cause, f"there is no connection: {clause(cause)}")

    def _may_repeat(self, call: Call[Any]) -> bool:
        if not call.sent:
            return True
        return call.request.operation.idempotent and not call.repeated

    def _wait_or_refuse(self, call: Call[Any], *, repeat: bool = False) -> IpcError | None:
        """Put a call in line for the next connection, or return why it cannot wait."""
        coming = self._opening is not None or self._timer is not None or self._live is not None
        policy = self._policy
        if (
            coming
            and not self._closing
            and policy is not None
            and (repeat or policy.wait_while_down)
        ):
            try:
                self._waiting.add(call)
            except IpcUsageError as error:
                return error
            return None
        return self._down_error(sent=call.sent)

    def _why_waiting(self) -> str:
        """Return what a call whose time ran out in line should know. Any thread, without a lock."""
        return f": there was no connection{self._because}"

    def _down_error(self, *, sent: bool) -> IpcConnectionError:
        return down_error(
            self._last_cause,
            self._because,
            closing=self._closing,
            connecting=self._opening is not None,
            retry_in=None if self._closing else self.retry_in,
            sent=sent,
        )
