from google.protobuf import struct_pb2 as _struct_pb2
from opencode_sync.wire import oc_session_pb2 as _oc_session_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcAgentInfo(_message.Message):
    __slots__ = ("name", "description", "mode", "native", "hidden", "top_p", "temperature", "color", "permission", "model", "prompt", "options", "steps")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    NATIVE_FIELD_NUMBER: _ClassVar[int]
    HIDDEN_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    COLOR_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    mode: str
    native: bool
    hidden: bool
    top_p: float
    temperature: float
    color: str
    permission: _oc_session_pb2.OcPermissionRuleset
    model: OcAgentModel
    prompt: str
    options: _struct_pb2.Struct
    steps: int
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., mode: _Optional[str] = ..., native: bool = ..., hidden: bool = ..., top_p: _Optional[float] = ..., temperature: _Optional[float] = ..., color: _Optional[str] = ..., permission: _Optional[_Union[_oc_session_pb2.OcPermissionRuleset, _Mapping[str, _Any]]] = ..., model: _Optional[_Union[OcAgentModel, _Mapping[str, _Any]]] = ..., prompt: _Optional[str] = ..., options: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ..., steps: _Optional[int] = ...) -> None: ...

class OcAgentModel(_message.Message):
    __slots__ = ("model_id", "provider_id")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    provider_id: str
    def __init__(self, model_id: _Optional[str] = ..., provider_id: _Optional[str] = ...) -> None: ...

class OcAgentList(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[OcAgentInfo]
    def __init__(self, agents: _Optional[_Iterable[_Union[OcAgentInfo, _Mapping[str, _Any]]]] = ...) -> None: ...
