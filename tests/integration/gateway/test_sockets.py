"""What is special about peers that come over a socket: hostile, slow, silent, or gone."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import websocket
from loguru import logger

from opencode_sync.gateway import Gateway, GatewayError
from opencode_sync.gateway import gateway as gateway_module
from tests.unit.gateway.doubles import (
    PATIENCE,
    Closed,
    Held,
    ScriptedBackend,
    WebSocketPeer,
    request,
    session,
)

Start = Callable[..., Gateway]
Connect = Callable[..., WebSocketPeer]

UPGRADE = (
    "GET / HTTP/1.1\r\n"
    "{host}"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "{more}\r\n"
)


def upgrade(gateway: Gateway, host: str | None = None, more: str = "") -> str:
    """Return the status line of the answer to a handwritten request."""
    line = f"Host: 127.0.0.1:{gateway.port}\r\n" if host is None else host
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as raw:
        raw.sendall(UPGRADE.format(host=line, more=more).encode())
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    return answer.decode().split("\r\n")[0]


class TestWhoMayConnect:
    def test_loopback_hosts(self, start: Start) -> None:
        gateway = start()
        for name in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
            assert " 101 " in upgrade(gateway, f"Host: {name}:{gateway.port}\r\n")

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "Host: evil.example:{port}\r\n",
            "Host: 127.0.0.1\r\n",
            "Host: 127.0.0.1:1\r\n",
            "Host: 127.0.0.1:{port}.evil.example\r\n",
            "Host: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}\r\n",
        ],
    )
    def test_other_hosts_are_refused(self, start: Start, host: str) -> None:
        gateway = start()
        assert " 403 " in upgrade(gateway, host.format(port=gateway.port))

    @pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1", "null"])
    def test_browsers_are_refused(self, start: Start, origin: str) -> None:
        assert " 403 " in upgrade(start(), more=f"Origin: {origin}\r\n")

    def test_refusal_reaches_an_ordinary_client(
        self, start: Start, websocket_peer: Connect
    ) -> None:
        gateway = start()
        with pytest.raises(websocket.WebSocketBadStatusException) as caught:
            websocket_peer(gateway, origin="https://evil.example", suppress_origin=False)
        assert caught.value.status_code == 403

    def test_only_the_loopback_address_listens(self, start: Start) -> None:
        gateway = start()
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", gateway.port), 1):
            pass

    @pytest.mark.parametrize(
        ("data", "answer"),
        [
            (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 403"),
            (b"\x00\x01\x02\r\n\r\n", b""),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"HTTP/1.1 431"),
            (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 414"),
        ],
    )
    def test_not_a_websocket(self, start: Start, data: bytes, answer: bytes) -> None:
        gateway = start()
        with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as raw:
            raw.sendall(data)
            got = b""
            while piece := raw.recv(65536):
                got += piece
        assert got.startswith(answer)
        assert bool(got) == bool(answer)


class TestFrames:
    def test_text_first_ends_without_an_answer(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start(), authenticate=False)
        peer.ws.send("hello")
        assert peer.end().code == 1008

    def test_text_is_ignored_later(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start())
        peer.ws.send("hello")
        assert peer.ask(2, "check_health").request_id == 2

    def test_fragments_with_a_ping_between(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start())
        data = request(2, "create_session", title="in pieces").SerializeToString()
        for place, byte in enumerate(data):
            opcode = websocket.ABNF.OPCODE_CONT if place else websocket.ABNF.OPCODE_BINARY
            frame = websocket.ABNF(place == len(data) - 1, 0, 0, 0, opcode, 1, bytes([byte]))
            peer.ws.send_frame(frame)
            peer.ws.ping(b"p")
        assert peer.receive().session_info.title == "in pieces"

    def test_ping_gets_its_pong_while_a_request_is_stuck(
        self, start: Start, websocket_peer: Connect, backend: ScriptedBackend
    ) -> None:
        held = backend.script["check_health"] = Held()
        peer = websocket_peer(start())
        peer.send(2, "check_health")
        held.wait_entered()
        peer.ws.ping(b"alive?")
        opcode, data = peer.ws.recv_data(control_frame=True)
        assert (opcode, data) == (websocket.ABNF.OPCODE_PONG, b"alive?")
        held.released.set()

    def test_oversize_is_told_before_it_is_read(
        self, start: Start, websocket_peer: Connect
    ) -> None:
        peer = websocket_peer(start(max_message_size=1000))
        # The header of a frame of 1 TiB, and nothing after it.
        peer.ws.sock.sendall(b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask")
        assert peer.end().code == 1009

    def test_oversize_in_pieces(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start(max_message_size=1000))
        for place in range(3):
            opcode = websocket.ABNF.OPCODE_CONT if place else websocket.ABNF.OPCODE_BINARY
            peer.ws.send_frame(websocket.ABNF(0, 0, 0, 0, opcode, 1, b"x" * 400))
        assert peer.end().code == 1009

    def test_too_many_fragments(
        self, start: Start, websocket_peer: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("opencode_sync.gateway.websocket._MAX_FRAGMENTS", 10)
        peer = websocket_peer(start())
        for place in range(10):
            opcode = websocket.ABNF.OPCODE_CONT if place else websocket.ABNF.OPCODE_BINARY
            peer.ws.send_frame(websocket.ABNF(0, 0, 0, 0, opcode, 1, b""))
        assert peer.end().code == 1009

    def test_much_data_without_a_token(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start(), authenticate=False)
        peer.send_bytes(b"x" * 200_000)
        assert peer.end().code in {1009, None}

    def test_broken_frame(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start())
        peer.ws.sock.sendall(b"\xff\x80mask")  # reserved bits
        assert peer.end().code == 1002

    def test_goodbye_of_the_peer_is_answered(self, start: Start, websocket_peer: Connect) -> None:
        peer = websocket_peer(start())
        peer.ws.send_close(4321)
        assert peer.end().code == 4321

    def test_handshake_and_request_in_one_segment(
        self, start: Start, websocket_peer: Connect
    ) -> None:
        gateway = start()
        peer = websocket_peer(gateway, authenticate=False)
        frames = b""
        for message in (
            request(1, "auth_handshake", token=gateway.auth_token),
            request(2, "check_health"),
        ):
            frames += websocket.ABNF.create_frame(
                message.SerializeToString(), websocket.ABNF.OPCODE_BINARY
            ).format()
        peer.ws.sock.sendall(frames)
        assert peer.receive().auth_handshake_response.success
        assert peer.receive().request_id == 2


class TestSlowAndSilent:
    def test_peer_that_does_not_read_is_dropped_and_holds_up_nobody(
        self, start: Start, websocket_peer: Connect, backend: ScriptedBackend
    ) -> None:
        backend.script["list_sessions"] = lambda: [session(1, "x" * 8_000_000)]
        gateway = start(send_timeout=0.3)
        slow, other = websocket_peer(gateway), websocket_peer(gateway)
        for request_id in range(2, 12):
            slow.send(request_id, "list_sessions")
        assert other.ask(2, "check_health").request_id == 2
        deadline = time.monotonic() + PATIENCE
        while len(gateway._peers._threads) > 1 and time.monotonic() < deadline:
            assert other.ask(3, "check_health").request_id == 3
        assert len(gateway._peers._threads) == 1

        def read_all() -> None:
            for _ in range(10):
                slow.receive()

        with pytest.raises(Closed):
            read_all()

    def test_peer_that_reads_late_gets_everything(
        self, start: Start, websocket_peer: Connect, backend: ScriptedBackend
    ) -> None:
        backend.script["list_sessions"] = lambda: [session(1, "x" * 8_000_000)]
        peer = websocket_peer(start())
        for request_id in range(2, 8):
            peer.send(request_id, "list_sessions")
        answers = [peer.receive() for _ in range(6)]
        assert sorted(answer.request_id for answer in answers) == list(range(2, 8))
        assert {len(answer.session_list.sessions[0].title) for answer in answers} == {8_000_000}

    def test_nothing_is_begun_for_a_peer_that_leaves_much_unread(
        self, start: Start, websocket_peer: Connect, backend: ScriptedBackend
    ) -> None:
        large = [session(1, "x" * 30_000_000)]
        backend.script["list_sessions"] = lambda: large
        gateway = start()
        slow = websocket_peer(gateway)
        slow.send(2, "list_sessions")
        (served,) = gateway._peers._threads
        deadline = time.monotonic() + PATIENCE
        while served._link._output._size < 8 << 20:
            assert time.monotonic() < deadline
        for request_id in range(3, 12):
            slow.send(request_id, "list_sessions")
        while served._requests._book._quick.running < 10:
            assert time.monotonic() < deadline
        assert backend.calls.count(("list_sessions",)) == 1
        answers = [slow.receive() for _ in range(10)]
        assert sorted(answer.request_id for answer in answers) == list(range(2, 12))

    def test_stop_is_in_time_with_a_peer_that_does_not_read(
        self, start: Start, websocket_peer: Connect, backend: ScriptedBackend
    ) -> None:
        entered = threading.Event()

        def large() -> list[Any]:
            entered.set()
            return [session(1, "x" * 30_000_000)]

        backend.script["list_sessions"] = large
        gateway = start()
        slow = websocket_peer(gateway)
        slow.send(2, "list_sessions")
        assert entered.wait(PATIENCE)
        started = time.monotonic()
        gateway.stop(0.5)
        assert time.monotonic() - started < 4.5

    def test_flood_of_pings_without_reading_costs_little(
        self, start: Start, websocket_peer: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("opencode_sync.gateway.output._FULL_PIECES", 64)
        gateway = start(send_timeout=0.3)
        peer = websocket_peer(gateway)
        ping = websocket.ABNF.create_frame(b"x" * 125, websocket.ABNF.OPCODE_PING).format()
        peer.ws.sock.settimeout(PATIENCE)

        def flood() -> None:
            for _ in range(10_000):
                peer.ws.sock.sendall(ping * 100)

        with pytest.raises(OSError, match=r"."):  # dropped, as for any output nobody takes
            flood()

    def test_64_silent_connections_do_not_keep_out_a_good_one(
        self, start: Start, websocket_peer: Connect
    ) -> None:
        gateway = start()
        silent = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(64)]
        try:
            started = time.monotonic()
            assert websocket_peer(gateway).ask(2, "check_health").request_id == 2
            assert time.monotonic() - started < 4
            # The oldest were pushed out; at most 16 of them are left.
            pushed_out = 0
            for raw in silent[:48]:
                raw.settimeout(PATIENCE)
                pushed_out += raw.recv(1) == b""
            assert pushed_out == 48
        finally:
            for raw in silent:
                raw.close()

    def test_drip_of_one_byte_at_a_time_ends_in_time(self, start: Start) -> None:
        gateway = start(handshake_timeout=0.3)
        with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as raw:
            raw.sendall(b"GET / HTT")
            assert raw.recv(1) == b""

    def test_peers_that_vanish_leave_nothing(
        self, start: Start, backend: ScriptedBackend, capfd: pytest.CaptureFixture[str]
    ) -> None:
        gateway = start()
        for number in range(20):
            peer = WebSocketPeer(gateway)
            peer.authenticate(gateway.auth_token)
            peer.send(2, "list_sessions")
            if number % 2:
                peer.ws.sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0"
                )  # a reset instead of an end
            peer.close()
        deadline = time.monotonic() + PATIENCE
        while gateway._peers._threads and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not gateway._peers._threads
        gateway.stop()
        assert capfd.readouterr() == ("", "")

    def test_peer_blocked_by_backpressure_sees_signs_of_life(
        self,
        start: Start,
        websocket_peer: Connect,
        backend: ScriptedBackend,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("opencode_sync.gateway.requests._SIGN_OF_LIFE_SECONDS", 0.05)
        held = backend.script["check_health"] = Held()
        peer = websocket_peer(start(max_in_flight=1, max_queued=1))
        for request_id in range(2, 6):
            peer.send(request_id, "check_health")
        opcode, data = peer.ws.recv_data(control_frame=True)
        assert (opcode, data) == (websocket.ABNF.OPCODE_PONG, b"")
        held.released.set()


class TestListener:
    def test_no_descriptor_left_is_survived(
        self, start: Start, websocket_peer: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway = start()
        listener = gateway._listener
        assert listener is not None
        accept, failures = listener._accept, [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED]

        def failing() -> None:
            if failures:
                code = failures.pop(0)
                raise OSError(code, os.strerror(code))
            accept()

        monkeypatch.setattr(listener, "_accept", failing)
        assert websocket_peer(gateway).ask(2, "check_health").request_id == 2
        assert not failures

    def test_no_thread_left_for_a_peer_is_survived(
        self, start: Start, websocket_peer: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway = start()
        real = threading.Thread.start

        def failing(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", failing)
            with pytest.raises((OSError, websocket.WebSocketException)):
                websocket_peer(gateway)
        assert threading.Thread.start is real
        assert websocket_peer(gateway).ask(2, "check_health").request_id == 2

    def test_no_thread_left_for_a_request_ends_that_peer(
        self, start: Start, websocket_peer: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gateway = start()
        peer = websocket_peer(gateway)

        def failing(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", failing)
            peer.send(2, "check_health")
            assert peer.end().code == 1011
        assert websocket_peer(gateway).ask(2, "check_health").request_id == 2

    def test_port_in_use(self, start: Start) -> None:
        other = Gateway(ScriptedBackend(), port=start().port)
        with pytest.raises(GatewayError, match=f"cannot listen on port {other._wanted_port}"):
            other.start()
        other.stop()

    def test_given_port_is_used(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with Gateway(ScriptedBackend(), port=port) as gateway:
            assert gateway.port == port
            assert gateway.endpoint == f"ws://127.0.0.1:{port}/"

    def test_websockets_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "opencode_sync.gateway.websocket", raising=False)
        monkeypatch.delattr("opencode_sync.gateway.websocket", raising=False)
        for name in [name for name in sys.modules if name.partition(".")[0] == "websockets"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "websockets", None)
        gateway = Gateway(ScriptedBackend())
        with pytest.raises(GatewayError, match=r"websockets .*opencode-sync-sdk\[gateway\]"):
            gateway.start()
        gateway.stop()
        assert gateway_module  # the rest of the gateway works without it

    def test_memory_alone_imports_no_websockets(self) -> None:
        program = (
            "import sys\n"
            "from tests.unit.gateway.doubles import *\n"
            "from opencode_sync.gateway import *\n"
            "gateway = Gateway(ScriptedBackend())\n"
            "peer = MemoryPeerOfGateway(gateway)\n"
            "peer.authenticate(gateway.auth_token)\n"
            "assert peer.ask(2, 'check_health').check_health_response.healthy\n"
            "gateway.stop()\n"
            "assert 'websockets' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class TestLogs:
    def test_nothing_of_a_token_is_logged(self, start: Start, websocket_peer: Connect) -> None:
        lines: list[str] = []
        logger.enable("opencode_sync")
        sink = logger.add(lines.append, level=0)
        try:
            gateway = start()
            websocket_peer(gateway).ask(2, "auth_handshake", token=gateway.auth_token)
            wrong = websocket_peer(gateway, authenticate=False)
            wrong.authenticate("almost-the-token")
            wrong.end()
            gateway.stop()
        finally:
            logger.remove(sink)
            logger.disable("opencode_sync")
        text = "".join(lines)
        assert "the gateway listens" in text
        assert "the gateway refused a peer" in text
        assert gateway.auth_token not in text
        assert "almost-the-token" not in text
        assert gateway.auth_token not in repr(gateway)
