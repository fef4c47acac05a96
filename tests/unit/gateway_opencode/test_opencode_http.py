"""One call to a server: what counts as an answer, how long it may take, what is sent twice."""

from __future__ import annotations

import base64
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.http import client as opencode_http
from opencode_sync.gateway.backends.opencode.http.client import (
    OpenCodeHttp,
    RefusedError,
    parse_base_url,
    quote_id,
)
from opencode_sync.gateway.backends.opencode.http.pool import _whole_call_socket
from tests.unit.gateway_opencode.http_server import CERTIFICATE, Answer, Raw

SOON = 0.4
"""Seconds for calls that are to run out of time."""

FAR = 20.0
"""Seconds for calls that are not."""


@pytest.fixture
def connect():
    """Make clients: ``connect(server, **options)``."""
    clients = []

    def make(server, **options):
        clients.append(OpenCodeHttp(getattr(server, "url", server), **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def call(client, method="GET", path="/session", seconds=FAR, **options):
    return client.call(method, path, deadline=Deadline.after(seconds), **options)


def failure(client, *args, **options):
    """Return the code's name and the sentence of the error that the call raises."""
    with pytest.raises(BackendError) as caught:
        call(client, *args, **options)
    return error_code_name(caught.value.code), caught.value.message


# A success...


def test_call_returns_the_json_value_of_the_answer(serve, connect):
    server = serve(lambda request: Answer([{"id": "ses_1"}]))
    assert call(connect(server)) == [{"id": "ses_1"}]


def test_call_sends_query_and_body_encoded(serve, connect):
    server = serve(Answer(True))
    client = connect(server)
    call(client, "POST", "/session", query={"directory": "/a b/&?ü"}, body={"title": "ü😀\0"})
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/session")
    assert request.query == {"directory": ["/a b/&?ü"]}
    assert request.headers["content-type"] == "application/json"
    assert request.body == '{"title": "ü😀\\u0000"}'.encode()


def test_call_without_body_sends_none(serve, connect):
    server = serve(Answer(True))
    call(connect(server), "DELETE", "/session/ses_1")
    assert server.requests[0].body == b""
    assert "content-type" not in server.requests[0].headers


def test_content_type_may_carry_parameters_and_capitals(serve, connect):
    server = serve(Answer([], content_type="Application/JSON; charset=utf-8"))
    assert call(connect(server)) == []


def test_a_url_may_lead_below_the_root(serve, connect):
    server = serve(Answer([]))
    call(connect(f"{server.url}/behind/proxy/"))
    assert server.requests[0].path == "/behind/proxy/session"


def test_calls_reuse_a_connection_and_fresh_ones_do_not(serve, connect):
    server = serve(Answer([]))
    client = connect(server)
    call(client)
    call(client)
    call(client, fresh=True)
    call(client)
    assert [request.connection for request in server.requests] == [1, 1, 2, 1]


def test_proxies_in_the_environment_are_ignored(serve, connect, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert call(connect(serve(Answer([])))) == []


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 in this Python")
def test_an_ipv6_server_can_be_called(serve, connect):
    try:
        server = serve(Answer([]), host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback address here")
    assert call(connect(server)) == []


def test_tls_is_used_when_the_certificate_is_trusted(serve, connect, monkeypatch):
    server = serve(Answer([]), tls=True)
    assert failure(connect(server))[0] == "NO_SERVER"
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    client = connect(server)
    assert [call(client), call(client)] == [[], []]


# The password...


def test_password_goes_into_the_authorization_header(serve, connect):
    server = serve(Answer([]))
    call(connect(server, username="ana", password="pä:ss"))
    pair = base64.b64encode("ana:pä:ss".encode()).decode()
    assert server.requests[0].headers["authorization"] == f"Basic {pair}"


@pytest.mark.parametrize("password", [None, ""])
def test_no_password_sends_no_authorization(serve, connect, password):
    server = serve(Answer([]))
    call(connect(server, password=password))
    assert "authorization" not in server.requests[0].headers


def test_password_shows_in_neither_repr_nor_errors(serve, connect):
    client = connect(serve(Answer(status=401, content=b"", content_type=None)), password="hunter22")
    code, message = failure(client)
    assert code == "AUTH_ERROR"
    assert "hunter22" not in message + repr(client)


def test_a_colon_in_the_user_name_is_refused():
    with pytest.raises(ValueError, match="colon"):
        OpenCodeHttp("http://127.0.0.1:4096", username="a:b", password="c")


# Answers that are no success...


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (Answer(content=b"<!doctype html>", content_type="text/html"), "SERVER_ERROR", "text/html"),
        (Answer(content=b"", content_type=None), "SERVER_ERROR", "no content type"),
        (Answer(content=b"{", content_type="application/json"), "SERVER_ERROR", "cannot be read"),
        (Answer(content=b""), "SERVER_ERROR", "cannot be read"),
        (Answer(content=b'"\xff"'), "SERVER_ERROR", "cannot be read"),
        (Answer(content=b"[" * 200_000), "SERVER_ERROR", "cannot be read"),
        (Answer({"_tag": "BadRequest"}, status=400), "INVALID_MESSAGE", "BadRequest"),
        (Answer({"_tag": "InternalServerError"}, status=500), "SERVER_ERROR", "500"),
        (Answer(content=b"no", status=503, content_type="text/plain"), "SERVER_ERROR", "503"),
    ],
)
def test_only_json_with_a_2xx_status_is_a_success(serve, connect, answer, code, words):
    server = serve(answer)
    got_code, message = failure(connect(server))
    assert got_code == code
    assert words in message
    assert server.url in message


def test_redirects_are_not_followed(serve, connect):
    elsewhere = serve(Answer([]))
    server = serve(
        Answer([], status=302, headers={"Location": f"{elsewhere.url}/session"}),
    )
    code, message = failure(connect(server))
    assert (code, "status 302" in message) == ("SERVER_ERROR", True)
    assert elsewhere.requests == []


def test_a_refusal_keeps_its_parts_for_the_caller(serve, connect):
    body = {"name": "NotFoundError", "data": {"message": "Session not found: ses_1"}}
    client = connect(serve(Answer(body, status=404)))
    with pytest.raises(RefusedError) as caught:
        call(client, "DELETE", "/session/ses_1")
    assert caught.value.refusal.is_not_found


def test_an_answer_that_is_too_large_is_given_up(serve, connect, monkeypatch):
    monkeypatch.setattr(opencode_http, "MAX_ANSWER_BYTES", 1 << 20)
    sent = []

    def endless(send):
        send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        send(b"Transfer-Encoding: chunked\r\n\r\n")
        while not server.closing.is_set():
            send(b"10000\r\n" + b" " * 65536 + b"\r\n")
            sent.append(65536)

    server = serve(Raw(endless))
    client = connect(server)
    code, message = failure(client)
    assert (code, "more than 1 MiB" in message) == ("SERVER_ERROR", True)


# Text that cannot be sent...


def test_a_lone_surrogate_is_refused_before_anything_is_sent(serve, connect):
    server = serve(Answer([]))
    code, message = failure(connect(server), "POST", body={"title": "ab\ud800"})
    assert code == "INVALID_MESSAGE"
    assert "surrogate" in message
    assert server.requests == []


# Time...


def trickle(server_box, head):
    def write(send):
        send(head)
        server = server_box[0]
        while not server.closing.wait(0.05):
            send(b" ")

    return Raw(write)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1",
    ],
    ids=["status line", "header", "body", "chunk size"],
)
def test_an_answer_that_trickles_in_ends_at_the_deadline(serve, connect, monkeypatch, head, tls):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    box = []
    box.append(serve(trickle(box, head), tls=tls))
    started = time.monotonic()
    code, message = failure(connect(box[0]), seconds=SOON)
    assert code == "SERVER_ERROR"
    assert "did not answer GET /session within the time allowed" in message
    assert "may still act" not in message
    assert time.monotonic() - started < SOON + 2


def test_silence_ends_at_the_deadline_and_a_post_says_that_it_may_have_acted(serve, connect):
    server = serve(Raw(lambda send: server.closing.wait(FAR)))
    code, message = failure(connect(server), "POST", seconds=SOON)
    assert (code, "it may still act on it" in message) == ("SERVER_ERROR", True)
    assert len(server.requests) == 1


def test_a_server_that_does_not_read_ends_at_the_deadline(connect):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
        code, message = failure(client, "POST", body={"title": "x" * 30_000_000}, seconds=SOON)
    assert code == "SERVER_ERROR"
    assert "within the time allowed" in message


def test_a_deadline_that_has_passed_sends_nothing(serve, connect):
    server = serve(Answer([]))
    with pytest.raises(BackendError, match="within the time allowed"):
        connect(server).call("GET", "/session", deadline=NOW)
    assert server.requests == []


def test_no_deadline_waits_for_the_answer(serve, connect):
    assert connect(serve(Answer([]))).call("GET", "/session", deadline=Deadline(None)) == []


def test_calls_beyond_the_pool_wait_for_a_connection_until_their_deadline(
    serve, connect, monkeypatch
):
    monkeypatch.setattr(opencode_http, "_POOL_SIZE", 1)
    arrived, go_on = threading.Event(), threading.Event()

    def answer(request):
        arrived.set()
        go_on.wait(FAR)
        return Answer([])

    client = connect(serve(answer))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, client)
        try:
            assert arrived.wait(FAR)
            code, message = failure(client, seconds=SOON)
        finally:
            go_on.set()
        assert first.result(FAR) == []
    assert (code, "are running already" in message) == ("SERVER_ERROR", True)


def test_a_socket_whose_time_is_up_does_not_wait_for_more():
    near, far = socket.socketpair()
    with far, _whole_call_socket(near) as timed:
        far.send(b"x")
        timed.settimeout(0.0)
        with pytest.raises(TimeoutError):
            timed.recv_into(bytearray(1))


# Connections that fail...


def test_nothing_listening_is_no_server_with_the_remedy(connect):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        code, message = failure(connect(url))
    assert code == "NO_SERVER"
    assert url in message
    assert "opencode serve" in message
    assert "urllib3" not in message


def test_a_name_that_does_not_exist_is_no_server(connect):
    assert failure(connect("http://opencode.invalid:4096"))[0] == "NO_SERVER"


def cut_short(send):
    send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[")


@pytest.mark.parametrize("write", [cut_short, lambda send: None], ids=["in the body", "before"])
def test_a_connection_that_ends_too_early_leaves_a_posts_outcome_unknown(serve, connect, write):
    server = serve(Raw(write))
    code, message = failure(connect(server), "POST")
    assert code == "SERVER_ERROR"  # NO_SERVER would have clients send it again
    assert "whether OpenCode acted on it is unknown" in message
    assert len(server.requests) == 1


def test_rubbish_in_place_of_http_is_an_error(serve, connect):
    server = serve(Raw(lambda send: send(b"SSH-2.0-OpenSSH_9.7\r\n\r\n")))
    assert failure(connect(server), "POST")[0] == "SERVER_ERROR"
    assert failure(connect(server), "GET")[0] == "NO_SERVER"


def test_a_broken_encoding_leaves_a_posts_outcome_unknown(serve, connect):
    server = serve(Answer(content=b"[]", headers={"Content-Encoding": "gzip"}))
    code, message = failure(connect(server), "POST")
    assert (code, "is unknown" in message) == ("SERVER_ERROR", True)


def drop_the_second_request_of_a_connection(request, seen):
    if request.connection in seen:
        return Raw(lambda send: None)
    seen.add(request.connection)
    return Answer([request.connection])


@pytest.mark.parametrize("fresh", [False, True], ids=["idle connection", "fresh connection"])
def test_a_get_on_an_idle_connection_that_proves_dead_is_sent_once_more(serve, connect, fresh):
    seen = set()
    server = serve(lambda request: drop_the_second_request_of_a_connection(request, seen))
    client = connect(server)
    assert call(client) == [1]
    assert call(client, fresh=fresh) == [2]
    assert len(server.requests) == (2 if fresh else 3)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_call_that_may_have_acted_is_never_sent_twice(serve, connect, method):
    seen = set()
    server = serve(lambda request: drop_the_second_request_of_a_connection(request, seen))
    client = connect(server)
    call(client)
    code, _ = failure(client, method)
    assert code == "SERVER_ERROR"
    assert [request.method for request in server.requests] == ["GET", method]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_restarted_server_is_reached_through_a_new_connection(serve, connect, method):
    before = serve(Answer(["before"]))
    client = connect(before)
    call(client)
    before.stop()
    serve(Answer(["after"]), port=before.port)
    assert call(client, method) == ["after"]


def test_a_server_that_drops_every_get_is_asked_twice_only(serve, connect):
    server = serve(Raw(lambda send: None))
    assert failure(connect(server))[0] == "NO_SERVER"
    assert len(server.requests) == 2


def test_a_closed_client_says_so(serve, connect):
    client = connect(serve(Answer([])))
    client.close()
    client.close()
    code, message = failure(client)
    assert (code, "try again" in message) == ("NO_SERVER", True)


# Health...


@pytest.mark.parametrize(
    ("body", "healthy"),
    [
        ({"healthy": True, "version": "1.18.33"}, True),
        ({"healthy": False}, False),
        ({"healthy": "yes"}, False),
        ({}, False),
        ([True], False),
    ],
)
def test_is_healthy_believes_only_a_plain_true(serve, connect, body, healthy):
    server = serve(Answer(body))
    assert connect(server).is_healthy(deadline=Deadline.after(FAR)) is healthy
    assert server.requests[0].path == "/global/health"


# URLs and ids...


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:4096", "http://127.0.0.1:4096"),
        ("http://127.0.0.1:4096/", "http://127.0.0.1:4096"),
        ("https://example.com/opencode/", "https://example.com/opencode"),
        ("http://[::1]:4096", "http://[::1]:4096"),
    ],
)
def test_parse_base_url_returns_it_without_its_end_slash(url, base):
    assert parse_base_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:4096",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        "http://127.0.0.1:0",
        "http://[::1",
        "http://127.0.0.1:4096/?directory=/p",
        "http://127.0.0.1:4096/#x",
    ],
)
def test_parse_base_url_refuses_what_cannot_be_called(url):
    with pytest.raises(ValueError, match="OpenCode URL"):
        parse_base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://ana:hunter22@127.0.0.1:4096",
        "http://hunter22@host",
        "ana:hunter22@127.0.0.1:4096",
        "http:/ana:hunter22@127.0.0.1:4096",
        "http:ana:hunter22@127.0.0.1:4096",
        "http:///ana:hunter22@127.0.0.1:4096",
        "//ana:hunter22@127.0.0.1:4096",
        "http://ana:hunter22#x@127.0.0.1",
        "http://ana:hunter22/x@127.0.0.1",
    ],
)
def test_parse_base_url_refuses_a_password_without_showing_it(url):
    with pytest.raises(ValueError, match="OPENCODE_SERVER_PASSWORD") as caught:
        parse_base_url(url)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4096/?password=hunter22",
        "http://127.0.0.1:4096/#hunter22",
        "127.0.0.1:4096/?password=hunter22",
        "http://127.0.0.1:hunter22",
        "ana:hunter22",
        "http:///hunter22",
        "http://127.0.0.1:0/hunter22",
    ],
)
def test_parse_base_url_never_shows_what_it_refuses(url):
    with pytest.raises(ValueError, match=r"like http://127\.0\.0\.1:4096") as caught:
        parse_base_url(url)
    assert "hunter22" not in str(caught.value)


def test_quote_id_leaves_nothing_a_path_would_act_on():
    assert quote_id("ses/../x?y#z%ü") == "ses%2F..%2Fx%3Fy%23z%25%C3%BC"
