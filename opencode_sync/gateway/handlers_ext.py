"""Which of this project's extensions is served by what, as ``handlers`` has it for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.wire import ipc_pb2

__all__ = ["EXTENSION_HANDLERS"]


def _get_backend_info(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.backend_info.CopyFrom(backend.backend_info(deadline=deadline))
    answer.backend_info.version = _own_version()


def _own_version() -> str:
    try:
        return metadata.version("opencode-sync-sdk")
    except metadata.PackageNotFoundError:  # used from a folder, without an installation
        return "0"


def _get_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    session_id = request.get_session.session_id
    answer.session_info.CopyFrom(backend.get_session(session_id, deadline=deadline))


def _update_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.update_session
    title = wanted.title if wanted.HasField("title") else None
    archived = wanted.archived if wanted.HasField("archived") else None
    if title is None and archived is None:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
            "update_session changes nothing; give it a title, archived, or both",
        )
    session = backend.update_session(
        wanted.session_id, title=title, archived=archived, deadline=deadline
    )
    answer.session_info.CopyFrom(session)


def _list_messages(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.list_messages
    answer.message_list.SetInParent()
    answer.message_list.messages.extend(
        backend.list_messages(wanted.session_id, limit=wanted.limit, deadline=deadline)
    )


def _abort_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    success = backend.abort_session(request.abort_session.session_id, deadline=deadline)
    answer.abort_session_response.success = success
    answer.abort_session_response.SetInParent()


def _list_models(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.model_list.CopyFrom(backend.list_models(deadline=deadline))


def _reply_permission(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    backend.reply_permission(request.reply_permission, deadline=deadline)
    answer.reply_permission_response.SetInParent()


def _reply_question(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    backend.reply_question(request.reply_question, deadline=deadline)
    answer.reply_question_response.SetInParent()


EXTENSION_HANDLERS: Mapping[
    str,
    Callable[[Backend, ipc_pb2.IpcClientMessage, ipc_pb2.IpcServerMessage, Deadline], None],
] = {
    "get_backend_info": _get_backend_info,
    "get_session": _get_session,
    "update_session": _update_session,
    "list_messages": _list_messages,
    "abort_session": _abort_session,
    "list_models": _list_models,
    "reply_permission": _reply_permission,
    "reply_question": _reply_question,
}
