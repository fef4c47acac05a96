"""Which payload is served by what: a request's fields to the backend, its result to the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError
from opencode_sync.gateway.handlers_ext import EXTENSION_HANDLERS
from opencode_sync.wire import ipc_pb2

__all__ = ["HANDLERS", "Handler"]

Handler = Callable[
    [Backend, ipc_pb2.IpcClientMessage, ipc_pb2.IpcServerMessage, Deadline],
    None,
]


def _discover_server(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.discover_server_response.SetInParent()
    server = backend.discover_server(deadline=deadline)
    if server is not None:
        answer.discover_server_response.server.CopyFrom(server)


def _spawn_server(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.spawn_server
    port = wanted.port if wanted.HasField("port") else None
    if port is not None and not 1024 <= port <= 65535:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
            f"port must be from 1024 to 65535, but is {port}; leave it out to have one chosen",
        )
    server = backend.spawn_server(port, deadline=deadline)
    answer.spawn_server_response.server.CopyFrom(server)


def _check_health(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.check_health_response.healthy = backend.check_health(deadline=deadline)
    answer.check_health_response.SetInParent()


def _stop_server(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.stop_server_response.success = backend.stop_server(deadline=deadline)
    answer.stop_server_response.SetInParent()


def _list_sessions(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.session_list.SetInParent()
    answer.session_list.sessions.extend(backend.list_sessions(deadline=deadline))


def _create_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.create_session
    title = wanted.title if wanted.HasField("title") else None
    answer.session_info.CopyFrom(backend.create_session(title, deadline=deadline))


def _delete_session(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    session_id = request.delete_session.session_id
    success = backend.delete_session(session_id, deadline=deadline)
    answer.delete_session_response.success = success
    answer.delete_session_response.SetInParent()


def _list_agents(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.agent_list.SetInParent()
    answer.agent_list.agents.extend(backend.list_agents(deadline=deadline))


def _get_provider_status(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.provider_status.SetInParent()
    answer.provider_status.connected.extend(backend.connected_providers(deadline=deadline))


def _set_auth(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    wanted = request.set_auth
    stored = backend.set_auth(wanted.provider_id, wanted.auth, deadline=deadline)
    answer.auth_info.CopyFrom(stored)


def _get_auth(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    auth = backend.get_auth(request.get_auth.provider_id, deadline=deadline)
    answer.auth_info.SetInParent()  # without any credentials if there are none
    if auth is not None:
        answer.auth_info.CopyFrom(auth)


def _get_oauth_status(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    status = backend.oauth_status(request.get_oauth_status.provider_id, deadline=deadline)
    answer.oauth_status_response.CopyFrom(status)


def _sync_auth_keys(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    skip = request.sync_auth_keys.skip_oauth_providers
    result = backend.sync_auth_keys(skip_oauth_providers=skip, deadline=deadline)
    answer.auth_sync_response.CopyFrom(result)


def _get_config(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    answer.get_config_response.CopyFrom(backend.get_config(deadline=deadline))


def _update_config(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
) -> None:
    result = backend.update_config(request.update_config.config_json, deadline=deadline)
    answer.update_config_response.CopyFrom(result)


HANDLERS: Mapping[str, Handler] = {
    "discover_server": _discover_server,
    "spawn_server": _spawn_server,
    "check_health": _check_health,
    "stop_server": _stop_server,
    "list_sessions": _list_sessions,
    "create_session": _create_session,
    "delete_session": _delete_session,
    "list_agents": _list_agents,
    "get_provider_status": _get_provider_status,
    "set_auth": _set_auth,
    "get_auth": _get_auth,
    "get_oauth_status": _get_oauth_status,
    "sync_auth_keys": _sync_auth_keys,
    "get_config": _get_config,
    "update_config": _update_config,
    **EXTENSION_HANDLERS,
}
