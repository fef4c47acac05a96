"""What the model of a fake client does when it is prompted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opencode_sync import (
    IpcCancelledError,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    MessageUpdate,
    PermissionAsked,
    QuestionAsked,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    ToolUpdate,
)
from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing import (
    AskPermission,
    AskQuestion,
    Fail,
    FakeIpcClient,
    Gate,
    Pause,
    Retry,
    Say,
    Think,
    UseTool,
)
from opencode_sync.types import OcSessionInfo, message_error, message_text

WAIT = 20.0


@pytest.fixture
def fake() -> Iterator[FakeIpcClient]:
    with FakeIpcClient() as connected:
        yield connected


@pytest.fixture
def session(fake: FakeIpcClient) -> OcSessionInfo:
    return fake.create_session("x")


def test_every_step_is_seen_by_the_stream_and_in_the_result(
    fake: FakeIpcClient, session: OcSessionInfo
) -> None:
    fake.answer_prompt(
        Think("hm"),
        "It ",
        Say("works."),
        UseTool("bash", {"command": "ls"}, output="a.py"),
        UseTool("edit", error="no such file"),
        Retry("slow down"),
        cost=0.5,
        structured={"ok": True},
    )
    with fake.stream_prompt(session.id, "Does it work?", schema={"type": "object"}) as stream:
        events = list(stream)
        result = stream.result(WAIT)
    assert [type(each) for each in events] == [
        MessageUpdate,
        ReasoningDelta,
        TextDelta,
        TextDelta,
        *[ToolUpdate] * 4,
        RetryScheduled,
        MessageUpdate,
    ]
    assert [each.text for each in events if isinstance(each, TextDelta)] == ["It ", "works."]
    calls = [each.call for each in events if isinstance(each, ToolUpdate)]
    assert [each.status for each in calls] == ["running", "completed", "running", "error"]
    assert (calls[1].input, calls[1].output, calls[3].error) == (
        {"command": "ls"},
        "a.py",
        "no such file",
    )
    assert (result.text, result.cost, result.structured) == ("It works.", 0.5, {"ok": True})
    assert [each.name for each in result.tool_calls] == ["bash", "edit"]
    assert (result.tokens.input, result.tokens.output) == (3, 2)
    assert [each.message for each in result.retries] == ["slow down"]


def test_answers_are_for_one_prompt_each_in_their_order(
    fake: FakeIpcClient, session: OcSessionInfo
) -> None:
    fake.answer_prompt("first")
    fake.answer_prompt("for all", to="again", repeat=True)
    fake.answer_prompt("second")
    texts = ["again", "x", "again", "y", "z"]
    said = [fake.prompt(session.id, text).text for text in texts]
    assert said == ["first", "second", "for all", "You said: y", "You said: z"]


def test_the_conversation_is_kept(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    fake.prompt(session.id, "one", agent="plan", system="Be brief.", model="p/m")
    fake.prompt(session.id, "two")
    messages = fake.list_messages(session.id)
    assert [message_text(each) for each in messages] == [
        "one",
        "You said: one",
        "two",
        "You said: two",
    ]
    assert (messages[0].user.agent, messages[0].user.system) == ("plan", "Be brief.")
    assert messages[1].assistant.model.model_id == "m"
    assert messages[1].assistant.parent_id == messages[0].user.id
    assert len(fake.list_messages(session.id, limit=1)) == 1
    assert fake.get_session(session.id).time.updated > session.time.updated


def test_send_message_returns_the_last_message(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    names = {"model_id": "m", "provider_id": "p"}
    assert message_text(fake.send_message(session.id, "Hi", **names)) == "You said: Hi"
    fake.answer_prompt("Half", Fail("api", "overloaded", status=529))
    failed = fake.send_message(session.id, "Hi", **names)
    assert message_error(failed) == "api: overloaded (status 529)"
    with pytest.raises(IpcServerError, match="no session"):
        fake.send_message("ses_none", "Hi", **names)


def test_a_failure_has_its_details(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    fake.answer_prompt("Half", Fail("rate_limited", "wait", status=429, retryable=True), "unsaid")
    with pytest.raises(IpcPromptError, match="wait") as caught:
        fake.prompt(session.id, "x")
    error = caught.value
    assert (error.kind, error.status, error.retryable) == ("rate_limited", 429, True)
    assert error.partial.text == "Half"


def test_an_unknown_session_fails_as_the_gateways_does(fake: FakeIpcClient) -> None:
    with pytest.raises(IpcPromptError) as caught:
        fake.prompt("ses_none", "x")
    assert caught.value.kind == "unknown_session"


# --- Questions ---


@pytest.mark.parametrize(
    ("policy", "said"), [("once", "yes"), ("always", "yes"), ("reject", "no"), (None, "no")]
)
def test_a_policy_answers_permissions(
    fake: FakeIpcClient, session: OcSessionInfo, policy: str | None, said: str
) -> None:
    fake.answer_prompt(AskPermission("bash", ["rm"], allowed=["yes"], rejected=["no"]), ".")
    result = fake.prompt(session.id, "x", on_permission=policy)  # type: ignore[arg-type]
    assert result.text == f"{said}."


def test_questions_within_answers(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    inner = AskPermission("edit", allowed=["both"], rejected=["one"])
    fake.answer_prompt(AskPermission("bash", allowed=[inner, "!"]), "?")
    with fake.stream_prompt(session.id, "x", on_permission="ask") as stream:
        for event in stream:
            if isinstance(event, PermissionAsked):
                fake.reply_permission(
                    event.id, "always" if event.permission == "bash" else "reject"
                )
        assert stream.result(WAIT).text == "one!?"


@pytest.mark.parametrize(
    ("answers", "said"), [([["red"]], "a colour"), (None, "no colour"), ("default", "no colour")]
)
def test_the_user_is_asked(
    fake: FakeIpcClient, session: OcSessionInfo, answers: object, said: str
) -> None:
    asked: list[QuestionAsked] = []

    def answer(question: QuestionAsked) -> object:
        asked.append(question)
        return answers

    fake.answer_prompt(
        AskQuestion("Which?", ["red", "blue"], answered=["a colour"], dismissed=["no colour"])
    )
    function = None if answers == "default" else answer
    assert fake.prompt(session.id, "x", on_question=function).text == said  # type: ignore[arg-type]
    if function is not None:
        (item,) = asked[0].items
        assert (item.question, [each.label for each in item.options]) == ("Which?", ["red", "blue"])


def test_an_answer_to_no_question_is_refused(fake: FakeIpcClient) -> None:
    with pytest.raises(IpcServerError, match="permission_id: no permission per_1 is open"):
        fake.reply_permission("per_1", "once")
    with pytest.raises(IpcServerError, match="question_id"):
        fake.reply_question("que_1", [["red"]])


# --- Turns, pauses and early ends ---


def test_prompts_of_one_session_take_turns_and_others_go_on(
    fake: FakeIpcClient, session: OcSessionInfo
) -> None:
    gate = Gate()
    fake.answer_prompt("first", Pause(gate), to="first")
    first = fake.futures.prompt(session.id, "first")
    second = fake.futures.prompt(session.id, "second")
    gate.wait_reached()
    other = fake.create_session()
    assert fake.prompt(other.id, "other").text == "You said: other"
    assert not second.done()
    gate.open()
    assert first.result(WAIT).text == "first"
    assert second.result(WAIT).text == "You said: second"


def test_an_open_gate_stops_nothing(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    gate = Gate()
    gate.open()
    fake.answer_prompt(Pause(gate), "on")
    assert fake.prompt(session.id, "x").text == "on"


def test_aborting_the_session_ends_its_runs(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    gate = Gate()
    fake.answer_prompt("Half", Pause(gate), repeat=True)
    futures = [fake.futures.prompt(session.id, "x") for _ in range(2)]
    gate.wait_reached()
    assert fake.abort_session(session.id) is True
    errors = [future.exception(WAIT) for future in futures]
    assert [error.kind for error in errors if isinstance(error, IpcPromptError)] == ["aborted"] * 2
    gate.open()  # for nobody
    assert fake.abort_session(session.id) is True


def test_closing_a_stream_ends_its_run_and_is_recorded(
    fake: FakeIpcClient, session: OcSessionInfo
) -> None:
    gate = Gate()
    fake.answer_prompt("Half", Pause(gate))
    with fake.stream_prompt(session.id, "x") as stream:
        gate.wait_reached()
    with pytest.raises(IpcCancelledError):
        stream.result(WAIT)
    assert fake.prompt(session.id, "next").text == "You said: next"
    assert message_error(fake.list_messages(session.id)[1]) == "aborted: cancelled by the client"


def test_a_run_ends_with_its_connection(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    gate = Gate()
    fake.answer_prompt(Pause(gate))
    running, waiting = [fake.futures.prompt(session.id, text) for text in ("a", "b")]
    gate.wait_reached()
    fake.close()
    assert isinstance(running.exception(WAIT), IpcConnectionError)
    assert isinstance(waiting.exception(WAIT), IpcConnectionError)
    with fake:
        assert list(fake.list_messages(session.id)) == []


def test_a_run_outlives_its_session(fake: FakeIpcClient, session: OcSessionInfo) -> None:
    gate = Gate()
    fake.answer_prompt(Pause(gate), "done")
    future = fake.futures.prompt(session.id, "x")
    gate.wait_reached()
    fake.delete_session(session.id)
    gate.open()
    assert future.result(WAIT).text == "done"


def test_a_step_that_is_none_is_refused(fake: FakeIpcClient) -> None:
    with pytest.raises(IpcArgumentError, match="UseTool"):
        fake.answer_prompt(1)  # type: ignore[arg-type]
    with pytest.raises(IpcArgumentError, match="AskQuestion"):
        fake.answer_prompt(AskQuestion("?", answered=[None]))  # type: ignore[list-item]
