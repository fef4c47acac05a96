"""``opencode-sync sessions``: what it asks of the client, prints, and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opencode_sync.errors import IpcArgumentError, IpcConnectionError, IpcServerError

from .conftest import Run
from .doubles import FakeClient, FakeLinks, session


def test_list_shows_a_table_newest_first(run: Run, client: FakeClient) -> None:
    client.sessions = {"a": session(1, "Older", updated=1_000), "b": session(2, "Newer", updated=2)}
    client.sessions["b"].time.updated = 2_000
    result = run("sessions", "list")
    assert result.exit_code == 0
    assert result.stdout.index("Newer") < result.stdout.index("Older")
    assert result.stderr == ""
    assert not client.connected


def test_list_of_no_sessions_says_how_to_make_one(run: Run) -> None:
    result = run("sessions", "list")
    assert result.exit_code == 0
    assert "opencode-sync sessions create" in result.stdout


def test_list_as_json_is_an_array(run: Run, client: FakeClient) -> None:
    assert json.loads(run("sessions", "list", "--json").stdout) == []
    client.sessions = {"a": session(1, "One", updated=1_000)}
    records = json.loads(run("sessions", "list", "--json").stdout)
    assert [record["title"] for record in records] == ["One"]


def test_create_prints_the_id_and_the_title(run: Run, client: FakeClient) -> None:
    result = run("sessions", "create", "Fix \x1b[31mthe test")
    assert result.exit_code == 0
    assert client.asked == [("create_session", "Fix \x1b[31mthe test")]
    (created,) = client.sessions
    assert result.stdout == f"created {created}  Fix \\x1b[31mthe test\n"


def test_create_without_a_title_leaves_it_to_the_backend(run: Run, client: FakeClient) -> None:
    record = json.loads(run("sessions", "create", "--json").stdout)
    assert client.asked == [("create_session", None)]
    assert record["id"] in client.sessions


def test_delete_deletes_every_id_once(run: Run, client: FakeClient) -> None:
    first, second = (client_session(client, number) for number in (1, 2))
    result = run("sessions", "delete", first, second, first)
    assert result.exit_code == 0
    assert result.stdout == f"deleted {first}\ndeleted {second}\n"
    assert client.sessions == {}
    assert [name for name, _ in client.asked] == ["delete_session"] * 2


def test_delete_names_what_did_not_exist_and_deletes_the_rest(run: Run, client: FakeClient) -> None:
    known = client_session(client, 1)
    result = run("sessions", "delete", "ses_nowhere", known, "ses_\x1b")
    assert result.exit_code == 9
    assert result.stdout == f"deleted {known}\n"
    assert "no such session: ses_nowhere, ses_\\x1b" in result.stderr
    assert client.sessions == {}


def test_delete_as_json_says_of_each_id_whether_it_was_there(run: Run, client: FakeClient) -> None:
    known = client_session(client, 1)
    result = run("sessions", "delete", "--json", known, "ses_nowhere")
    assert result.exit_code == 9
    assert json.loads(result.stdout) == [
        {"id": known, "deleted": True},
        {"id": "ses_nowhere", "deleted": False},
    ]
    assert json.loads(result.stderr)["error"]["kind"] == "not_found"


def test_delete_tells_what_is_gone_when_a_later_id_fails(run: Run, client: FakeClient) -> None:
    known = client_session(client, 1)
    delete = client.delete_session

    def failing(session_id: str) -> bool:
        if session_id == "bad":
            raise IpcServerError("malformed", request_id=3, code=5, operation="delete_session")
        return delete(session_id)

    client.delete_session = failing  # type: ignore[method-assign]
    result = run("sessions", "delete", known, "bad", "ses_never_asked")
    assert result.exit_code == 7
    assert result.stdout == f"deleted {known}\n"
    assert result.stderr == "error: malformed\n"


def test_delete_prints_nothing_when_nothing_could_be_tried(run: Run, client: FakeClient) -> None:
    client.connect_failure = IpcConnectionError("refused")
    result = run("sessions", "delete", "--json", "ses_1")
    assert result.exit_code == 4
    assert result.stdout == ""
    assert json.loads(result.stderr)["error"]["kind"] == "connection"


def test_an_argument_that_the_client_refuses_is_wrong_use(run: Run, client: FakeClient) -> None:
    client.failure = IpcArgumentError("session_id is empty", field="session_id")
    result = run("sessions", "delete", "")
    assert result.exit_code == 2
    assert result.stderr == "error: session_id is empty\n"


@pytest.mark.parametrize(
    "command", [("list",), ("create",), ("delete", "ses_1")], ids=lambda words: words[0]
)
def test_every_command_takes_the_connection_options(
    run: Run, links: FakeLinks, command: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    run("sessions", *command, "--config-file", str(path), "--timeout", "2.5")
    run("sessions", *command)
    assert links.opened == [(path, 2.5), (None, None)]


def client_session(client: FakeClient, number: int) -> str:
    made = session(number)
    client.sessions[made.id] = made
    return str(made.id)


def test_the_help_of_create_promises_what_it_prints(run: Run) -> None:
    told = " ".join(run("sessions", "create", "--help").stdout.split())
    assert "print a line with its id and title" in told
