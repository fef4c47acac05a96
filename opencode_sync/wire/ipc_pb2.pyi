from opencode_sync.wire import ext_event_pb2 as _ext_event_pb2
from opencode_sync.wire import ext_operations_pb2 as _ext_operations_pb2
from opencode_sync.wire import ext_prompt_pb2 as _ext_prompt_pb2
from opencode_sync.wire import oc_agent_pb2 as _oc_agent_pb2
from opencode_sync.wire import oc_auth_pb2 as _oc_auth_pb2
from opencode_sync.wire import oc_message_pb2 as _oc_message_pb2
from opencode_sync.wire import oc_session_pb2 as _oc_session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IpcErrorCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IPC_ERROR_CODE_UNKNOWN: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_INVALID_MESSAGE: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_NOT_IMPLEMENTED: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_AUTH_ERROR: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_INTERNAL_ERROR: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_NO_SERVER: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_SERVER_ERROR: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_AUTH_SYNC_FAILED: _ClassVar[IpcErrorCode]
    IPC_ERROR_CODE_KEY_VALIDATION_FAILED: _ClassVar[IpcErrorCode]

class OAuthStatusType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OAUTH_STATUS_TYPE_UNKNOWN: _ClassVar[OAuthStatusType]
    OAUTH_STATUS_TYPE_CONFIGURED: _ClassVar[OAuthStatusType]
    OAUTH_STATUS_TYPE_API_KEY: _ClassVar[OAuthStatusType]
    OAUTH_STATUS_TYPE_WELL_KNOWN: _ClassVar[OAuthStatusType]
    OAUTH_STATUS_TYPE_NOT_CONFIGURED: _ClassVar[OAuthStatusType]
IPC_ERROR_CODE_UNKNOWN: IpcErrorCode
IPC_ERROR_CODE_INVALID_MESSAGE: IpcErrorCode
IPC_ERROR_CODE_NOT_IMPLEMENTED: IpcErrorCode
IPC_ERROR_CODE_AUTH_ERROR: IpcErrorCode
IPC_ERROR_CODE_INTERNAL_ERROR: IpcErrorCode
IPC_ERROR_CODE_NO_SERVER: IpcErrorCode
IPC_ERROR_CODE_SERVER_ERROR: IpcErrorCode
IPC_ERROR_CODE_AUTH_SYNC_FAILED: IpcErrorCode
IPC_ERROR_CODE_KEY_VALIDATION_FAILED: IpcErrorCode
OAUTH_STATUS_TYPE_UNKNOWN: OAuthStatusType
OAUTH_STATUS_TYPE_CONFIGURED: OAuthStatusType
OAUTH_STATUS_TYPE_API_KEY: OAuthStatusType
OAUTH_STATUS_TYPE_WELL_KNOWN: OAuthStatusType
OAUTH_STATUS_TYPE_NOT_CONFIGURED: OAuthStatusType

class IpcClientMessage(_message.Message):
    __slots__ = ("request_id", "auth_handshake", "discover_server", "spawn_server", "check_health", "stop_server", "list_sessions", "create_session", "delete_session", "list_agents", "get_provider_status", "set_auth", "get_auth", "get_config", "update_config", "sync_auth_keys", "get_oauth_status", "send_message", "scoped", "cancel", "get_backend_info", "get_session", "update_session", "list_messages", "abort_session", "list_models", "reply_permission", "reply_question", "subscribe", "unsubscribe", "prompt", "traceparent", "tracestate")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AUTH_HANDSHAKE_FIELD_NUMBER: _ClassVar[int]
    DISCOVER_SERVER_FIELD_NUMBER: _ClassVar[int]
    SPAWN_SERVER_FIELD_NUMBER: _ClassVar[int]
    CHECK_HEALTH_FIELD_NUMBER: _ClassVar[int]
    STOP_SERVER_FIELD_NUMBER: _ClassVar[int]
    LIST_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    CREATE_SESSION_FIELD_NUMBER: _ClassVar[int]
    DELETE_SESSION_FIELD_NUMBER: _ClassVar[int]
    LIST_AGENTS_FIELD_NUMBER: _ClassVar[int]
    GET_PROVIDER_STATUS_FIELD_NUMBER: _ClassVar[int]
    SET_AUTH_FIELD_NUMBER: _ClassVar[int]
    GET_AUTH_FIELD_NUMBER: _ClassVar[int]
    GET_CONFIG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    SYNC_AUTH_KEYS_FIELD_NUMBER: _ClassVar[int]
    GET_OAUTH_STATUS_FIELD_NUMBER: _ClassVar[int]
    SEND_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SCOPED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    GET_BACKEND_INFO_FIELD_NUMBER: _ClassVar[int]
    GET_SESSION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_SESSION_FIELD_NUMBER: _ClassVar[int]
    LIST_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    ABORT_SESSION_FIELD_NUMBER: _ClassVar[int]
    LIST_MODELS_FIELD_NUMBER: _ClassVar[int]
    REPLY_PERMISSION_FIELD_NUMBER: _ClassVar[int]
    REPLY_QUESTION_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TRACESTATE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    auth_handshake: IpcAuthHandshake
    discover_server: IpcDiscoverServerRequest
    spawn_server: IpcSpawnServerRequest
    check_health: IpcCheckHealthRequest
    stop_server: IpcStopServerRequest
    list_sessions: IpcListSessionsRequest
    create_session: IpcCreateSessionRequest
    delete_session: IpcDeleteSessionRequest
    list_agents: IpcListAgentsRequest
    get_provider_status: IpcGetProviderStatusRequest
    set_auth: IpcSetAuthRequest
    get_auth: IpcGetAuthRequest
    get_config: IpcGetConfigRequest
    update_config: IpcUpdateConfigRequest
    sync_auth_keys: IpcSyncAuthKeysRequest
    get_oauth_status: IpcGetOAuthStatusRequest
    send_message: IpcSendMessageRequest
    scoped: _ext_operations_pb2.IpcScopedRequest
    cancel: _ext_operations_pb2.IpcCancelRequest
    get_backend_info: _ext_operations_pb2.IpcGetBackendInfoRequest
    get_session: _ext_operations_pb2.IpcGetSessionRequest
    update_session: _ext_operations_pb2.IpcUpdateSessionRequest
    list_messages: _ext_operations_pb2.IpcListMessagesRequest
    abort_session: _ext_operations_pb2.IpcAbortSessionRequest
    list_models: _ext_operations_pb2.IpcListModelsRequest
    reply_permission: _ext_operations_pb2.IpcReplyPermissionRequest
    reply_question: _ext_operations_pb2.IpcReplyQuestionRequest
    subscribe: _ext_event_pb2.IpcSubscribeRequest
    unsubscribe: _ext_event_pb2.IpcUnsubscribeRequest
    prompt: _ext_prompt_pb2.IpcPromptRequest
    traceparent: str
    tracestate: str
    def __init__(self, request_id: _Optional[int] = ..., auth_handshake: _Optional[_Union[IpcAuthHandshake, _Mapping[str, _Any]]] = ..., discover_server: _Optional[_Union[IpcDiscoverServerRequest, _Mapping[str, _Any]]] = ..., spawn_server: _Optional[_Union[IpcSpawnServerRequest, _Mapping[str, _Any]]] = ..., check_health: _Optional[_Union[IpcCheckHealthRequest, _Mapping[str, _Any]]] = ..., stop_server: _Optional[_Union[IpcStopServerRequest, _Mapping[str, _Any]]] = ..., list_sessions: _Optional[_Union[IpcListSessionsRequest, _Mapping[str, _Any]]] = ..., create_session: _Optional[_Union[IpcCreateSessionRequest, _Mapping[str, _Any]]] = ..., delete_session: _Optional[_Union[IpcDeleteSessionRequest, _Mapping[str, _Any]]] = ..., list_agents: _Optional[_Union[IpcListAgentsRequest, _Mapping[str, _Any]]] = ..., get_provider_status: _Optional[_Union[IpcGetProviderStatusRequest, _Mapping[str, _Any]]] = ..., set_auth: _Optional[_Union[IpcSetAuthRequest, _Mapping[str, _Any]]] = ..., get_auth: _Optional[_Union[IpcGetAuthRequest, _Mapping[str, _Any]]] = ..., get_config: _Optional[_Union[IpcGetConfigRequest, _Mapping[str, _Any]]] = ..., update_config: _Optional[_Union[IpcUpdateConfigRequest, _Mapping[str, _Any]]] = ..., sync_auth_keys: _Optional[_Union[IpcSyncAuthKeysRequest, _Mapping[str, _Any]]] = ..., get_oauth_status: _Optional[_Union[IpcGetOAuthStatusRequest, _Mapping[str, _Any]]] = ..., send_message: _Optional[_Union[IpcSendMessageRequest, _Mapping[str, _Any]]] = ..., scoped: _Optional[_Union[_ext_operations_pb2.IpcScopedRequest, _Mapping[str, _Any]]] = ..., cancel: _Optional[_Union[_ext_operations_pb2.IpcCancelRequest, _Mapping[str, _Any]]] = ..., get_backend_info: _Optional[_Union[_ext_operations_pb2.IpcGetBackendInfoRequest, _Mapping[str, _Any]]] = ..., get_session: _Optional[_Union[_ext_operations_pb2.IpcGetSessionRequest, _Mapping[str, _Any]]] = ..., update_session: _Optional[_Union[_ext_operations_pb2.IpcUpdateSessionRequest, _Mapping[str, _Any]]] = ..., list_messages: _Optional[_Union[_ext_operations_pb2.IpcListMessagesRequest, _Mapping[str, _Any]]] = ..., abort_session: _Optional[_Union[_ext_operations_pb2.IpcAbortSessionRequest, _Mapping[str, _Any]]] = ..., list_models: _Optional[_Union[_ext_operations_pb2.IpcListModelsRequest, _Mapping[str, _Any]]] = ..., reply_permission: _Optional[_Union[_ext_operations_pb2.IpcReplyPermissionRequest, _Mapping[str, _Any]]] = ..., reply_question: _Optional[_Union[_ext_operations_pb2.IpcReplyQuestionRequest, _Mapping[str, _Any]]] = ..., subscribe: _Optional[_Union[_ext_event_pb2.IpcSubscribeRequest, _Mapping[str, _Any]]] = ..., unsubscribe: _Optional[_Union[_ext_event_pb2.IpcUnsubscribeRequest, _Mapping[str, _Any]]] = ..., prompt: _Optional[_Union[_ext_prompt_pb2.IpcPromptRequest, _Mapping[str, _Any]]] = ..., traceparent: _Optional[str] = ..., tracestate: _Optional[str] = ...) -> None: ...

class IpcServerMessage(_message.Message):
    __slots__ = ("request_id", "auth_handshake_response", "discover_server_response", "spawn_server_response", "check_health_response", "stop_server_response", "session_list", "session_info", "delete_session_response", "agent_list", "provider_status", "auth_info", "get_config_response", "update_config_response", "auth_sync_response", "oauth_status_response", "send_message_response", "error", "cancel_response", "backend_info", "message_list", "abort_session_response", "model_list", "reply_permission_response", "reply_question_response", "subscribed", "unsubscribe_response", "event", "subscription_end", "run_result")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AUTH_HANDSHAKE_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    DISCOVER_SERVER_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SPAWN_SERVER_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    CHECK_HEALTH_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STOP_SERVER_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SESSION_LIST_FIELD_NUMBER: _ClassVar[int]
    SESSION_INFO_FIELD_NUMBER: _ClassVar[int]
    DELETE_SESSION_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    AGENT_LIST_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_STATUS_FIELD_NUMBER: _ClassVar[int]
    AUTH_INFO_FIELD_NUMBER: _ClassVar[int]
    GET_CONFIG_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_CONFIG_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    AUTH_SYNC_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    OAUTH_STATUS_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SEND_MESSAGE_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CANCEL_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_INFO_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_LIST_FIELD_NUMBER: _ClassVar[int]
    ABORT_SESSION_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    MODEL_LIST_FIELD_NUMBER: _ClassVar[int]
    REPLY_PERMISSION_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    REPLY_QUESTION_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBED_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_END_FIELD_NUMBER: _ClassVar[int]
    RUN_RESULT_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    auth_handshake_response: IpcAuthHandshakeResponse
    discover_server_response: IpcDiscoverServerResponse
    spawn_server_response: IpcSpawnServerResponse
    check_health_response: IpcCheckHealthResponse
    stop_server_response: IpcStopServerResponse
    session_list: _oc_session_pb2.OcSessionList
    session_info: _oc_session_pb2.OcSessionInfo
    delete_session_response: IpcDeleteSessionResponse
    agent_list: _oc_agent_pb2.OcAgentList
    provider_status: IpcProviderStatus
    auth_info: _oc_auth_pb2.OcAuth
    get_config_response: IpcGetConfigResponse
    update_config_response: IpcUpdateConfigResponse
    auth_sync_response: IpcAuthSyncResponse
    oauth_status_response: IpcOAuthStatusResponse
    send_message_response: _oc_message_pb2.OcMessage
    error: IpcErrorResponse
    cancel_response: _ext_operations_pb2.IpcCancelResponse
    backend_info: _ext_operations_pb2.IpcBackendInfo
    message_list: _ext_operations_pb2.IpcMessageList
    abort_session_response: _ext_operations_pb2.IpcAbortSessionResponse
    model_list: _ext_operations_pb2.IpcModelList
    reply_permission_response: _ext_operations_pb2.IpcReplyPermissionResponse
    reply_question_response: _ext_operations_pb2.IpcReplyQuestionResponse
    subscribed: _ext_event_pb2.IpcSubscribed
    unsubscribe_response: _ext_event_pb2.IpcUnsubscribeResponse
    event: _ext_event_pb2.IpcEventPush
    subscription_end: _ext_event_pb2.IpcSubscriptionEnd
    run_result: _ext_prompt_pb2.IpcRunResult
    def __init__(self, request_id: _Optional[int] = ..., auth_handshake_response: _Optional[_Union[IpcAuthHandshakeResponse, _Mapping[str, _Any]]] = ..., discover_server_response: _Optional[_Union[IpcDiscoverServerResponse, _Mapping[str, _Any]]] = ..., spawn_server_response: _Optional[_Union[IpcSpawnServerResponse, _Mapping[str, _Any]]] = ..., check_health_response: _Optional[_Union[IpcCheckHealthResponse, _Mapping[str, _Any]]] = ..., stop_server_response: _Optional[_Union[IpcStopServerResponse, _Mapping[str, _Any]]] = ..., session_list: _Optional[_Union[_oc_session_pb2.OcSessionList, _Mapping[str, _Any]]] = ..., session_info: _Optional[_Union[_oc_session_pb2.OcSessionInfo, _Mapping[str, _Any]]] = ..., delete_session_response: _Optional[_Union[IpcDeleteSessionResponse, _Mapping[str, _Any]]] = ..., agent_list: _Optional[_Union[_oc_agent_pb2.OcAgentList, _Mapping[str, _Any]]] = ..., provider_status: _Optional[_Union[IpcProviderStatus, _Mapping[str, _Any]]] = ..., auth_info: _Optional[_Union[_oc_auth_pb2.OcAuth, _Mapping[str, _Any]]] = ..., get_config_response: _Optional[_Union[IpcGetConfigResponse, _Mapping[str, _Any]]] = ..., update_config_response: _Optional[_Union[IpcUpdateConfigResponse, _Mapping[str, _Any]]] = ..., auth_sync_response: _Optional[_Union[IpcAuthSyncResponse, _Mapping[str, _Any]]] = ..., oauth_status_response: _Optional[_Union[IpcOAuthStatusResponse, _Mapping[str, _Any]]] = ..., send_message_response: _Optional[_Union[_oc_message_pb2.OcMessage, _Mapping[str, _Any]]] = ..., error: _Optional[_Union[IpcErrorResponse, _Mapping[str, _Any]]] = ..., cancel_response: _Optional[_Union[_ext_operations_pb2.IpcCancelResponse, _Mapping[str, _Any]]] = ..., backend_info: _Optional[_Union[_ext_operations_pb2.IpcBackendInfo, _Mapping[str, _Any]]] = ..., message_list: _Optional[_Union[_ext_operations_pb2.IpcMessageList, _Mapping[str, _Any]]] = ..., abort_session_response: _Optional[_Union[_ext_operations_pb2.IpcAbortSessionResponse, _Mapping[str, _Any]]] = ..., model_list: _Optional[_Union[_ext_operations_pb2.IpcModelList, _Mapping[str, _Any]]] = ..., reply_permission_response: _Optional[_Union[_ext_operations_pb2.IpcReplyPermissionResponse, _Mapping[str, _Any]]] = ..., reply_question_response: _Optional[_Union[_ext_operations_pb2.IpcReplyQuestionResponse, _Mapping[str, _Any]]] = ..., subscribed: _Optional[_Union[_ext_event_pb2.IpcSubscribed, _Mapping[str, _Any]]] = ..., unsubscribe_response: _Optional[_Union[_ext_event_pb2.IpcUnsubscribeResponse, _Mapping[str, _Any]]] = ..., event: _Optional[_Union[_ext_event_pb2.IpcEventPush, _Mapping[str, _Any]]] = ..., subscription_end: _Optional[_Union[_ext_event_pb2.IpcSubscriptionEnd, _Mapping[str, _Any]]] = ..., run_result: _Optional[_Union[_ext_prompt_pb2.IpcRunResult, _Mapping[str, _Any]]] = ...) -> None: ...

class IpcAuthHandshake(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class IpcAuthHandshakeResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: bool = ..., error: _Optional[str] = ...) -> None: ...

class IpcServerInfo(_message.Message):
    __slots__ = ("pid", "port", "base_url", "name", "command", "owned")
    PID_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    OWNED_FIELD_NUMBER: _ClassVar[int]
    pid: int
    port: int
    base_url: str
    name: str
    command: str
    owned: bool
    def __init__(self, pid: _Optional[int] = ..., port: _Optional[int] = ..., base_url: _Optional[str] = ..., name: _Optional[str] = ..., command: _Optional[str] = ..., owned: bool = ...) -> None: ...

class IpcDiscoverServerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcDiscoverServerResponse(_message.Message):
    __slots__ = ("server",)
    SERVER_FIELD_NUMBER: _ClassVar[int]
    server: IpcServerInfo
    def __init__(self, server: _Optional[_Union[IpcServerInfo, _Mapping[str, _Any]]] = ...) -> None: ...

class IpcSpawnServerRequest(_message.Message):
    __slots__ = ("port",)
    PORT_FIELD_NUMBER: _ClassVar[int]
    port: int
    def __init__(self, port: _Optional[int] = ...) -> None: ...

class IpcSpawnServerResponse(_message.Message):
    __slots__ = ("server",)
    SERVER_FIELD_NUMBER: _ClassVar[int]
    server: IpcServerInfo
    def __init__(self, server: _Optional[_Union[IpcServerInfo, _Mapping[str, _Any]]] = ...) -> None: ...

class IpcCheckHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcCheckHealthResponse(_message.Message):
    __slots__ = ("healthy",)
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    healthy: bool
    def __init__(self, healthy: bool = ...) -> None: ...

class IpcStopServerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcStopServerResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: bool = ...) -> None: ...

class IpcListSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcCreateSessionRequest(_message.Message):
    __slots__ = ("title",)
    TITLE_FIELD_NUMBER: _ClassVar[int]
    title: str
    def __init__(self, title: _Optional[str] = ...) -> None: ...

class IpcDeleteSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class IpcDeleteSessionResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: bool = ...) -> None: ...

class IpcListAgentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcGetProviderStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcProviderStatus(_message.Message):
    __slots__ = ("connected",)
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    connected: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, connected: _Optional[_Iterable[str]] = ...) -> None: ...

class IpcSetAuthRequest(_message.Message):
    __slots__ = ("provider_id", "auth")
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    AUTH_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    auth: _oc_auth_pb2.OcAuth
    def __init__(self, provider_id: _Optional[str] = ..., auth: _Optional[_Union[_oc_auth_pb2.OcAuth, _Mapping[str, _Any]]] = ...) -> None: ...

class IpcGetAuthRequest(_message.Message):
    __slots__ = ("provider_id",)
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    def __init__(self, provider_id: _Optional[str] = ...) -> None: ...

class IpcErrorResponse(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: IpcErrorCode
    message: str
    def __init__(self, code: _Optional[_Union[IpcErrorCode, str]] = ..., message: _Optional[str] = ...) -> None: ...

class IpcGetConfigRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcGetConfigResponse(_message.Message):
    __slots__ = ("app_config_json", "models_config_json")
    APP_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    MODELS_CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    app_config_json: str
    models_config_json: str
    def __init__(self, app_config_json: _Optional[str] = ..., models_config_json: _Optional[str] = ...) -> None: ...

class IpcUpdateConfigRequest(_message.Message):
    __slots__ = ("config_json",)
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    config_json: str
    def __init__(self, config_json: _Optional[str] = ...) -> None: ...

class IpcUpdateConfigResponse(_message.Message):
    __slots__ = ("success", "error")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    def __init__(self, success: bool = ..., error: _Optional[str] = ...) -> None: ...

class IpcSyncAuthKeysRequest(_message.Message):
    __slots__ = ("skip_oauth_providers", "timeout_secs")
    SKIP_OAUTH_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECS_FIELD_NUMBER: _ClassVar[int]
    skip_oauth_providers: bool
    timeout_secs: int
    def __init__(self, skip_oauth_providers: bool = ..., timeout_secs: _Optional[int] = ...) -> None: ...

class IpcAuthSyncResponse(_message.Message):
    __slots__ = ("synced", "failed", "skipped", "validation_failed", "duration_ms")
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FAILED_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    synced: _containers.RepeatedCompositeFieldContainer[IpcProviderSyncResult]
    failed: _containers.RepeatedCompositeFieldContainer[IpcProviderSyncResult]
    skipped: _containers.RepeatedCompositeFieldContainer[IpcProviderSyncResult]
    validation_failed: _containers.RepeatedCompositeFieldContainer[IpcProviderSyncResult]
    duration_ms: int
    def __init__(self, synced: _Optional[_Iterable[_Union[IpcProviderSyncResult, _Mapping[str, _Any]]]] = ..., failed: _Optional[_Iterable[_Union[IpcProviderSyncResult, _Mapping[str, _Any]]]] = ..., skipped: _Optional[_Iterable[_Union[IpcProviderSyncResult, _Mapping[str, _Any]]]] = ..., validation_failed: _Optional[_Iterable[_Union[IpcProviderSyncResult, _Mapping[str, _Any]]]] = ..., duration_ms: _Optional[int] = ...) -> None: ...

class IpcProviderSyncResult(_message.Message):
    __slots__ = ("provider", "error", "retryable", "error_category", "status_code")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
    provider: str
    error: str
    retryable: bool
    error_category: str
    status_code: int
    def __init__(self, provider: _Optional[str] = ..., error: _Optional[str] = ..., retryable: bool = ..., error_category: _Optional[str] = ..., status_code: _Optional[int] = ...) -> None: ...

class IpcGetOAuthStatusRequest(_message.Message):
    __slots__ = ("provider_id",)
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    provider_id: str
    def __init__(self, provider_id: _Optional[str] = ...) -> None: ...

class IpcOAuthStatusResponse(_message.Message):
    __slots__ = ("status", "reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    status: OAuthStatusType
    reason: str
    def __init__(self, status: _Optional[_Union[OAuthStatusType, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class IpcSendMessageRequest(_message.Message):
    __slots__ = ("session_id", "text", "model_id", "provider_id", "agent")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    text: str
    model_id: str
    provider_id: str
    agent: str
    def __init__(self, session_id: _Optional[str] = ..., text: _Optional[str] = ..., model_id: _Optional[str] = ..., provider_id: _Optional[str] = ..., agent: _Optional[str] = ...) -> None: ...
