"""``prompt``: a whole run as one call, and what is done about its questions."""

from __future__ import annotations

import base64
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    CancelToken,
    IpcArgumentError,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcPromptError,
    IpcProtocolError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
    PermissionAsked,
    PermissionReply,
    PromptFile,
    QuestionAsked,
    enable_logging,
)
from opencode_sync.types import MessageTokens
from opencode_sync.wire import (
    ext_prompt_pb2,
    ext_types_pb2,
    ipc_pb2,
    oc_message_part_pb2,
    oc_message_pb2,
    oc_tool_pb2,
)
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.threads import Background


def sent(backend: ScriptedBackend, index: int = 0) -> ext_prompt_pb2.IpcPromptRequest:
    return backend.link().request(index).prompt


@pytest.fixture
def log() -> Iterator[list[tuple[str, str]]]:
    """The level and the text of everything that is logged."""
    records: list[tuple[str, str]] = []

    def sink(message: Any) -> None:
        records.append((message.record["level"].name, message.record["message"]))

    disable = enable_logging("DEBUG", sink)
    yield records
    disable()


# --- The result ---


def _run_of_two_steps() -> b.Payload:
    usage = ext_types_pb2.IpcUsage(input=10, output=5, reasoning=3, cache_read=2, cache_write=1)
    tool = oc_message_part_pb2.OcToolPart(id="prt_1", name="bash")
    tool.state.completed.output = "a b"
    steps = [
        oc_message_pb2.OcAssistantMessage(
            id="msg_1",
            text="Let me look.",
            cost=0.25,
            usage=usage,
            parts=[oc_message_part_pb2.OcPart(tool=tool)],
        ),
        oc_message_pb2.OcAssistantMessage(id="msg_2", cost=0.5, text="", summary=False),
        oc_message_pb2.OcAssistantMessage(id="msg_3", text="of old", summary=True),
        oc_message_pb2.OcAssistantMessage(
            id="msg_4",
            text="There are two.",
            tokens=oc_message_pb2.OcTokenUsage(input=7, output=1),
        ),
    ]
    payload = b.ran(structured_json='{"files": 2}', finish="stop")
    payload["run_result"].messages.extend(
        oc_message_pb2.OcMessage(assistant=step) for step in steps
    )
    retry = b.retry(2, "429", 1_000)["event"].event.retry
    payload["run_result"].retries.append(retry)
    return payload


def test_the_result_is_the_whole_run(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("prompt", _run_of_two_steps())
    result = client.prompt("ses_1", "How many files?", schema={"type": "object"})
    assert result.text == "Let me look.\n\nThere are two."
    assert [message.assistant.id for message in result.messages] == [
        "msg_1",
        "msg_2",
        "msg_3",
        "msg_4",
    ]
    assert [(call.name, call.output) for call in result.tool_calls] == [("bash", "a b")]
    assert result.tokens == MessageTokens(17, 6, 2, 1, 3)
    assert result.tokens.total == 29
    assert result.cost == 0.75
    assert result.structured == {"files": 2}
    assert result.finish == "stop"
    assert (result.session_id, result.user_message_id) == ("ses_1", "msg_0")
    assert [(retry.attempt, retry.message) for retry in result.retries] == [(2, "429")]


def test_the_results_repr_is_short(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.script("prompt", _run_of_two_steps(), b.ran())
    result = client.prompt("ses_1", "How many files?")
    assert repr(result) == (
        r"<PromptResult of ses_1: 'Let me look.\n\nThere are two.', messages=4, tool_calls=1, "
        "cost=0.7500, finish='stop'>"
    )
    long = repr(dataclasses.replace(result, text="x" * 61))
    assert f"'{'x' * 60}...'" in long
    assert repr(client.prompt("ses_1", "Hi")).startswith("<PromptResult of ses_1: '', messages=0")


def test_a_run_of_nothing_is_empty(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("prompt", b.ran())
    result = client.prompt("ses_1", "Hi")
    assert (result.text, result.messages, result.structured) == ("", [], None)
    assert result.tokens == MessageTokens()
    assert result.cost == 0


@pytest.mark.parametrize("document", ["{", "nonsense", "[" * 100_000])
def test_a_structured_result_that_is_no_json_is_a_protocol_error(
    backend: ScriptedBackend, client: IpcClient, document: str
) -> None:
    backend.rule("prompt", b.ran("x", structured_json=document))
    with pytest.raises(IpcProtocolError, match="no JSON"):
        client.prompt("ses_1", "Hi")


@pytest.mark.parametrize(
    "kind", ["provider_auth", "rate_limited", "aborted", "output_length", "unknown_model", "new"]
)
def test_a_failed_run_raises_with_what_it_made(
    backend: ScriptedBackend, client: IpcClient, kind: str
) -> None:
    backend.rule("prompt", b.failed(kind, "no more", "so far", status=429, retryable=True))
    for call in (lambda: client.prompt("ses_1", "Hi"), client.futures.prompt("ses_1", "Hi").result):
        with pytest.raises(IpcPromptError, match=f"no more \\({kind}, status 429\\)") as caught:
            call()
        assert (caught.value.kind, caught.value.status) == (kind, 429)
        assert caught.value.retryable is True
        assert caught.value.partial.text == "so far"


def test_a_failure_that_says_nothing_is_still_one(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("prompt", b.failed("", ""))
    with pytest.raises(IpcPromptError, match="did not say why") as caught:
        client.prompt("ses_1", "Hi")
    assert (caught.value.kind, caught.value.status) == ("unknown", None)
    assert caught.value.retryable is False


def test_a_backend_without_prompts_is_told_apart(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.extensions = False
    with pytest.raises(IpcUnsupportedOperationError, match="prompt"):
        client.prompt("ses_1", "Hi", on_permission=lambda asked: "once")


# --- What goes out ---


def test_by_default_nothing_is_said_that_was_not_asked_for(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    client.prompt("ses_1", "Hi")
    assert sent(backend) == ext_prompt_pb2.IpcPromptRequest(
        session_id="ses_1",
        text="Hi",
        permissions=ext_prompt_pb2.IPC_ANSWER_POLICY_REJECT,
        questions=ext_prompt_pb2.IPC_ANSWER_POLICY_REJECT,
        events=ext_prompt_pb2.IPC_RUN_EVENTS_ATTENTION,
        timeout_seconds=605,
    )


def test_the_backend_gets_a_little_longer(backend: ScriptedBackend, client: IpcClient) -> None:
    """So that a time-out is always the client's own, and one and the same error."""
    client.prompt("ses_1", "Hi", timeout=12.5)
    assert sent(backend).timeout_seconds == 17.5


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, "REJECT"),
        ("reject", "REJECT"),
        ("once", "ONCE"),
        ("always", "ALWAYS"),
        (lambda asked: "once", "ASK"),
    ],
)
def test_the_policy_for_permissions(
    backend: ScriptedBackend, client: IpcClient, policy: Any, expected: str
) -> None:
    client.prompt("ses_1", "Hi", on_permission=policy)
    with client.stream_prompt("ses_1", "Hi", on_permission=policy) as stream:
        stream.result()
    for index in range(2):
        assert sent(backend, index).permissions == ext_prompt_pb2.IpcAnswerPolicy.Value(
            f"IPC_ANSWER_POLICY_{expected}"
        )


def test_a_stream_may_leave_the_questions_to_its_reader(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    with client.stream_prompt("ses_1", "Hi", on_permission="ask", on_question="ask") as stream:
        stream.result()
    assert sent(backend).permissions == ext_prompt_pb2.IPC_ANSWER_POLICY_ASK
    assert sent(backend).questions == ext_prompt_pb2.IPC_ANSWER_POLICY_ASK


def test_files_of_every_form(backend: ScriptedBackend, client: IpcClient, tmp_path: Path) -> None:
    names = ["notes.md", "code.ts", "tool.rs", "picture.png", "a b#ü.txt", "paper.pdf", "noname"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    files: list[Any] = [
        tmp_path / "notes.md",
        *(str(tmp_path / name) for name in names[1:]),
        PromptFile(b"\x00\xff", "image/png", "shot.png"),
        PromptFile(b""),
        "data:text/csv;base64,YQ==",
        "data:,x",
    ]
    client.prompt("ses_1", "", files=files)
    got = sent(backend).files
    text, png, pdf = "text/plain", "image/png", "application/pdf"
    assert [file.mime for file in got[:7]] == [text, text, text, png, text, pdf, text]
    assert [file.url for file in got[:7]] == [(tmp_path / name).as_uri() for name in names]
    assert [file.filename for file in got[:7]] == names
    assert got[7].url == "data:image/png;base64," + base64.b64encode(b"\x00\xff").decode()
    assert (got[7].mime, got[7].filename) == (png, "shot.png")
    assert (got[8].url, got[8].mime) == ("data:text/plain;base64,", text)
    assert (got[9].url, got[9].mime) == ("data:text/csv;base64,YQ==", "text/csv")
    assert (got[10].url, got[10].mime) == ("data:,x", text)


def test_a_relative_path_starts_at_the_current_folder(
    backend: ScriptedBackend,
    client: IpcClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "x.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    client.prompt("ses_1", "Hi", files=["x.txt"])
    assert sent(backend).files[0].url == (tmp_path / "x.txt").as_uri()


def test_the_model_is_split_at_its_first_slash(backend: ScriptedBackend, client: IpcClient) -> None:
    client.prompt("ses_1", "Hi", model="openrouter/anthropic/claude:free")
    assert (sent(backend).provider_id, sent(backend).model_id) == (
        "openrouter",
        "anthropic/claude:free",
    )


class _Schema(dict[str, Any]):
    """A mapping of somebody else's."""


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"session_id": ""}, "session_id"),
    ({"session_id": None}, "session_id"),
    ({"session_id": b"ses_1"}, "session_id"),
    ({"text": ""}, "text"),
    ({"text": " \n\t"}, "text"),
    ({"text": None}, "text"),
    ({"text": "a\ud800"}, "text"),
    ({"text": "x" * 8_000_001}, "text"),
    ({"text": "ü" * 4_000_001}, "text"),
    ({"model": "claude"}, "model"),
    ({"model": "/m"}, "model"),
    ({"model": "p/"}, "model"),
    ({"model": " / "}, "model"),
    ({"model": ""}, "model"),
    ({"model": ("p", "m")}, "model"),
    ({"agent": ""}, "agent"),
    ({"agent": 5}, "agent"),
    ({"system": " "}, "system"),
    ({"system": ["x"]}, "system"),
    ({"system": "x" * 8_000_001}, "system"),
    ({"schema": '{"type": "object"}'}, "schema"),
    ({"schema": ["object"]}, "schema"),
    ({"schema": {"x": object()}}, "schema"),
    ({"schema": {"x": float("nan")}}, "schema"),
    ({"schema": {("a", "b"): 1}}, "schema"),
    ({"schema": {"x": "\ud800"}}, "schema"),
    ({"schema": LOOP}, "schema"),
    ({"schema": {"x": "y" * 8_000_001}}, "schema"),
    ({"files": "one.txt"}, "files"),
    ({"files": PromptFile(b"x")}, "files"),
    ({"files": Path("one.txt")}, "files"),
    ({"files": 5}, "files"),
    ({"files": [5]}, "files"),
    ({"files": [b"one.txt"]}, "files"),
    ({"files": ["/no/such/file"]}, "files"),
    ({"files": ["/"]}, "files"),
    ({"files": ["a\0b"]}, "files"),
    ({"files": ["a\ud800b"]}, "files"),
    ({"files": ["x" * 100_000]}, "files"),
    ({"files": ["data:text/plain;base64"]}, "files"),
    ({"files": [PromptFile("text")]}, "files"),  # type: ignore[arg-type]
    ({"files": [PromptFile(b"x", "")]}, "files"),
    ({"files": [PromptFile(b"x", filename=None)]}, "files"),  # type: ignore[arg-type]
    ({"files": [PromptFile(b"x" * 7_000_000)]}, "files"),
    ({"on_permission": "Once"}, "on_permission"),
    ({"on_permission": "allow"}, "on_permission"),
    ({"on_permission": ""}, "on_permission"),
    ({"on_permission": True}, "on_permission"),
    ({"on_permission": ["once"]}, "on_permission"),
    ({"on_question": "once"}, "on_question"),
    ({"on_question": 0}, "on_question"),
]


@pytest.mark.parametrize(("change", "field"), WRONG)
def test_a_wrong_argument_is_named_and_nothing_is_sent(
    backend: ScriptedBackend, client: IpcClient, change: dict[str, Any], field: str
) -> None:
    arguments = {"session_id": "ses_1", "text": "Hi"} | change
    for call in (client.prompt, client.stream_prompt, client.futures.prompt):
        with pytest.raises(IpcArgumentError, match=field) as caught:
            call(**arguments)
        assert caught.value.field == field
        assert ";" in str(caught.value)
        assert len(str(caught.value)) < 500
        str(caught.value).encode()
    client.check_server_health()
    assert backend.link().operations() == ["check_health"]


@pytest.mark.parametrize("field", ["on_permission", "on_question"])
def test_nobody_can_be_asked_while_a_call_waits(client: IpcClient, field: str) -> None:
    for call in (client.prompt, client.futures.prompt):
        with pytest.raises(IpcArgumentError, match="stream_prompt") as caught:
            call("ses_1", "Hi", **{field: "ask"})
        assert caught.value.field == field


def test_a_file_that_cannot_be_looked_at_is_named(
    client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(IpcArgumentError, match="Permission denied"):
        client.prompt("ses_1", "Hi", files=["x"])


def test_just_what_can_be_sent_is_sent(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("prompt", b.ran("x"))
    client.prompt("ses_1", "ü" * 4_000_000, schema=_Schema(type="object"))
    assert len(sent(backend).text) == 4_000_000
    assert sent(backend).schema_json == '{"type": "object"}'


# --- How it ends ---


def test_a_time_out_and_a_token_abort_it(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("prompt", HOLD)
    with pytest.raises(IpcTimeoutError, match="prompt"):
        client.prompt("ses_1", "Hi", timeout=0.02)
    token = CancelToken()
    waiting = Background(client.prompt, "ses_1", "Hi", cancel=token)
    backend.link().request(2)
    token.cancel()
    assert isinstance(waiting.error(), IpcCancelledError)
    link = backend.link()
    link.request(3)
    assert link.operations() == ["prompt", "cancel", "prompt", "cancel"]
    ids = [request.request_id for request in link.requests]
    assert [link.requests[index].cancel.request_id for index in (1, 3)] == [ids[0], ids[2]]


def test_its_default_is_the_time_of_prompts(backend: ScriptedBackend) -> None:
    backend.rule("prompt", HOLD)
    options = IpcClientOptions(default_prompt_timeout=0.02)
    with backend.client(options=options) as client, pytest.raises(IpcTimeoutError):
        client.prompt("ses_1", "Hi")


def test_a_lost_connection_ends_it(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("prompt", HOLD)
    waiting = Background(client.prompt, "ses_1", "Hi")
    backend.link().request()
    backend.link().peer.drop()
    error = waiting.error()
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is True


def test_it_may_not_be_called_where_it_would_stop_all_callbacks(client: IpcClient) -> None:
    caught: list[BaseException] = []
    done = threading.Event()

    def callback(_: Any) -> None:
        try:
            client.prompt("ses_1", "Hi")
        except IpcUsageError as error:
            caught.append(error)
        done.set()

    client.futures.check_server_health().add_done_callback(callback)
    assert done.wait(WAIT)
    assert len(caught) == 1


# --- Retries ---


def test_a_retry_is_logged_as_soon_as_it_is_planned(
    backend: ScriptedBackend, client: IpcClient, log: list[tuple[str, str]]
) -> None:
    backend.rule("prompt", HOLD)
    waiting = Background(client.prompt, "ses_1", "Hi")
    link = backend.link()
    request = link.request()
    link.answer(request, b.retry(1, "Too Many Requests"))
    client.check_server_health()
    assert [text for level, text in log if level == "WARNING"] == [
        "the model's provider refused, and OpenCode tries again: Too Many Requests"
    ]
    link.answer(request, b.ran("x"))
    assert waiting.result().text == "x"


# --- Questions ---

OnPermission = Callable[[PermissionAsked], Any]


class Asked:
    """A prompt whose run has asked something."""

    def __init__(
        self, backend: ScriptedBackend, client: IpcClient, *pushes: b.Payload, **arguments: Any
    ) -> None:
        backend.rule("prompt", HOLD)
        self.future = client.futures.prompt("ses_1", "Hi", **arguments)
        self.link = backend.link()
        self.request = self.link.request()
        self.link.answer(self.request, *pushes)

    def reply(self, index: int = 1) -> ipc_pb2.IpcClientMessage:
        return self.link.request(index)

    def end(self) -> None:
        self.link.answer(self.request, b.ran("x"))
        assert self.future.result(WAIT).text == "x"


@pytest.mark.parametrize(
    ("verdict", "reply", "message"),
    [
        ("once", oc_tool_pb2.ALLOW, None),
        ("always", oc_tool_pb2.ALLOW_ALL, None),
        ("reject", oc_tool_pb2.DENY, None),
        (PermissionReply("once"), oc_tool_pb2.ALLOW, None),
        (PermissionReply("reject", "use ls"), oc_tool_pb2.DENY, "use ls"),
    ],
)
def test_a_function_answers_for_the_user_on_the_notifier(
    backend: ScriptedBackend, client: IpcClient, verdict: Any, reply: int, message: str | None
) -> None:
    seen: list[tuple[PermissionAsked, str]] = []

    def decide(asked: PermissionAsked) -> Any:
        seen.append((asked, threading.current_thread().name))
        return verdict

    asked = Asked(backend, client, b.permission_asked(), on_permission=decide)
    answer = asked.reply().reply_permission
    assert (answer.permission_id, answer.reply) == ("per_1", reply)
    assert answer.directory == "/project"
    assert answer.HasField("message") == (message is not None)
    assert answer.message == (message or "")
    ((question, thread),) = seen
    assert question.metadata == {"command": "ls"}
    assert thread == "opencode-sync-notifier"
    asked.end()


def _raise(asked: Any) -> Any:
    raise RuntimeError("the user's program has a bug")


def _exit(asked: Any) -> Any:
    raise SystemExit


@pytest.mark.parametrize(
    "decide",
    [
        _raise,
        _exit,
        *(
            (lambda asked, verdict=verdict: verdict)
            for verdict in (None, True, "yes", "", 5, ["once"], PermissionReply("ask"))  # type: ignore[arg-type]
        ),
        lambda asked: PermissionReply("once", "why a message"),
    ],
)
def test_a_function_that_fails_or_answers_nonsense_rejects(
    backend: ScriptedBackend,
    client: IpcClient,
    caplog: pytest.LogCaptureFixture,
    decide: OnPermission,
) -> None:
    with caplog.at_level(logging.ERROR, "opencode_sync"):
        asked = Asked(backend, client, b.permission_asked(), on_permission=decide)
        answer = asked.reply().reply_permission
        assert answer.reply == oc_tool_pb2.DENY
        assert answer.message  # so that the run goes on
        asked.end()
        client.close()  # by now the notifier has told of it
    assert "callback" in caplog.text


def test_the_same_question_read_again_is_asked_once(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    count = [0]

    def decide(asked: PermissionAsked) -> str:
        count[0] += 1
        return "once"

    asked = Asked(
        backend,
        client,
        b.permission_asked("per_1"),
        b.permission_asked("per_1", replayed=True),
        b.permission_asked("per_2"),
        on_permission=decide,
    )
    assert asked.reply(2).reply_permission.permission_id == "per_2"
    assert count == [2]
    asked.end()


def test_a_run_that_asks_without_end_is_refused_without_asking(
    backend: ScriptedBackend, client: IpcClient, log: list[tuple[str, str]]
) -> None:
    go_on = threading.Event()
    count = [0]

    def decide(asked: PermissionAsked) -> str:
        assert go_on.wait(WAIT)
        count[0] += 1
        return "once"

    pushes = [b.permission_asked(f"per_{number}") for number in range(1_005)]
    asked = Asked(backend, client, *pushes, on_permission=decide)
    refused = [asked.reply(index).reply_permission for index in range(1, 6)]
    assert {answer.reply for answer in refused} == {oc_tool_pb2.DENY}
    go_on.set()
    asked.reply(1_005)
    assert count == [1_000]
    asked.end()


def test_nobody_is_asked_once_the_run_has_ended(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def occupy(_: Any) -> None:
        busy.set()
        assert go_on.wait(WAIT)

    client.futures.list_agents().add_done_callback(occupy)
    assert busy.wait(WAIT)
    backend.rule("prompt", HOLD)
    asked: list[Any] = []
    future = client.futures.prompt("ses_1", "Hi", on_permission=asked.append)
    link = backend.link()
    link.answer(link.request(1), b.permission_asked(), b.ran("x"))
    assert future.result(WAIT).text == "x"
    go_on.set()
    client.close()
    assert asked == []
    assert "reply_permission" not in link.operations()


def test_an_answer_that_comes_after_the_end_is_not_sent(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def decide(asked: PermissionAsked) -> str:
        busy.set()
        assert go_on.wait(WAIT)
        return "once"

    asked = Asked(backend, client, b.permission_asked(), on_permission=decide)
    assert busy.wait(WAIT)
    asked.end()
    go_on.set()
    client.close()
    assert "reply_permission" not in asked.link.operations()


def test_an_answer_that_was_not_taken_is_logged(
    backend: ScriptedBackend, client: IpcClient, log: list[tuple[str, str]]
) -> None:
    backend.rule("reply_permission", b.error(4, "answered before"))
    asked = Asked(backend, client, b.permission_asked(), on_permission=lambda asked: "once")
    asked.reply()
    client.check_server_health()
    assert any(level == "WARNING" and "answered before" in text for level, text in log)
    asked.end()


def test_without_a_function_questions_are_the_backends_to_answer(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    asked = Asked(backend, client, b.permission_asked(), b.question_asked())
    asked.end()
    assert asked.link.operations() == ["prompt"]


@pytest.mark.parametrize(
    ("questions", "verdict", "expected"),
    [
        (["a"], [["red"]], [["red"]]),
        (["a"], ["red", "blue"], [["red", "blue"]]),
        (["a"], ("red",), [["red"]]),
        (["a"], "red", [["red"]]),
        (["a", "b"], [["red"], ("my own",)], [["red"], ["my own"]]),
        (["a", "b"], None, []),
        (["a"], None, []),
    ],
)
def test_a_function_answers_the_models_questions(
    backend: ScriptedBackend,
    client: IpcClient,
    questions: list[str],
    verdict: Any,
    expected: list[list[str]],
) -> None:
    seen: list[QuestionAsked] = []

    def respond(asked: QuestionAsked) -> Any:
        seen.append(asked)
        return verdict

    asked = Asked(backend, client, b.question_asked("que_1", *questions), on_question=respond)
    answer = asked.reply().reply_question
    assert (answer.question_id, answer.directory) == ("que_1", "/project")
    assert [list(each.labels) for each in answer.answers] == expected
    assert [item.question for item in seen[0].items] == questions
    asked.end()


@pytest.mark.parametrize(
    "verdict", [5, True, [["red"]], ["red", "blue", "green"], [5, 6], "red", [["red"], [5]], {}]
)
def test_nonsense_dismisses_the_question(
    backend: ScriptedBackend, client: IpcClient, caplog: pytest.LogCaptureFixture, verdict: Any
) -> None:
    pushed = b.question_asked("que_1", "a", "b")
    with caplog.at_level(logging.ERROR, "opencode_sync"):
        asked = Asked(backend, client, pushed, on_question=lambda asked: verdict)
        answer = asked.reply().reply_question
        assert (answer.question_id, list(answer.answers)) == ("que_1", [])
        asked.end()
        client.close()
    assert "callback" in caplog.text


def test_a_function_answers_for_a_stream_as_well(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("prompt", lambda request: [b.permission_asked(), b.question_asked()])
    with client.stream_prompt(
        "ses_1", "Hi", on_permission=lambda asked: "once", on_question=lambda asked: ["red"]
    ) as stream:
        link = backend.link()
        assert {type(next(stream)) for _ in range(2)} == {PermissionAsked, QuestionAsked}
        link.request(2)
        assert link.operations() == ["prompt", "reply_permission", "reply_question"]
        link.answer(link.request(), b.ran("x"))
        assert stream.result().text == "x"


def test_a_question_that_makes_no_sense_ends_the_run_it_belongs_to(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    pushed = b.permission_asked("", directory="a\0b")
    asked = Asked(backend, client, pushed, on_permission=lambda asked: "once")
    assert isinstance(asked.future.exception(WAIT), IpcArgumentError)
    assert client.check_server_health() is True
