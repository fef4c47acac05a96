"""What happens while the agent works, as plain values: the events of a prompt's run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from opencode_sync.errors import IpcArgumentError
from opencode_sync.messages import ToolCall, event_properties, struct_to_dict, tool_call
from opencode_sync.times import to_datetime
from opencode_sync.wire.ext_event_pb2 import IpcDelta, IpcEvent, IpcQuestion, IpcRetry
from opencode_sync.wire.oc_message_pb2 import OcMessage

__all__ = [
    "MessageUpdate",
    "OtherEvent",
    "PermissionAsked",
    "PermissionReply",
    "QuestionAsked",
    "QuestionItem",
    "QuestionOption",
    "ReasoningDelta",
    "RetryScheduled",
    "RunEvent",
    "TextDelta",
    "ToolUpdate",
    "retry_scheduled",
    "run_event",
]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of an answer's text, just written.

    Attributes:
        text: What was added.
        session_id: The run's session, or one below it where another agent works for it.
        message_id: The message it belongs to.
        part_id: The message's part it belongs to.
    """

    text: str
    session_id: str
    message_id: str
    part_id: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's reasoning; its attributes are those of ``TextDelta``."""

    text: str
    session_id: str
    message_id: str
    part_id: str


@dataclass(frozen=True, slots=True)
class ToolUpdate:
    """A tool call was begun, or went on, or ended.

    Attributes:
        call: The call as it is now; ``call.id`` stays the same.
        session_id: The run's session, or one below it.
        message_id: The message it belongs to.
    """

    call: ToolCall
    session_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class MessageUpdate:
    """A message is new, or has changed. Its parts come in events of their own.

    Attributes:
        message: The message, as a rule without its parts.
        session_id: The run's session, or one below it.
    """

    message: OcMessage
    session_id: str


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The model's provider refused, and OpenCode will try again.

    Attributes:
        attempt: 1 for the first repetition.
        message: Why.
        next_at: When, in UTC; None where the backend did not say.
        session_id: The run's session, or one below it.
    """

    attempt: int
    message: str
    next_at: datetime | None
    session_id: str


@dataclass(frozen=True, slots=True)
class PermissionAsked:
    """A tool asks whether it may do something, and the run waits for the answer.

    Attributes:
        id: What ``client.reply_permission`` has to name.
        permission: What is asked for: ``"bash"``, ``"edit"``, ``"external_directory"``, ...
        patterns: To what it applies, for example the command line.
        metadata: What else the tool says, under OpenCode's own names.
        tool_call_id: The ``call_id`` of the ``ToolCall`` that asks; "" where there is none.
        session_id: The run's session, or one below it.
        directory: The project folder; "" where the backend did not say.
    """

    id: str
    permission: str
    patterns: tuple[str, ...]
    metadata: dict[str, Any] = field(hash=False)
    tool_call_id: str
    session_id: str
    directory: str


@dataclass(frozen=True, slots=True)
class QuestionOption:
    """One of the answers that are offered.

    Attributes:
        label: The answer itself.
        description: What it means, for people.
    """

    label: str
    description: str


@dataclass(frozen=True, slots=True)
class QuestionItem:
    """One of the questions that are asked together.

    Attributes:
        header: A short title.
        question: The question itself.
        options: The answers that are offered.
        multiple: Whether more than one may be chosen.
        custom: Whether an answer that is not offered is welcome.
    """

    header: str
    question: str
    options: tuple[QuestionOption, ...]
    multiple: bool
    custom: bool


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """The model asks the user something, and the run waits for the answer.

    Attributes:
        id: What ``client.reply_question`` has to name.
        items: The questions; each gets an answer of its own.
        session_id: The run's session, or one below it.
        directory: The project folder; "" where the backend did not say.
    """

    id: str
    items: tuple[QuestionItem, ...]
    session_id: str
    directory: str


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """Any other event of the run; ``event_properties`` of ``opencode_sync.types`` reads it.

    Attributes:
        event: The event as it came.
    """

    event: IpcEvent


RunEvent: TypeAlias = (
    TextDelta
    | ReasoningDelta
    | ToolUpdate
    | MessageUpdate
    | RetryScheduled
    | PermissionAsked
    | QuestionAsked
    | OtherEvent
)
"""What a ``PromptStream`` yields."""


@dataclass(frozen=True, slots=True)
class PermissionReply:
    """The answer to a permission question, where the word alone does not say enough.

    Attributes:
        reply: ``"once"``, ``"always"`` (from now on, in every session of the project) or
            ``"reject"``.
        message: With ``"reject"``: what the model is told, and the run goes on. Without it the run
            ends there.
    """

    reply: Literal["once", "always", "reject"]
    message: str | None = None


def run_event(event: IpcEvent) -> RunEvent:
    """Return an event of the wire as what a ``PromptStream`` yields. Pure."""
    detail = event.WhichOneof("detail")
    if detail == "delta":
        return _delta(event, event.delta)
    if detail == "retry":
        return retry_scheduled(event.retry)
    if detail == "question":
        return _question(event, event.question)
    kind = event.event.WhichOneof("event")
    if kind == "permission_asked":
        return _permission(event)
    if kind == "message_updated":
        updated = event.event.message_updated
        return MessageUpdate(updated.message, updated.session_id or event.session_id)
    if kind == "message_part_updated":
        changed = event.event.message_part_updated
        if changed.part.WhichOneof("part") == "tool":
            part = changed.part.tool
            return ToolUpdate(
                tool_call(part),
                changed.session_id or event.session_id,
                changed.message_id or part.message_id,
            )
    return OtherEvent(event)


def retry_scheduled(retry: IpcRetry) -> RetryScheduled:
    """Return a retry of the wire as a plain value."""
    next_at: datetime | None = None
    if retry.next_at > 0:
        try:
            next_at = to_datetime(retry.next_at)
        except IpcArgumentError:
            next_at = None  # outside the calendar, so nobody can have meant it
    return RetryScheduled(retry.attempt, retry.message, next_at, retry.session_id)


def _delta(event: IpcEvent, delta: IpcDelta) -> RunEvent:
    session_id = delta.session_id or event.session_id
    if delta.part_type == "reasoning":
        return ReasoningDelta(delta.text, session_id, delta.message_id, delta.part_id)
    if delta.part_type in ("text", ""):
        return TextDelta(delta.text, session_id, delta.message_id, delta.part_id)
    return OtherEvent(event)


def _permission(event: IpcEvent) -> PermissionAsked:
    asked = event.event.permission_asked
    request = asked.request
    # OpenCode's own JSON has all digits of large numbers, which the schema's Struct has not.
    metadata = event_properties(event).get("metadata")
    return PermissionAsked(
        id=request.id,
        permission=request.permission,
        patterns=tuple(request.patterns) or ((request.action,) if request.action else ()),
        metadata=metadata if isinstance(metadata, dict) else struct_to_dict(request.tool.input),
        tool_call_id=request.call_id,
        session_id=asked.session_id or event.session_id,
        directory=event.directory,
    )


def _question(event: IpcEvent, question: IpcQuestion) -> QuestionAsked:
    items = tuple(
        QuestionItem(
            header=item.header,
            question=item.question,
            options=tuple(QuestionOption(each.label, each.description) for each in item.options),
            multiple=item.multiple,
            custom=item.custom,
        )
        for item in question.items
    )
    return QuestionAsked(
        question.id, items, question.session_id or event.session_id, event.directory
    )
