"""``events(current=True)`` over a socket, in front of an OpenCode whose answers a test writes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_sync import IpcClient, IpcConfig, IpcServerError
from opencode_sync.gateway import Gateway, GatewayLimits, OpenCodeBackend
from tests.support.leaks import eventually
from tests.unit.gateway_opencode.fake_events import FakeEvents
from tests.unit.gateway_opencode.http_server import Answer, HttpServer, Request

WAIT = 20.0
KINDS = ["session.status", "permission.asked", "permission.replied"]


class OpenCode(FakeEvents):
    """One session is at work in a folder, and waits for a permission."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.server = HttpServer(self)
        asked = {"id": "per_1", "sessionID": "ses_1", "permission": "bash", "patterns": ["rm"]}
        self.answers |= {
            "/global/health": Answer({"healthy": True, "version": "1.18.33"}),
            "/path": Answer({"directory": str(folder)}),
            "/permission": Answer([asked]),
            "/permission/per_1/reply": self._reply,
            "/session/status": Answer({"ses_1": {"type": "busy"}}),
        }
        self.replies: list[tuple[list[str], str]] = []

    def _reply(self, request: Request) -> Answer:
        self.replies.append((request.query["directory"], json.loads(request.body)["reply"]))
        return Answer(True)


@pytest.fixture
def opencode(nothing_left: None, tmp_path: Path) -> Iterator[OpenCode]:
    opencode = OpenCode(tmp_path.resolve())
    yield opencode
    opencode.stop()
    opencode.server.stop()


@pytest.fixture
def gateway(opencode: OpenCode) -> Iterator[Gateway]:
    backend = OpenCodeBackend(opencode.server.url)
    with Gateway(backend, limits=GatewayLimits(max_subscriptions=1)) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[IpcClient]:
    with IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client:
        yield client


def test_what_waits_is_answered_by_what_its_event_says(
    client: IpcClient, opencode: OpenCode, tmp_path: Path
) -> None:
    folder = str(tmp_path.resolve())
    with client.events(types=KINDS, current=True) as events:
        status, asked = events.next_event(WAIT), events.next_event(WAIT)
        assert (status.type, status.session_id) == ("session.status", "ses_1")
        request = asked.event.permission_asked.request
        client.reply_permission(request.id, "once", directory=asked.directory)
        client.reply_permission(request.id, "reject")  # the gateway knows where it was asked
        assert opencode.replies == [([folder], "once"), ([folder], "reject")]
        replied = {"sessionID": "ses_1", "requestID": "per_1", "reply": "once"}
        opencode.event("permission.replied", replied)
        assert events.next_event(WAIT).type == "permission.replied"


def test_a_stream_that_is_closed_while_opencode_is_slow_is_let_go(
    client: IpcClient, opencode: OpenCode
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(request: Request) -> Answer:
        asked.set()
        answer.wait(WAIT)
        return Answer({"ses_1": {"type": "busy"}})

    opencode.answers["/session/status"] = slow
    events = client.events(current=True)
    assert asked.wait(WAIT)
    events.close()
    assert list(events) == []
    answer.set()

    def room() -> bool:
        """Whether its place is free again: there is one."""
        try:
            client.events(types=["none"]).close()
        except IpcServerError:
            return False
        return True

    assert eventually(room, WAIT)


def test_a_gateway_stops_while_opencode_is_slow(
    client: IpcClient, gateway: Gateway, opencode: OpenCode
) -> None:
    asked = threading.Event()

    def slow(request: Request) -> Answer:
        asked.set()
        opencode.server.closing.wait(WAIT)
        return Answer({})

    opencode.answers["/permission"] = slow
    with client.events(current=True):
        assert asked.wait(WAIT)
        gateway.stop(0.2)
