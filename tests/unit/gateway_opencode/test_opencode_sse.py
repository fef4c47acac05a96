"""The stream of events: its framing however it is split, its time-outs, its end from outside."""

from __future__ import annotations

import base64
import socket
import threading
import time

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.events import sse as opencode_sse
from opencode_sync.gateway.backends.opencode.events.sse import SseStream
from opencode_sync.gateway.backends.opencode.events.sse_parser import Chunks, SseParser
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, RefusedError
from tests.unit.gateway_opencode.fake_events import CHUNKED, HEAD, chunk
from tests.unit.gateway_opencode.http_server import CERTIFICATE, Answer, Raw

FAR = 20.0


# The parser...

STREAM = (
    b'\xef\xbb\xbfdata: {"a": "\xc3\xa4\xf0\x9f\x90\x99"}\n\n'
    b": heartbeat\r\n\r\n"
    b"event: x\nid: 7\ndata:two\r\ndata: lines\r\rdata\n\n"
    b"retry: 5\n\ndata: unfinished"
)
EVENTS = ['{"a": "ä🐙"}', "two\nlines", ""]


def parse(pieces, **options):
    parser = SseParser(**options)
    return [data for piece in pieces for data in parser.feed(piece)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_bytes_are_split(size):
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert parse(pieces) == EVENTS


def test_events_are_the_same_when_they_are_split_at_any_one_place():
    for at in range(len(STREAM) + 1):
        assert parse([STREAM[:at], b"", STREAM[at:]]) == EVENTS


def test_an_event_is_given_as_soon_as_its_last_byte_has_come():
    parser = SseParser()
    assert list(parser.feed(b"data: 1\r\n")) == []
    assert list(parser.feed(b"\r")) == ["1"]
    assert list(parser.feed(b"\ndata: 2\r\r")) == ["2"]


def test_bytes_that_are_no_utf8_do_not_end_the_stream():
    assert parse([b"data: \xff\n\ndata: 2\n\n"]) == ["\ufffd", "2"]


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 100 + b"\n\n", b"data: " + b"x" * 95, b"data: 3456789\n" * 13, b":" * 101],
    ids=["line", "unfinished line", "many lines", "comment"],
)
def test_an_event_of_more_than_the_limit_is_an_error(stream):
    with pytest.raises(ValueError, match="an event has more than 100 bytes"):
        parse([stream[:50], stream[50:]], limit=100)


def test_the_limit_is_for_each_event():
    assert len(parse([b"data: " + b"x" * 60 + b"\n\n"] * 5, limit=100)) == 5


# Chunks...


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_chunks_are_joined_however_the_bytes_are_split(size):
    data = b"5\r\nhello\r\n1;name=value\r\n \r\nA \r\n0123456789\r\n0\r\n\r\n"
    chunks = Chunks()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(map(chunks.feed, pieces)) == b"hello 0123456789"
    assert chunks.ended


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"x\r\n", "has no size"),
        (b"\r\n", "has no size"),
        (b"-1\r\n", "has no size"),
        (b"1" * 5000, "has no size"),
        (b"2\r\nabc\r\n", "longer than it says"),
    ],
)
def test_what_is_not_chunked_is_an_error(data, problem):
    with pytest.raises(ValueError, match=problem):
        Chunks().feed(data)


# The stream...


@pytest.fixture
def stream(serve):
    """Open streams: ``stream(answer, **options)`` to a server that answers so."""
    streams = []

    def make(answer, *, seconds=FAR, tls=False, path="/global/event", **options):
        server = serve(answer, tls=tls)
        http = OpenCodeHttp(server.url, **options)
        streams.append(SseStream(http, path))
        streams[-1].server = server
        streams[-1].open(Deadline.after(seconds))
        return streams[-1]

    yield make
    for each in streams:
        each.dispose()
        each.dispose()


def read(stream, seconds=FAR, **options):
    return stream.read(Deadline.after(seconds), **options)


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


def sent(*pieces):
    """Answer with these bytes."""
    return Raw(lambda send: [send(piece) for piece in pieces])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED + chunk(b"data: 1\n\nda"), chunk(b"ta: 2\n\n"), b"0\r\n\r\n"],
        [HEAD + b"\r\ndata: 1\n\n", b"data: 2\n\n"],
        [HEAD + b"Content-Length: 18\r\n\r\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"],
    ],
    ids=["chunked", "until the end", "of a length"],
)
def test_events_are_read_until_the_end(stream, monkeypatch, pieces, tls):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    opened = stream(sent(*pieces), tls=tls)
    assert [read(opened), read(opened)] == ["1", "2"]
    code, message = failure(read, opened)
    assert code == "NO_SERVER"
    assert "broke (" in message


def test_a_server_that_goes_away_ends_it(stream):
    done = threading.Event()
    opened = stream(Raw(lambda send: (send(CHUNKED), done.wait(FAR))))
    opened.server.disconnect()
    assert failure(read, opened)[0] == "NO_SERVER"
    done.set()


def test_the_request_shows_the_password_and_asks_for_events(stream):
    opened = stream(sent(CHUNKED, chunk(b"data: 1\n\n")), username="ana", password="pä:ss")
    request = opened.server.requests[0]
    pair = base64.b64encode("ana:pä:ss".encode()).decode()
    assert request.headers["authorization"] == f"Basic {pair}"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["host"] == f"127.0.0.1:{opened.server.port}"
    assert (request.method, request.path) == ("GET", "/global/event")
    assert repr(OpenCodeHttp("http://h", password="geheim").address) == "Address('h', 80)"


def test_ipv6_addresses_work(serve):
    server = serve(sent(CHUNKED, chunk(b"data: 1\n\n")), host="::1")
    opened = SseStream(OpenCodeHttp(server.url), "/global/event")
    opened.open(Deadline.after(FAR))
    assert read(opened) == "1"
    assert server.requests[0].headers["host"] == f"[::1]:{server.port}"
    opened.dispose()


# What is no stream...


def test_opencodes_web_page_is_an_error(stream):
    page = Answer(content=b"<html>", content_type="text/html; charset=utf-8")
    code, message = failure(stream, page)
    assert code == "SERVER_ERROR"
    assert "answered GET /global/event with text/html instead of events (status 200)" in message
    assert "with no content type instead" in failure(stream, Answer([], content_type=None))[1]


def test_a_refusal_says_why(stream):
    body = {"name": "BadRequest", "data": {"message": "no such thing"}}
    code, message = failure(stream, Answer(body, status=400))
    assert (code, "no such thing" in message) == ("INVALID_MESSAGE", True)
    with pytest.raises(RefusedError) as caught:
        stream(Answer(content=b"", status=401))
    assert error_code_name(caught.value.code) == "AUTH_ERROR"
    assert caught.value.refusal.status == 401


def test_a_refusal_in_chunks_or_without_an_end_says_why_too(stream, monkeypatch):
    monkeypatch.setattr(opencode_sse, "_REFUSAL_TIMEOUT", 0.2)
    head = b"HTTP/1.1 500 \r\nContent-Type: application/json\r\n"
    body = b'{"name": "Broken"}'
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(body) + b"0\r\n\r\n"
    assert "Broken" in failure(stream, sent(chunked))[1]
    done = threading.Event()
    endless = Raw(lambda send: (send(head + b"\r\n" + body), done.wait(FAR)))
    assert "Broken" in failure(stream, endless)[1]
    done.set()
    monkeypatch.setattr(opencode_sse, "_LONGEST_REFUSAL", 10)
    assert "status 500" in failure(stream, sent(chunked))[1]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"", "the server ended it"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200OK\r\n\r\n", "no HTTP"),
        (b"x" * 70_000, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "too many headers"),
    ],
)
def test_another_program_at_the_port_is_an_error(stream, answer, problem):
    code, message = failure(stream, sent(answer))
    assert code == "NO_SERVER"
    assert problem in message


def test_a_broken_beginning_of_the_events_is_an_error(stream):
    code, message = failure(stream, sent(CHUNKED + b"nonsense\r\n"))
    assert (code, "a chunk has no size" in message) == ("NO_SERVER", True)


def test_broken_framing_ends_it(stream):
    was_read = threading.Event()

    def write(send):
        send(CHUNKED + chunk(b"data: 1\n\n"))
        was_read.wait(FAR)
        send(b"nonsense\r\n")

    opened = stream(Raw(write))
    assert read(opened) == "1"
    was_read.set()
    assert "a chunk has no size" in failure(read, opened)[1]


def test_nobody_at_the_port_is_an_error(stream, serve):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        opened = SseStream(OpenCodeHttp(url), "/global/event")
        code, message = failure(opened.open, Deadline.after(FAR))
        assert (code, url in message, "refused" in message) == ("NO_SERVER", True, True)


def test_a_certificate_that_is_not_trusted_is_an_error(stream):
    code, message = failure(stream, sent(CHUNKED), tls=True)
    assert code == "NO_SERVER"
    assert "certificate" in message.lower()


# Time...


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["nothing", "trickle"])
def test_an_answer_that_does_not_come_ends_at_the_deadline(stream, beginning):
    done = threading.Event()

    def write(send):
        send(beginning)
        while not done.wait(0.05):
            send(beginning and b"x")

    code, message = failure(stream, Raw(write), seconds=0.4)
    done.set()
    assert code == "SERVER_ERROR"
    assert "did not answer GET /global/event within the time allowed" in message


def test_a_deadline_that_has_passed_is_one(stream):
    done = threading.Event()
    opened = stream(Raw(lambda send: (send(CHUNKED), done.wait(FAR))))
    assert failure(opened.read, NOW)[0] == "SERVER_ERROR"
    unopened = SseStream(OpenCodeHttp(opened.server.url), "/global/event")
    assert failure(unopened.open, NOW)[0] == "SERVER_ERROR"
    done.set()


def test_silence_ends_it_and_any_byte_is_a_sign_of_life(stream):
    done = threading.Event()

    def write(send):
        send(CHUNKED)
        for _ in range(8):  # a comment is no event
            done.wait(0.1)
            send(chunk(b":\n"))
        send(chunk(b"data: 1\n\n"))
        done.wait(FAR)

    opened = stream(Raw(write))
    assert read(opened, silence=0.5) == "1"
    began = time.monotonic()
    code, message = failure(read, opened, silence=0.3)
    assert time.monotonic() - began < 5
    assert (code, "no sign of life for 0.3 s" in message) == ("NO_SERVER", True)
    done.set()


# Its end from outside...


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_close_wakes_the_reader_at_once(stream, monkeypatch, tls):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    done = threading.Event()
    opened = stream(Raw(lambda send: (send(CHUNKED), done.wait(FAR))), tls=tls)
    ended = []
    reader = threading.Thread(target=lambda: ended.append(failure(read, opened, silence=FAR)))
    reader.start()
    began = time.monotonic()
    opened.close()
    opened.close()
    reader.join(FAR)
    assert time.monotonic() - began < 8
    assert ended[0][0] == "NO_SERVER"
    assert failure(read, opened)[0] == "NO_SERVER"  # and from then on
    done.set()


def test_a_stream_closed_before_it_is_open_does_not_open(serve):
    server = serve(sent(CHUNKED))
    closed = SseStream(OpenCodeHttp(server.url), "/global/event")
    closed.close()
    code, message = failure(closed.open, Deadline.after(FAR))
    assert (code, "it was closed" in message) == ("NO_SERVER", True)
    closed.dispose()
