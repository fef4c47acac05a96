from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcModelStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATUS_UNSPECIFIED: _ClassVar[OcModelStatus]
    ALPHA: _ClassVar[OcModelStatus]
    BETA: _ClassVar[OcModelStatus]
    ACTIVE: _ClassVar[OcModelStatus]
    DEPRECATED: _ClassVar[OcModelStatus]

class OcTextVerbosity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_VERBOSITY_UNSPECIFIED: _ClassVar[OcTextVerbosity]
    TEXT_VERBOSITY_LOW: _ClassVar[OcTextVerbosity]
    TEXT_VERBOSITY_MEDIUM: _ClassVar[OcTextVerbosity]
    TEXT_VERBOSITY_HIGH: _ClassVar[OcTextVerbosity]

class OcServiceTier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVICE_TIER_UNSPECIFIED: _ClassVar[OcServiceTier]
    SERVICE_TIER_AUTO: _ClassVar[OcServiceTier]
    SERVICE_TIER_FLEX: _ClassVar[OcServiceTier]
    SERVICE_TIER_PRIORITY: _ClassVar[OcServiceTier]
MODEL_STATUS_UNSPECIFIED: OcModelStatus
ALPHA: OcModelStatus
BETA: OcModelStatus
ACTIVE: OcModelStatus
DEPRECATED: OcModelStatus
TEXT_VERBOSITY_UNSPECIFIED: OcTextVerbosity
TEXT_VERBOSITY_LOW: OcTextVerbosity
TEXT_VERBOSITY_MEDIUM: OcTextVerbosity
TEXT_VERBOSITY_HIGH: OcTextVerbosity
SERVICE_TIER_UNSPECIFIED: OcServiceTier
SERVICE_TIER_AUTO: OcServiceTier
SERVICE_TIER_FLEX: OcServiceTier
SERVICE_TIER_PRIORITY: OcServiceTier

class OcModelInfo(_message.Message):
    __slots__ = ("id", "provider_id", "name", "family", "api", "capabilities", "cost", "limit", "status", "options", "headers", "release_date", "variants")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping[str, _Any]]] = ...) -> None: ...
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class VariantsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Struct
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Struct, _Mapping[str, _Any]]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    API_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_DATE_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider_id: str
    name: str
    family: str
    api: OcModelAPI
    capabilities: OcModelCapabilities
    cost: OcModelCost
    limit: OcModelLimits
    status: OcModelStatus
    options: _containers.MessageMap[str, _struct_pb2.Value]
    headers: _containers.ScalarMap[str, str]
    release_date: str
    variants: _containers.MessageMap[str, _struct_pb2.Struct]
    def __init__(self, id: _Optional[str] = ..., provider_id: _Optional[str] = ..., name: _Optional[str] = ..., family: _Optional[str] = ..., api: _Optional[_Union[OcModelAPI, _Mapping[str, _Any]]] = ..., capabilities: _Optional[_Union[OcModelCapabilities, _Mapping[str, _Any]]] = ..., cost: _Optional[_Union[OcModelCost, _Mapping[str, _Any]]] = ..., limit: _Optional[_Union[OcModelLimits, _Mapping[str, _Any]]] = ..., status: _Optional[_Union[OcModelStatus, str]] = ..., options: _Optional[_Mapping[str, _struct_pb2.Value]] = ..., headers: _Optional[_Mapping[str, str]] = ..., release_date: _Optional[str] = ..., variants: _Optional[_Mapping[str, _struct_pb2.Struct]] = ...) -> None: ...

class OcModelAPI(_message.Message):
    __slots__ = ("id", "url", "npm")
    ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    NPM_FIELD_NUMBER: _ClassVar[int]
    id: str
    url: str
    npm: str
    def __init__(self, id: _Optional[str] = ..., url: _Optional[str] = ..., npm: _Optional[str] = ...) -> None: ...

class OcModelCapabilities(_message.Message):
    __slots__ = ("temperature", "reasoning", "attachment", "toolcall", "input", "output", "interleaved")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENT_FIELD_NUMBER: _ClassVar[int]
    TOOLCALL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    INTERLEAVED_FIELD_NUMBER: _ClassVar[int]
    temperature: bool
    reasoning: bool
    attachment: bool
    toolcall: bool
    input: OcIOCapabilities
    output: OcIOCapabilities
    interleaved: OcInterleavedCapability
    def __init__(self, temperature: bool = ..., reasoning: bool = ..., attachment: bool = ..., toolcall: bool = ..., input: _Optional[_Union[OcIOCapabilities, _Mapping[str, _Any]]] = ..., output: _Optional[_Union[OcIOCapabilities, _Mapping[str, _Any]]] = ..., interleaved: _Optional[_Union[OcInterleavedCapability, _Mapping[str, _Any]]] = ...) -> None: ...

class OcInterleavedCapability(_message.Message):
    __slots__ = ("enabled", "field_spec")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    FIELD_SPEC_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    field_spec: OcInterleavedFieldSpec
    def __init__(self, enabled: bool = ..., field_spec: _Optional[_Union[OcInterleavedFieldSpec, _Mapping[str, _Any]]] = ...) -> None: ...

class OcInterleavedFieldSpec(_message.Message):
    __slots__ = ("field",)
    class Field(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FIELD_UNSPECIFIED: _ClassVar[OcInterleavedFieldSpec.Field]
        REASONING_CONTENT: _ClassVar[OcInterleavedFieldSpec.Field]
        REASONING_DETAILS: _ClassVar[OcInterleavedFieldSpec.Field]
    FIELD_UNSPECIFIED: OcInterleavedFieldSpec.Field
    REASONING_CONTENT: OcInterleavedFieldSpec.Field
    REASONING_DETAILS: OcInterleavedFieldSpec.Field
    FIELD_FIELD_NUMBER: _ClassVar[int]
    field: OcInterleavedFieldSpec.Field
    def __init__(self, field: _Optional[_Union[OcInterleavedFieldSpec.Field, str]] = ...) -> None: ...

class OcIOCapabilities(_message.Message):
    __slots__ = ("text", "audio", "image", "video", "pdf")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    PDF_FIELD_NUMBER: _ClassVar[int]
    text: bool
    audio: bool
    image: bool
    video: bool
    pdf: bool
    def __init__(self, text: bool = ..., audio: bool = ..., image: bool = ..., video: bool = ..., pdf: bool = ...) -> None: ...

class OcModelCost(_message.Message):
    __slots__ = ("input", "output", "cache", "experimental_over_200k")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTAL_OVER_200K_FIELD_NUMBER: _ClassVar[int]
    input: float
    output: float
    cache: OcCacheCost
    experimental_over_200k: OcExperimentalPricing
    def __init__(self, input: _Optional[float] = ..., output: _Optional[float] = ..., cache: _Optional[_Union[OcCacheCost, _Mapping[str, _Any]]] = ..., experimental_over_200k: _Optional[_Union[OcExperimentalPricing, _Mapping[str, _Any]]] = ...) -> None: ...

class OcCacheCost(_message.Message):
    __slots__ = ("read", "write")
    READ_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    read: float
    write: float
    def __init__(self, read: _Optional[float] = ..., write: _Optional[float] = ...) -> None: ...

class OcExperimentalPricing(_message.Message):
    __slots__ = ("input", "output", "cache")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    input: float
    output: float
    cache: OcCacheCost
    def __init__(self, input: _Optional[float] = ..., output: _Optional[float] = ..., cache: _Optional[_Union[OcCacheCost, _Mapping[str, _Any]]] = ...) -> None: ...

class OcModelLimits(_message.Message):
    __slots__ = ("context", "output")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    context: float
    output: float
    def __init__(self, context: _Optional[float] = ..., output: _Optional[float] = ...) -> None: ...

class OcModelOptions(_message.Message):
    __slots__ = ("universal", "openai", "google", "anthropic")
    UNIVERSAL_FIELD_NUMBER: _ClassVar[int]
    OPENAI_FIELD_NUMBER: _ClassVar[int]
    GOOGLE_FIELD_NUMBER: _ClassVar[int]
    ANTHROPIC_FIELD_NUMBER: _ClassVar[int]
    universal: OcUniversalOptions
    openai: OcOpenAIOptions
    google: OcGoogleOptions
    anthropic: OcAnthropicOptions
    def __init__(self, universal: _Optional[_Union[OcUniversalOptions, _Mapping[str, _Any]]] = ..., openai: _Optional[_Union[OcOpenAIOptions, _Mapping[str, _Any]]] = ..., google: _Optional[_Union[OcGoogleOptions, _Mapping[str, _Any]]] = ..., anthropic: _Optional[_Union[OcAnthropicOptions, _Mapping[str, _Any]]] = ...) -> None: ...

class OcUniversalOptions(_message.Message):
    __slots__ = ("temperature", "max_output_tokens")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    max_output_tokens: int
    def __init__(self, temperature: _Optional[float] = ..., max_output_tokens: _Optional[int] = ...) -> None: ...

class OcOpenAIOptions(_message.Message):
    __slots__ = ("reasoning_effort", "reasoning_summary", "text_verbosity", "service_tier", "logprobs", "max_tool_calls", "parallel_tool_calls", "store", "strict_json_schema", "prompt_cache_key", "include", "metadata", "user", "instructions", "safety_identifier", "previous_response_id")
    REASONING_EFFORT_FIELD_NUMBER: _ClassVar[int]
    REASONING_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    TEXT_VERBOSITY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TIER_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_TOOL_CALLS_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    STRICT_JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    PROMPT_CACHE_KEY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    SAFETY_IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    reasoning_effort: str
    reasoning_summary: str
    text_verbosity: OcTextVerbosity
    service_tier: OcServiceTier
    logprobs: OcLogprobsConfig
    max_tool_calls: int
    parallel_tool_calls: bool
    store: bool
    strict_json_schema: bool
    prompt_cache_key: str
    include: _containers.RepeatedScalarFieldContainer[str]
    metadata: str
    user: str
    instructions: str
    safety_identifier: str
    previous_response_id: str
    def __init__(self, reasoning_effort: _Optional[str] = ..., reasoning_summary: _Optional[str] = ..., text_verbosity: _Optional[_Union[OcTextVerbosity, str]] = ..., service_tier: _Optional[_Union[OcServiceTier, str]] = ..., logprobs: _Optional[_Union[OcLogprobsConfig, _Mapping[str, _Any]]] = ..., max_tool_calls: _Optional[int] = ..., parallel_tool_calls: bool = ..., store: bool = ..., strict_json_schema: bool = ..., prompt_cache_key: _Optional[str] = ..., include: _Optional[_Iterable[str]] = ..., metadata: _Optional[str] = ..., user: _Optional[str] = ..., instructions: _Optional[str] = ..., safety_identifier: _Optional[str] = ..., previous_response_id: _Optional[str] = ...) -> None: ...

class OcLogprobsConfig(_message.Message):
    __slots__ = ("enabled", "top_logprobs")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    TOP_LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    top_logprobs: int
    def __init__(self, enabled: bool = ..., top_logprobs: _Optional[int] = ...) -> None: ...

class OcGoogleOptions(_message.Message):
    __slots__ = ("thinking_config",)
    THINKING_CONFIG_FIELD_NUMBER: _ClassVar[int]
    thinking_config: OcThinkingConfig
    def __init__(self, thinking_config: _Optional[_Union[OcThinkingConfig, _Mapping[str, _Any]]] = ...) -> None: ...

class OcThinkingConfig(_message.Message):
    __slots__ = ("include_thoughts", "thinking_budget")
    INCLUDE_THOUGHTS_FIELD_NUMBER: _ClassVar[int]
    THINKING_BUDGET_FIELD_NUMBER: _ClassVar[int]
    include_thoughts: bool
    thinking_budget: int
    def __init__(self, include_thoughts: bool = ..., thinking_budget: _Optional[int] = ...) -> None: ...

class OcAnthropicOptions(_message.Message):
    __slots__ = ("thinking",)
    THINKING_FIELD_NUMBER: _ClassVar[int]
    thinking: OcThinkingOptions
    def __init__(self, thinking: _Optional[_Union[OcThinkingOptions, _Mapping[str, _Any]]] = ...) -> None: ...

class OcThinkingOptions(_message.Message):
    __slots__ = ("type", "budget_tokens")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_TOKENS_FIELD_NUMBER: _ClassVar[int]
    type: str
    budget_tokens: int
    def __init__(self, type: _Optional[str] = ..., budget_tokens: _Optional[int] = ...) -> None: ...
