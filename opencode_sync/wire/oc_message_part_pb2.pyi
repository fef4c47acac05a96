from opencode_sync.wire import oc_tool_pb2 as _oc_tool_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcPart(_message.Message):
    __slots__ = ("text", "reasoning", "tool", "file", "patch", "snapshot", "agent", "compaction", "subtask", "step_start", "step_finish", "retry")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    COMPACTION_FIELD_NUMBER: _ClassVar[int]
    SUBTASK_FIELD_NUMBER: _ClassVar[int]
    STEP_START_FIELD_NUMBER: _ClassVar[int]
    STEP_FINISH_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    text: OcTextPart
    reasoning: OcReasoningPart
    tool: OcToolPart
    file: OcFilePart
    patch: OcPatchPart
    snapshot: OcSnapshotPart
    agent: OcAgentPart
    compaction: OcCompactionPart
    subtask: OcSubtaskPart
    step_start: OcStepStartPart
    step_finish: OcStepFinishPart
    retry: OcRetryPart
    def __init__(self, text: _Optional[_Union[OcTextPart, _Mapping[str, _Any]]] = ..., reasoning: _Optional[_Union[OcReasoningPart, _Mapping[str, _Any]]] = ..., tool: _Optional[_Union[OcToolPart, _Mapping[str, _Any]]] = ..., file: _Optional[_Union[OcFilePart, _Mapping[str, _Any]]] = ..., patch: _Optional[_Union[OcPatchPart, _Mapping[str, _Any]]] = ..., snapshot: _Optional[_Union[OcSnapshotPart, _Mapping[str, _Any]]] = ..., agent: _Optional[_Union[OcAgentPart, _Mapping[str, _Any]]] = ..., compaction: _Optional[_Union[OcCompactionPart, _Mapping[str, _Any]]] = ..., subtask: _Optional[_Union[OcSubtaskPart, _Mapping[str, _Any]]] = ..., step_start: _Optional[_Union[OcStepStartPart, _Mapping[str, _Any]]] = ..., step_finish: _Optional[_Union[OcStepFinishPart, _Mapping[str, _Any]]] = ..., retry: _Optional[_Union[OcRetryPart, _Mapping[str, _Any]]] = ...) -> None: ...

class OcTextPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "text", "synthetic")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    text: str
    synthetic: bool
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., text: _Optional[str] = ..., synthetic: bool = ...) -> None: ...

class OcReasoningPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "text", "summary")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    text: str
    summary: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., text: _Optional[str] = ..., summary: _Optional[str] = ...) -> None: ...

class OcToolPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "name", "state", "call_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    name: str
    state: _oc_tool_pb2.OcToolState
    call_id: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[_oc_tool_pb2.OcToolState, _Mapping[str, _Any]]] = ..., call_id: _Optional[str] = ...) -> None: ...

class OcFilePart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "path", "content")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    path: str
    content: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., path: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class OcPatchPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "path", "diff")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    path: str
    diff: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., path: _Optional[str] = ..., diff: _Optional[str] = ...) -> None: ...

class OcSnapshotPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "snapshot_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    snapshot_id: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., snapshot_id: _Optional[str] = ...) -> None: ...

class OcAgentPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "agent_name")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    agent_name: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., agent_name: _Optional[str] = ...) -> None: ...

class OcSubtaskPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "subtask_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUBTASK_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    subtask_id: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., subtask_id: _Optional[str] = ...) -> None: ...

class OcCompactionPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "summary")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    summary: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., summary: _Optional[str] = ...) -> None: ...

class OcStepStartPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "title")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    title: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class OcStepFinishPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "title", "tokens", "cost")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    title: str
    tokens: OcTokenUsage
    cost: float
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., title: _Optional[str] = ..., tokens: _Optional[_Union[OcTokenUsage, _Mapping[str, _Any]]] = ..., cost: _Optional[float] = ...) -> None: ...

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

class OcRetryPart(_message.Message):
    __slots__ = ("id", "session_id", "message_id", "type", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    session_id: str
    message_id: str
    type: str
    error: str
    def __init__(self, id: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., type: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...
