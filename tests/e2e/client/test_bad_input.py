"""What is wrong, too much, or breaks on the way: each a typed error, and nothing hangs."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    IpcArgumentError,
    IpcClient,
    IpcConfig,
    IpcPromptError,
    IpcServerError,
    RetryScheduled,
)
from opencode_sync.gateway import BackendError, Gateway, OpenCodeBackend
from opencode_sync.types import message_error, message_text
from tests.e2e.client.asking import WAIT, Asked
from tests.e2e.stub_model import KEY, StubModel

pytestmark = pytest.mark.e2e

UNKNOWN = "ses_0000000000000000000000"
MODEL = {"model_id": "stub-1", "provider_id": "stub"}


def prompt_error(client: IpcClient, session_id: str, text: str, **more: Any) -> IpcPromptError:
    with pytest.raises(IpcPromptError) as caught:
        client.prompt(session_id, text, timeout=WAIT, **more)
    assert KEY not in str(caught.value) + str(caught.value.partial)
    return caught.value


# --- Ids ---


@pytest.mark.parametrize(
    "call",
    [
        lambda client, session_id: client.get_session(session_id),
        lambda client, session_id: client.update_session(session_id, title="x"),
        lambda client, session_id: client.list_messages(session_id),
        lambda client, session_id: client.send_message(
            session_id, "x", model_id="stub-1", provider_id="stub"
        ),
        lambda client, session_id: client.events(session_id=session_id),
    ],
    ids=["get_session", "update_session", "list_messages", "send_message", "events"],
)
@pytest.mark.parametrize("session_id", [UNKNOWN, "nope", "ses_../../x", "ses_\n", "ses_ü"])
def test_a_session_that_is_not_there(
    client: IpcClient, call: Callable[[IpcClient, str], object], session_id: str
) -> None:
    with pytest.raises(IpcServerError, match=r"session") as caught:
        call(client, session_id)
    assert caught.value.code_name == "INVALID_MESSAGE"


def test_nothing_can_be_aborted_or_deleted_that_is_not_there(client: IpcClient) -> None:
    assert client.delete_session(UNKNOWN) is False
    with pytest.raises(IpcServerError) as caught:
        client.abort_session(UNKNOWN)
    assert caught.value.code_name == "INVALID_MESSAGE"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"model": "stub/stub-3"}, "unknown_model", "stub-1"),
        ({"model": "nope/stub-1"}, "unknown_model", "nope"),
        ({"model": "stub/stub-1/and/more"}, "unknown_model", "stub-1/and/more"),
        ({"agent": "primary"}, "unknown_agent", '"build"'),
        ({"agent": "bu\nild"}, "unknown_agent", "build"),
    ],
)
def test_a_model_or_an_agent_that_is_not_there_is_named_and_nothing_is_sent(
    client: IpcClient, asked: Asked, changes: dict[str, str], kind: str, words: str
) -> None:
    """OpenCode itself answers such a prompt with a 500 that says nothing."""
    error = prompt_error(client, asked.id, "hello", **changes)
    assert error.kind == kind
    assert words in str(error)
    assert not error.retryable
    assert asked.stored() == []


def test_a_prompt_to_a_session_that_is_not_there(client: IpcClient) -> None:
    assert prompt_error(client, UNKNOWN, "hello").kind == "unknown_session"
    with pytest.raises(IpcServerError, match="session_id") as caught:
        client.prompt("nope", "hello")
    assert caught.value.code_name == "INVALID_MESSAGE"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_id": "nope"}, "model_id"),
        ({"provider_id": "nope"}, "provider_id"),
        ({"agent": "nope"}, "agent"),
    ],
)
def test_a_message_to_what_is_not_there(
    client: IpcClient, asked: Asked, changes: dict[str, str], named: str
) -> None:
    arguments: dict[str, Any] = MODEL | changes
    with pytest.raises(IpcServerError, match=named) as caught:
        client.send_message(asked.id, "hello", **arguments)
    assert caught.value.code_name == "INVALID_MESSAGE"
    assert asked.stored() == []


@pytest.mark.parametrize("known", ["per_0000000000000000000000", "nope", "per_../x"])
def test_a_question_that_nobody_asked(client: IpcClient, known: str) -> None:
    with pytest.raises(IpcServerError, match="permission_id") as caught:
        client.reply_permission(known, "once")
    assert caught.value.code_name == "INVALID_MESSAGE"
    with pytest.raises(IpcServerError, match="question_id") as caught:
        client.reply_question(known.replace("per_", "que_"), [["A"]])
    assert caught.value.code_name == "INVALID_MESSAGE"


def test_a_run_in_a_session_that_is_deleted_meanwhile(
    client: IpcClient, asked: Asked, stub: StubModel
) -> None:
    gate = stub.gate("deleted meanwhile")
    with client.stream_prompt(asked.id, "[[gate:deleted meanwhile]]") as stream:
        assert gate.reached.acquire(timeout=WAIT)
        assert client.delete_session(asked.id)
        with pytest.raises(IpcPromptError) as caught:
            stream.result(WAIT)
    gate.let(1000)
    assert caught.value.kind == "unknown_session"


# --- Texts and arguments ---


def test_blank_text_is_refused_before_it_is_sent(client: IpcClient, asked: Asked) -> None:
    for text in ("", " \n"):
        with pytest.raises(IpcArgumentError, match="text"):
            client.prompt(asked.id, text)
        with pytest.raises(IpcArgumentError, match="text"):
            client.send_message(asked.id, text, model_id="stub-1", provider_id="stub")
    assert asked.stored() == []


def test_five_megabytes_of_text(client: IpcClient, asked: Asked) -> None:
    """There and back, and still there to be listed."""
    text = "[[say:that was long]] " + "Überlang " * 500_000
    assert len(text.encode()) > 5_000_000
    assert client.prompt(asked.id, text, timeout=WAIT).text == "that was long"
    user, answer = client.list_messages(asked.id)
    assert message_text(user) == text
    assert message_text(answer) == "that was long"


def test_more_text_than_opencode_takes(client: IpcClient, asked: Asked) -> None:
    """It would never answer."""
    with pytest.raises(IpcArgumentError, match="8000000"):
        client.prompt(asked.id, "x" * 8_000_001)


@pytest.mark.parametrize(
    "text",
    [
        "nul\x00inside",
        "\U0001f680" * 1000,
        "\u202e right to left",
        "\ud83d".encode("utf-8", "replace").decode() + "\r\n\t",
    ],
)
def test_odd_texts_come_back_as_they_were(client: IpcClient, asked: Asked, text: str) -> None:
    client.prompt(asked.id, text)
    assert asked.stored()[0]["parts"][0]["text"] == text
    assert message_text(client.list_messages(asked.id)[0]) == text


def test_a_file_that_is_not_there(client: IpcClient, asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(IpcArgumentError, match="files"):
        client.prompt(asked.id, "look", files=[tmp_path / "nothing.txt"])
    assert asked.stored() == []


# --- The model's server ---


@pytest.mark.parametrize(
    ("text", "kind", "status"),
    [
        ("[[400]]", "api", 400),
        ("[[401]]", "provider_auth", 401),
        ("[[403]]", "provider_auth", 403),
        ("[[length]]", "output_length", None),
        ("[[overflow]]", "context_overflow", None),
    ],
)
def test_the_model_refuses(
    client: IpcClient, asked: Asked, text: str, kind: str, status: int | None
) -> None:
    """OpenCode reports it inside of an answer that is a success."""
    error = prompt_error(client, asked.id, text)
    assert (error.kind, error.status) == (kind, status)
    assert not error.retryable
    assert error.partial.messages
    assert not asked.runs()


def test_send_message_has_the_error_in_its_answer(client: IpcClient, asked: Asked) -> None:
    answer = client.send_message(asked.id, "[[401]]", model_id="stub-1", provider_id="stub")
    assert "401" in str(message_error(answer))
    assert KEY not in str(answer)


@pytest.mark.parametrize(
    ("text", "model"),
    [("[[429]]", "stub/stub-1"), ("[[500]]", "stub/stub-1"), ("down", "down/stub-1")],
)
def test_a_model_that_stays_away_shows_and_nobody_has_to_wait_for_it(
    client: IpcClient, asked: Asked, text: str, model: str
) -> None:
    """OpenCode tries again for more than a minute, without a word in its answer."""
    with client.stream_prompt(asked.id, text, model=model) as stream:
        retry = next(each for each in stream if isinstance(each, RetryScheduled))
        assert retry.attempt == 1
        assert KEY not in str(retry)
        assert asked.runs()
    assert not asked.runs()


def test_a_rate_limit_that_asks_for_patience(client: IpcClient, asked: Asked) -> None:
    result = client.prompt(asked.id, "[[429-once:1]] [[say:then]]")
    assert result.text == "then"
    (retry,) = result.retries
    assert "429" in retry.message
    assert KEY not in retry.message


def test_an_answer_that_is_cut_off(client: IpcClient, asked: Asked) -> None:
    """It is begun anew; what was said twice is said once in the result."""
    result = client.prompt(asked.id, "[[cut]] [[say:whole again]]")
    assert result.text.endswith("whole again")
    assert result.text == asked.text()


def test_an_error_in_the_midst_of_an_answer(client: IpcClient, asked: Asked) -> None:
    with client.stream_prompt(asked.id, "[[broken]] [[say:half of it]]") as stream:
        retry = next(each for each in stream if isinstance(each, RetryScheduled))
        assert retry.session_id == asked.id
    assert not asked.runs()


def test_a_tool_that_the_model_made_up(client: IpcClient, asked: Asked) -> None:
    result = client.prompt(asked.id, '[[tool:time_machine {"to": 1985}]]')
    assert result.finish == "stop"
    assert [call.name for call in result.tool_calls] == ["invalid"]


def test_arguments_of_a_tool_that_are_no_json(client: IpcClient, asked: Asked) -> None:
    result = client.prompt(asked.id, "[[tool:bash {oh]]")
    assert result.finish == "stop"


# --- OpenCode itself ---


@pytest.fixture
def web_page() -> Iterator[str]:
    """A server that answers everything with a page, as OpenCode does what it does not know."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            health = self.path.startswith("/global/health")
            content = b'{"healthy":true,"version":"9.9.9"}' if health else b"<!doctype html>"
            self.send_response(200)
            kind = "application/json" if health else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_DELETE = do_PUT = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_page_where_json_was_expected(web_page: str) -> None:
    with (
        Gateway(OpenCodeBackend(web_page)) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        calls: list[Callable[[], object]] = [
            client.list_sessions,
            client.create_session,
            client.list_agents,
            client.list_models,
            client.get_provider_status,
            client.events,
            lambda: client.get_session(UNKNOWN),
            lambda: client.list_messages(UNKNOWN),
            lambda: client.abort_session(UNKNOWN),
            lambda: client.prompt(UNKNOWN, "hello"),
            lambda: client.send_message(UNKNOWN, "x", model_id="m", provider_id="p"),
        ]
        for call in calls:
            with pytest.raises((IpcServerError, IpcPromptError), match="text/html"):
                call()


def test_no_opencode_at_all() -> None:
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9 "):
        Gateway(OpenCodeBackend("http://127.0.0.1:9")).start()


# --- Settings ---


@pytest.mark.parametrize(
    "document",
    [
        "",
        "{",
        "[]",
        "1",
        '"x"',
        "null",
        '{"version": "one"}',
        '{"version": 1, "server": []}',
        '{"version": 1, "version": 2}',
        "{'a': 1}",
    ],
)
def test_settings_that_are_none(client: IpcClient, document: str) -> None:
    before = client.get_config().app_config_json
    answer = client.update_config(document)
    assert (answer.success, bool(answer.error)) == (False, True)
    assert client.get_config().app_config_json == before


def test_settings_that_are_no_settings(client: IpcClient) -> None:
    for value in (None, 1, ["x"], {"x": object()}):
        with pytest.raises(IpcArgumentError, match="config"):
            client.update_config(value)  # type: ignore[arg-type]
    assert json.loads(client.get_config().app_config_json)
