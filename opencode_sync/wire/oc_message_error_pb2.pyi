from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcMessageError(_message.Message):
    __slots__ = ("api", "provider_auth", "unknown", "output_length", "aborted")
    API_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_AUTH_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    ABORTED_FIELD_NUMBER: _ClassVar[int]
    api: OcApiError
    provider_auth: OcProviderAuthError
    unknown: OcUnknownError
    output_length: OcOutputLengthError
    aborted: OcAbortedError
    def __init__(self, api: _Optional[_Union[OcApiError, _Mapping[str, _Any]]] = ..., provider_auth: _Optional[_Union[OcProviderAuthError, _Mapping[str, _Any]]] = ..., unknown: _Optional[_Union[OcUnknownError, _Mapping[str, _Any]]] = ..., output_length: _Optional[_Union[OcOutputLengthError, _Mapping[str, _Any]]] = ..., aborted: _Optional[_Union[OcAbortedError, _Mapping[str, _Any]]] = ...) -> None: ...

class OcApiError(_message.Message):
    __slots__ = ("name", "message", "cause", "status", "code", "headers", "retryable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    cause: str
    status: int
    code: str
    headers: _struct_pb2.Struct
    retryable: bool
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ..., cause: _Optional[str] = ..., status: _Optional[int] = ..., code: _Optional[str] = ..., headers: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., retryable: bool = ...) -> None: ...

class OcProviderAuthError(_message.Message):
    __slots__ = ("name", "message", "provider_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    provider_id: str
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ..., provider_id: _Optional[str] = ...) -> None: ...

class OcOutputLengthError(_message.Message):
    __slots__ = ("name", "message", "max_tokens")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    max_tokens: int
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ..., max_tokens: _Optional[int] = ...) -> None: ...

class OcAbortedError(_message.Message):
    __slots__ = ("name", "message")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class OcUnknownError(_message.Message):
    __slots__ = ("name", "message", "cause")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    name: str
    message: str
    cause: str
    def __init__(self, name: _Optional[str] = ..., message: _Optional[str] = ..., cause: _Optional[str] = ...) -> None: ...
