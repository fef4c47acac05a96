"""``events(current=True)`` over a socket, in front of an OpenCode whose answers a test writes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_sync import IpcClient, IpcConfig, IpcServerError
from opencode_sync.gateway import Gateway, GatewayLimits, OpenCodeBackend
from opencode_sync.gateway.backends.opencode import beginning
from opencode_sync.gateway.backends.opencode.events import current, readings
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
    with Gateway(backend, limits=GatewayLimits(max_subscriptions=1, max_in_flight=1)) as gateway:
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


@pytest.fixture
def hung(opencode: OpenCode, monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """OpenCode does not say who is at work, and nobody loses patience; released when asked."""
    monkeypatch.setattr(current, "_FOLDER_TIMEOUT", 10 * WAIT)
    monkeypatch.setattr(readings, "_CALL_TIMEOUT", 10 * WAIT)
    monkeypatch.setattr(beginning, "_TIMEOUT", 10 * WAIT)
    asked = threading.Semaphore(0)

    def hang(request: Request) -> Answer:
        asked.release()
        opencode.server.closing.wait(10 * WAIT)
        return Answer({"ses_1": {"type": "busy"}})

    opencode.answers["/session/status"] = hang
    return asked


def test_a_stream_that_is_closed_while_opencode_hangs_is_let_go(
    client: IpcClient, hung: threading.Semaphore
) -> None:
    events = client.events(current=True)
    assert hung.acquire(timeout=WAIT)
    events.close()
    assert list(events) == []

    def room() -> bool:
        """Whether its place is free again: there is one."""
        try:
            client.events(types=["none"]).close()
        except IpcServerError:
            return False
        return True

    assert eventually(room, WAIT)


def test_streams_that_look_at_what_is_so_take_no_place_from_requests(
    client: IpcClient, hung: threading.Semaphore, opencode: OpenCode
) -> None:
    """There is one place, and one for a subscription."""
    opencode.answers["/session"] = Answer([])
    with client.events(current=True):
        assert hung.acquire(timeout=WAIT)
        assert client.list_sessions(timeout=WAIT) == []


def test_a_gateway_stops_while_opencode_hangs(
    client: IpcClient, gateway: Gateway, hung: threading.Semaphore
) -> None:
    with client.events(current=True) as events:
        assert hung.acquire(timeout=WAIT)
        began = time.monotonic()
        gateway.stop(2 * WAIT)
        assert time.monotonic() - began < WAIT
        with pytest.raises(IpcServerError, match="gateway is stopping"):
            events.next_event(WAIT)
