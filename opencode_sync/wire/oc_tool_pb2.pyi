from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcPermissionReply(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_REPLY_UNSPECIFIED: _ClassVar[OcPermissionReply]
    ALLOW: _ClassVar[OcPermissionReply]
    DENY: _ClassVar[OcPermissionReply]
    ALLOW_ALL: _ClassVar[OcPermissionReply]
PERMISSION_REPLY_UNSPECIFIED: OcPermissionReply
ALLOW: OcPermissionReply
DENY: OcPermissionReply
ALLOW_ALL: OcPermissionReply

class OcToolState(_message.Message):
    __slots__ = ("pending", "running", "completed", "error")
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    pending: OcToolStatePending
    running: OcToolStateRunning
    completed: OcToolStateCompleted
    error: OcToolStateError
    def __init__(self, pending: _Optional[_Union[OcToolStatePending, _Mapping[str, _Any]]] = ..., running: _Optional[_Union[OcToolStateRunning, _Mapping[str, _Any]]] = ..., completed: _Optional[_Union[OcToolStateCompleted, _Mapping[str, _Any]]] = ..., error: _Optional[_Union[OcToolStateError, _Mapping[str, _Any]]] = ...) -> None: ...

class OcToolStatePending(_message.Message):
    __slots__ = ("status", "input", "raw")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    status: str
    input: _struct_pb2.Struct
    raw: str
    def __init__(self, status: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., raw: _Optional[str] = ...) -> None: ...

class OcToolStateRunning(_message.Message):
    __slots__ = ("status", "input", "title", "metadata", "time")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    status: str
    input: _struct_pb2.Struct
    title: str
    metadata: _struct_pb2.Struct
    time: OcToolTime
    def __init__(self, status: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., title: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., time: _Optional[_Union[OcToolTime, _Mapping[str, _Any]]] = ...) -> None: ...

class OcToolStateCompleted(_message.Message):
    __slots__ = ("status", "input", "output", "title", "metadata", "time")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    status: str
    input: _struct_pb2.Struct
    output: str
    title: str
    metadata: _struct_pb2.Struct
    time: OcToolTimeWithEnd
    def __init__(self, status: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., output: _Optional[str] = ..., title: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., time: _Optional[_Union[OcToolTimeWithEnd, _Mapping[str, _Any]]] = ...) -> None: ...

class OcToolStateError(_message.Message):
    __slots__ = ("status", "input", "error", "title", "metadata", "time")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    status: str
    input: _struct_pb2.Struct
    error: str
    title: str
    metadata: _struct_pb2.Struct
    time: OcToolTimeWithEnd
    def __init__(self, status: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., error: _Optional[str] = ..., title: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., time: _Optional[_Union[OcToolTimeWithEnd, _Mapping[str, _Any]]] = ...) -> None: ...

class OcToolTime(_message.Message):
    __slots__ = ("start",)
    START_FIELD_NUMBER: _ClassVar[int]
    start: int
    def __init__(self, start: _Optional[int] = ...) -> None: ...

class OcToolTimeWithEnd(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: int
    end: int
    def __init__(self, start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class OcPermissionRequest(_message.Message):
    __slots__ = ("id", "permission", "action", "tool", "timestamp", "patterns", "always", "message_id", "call_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    ALWAYS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    permission: str
    action: str
    tool: OcPermissionToolContext
    timestamp: int
    patterns: _containers.RepeatedScalarFieldContainer[str]
    always: _containers.RepeatedScalarFieldContainer[str]
    message_id: str
    call_id: str
    def __init__(self, id: _Optional[str] = ..., permission: _Optional[str] = ..., action: _Optional[str] = ..., tool: _Optional[_Union[OcPermissionToolContext, _Mapping[str, _Any]]] = ..., timestamp: _Optional[int] = ..., patterns: _Optional[_Iterable[str]] = ..., always: _Optional[_Iterable[str]] = ..., message_id: _Optional[str] = ..., call_id: _Optional[str] = ...) -> None: ...

class OcPermissionToolContext(_message.Message):
    __slots__ = ("name", "input")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    input: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., input: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ...) -> None: ...
