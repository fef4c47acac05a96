"""The operations on sessions, and the message that is sent to one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.base import Operation, Request, make_request
from opencode_sync.operations.checks import (
    Folder,
    check_directory,
    check_flag,
    check_id,
    check_session_id,
    check_size,
    check_text,
)
from opencode_sync.wire import ext_operations_pb2, ipc_pb2, oc_message_pb2, oc_session_pb2

__all__ = [
    "abort_session",
    "create_session",
    "delete_session",
    "get_session",
    "list_messages",
    "list_sessions",
    "send_message",
    "update_session",
]


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


def _messages(
    answer: ext_operations_pb2.IpcMessageList,
) -> Sequence[oc_message_pb2.OcMessage]:
    return answer.messages


def _aborted(answer: ext_operations_pb2.IpcAbortSessionResponse) -> bool:
    return answer.success


_LIST_SESSIONS: Final = Operation(
    "list_sessions", "session_list", _sessions, True, True, scoped=True
)
_CREATE_SESSION: Final = Operation(
    "create_session", "session_info", _session, False, True, scoped=True
)
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
    cancellable=True,
)
_GET_SESSION: Final = Operation("get_session", "session_info", _session, True, True)
_UPDATE_SESSION: Final = Operation("update_session", "session_info", _session, False, True)
_LIST_MESSAGES: Final = Operation("list_messages", "message_list", _messages, True, True)
_ABORT_SESSION: Final = Operation("abort_session", "abort_session_response", _aborted, False, True)


def list_sessions(directory: Folder = None) -> Request[Sequence[oc_session_pb2.OcSessionInfo]]:
    """List all sessions."""
    return _list_sessions(check_directory(directory))


@lru_cache(maxsize=16)
def _list_sessions(directory: str | None) -> Request[Sequence[oc_session_pb2.OcSessionInfo]]:
    message = ipc_pb2.IpcClientMessage(list_sessions=ipc_pb2.IpcListSessionsRequest())
    return make_request(_LIST_SESSIONS, message, directory)


def create_session(
    title: str | None, directory: Folder = None
) -> Request[oc_session_pb2.OcSessionInfo]:
    """Create a session."""
    if title is not None:
        check_text(title, "title", "or None for a title of OpenCode's own")
    message = ipc_pb2.IpcClientMessage(create_session=ipc_pb2.IpcCreateSessionRequest(title=title))
    return make_request(_CREATE_SESSION, message, check_directory(directory))


def delete_session(session_id: str) -> Request[bool]:
    """Delete a session."""
    check_session_id(session_id)
    message = ipc_pb2.IpcClientMessage(
        delete_session=ipc_pb2.IpcDeleteSessionRequest(session_id=session_id)
    )
    return make_request(_DELETE_SESSION, message)


def send_message(
    session_id: str, text: str, *, model_id: str, provider_id: str, agent: str | None
) -> Request[oc_message_pb2.OcMessage]:
    """Send a text to the model and get the whole answer; ``agent`` None is OpenCode's default."""
    check_session_id(session_id)
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


def get_session(session_id: str) -> Request[oc_session_pb2.OcSessionInfo]:
    """Ask for one session."""
    check_session_id(session_id)
    request = ext_operations_pb2.IpcGetSessionRequest(session_id=session_id)
    return make_request(_GET_SESSION, ipc_pb2.IpcClientMessage(get_session=request))


def update_session(
    session_id: str, *, title: str | None, archived: bool | None
) -> Request[oc_session_pb2.OcSessionInfo]:
    """Change a session's title, or put it into the archive or take it out; None leaves it."""
    check_session_id(session_id)
    if title is None and archived is None:
        raise IpcArgumentError(
            "title and archived are both None, so nothing would change; give at least one of them",
            field="title",
        )
    if title is not None:
        check_text(title, "title", "or None to leave it")
    if archived is not None:
        check_flag(
            archived,
            "archived",
            "give True to archive the session, False to take it out, or None to leave it",
        )
    request = ext_operations_pb2.IpcUpdateSessionRequest(session_id=session_id, title=title)
    if archived is not None:
        request.archived = archived
    return make_request(_UPDATE_SESSION, ipc_pb2.IpcClientMessage(update_session=request))


def list_messages(
    session_id: str, *, limit: int | None
) -> Request[Sequence[oc_message_pb2.OcMessage]]:
    """Ask for a session's messages; the newest ``limit`` of them, None for all."""
    check_session_id(session_id)
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit < 2**32
    ):
        raise IpcArgumentError(
            f"limit is {limit!r:.60}; give a whole number from 1 to {2**32 - 1}, or None for all "
            "messages",
            field="limit",
        )
    request = ext_operations_pb2.IpcListMessagesRequest(session_id=session_id, limit=limit or 0)
    return make_request(_LIST_MESSAGES, ipc_pb2.IpcClientMessage(list_messages=request))


def abort_session(session_id: str) -> Request[bool]:
    """Abort whatever runs in a session."""
    check_session_id(session_id)
    request = ext_operations_pb2.IpcAbortSessionRequest(session_id=session_id)
    return make_request(_ABORT_SESSION, ipc_pb2.IpcClientMessage(abort_session=request))
