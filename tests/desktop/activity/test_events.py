"""What the backend's events tell of sessions: read once, by the thread that waits for them."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from opencode_sync.desktop.activity.events import (
    EVENT_TYPES,
    Answered,
    Gap,
    Reading,
    SessionChanged,
    SessionDeleted,
    Worked,
    told_by,
)
from opencode_sync.errors import IpcSlowConsumerError
from opencode_sync.run_events import PermissionAsked, QuestionAsked
from opencode_sync.types import IpcEvent
from opencode_sync.wire.ext_event_pb2 import IpcRetry
from opencode_sync.wire.oc_event_pb2 import OcEvent
from tests.support import backend as b


def event(kind: str, session_id: str = "ses_1", **said: object) -> IpcEvent:
    return IpcEvent(type=kind, session_id=session_id, properties_json=json.dumps(said))


def pushed(push: dict[str, Any]) -> IpcEvent:
    """The event of a push of ``tests.support.backend``."""
    made = push["event"].event
    assert isinstance(made, IpcEvent)
    return made


@pytest.mark.parametrize(
    ("status", "busy"),
    [
        (event("session.status", status={"type": "busy"}), True),
        (event("session.status", status={"type": "retry"}), True),
        (event("session.status", status={"type": "one to come"}), True),
        (event("session.status", status={"type": "idle"}), False),
        (event("session.idle"), False),
    ],
)
def test_a_status_says_whether_a_session_is_at_work(status: IpcEvent, busy: bool) -> None:
    assert told_by(status) == Worked("ses_1", busy)


@pytest.mark.parametrize(("kind", "busy"), [("thinking", True), ("idle", False)])
def test_a_status_in_the_schemas_terms_needs_no_json(kind: str, busy: bool) -> None:
    said = OcEvent(session_status={"session_id": "ses_1", "status": {kind: {"status": kind}}})
    status = IpcEvent(type="session.status", session_id="ses_1", event=said)
    assert told_by(status) == Worked("ses_1", busy)


def test_a_session_whose_provider_refuses_is_at_work() -> None:
    again = IpcEvent(type="session.status", session_id="ses_1", retry=IpcRetry(attempt=1))
    assert told_by(again) == Worked("ses_1", True)


@pytest.mark.parametrize("said", [{}, {"status": "x"}, {"status": {}}, {"status": {"type": ""}}])
def test_a_status_that_says_nothing_tells_nothing(said: dict[str, object]) -> None:
    assert told_by(event("session.status", **said)) is None


def test_what_is_asked_comes_whole() -> None:
    permission = told_by(pushed(b.permission_asked("per_7")))
    assert isinstance(permission, PermissionAsked)
    assert (permission.id, permission.patterns, permission.directory) == (
        "per_7",
        ("ls",),
        "/project",
    )
    question = told_by(pushed(b.question_asked("que_7", "Which colour?")))
    assert isinstance(question, QuestionAsked)
    assert question.items[0].question == "Which colour?"


@pytest.mark.parametrize("kind", ["permission.replied", "question.replied", "question.rejected"])
def test_an_answer_names_its_question(kind: str) -> None:
    assert told_by(event(kind, requestID="per_7")) == Answered("per_7")
    assert told_by(event(kind)) == Answered("")


def test_sessions_come_and_change_and_go() -> None:
    changed = IpcEvent(type="session.updated")
    changed.event.session_updated.session.title = "Another"
    told = told_by(changed)
    assert isinstance(told, SessionChanged)
    assert (told.session.title, told.is_new) == ("Another", False)
    made = told_by(IpcEvent(type="session.created"))
    assert isinstance(made, SessionChanged)
    assert made.is_new
    gone = IpcEvent(type="session.deleted")
    gone.event.session_deleted.session_id = "ses_9"
    assert told_by(gone) == SessionDeleted("ses_9")


def test_a_gap_is_told() -> None:
    assert told_by(IpcEvent(type="gateway.resubscribed")) == Gap()


def test_other_events_tell_nothing_and_are_not_asked_for() -> None:
    """Those of an answer being written come by the hundred, and are the chat's."""
    assert told_by(event("message.updated", status={"type": "busy"})) is None
    assert told_by(event("permission.asked")) is None  # without what is asked
    assert {kind.partition(".")[0] for kind in EVENT_TYPES} == {
        "session",
        "permission",
        "question",
        "gateway",
    }


class Stream:
    """Brings these, and then ends."""

    def __init__(self, *brought: IpcEvent | Exception) -> None:
        self._brought = iter(brought)
        self.closed = 0

    def __next__(self) -> IpcEvent:
        brought = next(self._brought)
        if isinstance(brought, Exception):
            raise brought
        return brought

    def close(self) -> None:
        self.closed += 1


def test_a_reading_passes_over_what_tells_nothing_and_goes_on_after_a_loss() -> None:
    loss = IpcSlowConsumerError("3 events are missing", missed=3)
    stream = Stream(event("message.updated"), event("session.idle"), loss, event("session.idle"))
    with closing(Reading(stream)) as reading:  # type: ignore[arg-type]
        told = iter(reading)
        assert next(told) == Worked("ses_1", False)
        with pytest.raises(IpcSlowConsumerError):
            next(told)
        assert list(told) == [Worked("ses_1", False)]
    assert stream.closed == 1
