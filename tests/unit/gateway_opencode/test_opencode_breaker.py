"""Calls that another thread breaks off, wherever they are."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.http.breaker import Breaker
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from tests.unit.gateway_opencode.http_server import CERTIFICATE, Answer, Raw

FAR = 20.0
"""Seconds within which something has to happen."""

FARTHER = 10 * FAR
"""Seconds of the calls' own deadlines."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n["


@pytest.fixture
def breaker():
    breaker = Breaker()
    yield breaker
    breaker.trip()


@pytest.fixture
def connect(breaker):
    """Make clients that the breaker is for: ``connect(url)``."""
    clients = []

    def make(url):
        clients.extend([OpenCodeHttp(url), OpenCodeHttp(url).breakable(breaker)])
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def call(client, method="GET"):
    return client.call(method, "/session", deadline=Deadline.after(FARTHER))


def broken_off(client, breaker, under_way):
    """Break a call off once it is under way; returns what it raised."""
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call, client)
        assert under_way.wait(FAR)
        breaker.trip()
        error = calling.exception(FAR)
    assert isinstance(error, BackendError)
    return error


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("sent", [b"", HEAD], ids=["answer", "body"])
def test_a_call_that_waits_ends_at_once_and_is_not_sent_again(
    serve, connect, breaker, monkeypatch, tls, sent
):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    under_way = threading.Event()

    def hang(send):
        send(sent)
        under_way.set()
        server.closing.wait(FAR)

    server = serve(Raw(hang), tls=tls)
    client = connect(server.url)
    assert "broke during GET /session" in broken_off(client, breaker, under_way).message
    assert len(server.requests) == 1


def test_a_call_that_waits_for_tls_ends_at_once(connect, breaker, monkeypatch):
    connected = threading.Event()
    watch = breaker.watch

    def watched(connection):
        watch(connection)
        connected.set()

    monkeypatch.setattr(breaker, "watch", watched)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = connect(f"https://127.0.0.1:{silent.getsockname()[1]}")
        broken_off(client, breaker, connected)


def test_none_is_sent_from_then_on(serve, connect, breaker):
    server = serve(Answer([]))
    used, unused = connect(server.url), connect(server.url)
    assert call(used) == []
    breaker.trip()
    breaker.trip()
    assert breaker.broken
    for client in (used, unused):
        with pytest.raises(BackendError):
            call(client)
    assert len(server.requests) == 1


def test_others_calls_go_on(serve, breaker):
    server = serve(Answer([]))
    with closing(OpenCodeHttp(server.url)) as http:
        assert call(http) == []
        with closing(http.breakable(breaker)) as alone:
            assert [call(alone), call(alone)] == [[], []]
            breaker.trip()
        assert call(http) == []
    assert [request.connection for request in server.requests] == [1, 2, 2, 1]


def test_a_connection_that_takes_the_place_of_another_is_broken_off_as_well(
    serve, connect, breaker
):
    under_way = threading.Event()

    def answer(request):
        if len(server.requests) == 1:
            return Answer([], headers={"Connection": "close"})
        under_way.set()
        server.closing.wait(FAR)
        return Answer([])

    server = serve(answer)
    client = connect(server.url)
    assert call(client) == []
    broken_off(client, breaker, under_way)
    assert len({request.connection for request in server.requests}) == 2
