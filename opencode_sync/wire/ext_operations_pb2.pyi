from opencode_sync.wire import oc_message_pb2 as _oc_message_pb2
from opencode_sync.wire import oc_model_pb2 as _oc_model_pb2
from opencode_sync.wire import oc_tool_pb2 as _oc_tool_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IpcScopedRequest(_message.Message):
    __slots__ = ("directory", "request")
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    directory: str
    request: bytes
    def __init__(self, directory: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class IpcCancelRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    def __init__(self, request_id: _Optional[int] = ...) -> None: ...

class IpcCancelResponse(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: bool
    def __init__(self, found: bool = ...) -> None: ...

class IpcGetBackendInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcBackendInfo(_message.Message):
    __slots__ = ("version", "backend", "description", "server_version")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    backend: str
    description: str
    server_version: str
    def __init__(self, version: _Optional[str] = ..., backend: _Optional[str] = ..., description: _Optional[str] = ..., server_version: _Optional[str] = ...) -> None: ...

class IpcGetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class IpcUpdateSessionRequest(_message.Message):
    __slots__ = ("session_id", "title", "archived")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    title: str
    archived: bool
    def __init__(self, session_id: _Optional[str] = ..., title: _Optional[str] = ..., archived: bool = ...) -> None: ...

class IpcListMessagesRequest(_message.Message):
    __slots__ = ("session_id", "limit")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    limit: int
    def __init__(self, session_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class IpcMessageList(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_oc_message_pb2.OcMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[_oc_message_pb2.OcMessage, _Mapping[str, _Any]]]] = ...) -> None: ...

class IpcAbortSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class IpcAbortSessionResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: bool = ...) -> None: ...

class IpcListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcModelList(_message.Message):
    __slots__ = ("models", "default_models")
    class DefaultModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODELS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[_oc_model_pb2.OcModelInfo]
    default_models: _containers.ScalarMap[str, str]
    def __init__(self, models: _Optional[_Iterable[_Union[_oc_model_pb2.OcModelInfo, _Mapping[str, _Any]]]] = ..., default_models: _Optional[_Mapping[str, str]] = ...) -> None: ...

class IpcReplyPermissionRequest(_message.Message):
    __slots__ = ("permission_id", "reply", "message", "directory")
    PERMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    permission_id: str
    reply: _oc_tool_pb2.OcPermissionReply
    message: str
    directory: str
    def __init__(self, permission_id: _Optional[str] = ..., reply: _Optional[_Union[_oc_tool_pb2.OcPermissionReply, str]] = ..., message: _Optional[str] = ..., directory: _Optional[str] = ...) -> None: ...

class IpcReplyPermissionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IpcReplyQuestionRequest(_message.Message):
    __slots__ = ("question_id", "answers", "directory")
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    question_id: str
    answers: _containers.RepeatedCompositeFieldContainer[IpcAnswer]
    directory: str
    def __init__(self, question_id: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[IpcAnswer, _Mapping[str, _Any]]]] = ..., directory: _Optional[str] = ...) -> None: ...

class IpcAnswer(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, labels: _Optional[_Iterable[str]] = ...) -> None: ...

class IpcReplyQuestionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
