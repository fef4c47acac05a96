"""Each operation of the client on the real OpenCode, its answer held against OpenCode's own.

Whoever adds an operation adds a row here: the first test sees to it that none is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from opencode_sync import IpcClient, IpcConfig, IpcServerError, PermissionAsked, QuestionAsked
from opencode_sync import __version__ as version
from opencode_sync.futures import IpcFutures
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import (
    OAuthStatusType,
    OcApiAuth,
    OcAuth,
    message_text,
)
from opencode_sync.wire import ipc_pb2
from tests.e2e.client.asking import OUTSIDE, QUESTION, WAIT, Asked
from tests.e2e.client.raw import Raw
from tests.e2e.opencode_server import VERSION, RealServer
from tests.e2e.stub_model import KEY
from tests.support.threads import Background

pytestmark = pytest.mark.e2e


class Place(NamedTuple):
    """Where an operation is tried."""

    client: IpcClient
    asked: Asked
    server: RealServer
    elsewhere: Path

    def own(self, path: str, **query: str) -> Any:
        """What OpenCode answers itself."""
        status, answer = self.server.request("GET", path, query=query)
        assert status == 200
        return answer


# --- Servers. Those that begin and end one have tests of their own below ---


def check_health(place: Place) -> None:
    assert place.own("/global/health")["healthy"]
    assert place.client.health_check() is True
    assert place.client.check_server_health() is True


def discover_server(place: Place) -> None:
    found = place.client.discover_server()
    assert found is not None
    assert (found.base_url, found.port, found.owned) == (
        place.server.url,
        place.server.port,
        False,
    )


def get_backend_info(place: Place) -> None:
    info = place.client.get_backend_info()
    assert (info.version, info.backend, info.server_version) == (version, "opencode", VERSION)
    assert place.server.url in info.description


# --- Sessions ---


def list_sessions(place: Place) -> None:
    own = place.server.sessions()
    listed = place.client.list_sessions()
    assert {each.id: each.title for each in listed} == {i: own[i]["title"] for i in own}
    there = place.client.create_session("there", directory=place.elsewhere)
    listed = place.client.list_sessions(directory=place.elsewhere)
    own_there = place.own("/session", directory=str(place.elsewhere), limit="-1")
    assert {each.id for each in listed} == {each["id"] for each in own_there}
    assert there.id in {each.id for each in listed}


def create_session(place: Place) -> None:
    session = place.client.create_session("Überarbeitung 🚀")
    own = place.server.session(session.id)
    assert own is not None
    assert (session.title, session.directory) == (own["title"], own["directory"])
    there = place.client.create_session(directory=place.elsewhere)
    own = place.server.session(there.id)
    assert own is not None
    assert there.directory == own["directory"] == str(place.elsewhere)


def get_session(place: Place) -> None:
    place.client.prompt(place.asked.id, "so that there is something to tell")
    own, session = place.asked.session(), place.client.get_session(place.asked.id)
    assert (session.id, session.title, session.project_id) == (
        own["id"],
        own["title"],
        own["projectID"],
    )
    assert (session.time.created, session.time.updated) == (
        own["time"]["created"],
        own["time"]["updated"],
    )
    assert (session.cost, session.usage.input) == (own["cost"], own["tokens"]["input"])
    assert session.model.model_id == own["model"]["id"] == "stub-1"


def update_session(place: Place) -> None:
    assert place.client.update_session(place.asked.id, title="new").title == "new"
    assert place.asked.session()["title"] == "new"
    archived = place.client.update_session(place.asked.id, archived=True)
    assert archived.time.archived == place.asked.session()["time"]["archived"] > 0
    back = place.client.update_session(place.asked.id, archived=False)
    assert (back.title, back.time.archived) == ("new", 0)


def delete_session(place: Place) -> None:
    assert place.client.delete_session(place.asked.id) is True
    assert place.server.session(place.asked.id) is None
    assert place.client.delete_session(place.asked.id) is False


def abort_session(place: Place) -> None:
    running = place.client.futures.prompt(place.asked.id, "[[words:1000]] [[pause:50]]")
    with place.client.events(session_id=place.asked.id, types=["message.part.delta"]) as stream:
        stream.next_event(WAIT)
    assert place.client.abort_session(place.asked.id) is True
    assert not place.asked.runs()
    assert getattr(running.exception(WAIT), "kind", None) == "aborted"
    assert place.client.abort_session(place.asked.id) is True


# --- Messages and runs ---


def send_message(place: Place) -> None:
    answer = place.client.send_message(
        place.asked.id, "[[say:Grüße 🚀]]", model_id="stub-1", provider_id="stub"
    )
    (own,) = place.asked.answers()
    assert answer.assistant.id == own["info"]["id"]
    assert message_text(answer) == place.asked.text() == "Grüße 🚀"
    assert answer.assistant.cost == own["info"]["cost"]


def list_messages(place: Place) -> None:
    place.client.prompt(place.asked.id, "[[say:one]]")
    place.client.prompt(place.asked.id, "[[say:two]]")
    listed, own = place.client.list_messages(place.asked.id), place.asked.stored()
    assert [message.WhichOneof("message") for message in listed] == [
        each["info"]["role"] for each in own
    ]
    ids = [getattr(each, each.WhichOneof("message") or "").id for each in listed]
    assert ids == [each["info"]["id"] for each in own]
    assert [message_text(message) for message in listed][1::2] == ["one", "two"]
    newest = place.client.list_messages(place.asked.id, limit=1)
    assert [each.assistant.id for each in newest] == ids[-1:]


def prompt(place: Place) -> None:
    result = place.client.prompt(place.asked.id, "[[say:at once]]")
    assert result.text == place.asked.text() == "at once"


def stream_prompt(place: Place) -> None:
    with place.client.stream_prompt(place.asked.id, "[[say:bit by bit]]") as stream:
        assert "".join(stream.text_stream) == place.asked.text() == "bit by bit"


def events(place: Place) -> None:
    with place.client.events(types=["session.updated"], session_id=place.asked.id) as stream:
        place.client.update_session(place.asked.id, title="new")
        updated = stream.next_event(WAIT).event.session_updated
        assert updated.session.title == place.asked.session()["title"] == "new"


def reply_permission(place: Place) -> None:
    with place.client.stream_prompt(place.asked.id, OUTSIDE, on_permission="ask") as stream:
        question = next(each for each in stream if isinstance(each, PermissionAsked))
        assert place.asked.pending("permission") == [question.id]
        place.client.reply_permission(question.id, "reject", message="not now")
        assert "not now" in str(stream.result().tool_calls[0].error)
    assert place.asked.pending("permission") == []


def reply_question(place: Place) -> None:
    with place.client.stream_prompt(place.asked.id, QUESTION, on_question="ask") as stream:
        question = next(each for each in stream if isinstance(each, QuestionAsked))
        assert place.asked.pending("question") == [question.id]
        place.client.reply_question(question.id, [["A"]])
        assert '"Which one?"="A"' in stream.result().text
    assert place.asked.pending("question") == []


# --- Agents, models, providers, keys, settings ---


def list_agents(place: Place) -> None:
    own = place.own("/agent")
    for listed in (place.client.list_agents(), place.client.list_agents(directory="/")):
        assert {each.name: each.mode for each in listed} == {
            each["name"]: each["mode"] for each in own
        }


def list_models(place: Place) -> None:
    own = place.own("/config/providers")
    listed = place.client.list_models()
    assert {(each.provider_id, each.id) for each in listed.models} == {
        (each["id"], model) for each in own["providers"] for model in each["models"]
    }
    assert dict(listed.default_models) == own["default"]
    assert KEY not in str(listed)


def get_provider_status(place: Place) -> None:
    own = place.own("/config/providers")
    assert set(place.client.get_provider_status()) >= {each["id"] for each in own["providers"]}


def _kept(place: Place) -> dict[str, Any]:
    file = place.server.home / "data" / "opencode" / "auth.json"
    kept: dict[str, Any] = json.loads(file.read_text())
    return kept


def set_auth(place: Place) -> None:
    key = "sk-of-this-test-0123456789abcdef"
    answer = place.client.set_auth("mistral", OcAuth(api=OcApiAuth(key=key)))
    assert (answer.WhichOneof("auth"), answer.api.key) == ("api", "")
    assert _kept(place)["mistral"] == {"type": "api", "key": key}


def sync_auth_keys(place: Place) -> None:
    answer = place.client.sync_auth_keys()
    assert [each.provider for each in answer.synced] == ["groq"]
    assert list(answer.failed) == list(answer.validation_failed) == []
    kept = _kept(place)["groq"]["key"]
    assert kept.startswith("gsk_")
    assert kept not in str(answer)


def get_config(place: Place) -> None:
    assert json.loads(place.client.get_config().app_config_json)["version"] >= 1
    assert json.loads(place.client.get_config().models_config_json)["providers"]


def update_config(place: Place) -> None:
    before = place.client.get_config().app_config_json
    assert place.client.update_config({"version": 1, "server": {"auto_start": True}}).success
    kept = json.loads(place.client.get_config().app_config_json)
    assert kept["server"]["auto_start"] is True
    assert place.client.update_config(before).success


def get_auth(place: Place) -> None:
    set_auth(place)
    shown = place.client.get_auth("mistral").api.key
    assert shown not in ("", _kept(place)["mistral"]["key"])
    assert place.client.get_auth("never-heard-of").WhichOneof("auth") is None


def get_oauth_status(place: Place) -> None:
    set_auth(place)
    known = place.client.get_oauth_status("mistral")
    assert known.status == OAuthStatusType.OAUTH_STATUS_TYPE_API_KEY
    unknown = place.client.get_oauth_status("never-heard-of")
    assert unknown.status == OAuthStatusType.OAUTH_STATUS_TYPE_NOT_CONFIGURED


OPERATIONS: dict[str, Callable[[Place], None]] = {
    "abort_session": abort_session,
    "check_server_health": check_health,
    "create_session": create_session,
    "delete_session": delete_session,
    "discover_server": discover_server,
    "events": events,
    "get_auth": get_auth,
    "get_backend_info": get_backend_info,
    "get_config": get_config,
    "get_oauth_status": get_oauth_status,
    "get_provider_status": get_provider_status,
    "get_session": get_session,
    "health_check": check_health,
    "list_agents": list_agents,
    "list_messages": list_messages,
    "list_models": list_models,
    "list_sessions": list_sessions,
    "prompt": prompt,
    "reply_permission": reply_permission,
    "reply_question": reply_question,
    "send_message": send_message,
    "set_auth": set_auth,
    "stream_prompt": stream_prompt,
    "sync_auth_keys": sync_auth_keys,
    "update_config": update_config,
    "update_session": update_session,
}
APART = {"spawn_server", "stop_server"}
NO_OPERATIONS = {"close", "connect", "on_state_change", "wait_for_state"}


def public(kind: type) -> set[str]:
    """The names of the methods that users call."""
    return {
        name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))
    }


def test_no_operation_is_missing() -> None:
    assert public(IpcClient) - NO_OPERATIONS == set(OPERATIONS) | APART
    assert public(IpcFutures) == (set(OPERATIONS) | APART) - {"events", "stream_prompt"}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation(
    name: str, client: IpcClient, asked: Asked, server: RealServer, elsewhere: Path
) -> None:
    OPERATIONS[name](Place(client, asked, server, elsewhere))


def test_spawn_and_stop(
    opencode_program: Path, spawn_environment: dict[str, str], project: Path
) -> None:
    backend = OpenCodeBackend(
        executable=opencode_program, directory=project, environ=spawn_environment
    )
    with (
        Gateway(backend) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        server = client.spawn_server()
        assert (server.owned, psutil.pid_exists(server.pid)) == (True, True)
        assert client.create_session("mine").directory == str(project)
        assert client.stop_server() is True
        assert not psutil.pid_exists(server.pid)


def test_a_server_that_the_gateway_did_not_start_is_left_running(
    client: IpcClient, server: RealServer
) -> None:
    with pytest.raises(IpcServerError, match="left running"):
        client.stop_server()
    assert server.is_running


# --- On the wire ---


@pytest.fixture
def raw(gateway: Gateway) -> Iterator[Raw]:
    with Raw(gateway) as raw:
        yield raw


PAYLOADS = sorted(
    field.name
    for field in ipc_pb2.IpcClientMessage.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.name != "auth_handshake"
)


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_payload_is_served(raw: Raw, name: str) -> None:
    """Even with nothing in it: it is refused by name or done, and never "not implemented"."""
    request = ipc_pb2.IpcClientMessage(request_id=2)
    getattr(request, name).SetInParent()
    answer = raw.ask(request)
    assert answer.error.code not in (
        ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED,
        ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR,
    )
    assert answer.error.message != "No payload in message"


def test_cancel_by_hand(raw: Raw, asked: Asked) -> None:
    """Of a run: both are answered, and nothing runs any more."""
    run = ipc_pb2.IpcClientMessage(request_id=2)
    run.prompt.session_id = asked.id
    run.prompt.text = "[[words:1000]] [[pause:50]]"
    run.prompt.events = 2  # type: ignore[assignment]
    raw.send(run)
    while raw.receive().event.event.type != "message.part.delta":
        pass
    raw.send(ipc_pb2.IpcClientMessage(request_id=3, cancel={"request_id": 2}))
    answers: dict[int, ipc_pb2.IpcServerMessage] = {}
    while len(answers) < 2:
        message = raw.receive()
        if not message.HasField("event"):
            answers[message.request_id] = message
    assert answers[2].run_result.failure.kind == "cancelled"
    assert answers[3].cancel_response.found
    assert not asked.runs()
    answer = raw.ask(ipc_pb2.IpcClientMessage(request_id=4, cancel={"request_id": 2}))
    assert not answer.cancel_response.found


def test_a_scoped_request_by_hand(raw: Raw, elsewhere: Path, server: RealServer) -> None:
    inner = ipc_pb2.IpcClientMessage()
    inner.create_session.title = "scoped"
    request = ipc_pb2.IpcClientMessage(request_id=2)
    request.scoped.directory = str(elsewhere)
    request.scoped.request = inner.SerializeToString()
    session = raw.ask(request).session_info
    own = server.session(session.id)
    assert own is not None
    assert own["directory"] == session.directory == str(elsewhere)


# --- Project folders ---


def test_a_clients_own_folder_and_that_of_a_call(
    gateway: Gateway, server: RealServer, elsewhere: Path, tmp_path: Path
) -> None:
    config = IpcConfig(gateway.port, gateway.auth_token)
    with IpcClient(config, directory=elsewhere) as client:
        mine = client.create_session("mine")
        assert mine.directory == str(elsewhere)
        assert mine.id in {each.id for each in client.list_sessions()}
        other = client.create_session("other", directory=server.project)
        assert other.directory == str(server.project)
        assert other.id not in {each.id for each in client.list_sessions()}
        with client.stream_prompt(other.id, OUTSIDE, on_permission="ask") as stream:
            question = next(each for each in stream if isinstance(each, PermissionAsked))
            assert question.directory == str(server.project)
            client.reply_permission(question.id, "once", directory=question.directory)
            assert stream.result().finish == "stop"


def test_a_run_sees_the_files_of_its_project(client: IpcClient, elsewhere: Path, stub: Any) -> None:
    (elsewhere / "here.txt").write_text("only here")
    session = client.create_session(directory=elsewhere)
    result = client.prompt(session.id, '[[tool:read {"filePath":"here.txt"}]]')
    assert "only here" in str(result.tool_calls[0].output)


def test_an_image_goes_with_a_message(client: IpcClient, asked: Asked) -> None:
    """One pixel."""
    pixel = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
        "rkJggg=="
    )
    result = client.prompt(asked.id, "[[say:seen]]", files=[f"data:image/png;base64,{pixel}"])
    assert result.text == "seen"
    files = [part for part in asked.stored()[0]["parts"] if part["type"] == "file"]
    assert [part["mime"] for part in files] == ["image/png"]


def test_lists_are_the_same_from_many_threads(client: IpcClient, asked: Asked) -> None:
    readers = [Background(client.get_session, asked.id) for _ in range(8)]
    assert {reader.result(WAIT).id for reader in readers} == {asked.id}
