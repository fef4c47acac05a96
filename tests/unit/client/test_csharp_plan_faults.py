"""The twelve faults of the earlier plan's code (design, section 7), one test or class each."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcArgumentError,
    IpcAuthenticationError,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcProtocolError,
    IpcTimeoutError,
    IpcUsageError,
    StateChange,
)
from opencode_sync.transport.base import TransportProtocolError
from opencode_sync.transport.frames import BINARY, TEXT, FrameReader
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import CONFIG, HOLD, WAIT, ScriptedBackend
from tests.support.leaks import eventually
from tests.support.threads import Background, together
from tests.unit.client.test_states import Listener

S = ConnectionState


def _readers() -> int:
    return sum(t.name.startswith("opencode-sync-reader") for t in threading.enumerate())


# 1. "On a close frame its receive loop returns without failing the pending requests and without
#    leaving Connected: callers hang until time-out."


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_fault_01_close_frame_fails_pending_and_leaves_connected(
    backend: ScriptedBackend, client: IpcClient, code: int
) -> None:
    backend.rule("list_sessions", HOLD)
    futures = [client.futures.list_sessions(timeout=60) for _ in range(5)]
    blocked = Background(client.list_sessions, timeout=60)
    backend.link().request(5)
    listener = Listener()
    client.on_state_change(listener)
    began = time.monotonic()
    backend.link().peer.close(code, "enough")
    errors = [future.exception(WAIT) for future in futures] + [blocked.error()]
    assert time.monotonic() - began < 10  # and not the sixty seconds of their time-out
    assert all(isinstance(error, IpcConnectionError) for error in errors)
    assert all(error.close_code == code for error in errors)  # type: ignore[union-attr]
    assert listener.wait(1)[0].old is S.CONNECTED
    assert not client.is_connected


# 2. "An authentication time-out surfaces as 'cancelled by the user' (it tests the wrong token
#    source); an `error` payload or a silent close during the handshake is not an authentication
#    error."


class TestFault02HandshakeFailuresAreNamedForWhatTheyAre:
    def test_a_time_out_is_a_time_out(self, backend: ScriptedBackend) -> None:
        backend.handshake = HOLD
        client = backend.client(options=IpcClientOptions(authentication_timeout=0.03))
        with pytest.raises(IpcTimeoutError) as caught:
            client.connect()
        assert not isinstance(caught.value, IpcCancelledError)
        assert caught.value.operation == "authenticate"
        assert "cancel" not in str(caught.value)

    def test_an_error_payload_is_an_authentication_error(self, backend: ScriptedBackend) -> None:
        backend.handshake = lambda message: b.error(3, "Auth handshake expected")
        with pytest.raises(IpcAuthenticationError, match=r"Auth handshake expected.*AUTH_ERROR"):
            backend.client().connect()

    @pytest.mark.parametrize("how", ["close", "drop"])
    def test_a_silent_end_is_an_authentication_error(
        self, backend: ScriptedBackend, how: str
    ) -> None:
        def end(message: ipc_pb2.IpcClientMessage) -> None:
            getattr(backend.link().peer, how)()

        backend.handshake = end
        with pytest.raises(IpcAuthenticationError, match="instead of answering"):
            backend.client().connect()


# 3. "A failed connect leaves its receive task running; a second connect races it."


def test_fault_03_failed_connect_leaves_no_reader_behind(backend: ScriptedBackend) -> None:
    before = _readers()
    client = backend.client()
    for verdict in (b.refuse, lambda message: b.healthy()):
        backend.handshake = verdict
        with pytest.raises((IpcAuthenticationError, IpcProtocolError)):
            client.connect()
        assert _readers() == before
    backend.handshake = b.accept
    with client:
        assert _readers() == before + 1
        # What the refused links still say reaches nobody.
        backend.link(0).send(2, b.healthy(False))
        assert client.check_server_health() is True
        assert client.strays.duplicate == client.strays.unknown == 0


# 4. "Setting a result on a future that was just cancelled or timed out throws inside the receive
#    loop."


def test_fault_04_answer_to_an_ended_future_does_not_end_the_reader(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    cancelled = client.futures.list_sessions()
    expired = client.futures.list_sessions(timeout=0.01)
    foreign = client.futures.list_sessions()
    assert cancelled.cancel()
    assert isinstance(expired.exception(WAIT), IpcTimeoutError)
    foreign.set_exception(ValueError("set by its user"))
    link = backend.link()
    link.request(2)
    for request in link.requests:
        link.answer(request, b.sessions("late"))
    assert client.check_server_health() is True
    assert client.strays.late == 2


# 5. "A text frame adds nothing to the buffer but its end still triggers a parse of what is there."


def test_fault_05_text_frame_neither_completes_nor_spoils_a_message() -> None:
    def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
        return bytes([(0x80 if fin else 0) | opcode, len(payload)]) + payload

    reader = FrameReader(1000)
    reader.feed(frame(TEXT, b"hello") + frame(BINARY, b"whole"))
    assert reader.next_event() == (TEXT, b"hello")  # an event of its own, for the owner to ignore
    assert reader.next_event() == (BINARY, b"whole")
    assert reader.next_event() is None
    # In the middle of a fragmented message it is an offence, and what was there is not parsed.
    reader = FrameReader(1000)
    reader.feed(frame(BINARY, b"half a mess", fin=False) + frame(TEXT, b"hello"))
    with pytest.raises(TransportProtocolError):
        reader.next_event()


# 6. "No bound on message size: a peer can exhaust memory."


def test_fault_06_message_size_is_bounded_before_anything_is_stored() -> None:
    reader = FrameReader(1000)
    reader.feed(b"\x82\x7f" + (1 << 40).to_bytes(8, "big"))  # one terabyte is announced
    with pytest.raises(TransportProtocolError) as caught:
        reader.next_event()
    assert caught.value.code == 1009
    # The same in small pieces, none of which is too long by itself.
    reader = FrameReader(1000)
    piece = bytes([0x00, 100]) + bytes(100)
    reader.feed(bytes([0x02, 100]) + bytes(100) + piece * 20)
    with pytest.raises(TransportProtocolError) as caught:
        reader.next_event()
    assert caught.value.code == 1009


# 7. "The state event runs under the connection lock, on whatever thread: a listener that calls back
#    deadlocks."


def test_fault_07_listener_may_call_back(backend: ScriptedBackend) -> None:
    seen: list[Any] = []
    done = threading.Event()

    def listener(change: StateChange) -> None:
        seen.append((change.new, threading.current_thread().name))
        seen.append(client.state)
        seen.append(client.is_connected)
        end = client.on_state_change(lambda change: None)
        end()
        other = Background(lambda: client.state)  # a lock held here would stop it
        seen.append(other.result(1.0))
        if change.new is S.CONNECTED:
            with pytest.raises(IpcUsageError):
                client.list_sessions()  # blocking here is refused, not a deadlock
            client.futures.list_sessions().add_done_callback(lambda _: done.set())

    client = backend.client()
    client.on_state_change(listener)
    client.connect()
    assert done.wait(WAIT)
    client.close()
    names = {item[1] for item in seen if isinstance(item, tuple)}
    assert names == {"opencode-sync-notifier"}


# 8. "Dispose during connect uses a disposed lock; disposing from the receive thread waits for
#    itself."


class TestFault08ClosingFromAnywhere:
    def test_during_connect(self, backend: ScriptedBackend) -> None:
        backend.handshake = HOLD
        client = backend.client()
        connecting = [Background(client.connect) for _ in range(3)]
        backend.link().wait(lambda: bool(backend.link().raw), "handshake")
        for job in connecting:
            while job.running:
                client.close()  # again, for one that began to connect only after the first
            assert isinstance(job.error(10.0), IpcConnectionError)
        backend.handshake = b.accept
        with client:  # nothing of it is used up
            assert client.check_server_health() is True

    def test_from_the_readers_own_thread(self, backend: ScriptedBackend) -> None:
        class Provider:
            def get_config(self) -> Any:
                assert threading.current_thread().name.startswith("opencode-sync-reader")
                client.close()
                return CONFIG

        client = backend.client(Provider())
        began = time.monotonic()
        with pytest.raises(IpcConnectionError):
            client.connect()
        assert time.monotonic() - began < 5

    def test_from_a_callback(self, backend: ScriptedBackend, client: IpcClient) -> None:
        closed = threading.Event()

        def close(_: object) -> None:
            client.close()
            closed.set()

        client.futures.check_server_health().add_done_callback(close)
        assert closed.wait(WAIT)
        assert client.state is S.DISCONNECTED


# 9. "Its state field is read and written without synchronisation; two connects can both see
#    Disconnected."


def test_fault_09_connects_at_once_make_one_connection(backend: ScriptedBackend) -> None:
    for round_ in range(10):
        client = backend.client()
        listener = Listener()
        client.on_state_change(listener)
        for job in together(8, lambda _, client=client: client.connect()):  # type: ignore[misc]
            job.result()
        assert backend.links == round_ + 1
        client.close()
        assert [new for _, new in listener.steps].count(S.CONNECTING) == 1


# 10. "Errors with request id 0 are dropped unseen."


def test_fault_10_errors_without_a_request_are_counted_and_shown(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.link().send(0, b.error(1, "Invalid protobuf message"))
    assert client.check_server_health() is True
    assert client.strays.without_request == 1
    backend.rule("list_sessions", HOLD)
    with pytest.raises(IpcTimeoutError, match="Invalid protobuf message"):
        client.list_sessions(timeout=0.02)


# 11. "The health check hides programming errors behind `false`."


def test_fault_11_health_check_shows_programming_errors(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IpcArgumentError):
        client.health_check(timeout=-1)
    with pytest.raises(TypeError):
        client.health_check(wait=True)  # type: ignore[call-arg]
    token = object()
    with pytest.raises((TypeError, AttributeError)):
        client.health_check(cancel=token)  # type: ignore[arg-type]
    refused: list[BaseException] = []
    done = threading.Event()

    def call_back(_: object) -> None:
        try:
            client.health_check()
        except IpcUsageError as error:
            refused.append(error)
        done.set()

    client.futures.check_server_health().add_done_callback(call_back)
    assert done.wait(WAIT)
    assert len(refused) == 1
    # A bug of our own in the middle of it is not ill health either.
    monkeypatch.setattr(client._supervisor, "submit", lambda *args: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        client.health_check()
    monkeypatch.undo()
    backend.link().peer.drop()
    assert eventually(lambda: not client.is_connected)
    assert client.health_check() is False  # this is what False is for


# 12. "A response of the wrong payload type is taken for an empty result instead of a protocol
#     error."


@pytest.mark.parametrize(
    ("name", "arguments", "wrong"),
    [
        ("list_sessions", (), b.session("one")),
        ("create_session", (), b.sessions("one")),
        ("delete_session", ("ses_1",), b.stopped()),
        ("discover_server", (), b.spawned()),
        ("spawn_server", (), b.discovered()),
        ("stop_server", (), b.deleted()),
        ("check_server_health", (), b.sessions()),
        ("list_sessions", (), {}),
        ("discover_server", (), {}),
        ("spawn_server", (), {"spawn_server_response": ipc_pb2.IpcSpawnServerResponse()}),
    ],
)
def test_fault_12_wrong_payload_is_a_protocol_error(
    backend: ScriptedBackend,
    client: IpcClient,
    name: str,
    arguments: tuple[str, ...],
    wrong: b.Payload,
) -> None:
    backend.rule("check_health" if name == "check_server_health" else name, wrong)
    with pytest.raises(IpcProtocolError) as caught:
        getattr(client, name)(*arguments)
    assert caught.value.request_id == 2
    assert caught.value.operation in (name, "check_health")
    assert client.is_connected
