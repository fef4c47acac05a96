"""Conversations that are written down, and take place again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcServerError,
    PermissionAsked,
    ReconnectPolicy,
)
from opencode_sync.errors import IpcArgumentError
from opencode_sync.options import IpcClientOptions
from opencode_sync.testing import (
    AskPermission,
    FakeIpcClient,
    Gate,
    Pause,
    Recorder,
    Replay,
    ScriptedBackend,
    ScriptError,
    replay,
)
from opencode_sync.testing.conversation import IdNumbers
from opencode_sync.testing.fake_backend import FakeBackend
from opencode_sync.transport.base import TransportFactory
from opencode_sync.types import OcApiAuth, OcAuth, OcSessionInfo
from opencode_sync.wire.oc_session_pb2 import OcSessionList

WAIT = 20.0
TOKEN = "6f1c2d3e-token-of-these-tests"
KEY = "key-of-these-tests-0123"
CONFIG = IpcConfig(port=4096, auth_token=TOKEN)
REAL_ID = "ses_01JABCDEFGHJKMNPQRSTVWXYZ0"

Program = Callable[[IpcClient], Any]


def record(path: Path, program: Program, factory: TransportFactory, **options: Any) -> Any:
    """Record what a program says to a backend; returns what the program does."""
    with Recorder(path, factory, **options) as recorder:
        client = IpcClient(CONFIG, transport_factory=recorder, reconnect=None)
        with client:
            result = program(client)
    return result


def run_again(path: Path, program: Program, **options: Any) -> Any:
    with replay(path, **options) as conversation, conversation.client() as client:
        return program(client)


def fake_factory() -> TransportFactory:
    return FakeBackend().links.transport


def steps_of(path: Path) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["steps"]
    return steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings" / "conversation.json"


def converse(client: IpcClient) -> list[str]:
    """Something of everything: an answer, an error, a prompt with its events."""
    session = client.create_session("x")
    said = [session.title, *(each.title for each in client.list_sessions())]
    with client.stream_prompt(session.id, "Hi") as stream:
        said.append("".join(stream.text_stream))
    try:
        client.get_session("ses_none")
    except IpcServerError as error:
        said.append(error.message)
    return said


# --- Recording ---


def test_a_conversation_takes_place_again_as_it_was(path: Path) -> None:
    recorded = record(path, converse, fake_factory())
    assert recorded[:3] == ["x", "x", "You said: Hi"]
    assert run_again(path, converse) == recorded


def test_the_file_can_be_read_by_people(path: Path) -> None:
    record(path, lambda client: client.create_session("x", directory="/p"), fake_factory())
    request, answer = steps_of(path)
    assert request == {
        "client": "create_session",
        "id": 1,
        "connection": 1,
        "directory": "/p",
        "fields": {"title": "x"},
    }
    assert (answer["backend"], answer["id"]) == ("session_info", 1)
    assert answer["fields"]["id"] == "ses_0001"
    assert answer["fields"]["title"] == "x"


def test_two_recordings_of_the_same_are_the_same(path: Path) -> None:
    other = path.with_name("other.json")
    for each in (path, other):
        record(each, converse, fake_factory())
    assert path.read_text("utf-8") == other.read_text("utf-8")
    assert sorted(each.name for each in path.parent.iterdir()) == [path.name, other.name]


def test_ids_are_numbered_in_the_order_of_their_appearance() -> None:
    number = IdNumbers()
    other = REAL_ID.replace("0", "1")
    assert number.in_answer(f"{other} {REAL_ID} {other}") == "ses_0001 ses_0002 ses_0001"
    assert number.in_answer("msg_01JABCDEFGHJ, ses_1, sessions") == "msg_0001, ses_1, sessions"
    assert number.in_request(f"about {REAL_ID}") == "about ses_0002"


def test_ids_of_the_programs_own_stay_as_they_are(path: Path) -> None:
    """It will name the same when it is run again."""

    def program(client: IpcClient) -> str:
        client.create_session()
        with pytest.raises(IpcServerError) as caught:
            client.get_session(REAL_ID)
        return caught.value.message

    recorded = record(path, program, fake_factory())
    assert REAL_ID in recorded
    assert run_again(path, program) == recorded


def test_nothing_secret_is_in_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCODE_SERVER_PASSWORD", "password-of-opencode")

    def program(client: IpcClient) -> None:
        client.create_session(f"{TOKEN} {KEY} password-of-opencode hunter2-hunter2 sk-abcdefghijkl")
        client.set_auth("p", OcAuth(api=OcApiAuth(key=KEY)))

    record(path, program, fake_factory(), secrets=["hunter2-hunter2"])
    text = path.read_text("utf-8")
    for secret in (TOKEN, KEY, "password-of-opencode", "hunter2", "abcdefghijkl"):
        assert secret not in text
    assert "auth_handshake" not in text


def test_a_secret_that_comes_in_two_pieces_is_not_in_the_file(path: Path) -> None:
    fake = FakeIpcClient()
    fake.answer_prompt(
        f"It is {TOKEN[:12]}", TOKEN[12:], ", and sk-ant-a", "pi03-abcdefghijkl", "."
    )
    fake.answer_prompt("One ", "two ", "sk-ant-api03-abcdefghijkl.")

    def program(client: IpcClient) -> list[str]:
        session = client.create_session()
        said = []
        for _ in range(2):
            with client.stream_prompt(session.id, "x") as stream:
                said.append("".join(stream.text_stream))
        return said

    record(path, program, fake._fake.links.transport)
    text = path.read_text("utf-8")
    for part in (TOKEN[:12], TOKEN[12:], "sk-ant-a", "pi03-abcdefghijkl"):
        assert part not in text
    deltas = [
        event["delta"].get("text", "")
        for each in steps_of(path)
        if "delta" in (event := each["fields"].get("event", {}))
    ]
    assert deltas == [
        "It is [secret], and sk-[secret].",
        *[""] * 4,
        # What was in one piece stays in its place.
        "One ",
        "two ",
        "sk-[secret].",
    ]
    assert run_again(path, program) == ["".join(deltas[:5]), "".join(deltas[5:])]


def test_the_password_of_opencode_is_known_to_both(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCODE_SERVER_PASSWORD", "correct horse")

    def program(client: IpcClient) -> str:
        return client.create_session("it is correct horse").title

    record(path, program, fake_factory())
    assert run_again(path, program) == "it is [secret]"


def test_masked_requests_are_recognised(path: Path) -> None:
    def program(client: IpcClient) -> str:
        client.set_auth("p", OcAuth(api=OcApiAuth(key=KEY)))
        return client.create_session("about hunter2-hunter2").title

    record(path, program, fake_factory(), secrets=["hunter2-hunter2"])
    assert run_again(path, program, secrets=["hunter2-hunter2"]) == "about [secret]"


def test_texts_that_differ_from_run_to_run_are_replaced(path: Path, tmp_path: Path) -> None:
    folder = str(tmp_path / "first")

    def program(client: IpcClient) -> str:
        return client.create_session(f"in {folder}", directory=folder).directory

    assert record(path, program, fake_factory(), replace={folder: "/project"}) == folder
    assert folder not in path.read_text("utf-8")
    folder = str(tmp_path / "second")
    assert run_again(path, program, replace={folder: "/project"}) == "/project"


def test_a_program_that_fails_leaves_a_good_recording_as_it_is(path: Path) -> None:
    record(path, converse, fake_factory())
    before = path.read_text("utf-8")
    with pytest.raises(ZeroDivisionError):
        record(path, lambda client: 1 / 0, fake_factory())
    assert path.read_text("utf-8") == before


def test_what_does_not_decode_is_left_out(path: Path) -> None:
    backend = ScriptedBackend()
    backend.expect("list_sessions").raw(b"\xff\xff").answer(OcSessionList())
    record(path, lambda client: client.list_sessions(), backend.transport_factory)
    assert [next(iter(each)) for each in steps_of(path)] == ["client", "backend"]
    backend.close()


def test_the_default_is_a_websocket(path: Path) -> None:
    recorder = Recorder(path)
    transport = recorder(CONFIG, IpcClientOptions())
    assert transport.endpoint == "ws://127.0.0.1:4096/"
    transport.ping()  # handed on, and no part of the conversation
    assert transport.output_due
    transport.on_output_due()
    assert repr(recorder) == f"<Recorder {path}, 0 messages>"
    assert TOKEN not in repr(vars(recorder)["_masker"])


def test_a_connection_that_the_backend_ends_is_ended_again(path: Path) -> None:
    backend = ScriptedBackend(in_order=False)
    backend.expect("list_sessions").answer(OcSessionList())
    backend.expect("create_session").close(1011, "bye")

    def program(client: IpcClient) -> IpcConnectionError:
        client.list_sessions()
        with pytest.raises(IpcConnectionError) as caught:
            client.create_session()
        return caught.value

    record(path, program, backend.transport_factory)
    backend.close()
    assert steps_of(path)[-1] == {"end": {"code": 1011, "reason": "bye"}, "connection": 1}
    error = run_again(path, program)
    assert (error.close_code, error.close_reason) == (1011, "bye")


def test_a_connection_that_was_lost_is_lost_again(path: Path) -> None:
    backend = ScriptedBackend()
    backend.expect("create_session").drop()

    def program(client: IpcClient) -> int | None:
        with pytest.raises(IpcConnectionError) as caught:
            client.create_session()
        return caught.value.close_code

    record(path, program, backend.transport_factory)
    backend.close()
    assert run_again(path, program) is None


def test_reconnecting_is_part_of_the_conversation(path: Path) -> None:
    backend = ScriptedBackend()
    backend.expect("list_sessions").drop()
    backend.expect("list_sessions").answer(OcSessionList(sessions=[OcSessionInfo(title="back")]))
    policy = ReconnectPolicy(initial_delay=0.0, maximum_delay=0.0, jitter=0.0)

    def titles(factory: TransportFactory) -> list[str]:
        with IpcClient(CONFIG, transport_factory=factory, reconnect=policy) as client:
            return [each.title for each in client.list_sessions()]

    with Recorder(path, backend.transport_factory) as recorder:
        assert titles(recorder) == ["back"]
    backend.close()
    assert [each.get("connection") for each in steps_of(path)] == [1, 1, 2, None]
    with replay(path) as conversation:
        assert titles(conversation) == ["back"]


# --- Replaying ---


def ask_and_answer(client: IpcClient) -> list[str]:
    session = client.create_session()
    said = []
    with client.stream_prompt(session.id, "x", on_permission="ask") as stream:
        for event in stream:
            said.append(type(event).__name__)
            if isinstance(event, PermissionAsked):
                client.reply_permission(event.id, "once")
        said.append(stream.result(WAIT).text)
    return said


def test_what_follows_an_answer_comes_after_it(path: Path) -> None:
    fake = FakeIpcClient()
    fake.answer_prompt("May I? ", AskPermission("bash", allowed=["I did."]))
    recorded = record(path, ask_and_answer, fake._fake.links.transport)
    assert run_again(path, ask_and_answer) == recorded
    with pytest.raises(ScriptError, match="reply_permission"), replay(path) as conversation:
        _begin_and_leave(conversation)


def _begin_and_leave(conversation: Replay) -> None:
    """Ask, and leave at the question; what comes behind the answer must not have come."""
    with conversation.client() as client:
        session = client.create_session()
        with client.stream_prompt(session.id, "x", on_permission="ask") as stream:
            for event in stream:
                if isinstance(event, PermissionAsked):
                    break
            assert not stream.done


def test_a_prompt_that_was_given_up_is_not_answered_before_it_is_again(path: Path) -> None:
    fake = FakeIpcClient()
    gate = Gate()
    fake.answer_prompt("Half", Pause(gate))

    def program(client: IpcClient) -> str:
        session = client.create_session()
        with client.stream_prompt(session.id, "x") as stream:
            return next(stream.text_stream)

    assert record(path, program, fake._fake.links.transport) == "Half"
    cancels = [each for each in steps_of(path) if each.get("client") == "cancel"]
    assert [each["fields"] for each in cancels] == [{"request_id": 2}]
    assert run_again(path, program) == "Half"


def test_requests_may_come_in_another_order(path: Path) -> None:
    def both(client: IpcClient, *titles: str) -> list[str]:
        return [client.create_session(title).title for title in titles]

    record(path, lambda client: both(client, "a", "b"), fake_factory())
    assert run_again(path, lambda client: both(client, "b", "a")) == ["b", "a"]


def test_threads_may_share_a_replay(path: Path) -> None:
    def all_at_once(client: IpcClient) -> set[str]:
        futures = [client.futures.create_session(f"{number}") for number in range(20)]
        return {future.result(WAIT).title for future in futures}

    record(path, all_at_once, fake_factory())
    assert run_again(path, all_at_once) == {str(number) for number in range(20)}


def test_time_outs_may_differ(path: Path) -> None:
    def program(timeout: float) -> Program:
        def ask(client: IpcClient) -> str:
            session = client.create_session()
            client.sync_auth_keys(timeout=timeout)
            return client.prompt(session.id, "x", timeout=timeout).text

        return ask

    record(path, program(5), fake_factory())
    assert run_again(path, program(9)) == "You said: x"


def test_a_divergence_fails_and_says_what_is_recorded(path: Path) -> None:
    record(path, lambda client: client.create_session("x"), fake_factory())
    conversation = replay(path)
    with conversation.client() as client:
        with pytest.raises(IpcServerError, match=r"title='y'\) came, and conversation.json has"):
            client.create_session("y")
        with pytest.raises(IpcServerError, match="record it again"):
            client.list_sessions()
        client.create_session("x")
        with pytest.raises(IpcServerError, match="has nothing more"):
            client.create_session("x")
    conversation.close()
    with pytest.raises(ScriptError, match=r"create_session\(title='y'\) came"):
        conversation.verify()
    assert repr(conversation).endswith("1 of 1 requests came>")


def test_a_request_that_is_left_out_before_a_prompt_holds_up_nothing(path: Path) -> None:
    def ask(client: IpcClient) -> str:
        session = client.create_session()
        return client.prompt(session.id, "x", timeout=WAIT).text

    def program(client: IpcClient) -> str:
        client.health_check()
        return ask(client)

    said = record(path, program, fake_factory())
    heard = []
    with pytest.raises(ScriptError, match=r"check_health\(\) never came;") as caught:
        run_again(path, lambda client: heard.append(ask(client)))
    assert heard == [said]
    assert "waited" not in str(caught.value)


def test_what_was_waited_for_is_told(path: Path) -> None:
    fake = FakeIpcClient()
    fake.answer_prompt("May I? ", AskPermission("bash", allowed=["I did."]))
    record(path, ask_and_answer, fake._fake.links.transport)
    waited = r"reply_permission\(.*\) never came, and prompt\(.*\) waited for it"
    with pytest.raises(ScriptError, match=waited), replay(path) as conversation:
        _begin_and_leave(conversation)


def test_who_waits_for_what_has_come_otherwise_fails_at_once(path: Path) -> None:
    fake = FakeIpcClient()
    fake.answer_prompt("May I? ", AskPermission("bash", allowed=["I did."]))
    record(path, ask_and_answer, fake._fake.links.transport)

    def another_answer(client: IpcClient) -> None:
        session = client.create_session()
        with client.stream_prompt(session.id, "x", on_permission="ask") as stream:
            for event in stream:
                if isinstance(event, PermissionAsked):
                    with pytest.raises(IpcServerError, match="DENY"):
                        client.reply_permission(event.id, "reject")

    conversation = replay(path)
    with (
        conversation.client() as client,
        pytest.raises(IpcServerError, match=r"prompt failed: reply_permission\(.*DENY"),
    ):
        another_answer(client)
    conversation.close()


def test_what_never_came_is_told(path: Path) -> None:
    record(path, lambda client: client.create_session("x"), fake_factory())
    with pytest.raises(ScriptError, match=r"create_session\(title='x'\) never came"):
        run_again(path, lambda client: None)
    with pytest.raises(ZeroDivisionError) as caught:
        run_again(path, lambda client: 1 / 0)
    assert "never came" in caught.value.__notes__[0]


def test_a_cancel_that_was_not_recorded_is_no_divergence(path: Path) -> None:
    record(path, lambda client: client.create_session("x"), fake_factory())

    def program(client: IpcClient) -> None:
        client.create_session("x")
        done = threading.Event()
        future = client.futures.send_message("ses_1", "x", model_id="m", provider_id="p")
        future.add_done_callback(lambda _: done.set())
        future.cancel()
        assert done.wait(WAIT)

    with pytest.raises(ScriptError) as caught:
        run_again(path, program)
    assert "send_message" in str(caught.value)
    assert "cancel(" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "does not exist"),
        ("[]", "no recorded conversation"),
        ("{", "no recorded conversation"),
        ("[" * 100_000, "nested deeper"),
        ('{"version": 2, "steps": []}', "version 2"),
        (
            '{"version": 1, "steps": [{"client": "prompt", "id": [], "connection": 1}]}',
            "no recorded conversation",
        ),
        ('{"version": 1, "steps": [{"client": "x"}]}', "no recorded conversation"),
        (
            '{"version": 1, "steps": [{"backend": "nothing", "id": 1, "fields": {}}]}',
            "step 1 is no message of this schema",
        ),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str | None, problem: str) -> None:
    file = tmp_path / "x.json"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(IpcArgumentError, match=problem) as caught:
        replay(file)
    assert caught.value.field == "path"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IpcArgumentError, match="cannot be read"):
        replay(tmp_path)
