"""What a program of this machine can send to a gateway, before it has shown the token and after."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter

from google.protobuf.message import DecodeError

from opencode_sync.deadline import Deadline
from opencode_sync.gateway import Gateway, GatewayLimits
from opencode_sync.transport.base import TransportClosed, TransportTimeout
from opencode_sync.transport.frames import BINARY, CLOSE, PING, TEXT, encode_frame
from opencode_sync.transport.memory import MemoryTransport
from opencode_sync.wire import ipc_pb2
from tests.chaos.backends import TOKEN, GatewayBackend
from tests.fuzz import seeds
from tests.fuzz.chooser import Chooser, changed_bytes

WAIT = 10.0
_LAST = 10_000_000
"""The id of a request behind all others."""
_LIMITS = GatewayLimits(handshake_timeout=WAIT, max_peers=256, max_message_size=1 << 20)
_HELLO = ipc_pb2.IpcClientMessage(
    request_id=1, auth_handshake=ipc_pb2.IpcAuthHandshake(token=TOKEN)
).SerializeToString()
_BYTES = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    *(encode_frame(BINARY, message) for message in (_HELLO, *seeds.CLIENT_MESSAGES[:8])),
    encode_frame(BINARY, _HELLO[:9])[:-2],
    encode_frame(PING, b"x"),
    encode_frame(TEXT, b"text"),
    encode_frame(CLOSE, b"\x03\xe8"),
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://evil.invalid\r\n\r\n",
    b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def _request(message: bytes) -> ipc_pb2.IpcClientMessage | None:
    try:
        return ipc_pb2.IpcClientMessage.FromString(message)
    except DecodeError:
        return None


def _send(link: MemoryTransport, *messages: bytes) -> None:
    link.send(messages)
    link.flush(Deadline.after(WAIT))


class _Gateway:
    def __init__(self) -> None:
        self.gateway = Gateway(GatewayBackend(), auth_token=TOKEN, limits=_LIMITS)

    def close(self) -> None:
        self.gateway.stop()


class BeforeToken(_Gateway):
    """A first message: the right token, or the end, and no answer to anything else."""

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        message = changed_bytes(chooser, [_HELLO, *seeds.CLIENT_MESSAGES])
        link = self.gateway.connect_in_memory()
        link.connect(Deadline.after(WAIT))
        link.send([message, *seeds.CLIENT_MESSAGES[: chooser.number(3)]])
        end = None
        answers = []
        with contextlib.suppress(TransportClosed):  # it may end between two of our messages
            link.flush(Deadline.after(WAIT))
        try:
            answers.append(link.receive(Deadline.after(WAIT)))
            while not _is_hello(message):
                answers.append(link.receive(Deadline.after(WAIT)))
        except TransportClosed as closed:
            end = closed
        finally:
            link.abort()
        verdicts = [ipc_pb2.IpcServerMessage.FromString(each) for each in answers]
        if _is_hello(message):
            assert verdicts[0].auth_handshake_response.success
            return
        assert end is not None
        assert end.code in (1008, 1009), end
        assert len(verdicts) <= 1
        for verdict in verdicts:
            assert not verdict.auth_handshake_response.success
            assert verdict.auth_handshake_response.error


def _is_hello(message: bytes) -> bool:
    request = _request(message)
    return (
        request is not None
        and request.WhichOneof("payload") == "auth_handshake"
        and request.auth_handshake.token == TOKEN
    )


class AfterToken(_Gateway):
    """Messages of a client that has shown its token: each is answered, once, and none crashes."""

    def __call__(self, data: bytes) -> None:
        link = self.gateway.connect_in_memory()
        link.connect(Deadline.after(WAIT))
        try:
            _send(link, _HELLO)
            link.receive(Deadline.after(WAIT))
            self._serve(Chooser(data), link)
        finally:
            link.abort()

    def _serve(self, chooser: Chooser, link: MemoryTransport) -> None:
        asked: Counter[int] = Counter()
        ended_early = 0
        for _ in range(1 + chooser.number(4)):
            message = changed_bytes(chooser, seeds.CLIENT_MESSAGES)
            request = _request(message)
            asked[0 if request is None else request.request_id] += 1
            # These end another request, which may then be answered on top of its pushes.
            kind = None if request is None else request.WhichOneof("payload")
            ended_early += kind in ("cancel", "unsubscribe")
            _send(link, message)
        last = ipc_pb2.IpcClientMessage(request_id=_LAST)
        last.check_health.SetInParent()
        _send(link, last.SerializeToString())
        asked[_LAST] += 1
        answers: Counter[int] = Counter()
        while answers.total() < asked.total() or not answers[_LAST]:
            try:
                answer = ipc_pb2.IpcServerMessage.FromString(link.receive(Deadline.after(WAIT)))
            except TransportTimeout:
                raise AssertionError(f"asked {asked}, answered {answers}") from None
            kind = answer.WhichOneof("payload")
            assert kind is not None
            assert "inside the gateway" not in answer.error.message, answer.error.message
            if kind not in ("event", "subscription_end"):  # "subscribed" stands for the answer
                answers[answer.request_id] += 1
        for number, count in answers.items():
            assert number == 0 or count <= asked[number] + ended_early


class Bytes(_Gateway):
    """Raw bytes to its port: it ends every such connection, and serves the next."""

    def __init__(self) -> None:
        super().__init__()
        self.gateway.start()

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        parts = [changed_bytes(chooser, _BYTES) for _ in range(1 + chooser.number(4))]
        if chooser.number(4):  # through the opening handshake, and mostly with the token
            parts = _BYTES[: 1 + (chooser.number(3) > 0)] + parts
        sent = b"".join(parts)
        sent = sent.replace(b"PORT", str(self.gateway.port).encode())
        with socket.create_connection(("127.0.0.1", self.gateway.port), WAIT) as sock:
            try:
                sock.sendall(sent)
                sock.shutdown(socket.SHUT_WR)
                received = b""
                while piece := sock.recv(65536):
                    received += piece
            except TimeoutError:
                raise AssertionError(f"the gateway holds on to {sent!r}") from None
            except OSError:
                return  # reset, because it had not read everything
        assert TOKEN.encode() not in received


__all__ = ["AfterToken", "BeforeToken", "Bytes"]
