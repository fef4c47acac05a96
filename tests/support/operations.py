"""Every operation of the client with a good call of it, what goes out and what comes back.

Whoever adds an operation adds a row; ``test_every_operation`` sees to it that none is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opencode_sync.prompts import prompt_result
from opencode_sync.wire import (
    ext_operations_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_auth_pb2,
    oc_tool_pb2,
)
from tests.support import backend as b
from tests.support.backend import Payload

__all__ = ["SAMPLES", "Sample"]

_AUTH = oc_auth_pb2.OcAuth(api=oc_auth_pb2.OcApiAuth(key="sk-of-the-tests"))


@dataclass(frozen=True)
class Sample:
    """A good call."""

    method: str
    """Its name in ``IpcClient`` and in ``client.futures``."""
    operation: str
    """Its name on the wire, in errors and in metrics."""
    request: Any
    """The payload that has to go out."""
    payload: Payload
    """The answer."""
    result: Any
    """What the caller gets."""
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = False
    """Whether it is done again when the connection was lost before the answer came."""
    needs_server: bool = True
    scoped: bool = False
    """Whether it takes a project folder that goes around the request."""

    def answer(self) -> Any:
        """The payload itself."""
        (message,) = self.payload.values()
        return message

    def call(self, where: Any, **options: Any) -> Any:
        """Make the call on a client, or on its futures."""
        return getattr(where, self.method)(*self.arguments, **self.keywords, **options)


SAMPLES = [
    Sample(
        "health_check",
        "check_health",
        ipc_pb2.IpcCheckHealthRequest(),
        b.healthy(),
        True,
        repeatable=True,
    ),
    Sample(
        "check_server_health",
        "check_health",
        ipc_pb2.IpcCheckHealthRequest(),
        b.healthy(),
        True,
        repeatable=True,
    ),
    Sample(
        "discover_server",
        "discover_server",
        ipc_pb2.IpcDiscoverServerRequest(),
        b.discovered(),
        b.discovered()["discover_server_response"].server,
        repeatable=True,
        needs_server=False,
    ),
    Sample(
        "spawn_server",
        "spawn_server",
        ipc_pb2.IpcSpawnServerRequest(port=7000),
        b.spawned(),
        b.spawned()["spawn_server_response"].server,
        (7000,),
        needs_server=False,
    ),
    Sample(
        "stop_server",
        "stop_server",
        ipc_pb2.IpcStopServerRequest(),
        b.stopped(),
        True,
        needs_server=False,
    ),
    Sample(
        "list_sessions",
        "list_sessions",
        ipc_pb2.IpcListSessionsRequest(),
        b.sessions("one", "two"),
        b.sessions("one", "two")["session_list"].sessions,
        repeatable=True,
        scoped=True,
    ),
    Sample(
        "create_session",
        "create_session",
        ipc_pb2.IpcCreateSessionRequest(title="x"),
        b.session("x"),
        b.session("x")["session_info"],
        ("x",),
        scoped=True,
    ),
    Sample(
        "delete_session",
        "delete_session",
        ipc_pb2.IpcDeleteSessionRequest(session_id="ses_1"),
        b.deleted(),
        True,
        ("ses_1",),
    ),
    Sample(
        "send_message",
        "send_message",
        ipc_pb2.IpcSendMessageRequest(
            session_id="ses_1", text="Hi", model_id="m", provider_id="p", agent="plan"
        ),
        b.said("Hello"),
        b.said("Hello")["send_message_response"],
        ("ses_1", "Hi"),
        {"model_id": "m", "provider_id": "p", "agent": "plan"},
    ),
    Sample(
        "list_agents",
        "list_agents",
        ipc_pb2.IpcListAgentsRequest(),
        b.agents("build", "plan"),
        b.agents("build", "plan")["agent_list"].agents,
        repeatable=True,
        scoped=True,
    ),
    Sample(
        "get_provider_status",
        "get_provider_status",
        ipc_pb2.IpcGetProviderStatusRequest(),
        b.providers("anthropic", "openai"),
        ["anthropic", "openai"],
        repeatable=True,
        scoped=True,
    ),
    Sample(
        "set_auth",
        "set_auth",
        ipc_pb2.IpcSetAuthRequest(
            provider_id="anthropic",
            auth=oc_auth_pb2.OcAuth(api=oc_auth_pb2.OcApiAuth(type="api", key="sk-of-the-tests")),
        ),
        b.auth(),
        b.auth()["auth_info"],
        ("anthropic", _AUTH),
    ),
    Sample(
        "get_auth",
        "get_auth",
        ipc_pb2.IpcGetAuthRequest(provider_id="anthropic"),
        b.auth("sk-...abcd"),
        b.auth("sk-...abcd")["auth_info"],
        ("anthropic",),
        repeatable=True,
    ),
    Sample(
        "get_oauth_status",
        "get_oauth_status",
        ipc_pb2.IpcGetOAuthStatusRequest(provider_id="anthropic"),
        b.oauth_status(),
        b.oauth_status()["oauth_status_response"],
        ("anthropic",),
        repeatable=True,
    ),
    Sample(
        "sync_auth_keys",
        "sync_auth_keys",
        # A second less than the default time-out of 30.
        ipc_pb2.IpcSyncAuthKeysRequest(skip_oauth_providers=False, timeout_secs=29),
        b.synced("anthropic"),
        b.synced("anthropic")["auth_sync_response"],
        (False,),
    ),
    Sample(
        "get_config",
        "get_config",
        ipc_pb2.IpcGetConfigRequest(),
        b.config(),
        b.config()["get_config_response"],
        repeatable=True,
        needs_server=False,
    ),
    Sample(
        "update_config",
        "update_config",
        ipc_pb2.IpcUpdateConfigRequest(config_json='{"version": 2}'),
        b.updated(),
        b.updated()["update_config_response"],
        ('{"version": 2}',),
        needs_server=False,
    ),
    Sample(
        "get_backend_info",
        "get_backend_info",
        ext_operations_pb2.IpcGetBackendInfoRequest(),
        b.backend_info(),
        b.backend_info()["backend_info"],
        repeatable=True,
        needs_server=False,
    ),
    Sample(
        "get_session",
        "get_session",
        ext_operations_pb2.IpcGetSessionRequest(session_id="ses_1"),
        b.session("x"),
        b.session("x")["session_info"],
        ("ses_1",),
        repeatable=True,
    ),
    Sample(
        "update_session",
        "update_session",
        ext_operations_pb2.IpcUpdateSessionRequest(session_id="ses_1", title="y", archived=False),
        b.session("y"),
        b.session("y")["session_info"],
        ("ses_1",),
        {"title": "y", "archived": False},
    ),
    Sample(
        "list_messages",
        "list_messages",
        ext_operations_pb2.IpcListMessagesRequest(session_id="ses_1", limit=2),
        b.messages("one", "two"),
        b.messages("one", "two")["message_list"].messages,
        ("ses_1",),
        {"limit": 2},
        repeatable=True,
    ),
    Sample(
        "abort_session",
        "abort_session",
        ext_operations_pb2.IpcAbortSessionRequest(session_id="ses_1"),
        b.aborted(),
        True,
        ("ses_1",),
    ),
    Sample(
        "list_models",
        "list_models",
        ext_operations_pb2.IpcListModelsRequest(),
        b.models("one", "two"),
        b.models("one", "two")["model_list"],
        repeatable=True,
        scoped=True,
    ),
    Sample(
        "reply_permission",
        "reply_permission",
        ext_operations_pb2.IpcReplyPermissionRequest(
            permission_id="per_1", reply=oc_tool_pb2.DENY, message="use ls", directory="/project"
        ),
        b.permission_replied(),
        None,
        ("per_1", "reject"),
        {"message": "use ls", "directory": "/project"},
    ),
    Sample(
        "reply_question",
        "reply_question",
        ext_operations_pb2.IpcReplyQuestionRequest(
            question_id="que_1",
            answers=[
                ext_operations_pb2.IpcAnswer(labels=["red", "blue"]),
                ext_operations_pb2.IpcAnswer(labels=[]),
            ],
        ),
        b.question_replied(),
        None,
        ("que_1", [["red", "blue"], ()]),
    ),
    Sample(
        "prompt",
        "prompt",
        ext_prompt_pb2.IpcPromptRequest(
            session_id="ses_1",
            text="Hi",
            provider_id="p",
            model_id="m/1",
            agent="plan",
            system="Be brief.",
            schema_json='{"type": "object"}',
            permissions=ext_prompt_pb2.IPC_ANSWER_POLICY_ONCE,
            questions=ext_prompt_pb2.IPC_ANSWER_POLICY_REJECT,
            events=ext_prompt_pb2.IPC_RUN_EVENTS_ATTENTION,
            timeout_seconds=605,
        ),
        b.ran("Hello"),
        prompt_result(b.ran("Hello")["run_result"]),
        ("ses_1", "Hi"),
        {
            "model": "p/m/1",
            "agent": "plan",
            "system": "Be brief.",
            "schema": {"type": "object"},
            "on_permission": "once",
        },
    ),
]
"""One good call of each."""
