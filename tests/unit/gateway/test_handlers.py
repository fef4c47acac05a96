"""The operations that need a model or providers: fields to the backend, results to the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.wire import (
    ipc_pb2,
    oc_agent_pb2,
    oc_auth_pb2,
    oc_message_pb2,
)
from tests.unit.gateway.doubles import ScriptedBackend, answer_of

MESSAGE = oc_message_pb2.OcMessage(assistant=oc_message_pb2.OcAssistantMessage(id="msg_1"))
AUTH = oc_auth_pb2.OcAuth(api=oc_auth_pb2.OcApiAuth(type="api", key="k"))


class FullBackend(ScriptedBackend):
    """Has every operation; remembers what each was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.called: dict[str, Any] = {}
        self.seconds = 0.0
        self.result: Any = None

    def _answer(self, deadline: Any, *args: Any, **fields: Any) -> Any:
        self.seconds = deadline.remaining()
        self.called = {"args": args, **fields}
        return self.result

    def __getattribute__(self, name: str) -> Any:
        if name in OPERATIONS:
            return lambda *args, deadline, **fields: self._answer(deadline, *args, **fields)
        return super().__getattribute__(name)


OPERATIONS = (
    "send_message",
    "list_agents",
    "connected_providers",
    "set_auth",
    "get_auth",
    "oauth_status",
    "sync_auth_keys",
    "get_config",
    "update_config",
)


@pytest.fixture
def backend() -> FullBackend:
    return FullBackend()


@pytest.fixture
def ask(backend: FullBackend) -> Callable[..., ipc_pb2.IpcServerMessage]:
    dispatcher = Dispatcher(
        backend, request_timeout=30, prompt_timeout=600, max_message_size=1_000_000
    )

    def send(operation: str, result: Any, **fields: Any) -> ipc_pb2.IpcServerMessage:
        backend.result = result
        request = ipc_pb2.IpcClientMessage(request_id=2)
        payload: Message = getattr(request, operation)
        payload.SetInParent()
        for name, value in fields.items():
            if isinstance(value, Message):
                getattr(payload, name).CopyFrom(value)
            else:
                setattr(payload, name, value)
        return answer_of(dispatcher, request)

    return send


PROMPT = {"session_id": "ses_1", "text": "hi", "model_id": "m", "provider_id": "p"}


@pytest.mark.parametrize(
    ("fields", "agent"), [({}, None), ({"agent": ""}, ""), ({"agent": "a"}, "a")]
)
def test_send_message(ask: Any, backend: FullBackend, fields: Any, agent: str | None) -> None:
    assert ask("send_message", MESSAGE, **PROMPT, **fields).send_message_response == MESSAGE
    assert not backend.called.pop("cancellation").cancelled
    assert backend.called == {
        "args": ("ses_1", "hi"),
        "model_id": "m",
        "provider_id": "p",
        "agent": agent,
    }
    assert 590 < backend.seconds <= 600


def test_list_agents(ask: Any, backend: FullBackend) -> None:
    answer = ask("list_agents", [oc_agent_pb2.OcAgentInfo(name="build")])
    assert [agent.name for agent in answer.agent_list.agents] == ["build"]
    assert 20 < backend.seconds <= 30
    assert ask("list_agents", []).WhichOneof("payload") == "agent_list"


def test_get_provider_status(ask: Any) -> None:
    assert ask("get_provider_status", ["a", "b"]).provider_status.connected == ["a", "b"]
    assert ask("get_provider_status", []).WhichOneof("payload") == "provider_status"


def test_set_auth(ask: Any, backend: FullBackend) -> None:
    emptied = oc_auth_pb2.OcAuth(api=oc_auth_pb2.OcApiAuth(type="api"))
    assert ask("set_auth", emptied, provider_id="p", auth=AUTH).auth_info == emptied
    assert backend.called == {"args": ("p", AUTH)}


def test_get_auth(ask: Any, backend: FullBackend) -> None:
    assert ask("get_auth", AUTH, provider_id="p").auth_info == AUTH
    assert backend.called == {"args": ("p",)}
    none = ask("get_auth", None, provider_id="p")
    assert none.WhichOneof("payload") == "auth_info"
    assert none.auth_info.WhichOneof("auth") is None


def test_get_oauth_status(ask: Any, backend: FullBackend) -> None:
    status = ipc_pb2.IpcOAuthStatusResponse(status=ipc_pb2.OAUTH_STATUS_TYPE_API_KEY)
    assert ask("get_oauth_status", status, provider_id="p").oauth_status_response == status
    assert backend.called == {"args": ("p",)}


@pytest.mark.parametrize(("asked", "given"), [(0, 30), (5, 5), (4_000_000_000, 600)])
def test_sync_auth_keys(ask: Any, backend: FullBackend, asked: int, given: float) -> None:
    result = ipc_pb2.IpcAuthSyncResponse(duration_ms=5)
    answer = ask("sync_auth_keys", result, skip_oauth_providers=True, timeout_secs=asked)
    assert answer.auth_sync_response == result
    assert backend.called == {"args": (), "skip_oauth_providers": True}
    assert given - 5 < backend.seconds <= given


def test_get_config(ask: Any) -> None:
    config = ipc_pb2.IpcGetConfigResponse(app_config_json="{}", models_config_json="{}")
    assert ask("get_config", config).get_config_response == config


def test_update_config(ask: Any, backend: FullBackend) -> None:
    result = ipc_pb2.IpcUpdateConfigResponse(success=False, error="no")
    assert ask("update_config", result, config_json="{").update_config_response == result
    assert backend.called == {"args": ("{",)}


def test_an_answer_that_is_too_large_says_what_to_do(ask: Any) -> None:
    large = oc_message_pb2.OcMessage(
        assistant=oc_message_pb2.OcAssistantMessage(text="x" * 1_000_001)
    )
    error = ask("send_message", large, **PROMPT).error
    assert error.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
    assert error.message.endswith("ask the agent for a shorter answer, or to write it into a file")


@pytest.mark.parametrize(
    "operation",
    [
        "send_message",
        "list_agents",
        "get_provider_status",
        "set_auth",
        "get_auth",
        "get_oauth_status",
        "sync_auth_keys",
        "get_config",
        "update_config",
    ],
)
def test_a_backend_without_an_operation_says_which_has_it(operation: str) -> None:
    dispatcher = Dispatcher(ScriptedBackend(), request_timeout=1, max_message_size=1000)
    request = ipc_pb2.IpcClientMessage(request_id=2)
    getattr(request, operation).SetInParent()
    error = answer_of(dispatcher, request).error
    assert error.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED
    assert error.message.startswith(f"{operation} is not served by this gateway")
    assert "start the gateway with --backend opencode" in error.message
