"""What a ``ScriptedBackend`` expects, what it does then, and what is wrong if it does not come."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from google.protobuf.message import Message

from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing.answers import Answer, as_answer, said
from opencode_sync.testing.checks import check_count
from opencode_sync.testing.envelope import check_operation, describe, error_answer
from opencode_sync.testing.masking import fields_of
from opencode_sync.wire import ext_event_pb2, ipc_pb2

__all__ = ["Action", "After", "Expectation", "ScriptError"]

After = float | threading.Event | None
"""Seconds until something is done, or what has to be set before; None: at once."""

Kind = str

_NOTHING: Final = "nothing"


class ScriptError(AssertionError):
    """A program under test did not do what a script, or a recording, says."""


@dataclass(frozen=True)
class Action:
    """One thing a backend does about a request.

    Attributes:
        kind: ``"send"``, ``"raw"``, ``"close"``, ``"drop"`` or ``"nothing"``.
        after: When.
        answer: What is sent.
        data: The bytes that are sent as they are.
        code: The close code.
        reason: The close reason.
    """

    kind: Kind
    after: After = None
    answer: Answer | None = None
    data: bytes = b""
    code: int = 1000
    reason: str = ""


class Expectation:
    """A request that is expected, and what becomes of it; made by ``ScriptedBackend.expect``.

    Its methods add one step each, and return it::

        backend.expect("create_session", title="x").answer(session, after=0.1)
        backend.expect("prompt").push("It sells ").push("shoes.").answer("It sells shoes.")

    All steps take ``after``: seconds since the step before, or a ``threading.Event`` that has to be
    set. It is written by one thread before the request comes.
    """

    def __init__(self, operation: str, directory: str | None, fields: Mapping[str, Any]) -> None:
        """Expect a request; the arguments are those of ``ScriptedBackend.expect``.

        Raises:
            IpcArgumentError: there is no such operation, or it has no such field.
        """
        self.operation = check_operation(operation)
        self.fields = dict(fields)
        self.directory = directory
        self.actions: list[Action] = []
        self.wanted = 1
        self.came = 0
        payload = getattr(ipc_pb2.IpcClientMessage(), self.operation)
        known = payload.DESCRIPTOR.fields_by_name
        if directory is not None and "directory" in known:
            self.fields["directory"], self.directory = directory, None
        for name in self.fields:
            if name not in known:
                raise IpcArgumentError(
                    f"fields has {name!r}, which {self.operation} has not; give some of "
                    f"{', '.join(known) or 'none: it has no fields'}",
                    field="fields",
                )

    # --- What it does ---

    def answer(self, message: Answer, *, after: After = None) -> Self:
        """Answer with what the client's method returns, or the message that it makes that of.

        Args:
            message: ``True``, a list of sessions, a session, None, ...; to a prompt also a ``str``,
                which is what the model says: a stream gets it as one ``TextDelta`` before the
                result, unless text was pushed to it. Or a function that returns one of these, and
                is called with the request's payload.
            after: See the class.

        Raises:
            IpcArgumentError: that is no answer to this operation. What a function returns is looked
                at when the request has come, and fails it and the script.
        """
        return self._send(message, after)

    def push(self, *events: Message | str, after: After = None) -> Self:
        """Send events before the answer: to a prompt, or to a subscription.

        A ``str`` is a piece of what the model says to a prompt. A subscription is confirmed by
        itself before the first.

        Raises:
            IpcArgumentError: that is no push of this operation's.
        """
        for event in events:
            if not isinstance(event, str):
                self._send(event, after)
            elif self.operation == "prompt":
                self._send(partial(said, event), after)
            else:
                raise IpcArgumentError(
                    f"events holds the text {event!r:.60}, which {self.operation} does not push; "
                    "give an IpcEvent",
                    field="events",
                )
            after = None
        return self

    def error(
        self, code: int | str, message: str = "it went wrong", *, after: After = None
    ) -> Self:
        """Answer that it failed: ``"NO_SERVER"``, ``"SERVER_ERROR"``, ... or a number."""
        return self._send(error_answer(code, message), after)

    def raw(self, data: bytes, *, after: After = None) -> Self:
        """Send bytes as they are, which need not be a message."""
        return self._add(Action("raw", after, data=data))

    def nothing(self) -> Self:
        """Do not answer."""
        return self._add(Action(_NOTHING))

    def close(self, code: int = 1000, reason: str = "", *, after: After = None) -> Self:
        """End the connection politely."""
        return self._add(Action("close", after, code=code, reason=reason))

    def drop(self, *, after: After = None) -> Self:
        """End the connection without a word, as a backend that is killed does."""
        return self._add(Action("drop", after))

    def times(self, count: int) -> Self:
        """Expect it so often, each time with the same steps.

        Raises:
            IpcArgumentError: that is no number of times.
        """
        check_count("count", count)
        self.wanted = count
        return self

    def __repr__(self) -> str:
        return f"<Expectation {self}, came {self.came} of {self.wanted}>"

    def __str__(self) -> str:
        return describe(self.operation, self.fields, self.directory or "")

    # --- For the backend ---

    @property
    def met(self) -> bool:
        """Whether it has come as often as it should."""
        return self.came >= self.wanted

    def matches(self, operation: str, payload: Message, directory: str) -> bool:
        """Return whether a request is the one that is expected."""
        return (
            operation == self.operation
            and self.directory in (None, directory)
            and all(_same(getattr(payload, name), value) for name, value in self.fields.items())
        )

    def _send(self, message: Answer, after: After) -> Self:
        if not callable(message):
            sent = as_answer(self.operation, message)
            if not isinstance(message, str):  # what the model says is said in the request's session
                message = sent
        if self.operation == "subscribe" and not self.actions and _is_push(message):
            self._add(Action("send", after, answer=ext_event_pb2.IpcSubscribed()))
            after = None
        return self._add(Action("send", after, answer=message))

    def _add(self, action: Action) -> Self:
        after = action.after
        is_time = isinstance(after, int | float) and not isinstance(after, bool) and after >= 0
        if not (after is None or is_time or isinstance(after, threading.Event)):
            raise IpcArgumentError(
                f"after is {after!r:.60}; give seconds, or a threading.Event", field="after"
            )
        self.actions.append(action)
        return self


def shown(operation: str, payload: Message, directory: str) -> str:
    """Return a request as a line for people, without its secrets."""
    return describe(operation, fields_of(payload), directory)


def _is_push(message: Answer) -> bool:
    return isinstance(message, ext_event_pb2.IpcEventPush | ext_event_pb2.IpcSubscriptionEnd)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return list(value) == list(wanted)
    return bool(value == wanted)
