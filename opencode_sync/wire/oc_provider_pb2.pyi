from google.protobuf import struct_pb2 as _struct_pb2
from opencode_sync.wire import oc_model_pb2 as _oc_model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcProviderSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROVIDER_SOURCE_UNSPECIFIED: _ClassVar[OcProviderSource]
    ENV: _ClassVar[OcProviderSource]
    CONFIG: _ClassVar[OcProviderSource]
    CUSTOM: _ClassVar[OcProviderSource]
    API: _ClassVar[OcProviderSource]
PROVIDER_SOURCE_UNSPECIFIED: OcProviderSource
ENV: OcProviderSource
CONFIG: OcProviderSource
CUSTOM: OcProviderSource
API: OcProviderSource

class OcProviderInfo(_message.Message):
    __slots__ = ("id", "name", "source", "env", "key", "options", "models")
    class ModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _oc_model_pb2.OcModelInfo
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_oc_model_pb2.OcModelInfo, _Mapping[str, _Any]]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    source: OcProviderSource
    env: _containers.RepeatedScalarFieldContainer[str]
    key: str
    options: OcProviderOptions
    models: _containers.MessageMap[str, _oc_model_pb2.OcModelInfo]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., source: _Optional[_Union[OcProviderSource, str]] = ..., env: _Optional[_Iterable[str]] = ..., key: _Optional[str] = ..., options: _Optional[_Union[OcProviderOptions, _Mapping[str, _Any]]] = ..., models: _Optional[_Mapping[str, _oc_model_pb2.OcModelInfo]] = ...) -> None: ...

class OcProviderOptions(_message.Message):
    __slots__ = ("base_url", "api_key", "headers", "timeout", "extra")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    EXTRA_FIELD_NUMBER: _ClassVar[int]
    base_url: str
    api_key: str
    headers: _containers.ScalarMap[str, str]
    timeout: int
    extra: _struct_pb2.Struct
    def __init__(self, base_url: _Optional[str] = ..., api_key: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., timeout: _Optional[int] = ..., extra: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ...) -> None: ...

class OcProviderList(_message.Message):
    __slots__ = ("providers", "default")
    class DefaultEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[OcProviderInfo]
    default: _containers.ScalarMap[str, str]
    def __init__(self, providers: _Optional[_Iterable[_Union[OcProviderInfo, _Mapping[str, _Any]]]] = ..., default: _Optional[_Mapping[str, str]] = ...) -> None: ...
