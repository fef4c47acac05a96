"""A backend that follows a script, and says what does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from opencode_sync import (
    IpcConnectionError,
    IpcPromptError,
    IpcProtocolError,
    IpcServerError,
    IpcTimeoutError,
    PermissionAsked,
    PromptResult,
    TextDelta,
)
from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing import (
    FakeIpcClient,
    Fault,
    FaultPlan,
    FaultyTransports,
    Retry,
    ScriptedBackend,
    ScriptError,
)
from opencode_sync.testing.answers import _OPERATIONS
from opencode_sync.testing.envelope import encode
from opencode_sync.types import IpcEvent, OcAgentInfo, OcSessionInfo
from opencode_sync.wire.ext_event_pb2 import IpcSubscriptionEnd
from opencode_sync.wire.ext_operations_pb2 import IpcReplyPermissionResponse
from opencode_sync.wire.ipc_pb2 import IpcCheckHealthResponse, IpcDeleteSessionResponse
from opencode_sync.wire.oc_session_pb2 import OcSessionList
from tests.support.backend import SUBSCRIBED, delta, event, failed, permission_asked, ran
from tests.support.operations import SAMPLES, Sample

WAIT = 20.0
NOTHING = OcSessionList()


@pytest.fixture
def backend() -> Iterator[ScriptedBackend]:
    made = ScriptedBackend()
    yield made
    made.close()


def problems(backend: ScriptedBackend) -> str:
    with pytest.raises(ScriptError) as caught:
        backend.verify()
    return str(caught.value)


# --- What goes by the script ---


def test_requests_are_answered_as_it_says(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").answer(OcSessionList(sessions=[OcSessionInfo(id="ses_1")]))
    backend.expect("create_session", title="x").answer(OcSessionInfo(id="ses_2", title="x"))
    backend.expect("delete_session").error("SERVER_ERROR", "the disk is full")
    with backend.client() as client:
        assert [each.id for each in client.list_sessions()] == ["ses_1"]
        assert client.create_session("x").id == "ses_2"
        with pytest.raises(IpcServerError, match="the disk is full") as caught:
            client.delete_session("ses_1")
    assert caught.value.code_name == "SERVER_ERROR"
    backend.verify()
    assert repr(backend) == "<ScriptedBackend 3 of 3 expected requests came>"


def test_an_answer_may_depend_on_the_request(backend: ScriptedBackend) -> None:
    backend.expect("create_session").answer(lambda request: OcSessionInfo(title=request.title))
    with backend.client() as client:
        assert client.create_session("echo").title == "echo"


def test_the_same_may_be_expected_several_times(backend: ScriptedBackend) -> None:
    expected = backend.expect("health_check").answer(IpcCheckHealthResponse(healthy=True)).times(2)
    with backend.client() as client:
        assert client.health_check()
        assert problems(backend).endswith("check_health() came 1 times of 2")
        assert client.health_check()
    backend.verify()
    assert repr(expected) == "<Expectation check_health(), came 2 of 2>"


def test_in_any_order(backend: ScriptedBackend) -> None:
    backend = ScriptedBackend(in_order=False)
    backend.expect("delete_session", session_id="ses_1").answer(IpcDeleteSessionResponse())
    backend.expect("delete_session", session_id="ses_2").answer(
        IpcDeleteSessionResponse(success=True)
    )
    with backend.client() as client:
        assert client.delete_session("ses_2") is True
        assert client.delete_session("ses_1") is False
    backend.close()
    backend.verify()


def test_project_folders_are_compared(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions", directory="/a").answer(NOTHING)
    backend.expect("reply_permission", directory="/a").answer(IpcReplyPermissionResponse())
    with backend.client(directory="/a") as client:
        client.list_sessions()
        client.reply_permission("per_1", "once", directory="/a")
    backend.verify()


def test_lists_are_compared(backend: ScriptedBackend) -> None:
    backend.expect("events", types=["a", "b"]).push(IpcEvent(type="a"))
    with backend.client() as client, client.events(types=["a", "b"]) as events:
        assert events.next_event(WAIT).type == "a"
    backend.verify()


# --- Streams ---


def test_a_prompt_has_its_events_before_its_answer(backend: ScriptedBackend) -> None:
    pieces = [delta("Hel")["event"], delta("lo")["event"].event]  # a push, or an event
    backend.expect("prompt", text="Hi").push(*pieces).answer(ran("Hello")["run_result"])
    with backend.client() as client, client.stream_prompt("ses_1", "Hi") as stream:
        assert [each.text for each in stream if isinstance(each, TextDelta)] == ["Hel", "lo"]
        assert stream.result(WAIT).text == "Hello"


def _streamed(backend: ScriptedBackend) -> tuple[list[str], PromptResult]:
    with backend.client() as client, client.stream_prompt("ses_1", "Hi") as stream:
        return list(stream.text_stream), stream.result(WAIT)


def test_a_text_is_streamed_before_it_is_the_result(backend: ScriptedBackend) -> None:
    backend.expect("prompt").answer("It sells shoes.")
    backend.expect("prompt").answer(lambda request: f"You said: {request.text}")
    for wanted in "It sells shoes.", "You said: Hi":
        pieces, result = _streamed(backend)
        assert pieces == [wanted]
        assert result.text == wanted


def test_a_text_in_pieces(backend: ScriptedBackend) -> None:
    """In the same message as the result's, and not once more in one piece."""
    backend.expect("prompt").push("It ", "sells ").push("shoes.").answer("It sells shoes.")
    backend.expect("prompt").push(delta("Mine.")["event"]).answer("Mine.")
    assert _streamed(backend)[0] == ["It ", "sells ", "shoes."]
    assert _streamed(backend)[0] == ["Mine."]


def test_a_piece_of_text_is_of_the_message_of_the_result(backend: ScriptedBackend) -> None:
    backend.expect("prompt").answer("Hello")
    with backend.client() as client, client.stream_prompt("ses_1", "Hi") as stream:
        (piece,) = stream
        assert isinstance(piece, TextDelta)
        said = stream.result(WAIT).messages[-1].assistant
    assert (piece.session_id, piece.message_id, piece.part_id) == (
        said.session_id,
        said.id,
        said.parts[0].text.id,
    )
    assert (said.session_id, said.parts[0].text.text) == ("ses_1", "Hello")


def test_who_reads_no_stream_is_sent_none(backend: ScriptedBackend) -> None:
    backend.expect("prompt").answer("Hello")
    backend.expect("prompt").push("Hel").answer("Hello")
    with backend.client() as client:
        assert [client.prompt("ses_1", "Hi").text for _ in range(2)] == ["Hello", "Hello"]
        assert client.strays.pushes == 0
    backend.verify()


def test_a_text_is_no_push_but_to_a_prompt(backend: ScriptedBackend) -> None:
    with pytest.raises(IpcArgumentError, match="holds the text 'text'"):
        backend.expect("events").push("text")


def test_a_client_of_it_may_have_something_between(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").answer([])
    faults = FaultyTransports(backend.transport_factory, FaultPlan([Fault.delay(0.0)], seed=1))
    with backend.client(transport_factory=faults) as client:
        assert client.list_sessions() == []
    assert len(faults.injected) > 0


def test_a_question_is_answered_in_the_middle_of_a_prompt(backend: ScriptedBackend) -> None:
    answered = threading.Event()

    def note(request: object) -> IpcReplyPermissionResponse:
        answered.set()
        return IpcReplyPermissionResponse()

    backend.expect("prompt").push(permission_asked()["event"]).answer(
        ran("Done")["run_result"], after=answered
    )
    backend.expect("reply_permission", permission_id="per_1").answer(note)
    with backend.client() as client, client.stream_prompt("ses_1", "x", on_permission="ask") as run:
        for each in run:
            if isinstance(each, PermissionAsked):
                client.reply_permission(each.id, "once")
        assert run.result(WAIT).text == "Done"
    backend.verify()


def test_a_failed_run(backend: ScriptedBackend) -> None:
    backend.expect("prompt").answer(failed("api")["run_result"])
    with backend.client() as client, pytest.raises(IpcPromptError):
        client.prompt("ses_1", "x")


def test_a_subscription_begins_by_itself_and_ends_as_the_script_says(
    backend: ScriptedBackend,
) -> None:
    backend.expect("events").push(event("a")["event"]).push(IpcSubscriptionEnd(reason="over"))
    backend.expect("events").answer(SUBSCRIBED["subscribed"]).answer(
        IpcSubscriptionEnd(reason="at once")
    )
    with backend.client() as client:
        for types, reason in (["a"], "over"), ([], "at once"):
            with client.events() as events:
                assert [events.next_event(WAIT).type for _ in types] == types
                with pytest.raises(IpcServerError, match=reason):
                    events.next_event(WAIT)


def test_a_prompt_that_is_given_up_needs_no_word_in_the_script(backend: ScriptedBackend) -> None:
    backend.expect("prompt").nothing()
    with backend.client() as client, client.stream_prompt("ses_1", "x"):
        pass
    backend.verify()


# --- When ---


def test_an_answer_comes_when_an_event_is_set(backend: ScriptedBackend) -> None:
    ready = threading.Event()
    backend.expect("list_sessions").answer(NOTHING, after=ready)
    backend.expect("health_check").answer(IpcCheckHealthResponse(healthy=True), after=0.01)
    with backend.client() as client:
        future = client.futures.list_sessions()
        assert client.health_check() is True  # the one that waits holds up nobody
        assert not future.done()
        ready.set()
        assert list(future.result(WAIT)) == []


def test_nothing_means_that_no_answer_comes(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").nothing()
    with backend.client() as client, pytest.raises(IpcTimeoutError):
        client.list_sessions(timeout=0.05)
    backend.verify()


# --- Ends and nonsense ---


def test_the_connection_is_closed_with_a_code(backend: ScriptedBackend) -> None:
    backend.expect("create_session").close(1011, "out of memory")
    with backend.client() as client, pytest.raises(IpcConnectionError) as caught:
        client.create_session()
    assert (caught.value.close_code, caught.value.close_reason) == (1011, "out of memory")
    assert caught.value.request_sent is True


def test_the_connection_is_dropped(backend: ScriptedBackend) -> None:
    backend.expect("create_session").drop(after=0.01)
    with backend.client() as client:
        with pytest.raises(IpcConnectionError) as caught:
            client.create_session()
        assert caught.value.close_code is None
        with pytest.raises(IpcConnectionError):  # it does not come back
            client.list_sessions()


def test_bytes_are_sent_as_they_are(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").raw(b"\xff\xff").raw(encode(2, OcSessionInfo(id="ses_1")))
    with backend.client() as client:
        with pytest.raises(IpcProtocolError):
            client.list_sessions()
        assert client.strays.undecodable == 1


def test_what_is_no_request_is_told_so(backend: ScriptedBackend) -> None:
    from opencode_sync.deadline import NOW, Deadline
    from opencode_sync.options import IpcClientOptions
    from opencode_sync.testing.scripted import _CONFIG
    from opencode_sync.wire.ipc_pb2 import IpcAuthHandshake, IpcClientMessage, IpcServerMessage

    link = backend.transport_factory(_CONFIG, IpcClientOptions())
    hello = IpcClientMessage(request_id=1, auth_handshake=IpcAuthHandshake(token="x"))
    link.send([hello.SerializeToString(), b"\xff"])
    link.flush(NOW)
    answers = [IpcServerMessage.FromString(link.receive(Deadline.after(WAIT))) for _ in range(2)]
    assert answers[0].auth_handshake_response.success
    assert (answers[1].request_id, answers[1].error.message) == (0, "Invalid protobuf message")


# --- What does not go by the script ---


def test_a_request_that_is_not_expected_fails_and_says_what_was(backend: ScriptedBackend) -> None:
    backend.expect("create_session", title="x").answer(OcSessionInfo())
    expected = r"list_sessions\(\) came, and the script expects create_session\(title='x'\)"
    with backend.client() as client:
        with pytest.raises(IpcServerError, match=expected):
            client.list_sessions()
        with pytest.raises(IpcServerError, match="title='y'"):
            client.create_session("y")
        assert client.health_check() is False  # who swallows it...
    report = problems(backend)  # ... is told in the end
    assert "list_sessions() came" in report
    assert "check_health() came" in report
    assert "create_session(title='x') never came" in report


def test_nothing_more_is_expected(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").answer(NOTHING)
    with backend.client() as client:
        client.list_sessions()
        with pytest.raises(IpcServerError, match="expects nothing more"):
            client.list_sessions()


def test_any_of_several_was_expected() -> None:
    backend = ScriptedBackend(in_order=False)
    backend.expect("list_sessions").answer(NOTHING)
    backend.expect("list_agents").nothing()
    expected = r"list_sessions\(\) or list_agents\(\)"
    with backend.client() as client, pytest.raises(IpcServerError, match=expected):
        client.get_config()
    backend.close()


def test_an_unexpected_key_is_not_shown(backend: ScriptedBackend) -> None:
    from opencode_sync.types import OcApiAuth, OcAuth

    with backend.client() as client, pytest.raises(IpcServerError) as caught:
        client.set_auth("p", OcAuth(api=OcApiAuth(key="very-secret-key")))
    assert "very-secret-key" not in str(caught.value) + problems(backend)


def in_a_block(backend: ScriptedBackend, error: Exception | None = None) -> None:
    with backend:
        if error is not None:
            raise error


def test_leaving_the_block_verifies(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").answer(NOTHING)
    with pytest.raises(ScriptError, match=r"list_sessions\(\) never came"):
        in_a_block(backend)


def test_an_error_in_the_block_is_not_hidden_and_says_what_is_missing(
    backend: ScriptedBackend,
) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        in_a_block(backend, ZeroDivisionError())
    assert not hasattr(caught.value, "__notes__")  # nothing was
    backend.expect("list_sessions").answer(NOTHING)
    with pytest.raises(ZeroDivisionError) as caught:
        in_a_block(backend, ZeroDivisionError())
    assert "list_sessions() never came" in caught.value.__notes__[0]


def test_an_expectation_without_a_step_is_a_mistake(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions")
    with backend.client() as client, pytest.raises(IpcServerError, match=r"add answer\(\)"):
        client.list_sessions()
    assert "add answer()" in problems(backend)


def test_an_answer_that_cannot_be_made_is_told(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").answer(lambda request: request.nothing)
    with backend.client() as client, pytest.raises(IpcServerError, match="could not be made"):
        client.list_sessions()
    assert "AttributeError" in problems(backend)


@pytest.mark.parametrize(
    ("mistake", "field", "remedy"),
    [
        (lambda each: each.expect("lst_sessions"), "operation", "list_sessions"),
        (lambda each: each.expect("create_session", name="x"), "fields", "title"),
        (lambda each: each.expect("list_sessions", name="x"), "fields", "none"),
        (lambda each: each.expect("list_sessions").answer("x"), "message", "str"),
        (lambda each: each.expect("list_sessions").error("NO"), "code", "NO_SERVER"),
        (lambda each: each.expect("list_sessions").times(0), "count", "at least 1"),
        (lambda each: each.expect("list_sessions").drop(after=-1), "after", "seconds"),
    ],
)
def test_a_script_that_cannot_be_is_refused(
    backend: ScriptedBackend, mistake: Callable[[ScriptedBackend], object], field: str, remedy: str
) -> None:
    with pytest.raises(IpcArgumentError, match=remedy) as caught:
        mistake(backend)
    assert caught.value.field == field


def test_an_error_code_may_be_a_number(backend: ScriptedBackend) -> None:
    backend.expect("list_sessions").error(77)
    with backend.client() as client, pytest.raises(IpcServerError) as caught:
        client.list_sessions()
    assert caught.value.code_name == "code 77"


# --- What may be given as an answer ---


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.method)
def test_what_the_method_returns_may_be_given_as_the_answer(
    backend: ScriptedBackend, sample: Sample
) -> None:
    backend.expect(sample.method).answer(sample.result)
    with backend.client() as client:
        assert sample.call(client) == sample.result
    backend.verify()


@pytest.mark.parametrize(
    ("method", "arguments", "value"),
    [
        ("health_check", (), False),
        ("delete_session", ("ses_1",), False),
        ("stop_server", (), False),
        ("discover_server", (), None),
        ("list_sessions", (), []),
        ("list_sessions", (), (OcSessionInfo(id="ses_1"),)),
        ("get_provider_status", (), ["anthropic"]),
    ],
)
def test_a_no_and_a_nothing_are_answers_too(
    backend: ScriptedBackend, method: str, arguments: tuple[str, ...], value: object
) -> None:
    backend.expect(method).answer(value)  # type: ignore[arg-type]
    backend.expect(method).answer(lambda request: value)  # type: ignore[arg-type,return-value]
    with backend.client() as client:
        for _ in range(2):
            got = getattr(client, method)(*arguments)
            assert (list(got) if isinstance(got, Sequence) else got) == (
                list(value) if isinstance(value, tuple) else value
            )


def test_a_text_is_what_the_model_says(backend: ScriptedBackend) -> None:
    backend.expect("prompt").answer("It sells shoes.").times(2)
    with backend.client() as client:
        for session_id in ("ses_1", "ses_2"):
            result = client.prompt(session_id, "What?")
            assert (result.session_id, result.text, result.finish) == (
                session_id,
                "It sells shoes.",
                "stop",
            )


def test_the_result_of_another_run_may_be_given(backend: ScriptedBackend) -> None:
    with FakeIpcClient() as fake:
        fake.answer_prompt(Retry("busy"), "Yes.", structured={"a": 1}, cost=0.5)
        given = fake.prompt(fake.create_session().id, "x")
    backend.expect("prompt").answer(given)
    with backend.client() as client:
        assert client.prompt(given.session_id, "x") == given


@pytest.mark.parametrize(
    ("operation", "answer", "wanted"),
    [
        ("list_sessions", OcSessionInfo(), "OcSessionList"),
        ("list_sessions", [1], "OcSessionList"),
        ("list_sessions", True, "OcSessionList"),
        ("create_session", NOTHING, "OcSessionInfo"),
        ("create_session", None, "OcSessionInfo"),
        ("create_session", IpcEvent(type="x"), "OcSessionInfo"),
        ("create_session", OcAgentInfo(), "OcSessionInfo"),
        ("spawn_server", None, "IpcSpawnServerResponse"),
        ("health_check", "yes", "IpcCheckHealthResponse"),
        ("prompt", True, "IpcRunResult"),
        ("unsubscribe", True, "IpcUnsubscribeResponse"),
    ],
)
def test_what_does_not_answer_the_operation_is_refused_at_once(
    backend: ScriptedBackend, operation: str, answer: object, wanted: str
) -> None:
    with pytest.raises(IpcArgumentError, match=f"does not answer .* give {wanted}") as caught:
        backend.expect(operation).answer(answer)  # type: ignore[arg-type]
    assert caught.value.field == "message"


def test_what_a_function_raises_is_raised_again_in_the_end(backend: ScriptedBackend) -> None:
    """Also what is no Exception, such as ``pytest.fail``, and when the program lives with it."""

    def check(request: object) -> object:
        pytest.fail("the title is wrong")

    backend.expect("create_session").answer(check)
    with backend.client() as client, pytest.raises(IpcServerError, match="the title is wrong"):
        client.create_session("x")
    with pytest.raises(ScriptError, match="the title is wrong") as caught:
        backend.verify()
    assert isinstance(caught.value.__cause__, pytest.fail.Exception)


def test_what_ends_a_connection_by_mistake_is_told(backend: ScriptedBackend) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise SystemExit("compared")

        __hash__ = None  # type: ignore[assignment]

    backend.expect("create_session", title=Odd()).answer(OcSessionInfo())
    with backend.client() as client, pytest.raises(IpcConnectionError):
        client.create_session("x")
    backend.close()
    assert "a connection was dropped because of SystemExit('compared')" in problems(backend)


def test_what_a_function_returns_is_looked_at_when_it_has(backend: ScriptedBackend) -> None:
    backend.expect("create_session").answer(lambda request: True)
    with backend.client() as client, pytest.raises(IpcServerError, match="bool, which does not"):
        client.create_session()
    assert "could not be made" in problems(backend)


def test_every_operation_of_the_client_has_its_answer() -> None:
    assert {sample.operation for sample in SAMPLES} - set(_OPERATIONS) <= {"prompt"}


def test_what_answers_nothing_cannot_be_sent() -> None:
    with pytest.raises(IpcArgumentError, match="OcAgentInfo, which answers nothing"):
        encode(1, OcAgentInfo())
