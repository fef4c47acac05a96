"""What every peer may rely on, over a WebSocket and in memory alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from loguru import logger

from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE, Held, Peer, ScriptedBackend, server, session

Start = Callable[..., Gateway]
Connect = Callable[[Gateway], Peer]


def fields(answer: ipc_pb2.IpcServerMessage) -> tuple[int, int, str]:
    assert answer.WhichOneof("payload") == "error", answer
    return answer.request_id, answer.error.code, answer.error.message


class TestHandshake:
    def test_right_token(self, start: Start, stranger: Connect) -> None:
        gateway = start()
        answer = stranger(gateway).authenticate(gateway.auth_token)
        assert answer.request_id == 1
        assert answer.auth_handshake_response.success
        assert not answer.auth_handshake_response.HasField("error")

    @pytest.mark.parametrize("token", ["wrong", "", "ключ"])
    def test_wrong_token_is_told_and_ends_the_connection(
        self, start: Start, stranger: Connect, token: str
    ) -> None:
        peer = stranger(start())
        response = peer.authenticate(token).auth_handshake_response
        assert not response.success
        assert response.error == "Invalid authentication token"
        assert peer.end().code == 1008

    def test_part_of_the_token_is_wrong(self, start: Start, stranger: Connect) -> None:
        gateway = start()
        answer = stranger(gateway).authenticate(gateway.auth_token[:-1])
        assert not answer.auth_handshake_response.success

    def test_other_request_first_ends_without_an_answer(
        self, start: Start, stranger: Connect, backend: ScriptedBackend
    ) -> None:
        peer = stranger(start())
        peer.send(1, "list_sessions")
        assert peer.end().code == 1008
        assert ("list_sessions",) not in backend.calls

    @pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"GET / HTTP/1.1"])
    def test_rubbish_first_ends_without_an_answer(
        self, start: Start, stranger: Connect, data: bytes
    ) -> None:
        peer = stranger(start())
        peer.send_bytes(data)
        assert peer.end().code == 1008

    def test_silence_ends_in_time(self, start: Start, stranger: Connect) -> None:
        peer = stranger(start(handshake_timeout=0.1))
        assert peer.end().code == 1008

    def test_second_handshake_is_refused_and_the_connection_goes_on(
        self, start: Start, connect: Connect
    ) -> None:
        gateway = start()
        peer = connect(gateway)
        answer = peer.ask(2, "auth_handshake", token=gateway.auth_token)
        assert fields(answer) == (2, 3, "Auth handshake already completed")
        assert peer.ask(3, "check_health").check_health_response.healthy

    def test_one_peer_too_many_is_told(self, start: Start, stranger: Connect) -> None:
        gateway = start(max_peers=1)
        first = stranger(gateway)
        assert first.authenticate(gateway.auth_token).auth_handshake_response.success
        second = stranger(gateway)
        second.send(1, "auth_handshake", token=gateway.auth_token)
        # No answer to the handshake: nothing is wrong with the token.
        assert second.end().code == 1013
        assert first.ask(2, "check_health").check_health_response.healthy


class TestOperations:
    def test_list_sessions(self, start: Start, connect: Connect) -> None:
        answer = connect(start()).ask(2, "list_sessions")
        assert answer.request_id == 2
        assert list(answer.session_list.sessions) == [session(2), session(1)]

    def test_no_sessions_is_an_empty_list(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        backend.script["list_sessions"] = list
        answer = connect(start()).ask(2, "list_sessions")
        assert answer.WhichOneof("payload") == "session_list"
        assert len(answer.session_list.sessions) == 0

    def test_create_session_with_and_without_title(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        peer = connect(start())
        assert peer.ask(2, "create_session", title="T").session_info == session(3, "T")
        peer.ask(3, "create_session", title="")
        peer.ask(4, "create_session")
        titles = [call[1] for call in backend.calls if call[0] == "create_session"]
        assert titles == ["T", "", None]

    @pytest.mark.parametrize("success", [True, False])
    def test_delete_session(
        self, start: Start, connect: Connect, backend: ScriptedBackend, success: bool
    ) -> None:
        backend.script["delete_session"] = lambda session_id: success
        answer = connect(start()).ask(2, "delete_session", session_id="ses_1")
        assert answer.WhichOneof("payload") == "delete_session_response"
        assert answer.delete_session_response.success is success
        assert ("delete_session", "ses_1") in backend.calls

    @pytest.mark.parametrize("healthy", [True, False])
    def test_check_health(
        self, start: Start, connect: Connect, backend: ScriptedBackend, healthy: bool
    ) -> None:
        backend.script["check_health"] = lambda: healthy
        answer = connect(start()).ask(2, "check_health")
        assert answer.WhichOneof("payload") == "check_health_response"
        assert answer.check_health_response.healthy is healthy

    def test_discover_server_finds_none_or_one(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        peer = connect(start())
        answer = peer.ask(2, "discover_server")
        assert answer.WhichOneof("payload") == "discover_server_response"
        assert not answer.discover_server_response.HasField("server")
        backend.script["discover_server"] = server
        assert peer.ask(3, "discover_server").discover_server_response.server == server()

    def test_spawn_server_with_and_without_port(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        peer = connect(start())
        assert peer.ask(2, "spawn_server").spawn_server_response.server == server()
        peer.ask(3, "spawn_server", port=4097)
        ports = [call[1] for call in backend.calls if call[0] == "spawn_server"]
        assert ports == [None, 4097]

    @pytest.mark.parametrize("port", [0, 80, 65536, 2**32 - 1])
    def test_spawn_server_on_an_impossible_port(
        self, start: Start, connect: Connect, backend: ScriptedBackend, port: int
    ) -> None:
        code, message = fields(connect(start()).ask(2, "spawn_server", port=port))[1:]
        assert code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
        assert message.startswith("port must be from 1024")
        assert not [call for call in backend.calls if call[0] == "spawn_server"]

    @pytest.mark.parametrize("success", [True, False])
    def test_stop_server(
        self, start: Start, connect: Connect, backend: ScriptedBackend, success: bool
    ) -> None:
        backend.script["stop_server"] = lambda: success
        answer = connect(start()).ask(2, "stop_server")
        assert answer.WhichOneof("payload") == "stop_server_response"
        assert answer.stop_server_response.success is success

    @pytest.mark.parametrize(
        "operation",
        [
            "list_agents",
            "get_provider_status",
            "set_auth",
            "get_auth",
            "get_config",
            "update_config",
            "sync_auth_keys",
            "get_oauth_status",
            "send_message",
        ],
    )
    def test_operation_without_a_handler(
        self, start: Start, connect: Connect, operation: str
    ) -> None:
        request_id, code, message = fields(connect(start()).ask(5, operation))
        assert (request_id, code) == (5, ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED)
        assert message.startswith(f"{operation} is not served by this gateway")


class TestErrors:
    def test_backend_error_reaches_the_peer_as_it_is(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        def fail() -> Any:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "no server; start one")

        backend.script["list_sessions"] = fail
        assert fields(connect(start()).ask(9, "list_sessions")) == (9, 5, "no server; start one")

    def test_bug_in_the_backend_is_hidden_and_logged(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        def fail() -> Any:
            raise KeyError("a private matter")

        lines: list[str] = []
        logger.enable("opencode_sync")
        sink = logger.add(lines.append, level="ERROR")
        try:
            backend.script["list_sessions"] = fail
            gateway = start()
            peer = connect(gateway)
            request_id, code, message = fields(peer.ask(9, "list_sessions"))
        finally:
            logger.remove(sink)
            logger.disable("opencode_sync")
        assert (request_id, code) == (9, ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR)
        assert "private" not in message
        assert "Traceback" in "".join(lines)
        assert "a private matter" in "".join(lines)
        assert gateway.auth_token not in "".join(lines)
        assert peer.ask(10, "check_health").check_health_response.healthy

    def test_undecodable_message(self, start: Start, connect: Connect) -> None:
        peer = connect(start())
        peer.send_bytes(b"\xff\xff\xff")
        assert fields(peer.receive()) == (0, 1, "Invalid protobuf message")
        assert peer.ask(2, "check_health").check_health_response.healthy

    def test_message_without_payload(self, start: Start, connect: Connect) -> None:
        assert fields(connect(start()).ask(7, None)) == (7, 1, "No payload in message")

    def test_empty_message(self, start: Start, connect: Connect) -> None:
        peer = connect(start())
        peer.send_bytes(b"")
        assert fields(peer.receive()) == (0, 1, "No payload in message")

    def test_payload_unknown_to_the_schema(self, start: Start, connect: Connect) -> None:
        peer = connect(start())
        peer.send_bytes(b"\x08\x07\xd2\x0f\x00")  # request_id 7, field 250 of length 0
        assert fields(peer.receive()) == (7, 1, "No payload in message")

    def test_request_id_0(self, start: Start, connect: Connect, backend: ScriptedBackend) -> None:
        request_id, code, message = fields(connect(start()).ask(0, "list_sessions"))
        assert (request_id, code) == (0, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE)
        assert "request_id must not be 0" in message
        assert ("list_sessions",) not in backend.calls

    def test_largest_request_id(self, start: Start, connect: Connect) -> None:
        assert connect(start()).ask(2**64 - 1, "check_health").request_id == 2**64 - 1

    def test_request_id_still_in_flight(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([session(1)])
        peer = connect(start())
        peer.send(2, "list_sessions")
        held.wait_entered()
        request_id, code, message = fields(peer.ask(2, "check_health"))
        assert (request_id, code) == (0, ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE)
        assert "request_id 2" in message
        held.released.set()
        assert peer.receive().WhichOneof("payload") == "session_list"

    @pytest.mark.parametrize("request_id", [1, 2])
    def test_request_id_used_before_and_answered(
        self, start: Start, connect: Connect, request_id: int
    ) -> None:
        peer = connect(start())
        for _ in range(3):
            answer = peer.ask(request_id, "check_health")
            assert answer.request_id == request_id
            assert answer.check_health_response.healthy

    def test_answer_larger_than_a_message_may_be(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        backend.script["list_sessions"] = lambda: [session(1, "x" * 2000)]
        peer = connect(start(max_message_size=1000))
        request_id, code, message = fields(peer.ask(2, "list_sessions"))
        assert (request_id, code) == (2, ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR)
        assert "more than the 1000" in message

    def test_message_larger_than_the_limit(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        peer = connect(start(max_message_size=1000))
        peer.send(2, "create_session", title="x" * 1000)
        assert peer.end().code == 1009
        assert not [call for call in backend.calls if call[0] == "create_session"]


class TestConcurrency:
    def test_blocked_request_holds_up_no_other(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        peer = connect(start())
        peer.send(2, "list_sessions")
        held.wait_entered()
        assert peer.ask(3, "check_health").request_id == 3
        held.released.set()
        assert peer.receive().request_id == 2

    def test_blocked_peer_holds_up_no_other(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        gateway = start(max_in_flight=1)
        blocked, other = connect(gateway), connect(gateway)
        blocked.send(2, "list_sessions")
        held.wait_entered()
        assert other.ask(2, "check_health").request_id == 2
        held.released.set()
        assert blocked.receive().request_id == 2

    def test_no_more_at_a_time_than_the_limit(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        peer = connect(start(max_in_flight=3))
        for request_id in range(2, 12):
            peer.send(request_id, "list_sessions")
        for _ in range(3):
            held.wait_entered()
        with pytest.raises(TimeoutError):
            peer.receive(0.05)
        assert not held.entered.acquire(blocking=False)
        held.released.set()
        assert sorted(peer.receive().request_id for _ in range(10)) == list(range(2, 12))

    def test_backpressure_loses_nothing(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["check_health"] = Held()
        peer = connect(start(max_in_flight=1, max_queued=1))
        for request_id in range(2, 52):
            peer.send(request_id, "check_health")
        held.wait_entered()
        assert backend.calls.count(("check_health",)) == 1
        held.released.set()
        assert [peer.receive().request_id for _ in range(50)] == list(range(2, 52))

    def test_queued_bytes_are_bounded_too(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["create_session"] = Held(session(1))
        peer = connect(start(max_in_flight=1, max_message_size=1000))
        for request_id in range(2, 12):
            peer.send(request_id, "create_session", title="x" * 600)
        held.wait_entered()
        held.released.set()
        assert [peer.receive().request_id for _ in range(10)] == list(range(2, 12))


class TestStop:
    def test_request_in_flight_is_still_answered(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([session(1)])
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "list_sessions")
        held.wait_entered()
        (served,) = gateway._peers._threads
        stopping = threading.Thread(target=gateway.stop)
        stopping.start()
        book = served._requests._book
        with book.changed:
            assert book.changed.wait_for(lambda: book.stopping, PATIENCE)
        held.released.set()
        assert list(peer.receive().session_list.sessions) == [session(1)]
        assert peer.end().code == 1001
        stopping.join(PATIENCE)

    def test_request_that_takes_too_long_fails(
        self, start: Start, connect: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        backend.script["close"] = held.released.set
        gateway = start(max_in_flight=1)
        peer = connect(gateway)
        peer.send(2, "list_sessions")
        peer.send(3, "check_health")  # has to wait for its turn, which never comes
        held.wait_entered()
        gateway.stop(0.2)
        answers = sorted(fields(peer.receive()) for _ in range(2))
        begun = "gateway is stopping; the request was begun, so it may have been done"
        assert answers == [(2, 4, begun), (3, 4, "gateway is stopping")]
        assert peer.end().code == 1001

    def test_idle_peer_gets_a_goodbye(self, start: Start, connect: Connect) -> None:
        gateway = start()
        peer = connect(gateway)
        gateway.stop()
        assert peer.end().code == 1001

    def test_stranger_is_sent_away(self, start: Start, stranger: Connect) -> None:
        gateway = start()
        peer = stranger(gateway)
        gateway.stop(0.2)
        assert peer.end().code in {1001, None}
