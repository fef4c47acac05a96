"""The operations on sessions, and the message that is sent to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.base import Operation, Request, make_request
from opencode_sync.operations.checks import check_id, check_size, check_text
from opencode_sync.wire import ipc_pb2, oc_message_pb2, oc_session_pb2

__all__ = ["create_session", "delete_session", "list_sessions", "send_message"]


def _sessions(answer: oc_session_pb2.OcSessionList) -> Sequence[oc_session_pb2.OcSessionInfo]:
    return answer.sessions


def _session(answer: oc_session_pb2.OcSessionInfo) -> oc_session_pb2.OcSessionInfo:
    return answer


def _success(answer: ipc_pb2.IpcDeleteSessionResponse) -> bool:
    return answer.success


def _assistant_message(answer: oc_message_pb2.OcMessage) -> oc_message_pb2.OcMessage:
    if not answer.HasField("assistant"):
        raise ValueError("holds no message of the model's")
    return answer


_LIST_SESSIONS: Final = Operation("list_sessions", "session_list", _sessions, True, True)
_CREATE_SESSION: Final = Operation("create_session", "session_info", _session, False, True)
_DELETE_SESSION: Final = Operation(
    "delete_session", "delete_session_response", _success, False, True
)
_SEND_MESSAGE: Final = Operation(
    "send_message",
    "send_message_response",
    _assistant_message,
    False,
    True,
    default_timeout="default_prompt_timeout",
)


def list_sessions() -> Request[Sequence[oc_session_pb2.OcSessionInfo]]:
    """List all sessions."""
    message = ipc_pb2.IpcClientMessage(list_sessions=ipc_pb2.IpcListSessionsRequest())
    return make_request(_LIST_SESSIONS, message)


def create_session(title: str | None) -> Request[oc_session_pb2.OcSessionInfo]:
    """Create a session."""
    if title is not None:
        check_text(title, "title", "or None for a title of OpenCode's own")
    message = ipc_pb2.IpcClientMessage(create_session=ipc_pb2.IpcCreateSessionRequest(title=title))
    return make_request(_CREATE_SESSION, message)


def delete_session(session_id: str) -> Request[bool]:
    """Delete a session."""
    _check_session_id(session_id)
    message = ipc_pb2.IpcClientMessage(
        delete_session=ipc_pb2.IpcDeleteSessionRequest(session_id=session_id)
    )
    return make_request(_DELETE_SESSION, message)


def send_message(
    session_id: str, text: str, *, model_id: str, provider_id: str, agent: str | None
) -> Request[oc_message_pb2.OcMessage]:
    """Send a text to the model and get the whole answer; ``agent`` None is OpenCode's default."""
    _check_session_id(session_id)
    check_text(text, "text", "what the model shall answer")
    if not text.strip():
        raise IpcArgumentError("text is blank; give what the model shall answer", field="text")
    check_size(text, "text", "send a part of it, or name a file for the model to read")
    check_id(model_id, "model_id", "the id of a model", 'such as "claude-sonnet-4-5"')
    check_id(provider_id, "provider_id", "the id of a provider", "as get_provider_status gives it")
    if agent is not None:
        check_id(agent, "agent", "an agent's name", 'as list_agents gives it, or None for "build"')
    request = ipc_pb2.IpcSendMessageRequest(
        session_id=session_id,
        text=text,
        model_id=model_id,
        provider_id=provider_id,
        agent=agent,
    )
    return make_request(_SEND_MESSAGE, ipc_pb2.IpcClientMessage(send_message=request))


def _check_session_id(session_id: object) -> None:
    check_id(
        session_id,
        "session_id",
        "the id of a session",
        "as create_session and list_sessions give it",
    )
