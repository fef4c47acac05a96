"""Connecting to servers good and bad: what we ask for, what we accept, and how we refuse."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
import websocket

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportProtocolError,
    TransportTimeout,
)
from opencode_sync.transport.upgrade import upgrade
from opencode_sync.transport.websocket import WebSocketTransport
from tests.integration.transport.conftest import TOKEN, MakeTransport
from tests.support.threads import Background
from tests.support.wsserver import BINARY, PING, RawPeer, RawServer, server_frame

SECRET = "s3cr3t-of-another-program"


@pytest.fixture
def fail(server: RawServer, make_transport: MakeTransport) -> Callable[..., TransportError]:
    """Connects to a server that does what it is told, and returns what connect raises."""

    def attempt(
        play: Callable[[RawPeer], object], *, seconds: float = 5, **options: int
    ) -> TransportError:
        transport = make_transport(server.port, **options)
        connecting = Background(transport.connect, Deadline.after(seconds))
        peer = server.accept()
        play(peer)
        error = connecting.error()
        assert isinstance(error, TransportError), f"{error!r} left the transport"
        assert TOKEN not in str(error)
        return error

    return attempt


def http(status: str, *headers: str, body: str = "") -> Callable[[RawPeer], None]:
    """Return a play that reads the request and answers it like any web server."""

    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw("\r\n".join([f"HTTP/1.1 {status}", *headers, "", body]).encode())

    return play


def chain(error: BaseException) -> str:
    """Return everything an error carries along, shown by default or not."""
    seen, texts = [error], []
    while seen:
        one = seen.pop()
        texts.append(f"{one!r} {one} {vars(one)!r}")
        seen += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(texts) + "".join(traceback.format_exception(error))


# --- What we ask for ---


def test_the_request_is_what_a_strict_loopback_server_wants(
    server: RawServer, make_transport: MakeTransport
) -> None:
    transport = make_transport(server.port)
    connecting = Background(transport.connect, Deadline.after(5))
    peer = server.accept()
    peer.upgrade()
    connecting.result()
    assert peer.request[0] == "GET / HTTP/1.1"
    assert peer.header("Host") == f"127.0.0.1:{server.port}"
    assert peer.header("Upgrade") == "websocket"
    assert peer.header("Connection") == "Upgrade"
    assert peer.header("Sec-WebSocket-Version") == "13"
    assert len(peer.header("Sec-WebSocket-Key") or "") == 24
    # An Origin is what browsers send: servers rightly refuse it.
    for absent in ("Origin", "Cookie", "Authorization", "Sec-WebSocket-Extensions"):
        assert peer.header(absent) is None
    assert TOKEN not in "".join(peer.request)


def test_each_attempt_has_a_key_of_its_own(open_link: Callable[..., object]) -> None:
    keys = {open_link().peer.header("Sec-WebSocket-Key") for _ in range(3)}  # type: ignore[attr-defined]
    assert len(keys) == 3


def test_small_messages_go_out_at_once(link: object) -> None:
    sock = link.transport._socket  # type: ignore[attr-defined]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_ipv6_loopback(make_transport: MakeTransport) -> None:
    try:
        server = RawServer(ipv6=True)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        transport = make_transport(server.port, host="::1")
        assert transport.endpoint == f"ws://[::1]:{server.port}/"
        connecting = Background(transport.connect, Deadline.after(5))
        peer = server.accept()
        peer.upgrade(then=server_frame(BINARY, b"hello"))
        connecting.result()
        assert peer.header("Host") == f"[::1]:{server.port}"
        assert transport.receive(Deadline.after(5)) == b"hello"


def test_localhost(server: RawServer, make_transport: MakeTransport) -> None:
    transport = make_transport(server.port, host="localhost")
    connecting = Background(transport.connect, Deadline.after(5))
    peer = server.accept()
    peer.upgrade()
    connecting.result()
    assert peer.header("Host") == f"localhost:{server.port}"


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_proxies_from_the_environment_are_ignored(
    server: RawServer,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with RawServer() as proxy:
        monkeypatch.setenv(variable, f"http://user:password@127.0.0.1:{proxy.port}")
        transport = make_transport(server.port)
        connecting = Background(transport.connect, Deadline.after(5))
        peer = server.accept()
        peer.upgrade()
        connecting.result()
        assert peer.request[0] == "GET / HTTP/1.1"
        assert proxy.nobody_else_came()


# --- Cookies: there is one jar per process, and it does not look at ports ---


def cookie_jar() -> dict[str, object]:
    return websocket._handshake.CookieJar.jar  # type: ignore[no-any-return]


@pytest.fixture
def clean_jar() -> Iterator[None]:
    cookie_jar().clear()
    yield
    cookie_jar().clear()


@pytest.mark.parametrize(
    "header",
    [
        "Set-Cookie: session={}; Domain=127.0.0.1; Path=/",
        "set-cookie:session={};domain=127.0.0.1",
        "SET-COOKIE: session={}; Domain=invalid",
        "\tSet-Cookie: session={}; Domain=127.0.0.1",
        "\u3000Set-Cookie: session={}; Domain=127.0.0.1",
    ],
)
@pytest.mark.usefixtures("clean_jar")
def test_a_cookie_of_one_server_is_not_sent_to_another(
    server: RawServer, make_transport: MakeTransport, header: str
) -> None:
    def connect(to: RawServer, *headers: str) -> RawPeer:
        transport = make_transport(to.port)
        connecting = Background(transport.connect, Deadline.after(5))
        peer = to.accept()
        peer.upgrade(*headers)
        connecting.result()
        return peer

    connect(server, header.format(SECRET))
    assert cookie_jar() == {}
    with RawServer() as other:
        assert connect(other).header("Cookie") is None
        assert connect(server).header("Cookie") is None


@pytest.mark.usefixtures("clean_jar")
def test_a_cookie_of_another_part_of_the_program_is_not_sent(
    server: RawServer, make_transport: MakeTransport
) -> None:
    websocket._handshake.CookieJar.add(f"session={SECRET}; Domain=127.0.0.1")
    assert cookie_jar()
    connecting = Background(make_transport(server.port).connect, Deadline.after(5))
    peer = server.accept()
    peer.upgrade()
    connecting.result()
    assert peer.header("Cookie") is None


@pytest.mark.parametrize("cookie", ["a@b=c", 'x="\\015\\012Evil: 1"; Domain=127.0.0.1', "=;=,;;"])
def test_a_broken_cookie_does_no_harm(
    server: RawServer, make_transport: MakeTransport, cookie: str
) -> None:
    connecting = Background(make_transport(server.port).connect, Deadline.after(5))
    server.accept().upgrade(f"Set-Cookie: {cookie}")
    connecting.result()


# --- Nobody there ---


def test_a_refused_connection_says_where_and_what_to_do(
    server: RawServer, make_transport: MakeTransport
) -> None:
    server.close()
    transport = make_transport(server.port)
    with pytest.raises(TransportError) as caught:
        transport.connect(Deadline.after(5))
    assert type(caught.value) is TransportError
    assert transport.endpoint in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "opencode-sync gateway" in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_passed_deadline_connects_nowhere(
    server: RawServer, make_transport: MakeTransport
) -> None:
    with pytest.raises(TransportTimeout):
        make_transport(server.port).connect(NOW)


@pytest.fixture
def full_server() -> Iterator[RawServer]:
    """A server whose queue of connections is full: another one gets no answer at all."""
    with RawServer(backlog=0) as server:
        queued = []
        try:
            for _ in range(8):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", server.port))
                queued.append(sock)
            yield server
        finally:
            for sock in queued:
                sock.close()


def test_a_server_too_busy_to_accept_is_given_up_at_the_deadline(
    full_server: RawServer, make_transport: MakeTransport
) -> None:
    started = time.monotonic()
    with pytest.raises(TransportTimeout, match="in time"):
        make_transport(full_server.port).connect(Deadline.after(0.1))
    assert 0.1 <= time.monotonic() - started < 5


def test_abort_ends_the_wait_for_a_server_too_busy_to_accept(
    full_server: RawServer, make_transport: MakeTransport
) -> None:
    transport = make_transport(full_server.port)
    connecting = Background(transport.connect, Deadline.after(60))
    connecting.thread.join(0.05)
    assert connecting.running
    transport.abort()
    error = connecting.error(2)
    assert type(error) is TransportClosed
    assert "aborted" in str(error)


@pytest.mark.parametrize("busy", [False, True])
def test_an_abort_at_the_very_moment_of_dialling_is_not_lost(
    server: RawServer,
    full_server: RawServer,
    make_transport: MakeTransport,
    monkeypatch: pytest.MonkeyPatch,
    busy: bool,
) -> None:
    class AbortedSocket(socket.socket):
        """Aborts after the transport has it, right before it dials."""

        def connect_ex(self, address: object) -> int:
            transport.abort()
            return super().connect_ex(address)  # type: ignore[arg-type]

    transport = make_transport((full_server if busy else server).port)
    monkeypatch.setattr("opencode_sync.transport.websocket.socket.socket", AbortedSocket)
    started = time.monotonic()
    with pytest.raises(TransportClosed, match="aborted"):
        transport.connect(Deadline.after(30))
    assert time.monotonic() - started < 10


def test_a_passed_deadline_sends_no_handshake() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(TransportTimeout):
            upgrade(ours, "ws://127.0.0.1:4096/", NOW)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_no_free_descriptor_is_a_transport_error(
    server: RawServer, make_transport: MakeTransport
) -> None:
    transport = make_transport(server.port)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(TransportError, match="Too many open files") as caught:
            transport.connect(Deadline.after(5))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(caught.value.__cause__, OSError)
    transport.abort()
    transport.dispose()


# --- Refusals ---


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "500 No"])
@pytest.mark.parametrize("length", [True, False])
def test_a_refusal_is_told_by_its_status_alone(
    fail: Callable[..., TransportError], status: str, length: bool
) -> None:
    body = f"<p>you are {SECRET}</p>"
    headers = [f"Set-Cookie: session={SECRET}", f"X-Token: {SECRET}"]
    if length:
        headers.append(f"Content-Length: {len(body)}")
    error = fail(http(f"{status} {SECRET}", *headers, body=body))
    assert type(error) is TransportError
    assert f"HTTP status {status[:3]}" in str(error)
    assert SECRET not in chain(error)


@pytest.mark.parametrize("announced", ["10", "100000000", "-5", "rubbish", str(1 << 80)])
def test_a_refusals_body_is_not_waited_for(
    fail: Callable[..., TransportError], announced: str
) -> None:
    error = fail(http("403 Forbidden", f"Content-Length: {announced}"), seconds=30)
    assert "HTTP status 403" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(fail: Callable[..., TransportError], status: int) -> None:
    with RawServer() as elsewhere:
        target = f"ws://127.0.0.1:{elsewhere.port}/?{SECRET}"
        error = fail(http(f"{status} Moved", f"Location: {target}"))
        assert elsewhere.nobody_else_came()
    assert f"HTTP status {status}" in str(error)
    assert SECRET not in chain(error)


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_the_same_server_is_not_followed(
    server: RawServer, fail: Callable[..., TransportError], status: int
) -> None:
    fail(http(f"{status} Moved", f"Location: ws://127.0.0.1:{server.port}/other"))
    assert server.nobody_else_came()


# --- No WebSocket server at all ---


@pytest.mark.parametrize("accept", ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "ünï", "x" * 1000])
def test_a_wrong_accept_key_is_refused(fail: Callable[..., TransportError], accept: str) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw(peer.response(accept=accept) + server_frame(BINARY, b"hello"))

    error = fail(play)
    assert type(error) is TransportError
    assert "did not answer as a WebSocket server" in str(error)


@pytest.mark.parametrize("missing", ["Upgrade", "Connection", "Sec-WebSocket-Accept"])
def test_an_answer_that_lacks_a_header_is_refused(
    fail: Callable[..., TransportError], missing: str
) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        lines = peer.response().decode().split("\r\n")
        peer.send_raw("\r\n".join(x for x in lines if not x.startswith(missing + ":")).encode())

    assert "did not answer as a WebSocket server" in str(fail(play))


@pytest.mark.parametrize(
    "extra", ["Sec-WebSocket-Extensions: permessage-deflate", "sec-websocket-protocol: chat"]
)
def test_an_extension_nobody_asked_for_is_refused(
    fail: Callable[..., TransportError], extra: str
) -> None:
    error = fail(lambda peer: peer.upgrade(extra))
    assert isinstance(error, TransportProtocolError)
    assert "nobody asked for" in str(error)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9999\r\n\r\n<html>hello",
        b"<html>" + SECRET.encode() + b"</html>\n",
        b"SSH-2.0-OpenSSH_9.9 " + SECRET.encode() + b"\r\n",
        b"220 mail.example ESMTP " + SECRET.encode() + b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 5000 + b" OK\r\n\r\n",
        b"HTTP/1.1 -101 OK\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nno colon " + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 101 OK\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nX: \xff\xfe" + SECRET.encode() + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n" + bytes(range(256)),
        b"\x00" * 100 + b"\n",
        b"\xff" * 100 + SECRET.encode() + b"\n",
        server_frame(BINARY, b"a frame without a handshake\n"),
    ],
)
@pytest.mark.parametrize("then", ["wait", "drop"])
def test_rubbish_instead_of_a_handshake_is_refused(
    fail: Callable[..., TransportError], rubbish: bytes, then: str
) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw(rubbish)
        if then == "drop":
            peer.drop()

    error = fail(play, seconds=30)
    assert not isinstance(error, TransportTimeout | TransportClosed)
    assert "ws://127.0.0.1:" in str(error)
    assert "another program" in str(error)
    assert "None" not in str(error)
    assert SECRET not in chain(error)


def test_random_bytes_without_a_line_end_are_bounded(fail: Callable[..., TransportError]) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        try:
            while True:
                peer.send_raw(os.urandom(4096).replace(b"\n", b"x"))
        except OSError:
            return  # the client has gone, as it should

    error = fail(play_in_background(play), seconds=30)
    assert isinstance(error, TransportProtocolError)
    assert "65536" in str(error)


def play_in_background(play: Callable[[RawPeer], None]) -> Callable[[RawPeer], None]:
    """Return a play that begins and does not wait until it has ended."""

    def begin(peer: RawPeer) -> None:
        peer.socket.settimeout(2)
        Background(play, peer)

    return begin


# --- No end, no answer ---


@pytest.mark.parametrize("piece", [b"X-Filler: " + b"x" * 1000 + b"\r\n", b"a:\n"])
def test_endless_headers_are_bounded(
    fail: Callable[..., TransportError], make_transport: MakeTransport, piece: bytes
) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 101 Switching Protocols\r\n")
        peer.send_raw(piece * (200_000 // len(piece)))

    error = fail(play_in_background(play), seconds=30)
    assert type(error) is TransportProtocolError
    assert "more than 65536 bytes" in str(error)


def test_one_giant_header_is_bounded(fail: Callable[..., TransportError]) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 200_000)

    error = fail(play_in_background(play), seconds=30)
    assert "more than 65536 bytes" in str(error)


def test_long_headers_within_the_limit_are_accepted(
    server: RawServer, make_transport: MakeTransport
) -> None:
    transport = make_transport(server.port)
    connecting = Background(transport.connect, Deadline.after(5))
    peer = server.accept()
    peer.upgrade("X-Long: " + "x" * 30_000, "Y-Long: " + "y" * 30_000)
    connecting.result()


def test_frames_behind_the_handshake_do_not_count_into_its_limit(
    server: RawServer, make_transport: MakeTransport
) -> None:
    transport = make_transport(server.port)
    connecting = Background(transport.connect, Deadline.after(5))
    peer = server.accept()
    message = b"m" * 300_000
    frames = server_frame(BINARY, b"first") + server_frame(BINARY, message)
    sending = Background(peer.upgrade, "X-Long: " + "x" * 60_000, then=frames)
    connecting.result()
    assert transport.receive(Deadline.after(5)) == b"first"
    assert transport.receive(Deadline.after(5)) == message
    sending.result()


def test_a_server_that_drips_is_given_up_at_the_deadline(
    fail: Callable[..., TransportError],
) -> None:
    gone = threading.Event()

    def drip(peer: RawPeer) -> None:
        peer.read_request()
        answer = peer.response("X-Filler: " + "x" * 10_000)
        try:
            for index in range(len(answer)):
                peer.send_raw(answer[index : index + 1])
                if gone.wait(0.005):
                    return
        except OSError:
            return

    started = time.monotonic()
    try:
        error = fail(play_in_background(drip), seconds=0.2)
    finally:
        gone.set()
    assert type(error) is TransportTimeout
    assert 0.2 <= time.monotonic() - started < 8


def test_a_server_that_says_nothing_is_given_up_at_the_deadline(
    fail: Callable[..., TransportError],
) -> None:
    started = time.monotonic()
    error = fail(lambda peer: None, seconds=0.1)
    assert type(error) is TransportTimeout
    assert "did not answer the WebSocket handshake in time" in str(error)
    assert 0.1 <= time.monotonic() - started < 8


def test_an_answer_in_single_bytes_is_understood(
    server: RawServer, make_transport: MakeTransport
) -> None:
    transport = make_transport(server.port)
    connecting = Background(transport.connect, Deadline.after(5))
    peer = server.accept()
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.read_request()
    answer = peer.response() + server_frame(BINARY, b"hello")
    for index in range(len(answer)):
        peer.send_raw(answer[index : index + 1])
    connecting.result()
    assert transport.receive(Deadline.after(5)) == b"hello"


# --- Going away in the middle ---


def close_after(count: int, *, reset: bool = False) -> Callable[[RawPeer], None]:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw(peer.response()[:count])
        if reset:
            peer.reset()
        else:
            peer.drop()

    return play


@pytest.mark.parametrize("count", [0, 1, 12, 34, 100])
def test_a_server_that_closes_in_the_handshake(
    fail: Callable[..., TransportError], count: int
) -> None:
    error = fail(close_after(count))
    assert type(error) is TransportClosed
    assert error.code is None
    assert not error.clean
    assert "during the WebSocket handshake" in str(error)
    assert error.__cause__ is not None


@pytest.mark.parametrize("count", [0, 34])
def test_a_server_that_resets_in_the_handshake(
    fail: Callable[..., TransportError], count: int
) -> None:
    error = fail(close_after(count, reset=True))
    assert type(error) is TransportClosed
    assert "during the WebSocket handshake" in str(error)


def test_a_server_that_closes_without_reading(fail: Callable[..., TransportError]) -> None:
    def play(peer: RawPeer) -> None:
        peer.socket.recv(1, socket.MSG_PEEK)  # it is here, and stays unread: TCP then resets
        peer.drop()

    assert isinstance(fail(play), TransportClosed)


def test_abort_ends_a_handshake_under_way(server: RawServer, make_transport: MakeTransport) -> None:
    transport = make_transport(server.port)
    connecting = Background(transport.connect, Deadline.after(60))
    peer = server.accept()
    peer.read_request()
    transport.abort()
    error = connecting.error(2)
    assert type(error) is TransportClosed
    assert "aborted" in str(error)
    assert peer.read_to_end() == b""


def test_signals_do_not_disturb_a_handshake(
    server: RawServer, make_transport: MakeTransport
) -> None:
    caught = threading.Event()
    transport = make_transport(server.port)

    def serve() -> None:
        peer = server.accept()
        peer.read_request()
        assert caught.wait(5)
        peer.send_raw(peer.response())

    serving = Background(serve)
    before = signal.signal(signal.SIGALRM, lambda *_: caught.set())
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        transport.connect(Deadline.after(5))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught.is_set()
    serving.result()


def test_a_failed_attempt_frees_its_socket(fail: Callable[..., TransportError]) -> None:
    def play(peer: RawPeer) -> None:
        peer.read_request()
        peer.send_raw(b"HTTP/1.1 404 Not Found\r\n\r\n")

    fail(play)  # what is left behind is looked at by the fixture ``leaves_nothing``


def test_dispose_closes_the_socket(server: RawServer, make_transport: MakeTransport) -> None:
    transport: WebSocketTransport = make_transport(server.port)
    transport.dispose()  # before there is one
    connecting = Background(transport.connect, Deadline.after(5))
    peer = server.accept()
    peer.upgrade(then=server_frame(PING))
    connecting.result()
    transport.dispose()
    transport.dispose()
    assert peer.read_to_end() == b""
