"""An IPC backend over real loopback sockets that does what a script says, good or bad.

The WebSocket is made by hand, so that a script can break every rule; nothing of the package under
test is used but its generated messages. A script is a function that gets a ``Peer``, one for each
connection, on a thread of its own; when it returns the connection is dropped::

    def script(peer):
        peer.authenticate()
        request = peer.receive()
        peer.answer(request, session_list=OcSessionList())
        peer.serve()

    with IpcServer(script) as server:
        client = IpcClient(server.config)

What a script raises, but for the client's going away, is raised again by ``stop``.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import select
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from opencode_sync import IpcConfig
from opencode_sync.wire import ipc_pb2, oc_session_pb2

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "TOKEN",
    "IpcServer",
    "Peer",
    "PeerGone",
    "frame",
    "free_port",
    "normal_answer",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
TOKEN = "tok-5f1c-correct-horse-battery-staple"
_PATIENCE = 20.0  # seconds no peer and no test should ever need
_ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class PeerGone(Exception):
    """The client ended the connection: ``code`` is that of its close frame, if it sent one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(f"the client has gone (close code {code})")
        self.code = code


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """Return one server's frame."""
    first = (0x80 if final else 0) | opcode
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    if len(payload) < 0x10000:
        return struct.pack(">BBH", first, 126, len(payload)) + payload
    return struct.pack(">BBQ", first, 127, len(payload)) + payload


def normal_answer(request: ipc_pb2.IpcClientMessage) -> dict[str, Any]:
    """Return what a backend in good order answers: the payload's field and value."""
    kind = request.WhichOneof("payload")
    if kind == "list_sessions":
        session = oc_session_pb2.OcSessionInfo(id="ses_1", title="one")
        return {"session_list": oc_session_pb2.OcSessionList(sessions=[session])}
    if kind == "create_session":
        title = request.create_session.title
        session = oc_session_pb2.OcSessionInfo(id=f"ses_{request.request_id}", title=title)
        return {"session_info": session}
    if kind == "delete_session":
        return {"delete_session_response": ipc_pb2.IpcDeleteSessionResponse(success=True)}
    if kind == "discover_server":
        return {"discover_server_response": ipc_pb2.IpcDiscoverServerResponse()}
    return {"check_health_response": ipc_pb2.IpcCheckHealthResponse(healthy=True)}


class Peer:
    """The server's end of one connection. One thread uses it, but ``send`` may be called by any."""

    def __init__(self, sock: socket.socket, server: IpcServer, number: int) -> None:
        self.server = server
        self.number = number
        """1 for the first connection of the server, 2 for the next."""
        self.pings = 0
        """Pings the client has sent so far."""
        self.answers_pings = True
        self._socket = sock
        self._buffer = bytearray()
        self._sending = threading.Lock()  # guards the socket's writing half

    # --- Bytes ---

    def send_raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        with self._sending:
            self._socket.sendall(data)

    def read(self, count: int) -> bytes:
        """Read exactly so many bytes."""
        while len(self._buffer) < count:
            data = self._socket.recv(65536)
            if not data:
                raise PeerGone
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def has_more(self) -> bool:
        """Return whether something the client sent waits to be read."""
        return bool(self._buffer or select.select([self._socket], [], [], 0.002)[0])

    def drop(self) -> None:
        """End the TCP connection in good order, without a word on the WebSocket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the TCP connection with a reset, as a crashed process may."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def freeze(self) -> None:
        """Neither read nor write, but stay connected, until the server stops."""
        self.server.stopping.wait(_PATIENCE)

    def wait_eof(self) -> None:
        """Read whatever comes, making nothing of it, until the client drops the connection."""
        while self._socket.recv(65536):
            pass

    def wait_gone(self) -> int | None:
        """Read until the client ends the connection; return its close code, if it gave one."""
        try:
            while True:
                self.receive()
        except PeerGone as gone:
            return gone.code
        except OSError:
            return None

    # --- HTTP ---

    def read_http(self) -> bytes:
        """Read the request of the WebSocket handshake."""
        while b"\r\n\r\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise PeerGone
            self._buffer += data
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        return head

    def upgrade(self) -> None:
        """Do the WebSocket handshake."""
        self.send_raw(self.upgrade_response())

    def upgrade_response(self) -> bytes:
        """Read the request and return the right response to it."""
        key = b""
        for line in self.read_http().split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"sec-websocket-key":
                key = value.strip()
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_KEY).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    # --- Frames ---

    def send_frame(self, opcode: int, payload: bytes = b"", *, final: bool = True) -> None:
        """Send one frame."""
        self.send_raw(frame(opcode, payload, final=final))

    def read_frame(self) -> tuple[int, bytes]:
        """Read one frame of the client's, which has to be final and masked."""
        first, second = self.read(2)
        assert first & 0x80, "the client cut a message"
        assert second & 0x80, "the client did not mask"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.read(8))
        key, masked = self.read(4), self.read(length)
        pattern = (key * (length // 4 + 1))[:length]
        payload = int.from_bytes(masked, "big") ^ int.from_bytes(pattern, "big")
        return first & 0x0F, payload.to_bytes(length, "big")

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame, wait for the client's, and drop the connection."""
        payload = b"" if code is None else struct.pack(">H", code) + reason.encode()
        self.send_frame(CLOSE, payload)
        self.wait_gone()
        self.drop()

    # --- Messages ---

    def authenticate(self) -> None:
        """Do the WebSocket handshake and accept the token."""
        self.upgrade()
        self.accept_token()

    def accept_token(self) -> None:
        """Read the IPC handshake and say yes."""
        hello = self.receive()
        assert hello.request_id == 1
        assert hello.auth_handshake.token == TOKEN
        yes = ipc_pb2.IpcAuthHandshakeResponse(success=True)
        self.answer(hello, auth_handshake_response=yes)

    def receive(self) -> ipc_pb2.IpcClientMessage:
        """Return the next message; pings and closes of the client are answered on the way."""
        while True:
            opcode, payload = self.read_frame()
            if opcode == BINARY:
                return ipc_pb2.IpcClientMessage.FromString(payload)
            if opcode == PING:
                self.pings += 1
                if self.answers_pings:
                    self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                with contextlib.suppress(OSError):
                    self.send_frame(CLOSE, payload)
                raise PeerGone(struct.unpack(">H", payload[:2])[0] if payload else None)

    def send(self, message: ipc_pb2.IpcServerMessage) -> None:
        """Send a message."""
        self.send_frame(BINARY, message.SerializeToString())

    def answer(self, request: ipc_pb2.IpcClientMessage, **payload: Any) -> None:
        """Answer a request: ``peer.answer(request, session_list=...)``."""
        self.send(ipc_pb2.IpcServerMessage(request_id=request.request_id, **payload))

    def fail(self, request_id: int, code: int, message: str) -> None:
        """Answer with an error."""
        error = ipc_pb2.IpcErrorResponse(code=code, message=message)
        self.send(ipc_pb2.IpcServerMessage(request_id=request_id, error=error))

    def serve(self) -> None:
        """Answer everything as it should be until the client goes."""
        while True:
            request = self.receive()
            self.answer(request, **normal_answer(request))


class IpcServer:
    """Listens on a free loopback port and runs the script for each connection."""

    def __init__(
        self, script: Callable[[Peer], None], *, port: int = 0, receive_buffer: int | None = None
    ) -> None:
        self.stopping = threading.Event()
        self._script = script
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer is not None:  # accepted sockets inherit it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()  # guards the attributes below
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._stopped = False
        self._acceptor = threading.Thread(target=self._accept, name="test-ipc-server", daemon=True)
        self._acceptor.start()

    @property
    def config(self) -> IpcConfig:
        """Where to connect, with the right token."""
        return IpcConfig(port=self.port, auth_token=TOKEN)

    @property
    def connections(self) -> int:
        """How many there were so far."""
        with self._changed:
            return len(self._threads)

    def stop(self) -> None:
        """End all connections, wait for the scripts, raise what one of them raised. Idempotent."""
        with self._changed:
            if self._stopped:
                return
            self._stopped = True
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(_PATIENCE)
        with self._changed:
            sockets, threads = list(self._sockets), list(self._threads)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive(), "a script does not end"
        if self._errors:
            raise AssertionError("a script failed") from self._errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                peer = Peer(sock, self, len(self._threads) + 1)
                thread = threading.Thread(
                    target=self._run, args=(peer, sock), name="test-ipc-peer", daemon=True
                )
                self._sockets.append(sock)
                self._threads.append(thread)
                thread.start()

    def _run(self, peer: Peer, sock: socket.socket) -> None:
        try:
            self._script(peer)
        except (PeerGone, OSError):
            pass
        except BaseException as error:  # shown by stop(), on the test's own thread
            self._errors.append(error)
        finally:
            peer.drop()
            sock.close()


def free_port() -> int:
    """Return a loopback port on which nothing listens."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
