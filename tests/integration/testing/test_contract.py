"""What a program may rely on holds for the fake as it does for the client on both transports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path

import pytest

from opencode_sync import (
    CancelToken,
    ConnectionState,
    IpcArgumentError,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcTimeoutError,
    IpcUsageError,
    PermissionAsked,
    StateChange,
    TextDelta,
)
from opencode_sync.types import IpcEvent, OcSessionInfo, message_text
from tests.integration.testing.worlds import WORLDS, World
from tests.support.threads import Background, together

WAIT = 20.0
UNKNOWN = "ses_99999999999999999999999999"


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    options = IpcClientOptions(default_request_timeout=WAIT, default_prompt_timeout=WAIT)
    with WORLDS[request.param](tmp_path, options) as made:
        yield made


@pytest.fixture
def client(world: World) -> IpcClient:
    world.client.connect()
    return world.client


@pytest.fixture
def session(client: IpcClient) -> OcSessionInfo:
    return client.create_session("a session")


# --- Lifecycle ---


def test_it_is_connected_between_connect_and_close(world: World) -> None:
    client = world.client
    assert (client.state, client.is_connected) == (ConnectionState.DISCONNECTED, False)
    client.connect()
    client.connect()
    assert (client.state, client.is_connected) == (ConnectionState.CONNECTED, True)
    client.close()
    client.close()
    assert (client.state, client.is_connected) == (ConnectionState.DISCONNECTED, False)


def test_a_closed_client_may_be_connected_again(world: World) -> None:
    with world.client as client:
        created = client.create_session("kept")
    with world.client as client:
        assert [each.id for each in client.list_sessions()] == [created.id]


def test_calls_without_a_connection_are_refused_and_were_not_sent(world: World) -> None:
    with pytest.raises(IpcConnectionError, match="connect") as caught:
        world.client.list_sessions()
    assert caught.value.request_sent is False


def test_listeners_see_every_state_once_and_in_order(world: World) -> None:
    seen: list[StateChange] = []
    world.client.on_state_change(seen.append)
    with world.client:
        pass
    assert [change.new for change in seen] == [
        ConnectionState.CONNECTING,
        ConnectionState.AUTHENTICATING,
        ConnectionState.CONNECTED,
        ConnectionState.DISCONNECTING,
        ConnectionState.DISCONNECTED,
    ]


def test_a_lost_connection_comes_back(world: World, client: IpcClient) -> None:
    lost, back = threading.Event(), threading.Event()

    def note(change: StateChange) -> None:
        if change.new is ConnectionState.FAILED:
            lost.set()
        elif change.new is ConnectionState.CONNECTED and lost.is_set():
            back.set()

    client.on_state_change(note)
    world.lose()
    assert lost.wait(WAIT)
    assert back.wait(WAIT)
    assert client.create_session("after all").title == "after all"


def test_a_listener_may_not_block(client: IpcClient) -> None:
    caught: list[BaseException] = []
    tried = threading.Event()

    def call(change: StateChange) -> None:
        try:
            client.list_sessions()
        except IpcUsageError as error:
            caught.append(error)
        tried.set()

    client.on_state_change(call)
    client.close()
    assert tried.wait(WAIT)
    assert len(caught) >= 1


# --- Sessions ---


def test_sessions_are_created_listed_changed_and_deleted(client: IpcClient) -> None:
    first, second = client.create_session("first"), client.create_session()
    assert first.id.startswith("ses_")
    assert second.title.startswith("New session")
    assert first.time.created > 0
    assert {each.id for each in client.list_sessions()} == {first.id, second.id}
    assert client.get_session(first.id).title == "first"
    assert client.update_session(first.id, title="renamed").title == "renamed"
    assert client.update_session(first.id, archived=True).time.HasField("archived")
    assert not client.update_session(first.id, archived=False).time.HasField("archived")
    assert client.delete_session(first.id) is True
    assert client.delete_session(first.id) is False
    assert [each.id for each in client.list_sessions()] == [second.id]


def test_the_newest_session_comes_first(client: IpcClient) -> None:
    made = [client.create_session(f"number {index}").id for index in range(3)]
    assert [each.id for each in client.list_sessions()] == made[::-1]


def test_an_unknown_session_is_the_backends_error(client: IpcClient) -> None:
    with pytest.raises(IpcServerError, match="session_id") as caught:
        client.get_session(UNKNOWN)
    assert caught.value.code_name == "INVALID_MESSAGE"
    assert caught.value.operation == "get_session"


def test_a_wrong_argument_is_refused_before_anything_is_sent(client: IpcClient) -> None:
    with pytest.raises(IpcArgumentError) as caught:
        client.delete_session("")
    assert caught.value.field == "session_id"


def test_health_is_true_with_a_connection_and_false_without(world: World) -> None:
    assert world.client.health_check() is False
    with world.client as client:
        assert client.health_check() is True
        assert client.check_server_health() is True


def test_settings_are_kept(client: IpcClient) -> None:
    assert client.update_config({"version": 1}).success is True
    assert '"version"' in client.get_config().app_config_json
    refused = client.update_config("[]")
    assert (refused.success, bool(refused.error)) == (False, True)


def test_the_backend_tells_what_it_is(client: IpcClient) -> None:
    info = client.get_backend_info()
    assert (info.backend in ("fake", "talking"), bool(info.version)) == (True, True)


# --- Threads and futures ---


def test_threads_share_a_client(client: IpcClient) -> None:
    made = [each.result(WAIT) for each in together(8, lambda n: client.create_session(f"{n}"))]
    assert sorted(each.title for each in made) == [str(number) for number in range(8)]
    assert len({each.id for each in made}) == 8


def test_futures_have_the_same_results(client: IpcClient) -> None:
    futures = [client.futures.create_session(f"{number}") for number in range(20)]
    titles = {future.result(WAIT).title for future in as_completed(futures, WAIT)}
    assert titles == {str(number) for number in range(20)}


def test_a_future_has_the_error(client: IpcClient) -> None:
    error = client.futures.get_session(UNKNOWN).exception(WAIT)
    assert isinstance(error, IpcServerError)


def test_done_callbacks_run_on_a_thread_of_the_clients(client: IpcClient) -> None:
    names: list[str] = []
    called = threading.Event()

    def note(future: object) -> None:
        names.append(threading.current_thread().name)
        called.set()

    client.futures.list_sessions().add_done_callback(note)
    assert called.wait(WAIT)
    assert names[0].startswith("opencode-sync-notifier")


def test_a_cancelled_token_ends_a_call(client: IpcClient) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(IpcCancelledError):
        client.list_sessions(cancel=token)


# --- Prompts ---


def test_a_prompt_returns_the_whole_run(client: IpcClient, session: OcSessionInfo) -> None:
    result = client.prompt(session.id, "Hello")
    assert (result.text, result.finish, result.session_id) == (
        "You said: Hello",
        "stop",
        session.id,
    )
    assert [message_text(each) for each in result.messages] == ["You said: Hello"]


def test_a_stream_has_the_text_piece_by_piece(client: IpcClient, session: OcSessionInfo) -> None:
    with client.stream_prompt(session.id, "Hello") as stream:
        text = "".join(event.text for event in stream if isinstance(event, TextDelta))
        assert stream.result(WAIT).text == "You said: Hello"
    assert text.strip() == "You said: Hello"


def test_a_run_that_failed_raises_with_what_there_was(
    client: IpcClient, session: OcSessionInfo
) -> None:
    with pytest.raises(IpcPromptError, match="it was provider_auth") as caught:
        client.prompt(session.id, "fail")
    assert caught.value.kind == "provider_auth"
    assert caught.value.partial.text == "Half"


@pytest.mark.parametrize(("verdict", "said"), [("once", "Reply ALLOW"), ("reject", "Reply DENY")])
def test_a_function_decides_about_permissions(
    client: IpcClient, session: OcSessionInfo, verdict: str, said: str
) -> None:
    asked: list[PermissionAsked] = []

    def decide(question: PermissionAsked) -> str:
        asked.append(question)
        return verdict

    assert client.prompt(session.id, "allow", on_permission=decide).text == said  # type: ignore[arg-type]
    assert [(each.permission, each.patterns) for each in asked] == [("bash", ("rm -rf build",))]


def test_whoever_reads_the_stream_may_answer(client: IpcClient, session: OcSessionInfo) -> None:
    with client.stream_prompt(session.id, "allow", on_permission="ask") as stream:
        for event in stream:
            if isinstance(event, PermissionAsked):
                client.reply_permission(event.id, "once")
        assert stream.result(WAIT).text == "Reply ALLOW"


def test_a_time_out_ends_the_run(world: World, client: IpcClient, session: OcSessionInfo) -> None:
    with pytest.raises(IpcTimeoutError) as caught:
        client.prompt(session.id, "hold", timeout=0.2)
    assert caught.value.request_sent is True
    # The next prompt of the session has its turn, so the first is over.
    assert client.prompt(session.id, "next").text == "You said: next"


def test_a_token_ends_a_run(world: World, client: IpcClient, session: OcSessionInfo) -> None:
    token = CancelToken()
    running = Background(client.prompt, session.id, "hold", cancel=token)
    world.wait_held()
    token.cancel()
    assert isinstance(running.error(WAIT), IpcCancelledError)


def test_leaving_a_stream_early_ends_its_run(
    world: World, client: IpcClient, session: OcSessionInfo
) -> None:
    with client.stream_prompt(session.id, "hold") as stream:
        world.wait_held()
    with pytest.raises(IpcCancelledError):
        stream.result(WAIT)


def test_closing_the_client_fails_what_runs(
    world: World, client: IpcClient, session: OcSessionInfo
) -> None:
    running = Background(client.prompt, session.id, "hold")
    world.wait_held()
    client.close()
    assert isinstance(running.error(WAIT), IpcConnectionError)


# --- Events ---


def test_events_come_to_who_has_subscribed(world: World, client: IpcClient) -> None:
    with client.events(types=["file.*"]) as events:
        world.emit(IpcEvent(type="file.edited", properties_json='{"file": "a.py"}'))
        event = events.next_event(WAIT)
        assert (event.type, event.properties_json) == ("file.edited", '{"file": "a.py"}')
        with pytest.raises(IpcTimeoutError):
            events.next_event(0.01)
    assert events.closed


def test_a_stream_of_events_ends_with_its_connection(world: World, client: IpcClient) -> None:
    with client.events() as events:
        world.lose()
        with pytest.raises(IpcConnectionError):
            events.next_event(WAIT)
