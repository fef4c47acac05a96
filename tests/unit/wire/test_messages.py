"""The helpers for messages: text, tool calls, cost, tokens, errors, plain Python."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value

from opencode_sync import types
from opencode_sync.errors import IpcArgumentError
from opencode_sync.types import (
    MessageTokens,
    OcApiError,
    OcAssistantMessage,
    OcMessage,
    OcMessageError,
    OcPart,
    OcReasoningPart,
    OcTextPart,
    OcTokenUsage,
    OcToolPart,
    OcToolState,
    OcToolStateCompleted,
    OcToolStateError,
    OcToolStatePending,
    OcToolStateRunning,
    OcToolTime,
    OcToolTimeWithEnd,
    OcUnknownError,
    OcUserMessage,
    ToolCall,
    is_assistant,
    message_cost,
    message_error,
    message_text,
    message_tokens,
    struct_to_dict,
    tool_calls,
)

HELPERS = [is_assistant, message_text, tool_calls, message_cost, message_tokens, message_error]
USER = OcMessage(user=OcUserMessage(id="msg_1", text="a question"))


def text(content: str, *, synthetic: bool | None = None) -> OcPart:
    return OcPart(text=OcTextPart(type="text", text=content, synthetic=synthetic))


def assistant(*parts: OcPart, **fields: Any) -> OcMessage:
    return OcMessage(assistant=OcAssistantMessage(parts=parts, **fields))


def struct(**values: Any) -> Struct:
    made = Struct()
    made.update(values)
    return made


def call_of(state: OcToolState) -> ToolCall:
    (call,) = tool_calls(
        assistant(OcPart(tool=OcToolPart(id="prt_1", type="tool", name="bash", state=state)))
    )
    return call


def test_whose_a_message_is() -> None:
    assert is_assistant(assistant())
    assert not is_assistant(USER)
    assert not is_assistant(OcMessage())


# --- Text ---


def test_the_text_is_the_backends_own_where_it_gave_one() -> None:
    assert message_text(assistant(text("a part"), text="the whole")) == "the whole"
    assert message_text(USER) == "a question"


def test_otherwise_it_is_that_of_the_parts_without_what_opencode_added() -> None:
    thought = OcPart(reasoning=OcReasoningPart(text="hm"))
    parts = [text("One "), thought, text("(reminder)", synthetic=True), OcPart(), text("two.")]
    assert message_text(assistant(*parts)) == "One two."
    assert message_text(assistant(text("kept", synthetic=False))) == "kept"
    assert message_text(OcMessage(user=OcUserMessage(parts=[text("a"), text("b")]))) == "ab"


def test_no_text_is_an_empty_one() -> None:
    for message in (OcMessage(), assistant(), assistant(OcPart(tool=OcToolPart()))):
        assert message_text(message) == ""


# --- Tool calls ---


def test_a_completed_call() -> None:
    state = OcToolStateCompleted(
        status="completed",
        input=struct(command="ls", timeout=5, nested={"apiKey": [1, True, None, "x"]}),
        output="a.txt\n",
        title="List",
        time=OcToolTimeWithEnd(start=1_000, end=2_500),
    )
    assert call_of(OcToolState(completed=state)) == ToolCall(
        id="prt_1",
        name="bash",
        status="completed",
        input={"command": "ls", "timeout": 5, "nested": {"apiKey": [1, True, None, "x"]}},
        output="a.txt\n",
        error=None,
        title="List",
        started=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
        ended=datetime(1970, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC),
    )


def test_a_call_that_failed() -> None:
    state = OcToolStateError(
        status="error",
        input=struct(filePath="/nowhere"),
        error="File not found",
        time=OcToolTimeWithEnd(start=1_000, end=1_000),
    )
    call = call_of(OcToolState(error=state))
    assert (call.status, call.output, call.error) == ("error", None, "File not found")
    assert call.input == {"filePath": "/nowhere"}
    assert call.title is None
    assert call.ended == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_call_without_output_has_an_empty_one_once_it_is_completed() -> None:
    assert call_of(OcToolState(completed=OcToolStateCompleted())).output == ""


def test_a_call_that_is_under_way() -> None:
    running = OcToolStateRunning(input=struct(a=1), title="Run", time=OcToolTime(start=1_000))
    call = call_of(OcToolState(running=running))
    assert (call.status, call.title, call.input) == ("running", "Run", {"a": 1})
    assert call.started == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert (call.output, call.error, call.ended) == (None, None, None)

    call = call_of(OcToolState(pending=OcToolStatePending(raw='{"a":')))
    assert call == ToolCall("prt_1", "bash", "pending", {})


def test_a_call_in_a_state_that_nobody_knows() -> None:
    assert call_of(OcToolState()) == ToolCall("prt_1", "bash", "unknown", {})


def test_a_time_outside_the_calendar_is_none() -> None:
    state = OcToolStateCompleted(time=OcToolTimeWithEnd(start=2**62, end=1_000))
    call = call_of(OcToolState(completed=state))
    assert call.started is None
    assert call.ended is not None


def test_calls_come_in_their_order_and_other_parts_are_passed_over() -> None:
    parts = [OcPart(tool=OcToolPart(name=name)) for name in ("read", "edit")]
    calls = tool_calls(assistant(text("x"), parts[0], OcPart(), parts[1]))
    assert [call.name for call in calls] == ["read", "edit"]
    assert tool_calls(USER) == tool_calls(OcMessage()) == []


def test_results_cannot_be_changed() -> None:
    for result in (ToolCall("a", "b", "c", {}), MessageTokens()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, dataclasses.fields(result)[0].name, "other")


# --- Cost and tokens ---


def test_cost_and_tokens_of_an_answer() -> None:
    usage = OcTokenUsage(input=60, output=15, cache_read=40)
    message = assistant(cost=0.00012, tokens=usage)
    assert message_cost(message) == 0.00012
    assert message_tokens(message) == MessageTokens(60, 15, 40, 0)
    assert message_tokens(message).total == 115


@pytest.mark.parametrize("message", [USER, OcMessage(), assistant()])
def test_what_has_no_cost_is_free(message: OcMessage) -> None:
    assert message_cost(message) == 0.0
    assert message_tokens(message) == MessageTokens(0, 0, 0, 0)


# --- Errors ---


@pytest.mark.parametrize("message", [USER, OcMessage(), assistant()])
def test_what_did_not_fail_has_no_error(message: OcMessage) -> None:
    before = message.SerializeToString()
    assert message_error(message) is None
    assert message.SerializeToString() == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OcMessageError(api=OcApiError(name="APIError", message="bad key", status=401)),
            "APIError: bad key (status 401)",
        ),
        (
            OcMessageError(api=OcApiError(name="APIError", message="cannot connect")),
            "APIError: cannot connect",
        ),
        (
            OcMessageError(unknown=OcUnknownError(name="ContextOverflowError", message="full")),
            "ContextOverflowError: full",
        ),
        (OcMessageError(unknown=OcUnknownError(message="only this")), "only this"),
        (OcMessageError(unknown=OcUnknownError(name="Odd")), "Odd"),
        (OcMessageError(aborted=types.OcAbortedError()), "aborted"),
        (OcMessageError(), "the answer failed, and the backend did not say why"),
    ],
)
def test_an_answer_that_failed_says_why(error: OcMessageError, said: str) -> None:
    assert message_error(assistant(text("half an ans"), error=error)) == said


# --- Plain Python ---


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.0, 0),
        (-0.0, 0),
        (3.0, 3),
        (-7.0, -7),
        (2.5, 2.5),
        (2.0**53, 2**53),
        (2.0**53 + 2, 2.0**53 + 2),
        (1e300, 1e300),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
    ],
)
def test_whole_numbers_are_ints_again(number: float, expected: float) -> None:
    (result,) = struct_to_dict(struct(n=number)).values()
    assert result == expected
    assert type(result) is type(expected)


def test_no_number_at_all_stays_one() -> None:
    assert math.isnan(struct_to_dict(struct(n=math.nan))["n"])


def test_every_kind_of_value_and_none() -> None:
    made = struct(s="x", b=False, n=None, l=[[], {}, [1.5]], d={"": {"sessionID": 1}})
    made.fields["nothing"].CopyFrom(Value())
    assert struct_to_dict(made) == {
        "s": "x",
        "b": False,
        "n": None,
        "l": [[], {}, [1.5]],
        "d": {"": {"sessionID": 1}},
        "nothing": None,
    }
    assert struct_to_dict(made)["b"] is False
    assert struct_to_dict(Struct()) == {}


def test_the_result_is_a_copy() -> None:
    made = struct(inner={"a": [1]})
    struct_to_dict(made)["inner"]["a"].append(2)
    assert struct_to_dict(made) == {"inner": {"a": [1]}}


@pytest.mark.parametrize("helper", HELPERS, ids=lambda helper: helper.__name__)
@pytest.mark.parametrize("wrong", [None, "text", OcAssistantMessage(), {"user": {}}])
def test_anything_but_a_message_is_refused_by_name(helper: Any, wrong: Any) -> None:
    with pytest.raises(IpcArgumentError, match=type(wrong).__name__) as caught:
        helper(wrong)
    assert caught.value.field == "message"


def test_anything_but_a_struct_is_refused_by_name() -> None:
    with pytest.raises(IpcArgumentError, match="dict") as caught:
        struct_to_dict({})  # type: ignore[arg-type]
    assert caught.value.field == "struct"
