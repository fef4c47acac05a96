"""One run: a prompt on its way through OpenCode, from being sent to the end of all that it began.

OpenCode answers the call when the run has ended, so the call has a thread of its own. The thread
that sees the run through answers the questions on the way, and ends the run when it has to. Going
away ends nothing: the run is aborted, again and again until the call has its answer, because an
abort that is quicker than the prompt meets nothing it could abort. Only then may the next prompt
of the session be sent: one that is sent into an abort goes down with it.
"""

from __future__ import annotations

import contextvars
import threading
from typing import Any, NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.runs.events import RunEvents
from opencode_sync.gateway.backends.opencode.runs.policy import Policy, answer, withdraw
from opencode_sync.gateway.backends.opencode.runs.stop import Stop, Why
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.logger import logger
from opencode_sync.wire import ipc_pb2

__all__ = ["Outcome", "Run", "SessionGoneError"]

_ABORT_TIMEOUT = 5.0
"""Seconds in which an aborted run has to end."""

_FIRST_PATIENCE = 0.25
"""Seconds until it is aborted again; twice as long each time."""
_STATUS_PAUSE = 0.1
_SETTLE_TIMEOUT = 2.0
"""Seconds that the last events get to arrive when the answer is there."""
_CAUSE_TIMEOUT = 1.0
"""Seconds that the cause of a refusal gets, which comes as an event."""
_LOOK_UP_TIMEOUT = 5.0
_LONGER = 15.0
"""Seconds that the call may outlive the run's deadline: it ends by the abort, not by its own."""


class SessionGoneError(BackendError):
    """SERVER_ERROR: the session was deleted while its prompt ran."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
            f"session {session_id} was deleted while its prompt ran",
        )


class Outcome(NamedTuple):
    """How a run ended."""

    document: object = None
    """What the call returned."""
    error: BackendError | None = None
    """Why it returned nothing."""
    stopped: Why | None = None
    """Why the run was ended from here, if it was."""
    told: str = ""
    """What became of it then: "the run was aborted"."""


class Run:
    """Sends one prompt. Made and used by one thread, once."""

    def __init__(
        self,
        binding: Binding,
        session_id: str,
        directory: str,
        body: dict[str, Any],
        *,
        policy: Policy,
        events: RunEvents,
        live: bool,
        stop: Stop,
    ) -> None:
        """Prepare a run.

        Args:
            binding: The server.
            session_id: Where the prompt goes.
            directory: Of the session.
            body: What is sent.
            policy: Answers questions.
            events: Follows the run.
            live: Whether it gets to know anything.
            stop: Watches over the run; this thread waits by it.
        """
        self._binding = binding
        self._session_id = session_id
        self._directory = directory
        self._body = body
        self._policy = policy
        self._events = events
        self._live = live
        self._stop = stop
        self._answer: Outcome | None = None  # set by the call's thread, once

    def execute(self) -> Outcome:
        """Send it and return when it has ended, or cannot be ended."""
        caller = threading.Thread(
            target=contextvars.copy_context().run,  # the call belongs to the request's trace
            args=(self._call,),
            name="opencode-sync-gateway-prompt",
            daemon=True,
        )
        caller.start()
        outcome = None
        while outcome is None:
            self._stop.wait_for(self._has_news)
            if self._answer is not None:
                outcome = self._answer
                self._settle(outcome)
            else:
                outcome = self._go_on()
        if self._answer is not None:
            caller.join(_ABORT_TIMEOUT)  # it has nothing left to do
        return outcome

    def _go_on(self) -> Outcome | None:
        """Do what has to be done on the way; returns how the run ended, if it was ended here."""
        why = self._stop.why
        problem: BackendError | None = None
        if self._events.deleted:  # OpenCode's call would go on until the model has answered
            problem = SessionGoneError(self._session_id)
        elif why is None and self._events.is_broken_off:
            why = Why.INCOMPLETE
        elif why is None:
            self._look_up_messages()
            problem = self._answer_questions()
        if why is None and problem is None:
            return None
        return self._end(why, problem)

    def _has_news(self) -> bool:
        events = self._events
        return bool(
            self._answer or events.asks or events.unknown or events.deleted or events.is_broken_off
        )

    def _call(self) -> None:
        path = f"/session/{quote_id(self._session_id)}/message"
        left = self._stop.deadline.remaining()
        deadline = Deadline.after(None if left is None else left + _LONGER)
        try:
            # A connection of its own: minutes long, and never one the server has already let go.
            document = self._binding.call("POST", path, {}, deadline, self._body, fresh=True)
            self._answer = Outcome(document)
        except BackendError as error:
            self._answer = Outcome(error=error)
        except Exception:  # noqa: BLE001 - who waits for the answer must not wait for ever
            self._answer = Outcome(error=server_error("the gateway failed to send the prompt"))
            logger.exception("a prompt's call failed; this is a bug")
        self._stop.ring()

    def _answer_questions(self) -> BackendError | None:
        while self._events.asks:
            ask = self._events.asks.popleft()
            problem = answer(self._binding, ask, self._policy, self._stop.deadline)
            if problem is not None:
                return server_error(
                    f"a question of the run could not be answered ({problem}), so it was aborted"
                )
            logger.debug("A question of a run in {} was answered by policy", self._session_id)
        return None

    def _look_up_messages(self) -> None:
        while self._events.unknown:
            message_id = self._events.unknown.popleft()
            path = f"/session/{quote_id(self._session_id)}/message/{quote_id(message_id)}"
            deadline = self._stop.deadline.earlier(Deadline.after(_LOOK_UP_TIMEOUT))
            try:
                document = self._binding.call("GET", path, {}, deadline)
            except BackendError as error:
                logger.debug("Cannot see whose message {} is: {}", message_id, error.message)
            else:
                self._events.looked_up(document, self._directory)

    # Its end...

    def _settle(self, outcome: Outcome) -> None:
        """Wait a moment until the last events are there."""
        if not self._live:
            return
        events = self._events
        if outcome.error is None:
            self._stop.wait_anyway(self._is_told, Deadline.after(_SETTLE_TIMEOUT))
        elif isinstance(outcome.error, RefusedError):
            self._stop.wait_anyway(
                lambda: events.errors or events.is_over, Deadline.after(_CAUSE_TIMEOUT)
            )

    def _is_told(self) -> bool:
        """Return whether the events have shown the end of the run."""
        if self._events.is_over:
            return True
        answers = [info for info in list(self._events.infos.values()) if "parentID" in info]
        last = answers[-1] if answers else {}
        time = last.get("time")
        completed = isinstance(time, dict) and "completed" in time
        return self._events.idle and (completed or "error" in last or not answers)

    def _end(self, why: Why | None, problem: BackendError | None) -> Outcome:
        """End the run from here.

        Args:
            why: Why it has to end.
            problem: Why it cannot go on.
        """
        until = Deadline.after(_ABORT_TIMEOUT)
        patience, failed = _FIRST_PATIENCE, None
        while self._answer is None and not until.passed():
            failed = self._abort(until)
            self._stop.wait_anyway(lambda: self._answer, until.earlier(Deadline.after(patience)))
            patience *= 2
        if self._answer is None:
            told = f"aborting the run failed: {failed or 'OpenCode goes on with it'}"
            logger.warning("A run in {} may go on in OpenCode: {}", self._session_id, told)
        else:
            told = "the run was aborted"
            self._wait_until_idle(until)
        withdraw(self._binding, list(self._events.open.values()), Deadline.after(_ABORT_TIMEOUT))
        document = self._answer.document if self._answer is not None else None
        if problem is not None:
            return Outcome(document, problem)
        return Outcome(document, None, why, told)

    def _abort(self, deadline: Deadline) -> str | None:
        path = f"/session/{quote_id(self._session_id)}/abort"
        try:
            self._binding.call("POST", path, {}, deadline, fresh=True)
        except BackendError as error:
            return error.message
        return None

    def _wait_until_idle(self, until: Deadline) -> None:
        """Wait until OpenCode has cleaned up: what is sent to it before would be aborted, too."""
        if self._live and self._stop.wait_anyway(
            self._is_told, until.earlier(Deadline.after(_SETTLE_TIMEOUT))
        ):
            return
        where = {"directory": self._directory}
        while not until.passed():
            try:
                status = self._binding.call("GET", "/session/status", where, until)
            except BackendError as error:
                logger.debug("Cannot see whether an aborted run has ended: {}", error.message)
                return
            if not isinstance(status, dict) or self._session_id not in status:
                return
            self._stop.wait_anyway(lambda: False, until.earlier(Deadline.after(_STATUS_PAUSE)))
