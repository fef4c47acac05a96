"""HttpConfigProvider: ordinary answers mocked with responses, hostile ones from real sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses

from opencode_sync.config import IpcConfig, SecretStr
from opencode_sync.providers import HttpConfigProvider

from .helpers import TOKEN, Log, refused

URL = "http://127.0.0.1:8080/ipc-config"
GOOD = SecretStr(json.dumps({"port": 4096, "auth_token": TOKEN}))
QUERY = "key=query-secret"

CLIENT_HELLO = b"\x16\x03\x01"

Handler = Callable[[socket.socket], None]


@pytest.fixture
def mocked() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


class Server:
    """Accepts connections on loopback and gives each to a handler, until it is left."""

    def __init__(
        self, handler: Handler, host: str = "127.0.0.1", until: bytes = b"\r\n\r\n"
    ) -> None:
        self._handler = handler
        self._until = until  # what ends a request
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.stopped = threading.Event()
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._listener.close()

    def _serve(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(30)
                received = b""
                while self._until not in received:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    received += piece
                self.requests.append(received)
                self._handler(connection)

    def drip(self, connection: socket.socket, piece: bytes) -> None:
        """Send one piece after another, each soon enough for any socket's time-out."""
        while not self.stopped.wait(0.02):
            connection.sendall(piece)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ipc-config"


def answer(body: bytes, head: str = "", status: str = "200 OK") -> Handler:
    def handler(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    return handler


class TestAnswers:
    def test_returns_the_configuration(self, mocked: responses.RequestsMock) -> None:
        mocked.get(URL, body=GOOD, content_type="application/json")
        provider = HttpConfigProvider(URL)
        assert provider.get_config() == IpcConfig(4096, TOKEN)
        assert repr(provider) == f"HttpConfigProvider({URL!r})"

    def test_asks_for_json_once_each_time(self, mocked: responses.RequestsMock) -> None:
        mocked.get(URL, body=GOOD)
        provider = HttpConfigProvider(URL)
        provider.get_config()
        provider.get_config()
        assert len(mocked.calls) == 2
        assert mocked.calls[0].request.headers["Accept"] == "application/json"

    def test_sends_the_query_and_never_shows_it(
        self, mocked: responses.RequestsMock, log: Log
    ) -> None:
        mocked.get(f"{URL}?{QUERY}", status=500)
        provider = HttpConfigProvider(f"{URL}?{QUERY}#fragment-secret")
        assert "secret" not in repr(provider)
        refused(
            provider.get_config,
            field="url",
            says=(f"{URL} answered with status 500",),
            log=log,
            source=URL,
            hides="secret",
        )

    @pytest.mark.parametrize("status", [201, 204, 400, 401, 404, 500, 503])
    def test_refuses_any_status_but_200(
        self, status: int, mocked: responses.RequestsMock, log: Log
    ) -> None:
        mocked.get(URL, body=GOOD, status=status)
        refused(
            HttpConfigProvider(URL).get_config,
            field="url",
            says=(f"{URL} answered with status {status}", "check the address"),
            log=log,
            source=URL,
        )

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_follows_no_redirect(
        self, status: int, mocked: responses.RequestsMock, log: Log
    ) -> None:
        mocked.get(URL, status=status, headers={"Location": f"http://example.org/{TOKEN}"})
        refused(
            HttpConfigProvider(URL).get_config,
            field="url",
            says=(f"redirects (status {status}), which is not followed", "give the final URL"),
            log=log,
        )
        assert len(mocked.calls) == 1

    @pytest.mark.parametrize(
        ("body", "content_type", "field", "problem"),
        [
            (f"<html>{TOKEN}</html>", "text/html; charset=utf-8", "url", "a web page, not JSON"),
            (f"<html>{TOKEN}</html>", "application/json", None, "is not JSON"),
            ("", "application/json", None, "is empty"),
            (f'["{TOKEN}"]', "application/json", None, "not a JSON object"),
            (f'{{"auth_token": "{TOKEN}"}}', "application/json", "port", '"port" is missing'),
            (f'{{"port": 1, "auth_token": "{TOKEN}"}}', "application/json", "port", "port is 1,"),
        ],
        ids=range(6),
    )
    def test_refuses_what_is_not_the_configuration(
        self,
        body: str,
        content_type: str,
        field: str | None,
        problem: str,
        mocked: responses.RequestsMock,
        log: Log,
    ) -> None:
        mocked.get(URL, body=body, content_type=content_type)
        refused(
            HttpConfigProvider(URL).get_config,
            field=field,
            says=(URL, problem),
            log=log,
            source=URL,
        )

    @pytest.mark.parametrize("size", [65537, 10_000_000])
    def test_refuses_a_large_body(
        self, size: int, mocked: responses.RequestsMock, log: Log
    ) -> None:
        mocked.get(URL, body=b" " * size)
        refused(
            HttpConfigProvider(URL).get_config, field="url", says=("more than 64 KiB",), log=log
        )

    @pytest.mark.parametrize(
        ("failure", "problem"),
        [
            (requests.ConnectionError(f"{URL}?{QUERY}"), "cannot be reached"),
            (requests.Timeout(QUERY), "cannot be reached"),
            (requests.exceptions.SSLError(QUERY), "TLS certificate"),
            (requests.exceptions.InvalidURL(QUERY), "cannot be reached"),
            (OSError(QUERY), "cannot be reached"),
        ],
        ids=range(5),
    )
    def test_reports_faults_without_their_details(
        self, failure: Exception, problem: str, mocked: responses.RequestsMock, log: Log
    ) -> None:
        mocked.get(URL, body=failure)
        error = refused(
            HttpConfigProvider(URL).get_config,
            field="url",
            says=(URL, problem),
            log=log,
            hides="query-secret",
        )
        assert error.__cause__ is None
        assert error.__context__ is None

    def test_says_how_to_install_what_is_missing(
        self, monkeypatch: pytest.MonkeyPatch, log: Log
    ) -> None:
        monkeypatch.setitem(sys.modules, "requests", None)
        monkeypatch.delitem(sys.modules, "opencode_sync.config_http", raising=False)
        refused(
            HttpConfigProvider(URL).get_config,
            field=None,
            says=("requests", 'pip install "opencode-sync-sdk[http]"'),
            log=log,
        )


class TestRealServers:
    @pytest.mark.parametrize("chunked", [False, True])
    def test_reads_a_whole_answer(self, chunked: bool) -> None:
        body, head = GOOD.encode(), f"Content-Length: {len(GOOD)}\r\n"
        if chunked:
            head = "Transfer-Encoding: chunked\r\n"
            body = b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n"
        with Server(answer(body, head)) as server:
            assert HttpConfigProvider(server.url).get_config() == IpcConfig(4096, TOKEN)
        assert b"GET /ipc-config HTTP/1.1" in server.requests[0]

    def test_reaches_localhost_by_name(self) -> None:
        with Server(answer(GOOD.encode())) as server:
            url = f"http://localhost:{server.port}/"
            assert HttpConfigProvider(url).get_config().port == 4096

    def test_reaches_the_ipv6_loopback(self) -> None:
        try:
            server = Server(answer(GOOD.encode()), "::1")
        except OSError:
            pytest.skip("no IPv6 here")
        with server:
            assert HttpConfigProvider(f"http://[::1]:{server.port}").get_config().port == 4096

    def test_uses_nothing_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        """Neither a proxy nor a password of netrc."""
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        netrc = tmp_path / "netrc"
        netrc.write_text("default login me password netrc-secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        with Server(answer(GOOD.encode())) as server:
            assert HttpConfigProvider(server.url).get_config().port == 4096
        assert b"Authorization" not in server.requests[0]

    def test_says_when_nothing_listens(self, log: Log) -> None:
        with Server(answer(b"")) as server:
            url = server.url
        refused(
            HttpConfigProvider(url).get_config,
            field="url",
            says=("cannot be reached", "its server is running"),
            log=log,
        )

    @pytest.mark.parametrize(
        "handler",
        [
            lambda connection: None,
            lambda connection: connection.sendall(b"rubbish\r\n\r\n" * 10),
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000),
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000),
            answer(b"{", "Content-Length: 100\r\n"),
            answer(b"zz\r\n", "Transfer-Encoding: chunked\r\n"),
            answer(b"5\r\n{", "Transfer-Encoding: chunked\r\n"),
        ],
        ids=[
            "closes",
            "rubbish",
            "many headers",
            "long header",
            "short",
            "bad chunk",
            "half chunk",
        ],
    )
    def test_says_when_the_answer_is_broken(self, handler: Handler, log: Log) -> None:
        with Server(handler) as server:
            refused(
                HttpConfigProvider(server.url, timeout=30).get_config,
                field="url",
                says=("without a complete answer", "check what listens there"),
                log=log,
            )

    @pytest.mark.parametrize(
        ("start", "piece"),
        [
            (b"", b""),
            (b"", b"H"),
            (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
            (b"HTTP/1.1 200 OK\r\nA: ", b"b"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" "),
            (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
            (b"HTTP/1.1 200 OK\r\n\r\n" + GOOD.encode(), b""),
        ],
        ids=[
            "hangs",
            "drips the status",
            "drips headers",
            "drips a header",
            "drips interim answers",
            "drips the body",
            "drips an endless body",
            "drips chunks",
            "does not end",
        ],
    )
    def test_gives_up_in_time_however_slow_the_server(
        self, start: bytes, piece: bytes, log: Log
    ) -> None:
        def handler(connection: socket.socket) -> None:
            connection.sendall(start)
            if piece:
                server.drip(connection, piece)
            else:
                server.stopped.wait(30)

        with Server(handler) as server:
            provider = HttpConfigProvider(server.url, timeout=0.4)
            started = time.monotonic()
            refused(
                provider.get_config,
                field="url",
                says=("did not answer completely within 0.4 s", "check what listens there"),
                log=log,
            )
            assert 0.3 < time.monotonic() - started < 5

    def test_stops_reading_an_endless_body(self, log: Log) -> None:
        def handler(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            while not server.stopped.is_set():
                connection.sendall(b" " * 65536)

        with Server(handler) as server:
            refused(
                HttpConfigProvider(server.url, timeout=30).get_config,
                field="url",
                says=("more than 64 KiB",),
                log=log,
            )

    def test_a_compressed_answer_is_not_unpacked(self, log: Log) -> None:
        bomb = b"\x1f\x8b\x08" + b"\0" * 100
        with Server(
            answer(bomb, f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n")
        ) as it:
            refused(HttpConfigProvider(it.url).get_config, field=None, says=("not ",), log=log)
        assert b"Accept-Encoding: identity" in it.requests[0]

    @pytest.mark.parametrize("drips", [False, True])
    def test_gives_up_in_time_in_the_tls_handshake(self, drips: bool, log: Log) -> None:
        """The socket is TLS's by then; the deadline holds all the same."""

        def handler(connection: socket.socket) -> None:
            if drips:  # a record of handshake that goes on and on
                connection.sendall(b"\x16\x03\x03\x40\x00")
                server.drip(connection, b"\x02")
            server.stopped.wait(30)

        with Server(handler, until=CLIENT_HELLO) as server:
            provider = HttpConfigProvider(server.url.replace("http:", "https:"), timeout=0.4)
            started = time.monotonic()
            refused(
                provider.get_config,
                field="url",
                says=("did not answer completely within 0.4 s",),
                log=log,
            )
            assert time.monotonic() - started < 5

    def test_says_when_tls_meets_no_tls(self, log: Log) -> None:
        with Server(answer(b"", status="400 Bad Request"), until=CLIENT_HELLO) as server:
            refused(
                HttpConfigProvider(server.url.replace("http:", "https:"), timeout=30).get_config,
                field="url",
                says=("TLS certificate",),
                log=log,
            )

    def test_never_connects_elsewhere_whatever_a_name_resolves_to(
        self, monkeypatch: pytest.MonkeyPatch, log: Log
    ) -> None:
        def resolved(host: str, port: int, **kwargs: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
        refused(
            HttpConfigProvider("http://localhost:8080/").get_config,
            field="url",
            says=("cannot be reached",),
            log=log,
        )

    def test_leaves_nothing_open_when_interrupted_or_out_of_threads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Server(answer(GOOD.encode())) as server:
            provider = HttpConfigProvider(server.url)
            with monkeypatch.context() as patched:
                patched.setattr(threading.Timer, "start", _no_thread)
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    provider.get_config()
            assert provider.get_config().port == 4096


def _no_thread(timer: threading.Timer) -> None:
    raise RuntimeError("can't start new thread")


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "problem"),
        [
            ("", "does not begin with http"),
            ("127.0.0.1:8080", "does not begin with http"),
            ("ftp://127.0.0.1/", "does not begin with http"),
            ("file:///etc/passwd", "does not begin with http"),
            ("http://", "has no host"),
            ("http:///x", "has no host"),
            ("http://127.0.0.1:99999/", "not a valid address"),
            ("http://127.0.0.1:x/", "not a valid address"),
            ("http://[::1/", "not a valid address"),
            (f"http://me:{TOKEN}@127.0.0.1/", "user name or password"),
            (f"http://{TOKEN}@127.0.0.1/", "user name or password"),
            ("http://127.0.0.1 /", "must be percent-encoded"),
            ("http://127.0.0.1\\@example.org/", "must be percent-encoded"),
            ("http://127.0.0.1/\n", "must be percent-encoded"),
            ("http://127.0.0.1/\u00e9", "must be percent-encoded"),
            (None, "is missing"),
            (b"http://127.0.0.1/", "of type bytes"),
            (f"http://example.org/?{TOKEN}", "leads to example.org, which is not this machine"),
            ("http://127.0.0.1.example.org/", "not this machine"),
            ("http://localhost.example.org/", "not this machine"),
            ("http://10.0.0.1/", "not this machine"),
            ("http://0.0.0.0/", "not this machine"),
            ("http://127.1/", "not this machine"),
            ("http://2130706433/", "not this machine"),
            ("http://[::2]/", "not this machine"),
            ("https://example.org/", "allow_remote=True"),
        ],
        ids=range(26),
    )
    def test_refuses_an_address_it_should_not_ask(self, url: Any, problem: str, log: Log) -> None:
        urls = iter([url])
        refused(lambda: HttpConfigProvider(next(urls)), field="url", says=(problem,), log=log)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("HTTP://127.9.9.9:80/x?y=z", "http://127.9.9.9:80/x"),
            ("https://localhost", "https://localhost"),
            ("http://LOCALHOST:1/", "http://localhost:1/"),
            ("http://[::1]:8080/x#y", "http://[::1]:8080/x"),
        ],
    )
    def test_accepts_this_machine(self, url: str, shown: str) -> None:
        assert repr(HttpConfigProvider(url)) == f"HttpConfigProvider({shown!r})"

    def test_accepts_another_machine_when_told_so(self, mocked: responses.RequestsMock) -> None:
        mocked.get("http://example.org/", body=GOOD)
        config = HttpConfigProvider("http://example.org/", allow_remote=True).get_config()
        assert config == IpcConfig(4096, TOKEN)

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "5", None])
    def test_refuses_a_wrong_timeout(self, timeout: Any, log: Log) -> None:
        refused(
            lambda: HttpConfigProvider(URL, timeout),
            field="timeout",
            says=("timeout is", "give a number of seconds above 0"),
            log=log,
        )
