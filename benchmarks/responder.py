"""The process that all contenders talk to: ``python -m benchmarks.responder``.

It serves WebSocket, HTTP and (with grpcio installed) gRPC, with answers made in advance. Prints its
ports as JSON, then serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from google.protobuf import json_format

from benchmarks.wire import Answers, FrameCutter, accept_key, plain_frame, pong_frame

_PIECE = 65_536


def serve_websocket(sock: socket.socket, answers: Answers) -> None:
    """Answer one client until it leaves."""
    head = _read_head(sock)
    if head is None:
        return
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(_header(head, b"sec-websocket-key")) + b"\r\n\r\n"
    )
    cutter = FrameCutter()
    while not cutter.closed and (data := sock.recv(_PIECE)):
        found = map(answers.answer, cutter.cut(data))
        replies = [plain_frame(answer) for answer in found if answer is not None]
        while cutter.pings:
            replies.append(pong_frame(cutter.pings.pop()))
        if replies:
            sock.sendall(b"".join(replies))


def serve_http(sock: socket.socket, answers: dict[bytes, bytes]) -> None:
    """Answer one client's requests without a body, on one connection, until it leaves."""
    while (head := _read_head(sock)) is not None:
        sock.sendall(answers[head.split(b" ", 2)[1]])


def http_answers(answers: Answers) -> dict[bytes, bytes]:
    """Return the whole answer for each path."""
    sessions = [
        json_format.MessageToDict(each, preserving_proto_field_name=False)
        for each in answers.sessions.sessions
    ]
    for each in sessions:
        each["time"] = {name: int(moment) for name, moment in each["time"].items()}
        each["projectID"] = each.pop("projectId")
    bodies = {b"/health": {"healthy": True}, b"/session": sessions}
    made = {}
    for path, body in bodies.items():
        text = json.dumps(body).encode()
        made[path] = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(text), text)
        )
    return made


def start_grpc(answers: Answers) -> tuple[int, Callable[[], object]] | None:
    """Serve gRPC; returns its port and how to end it, or None when grpcio is not installed."""
    try:
        import grpc  # type: ignore[import-untyped]
    except ImportError:
        return None

    def handle(request: bytes, context: object) -> bytes | None:
        return answers.answer(request)

    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    method = grpc.unary_unary_rpc_method_handler(handle)  # bytes in, bytes out
    handlers = grpc.method_handlers_generic_handler("benchmark.Backend", {"Call": method})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, lambda: server.stop(0).wait(5)


class Listener:
    """Gives each client of one port a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, name="benchmark-accept", daemon=True).start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=self._run, args=(sock,), name="benchmark-client", daemon=True
            ).start()

    def _run(self, sock: socket.socket) -> None:
        with sock:
            try:
                self._serve(sock)
            except OSError:
                return  # the client has gone


def _read_head(sock: socket.socket) -> bytes | None:
    """Read up to the empty line that ends an HTTP head; None when the client has gone."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(_PIECE)
        if not data:
            return None
        head += data
    return head


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        key, _, text = line.partition(b":")
        if key.strip().lower() == name:
            return text.strip()
    raise ValueError(f"the client sent no {name.decode()}")


def main(argv: Sequence[str]) -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10, help="how many a list has")
    answers = Answers(parser.parse_args(argv).sessions)
    pages = http_answers(answers)
    ports: dict[str, Any] = {
        "websocket": Listener(lambda sock: serve_websocket(sock, answers)).port,
        "http": Listener(lambda sock: serve_http(sock, pages)).port,
    }
    served = start_grpc(answers)
    if served is not None:
        ports["grpc"] = served[0]
    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    if served is not None:
        served[1]()


if __name__ == "__main__":
    main(sys.argv[1:])
