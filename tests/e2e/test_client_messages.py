"""Client, WebSocket, gateway, a real OpenCode, and a stub for its model: the whole way and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opencode_sync import IpcClient, IpcConfig, IpcServerError
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import (
    MessageTokens,
    OAuthStatusType,
    OcApiAuth,
    OcAuth,
    is_assistant,
    message_cost,
    message_error,
    message_text,
    message_tokens,
)
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import KEY, StubModel

pytestmark = pytest.mark.e2e

MODEL = {"provider_id": "stub", "model_id": "stub-1"}


@pytest.fixture(scope="module")
def stub() -> Iterator[StubModel]:
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def server(
    opencode_program: Path, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """A server of this module's own, whose provider "stub" is the stub model."""
    folder = tmp_path_factory.mktemp("opencode-of-a-client")
    environ = {"OPENCODE_CONFIG_CONTENT": stub.config()}
    running = RealServer(opencode_program, folder, environ=environ)
    yield running
    running.stop()


@pytest.fixture
def client(server: RealServer, tmp_path: Path) -> Iterator[IpcClient]:
    backend = OpenCodeBackend(server.url, config_file=tmp_path / "settings" / "config.json")
    with (
        Gateway(backend) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        yield client


def test_an_answer_with_its_text_cost_and_tokens(client: IpcClient, server: RealServer) -> None:
    session = client.create_session("asked")
    answer = client.send_message(session.id, "[[say:Grüße 🚀]]", **MODEL)
    assert is_assistant(answer)
    assert message_text(answer) == "Grüße 🚀"
    assert message_error(answer) is None
    assert message_tokens(answer) == MessageTokens(60, 15, 40, 0, 5)
    status, own = server.request("GET", f"/session/{session.id}/message/{answer.assistant.id}")
    assert status == 200
    assert message_cost(answer) == own["info"]["cost"] > 0


def test_a_refused_key_is_an_answer_that_says_so(client: IpcClient) -> None:
    session = client.create_session("refused")
    answer = client.send_message(session.id, "[[401]]", **MODEL)
    error = message_error(answer)
    assert error is not None
    assert "status 401" in error
    assert KEY not in str(answer)


@pytest.mark.parametrize(
    "changes", [{"model_id": "nope"}, {"provider_id": "nope"}, {"agent": "nope"}]
)
def test_what_does_not_exist_is_named(client: IpcClient, changes: dict[str, str]) -> None:
    session = client.create_session("asked in vain")
    with pytest.raises(IpcServerError, match=next(iter(changes))) as caught:
        client.send_message(session.id, "Hi", **(MODEL | changes))  # type: ignore[arg-type]
    assert caught.value.code_name == "INVALID_MESSAGE"


def test_other_calls_go_on_while_the_model_thinks(client: IpcClient, stub: StubModel) -> None:
    session = client.create_session("slow")
    future = client.futures.send_message(session.id, "[[slow]]", **MODEL)
    try:
        assert stub.slow_started.acquire(timeout=30)
        for _ in range(5):
            assert session.id in {each.id for each in client.list_sessions(timeout=5)}
        assert not future.done()
    finally:
        stub.release()
    assert message_error(future.result(30)) is None


def test_agents_and_providers(client: IpcClient) -> None:
    assert {"build", "plan", "title"} <= {agent.name for agent in client.list_agents()}
    assert "stub" in client.get_provider_status()


def test_credentials_are_kept_and_shown_masked(client: IpcClient) -> None:
    key = "sk-of-this-test-0123456789abcdef"
    assert client.get_auth("groq").WhichOneof("auth") is None
    missing = client.get_oauth_status("groq")
    assert missing.status == OAuthStatusType.OAUTH_STATUS_TYPE_NOT_CONFIGURED

    stored = client.set_auth("groq", OcAuth(api=OcApiAuth(key=key)))
    assert (stored.WhichOneof("auth"), stored.api.key) == ("api", "")
    kept = client.get_auth("groq")
    assert kept.api.type == "api"
    assert kept.api.key not in ("", key)
    found = client.get_oauth_status("groq")
    assert found.status == OAuthStatusType.OAUTH_STATUS_TYPE_API_KEY


def test_settings_are_replaced_or_refused(client: IpcClient) -> None:
    assert client.update_config('{"version": 1}').success
    before = client.get_config().app_config_json
    refused = client.update_config("{")
    assert (refused.success, bool(refused.error)) == (False, True)
    assert client.get_config().app_config_json == before
