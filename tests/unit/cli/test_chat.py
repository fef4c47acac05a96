"""``opencode-sync chat``: which session, what is shown where, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.cli import asking, chat
from opencode_sync.errors import (
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcUnsupportedOperationError,
)
from opencode_sync.messages import ToolCall
from opencode_sync.run_events import (
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
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from opencode_sync.wire.ext_operations_pb2 import IpcBackendInfo

from .conftest import Run
from .doubles import FakeClient, FakeLinks, FakeStream, result, session, tokens, typed

PERMISSION = PermissionAsked("per_1", "bash", ("rm x",), {}, "", "ses_1", "/p")
QUESTION = QuestionAsked(
    "que_1", (QuestionItem("", "Which?", (QuestionOption("A", ""),), False, False),), "ses_1", ""
)
INVALID = ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
Talk = Callable[..., Any]


def text(piece: str, part: str = "prt_1", where: str | None = None) -> TextDelta:
    return TextDelta(piece, where or f"ses_{1:026}", "msg_1", part)


def tool(status: str, **fields: Any) -> ToolUpdate:
    details: dict[str, Any] = {"id": "prt_9", "name": "bash", "input": {"command": "ls"}} | fields
    return ToolUpdate(ToolCall(status=status, **details), "ses_1", "msg_1")


def answer(*items: Any, outcome: Any = None) -> FakeStream:
    return FakeStream(items, result("Hello") if outcome is None else outcome)


@pytest.fixture
def talk(run: Run, client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Runs ``chat`` with somebody at the terminal, who types these lines and then Ctrl-D."""

    def start(*lines: str | BaseException, options: tuple[str, ...] = ()) -> Any:
        read = typed(*lines)
        monkeypatch.setattr(chat, "is_interactive", lambda: True)
        monkeypatch.setattr(chat, "read_line", read)
        monkeypatch.setattr(asking.ask_permission, "__defaults__", (read,))
        monkeypatch.setattr(asking.ask_questions, "__defaults__", (read,))
        return run("chat", *options)

    return start


def asked(client: FakeClient, name: str) -> list[tuple[Any, ...]]:
    return [call[1:] for call in client.asked if call[0] == name]


# One answer


def test_the_answer_alone_is_on_standard_output(run: Run, client: FakeClient) -> None:
    client.streams = [answer(text("Hel"), text("lo\x1b[31m"))]
    done = run("chat", "Hi")
    assert done.exit_code == 0
    assert done.stdout == "Hello\x1b[31m\n"  # into a file as it is
    assert f"session ses_{1:026}" in done.stderr
    ((session_id, prompt, options),) = asked(client, "stream_prompt")
    assert (session_id, prompt) == (f"ses_{1:026}", "Hi")
    assert options == {
        "model": None,
        "agent": None,
        "on_permission": "reject",
        "on_question": "reject",
        "timeout": None,
    }
    assert client.opened_streams[0].closed
    assert not client.connected


def test_options_reach_the_prompt(run: Run, client: FakeClient, links: FakeLinks) -> None:
    client.streams = [answer()]
    options = ("--model", "p/m", "--agent", "plan", "--permission", "once", "--timeout", "9")
    assert run("chat", "Hi", *options, "--title", "A title").exit_code == 0
    ((_, _, sent),) = asked(client, "stream_prompt")
    assert (sent["model"], sent["agent"], sent["timeout"]) == ("p/m", "plan", 9)
    assert (sent["on_permission"], sent["on_question"]) == ("once", "reject")
    assert asked(client, "create_session") == [("A title",)]
    assert links.opened == [(None, 9.0)]


def test_a_prompt_may_come_from_a_pipe(run: Run, client: FakeClient) -> None:
    for arguments in ((), ("-",)):
        client.streams = [answer()]
        assert run("chat", *arguments, stdin="Grüße\n".encode()).exit_code == 0
    assert [prompt for _, prompt, _ in asked(client, "stream_prompt")] == ["Grüße\n"] * 2


@pytest.mark.parametrize("arguments", [("chat", "  "), ("chat",)])
def test_a_blank_prompt_is_wrong_use(run: Run, client: FakeClient, arguments: Any) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert "blank" in done.stderr
    assert client.asked == []


def test_an_answer_in_one_piece_is_shown_all_the_same(run: Run, client: FakeClient) -> None:
    client.streams = [answer()]
    assert run("chat", "Hi").stdout == "Hello\n"


def test_parts_are_on_lines_of_their_own_and_subagents_are_silent(
    run: Run, client: FakeClient
) -> None:
    client.streams = [
        answer(text("One"), text("hush", "prt_2", "ses_child"), text("Two\n", "prt_3"))
    ]
    assert run("chat", "Hi").stdout == "One\nTwo\n"


def test_tools_and_retries_are_told_on_standard_error(run: Run, client: FakeClient) -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    client.streams = [
        answer(
            ReasoningDelta("hm", "ses_1", "msg_1", "prt_0"),
            OtherEvent(IpcEvent()),
            RetryScheduled(1, "too many requests", when, "ses_1"),
            RetryScheduled(2, "still", None, "ses_1"),
            tool("running"),
            tool("completed", title="List files"),
            tool("completed", title="List files"),
            tool("error", id="prt_8", error="no such\nfile", input={}),
            IpcSlowConsumerError("slow", missed=7),
            text("Done"),
        )
    ]
    done = run("chat", "Hi")
    assert done.stdout == "Done\n"
    local = f"{when.astimezone():%H:%M:%S}"
    assert done.stderr.splitlines()[:-1] == [
        f"The provider refused: too many requests. Try 2 at {local}",
        "The provider refused: still. Try 3",
        "* bash: List files",
        "* bash FAILED: no such\\nfile",
        "7 events came too fast and are missing here",
    ]


def test_what_it_took_is_told_in_the_end(run: Run, client: FakeClient) -> None:
    spent = tokens(input=1_000, output=20, reasoning=3, cache_read=200)
    outcome = result("Hello", tokens=spent, cost=0.0123, finish="length")
    client.streams = [answer(outcome=outcome)]
    last = run("chat", "Hi").stderr.splitlines()[-1]
    assert "1,200 tokens in, 23 out, $0.0123, ended by: length; session ses_" in last


def test_questions_that_nobody_sees_are_told_of(run: Run, client: FakeClient) -> None:
    client.streams = [answer(PERMISSION, QUESTION), answer(PERMISSION)]
    said = run("chat", "Hi").stderr.splitlines()
    assert said[0] == "Permission rejected (to allow it: --permission once). bash: rm x"
    assert said[1] == "The model asked, and nobody is here to answer: Which?"
    assert run("chat", "Hi", "--permission", "always").stderr.startswith("Permission given. bash")
    assert asked(client, "reply_permission") == []


def test_json_is_the_whole_result_and_nothing_else(run: Run, client: FakeClient) -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    retries = [RetryScheduled(1, "busy", when, "s"), RetryScheduled(2, "busy", None, "s")]
    calls = [ToolCall("prt_1", "bash", "completed", {"command": "ls"}, output="x", title="List")]
    outcome = result("Hi", tool_calls=calls, retries=retries, structured={"a": 1}, cost=0.5)
    client.streams = [answer(text("Hi"), PERMISSION, QUESTION, outcome=outcome)]
    done = run("chat", "Hi", "--json")
    assert done.stderr == ""
    record = json.loads(done.stdout)
    assert record.pop("seconds") >= 0
    assert record == {
        "session_id": "ses_1",
        "text": "Hi",
        "structured": {"a": 1},
        "finish": "stop",
        "cost": 0.5,
        "tokens": {
            "input": 0,
            "output": 0,
            "reasoning": 0,
            "cache_read": 0,
            "cache_write": 0,
        },
        "tool_calls": [
            {
                "id": "prt_1",
                "name": "bash",
                "status": "completed",
                "title": "List",
                "input": {"command": "ls"},
                "output": "x",
                "error": None,
            }
        ],
        "permissions": [
            {"id": "per_1", "permission": "bash", "patterns": ["rm x"], "reply": "reject"}
        ],
        "questions": ["Which?"],
        "retries": [
            {"attempt": 1, "message": "busy", "next_at": "2026-01-01T00:00:00+00:00"},
            {"attempt": 2, "message": "busy", "next_at": None},
        ],
    }


def test_a_failed_run_is_an_error(run: Run, client: FakeClient) -> None:
    failure = IpcPromptError("the key was refused", kind="provider_auth", status=401)
    client.streams = [answer(text("Half"), outcome=failure), answer(outcome=failure)]
    done = run("chat", "Hi")
    assert (done.exit_code, done.stdout) == (7, "Half\n")
    assert done.stderr.splitlines()[-1] == "error: the key was refused"
    as_json = run("chat", "Hi", "--json")
    assert as_json.stdout == ""
    assert json.loads(as_json.stderr)["error"]["failure"] == "provider_auth"


def test_ctrl_c_aborts_a_single_answer_and_ends(run: Run, client: FakeClient) -> None:
    client.streams = [answer(text("Half"), KeyboardInterrupt())]
    done = run("chat", "Hi")
    assert done.exit_code == 130
    assert done.stdout == "Half\n"
    assert client.opened_streams[0].closed
    assert not client.connected


# Where and which session


def test_without_a_gateway_it_launches(
    run: Run, client: FakeClient, links: FakeLinks, tmp_path: Path
) -> None:
    links.gateway_runs = False
    client.streams = [answer(), answer()]
    assert run("chat", "Hi", "--directory", str(tmp_path), "--timeout", "7").exit_code == 0
    assert run("chat", "Hi").exit_code == 0
    (first, options), (second, _) = links.launched
    assert (first, options.default_prompt_timeout) == (tmp_path.resolve(), 7.0)
    assert second == Path.cwd()
    assert links.opened == []
    assert not client.connected


def test_with_a_gateway_the_directory_is_its_own_unless_given(
    run: Run, client: FakeClient, links: FakeLinks, tmp_path: Path
) -> None:
    client.streams = [answer(), answer(), answer()]
    run("chat", "Hi")
    run("chat", "Hi", "--directory", str(tmp_path))
    links.gateway_runs = False
    run("chat", "Hi", "--config-file", str(tmp_path / "c.json"))
    assert links.directories == [None, tmp_path.resolve(), None]
    assert links.launched == []


def test_a_gateway_without_a_model_is_passed_over(
    run: Run, client: FakeClient, links: FakeLinks, tmp_path: Path
) -> None:
    client.info = IpcBackendInfo(backend="embedded", description="the embedded session store")
    links.launched_info = IpcBackendInfo(backend="opencode", description="OpenCode at X")
    client.streams = [answer()]
    done = run("chat", "Hi", "--directory", str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "Hello\n")
    assert [folder for folder, _ in links.launched] == [tmp_path.resolve()]
    first, last = done.stderr.splitlines()
    assert first == "The running gateway has no model, so OpenCode is used without it."
    assert "OpenCode at X" not in last
    assert not client.connected


@pytest.mark.parametrize("gateway_runs", [True, False])
def test_what_answers_is_told_to_who_wants_to_know(
    run: Run, client: FakeClient, links: FakeLinks, gateway_runs: bool
) -> None:
    info = IpcBackendInfo(backend="opencode", description="OpenCode at http://127.0.0.1:1")
    client.info = links.launched_info = info
    links.gateway_runs = gateway_runs
    client.streams = [answer(), answer(), answer()]
    line = "This is OpenCode at http://127.0.0.1:1."
    assert line in run("chat", "Hi", "--verbose").stderr.splitlines()
    assert line not in run("chat", "Hi").stderr
    as_json = run("chat", "Hi", "--verbose", "--json")
    assert line not in as_json.stderr
    assert len(links.launched) == (0 if gateway_runs else 3)


def test_a_backend_that_does_not_say_what_it_is_is_used(
    run: Run, client: FakeClient, links: FakeLinks
) -> None:
    client.info_failure = IpcUnsupportedOperationError("no", request_id=2, code=2, operation="x")
    client.streams = [answer()]
    assert run("chat", "Hi", "--verbose").stdout == "Hello\n"
    assert links.launched == []


def test_a_session_can_be_gone_on_with(run: Run, client: FakeClient) -> None:
    old = session(7)
    client.sessions[old.id] = old
    client.streams = [answer()]
    assert run("chat", "Hi", "--session", old.id).exit_code == 0
    assert asked(client, "create_session") == []
    assert asked(client, "stream_prompt")[0][0] == old.id


@pytest.mark.parametrize("other", [("--new",), ("--title", "T")])
def test_going_on_and_beginning_exclude_each_other(run: Run, other: tuple[str, ...]) -> None:
    done = run("chat", "Hi", "--session", "ses_1", *other)
    assert done.exit_code == 2
    assert "leave one of them out" in done.stderr


def test_an_unknown_session_is_not_found(run: Run, client: FakeClient) -> None:
    refusal = IpcServerError("no", request_id=2, code=INVALID, operation="get_session")
    client.failure = refusal
    assert refusal.code_name == "INVALID_MESSAGE"
    done = run("chat", "Hi", "--session", "ses_gone")
    assert done.exit_code == 9
    assert "no such session: ses_gone" in done.stderr


# A conversation


def test_a_conversation_goes_on_until_the_end_of_input(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer(text("One")), answer(text("Two"))]
    done = talk("first", "", "  ", "second", options=("--new",))
    assert done.exit_code == 0
    assert done.stdout == "One\nTwo\n"
    assert [prompt for _, prompt, _ in asked(client, "stream_prompt")] == ["first", "second"]
    ((_, _, options), _) = asked(client, "stream_prompt")
    assert (options["on_permission"], options["on_question"]) == ("ask", "ask")


def test_ctrl_c_aborts_the_answer_and_the_next_one_ends(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer(text("Half"), KeyboardInterrupt()), answer(text("Whole"))]
    done = talk("one", "two", KeyboardInterrupt(), KeyboardInterrupt(), options=("--new",))
    assert done.exit_code == 130
    assert done.stdout == "Half\nWhole\n"
    assert "(aborted)" in done.stderr
    assert "Ctrl-C once more, or Ctrl-D, ends the conversation." in done.stderr.splitlines()
    assert "\\n" not in done.stderr
    assert [stream.closed for stream in client.opened_streams] == [True, True]


def test_ctrl_c_right_after_an_abort_ends(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer(KeyboardInterrupt())]
    done = talk("one", KeyboardInterrupt(), "never asked", options=("--new",))
    assert done.exit_code == 130
    assert len(client.opened_streams) == 1


def test_a_failed_answer_does_not_end_the_conversation(talk: Talk, client: FakeClient) -> None:
    client.streams = [
        answer(outcome=IpcPromptError("refused", kind="provider_auth")),
        answer(text("Fine")),
    ]
    done = talk("one", "two", options=("--new",))
    assert (done.exit_code, done.stdout) == (0, "Fine\n")
    assert "error: refused" in done.stderr


def test_a_lost_connection_ends_it(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer(text("Half"), IpcConnectionError("lost"))]
    done = talk("one", "two", options=("--new",))
    assert done.exit_code == 4
    assert "error: lost" in done.stderr


def test_json_is_not_for_conversations(talk: Talk) -> None:
    done = talk("one", options=("--json",))
    assert done.exit_code == 2
    assert "PROMPT" in done.stderr


def test_permission_is_asked_for_and_the_reply_sent(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer(PERMISSION, QUESTION, text("Done"))]
    done = talk("go", "use mv", "1", options=("--new",))
    assert done.exit_code == 0
    assert asked(client, "reply_permission") == [
        ("per_1", "reject", {"message": "use mv", "directory": "/p"})
    ]
    assert asked(client, "reply_question") == [("que_1", [["A"]], {"directory": None})]


def test_a_reply_that_comes_too_late_is_told_of(talk: Talk, client: FakeClient) -> None:
    client.too_late = IpcServerError("answered before", request_id=2, code=INVALID, operation="x")
    client.streams = [answer(PERMISSION, QUESTION, text("Done"))]
    done = talk("go", "y", "1", options=("--new",))
    assert done.exit_code == 0
    assert done.stderr.count("That came too late: answered before") == 2
    assert done.stdout == "Done\n"


def test_a_standing_reply_is_not_asked_for(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer(PERMISSION)]
    talk("go", options=("--new", "--permission", "once"))
    assert asked(client, "reply_permission") == []


def test_the_newest_sessions_are_offered(talk: Talk, client: FakeClient) -> None:
    for number in range(1, 9):
        each = session(number, f"Title {number}", updated=number * 1_000)
        client.sessions[each.id] = each
    child, archived = session(20, "Child", updated=99_000), session(21, "Old", updated=99_000)
    child.parent_id, archived.time.archived = "ses_1", 1
    client.sessions |= {child.id: child, archived.id: archived}
    client.streams = [answer()]
    done = talk("9", "x", "2", "go on")
    assert asked(client, "stream_prompt")[0][:2] == (f"ses_{7:026}", "go on")
    offered = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    assert [line.split('"')[1] for line in offered] == [f"Title {n}" for n in (8, 7, 6, 5, 4)]
    assert asked(client, "create_session") == []


def test_a_new_session_may_be_chosen_too(talk: Talk, client: FakeClient) -> None:
    client.sessions["ses_old"] = session(5)
    client.streams = [answer()]
    talk("", "Hi")
    assert asked(client, "create_session") == [(None,)]


def test_where_there_are_no_sessions_one_is_created(talk: Talk, client: FakeClient) -> None:
    client.streams = [answer()]
    assert talk("Hi").exit_code == 0
    assert asked(client, "create_session") == [(None,)]


def test_leaving_instead_of_choosing_asks_nothing(talk: Talk, client: FakeClient) -> None:
    client.sessions["ses_old"] = session(5)
    assert talk().exit_code == 130
    assert asked(client, "stream_prompt") == []
