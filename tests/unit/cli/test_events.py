"""``opencode-sync events``: a line for each, until Ctrl-C or the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from opencode_sync.errors import IpcConnectionError, IpcServerError, IpcSlowConsumerError
from opencode_sync.wire.ext_event_pb2 import IpcDelta, IpcEvent

from .conftest import Run
from .doubles import FakeClient, FakeLinks, FakeStream


def event(kind: str, properties: Any = None, **fields: Any) -> IpcEvent:
    document = "" if properties is None else json.dumps(properties)
    return IpcEvent(type=kind, properties_json=document, **fields)


IDLE = event("session.idle", {"sessionID": "ses_1"}, session_id="ses_1", directory="/p", id="evt_1")
DELTA = event("message.part.delta", delta=IpcDelta(text="a \x1b[2J\n"), session_id="ses_1")


def test_each_event_is_a_line(run: Run, client: FakeClient) -> None:
    client.streams = [FakeStream([IDLE, DELTA, event("vcs.new", {"x": 1}, replayed=True)])]
    done = run("events")
    assert done.exit_code == 0
    assert done.stderr == ""
    idle, delta, other = (line.split(maxsplit=3)[1:] for line in done.stdout.splitlines())
    assert idle == ["session.idle", "ses_1"]
    assert delta == ["message.part.delta", "ses_1", '"a \\u001b[2J\\n"']
    assert other == ["vcs.new", "-", '{"x": 1} (read)']
    assert client.opened_streams[0].closed


def test_json_has_an_object_on_each_line(run: Run, client: FakeClient) -> None:
    slow = IpcSlowConsumerError("slow", missed=3)
    client.streams = [FakeStream([IDLE, slow, event("other")]), FakeStream([slow])]
    first, missed, bare = map(json.loads, run("events", "--json").stdout.splitlines())
    assert first == {
        "type": "session.idle",
        "directory": "/p",
        "session_id": "ses_1",
        "id": "evt_1",
        "replayed": False,
        "properties": {"sessionID": "ses_1"},
    }
    assert missed == {"missed": 3}
    assert (bare["session_id"], bare["properties"]) == (None, {})
    assert run("events").stdout == "(3 events came too fast and are missing here)\n"


def test_conditions_reach_the_subscription(
    run: Run, client: FakeClient, links: FakeLinks, tmp_path: Path
) -> None:
    client.streams = [FakeStream([]), FakeStream([])]
    options = ("--type", "session.*", "--type", "x", "--session", "ses_1", "--current")
    assert run("events", *options, "--directory", str(tmp_path)).exit_code == 0
    assert run("events").exit_code == 0
    assert [call[1] for call in client.asked] == [
        {"types": ["session.*", "x"], "session_id": "ses_1", "current": True},
        {"types": (), "session_id": None, "current": False},
    ]
    assert links.directories == [tmp_path.resolve(), None]


def test_ctrl_c_is_how_it_ends(run: Run, client: FakeClient) -> None:
    client.streams = [FakeStream([IDLE, KeyboardInterrupt()])]
    done = run("events")
    assert (done.exit_code, done.stderr) == (0, "")
    assert client.opened_streams[0].closed
    assert not client.connected


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (IpcConnectionError("the connection was lost"), 4),
        (IpcServerError("the gateway stops", request_id=2, code=5, operation="events"), 7),
    ],
)
def test_a_lost_connection_is_said_with_its_exit_code(
    run: Run, client: FakeClient, failure: Exception, code: int
) -> None:
    client.streams = [FakeStream([IDLE, failure]), FakeStream([failure])]
    done = run("events")
    assert done.exit_code == code
    assert done.stdout.count("\n") == 1
    assert done.stderr.startswith(f"error: {failure}")
    assert json.loads(run("events", "--json").stderr)["error"]["exit_code"] == code


def test_on_a_terminal_it_says_that_it_listens(
    run: Run, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opencode_sync.cli import events as command

    class Terminal:
        def __init__(self) -> None:
            self.said = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.said += text

    terminal = Terminal()
    monkeypatch.setattr(command, "sys", type("Sys", (), {"stderr": terminal}))
    client.streams = [FakeStream([])]
    assert run("events").exit_code == 0
    assert terminal.said == "Listening; Ctrl-C ends.\n"
