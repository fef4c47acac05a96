from opencode_sync.wire import ext_types_pb2 as _ext_types_pb2
from opencode_sync.wire import oc_provider_pb2 as _oc_provider_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcPermissionAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERMISSION_ACTION_UNSPECIFIED: _ClassVar[OcPermissionAction]
    ALLOW: _ClassVar[OcPermissionAction]
    DENY: _ClassVar[OcPermissionAction]
    ASK: _ClassVar[OcPermissionAction]
PERMISSION_ACTION_UNSPECIFIED: OcPermissionAction
ALLOW: OcPermissionAction
DENY: OcPermissionAction
ASK: OcPermissionAction

class OcSessionInfo(_message.Message):
    __slots__ = ("id", "project_id", "directory", "parent_id", "summary", "share", "title", "version", "time", "permission", "revert", "cost", "usage", "agent", "model", "slug")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PARENT_ID_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    REVERT_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SLUG_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: str
    directory: str
    parent_id: str
    summary: OcSessionSummary
    share: OcSessionShare
    title: str
    version: str
    time: OcSessionTime
    permission: OcPermissionRuleset
    revert: OcSessionRevert
    cost: float
    usage: _ext_types_pb2.IpcUsage
    agent: str
    model: _ext_types_pb2.IpcModelChoice
    slug: str
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[str] = ..., directory: _Optional[str] = ..., parent_id: _Optional[str] = ..., summary: _Optional[_Union[OcSessionSummary, _Mapping[str, _Any]]] = ..., share: _Optional[_Union[OcSessionShare, _Mapping[str, _Any]]] = ..., title: _Optional[str] = ..., version: _Optional[str] = ..., time: _Optional[_Union[OcSessionTime, _Mapping[str, _Any]]] = ..., permission: _Optional[_Union[OcPermissionRuleset, _Mapping[str, _Any]]] = ..., revert: _Optional[_Union[OcSessionRevert, _Mapping[str, _Any]]] = ..., cost: _Optional[float] = ..., usage: _Optional[_Union[_ext_types_pb2.IpcUsage, _Mapping[str, _Any]]] = ..., agent: _Optional[str] = ..., model: _Optional[_Union[_ext_types_pb2.IpcModelChoice, _Mapping[str, _Any]]] = ..., slug: _Optional[str] = ...) -> None: ...

class OcSessionTime(_message.Message):
    __slots__ = ("created", "updated", "compacting", "archived")
    CREATED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    COMPACTING_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    created: int
    updated: int
    compacting: int
    archived: int
    def __init__(self, created: _Optional[int] = ..., updated: _Optional[int] = ..., compacting: _Optional[int] = ..., archived: _Optional[int] = ...) -> None: ...

class OcSessionSummary(_message.Message):
    __slots__ = ("additions", "deletions", "files", "diffs")
    ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    DIFFS_FIELD_NUMBER: _ClassVar[int]
    additions: int
    deletions: int
    files: int
    diffs: _containers.RepeatedCompositeFieldContainer[OcFileDiff]
    def __init__(self, additions: _Optional[int] = ..., deletions: _Optional[int] = ..., files: _Optional[int] = ..., diffs: _Optional[_Iterable[_Union[OcFileDiff, _Mapping[str, _Any]]]] = ...) -> None: ...

class OcFileDiff(_message.Message):
    __slots__ = ("file", "before", "after", "additions", "deletions", "patch", "status")
    FILE_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    ADDITIONS_FIELD_NUMBER: _ClassVar[int]
    DELETIONS_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    file: str
    before: str
    after: str
    additions: int
    deletions: int
    patch: str
    status: str
    def __init__(self, file: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., additions: _Optional[int] = ..., deletions: _Optional[int] = ..., patch: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class OcSessionShare(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class OcSessionRevert(_message.Message):
    __slots__ = ("message_id", "part_id", "snapshot", "diff")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PART_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    part_id: str
    snapshot: str
    diff: str
    def __init__(self, message_id: _Optional[str] = ..., part_id: _Optional[str] = ..., snapshot: _Optional[str] = ..., diff: _Optional[str] = ...) -> None: ...

class OcPermissionRule(_message.Message):
    __slots__ = ("permission", "pattern", "action")
    PERMISSION_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    permission: str
    pattern: str
    action: OcPermissionAction
    def __init__(self, permission: _Optional[str] = ..., pattern: _Optional[str] = ..., action: _Optional[_Union[OcPermissionAction, str]] = ...) -> None: ...

class OcPermissionRuleset(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[OcPermissionRule]
    def __init__(self, rules: _Optional[_Iterable[_Union[OcPermissionRule, _Mapping[str, _Any]]]] = ...) -> None: ...

class OcModelSelection(_message.Message):
    __slots__ = ("provider", "model_id", "name")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    provider: _oc_provider_pb2.OcProviderInfo
    model_id: str
    name: str
    def __init__(self, provider: _Optional[_Union[_oc_provider_pb2.OcProviderInfo, _Mapping[str, _Any]]] = ..., model_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class OcSessionList(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[OcSessionInfo]
    def __init__(self, sessions: _Optional[_Iterable[_Union[OcSessionInfo, _Mapping[str, _Any]]]] = ...) -> None: ...
