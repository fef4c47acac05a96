"""What the backend's events tell the window about sessions, as plain values. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from opencode_sync.errors import IpcServerError
from opencode_sync.messages import event_properties
from opencode_sync.run_events import PermissionAsked, QuestionAsked, run_event
from opencode_sync.streams import EventStream
from opencode_sync.types import IpcEvent, OcSessionInfo
from opencode_sync.wire.ipc_pb2 import IPC_ERROR_CODE_INVALID_MESSAGE

__all__ = [
    "EVENT_TYPES",
    "Answered",
    "Asked",
    "Gap",
    "Reading",
    "SessionChanged",
    "SessionDeleted",
    "Told",
    "Worked",
    "answered_question",
    "is_refusal",
    "told_by",
]

_STATUS: Final = "session.status"
_IDLE: Final = "session.idle"
_DELETED: Final = "session.deleted"
_RESUBSCRIBED: Final = "gateway.resubscribed"
_CHANGED: Final = {"session.created": "session_created", "session.updated": "session_updated"}
_ASKED: Final = frozenset({"permission.asked", "question.asked"})
_ANSWERED: Final = frozenset({"permission.replied", "question.replied", "question.rejected"})

EVENT_TYPES: Final = (
    *_CHANGED,
    _DELETED,
    _STATUS,
    _IDLE,
    *sorted(_ASKED | _ANSWERED),
    _RESUBSCRIBED,
)
"""The types of event that tell something; those of an answer being written come by the hundred."""


@dataclass(frozen=True, slots=True)
class Worked:
    """Whether a session is at work now.

    Attributes:
        session_id: Which.
        busy: Whether it is, whoever has it work.
    """

    session_id: str
    busy: bool


Asked: TypeAlias = PermissionAsked | QuestionAsked
"""One question of either sort."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Nobody waits for an answer to a question any more.

    Attributes:
        question_id: ``Asked.id``.
    """

    question_id: str


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A session as it is now.

    Attributes:
        session: The session.
        is_new: Whether it has just been created.
    """

    session: OcSessionInfo
    is_new: bool


@dataclass(frozen=True, slots=True)
class SessionDeleted:
    """A session is gone.

    Attributes:
        session_id: Which.
    """

    session_id: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Events may be missing here; who is at work and what is open is told again."""


Told: TypeAlias = Worked | Asked | Answered | SessionChanged | SessionDeleted | Gap


def told_by(event: IpcEvent) -> Told | None:
    """Return what an event tells; None for nothing that matters here. Pure."""
    kind = event.type
    if kind == _STATUS:
        busy = _is_busy(event)
        return None if busy is None else Worked(event.session_id, busy)
    if kind == _IDLE:
        return Worked(event.session_id, busy=False)
    if kind in _CHANGED:
        session = getattr(event.event, _CHANGED[kind]).session
        return SessionChanged(session, is_new=kind == "session.created")
    if kind == _DELETED:
        return SessionDeleted(event.event.session_deleted.session_id)
    if kind in _ASKED:
        asked = run_event(event)
        return asked if isinstance(asked, PermissionAsked | QuestionAsked) else None
    if kind == _RESUBSCRIBED:
        return Gap()
    answered = answered_question(event)
    return None if answered is None else Answered(answered)


def answered_question(event: IpcEvent) -> str | None:
    """Return the id of the question to which an event brings the answer; None if it brings none."""
    if event.type not in _ANSWERED:
        return None
    return str(event_properties(event).get("requestID", ""))


def is_refusal(error: BaseException) -> bool:
    """Return whether the backend says by this that there is no such question, or session.

    Any other error leaves open what became of the call.
    """
    return isinstance(error, IpcServerError) and error.code == IPC_ERROR_CODE_INVALID_MESSAGE


def _is_busy(event: IpcEvent) -> bool | None:
    """Return what a status says; None where it says nothing that is known."""
    said = event.event.session_status.status
    if said.WhichOneof("status") is not None:
        return not said.HasField("idle")
    if event.WhichOneof("detail") == "retry":
        return True
    status = event_properties(event).get("status")
    kind = status.get("type") if isinstance(status, dict) else None
    return str(kind) != "idle" if kind else None


class Reading:
    """A stream of events, read as what they tell: by the thread that waits for them.

    What a tool wants to do may be megabytes of JSON, which the Qt thread must not take apart.
    """

    def __init__(self, stream: EventStream) -> None:
        """Read this one, which ``close`` ends."""
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Told:
        while True:
            told = told_by(next(self._stream))
            if told is not None:
                return told

    def close(self) -> None:
        """End the stream; any thread may."""
        self._stream.close()
