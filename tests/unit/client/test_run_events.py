"""What a push of a run becomes for who reads the stream."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from opencode_sync import (
    IpcArgumentError,
    MessageUpdate,
    OtherEvent,
    PermissionAsked,
    QuestionAsked,
    QuestionItem,
    QuestionOption,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    ToolUpdate,
)
from opencode_sync.run_events import run_event
from opencode_sync.types import IpcEvent, event_properties
from opencode_sync.wire import oc_event_pb2, oc_message_part_pb2, oc_message_pb2
from tests.support import backend as b


def read(payload: b.Payload) -> Any:
    return run_event(payload["event"].event)


def test_deltas_are_told_apart() -> None:
    assert read(b.delta("Hi")) == TextDelta("Hi", "ses_1", "msg_1", "prt_1")
    assert read(b.delta("Hm", "reasoning")) == ReasoningDelta("Hm", "ses_1", "msg_1", "prt_1")
    assert read(b.delta("Hi", "")) == TextDelta("Hi", "ses_1", "msg_1", "prt_1")
    assert isinstance(read(b.delta("?", "a kind of the future")), OtherEvent)


def test_a_delta_without_a_session_has_its_events() -> None:
    payload = b.delta("Hi")
    payload["event"].event.delta.session_id = ""
    assert read(payload).session_id == "ses_1"


@pytest.mark.parametrize(
    ("next_at", "expected"),
    [
        (0, None),
        (-5, None),
        (1_000, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        (2**62, None),  # outside the calendar
    ],
)
def test_a_retry(next_at: int, expected: datetime | None) -> None:
    assert read(b.retry(2, "429", next_at)) == RetryScheduled(2, "429", expected, "ses_1")


def test_a_permission_question() -> None:
    asked = read(b.permission_asked())
    assert asked == PermissionAsked(
        id="per_1",
        permission="bash",
        patterns=("ls",),
        metadata={"command": "ls"},
        tool_call_id="call_1",
        session_id="ses_1",
        directory="/project",
    )
    hash(asked)


def test_opencodes_own_json_says_more_than_the_struct() -> None:
    payload = b.permission_asked(properties_json='{"metadata": {"size": 9007199254740993}}')
    assert read(payload).metadata == {"size": 9007199254740993}


@pytest.mark.parametrize("document", ["", "{", "[]", '{"metadata": 5}', "[" * 100_000])
def test_a_document_that_says_nothing_leaves_the_struct(document: str) -> None:
    payload = b.permission_asked(properties_json=document)
    assert read(payload).metadata == {"command": "ls"}


def test_a_permission_question_of_a_backend_that_says_little() -> None:
    payload = b.permission_asked()
    request = payload["event"].event.event.permission_asked.request
    request.ClearField("patterns")
    assert read(payload).patterns == ("ls",)
    request.action = ""
    assert read(payload).patterns == ()


def test_a_question() -> None:
    options = (QuestionOption("red", ""), QuestionOption("blue", ""))
    item = QuestionItem("h", "Which colour?", options, multiple=False, custom=True)
    assert read(b.question_asked()) == QuestionAsked("que_1", (item,), "ses_1", "/project")


@pytest.mark.parametrize("status", ["pending", "running", "completed", "error"])
def test_a_tool_call(status: str) -> None:
    update = read(b.tool_updated(status))
    assert isinstance(update, ToolUpdate)
    assert (update.session_id, update.message_id) == ("ses_1", "msg_1")
    assert (update.call.id, update.call.name, update.call.status) == ("prt_9", "bash", status)
    assert update.call.call_id == "call_1"


def test_a_tool_call_that_does_not_say_where_it_stands() -> None:
    payload = b.tool_updated()
    payload["event"].event.event.message_part_updated.part.tool.ClearField("state")
    call = read(payload).call
    assert (call.status, call.call_id) == ("unknown", "call_1")


def test_a_message() -> None:
    message = oc_message_pb2.OcMessage(
        assistant=oc_message_pb2.OcAssistantMessage(id="msg_1", text="Hi")
    )
    updated = oc_event_pb2.OcMessageUpdatedEvent(message=message)
    event = IpcEvent(session_id="ses_1", event=oc_event_pb2.OcEvent(message_updated=updated))
    assert run_event(event) == MessageUpdate(message, "ses_1")


def test_everything_else_is_handed_on() -> None:
    part = oc_message_part_pb2.OcPart(text=oc_message_part_pb2.OcTextPart(text="whole"))
    updated = oc_event_pb2.OcMessagePartUpdatedEvent(part=part)
    for event in (
        IpcEvent(type="a.kind.of.the.future", properties_json='{"a": 1}'),
        IpcEvent(event=oc_event_pb2.OcEvent(message_part_updated=updated)),
        IpcEvent(),
    ):
        assert run_event(event) == OtherEvent(event)


@pytest.mark.parametrize(
    "payload",
    [
        b.delta("x"),
        b.retry(),
        b.permission_asked(),
        b.question_asked(),
        b.tool_updated(),
        b.event("x"),
    ],
    ids=["delta", "retry", "permission", "question", "tool", "other"],
)
def test_events_can_be_kept_and_sent(payload: b.Payload) -> None:
    seen = read(payload)
    assert pickle.loads(pickle.dumps(seen)) == copy.deepcopy(seen) == seen


# --- event_properties ---


def test_the_properties_are_opencodes_own() -> None:
    event = IpcEvent(properties_json='{"sessionID": "ses_1", "n": 9007199254740993}')
    assert event_properties(event) == {"sessionID": "ses_1", "n": 9007199254740993}


def test_those_of_a_delta_are_made_of_it() -> None:
    assert event_properties(b.delta("Hi")["event"].event) == {
        "sessionID": "ses_1",
        "messageID": "msg_1",
        "partID": "prt_1",
        "field": "text",
        "delta": "Hi",
    }


@pytest.mark.parametrize("document", ["", "nonsense", "[1]", "null", "[" * 100_000])
def test_no_properties_are_an_empty_dict(document: str) -> None:
    assert event_properties(IpcEvent(properties_json=document)) == {}


def test_only_an_event_has_properties() -> None:
    with pytest.raises(IpcArgumentError, match="event") as caught:
        event_properties({"type": "x"})  # type: ignore[arg-type]
    assert caught.value.field == "event"
