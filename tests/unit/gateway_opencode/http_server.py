"""A small HTTP server on real sockets whose every answer a test writes itself."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""Self-signed, for 127.0.0.1 and localhost, with its key; trusted by nobody but these tests."""


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    connection: int
    """Which connection it came on, counted from 1."""


class Raw:
    """Gives an answer byte by byte: called with the request's ``send(bytes)``.

    The connection is closed afterwards.
    """

    def __init__(self, write: Callable[[Callable[[bytes], None]], None]) -> None:
        self.write = write


class Answer(NamedTuple):
    body: Any = None
    status: int = 200
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = MappingProxyType({})
    content: bytes | None = None
    """Sent as it is, in place of ``body``."""


class HttpServer:
    """Answers each request with what ``answer(request)`` returns; remembers the requests.

    ``url`` leads to it. ``closing`` is set when it ends: an answer that lasts waits on it.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer | Raw],
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: bool = False,
    ) -> None:
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._connections: list[socket.socket] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self) -> None:
                outer._connections.append(self.request)
                self.number = len(outer._connections)
                super().setup()

            def handle(self) -> None:
                # The client, or disconnect(), may go away in the middle.
                with contextlib.suppress(OSError):
                    super().handle()

            def finish(self) -> None:
                with contextlib.suppress(OSError):
                    super().finish()

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def _answer(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(
                    self.command, parts.path, parse_qs(parts.query), headers, body, self.number
                )
                outer.requests.append(request)
                answer = answer_for(request)
                if isinstance(answer, Raw):
                    self.close_connection = True

                    def send(data: bytes) -> None:
                        self.wfile.write(data)
                        self.wfile.flush()

                    answer.write(send)
                    return
                content = answer.content
                if content is None:
                    content = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                if answer.content_type is not None:
                    self.send_header("Content-Type", answer.content_type)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        answer_for = answer

        class Listener(ThreadingHTTPServer):
            daemon_threads = False
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that goes away in the middle is what some tests are about

        self._listener = Listener((host, port), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            # The handshake belongs on the connection's thread: here it would hold up accept.
            self._listener.socket = context.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._listener.server_address[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{shown}:{self.port}"
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.01,), name="test-http-server"
        )
        self._thread.start()

    def disconnect(self) -> None:
        """Close every connection, as a server does that ends."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self.closing.set()
        self._listener.shutdown()
        self._thread.join()
        self.disconnect()
        self._listener.server_close()  # joins the connections' threads
