from opencode_sync.wire import oc_event_pb2 as _oc_event_pb2
from opencode_sync.wire import oc_message_error_pb2 as _oc_message_error_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IpcSubscribeRequest(_message.Message):
    __slots__ = ("types", "session_id", "current")
    TYPES_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedScalarFieldContainer[str]
    session_id: str
    current: bool
    def __init__(self, types: _Optional[_Iterable[str]] = ..., session_id: _Optional[str] = ..., current: bool = ...) -> None: ...

class IpcSubscribed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcSubscriptionEnd(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class IpcUnsubscribeRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    def __init__(self, request_id: _Optional[int] = ...) -> None: ...

class IpcUnsubscribeResponse(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: bool = ...) -> None: ...

class IpcEventPush(_message.Message):
    __slots__ = ("event", "missed")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    event: IpcEvent
    missed: int
    def __init__(self, event: _Optional[_Union[IpcEvent, _Mapping[str, _Any]]] = ..., missed: _Optional[int] = ...) -> None: ...

class IpcEvent(_message.Message):
    __slots__ = ("type", "directory", "session_id", "id", "properties_json", "event", "delta", "retry", "session_error", "question", "replayed")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_JSON_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    SESSION_ERROR_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    type: str
    directory: str
    session_id: str
    id: str
    properties_json: str
    event: _oc_event_pb2.OcEvent
    delta: IpcDelta
    retry: IpcRetry
    session_error: IpcSessionError
    question: IpcQuestion
    replayed: bool
    def __init__(self, type: _Optional[str] = ..., directory: _Optional[str] = ..., session_id: _Optional[str] = ..., id: _Optional[str] = ..., properties_json: _Optional[str] = ..., event: _Optional[_Union[_oc_event_pb2.OcEvent, _Mapping[str, _Any]]] = ..., delta: _Optional[_Union[IpcDelta, _Mapping[str, _Any]]] = ..., retry: _Optional[_Union[IpcRetry, _Mapping[str, _Any]]] = ..., session_error: _Optional[_Union[IpcSessionError, _Mapping[str, _Any]]] = ..., question: _Optional[_Union[IpcQuestion, _Mapping[str, _Any]]] = ..., replayed: bool = ...) -> None: ...

class IpcDelta(_message.Message):
    __slots__ = ("session_id", "message_id", "part_id", "part_type", "text")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PART_ID_FIELD_NUMBER: _ClassVar[int]
    PART_TYPE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    message_id: str
    part_id: str
    part_type: str
    text: str
    def __init__(self, session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., part_id: _Optional[str] = ..., part_type: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class IpcRetry(_message.Message):
    __slots__ = ("session_id", "attempt", "message", "next_at")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    attempt: int
    message: str
    next_at: int
    def __init__(self, session_id: _Optional[str] = ..., attempt: _Optional[int] = ..., message: _Optional[str] = ..., next_at: _Optional[int] = ...) -> None: ...

class IpcSessionError(_message.Message):
    __slots__ = ("session_id", "error")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    error: _oc_message_error_pb2.OcMessageError
    def __init__(self, session_id: _Optional[str] = ..., error: _Optional[_Union[_oc_message_error_pb2.OcMessageError, _Mapping[str, _Any]]] = ...) -> None: ...

class IpcQuestion(_message.Message):
    __slots__ = ("id", "session_id", "items", "message_id", "call_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    items: _containers.RepeatedCompositeFieldContainer[IpcQuestionItem]
    message_id: str
    call_id: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[IpcQuestionItem, _Mapping[str, _Any]]]] = ..., message_id: _Optional[str] = ..., call_id: _Optional[str] = ...) -> None: ...

class IpcQuestionItem(_message.Message):
    __slots__ = ("header", "question", "options", "multiple", "custom")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    header: str
    question: str
    options: _containers.RepeatedCompositeFieldContainer[IpcQuestionOption]
    multiple: bool
    custom: bool
    def __init__(self, header: _Optional[str] = ..., question: _Optional[str] = ..., options: _Optional[_Iterable[_Union[IpcQuestionOption, _Mapping[str, _Any]]]] = ..., multiple: bool = ..., custom: bool = ...) -> None: ...

class IpcQuestionOption(_message.Message):
    __slots__ = ("label", "description")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    label: str
    description: str
    def __init__(self, label: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
