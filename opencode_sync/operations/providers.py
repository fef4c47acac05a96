"""The operations on agents, model providers and their credentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opencode_sync.errors import IpcArgumentError
from opencode_sync.operations.base import Operation, Request, make_request
from opencode_sync.operations.checks import Folder, check_directory, check_flag, check_id
from opencode_sync.wire import ext_operations_pb2, ipc_pb2, oc_agent_pb2, oc_auth_pb2

__all__ = [
    "get_auth",
    "get_oauth_status",
    "get_provider_status",
    "list_agents",
    "list_models",
    "set_auth",
    "sync_auth_keys",
]


def _agents(answer: oc_agent_pb2.OcAgentList) -> Sequence[oc_agent_pb2.OcAgentInfo]:
    return answer.agents


def _connected(answer: ipc_pb2.IpcProviderStatus) -> Sequence[str]:
    return answer.connected


def _models(answer: ext_operations_pb2.IpcModelList) -> ext_operations_pb2.IpcModelList:
    return answer


def _auth(answer: oc_auth_pb2.OcAuth) -> oc_auth_pb2.OcAuth:
    return answer


def _oauth_status(answer: ipc_pb2.IpcOAuthStatusResponse) -> ipc_pb2.IpcOAuthStatusResponse:
    return answer


def _sync_result(answer: ipc_pb2.IpcAuthSyncResponse) -> ipc_pb2.IpcAuthSyncResponse:
    return answer


_LIST_AGENTS: Final = Operation("list_agents", "agent_list", _agents, True, True, scoped=True)
_GET_PROVIDER_STATUS: Final = Operation(
    "get_provider_status", "provider_status", _connected, True, True, scoped=True
)
_LIST_MODELS: Final = Operation("list_models", "model_list", _models, True, True, scoped=True)
_SET_AUTH: Final = Operation("set_auth", "auth_info", _auth, False, True)
_GET_AUTH: Final = Operation("get_auth", "auth_info", _auth, True, True)
_GET_OAUTH_STATUS: Final = Operation(
    "get_oauth_status", "oauth_status_response", _oauth_status, True, True
)
_SYNC_AUTH_KEYS: Final = Operation(
    "sync_auth_keys", "auth_sync_response", _sync_result, False, True
)


def list_agents(directory: Folder = None) -> Request[Sequence[oc_agent_pb2.OcAgentInfo]]:
    """List all agents, the hidden ones included."""
    message = ipc_pb2.IpcClientMessage(list_agents=ipc_pb2.IpcListAgentsRequest())
    return make_request(_LIST_AGENTS, message, check_directory(directory))


def get_provider_status(directory: Folder = None) -> Request[Sequence[str]]:
    """Ask which model providers can be used."""
    message = ipc_pb2.IpcClientMessage(get_provider_status=ipc_pb2.IpcGetProviderStatusRequest())
    return make_request(_GET_PROVIDER_STATUS, message, check_directory(directory))


def list_models(directory: Folder = None) -> Request[ext_operations_pb2.IpcModelList]:
    """Ask for the models that can be used."""
    message = ipc_pb2.IpcClientMessage(list_models=ext_operations_pb2.IpcListModelsRequest())
    return make_request(_LIST_MODELS, message, check_directory(directory))


def set_auth(provider_id: str, auth: oc_auth_pb2.OcAuth) -> Request[oc_auth_pb2.OcAuth]:
    """Store the credentials of a provider."""
    _check_provider_id(provider_id)
    request = ipc_pb2.IpcSetAuthRequest(provider_id=provider_id, auth=_checked_auth(auth))
    return make_request(_SET_AUTH, ipc_pb2.IpcClientMessage(set_auth=request))


def get_auth(provider_id: str) -> Request[oc_auth_pb2.OcAuth]:
    """Ask for the credentials of a provider, their secrets masked."""
    _check_provider_id(provider_id)
    message = ipc_pb2.IpcClientMessage(get_auth=ipc_pb2.IpcGetAuthRequest(provider_id=provider_id))
    return make_request(_GET_AUTH, message)


def get_oauth_status(provider_id: str) -> Request[ipc_pb2.IpcOAuthStatusResponse]:
    """Ask how a provider is authenticated."""
    _check_provider_id(provider_id)
    request = ipc_pb2.IpcGetOAuthStatusRequest(provider_id=provider_id)
    return make_request(_GET_OAUTH_STATUS, ipc_pb2.IpcClientMessage(get_oauth_status=request))


def sync_auth_keys(skip_oauth_providers: bool) -> Request[ipc_pb2.IpcAuthSyncResponse]:
    """Have the backend copy the API keys that it finds to OpenCode."""
    check_flag(
        skip_oauth_providers,
        "skip_oauth_providers",
        "give True to leave providers with an OAuth login alone, or False",
    )

    def encode(timeout: float) -> bytes:
        request = ipc_pb2.IpcSyncAuthKeysRequest(
            skip_oauth_providers=skip_oauth_providers, timeout_secs=_seconds_of_sync(timeout)
        )
        return ipc_pb2.IpcClientMessage(sync_auth_keys=request).SerializeToString()

    return Request(_SYNC_AUTH_KEYS, encode(0), encode)


def _seconds_of_sync(timeout: float) -> int:
    # Less than the caller has, if it can be: what was done in part shall be here before he gives
    # up. Not 0, which a backend may take for no limit or for no time; and the field has 32 bits.
    return min(max(1, int(timeout - 1)), 2**32 - 1)


def _check_provider_id(provider_id: object) -> None:
    check_id(provider_id, "provider_id", "the id of a provider", 'such as "anthropic"')


# For each kind of credentials: what `type` says, and the fields that must not be blank.
_KINDS: Final = {
    "oauth": ("oauth", ("refresh", "access")),
    "api": ("api", ("key",)),
    "well_known": ("wellknown", ("key", "token")),
}


def _checked_auth(auth: object) -> oc_auth_pb2.OcAuth:
    """Return a copy that is complete; no error ever shows a value."""
    if not isinstance(auth, oc_auth_pb2.OcAuth):
        raise IpcArgumentError(
            f"auth is of type {type(auth).__name__}; give an OcAuth, such as "
            "OcAuth(api=OcApiAuth(key=...))",
            field="auth",
        )
    kind = auth.WhichOneof("auth")
    if kind is None:
        raise IpcArgumentError(
            "auth holds no credentials; set one of its fields api, oauth and well_known",
            field="auth",
        )
    word, required = _KINDS[kind]
    copied = oc_auth_pb2.OcAuth()
    copied.CopyFrom(auth)
    credentials = getattr(copied, kind)
    if credentials.type not in ("", word):
        raise IpcArgumentError(
            f"auth.{kind}.type is another than {word!r}; leave it empty, or give {word!r}",
            field="auth",
        )
    credentials.type = word
    for name in required:
        if not getattr(credentials, name).strip():
            raise IpcArgumentError(f"auth.{kind}.{name} is blank; give its text", field="auth")
    if kind == "oauth" and not (credentials.expires >= 0 and credentials.expires.is_integer()):
        raise IpcArgumentError(
            "auth.oauth.expires is no whole number from 0 up; give Unix milliseconds", field="auth"
        )
    return copied
