"""``opencode-sync sessions get|rename|archive|messages|abort``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opencode_sync.errors import IpcServerError
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.oc_message_part_pb2 import OcPart, OcToolPart
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage, OcUserMessage

from .conftest import Run
from .doubles import FakeClient, session

COMMANDS: list[tuple[str, ...]] = [
    ("get",),
    ("rename", "A title"),
    ("archive",),
    ("messages",),
    ("abort",),
]


def refused(code: int) -> IpcServerError:
    return IpcServerError("no", request_id=2, code=code, operation="x")


def call(command: tuple[str, ...], session_id: str) -> tuple[str, ...]:
    return ("sessions", command[0], session_id, *command[1:])


@pytest.fixture
def one(client: FakeClient) -> Any:
    made = session(1, "A \x1b title", updated=1_700_000_000_000)
    made.cost = 0.5
    made.summary.additions, made.summary.files = 3, 1
    client.sessions[made.id] = made
    return made


def test_get_shows_what_there_is(run: Run, one: Any) -> None:
    done = run("sessions", "get", one.id)
    assert done.exit_code == 0
    lines = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert lines["id"].strip() == one.id
    assert lines["title"].strip() == "A \\x1b title"
    assert lines["cost"].strip() == "0.5"
    assert lines["summary"].strip() == "3 additions, 0 deletions, 1 files"
    assert "2023-11-" in lines["updated"]
    assert "archived" not in lines
    assert json.loads(run("sessions", "get", one.id, "--json").stdout)["cost"] == 0.5


def test_rename_shows_the_session_as_it_is_then(run: Run, one: Any) -> None:
    done = run("sessions", "rename", one.id, "Another", "--json")
    assert json.loads(done.stdout)["title"] == "Another"


def test_archive_and_back(run: Run, client: FakeClient, one: Any) -> None:
    assert "archived:" in run("sessions", "archive", one.id).stdout
    assert run("sessions", "archive", one.id, "--undo").exit_code == 0
    assert [changes for _, _, changes in client.asked] == [{"archived": True}, {"archived": False}]


def test_abort_says_whether_it_is_over(run: Run, client: FakeClient, one: Any) -> None:
    assert run("sessions", "abort", one.id).stdout == "nothing runs in it any more\n"
    client.idle = False
    done = run("sessions", "abort", one.id, "--json")
    assert done.exit_code == 7
    assert json.loads(done.stdout) == {"id": one.id, "idle": False}
    still = run("sessions", "abort", one.id)
    assert (still.exit_code, still.stdout) == (7, "")


def test_messages_are_printed_with_their_tools_and_errors(
    run: Run, client: FakeClient, one: Any
) -> None:
    tool = OcToolPart(name="bash")
    tool.state.completed.title = "List \x1b files"
    failed = OcAssistantMessage(text="The answer\nof two lines", parts=[OcPart(tool=tool)])
    failed.error.unknown.message = "broke off"
    client.messages = [
        OcMessage(user=OcUserMessage(text="A question\n", created=1_700_000_000_000)),
        OcMessage(assistant=failed),
        OcMessage(assistant=OcAssistantMessage()),
    ]
    done = run("sessions", "messages", one.id, "--limit", "3")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("--- you, 2023-11-")
    assert lines[1] == "A question"
    assert lines[2] == "--- model, -"
    assert lines[3] == "* bash: List \\x1b files"
    assert lines[4:6] == ["The answer", "of two lines"]
    assert lines[6].startswith("! ")
    assert "broke off" in lines[6]
    assert client.asked == [("list_messages", one.id, 3)]


def test_messages_as_json(run: Run, client: FakeClient, one: Any) -> None:
    made = OcAssistantMessage(id="msg_1", text="Hi", cost=0.5, created=1_700_000_000_000)
    made.model.provider_id, made.model.model_id = "p", "m"
    made.tokens.input = 7
    made.parts.add().tool.name = "bash"
    client.messages = [OcMessage(assistant=made), OcMessage(user=OcUserMessage(id="msg_2"))]
    first, second = json.loads(run("sessions", "messages", one.id, "--json").stdout)
    assert first == {
        "id": "msg_1",
        "role": "assistant",
        "created": "2023-11-14T22:13:20.000Z",
        "text": "Hi",
        "tool_calls": [{"name": "bash", "status": "unknown", "input": {}, "title": None}],
        "model": "p/m",
        "cost": 0.5,
        "tokens": 7,
        "error": None,
    }
    assert (second["role"], second["created"]) == ("user", None)


def test_no_messages(run: Run, one: Any) -> None:
    assert run("sessions", "messages", one.id).stdout == "No messages yet.\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_unknown_session_is_not_found(
    run: Run, client: FakeClient, command: tuple[str, ...]
) -> None:
    client.failure = refused(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE)
    done = run(*call(command, "ses_\x1bgone"))
    assert done.exit_code == 9
    assert done.stderr.startswith("error: no such session: ses_\\x1bgone (")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_any_other_refusal_is_told_as_it_is(
    run: Run, client: FakeClient, command: tuple[str, ...]
) -> None:
    client.failure = refused(ipc_pb2.IPC_ERROR_CODE_NO_SERVER)
    done = run(*call(command, "ses_1"))
    assert (done.exit_code, done.stderr) == (7, "error: no\n")
