from opencode_sync.wire import ext_event_pb2 as _ext_event_pb2
from opencode_sync.wire import oc_message_pb2 as _oc_message_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IpcAnswerPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IPC_ANSWER_POLICY_UNSPECIFIED: _ClassVar[IpcAnswerPolicy]
    IPC_ANSWER_POLICY_REJECT: _ClassVar[IpcAnswerPolicy]
    IPC_ANSWER_POLICY_ONCE: _ClassVar[IpcAnswerPolicy]
    IPC_ANSWER_POLICY_ALWAYS: _ClassVar[IpcAnswerPolicy]
    IPC_ANSWER_POLICY_ASK: _ClassVar[IpcAnswerPolicy]

class IpcRunEvents(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IPC_RUN_EVENTS_NONE: _ClassVar[IpcRunEvents]
    IPC_RUN_EVENTS_ATTENTION: _ClassVar[IpcRunEvents]
    IPC_RUN_EVENTS_ALL: _ClassVar[IpcRunEvents]
IPC_ANSWER_POLICY_UNSPECIFIED: IpcAnswerPolicy
IPC_ANSWER_POLICY_REJECT: IpcAnswerPolicy
IPC_ANSWER_POLICY_ONCE: IpcAnswerPolicy
IPC_ANSWER_POLICY_ALWAYS: IpcAnswerPolicy
IPC_ANSWER_POLICY_ASK: IpcAnswerPolicy
IPC_RUN_EVENTS_NONE: IpcRunEvents
IPC_RUN_EVENTS_ATTENTION: IpcRunEvents
IPC_RUN_EVENTS_ALL: IpcRunEvents

class IpcPromptRequest(_message.Message):
    __slots__ = ("session_id", "text", "files", "provider_id", "model_id", "agent", "system", "schema_json", "permissions", "questions", "events", "timeout_seconds", "reject_message")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    PERMISSIONS_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REJECT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    text: str
    files: _containers.RepeatedCompositeFieldContainer[IpcPromptFile]
    provider_id: str
    model_id: str
    agent: str
    system: str
    schema_json: str
    permissions: IpcAnswerPolicy
    questions: IpcAnswerPolicy
    events: IpcRunEvents
    timeout_seconds: float
    reject_message: str
    def __init__(self, session_id: _Optional[str] = ..., text: _Optional[str] = ..., files: _Optional[_Iterable[_Union[IpcPromptFile, _Mapping[str, _Any]]]] = ..., provider_id: _Optional[str] = ..., model_id: _Optional[str] = ..., agent: _Optional[str] = ..., system: _Optional[str] = ..., schema_json: _Optional[str] = ..., permissions: _Optional[_Union[IpcAnswerPolicy, str]] = ..., questions: _Optional[_Union[IpcAnswerPolicy, str]] = ..., events: _Optional[_Union[IpcRunEvents, str]] = ..., timeout_seconds: _Optional[float] = ..., reject_message: _Optional[str] = ...) -> None: ...

class IpcPromptFile(_message.Message):
    __slots__ = ("url", "mime", "filename")
    URL_FIELD_NUMBER: _ClassVar[int]
    MIME_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    url: str
    mime: str
    filename: str
    def __init__(self, url: _Optional[str] = ..., mime: _Optional[str] = ..., filename: _Optional[str] = ...) -> None: ...

class IpcRunResult(_message.Message):
    __slots__ = ("session_id", "user_message_id", "messages", "structured_json", "finish", "failure", "retries", "missed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    STRUCTURED_JSON_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    user_message_id: str
    messages: _containers.RepeatedCompositeFieldContainer[_oc_message_pb2.OcMessage]
    structured_json: str
    finish: str
    failure: IpcRunFailure
    retries: _containers.RepeatedCompositeFieldContainer[_ext_event_pb2.IpcRetry]
    missed: int
    def __init__(self, session_id: _Optional[str] = ..., user_message_id: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_oc_message_pb2.OcMessage, _Mapping[str, _Any]]]] = ..., structured_json: _Optional[str] = ..., finish: _Optional[str] = ..., failure: _Optional[_Union[IpcRunFailure, _Mapping[str, _Any]]] = ..., retries: _Optional[_Iterable[_Union[_ext_event_pb2.IpcRetry, _Mapping[str, _Any]]]] = ..., missed: _Optional[int] = ...) -> None: ...

class IpcRunFailure(_message.Message):
    __slots__ = ("kind", "message", "status", "retryable", "provider_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    status: int
    retryable: bool
    provider_id: str
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ..., status: _Optional[int] = ..., retryable: bool = ..., provider_id: _Optional[str] = ...) -> None: ...
