"""What a backend, or what pretends to be one, can send to a client."""

from __future__ import annotations

import socket
from collections import deque

from opencode_sync import IpcClientOptions, IpcError, IpcTimeoutError
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import IpcSlowConsumerError
from opencode_sync.messages import event_properties
from opencode_sync.streams import EventStream, PromptStream
from opencode_sync.transport.base import TransportError, TransportProtocolError, TransportTimeout
from opencode_sync.transport.frames import BINARY, CLOSE, FrameReader, parse_close
from opencode_sync.transport.upgrade import upgrade
from opencode_sync.transport.websocket import WebSocketTransport
from opencode_sync.wire import ipc_pb2
from tests.fuzz import seeds
from tests.fuzz.chooser import Chooser, changed_bytes
from tests.support.backend import HOLD, WAIT, Link, ScriptedBackend, healthy
from tests.support.ipcserver import IpcServer, Peer

_LIMIT = 1000
_OPTIONS = IpcClientOptions(max_message_size=_LIMIT, max_receive_buffer_size=64)
_FRAMES = [
    b"\x82\x03abc",
    b"\x02\x01a\x80\x01b",
    b"\x89\x00",
    b"\x8a\x01x",
    b"\x88\x02\x03\xe8",
    b"\x88\x05\x03\xe8bye",
    b"\x81\x02hi",
    b"\x82\x7e\x00\x80" + b"x" * 128,
    b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"x" * 64,
    b"\x82\x7e\x03\xe9",
]


def _events(reader: FrameReader, pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], int | None]:
    """All events, and the close code owed when the rules were broken."""
    events = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next_event()) is not None:
                events.append((event[0], bytes(event[1])))
                if event[0] == CLOSE:
                    parse_close(bytes(event[1]))
                    return events, None
    except TransportProtocolError as error:
        return events, error.code
    return events, None


def frames(data: bytes) -> None:
    """Bytes behind the handshake: the same events however they are cut, and nothing too large."""
    chooser = Chooser(data)
    size = 1 + chooser.number(9)
    stream = b"".join(changed_bytes(chooser, _FRAMES) for _ in range(1 + chooser.number(3)))
    whole = _events(FrameReader(_LIMIT), [stream])
    cut = _events(
        FrameReader(_LIMIT), [stream[at : at + size] for at in range(0, len(stream), size)]
    )
    assert whole == cut, (whole, cut)
    for opcode, payload in whole[0]:
        assert len(payload) <= (_LIMIT if opcode <= BINARY else 125)
        assert opcode < CLOSE or len(payload) <= 125


def handshake(data: bytes) -> None:
    """Bytes in answer to the opening handshake: a link, or an error of ours without their words."""
    secret = b"hunter2-do-not-show"
    answer = changed_bytes(Chooser(data), seeds.UPGRADE).replace(b"a=b", b"a=" + secret)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        said = ""
        try:
            upgrade(ours, "ws://127.0.0.1:4096/", Deadline.after(WAIT))
        except TransportError as error:
            said = repr(error)
        assert secret.decode() not in said


class ClientBytes:
    """Bytes from a server, to a whole transport: messages, then an error of ours, and no hang."""

    def __init__(self) -> None:
        self._jobs: deque[bytes] = deque()
        self._server = IpcServer(self._serve)

    def _serve(self, peer: Peer) -> None:
        sent = self._jobs.popleft()
        peer.send_raw(peer.upgrade_response() + sent)

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        self._jobs.append(
            b"".join(changed_bytes(chooser, _FRAMES) for _ in range(1 + chooser.number(4)))
        )
        transport = WebSocketTransport(self._server.config, _OPTIONS)
        deadline = Deadline.after(WAIT)
        try:
            transport.connect(deadline)
            while True:
                assert len(transport.receive(deadline)) <= _LIMIT
                transport.flush(NOW)
        except TransportTimeout:
            raise AssertionError("the transport hangs") from None
        except TransportError:
            transport.close(1002, "x" * chooser.number(200), NOW)
        finally:
            transport.abort()
            transport.dispose()

    def close(self) -> None:
        self._server.stop()


class ClientMessages:
    """Messages to a client that waits for answers: each call ends once, and the reader lives."""

    _HELD = ("create_session", "list_sessions", "get_session", "prompt", "check_health")

    def __init__(self) -> None:
        self._backend = ScriptedBackend()
        for name in self._HELD:
            self._backend.rule(name, HOLD)
        self._client = self._backend.client(reconnect=None)
        self._client.connect()
        self._link: Link = self._backend.link()
        self._events: EventStream | None = None
        self._subscription = 0

    def _request(self, kind: str) -> int:
        """Wait for a request of this kind, and return its id."""

        def ids() -> list[int]:
            requests = list(self._link.requests)
            return [each.request_id for each in requests if each.WhichOneof("payload") == kind]

        self._link.wait(lambda: bool(ids()), kind)
        return ids()[-1]

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        client, link = self._client, self._link
        link.requests.clear()
        link.raw.clear()
        if self._events is None:
            self._events = client.events(timeout=WAIT)
            self._subscription = self._request("subscribe")
        prompt = client.stream_prompt("ses_1", "x", timeout=WAIT)
        waiting = [
            client.futures.create_session("x"),
            client.futures.list_sessions(),
            client.futures.get_session("ses_1"),
        ]
        ids = [self._request(kind) for kind in ("prompt", *self._HELD[:3])] + [self._subscription]
        for _ in range(1 + chooser.number(4)):
            message = changed_bytes(chooser, seeds.SERVER_MESSAGES)
            if chooser.number(4):  # to a call that waits
                message += ipc_pb2.IpcServerMessage(
                    request_id=chooser.pick(ids)
                ).SerializeToString()
            assert link.peer.send(message), "the client has gone"
        # Behind all that, an answer that is right.
        well = client.futures.check_server_health()
        link.send(self._request("check_health"), healthy())
        try:
            assert well.result(WAIT) is True
        except IpcError:
            # An input may have answered this call, too, but not have ended the connection.
            assert client.is_connected
        self._read_events()
        self._read_run(prompt)
        for future in waiting:
            if not future.cancel():
                error = future.exception(WAIT)
                assert error is None or isinstance(error, IpcError), error

    def _read_events(self) -> None:
        assert self._events is not None
        while True:
            try:
                event_properties(self._events.next_event(0))
            except IpcSlowConsumerError:
                continue  # some are missing here
            except IpcTimeoutError:
                return
            except IpcError:  # an input has ended it
                self._events.close()
                self._events = None
                return

    def _read_run(self, prompt: PromptStream) -> None:
        prompt.cancel()
        while True:
            try:
                next(prompt)
            except IpcSlowConsumerError:
                continue  # some are missing here
            except (IpcError, StopIteration):
                break
        prompt.close()

    def close(self) -> None:
        self._client.close()
        self._backend.close()
