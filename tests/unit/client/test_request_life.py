"""A request's life: its id, its bytes, its answer, and what answers it wrongly."""

from __future__ import annotations

import threading
from concurrent.futures import wait

import pytest

from opencode_sync import (
    IpcClient,
    IpcClientOptions,
    IpcError,
    IpcProtocolError,
    IpcServerError,
    IpcUnsupportedOperationError,
    IpcUsageError,
    operations,
)
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend
from tests.support.threads import together

BOUNDARIES = [
    *range(2, 20),
    *(2**power + offset for power in (7, 14, 21, 28, 32, 35, 42, 49, 56, 63) for offset in (-1, 0)),
    2**64 - 1,
]


# --- Every operation, once, well answered ---


def test_each_operation_returns_what_the_backend_answered(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", b.sessions("a", "b"))
    backend.rule("delete_session", b.deleted(False))

    assert client.check_server_health() is True
    assert client.health_check() is True
    assert [item.title for item in client.list_sessions()] == ["a", "b"]
    assert client.create_session("Mine").title == "Mine"
    assert client.delete_session("ses_x") is False
    found = client.discover_server()
    assert found is not None
    assert found.port == 5000
    assert client.spawn_server(7000).owned is True
    assert client.stop_server() is True


def test_requests_carry_their_arguments(backend: ScriptedBackend, client: IpcClient) -> None:
    client.create_session("Mine")
    client.create_session()
    client.create_session("")
    client.delete_session(" ses_x ")
    client.spawn_server()
    client.spawn_server(7000)

    link = backend.link()
    assert link.request(0).create_session.title == "Mine"
    assert not link.request(1).create_session.HasField("title")
    assert link.request(2).create_session.HasField("title")
    assert link.request(3).delete_session.session_id == " ses_x "
    assert not link.request(4).spawn_server.HasField("port")
    assert link.request(5).spawn_server.port == 7000


def test_nothing_discovered_is_none_and_not_an_error(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("discover_server", b.discovered(None))
    assert client.discover_server() is None


def test_no_sessions_is_an_empty_sequence(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("list_sessions", b.sessions())
    assert len(client.list_sessions()) == 0


def test_titles_of_a_megabyte_with_nul_and_emoji_arrive_whole(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    title = "\x00\N{PILE OF POO}" * 200_000
    assert client.create_session(title).title == title


# --- Ids and bytes ---


def test_the_handshake_has_id_1_and_is_the_first_message(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    client.check_server_health()
    first = ipc_pb2.IpcClientMessage.FromString(backend.link().raw[0])
    assert first.request_id == 1
    assert first.auth_handshake.token == b.TOKEN


def test_requests_count_up_from_2_and_never_use_an_id_again(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.script("list_sessions", b.sessions(), HOLD)
    client.list_sessions()
    held = client.futures.list_sessions()
    assert held.cancel()
    client.check_server_health()
    backend.rule("list_sessions", b.error(2))
    with pytest.raises(IpcServerError):
        client.list_sessions()
    client.check_server_health()
    assert [request.request_id for request in backend.link().requests] == [2, 3, 4, 5, 6]


def test_many_threads_get_unique_ids_and_each_its_own_answer(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    def call(index: int) -> None:
        for step in range(20):
            title = f"{index}/{step}"
            assert client.create_session(title).title == title

    for job in together(16, call):
        job.result()
    ids = [request.request_id for request in backend.link().requests]
    assert sorted(ids) == list(range(2, 2 + 16 * 20))


@pytest.mark.parametrize("request_id", BOUNDARIES)
def test_the_bytes_are_those_protobuf_itself_writes(request_id: int) -> None:
    request = operations.create_session("Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n")
    message = ipc_pb2.IpcClientMessage(request_id=request_id)
    message.create_session.title = "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"
    assert request.encode(request_id) == message.SerializeToString()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (operations.check_health(), {"check_health": ipc_pb2.IpcCheckHealthRequest()}),
        (operations.discover_server(), {"discover_server": ipc_pb2.IpcDiscoverServerRequest()}),
        (operations.spawn_server(None), {"spawn_server": ipc_pb2.IpcSpawnServerRequest()}),
        (operations.spawn_server(1), {"spawn_server": ipc_pb2.IpcSpawnServerRequest(port=1)}),
        (operations.stop_server(), {"stop_server": ipc_pb2.IpcStopServerRequest()}),
        (operations.list_sessions(), {"list_sessions": ipc_pb2.IpcListSessionsRequest()}),
        (operations.create_session(None), {"create_session": ipc_pb2.IpcCreateSessionRequest()}),
        (
            operations.delete_session("ses_1"),
            {"delete_session": ipc_pb2.IpcDeleteSessionRequest(session_id="ses_1")},
        ),
    ],
    ids=lambda value: value.operation.name if isinstance(value, operations.Request) else "",
)
def test_each_operation_on_the_wire(
    request_: operations.Request[object], message: dict[str, object]
) -> None:
    for request_id in (2, 127, 128, 300, 2**40):
        expected = ipc_pb2.IpcClientMessage(request_id=request_id, **message)  # type: ignore[arg-type]
        assert request_.encode(request_id) == expected.SerializeToString()


def test_what_really_went_out_is_what_protobuf_would_write(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    for _ in range(300):  # past the first boundary of a varint
        client.check_server_health()
    for index, data in enumerate(backend.link().raw[1:]):
        expected = ipc_pb2.IpcClientMessage(
            request_id=2 + index, check_health=ipc_pb2.IpcCheckHealthRequest()
        )
        assert data == expected.SerializeToString()


# --- Answers ---


def test_answers_out_of_order_find_their_callers(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("create_session", HOLD)
    futures = [client.futures.create_session(str(index)) for index in range(50)]
    link = backend.link()
    link.request(49)
    for request in reversed(link.requests):
        link.answer(request, b.session(request.create_session.title))
    wait(futures, WAIT)
    assert [future.result(0).title for future in futures] == [str(index) for index in range(50)]


def test_a_wrong_payload_is_a_protocol_error_of_its_caller_alone(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    backend.rule("check_health", b.sessions("a"))
    other = client.futures.list_sessions()
    with pytest.raises(IpcProtocolError, match="session_list") as caught:
        client.check_server_health()
    assert caught.value.request_id == 3
    assert caught.value.operation == "check_health"
    assert not other.done()
    backend.link().answer(backend.link().request(0), b.sessions("mine"))
    assert other.result(WAIT)[0].title == "mine"


def test_no_payload_is_a_protocol_error_of_its_caller_alone(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.script("list_sessions", {}, b.sessions("fine"))
    with pytest.raises(IpcProtocolError, match="no payload"):
        client.list_sessions()
    assert client.list_sessions()[0].title == "fine"


def test_a_payload_of_a_newer_schema_is_a_protocol_error_at_once(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    link = backend.link()
    newer = b"\x08" + bytes([link.request().request_id]) + b"\xc2\x3e\x00"  # field 1000, empty
    link.peer.send(newer)
    assert isinstance(future.exception(WAIT), IpcProtocolError)


def test_a_second_handshake_answer_is_no_answer_to_a_request(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("check_health", b.accept)
    with pytest.raises(IpcProtocolError, match="auth_handshake_response"):
        client.check_server_health()


def test_a_spawn_answer_without_a_server_is_no_empty_success(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("spawn_server", {"spawn_server_response": ipc_pb2.IpcSpawnServerResponse()})
    with pytest.raises(IpcProtocolError):
        client.spawn_server()


@pytest.mark.parametrize(
    ("code", "name"),
    [(0, "UNKNOWN"), (4, "INTERNAL_ERROR"), (8, "KEY_VALIDATION_FAILED"), (77, "code 77")],
)
def test_an_error_keeps_code_text_and_context(
    backend: ScriptedBackend, client: IpcClient, code: int, name: str
) -> None:
    backend.rule("list_sessions", b.error(code, "the disk is full"))
    with pytest.raises(IpcServerError, match="the disk is full") as caught:
        client.list_sessions()
    assert caught.value.code == code
    assert caught.value.request_id == 2
    assert caught.value.operation == "list_sessions"
    assert caught.value.code_name == name
    assert not isinstance(caught.value, IpcUnsupportedOperationError)


def test_an_error_without_a_text_still_makes_a_sentence(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", b.error(77, ""))
    with pytest.raises(IpcServerError, match=r"list_sessions failed: .*no reason.*77"):
        client.list_sessions()


@pytest.mark.parametrize(
    ("code", "text", "unsupported"),
    [
        (ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "Not implemented", True),
        (ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "No payload in message", True),
        (ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "no payload in message!", False),
        (ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "text is missing", False),
        (ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, "No payload in message", False),
    ],
)
def test_what_a_backend_does_not_have(
    backend: ScriptedBackend, client: IpcClient, code: int, text: str, unsupported: bool
) -> None:
    backend.rule("stop_server", b.error(code, text))
    with pytest.raises(IpcServerError) as caught:
        client.stop_server()
    assert isinstance(caught.value, IpcUnsupportedOperationError) is unsupported
    assert caught.value.code == code


# --- Limits and refusals ---


def test_one_request_too_many_is_refused_and_the_others_go_on(backend: ScriptedBackend) -> None:
    options = IpcClientOptions(max_pending_requests=3)
    backend.rule("list_sessions", HOLD)
    with backend.client(options=options) as client:
        held = [client.futures.list_sessions() for _ in range(3)]
        with pytest.raises(IpcUsageError, match="max_pending_requests"):
            client.check_server_health()
        assert isinstance(client.futures.check_server_health().exception(WAIT), IpcUsageError)
        link = backend.link()
        link.answer(link.request(0), b.sessions())
        held[0].result(WAIT)
        assert client.check_server_health() is True  # there is room again
        assert [request.request_id for request in link.requests] == [2, 3, 4, 5]


def test_cancelled_and_expired_requests_make_room(backend: ScriptedBackend) -> None:
    options = IpcClientOptions(max_pending_requests=1)
    backend.rule("list_sessions", HOLD)
    with backend.client(options=options) as client:
        client.futures.list_sessions().cancel()
        with pytest.raises(IpcError):
            client.list_sessions(timeout=0.01)
        assert client.check_server_health() is True


def test_a_client_that_was_never_connected_says_what_to_do(backend: ScriptedBackend) -> None:
    client = backend.client()
    with pytest.raises(IpcError, match=r"connect\(\)") as caught:
        client.list_sessions()
    assert caught.value.request_sent is False  # type: ignore[attr-defined]
    assert client.health_check() is False
    assert backend.links == 0


def test_a_request_whose_result_cannot_be_made_fails_its_caller_alone(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    """A bug in turning an answer into a result stays with the call; the reader goes on."""

    def break_(answer: object) -> object:
        raise KeyError("a bug")

    broken = operations.Operation("check_health", "check_health_response", break_, True, False)
    request = operations.Request(broken, operations.check_health().body)
    threads = set(threading.enumerate())
    with pytest.raises(KeyError):
        client._run(request, 5.0, None)
    assert client.check_server_health() is True
    assert set(threading.enumerate()) <= threads  # it is still the same reader


def test_the_newest_answer_is_kept_for_its_memory_unless_it_is_large(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = client._supervisor._live
    assert live is not None
    for limit, kept in ((1000, True), (10, False)):
        monkeypatch.setattr("opencode_sync.answers._KEPT_BYTES", limit)
        backend.rule("list_sessions", b.sessions("a session of some length"))
        client.list_sessions()
        assert (live._answers._kept is not None) is kept


def test_in_a_silence_the_newest_answers_memory_is_given_back(client: IpcClient) -> None:
    live = client._supervisor._live
    assert live is not None
    assert live._liveness is not None
    client.list_sessions()
    assert live._answers._kept is not None
    live._liveness._on_silence()
    assert live._answers._kept is None
