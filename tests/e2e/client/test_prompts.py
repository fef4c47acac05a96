"""``client.prompt``: whole runs, compared with what OpenCode itself keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    IpcClient,
    IpcPromptError,
    IpcServerError,
    IpcTimeoutError,
    PermissionAsked,
    PermissionReply,
    PromptFile,
    QuestionAsked,
)
from tests.e2e.client.asking import BASH, OUTSIDE, QUESTION, SCHEMA, TASK, WAIT, Asked
from tests.e2e.opencode_server import RealServer
from tests.support.threads import together

pytestmark = pytest.mark.e2e


def test_a_run_is_what_opencode_keeps_of_it(client: IpcClient, asked: Asked) -> None:
    """All steps, with text, tools, tokens and cost: not only the last message."""
    result = client.prompt(asked.id, f"[[think:let me see]] {BASH} {BASH}")
    own = asked.answers()
    assert [each.assistant.id for each in result.messages] == [each["info"]["id"] for each in own]
    assert result.session_id == asked.id
    assert result.user_message_id == own[0]["info"]["parentID"]
    assert result.text == asked.text()
    assert result.finish == own[-1]["info"]["finish"] == "stop"
    assert result.cost == pytest.approx(asked.session()["cost"])
    totals = asked.session()["tokens"]
    tokens = result.tokens
    assert (tokens.input, tokens.output, tokens.reasoning) == (
        totals["input"],
        totals["output"],
        totals["reasoning"],
    )
    assert tokens.cache_read == totals["cache"]["read"]
    tools = [part for each in own for part in each["parts"] if part["type"] == "tool"]
    assert [call.call_id for call in result.tool_calls] == [part["callID"] for part in tools]
    assert [call.output for call in result.tool_calls] == [
        part["state"]["output"] for part in tools
    ]
    assert (result.structured, result.retries) == (None, [])


def test_the_model_and_the_agent_are_those_that_were_chosen(
    client: IpcClient, asked: Asked
) -> None:
    client.prompt(asked.id, "one", model="stub/stub-2", agent="plan", system="Be brief.")
    client.prompt(asked.id, "two", model="stub/stub-1")
    infos = [each["info"] for each in asked.stored()]
    assert [each["modelID"] for each in infos if each["role"] == "assistant"] == [
        "stub-2",
        "stub-1",
    ]
    assert [each["agent"] for each in infos] == ["plan", "plan", "build", "build"]
    assert infos[0]["system"] == "Be brief."


def test_prompts_at_once_in_one_session_get_an_answer_each(client: IpcClient, asked: Asked) -> None:
    """OpenCode itself gives all of them the last one's."""
    futures = [client.futures.prompt(asked.id, f"[[say:answer to {n}]]") for n in range(4)]
    results = [future.result(WAIT) for future in futures]
    assert [result.text for result in results] == [f"answer to {n}" for n in range(4)]
    assert len({result.user_message_id for result in results}) == 4
    assert len(asked.answers()) == 4


def test_send_message_beside_prompts_of_the_same_session(client: IpcClient, asked: Asked) -> None:
    prompt = client.futures.prompt(asked.id, "[[say:of the prompt]]")
    message = client.send_message(
        asked.id, "[[say:of the message]]", model_id="stub-1", provider_id="stub"
    )
    assert prompt.result(WAIT).text == "of the prompt"
    assert message.assistant.text == "of the message"


def test_what_a_subagent_did_is_part_of_the_run(client: IpcClient, asked: Asked) -> None:
    result = client.prompt(asked.id, TASK)
    assert {each.assistant.session_id for each in result.messages} == {asked.id}
    assert [call.name for call in result.tool_calls] == ["task"]
    assert result.text == asked.text()


# --- Files and schemas ---


def test_files_of_all_kinds_reach_the_model(
    client: IpcClient, asked: Asked, tmp_path: Path, stub: Any
) -> None:
    path = tmp_path / "Übersicht 1.txt"
    path.write_text("written in a file", encoding="utf-8")
    files = (
        path,
        PromptFile(b"given in memory", "text/plain", "memory.txt"),
        "data:text/plain;base64,Z2l2ZW4gaW4gYSBVUkw=",
    )
    result = client.prompt(asked.id, "[[say:I see]]", files=files)
    assert result.text == "I see"
    seen = str(stub.requests[-1]["messages"])
    for words in ("written in a file", "given in memory", "given in a URL"):
        assert words in seen
    assert client.prompt(asked.id, "", files=[str(path)]).finish == "stop"


def test_a_result_fits_its_schema_and_the_session_stays_readable(
    client: IpcClient, asked: Asked
) -> None:
    result = client.prompt(asked.id, '[[structured:{"n": 7}]]', schema=SCHEMA)
    assert result.structured == {"n": 7}
    assert len(client.list_messages(asked.id)) == len(asked.stored()) == 2
    with pytest.raises(IpcPromptError) as caught:
        client.prompt(asked.id, "words instead", schema=SCHEMA)
    assert caught.value.kind == "structured_output"
    assert caught.value.partial.text == "Hello from the stub model."


# --- Permission ---


def _outcome(result: Any) -> list[str]:
    return [call.status for call in result.tool_calls]


def _raise(asked: PermissionAsked) -> str:
    raise ValueError("no idea")


@pytest.mark.parametrize(
    ("policy", "outcome", "told"),
    [
        (None, "error", "Nobody is there to answer"),
        ("reject", "error", "Nobody is there to answer"),
        ("once", "completed", None),
        (lambda asked: "once", "completed", None),
        (lambda asked: PermissionReply("reject", "not on a Monday"), "error", "not on a Monday"),
        (_raise, "error", "could not answer"),
        (lambda asked: "maybe", "error", "could not answer"),
    ],
    ids=["none", "reject", "once", "yes", "no", "raises", "nonsense"],
)
def test_permission_is_answered_by_policy(
    client: IpcClient, asked: Asked, policy: Any, outcome: str, told: str | None
) -> None:
    """Whatever the policy does, the run goes on to its end."""
    result = client.prompt(asked.id, OUTSIDE, on_permission=policy, timeout=WAIT)
    assert _outcome(result) == [outcome]
    assert result.finish == "stop"
    assert asked.pending("permission") == []
    if told is not None:
        assert told in str(result.tool_calls[0].error)


def test_always_is_asked_once_and_once_is_asked_each_time(
    client: IpcClient, server: RealServer, tmp_path: Path
) -> None:
    # "always" is for a whole project.
    for policy, times, folder in (("once", 2, server.project), ("always", 1, tmp_path)):
        session = client.create_session(directory=folder)
        questions: list[PermissionAsked] = []

        def decide(
            asked: PermissionAsked, policy: str = policy, seen: Any = questions
        ) -> PermissionReply:
            seen.append(asked)
            return PermissionReply(policy)  # type: ignore[arg-type]

        result = client.prompt(session.id, f"{OUTSIDE} {OUTSIDE}", on_permission=decide)
        assert _outcome(result) == ["completed", "completed"]
        assert len(questions) == times
        assert questions[0].permission == "external_directory"
        assert questions[0].session_id == session.id
        assert questions[0].directory == str(folder)
        assert questions[0].tool_call_id == result.tool_calls[0].call_id


def test_a_subagents_question_is_answered_too(client: IpcClient, asked: Asked) -> None:
    """It comes from another session, and hangs the run if nobody answers."""
    questions: list[PermissionAsked] = []
    inner = OUTSIDE.replace('"', '\\"').replace("[", "\\u005b").replace("]", "\\u005d")
    task = f'[[tool:task {{"description":"d","prompt":"{inner}","subagent_type":"general"}}]]'

    def decide(question: PermissionAsked) -> str:
        questions.append(question)
        return "once"

    result = client.prompt(asked.id, task, on_permission=decide, timeout=WAIT)  # type: ignore[arg-type]
    assert result.finish == "stop"
    (question,) = questions
    assert question.session_id != asked.id
    child = asked.server.session(question.session_id)
    assert child is not None
    assert child["parentID"] == asked.id


def test_a_bare_no_ends_the_run_and_says_so(client: IpcClient, asked: Asked) -> None:
    with pytest.raises(IpcPromptError) as caught:
        client.prompt(asked.id, OUTSIDE, on_permission=lambda _: "reject")
    assert caught.value.kind == "permission_rejected"
    assert _outcome(caught.value.partial) == ["error"]


def test_a_question_that_is_answered_twice(client: IpcClient, asked: Asked) -> None:
    """The first answer counts; the second is told that there is no such question."""
    with client.stream_prompt(asked.id, OUTSIDE, on_permission="ask") as stream:
        question = next(each for each in stream if isinstance(each, PermissionAsked))
        assert asked.pending("permission") == [question.id]
        client.reply_permission(question.id, "once", directory=question.directory)
        with pytest.raises(IpcServerError, match="permission_id") as caught:
            client.reply_permission(question.id, "reject", directory=question.directory)
        assert caught.value.code_name == "INVALID_MESSAGE"
        assert _outcome(stream.result()) == ["completed"]


def test_the_project_of_a_question_need_not_be_named(client: IpcClient, elsewhere: Path) -> None:
    session = client.create_session(directory=elsewhere)
    with client.stream_prompt(session.id, OUTSIDE, on_permission="ask") as stream:
        question = next(each for each in stream if isinstance(each, PermissionAsked))
        client.reply_permission(question.id, "once")
        assert _outcome(stream.result()) == ["completed"]


@pytest.mark.parametrize("text", [OUTSIDE, QUESTION], ids=["permission", "question"])
def test_a_question_that_nobody_answers_ends_with_the_runs_time(
    client: IpcClient, asked: Asked, text: str
) -> None:
    stream = client.stream_prompt(
        asked.id, text, on_permission="ask", on_question="ask", timeout=2.0
    )
    with stream, pytest.raises(IpcTimeoutError):
        stream.result()
    assert asked.ends()
    assert asked.pending("permission") == asked.pending("question") == []
    assert client.prompt(asked.id, "[[say:and on]]").text == "and on"


# --- Questions of the model's ---


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (None, "Nobody is there to answer"),
        (lambda asked: [["B"]], '"Which one?"="B"'),
        (lambda asked: ["A"], '"Which one?"="A"'),
        (lambda asked: ["something else"], '"Which one?"="something else"'),
    ],
    ids=["none", "lists", "list", "own words"],
)
def test_a_question_is_answered_by_policy(
    client: IpcClient, asked: Asked, policy: Any, said: str
) -> None:
    result = client.prompt(asked.id, QUESTION, on_question=policy, timeout=WAIT)
    (call,) = result.tool_calls
    assert said in str(call.output)
    assert asked.pending("question") == []


def test_a_question_that_is_dismissed_ends_the_run(client: IpcClient, asked: Asked) -> None:
    with pytest.raises(IpcPromptError) as caught:
        client.prompt(asked.id, QUESTION, on_question=lambda _: None, timeout=WAIT)
    assert caught.value.kind == "permission_rejected"
    (call,) = caught.value.partial.tool_calls
    assert "dismissed" in str(call.error)


def test_the_reader_of_a_stream_answers_a_question(client: IpcClient, asked: Asked) -> None:
    with client.stream_prompt(asked.id, QUESTION, on_question="ask") as stream:
        question = next(each for each in stream if isinstance(each, QuestionAsked))
        (item,) = question.items
        assert (item.header, item.question, item.multiple) == ("Pick", "Which one?", False)
        assert [(each.label, each.description) for each in item.options] == [
            ("A", "first"),
            ("B", "second"),
        ]
        client.reply_question(question.id, [["B"]], directory=question.directory)
        assert '"Which one?"="B"' in stream.result().text
    with pytest.raises(IpcServerError, match="question_id") as caught:
        client.reply_question(question.id, [["A"]], directory=question.directory)
    assert caught.value.code_name == "INVALID_MESSAGE"


def test_two_threads_answer_each_others_questions_never(client: IpcClient) -> None:
    """Each run's function is asked what its own run asks."""
    sessions = [client.create_session(f"asks {n}").id for n in range(4)]
    seen: dict[int, list[str]] = {n: [] for n in range(4)}

    def ask(number: int) -> None:
        def decide(question: PermissionAsked) -> str:
            seen[number].append(question.session_id)
            return "once"

        client.prompt(sessions[number], OUTSIDE, on_permission=decide, timeout=WAIT)  # type: ignore[arg-type]

    for each in together(4, ask):
        each.result(WAIT)
    assert seen == {n: [sessions[n]] for n in range(4)}
