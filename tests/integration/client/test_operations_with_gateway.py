"""The operations that a model or settings are needed for: client, WebSocket, gateway, backend.

The backend only notes what it was asked and answers from a table; what a real OpenCode makes of it
is tested end to end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opencode_sync import (
    IpcClient,
    IpcConfig,
    IpcServerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
)
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend, Gateway
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.types import (
    IpcAuthSyncResponse,
    IpcErrorCode,
    IpcGetConfigResponse,
    IpcOAuthStatusResponse,
    IpcProviderSyncResult,
    IpcUpdateConfigResponse,
    OAuthStatusType,
    OcAgentInfo,
    OcApiAuth,
    OcAssistantMessage,
    OcAuth,
    OcMessage,
    message_text,
)
from tests.support.backend import WAIT

KEY = "sk-of-this-test-0123456789"


class NotingBackend(EmbeddedBackend):
    """Answers the nine operations without a model, and remembers what it was asked."""

    def __init__(self, folder: Path) -> None:
        settings = AppConfigStore(folder / "settings" / "config.json")
        super().__init__(folder / "sessions.db", config=settings)
        self.asked: list[tuple[Any, ...]] = []
        self.seconds: dict[str, float] = {}
        self.asked_for_text = threading.Event()
        self.release = threading.Event()
        self.failure: BackendError | None = None
        self.auth: OcAuth | None = OcAuth(api=OcApiAuth(type="api", key="sk-...6789"))

    def _note(self, deadline: Deadline, *call: Any) -> None:
        self.asked.append(call)
        self.seconds[call[0]] = deadline.remaining() or 0.0
        if self.failure is not None:
            raise self.failure

    def list_agents(self, *, deadline: Deadline) -> list[OcAgentInfo]:
        self._note(deadline, "list_agents")
        return [OcAgentInfo(name="build", mode="primary")]

    def connected_providers(self, *, deadline: Deadline) -> list[str]:
        self._note(deadline, "connected_providers")
        return ["anthropic", "opencode"]

    def set_auth(self, provider_id: str, auth: OcAuth, *, deadline: Deadline) -> OcAuth:
        self._note(deadline, "set_auth", provider_id, auth.api.type, auth.api.key)
        return OcAuth(api=OcApiAuth(type="api"))

    def get_auth(self, provider_id: str, *, deadline: Deadline) -> OcAuth | None:
        self._note(deadline, "get_auth", provider_id)
        return self.auth

    def oauth_status(self, provider_id: str, *, deadline: Deadline) -> IpcOAuthStatusResponse:
        self._note(deadline, "oauth_status", provider_id)
        return IpcOAuthStatusResponse(
            status=OAuthStatusType.OAUTH_STATUS_TYPE_CONFIGURED, reason="a login"
        )

    def get_config(self, *, deadline: Deadline) -> IpcGetConfigResponse:
        self._note(deadline, "get_config")
        return IpcGetConfigResponse(app_config_json="{}", models_config_json="[]")

    def update_config(self, config_json: str, *, deadline: Deadline) -> IpcUpdateConfigResponse:
        self._note(deadline, "update_config", config_json)
        return IpcUpdateConfigResponse(success=False, error="not today")

    def sync_auth_keys(
        self, *, skip_oauth_providers: bool, deadline: Deadline
    ) -> IpcAuthSyncResponse:
        self._note(deadline, "sync_auth_keys", skip_oauth_providers)
        return IpcAuthSyncResponse(failed=[IpcProviderSyncResult(provider="openai", status_code=0)])

    def send_message(
        self,
        session_id: str,
        text: str,
        *,
        model_id: str,
        provider_id: str,
        agent: str | None,
        deadline: Deadline,
        cancellation: Cancellation | None = None,
    ) -> OcMessage:
        self._note(deadline, "send_message", session_id, text, model_id, provider_id, agent)
        if text == "think":
            self.asked_for_text.set()
            assert self.release.wait(WAIT)
        return OcMessage(assistant=OcAssistantMessage(id="msg_1", text=f"You said: {text}"))


@pytest.fixture
def backend(tmp_path: Path, nothing_left_behind: None) -> NotingBackend:
    return NotingBackend(tmp_path)


@pytest.fixture
def client(backend: NotingBackend) -> Iterator[IpcClient]:
    with (
        Gateway(backend) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        yield client
        backend.release.set()


def test_each_operation_arrives_and_its_answer_comes_back(
    client: IpcClient, backend: NotingBackend
) -> None:
    (agent,) = client.list_agents()
    assert (agent.name, agent.mode) == ("build", "primary")
    assert client.get_provider_status() == ["anthropic", "opencode"]
    stored = client.set_auth("anthropic", OcAuth(api=OcApiAuth(key=KEY)))
    assert stored == OcAuth(api=OcApiAuth(type="api"))
    assert client.get_auth("anthropic").api.key == "sk-...6789"
    status = client.get_oauth_status("openai")
    assert (status.status, status.reason) == (1, "a login")
    assert client.get_config().models_config_json == "[]"
    outcome = client.update_config({"version": 1})
    assert (outcome.success, outcome.error) == (False, "not today")
    (failed,) = client.sync_auth_keys(False).failed
    assert failed.HasField("status_code")
    assert backend.asked == [
        ("list_agents",),
        ("connected_providers",),
        ("set_auth", "anthropic", "api", KEY),
        ("get_auth", "anthropic"),
        ("oauth_status", "openai"),
        ("get_config",),
        ("update_config", '{"version": 1}'),
        ("sync_auth_keys", False),
    ]


def test_a_provider_without_credentials_has_an_answer_with_nothing_in_it(
    client: IpcClient, backend: NotingBackend
) -> None:
    backend.auth = None
    assert client.get_auth("nobody").WhichOneof("auth") is None


def test_a_text_arrives_as_it_was_sent(client: IpcClient, backend: NotingBackend) -> None:
    text = "Grüße\n\N{SNOWMAN}\0 \U0001f600"
    answer = client.send_message("ses_1", text, model_id="m", provider_id="p")
    assert message_text(answer) == f"You said: {text}"
    client.send_message("ses_1", "x", model_id="m", provider_id="p", agent="plan")
    assert backend.asked == [
        ("send_message", "ses_1", text, "m", "p", None),
        ("send_message", "ses_1", "x", "m", "p", "plan"),
    ]
    assert backend.seconds["send_message"] > 500  # the time of a run, not of a request


def test_a_text_of_five_megabytes_arrives(client: IpcClient) -> None:
    text = "0123456789" * 500_000
    answer = client.send_message("ses_1", text, model_id="m", provider_id="p")
    assert message_text(answer) == f"You said: {text}"


def test_a_long_answer_holds_up_nobody(client: IpcClient, backend: NotingBackend) -> None:
    future = client.futures.send_message("ses_1", "think", model_id="m", provider_id="p")
    assert backend.asked_for_text.wait(WAIT)
    for _ in range(20):
        assert client.list_sessions(timeout=2) == []
    assert not future.done()
    backend.release.set()
    assert message_text(future.result(WAIT)) == "You said: think"


def test_giving_up_on_an_answer_takes_as_long_as_was_said(
    client: IpcClient, backend: NotingBackend
) -> None:
    began = time.monotonic()
    with pytest.raises(IpcTimeoutError) as caught:
        client.send_message("ses_1", "think", model_id="m", provider_id="p", timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 8
    assert caught.value.operation == "send_message"
    assert client.get_provider_status() == ["anthropic", "opencode"]


def test_the_backend_has_a_second_less_for_keys_than_the_caller(
    client: IpcClient, backend: NotingBackend
) -> None:
    client.sync_auth_keys(timeout=5)
    assert 3 < backend.seconds["sync_auth_keys"] <= 4


def test_an_error_keeps_its_code_and_text(client: IpcClient, backend: NotingBackend) -> None:
    backend.failure = BackendError(IpcErrorCode.IPC_ERROR_CODE_AUTH_ERROR, "the provider is locked")
    with pytest.raises(IpcServerError, match="the provider is locked") as caught:
        client.set_auth("anthropic", OcAuth(api=OcApiAuth(key=KEY)))
    assert caught.value.code_name == "AUTH_ERROR"
    assert KEY not in repr(vars(caught.value)) + str(caught.value)


def test_a_backend_without_a_model_says_so_and_what_to_do(tmp_path: Path) -> None:
    bare = EmbeddedBackend(tmp_path / "s.db", config=AppConfigStore(tmp_path / "c" / "config.json"))
    with (
        Gateway(bare) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        for call in (
            lambda: client.send_message("ses_1", "Hi", model_id="m", provider_id="p"),
            client.list_agents,
            client.get_provider_status,
            lambda: client.set_auth("p", OcAuth(api=OcApiAuth(key=KEY))),
            lambda: client.get_auth("p"),
            lambda: client.get_oauth_status("p"),
            client.sync_auth_keys,
        ):
            with pytest.raises(IpcUnsupportedOperationError, match="--backend opencode"):
                call()
        assert client.get_config().app_config_json.startswith("{")
        refused = client.update_config("no JSON")
        assert not refused.success
        assert refused.error
