from opencode_sync.wire import ext_types_pb2 as _ext_types_pb2
from opencode_sync.wire import oc_message_error_pb2 as _oc_message_error_pb2
from opencode_sync.wire import oc_message_part_pb2 as _oc_message_part_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcMessage(_message.Message):
    __slots__ = ("user", "assistant")
    USER_FIELD_NUMBER: _ClassVar[int]
    ASSISTANT_FIELD_NUMBER: _ClassVar[int]
    user: OcUserMessage
    assistant: OcAssistantMessage
    def __init__(self, user: _Optional[_Union[OcUserMessage, _Mapping[str, _Any]]] = ..., assistant: _Optional[_Union[OcAssistantMessage, _Mapping[str, _Any]]] = ...) -> None: ...

class OcUserMessage(_message.Message):
    __slots__ = ("id", "session_id", "role", "model", "parts", "text", "created", "agent", "system")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    role: str
    model: OcModelReference
    parts: _containers.RepeatedCompositeFieldContainer[_oc_message_part_pb2.OcPart]
    text: str
    created: int
    agent: str
    system: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., role: _Optional[str] = ..., model: _Optional[_Union[OcModelReference, _Mapping[str, _Any]]] = ..., parts: _Optional[_Iterable[_Union[_oc_message_part_pb2.OcPart, _Mapping[str, _Any]]]] = ..., text: _Optional[str] = ..., created: _Optional[int] = ..., agent: _Optional[str] = ..., system: _Optional[str] = ...) -> None: ...

class OcAssistantMessage(_message.Message):
    __slots__ = ("id", "session_id", "role", "model", "parts", "text", "tokens", "cost", "error", "parent_id", "created", "completed", "finish", "agent", "usage", "structured_json", "summary")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    STRUCTURED_JSON_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    role: str
    model: OcModelReference
    parts: _containers.RepeatedCompositeFieldContainer[_oc_message_part_pb2.OcPart]
    text: str
    tokens: OcTokenUsage
    cost: float
    error: _oc_message_error_pb2.OcMessageError
    parent_id: str
    created: int
    completed: int
    finish: str
    agent: str
    usage: _ext_types_pb2.IpcUsage
    structured_json: str
    summary: bool
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., role: _Optional[str] = ..., model: _Optional[_Union[OcModelReference, _Mapping[str, _Any]]] = ..., parts: _Optional[_Iterable[_Union[_oc_message_part_pb2.OcPart, _Mapping[str, _Any]]]] = ..., text: _Optional[str] = ..., tokens: _Optional[_Union[OcTokenUsage, _Mapping[str, _Any]]] = ..., cost: _Optional[float] = ..., error: _Optional[_Union[_oc_message_error_pb2.OcMessageError, _Mapping[str, _Any]]] = ..., parent_id: _Optional[str] = ..., created: _Optional[int] = ..., completed: _Optional[int] = ..., finish: _Optional[str] = ..., agent: _Optional[str] = ..., usage: _Optional[_Union[_ext_types_pb2.IpcUsage, _Mapping[str, _Any]]] = ..., structured_json: _Optional[str] = ..., summary: bool = ...) -> None: ...

class OcModelReference(_message.Message):
    __slots__ = ("model_id", "provider_id")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    provider_id: str
    def __init__(self, model_id: _Optional[str] = ..., provider_id: _Optional[str] = ...) -> None: ...

class OcTokenUsage(_message.Message):
    __slots__ = ("input", "output", "cache_read", "cache_write")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_FIELD_NUMBER: _ClassVar[int]
    input: int
    output: int
    cache_read: int
    cache_write: int
    def __init__(self, input: _Optional[int] = ..., output: _Optional[int] = ..., cache_read: _Optional[int] = ..., cache_write: _Optional[int] = ...) -> None: ...
