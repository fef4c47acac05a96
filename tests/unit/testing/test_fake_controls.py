"""What a test can say to a fake client, and ask it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from opencode_sync import (
    ConnectionState,
    IpcArgumentError,
    IpcAuthenticationError,
    IpcCancelledError,
    IpcClient,
    IpcConnectionError,
    IpcError,
    IpcPromptError,
    IpcProtocolError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
    PermissionAsked,
    QuestionAsked,
    ReconnectPolicy,
    StateChange,
)
from opencode_sync.testing import AskPermission, AskQuestion, FakeIpcClient, Gate
from opencode_sync.types import (
    IpcEvent,
    OAuthStatusType,
    OcAgentInfo,
    OcApiAuth,
    OcAuth,
    OcModelInfo,
    OcOAuth,
    OcWellKnownAuth,
    event_properties,
)
from tests.support.threads import Background

WAIT = 20.0


@pytest.fixture
def fake() -> Iterator[FakeIpcClient]:
    with FakeIpcClient() as connected:
        yield connected


# --- Failures ---


@pytest.mark.parametrize(
    "kind",
    [
        IpcAuthenticationError,
        IpcCancelledError,
        IpcConnectionError,
        IpcPromptError,
        IpcProtocolError,
        IpcServerError,
        IpcTimeoutError,
        IpcUnsupportedOperationError,
        IpcUsageError,
    ],
)
def test_the_next_call_fails_and_the_one_after_it_does_not(
    fake: FakeIpcClient, kind: type[IpcError]
) -> None:
    fake.fail_next("list_sessions", kind)
    with pytest.raises(kind) as caught:
        fake.list_sessions()
    assert type(caught.value) is kind
    assert list(fake.list_sessions()) == []


def test_a_failure_has_the_attributes_it_was_given_and_is_never_raised_twice(
    fake: FakeIpcClient,
) -> None:
    given = IpcConnectionError("gone", endpoint="ws://x/", close_code=1006, request_sent=True)
    fake.fail_next("create_session", given, times=2)
    errors = [fake.futures.create_session().exception(WAIT) for _ in range(2)]
    for error in errors:
        assert isinstance(error, IpcConnectionError)
        assert (error.message, error.close_code, error.request_sent) == ("gone", 1006, True)
    assert errors[0] is not errors[1]
    assert given not in errors
    assert fake.create_session("x").title == "x"


def test_an_operation_fails_until_it_is_told_to_stop(fake: FakeIpcClient) -> None:
    fake.fail_always("list_sessions", IpcTimeoutError)
    fake.fail_next("list_sessions", IpcServerError)
    with pytest.raises(IpcServerError):
        fake.list_sessions()
    for _ in range(3):
        with pytest.raises(IpcTimeoutError):
            fake.list_sessions()
    fake.stop_failing("list_sessions")
    fake.stop_failing("list_sessions")
    assert list(fake.list_sessions()) == []


def test_a_failure_is_treated_as_one_from_below(fake: FakeIpcClient) -> None:
    """Where the client makes something else of an error, it does so here."""
    fake.fail_always("health_check", IpcConnectionError)
    assert fake.health_check() is False
    with pytest.raises(IpcConnectionError):
        fake.check_server_health()


def test_streams_fail_too(fake: FakeIpcClient) -> None:
    session = fake.create_session()
    fake.fail_next("events", IpcUnsupportedOperationError)
    with pytest.raises(IpcUnsupportedOperationError):
        fake.events()
    fake.fail_next("stream_prompt", IpcPromptError)
    with fake.stream_prompt(session.id, "x") as stream, pytest.raises(IpcPromptError):
        list(stream)


@pytest.mark.parametrize(
    ("operation", "error", "field", "remedy"),
    [
        ("list_session", IpcTimeoutError, "operation", "list_sessions"),
        ("list_sessions", KeyError, "error", "IpcError"),
        ("list_sessions", "no", "error", "IpcError"),
        ("list_sessions", IpcSlowConsumerError, "error", "instance"),
    ],
)
def test_what_cannot_be_a_failure_is_refused(
    fake: FakeIpcClient, operation: str, error: object, field: str, remedy: str
) -> None:
    with pytest.raises(IpcArgumentError, match=remedy) as caught:
        fake.fail_next(operation, error)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (IpcTimeoutError, {"request_sent": False, "timeout": 3.0}),
        (IpcConnectionError, {"request_sent": True, "retry_in": 0.5}),
        (IpcServerError, {"code": 77, "message": "no"}),
        (IpcPromptError, {"kind": "rate_limited", "status": 429, "retryable": True}),
    ],
)
def test_a_typical_failure_may_have_other_attributes(
    fake: FakeIpcClient, kind: type[IpcError], attributes: dict[str, object]
) -> None:
    fake.fail_next("prompt", kind, 2, **attributes)
    fake.fail_always("create_session", kind, **attributes)
    errors = [fake.futures.prompt("ses_1", "x").exception(WAIT) for _ in range(2)]
    for error in errors:
        assert type(error) is kind
        assert {name: getattr(error, name) for name in attributes} == attributes
        assert getattr(error, "operation", "prompt") == "prompt"
    assert errors[0] is not errors[1]
    created = fake.futures.create_session().exception(WAIT)
    assert getattr(created, "operation", "create_session") == "create_session"


@pytest.mark.parametrize(
    ("error", "attribute", "remedy"),
    [
        (IpcTimeoutError, "sent", "request_sent"),
        (IpcConnectionError("gone"), "request_sent", "beside an instance"),
    ],
)
def test_an_attribute_that_cannot_be_is_refused(
    fake: FakeIpcClient, error: type[IpcError] | IpcError, attribute: str, remedy: str
) -> None:
    with pytest.raises(IpcArgumentError, match=remedy) as caught:
        fake.fail_next("list_sessions", error, **{attribute: True})
    assert caught.value.field == attribute


def test_methods_and_operations_may_be_named(fake: FakeIpcClient) -> None:
    """``health_check`` asks for ``check_health``, and ``events`` for ``subscribe``."""
    fake.fail_next("check_server_health", IpcTimeoutError)
    with pytest.raises(IpcTimeoutError):
        fake.check_server_health()
    with fake.hold("health_check") as gate:
        future = fake.futures.check_server_health()
        gate.wait_reached()
        assert not future.done()
    future.result(WAIT)
    with fake.events():
        assert len(fake.calls_of("events")) == len(fake.calls_of("subscribe")) == 1
    assert fake.wait_for_call("health_check", count=2).operation == "check_health"
    with pytest.raises(IpcArgumentError) as caught:
        fake.calls_of("healthcheck")
    named = {each.strip() for each in str(caught.value).split("give one of ")[1].split(",")}
    assert named >= {"health_check", "events", "stream_prompt", "list_sessions"}
    assert all(hasattr(IpcClient, each) for each in named)


# --- The connection ---


def test_while_it_is_down_it_paces_itself_as_a_client_does() -> None:
    """By its policy, and not in a busy loop."""
    hour = ReconnectPolicy(initial_delay=3600.0, maximum_delay=3600.0, jitter=0.0)
    lost = threading.Event()
    seen: list[StateChange] = []

    def note(change: StateChange) -> None:
        seen.append(change)
        if change.new is ConnectionState.FAILED:
            lost.set()

    with FakeIpcClient(reconnect=hour) as fake:
        fake.on_state_change(note)
        fake.go_down()
        assert lost.wait(WAIT)
        waiting = fake.futures.list_sessions(timeout=WAIT)
        assert [(change.new, change.retry_in) for change in seen] == [
            (ConnectionState.FAILED, 3600.0)
        ]
        fake.come_back()  # and nobody waits for an hour
        assert list(waiting.result(WAIT)) == []


def test_its_pauses_are_the_clients_own() -> None:
    changes: Queue[StateChange] = Queue()
    with FakeIpcClient() as fake:
        fake.on_state_change(changes.put)
        fake.go_down()
        while (change := changes.get(timeout=WAIT)).new is not ConnectionState.FAILED:
            pass
        assert change.retry_in is not None
        assert 0.1 <= change.retry_in <= 0.2


def test_a_loss_that_is_over_costs_no_pause() -> None:
    hour = ReconnectPolicy(initial_delay=3600.0, maximum_delay=3600.0)
    with FakeIpcClient(reconnect=hour) as fake:
        for _ in range(3):
            fake.go_down()
            fake.come_back()
            assert fake.check_server_health(timeout=WAIT) is True


def test_a_client_that_was_never_connected_is_left_alone(fake: FakeIpcClient) -> None:
    fake.close()
    fake.come_back()
    assert fake.state is ConnectionState.DISCONNECTED


def test_the_connection_is_lost_and_comes_back(fake: FakeIpcClient) -> None:
    lost, back = threading.Event(), threading.Event()
    fake.on_state_change(
        lambda change: (
            lost.set()
            if change.new is ConnectionState.FAILED
            else back.set()
            if change.new is ConnectionState.CONNECTED
            else None
        )
    )
    fake.go_down()
    assert lost.wait(WAIT)
    fake.come_back()
    assert back.wait(WAIT)
    assert fake.health_check() is True


def test_nobody_can_connect_while_it_is_down() -> None:
    fake = FakeIpcClient()
    fake.go_down()
    with pytest.raises(IpcConnectionError, match="the test said so"):
        fake.connect()
    fake.come_back()
    with fake:
        assert fake.is_connected


def test_what_is_kept_outlives_the_connection(fake: FakeIpcClient) -> None:
    fake.create_session("kept")
    fake.close()
    with fake:
        assert [each.title for each in fake.list_sessions()] == ["kept"]


# --- What there is ---


def test_runs_are_the_same_every_time() -> None:
    def run() -> list[object]:
        with FakeIpcClient() as fake:
            session = fake.create_session()
            result = fake.prompt(session.id, "Hi")
            return [session, result, fake.calls, fake.list_messages(session.id), fake.sessions]

    first, second = run(), run()
    assert [str(each) for each in first] == [str(each) for each in second]


def test_sessions_may_be_there_from_the_beginning(fake: FakeIpcClient) -> None:
    added = fake.add_session("old", summary={"additions": 3, "files": 1}, directory="/elsewhere")
    assert [each.summary.additions for each in fake.list_sessions()] == [3]
    assert [each.id for each in fake.list_sessions(directory="/elsewhere")] == [added.id]
    assert list(fake.list_sessions(directory="/here")) == []
    assert fake.create_session(directory="/here").directory == "/here"
    fake.sessions[0].title = "changed"
    assert fake.sessions[0].title == "old"  # a copy was changed
    with pytest.raises(IpcArgumentError, match="OcSessionInfo"):
        fake.add_session(colour="red")


def test_health_may_be_set(fake: FakeIpcClient) -> None:
    fake.healthy = False
    assert (fake.healthy, fake.health_check(), fake.check_server_health()) == (False, False, False)


def test_agents_and_models_may_be_set(fake: FakeIpcClient) -> None:
    fake.set_agents(OcAgentInfo(name="plan"))
    fake.set_models(OcModelInfo(id="m", provider_id="p"), OcModelInfo(id="n", provider_id="p"))
    assert [each.name for each in fake.list_agents()] == ["plan"]
    assert [each.id for each in fake.list_models().models] == ["m", "n"]
    assert dict(fake.list_models().default_models) == {"p": "m"}
    assert list(fake.get_provider_status()) == ["p"]


def test_a_model_that_is_not_there_fails_as_in_production(fake: FakeIpcClient) -> None:
    """Once it was said which are; until then the fake takes any."""
    session = fake.create_session()
    assert fake.prompt(session.id, "Hi", model="nope/nada").text == "You said: Hi"
    fake.set_models(OcModelInfo(id="sonnet", provider_id="anthropic"))
    with pytest.raises(IpcPromptError, match="did you mean anthropic/sonnet") as caught:
        fake.prompt(session.id, "Hi", model="anthropic/sonnett")
    assert (caught.value.kind, caught.value.retryable) == ("unknown_model", False)
    with pytest.raises(IpcServerError, match="no model nope/nada; it has anthropic/sonnet"):
        fake.send_message(session.id, "Hi", provider_id="nope", model_id="nada")
    assert fake.prompt(session.id, "Hi", model="anthropic/sonnet").text == "You said: Hi"
    assert fake.prompt(session.id, "Hi").text == "You said: Hi"


def test_an_agent_that_is_not_there_fails_as_in_production(fake: FakeIpcClient) -> None:
    session = fake.create_session()
    assert fake.prompt(session.id, "Hi", agent="nobody").text == "You said: Hi"
    fake.set_agents()
    with pytest.raises(IpcPromptError, match="no agent nobody; it has none") as caught:
        fake.prompt(session.id, "Hi", agent="nobody")
    assert caught.value.kind == "unknown_agent"


@pytest.mark.parametrize("times", [0, -1, 1.5, True, "2", None])
def test_what_is_no_number_of_times_is_refused_at_once(fake: FakeIpcClient, times: object) -> None:
    with pytest.raises(IpcArgumentError, match=r"times is .*at least 1") as caught:
        fake.fail_next("list_sessions", IpcServerError, times)  # type: ignore[arg-type]
    assert caught.value.field == "times"
    assert fake.list_sessions() == []


def test_what_are_no_models_or_agents_replaces_none(fake: FakeIpcClient) -> None:
    fake.set_models(OcModelInfo(id="m", provider_id="p"))
    fake.set_agents(OcAgentInfo(name="build"))
    with pytest.raises(IpcArgumentError, match=r"models holds 'x'; give .* OcModelInfo"):
        fake.set_models(OcModelInfo(id="new"), "x")  # type: ignore[arg-type]
    with pytest.raises(IpcArgumentError, match=r"agents holds 'x'; give .* OcAgentInfo"):
        fake.set_agents("x")  # type: ignore[arg-type]
    assert [each.id for each in fake.list_models().models] == ["m"]
    assert [each.name for each in fake.list_agents()] == ["build"]


@pytest.mark.parametrize(
    ("auth", "status"),
    [
        (OcAuth(api=OcApiAuth(key="secret-1")), OAuthStatusType.OAUTH_STATUS_TYPE_API_KEY),
        (
            OcAuth(oauth=OcOAuth(refresh="secret-1", access="secret-1")),
            OAuthStatusType.OAUTH_STATUS_TYPE_CONFIGURED,
        ),
        (
            OcAuth(well_known=OcWellKnownAuth(key="NAME", token="secret-1")),
            OAuthStatusType.OAUTH_STATUS_TYPE_WELL_KNOWN,
        ),
    ],
)
def test_credentials_are_kept_and_never_shown(
    fake: FakeIpcClient, auth: OcAuth, status: OAuthStatusType
) -> None:
    none = fake.get_oauth_status("p").status
    assert none == OAuthStatusType.OAUTH_STATUS_TYPE_NOT_CONFIGURED
    assert fake.get_auth("p").WhichOneof("auth") is None
    fake.set_auth("p", auth)
    shown = fake.get_auth("p")
    assert shown.WhichOneof("auth") == auth.WhichOneof("auth")
    assert "secret-1" not in f"{shown} {fake.calls} {fake!r} {fake.calls[-2]}"
    assert fake.get_oauth_status("p").status == status
    (call,) = fake.calls_of("set_auth")
    assert "secret-1" in str(call.request)  # for who really wants to know


def test_servers_are_there(fake: FakeIpcClient) -> None:
    found, started = fake.discover_server(), fake.spawn_server(5000)
    assert found is not None
    assert (found.owned, started.owned, started.port) == (False, True, 5000)
    assert fake.stop_server() is True
    assert [each.provider for each in fake.sync_auth_keys().synced] == ["fake"]
    assert fake.update_config("{nonsense").success is False


# --- Gates ---


def test_an_answer_is_held_back_until_the_gate_opens(fake: FakeIpcClient) -> None:
    gate = fake.hold("create_session")
    futures = [fake.futures.create_session(f"{number}") for number in range(3)]
    waiting = Background(fake.create_session, "last")
    gate.wait_reached(4)
    assert repr(gate) == "<Gate holding 4>"
    assert not any(future.done() for future in futures)
    assert list(fake.list_sessions()) == []  # others go on
    gate.open()
    assert [future.result(WAIT).title for future in futures] == ["0", "1", "2"]
    assert waiting.result(WAIT).title == "last"
    assert fake.create_session("free").title == "free"
    assert (gate.is_open, gate.reached, repr(gate)) == (True, 5, "<Gate open>")


def test_a_gate_is_open_after_its_block(fake: FakeIpcClient) -> None:
    with fake.hold("list_sessions") as gate:
        future = fake.futures.list_sessions()
        gate.wait_reached()
        assert not future.done()
    assert list(future.result(WAIT)) == []


def test_nobody_came_to_the_gate() -> None:
    with pytest.raises(TimeoutError, match="0 of 1"):
        Gate().wait_reached(timeout=0.01)


def test_a_prompt_that_is_held_may_be_given_up(fake: FakeIpcClient) -> None:
    session = fake.create_session()
    gate = fake.hold("prompt")
    future = fake.futures.prompt(session.id, "x")
    gate.wait_reached()
    assert future.cancel()
    cancelled = fake.wait_for_call("prompt")
    fake.health_check()  # comes after the cancellation
    gate.open()
    assert cancelled.fields["text"] == "x"
    assert fake.prompt(session.id, "y").text == "You said: y"
    assert fake.get_session(session.id).id == session.id
    assert [each.user.text for each in fake.list_messages(session.id)] == ["y", ""]


# --- Calls ---


def test_every_call_is_recorded_with_what_was_given(fake: FakeIpcClient) -> None:
    fake.create_session("x", directory="/here")
    with pytest.raises(IpcServerError):
        fake.get_session("ses_none")
    fake.fail_next("list_sessions", IpcTimeoutError)
    with pytest.raises(IpcTimeoutError):
        fake.list_sessions()
    assert [(each.operation, each.fields, each.directory) for each in fake.calls] == [
        ("create_session", {"title": "x"}, "/here"),
        ("get_session", {"session_id": "ses_none"}, ""),
        ("list_sessions", {}, ""),
    ]
    assert str(fake.calls[0]) == "create_session(title='x', directory='/here')"
    assert repr(fake) == "<FakeIpcClient connected, 3 calls>"


def test_a_future_is_recorded_when_it_is_made(fake: FakeIpcClient) -> None:
    future = fake.futures.list_sessions()
    assert [each.operation for each in fake.calls] == ["list_sessions"]
    future.result(WAIT)


def test_a_call_may_be_waited_for(fake: FakeIpcClient) -> None:
    calling = Background(fake.create_session, "x")
    assert fake.wait_for_call("create_session").fields == {"title": "x"}
    calling.result(WAIT)
    with pytest.raises(TimeoutError, match=r"create_session was called 1 of 2 .*title='x'"):
        fake.wait_for_call("create_session", count=2, timeout=0.01)


# --- Events ---


def test_events_go_to_who_wants_them(fake: FakeIpcClient) -> None:
    parent = fake.create_session("parent")
    child = fake.add_session("child", parent_id=parent.id)
    assert fake.emit("file.edited") == 0
    with (
        fake.events(types=["file.edited", "todo.*"]) as by_type,
        fake.events(session_id=parent.id) as by_session,
        fake.events(directory="/there") as by_folder,
    ):
        here = IpcEvent(directory="/here", properties_json="{}")
        assert fake.emit("file.edited", event=here) == 1
        assert fake.emit("todo.updated", session_id=child.id, event=here) == 2
        assert fake.emit("other", directory="/there") == 1
        assert fake.emit("other", session_id="ses_unknown", event=here) == 0
        assert [by_type.next_event(WAIT).type for _ in range(2)] == ["file.edited", "todo.updated"]
        assert by_session.next_event(WAIT).session_id == child.id
        assert by_folder.next_event(WAIT).directory == "/there"


def test_of_a_project_its_own_events_and_those_of_the_whole_server(fake: FakeIpcClient) -> None:
    session = fake.add_session("x", directory="/here")
    with (
        fake.events(directory="/there") as of_project,
        fake.events(session_id=session.id, directory="/there") as of_session,
    ):
        assert fake.emit("installation.updated") == 1
        assert fake.emit("file.edited", directory="/here") == 0
        # A session's wherever it is.
        assert fake.emit("todo.updated", session_id=session.id, directory="/here") == 1
        assert of_project.next_event(WAIT).type == "installation.updated"
        assert of_session.next_event(WAIT).type == "todo.updated"


def test_the_servers_noise_comes_to_who_asks_for_it(fake: FakeIpcClient) -> None:
    with fake.events() as every, fake.events(types=["server.*"]) as noise:
        assert fake.emit("server.heartbeat") == 1
        assert fake.emit("file.edited") == 1
        assert every.next_event(WAIT).type == "file.edited"
        assert noise.next_event(WAIT).type == "server.heartbeat"


@pytest.mark.parametrize("name", ["*", ".*", "session*", " .*"])
def test_what_is_no_type_of_events_is_refused(fake: FakeIpcClient, name: str) -> None:
    with pytest.raises(IpcServerError, match="is no type of events"):
        fake.events(types=["session.updated", name])


def test_events_of_a_session_that_is_not_there_are_refused(fake: FakeIpcClient) -> None:
    with pytest.raises(IpcServerError, match="has no session ses_none"):
        fake.events(session_id="ses_none")
    assert fake.emit("todo.updated", session_id="ses_none") == 0


def test_the_end_of_a_session_is_told_to_who_follows_those_above_it(fake: FakeIpcClient) -> None:
    parent = fake.create_session("parent")
    child = fake.add_session("child", parent_id=parent.id)
    with fake.events(types=["session.deleted"], session_id=parent.id) as events:
        fake.delete_session(child.id)
        assert events.next_event(WAIT).session_id == child.id


def test_an_event_has_its_properties(fake: FakeIpcClient) -> None:
    session = fake.create_session()
    with fake.events(session_id=session.id) as events:
        assert fake.emit("todo.updated", {"sessionID": session.id, "todos": [1]}) == 1
        assert fake.emit("file.edited", {"file": "a.py"}, session_id=session.id) == 1
        assert fake.emit("file.edited", {"sessionID": 7}) == 0
        seen = [events.next_event(WAIT) for _ in range(2)]
    assert [event_properties(each) for each in seen] == [
        {"sessionID": session.id, "todos": [1]},
        {"file": "a.py"},
    ]
    for properties in ({"a": {1}}, {"a": float("nan")}, "file"):
        with pytest.raises(IpcArgumentError, match="properties cannot be written as JSON"):
            fake.emit("file.edited", properties)  # type: ignore[arg-type]


def test_changes_of_sessions_are_events(fake: FakeIpcClient) -> None:
    with fake.events(types=["session.*"]) as events:
        session = fake.create_session("x")
        fake.update_session(session.id, title="y")
        fake.delete_session(session.id)
        seen = [events.next_event(WAIT) for _ in range(3)]
    assert [each.type for each in seen] == [
        "session.created",
        "session.updated",
        "session.deleted",
    ]
    assert seen[1].event.session_updated.session.title == "y"


def test_a_stream_may_begin_with_what_goes_on(fake: FakeIpcClient) -> None:
    fake.answer_prompt(AskPermission("bash", ["rm"], allowed=["done"]), to="ask")
    fake.answer_prompt(AskQuestion("Which?", ["red"]), to="choose")
    parent = fake.create_session("parent")
    child = fake.add_session("child", parent_id=parent.id)
    with (
        fake.events(types=["session.status"]) as live,
        fake.stream_prompt(parent.id, "choose", on_question="ask") as choosing,
        fake.stream_prompt(child.id, "ask", on_permission="ask") as asking,
    ):
        question = next(each for each in choosing if isinstance(each, QuestionAsked))
        permission = next(each for each in asking if isinstance(each, PermissionAsked))
        started = [live.next_event(WAIT) for _ in range(2)]
        assert [(each.session_id, each.replayed) for each in started] == [
            (parent.id, False),
            (child.id, False),
        ]
        with fake.events(current=True) as events, fake.events(session_id=child.id) as later:
            seen = [events.next_event(WAIT) for _ in range(4)]
            assert [(each.type, each.session_id) for each in seen] == [
                ("session.status", parent.id),
                ("session.status", child.id),
                ("question.asked", parent.id),
                ("permission.asked", child.id),
            ]
            assert {(each.replayed, each.directory) for each in seen} == {(True, child.directory)}
            assert seen[0].event.session_status.status.HasField("thinking")
            assert event_properties(seen[0])["status"] == {"type": "busy"}
            assert seen[2].question.id == question.id
            assert seen[3].event.permission_asked.request.id == permission.id
            with pytest.raises(IpcTimeoutError):
                later.next_event(0.01)  # it has not asked for what was before
        fake.reply_permission(permission.id, "once")
        assert asking.result(WAIT).text == "done"
        with fake.events(types=["permission.asked", "question.*"], current=True) as events:
            assert events.next_event(WAIT).type == "question.asked"
        fake.reply_question(question.id, [["red"]])
        choosing.result(WAIT)
    with fake.events(current=True) as events, pytest.raises(IpcTimeoutError):
        events.next_event(0.01)


def test_streams_of_events_end_when_the_test_says_so(fake: FakeIpcClient) -> None:
    with fake.events() as events:
        fake.end_events("that was all")
        with pytest.raises(IpcServerError, match="that was all"):
            events.next_event(WAIT)
