from opencode_sync.wire import oc_message_pb2 as _oc_message_pb2
from opencode_sync.wire import oc_message_part_pb2 as _oc_message_part_pb2
from opencode_sync.wire import oc_session_pb2 as _oc_session_pb2
from opencode_sync.wire import oc_tool_pb2 as _oc_tool_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcGlobalEvent(_message.Message):
    __slots__ = ("directory", "payload")
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    directory: str
    payload: OcEvent
    def __init__(self, directory: _Optional[str] = ..., payload: _Optional[_Union[OcEvent, _Mapping[str, _Any]]] = ...) -> None: ...

class OcEvent(_message.Message):
    __slots__ = ("message_updated", "message_removed", "message_part_updated", "message_part_removed", "session_created", "session_updated", "session_deleted", "session_status", "permission_asked", "permission_replied")
    MESSAGE_UPDATED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_REMOVED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PART_UPDATED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_PART_REMOVED_FIELD_NUMBER: _ClassVar[int]
    SESSION_CREATED_FIELD_NUMBER: _ClassVar[int]
    SESSION_UPDATED_FIELD_NUMBER: _ClassVar[int]
    SESSION_DELETED_FIELD_NUMBER: _ClassVar[int]
    SESSION_STATUS_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_ASKED_FIELD_NUMBER: _ClassVar[int]
    PERMISSION_REPLIED_FIELD_NUMBER: _ClassVar[int]
    message_updated: OcMessageUpdatedEvent
    message_removed: OcMessageRemovedEvent
    message_part_updated: OcMessagePartUpdatedEvent
    message_part_removed: OcMessagePartRemovedEvent
    session_created: OcSessionCreatedEvent
    session_updated: OcSessionUpdatedEvent
    session_deleted: OcSessionDeletedEvent
    session_status: OcSessionStatusEvent
    permission_asked: OcPermissionAskedEvent
    permission_replied: OcPermissionRepliedEvent
    def __init__(self, message_updated: _Optional[_Union[OcMessageUpdatedEvent, _Mapping[str, _Any]]] = ..., message_removed: _Optional[_Union[OcMessageRemovedEvent, _Mapping[str, _Any]]] = ..., message_part_updated: _Optional[_Union[OcMessagePartUpdatedEvent, _Mapping[str, _Any]]] = ..., message_part_removed: _Optional[_Union[OcMessagePartRemovedEvent, _Mapping[str, _Any]]] = ..., session_created: _Optional[_Union[OcSessionCreatedEvent, _Mapping[str, _Any]]] = ..., session_updated: _Optional[_Union[OcSessionUpdatedEvent, _Mapping[str, _Any]]] = ..., session_deleted: _Optional[_Union[OcSessionDeletedEvent, _Mapping[str, _Any]]] = ..., session_status: _Optional[_Union[OcSessionStatusEvent, _Mapping[str, _Any]]] = ..., permission_asked: _Optional[_Union[OcPermissionAskedEvent, _Mapping[str, _Any]]] = ..., permission_replied: _Optional[_Union[OcPermissionRepliedEvent, _Mapping[str, _Any]]] = ...) -> None: ...

class OcMessageUpdatedEvent(_message.Message):
    __slots__ = ("type", "session_id", "message")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    message: _oc_message_pb2.OcMessage
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., message: _Optional[_Union[_oc_message_pb2.OcMessage, _Mapping[str, _Any]]] = ...) -> None: ...

class OcMessageRemovedEvent(_message.Message):
    __slots__ = ("type", "session_id", "message_id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    message_id: str
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class OcMessagePartUpdatedEvent(_message.Message):
    __slots__ = ("type", "session_id", "message_id", "part")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    message_id: str
    part: _oc_message_part_pb2.OcPart
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., part: _Optional[_Union[_oc_message_part_pb2.OcPart, _Mapping[str, _Any]]] = ...) -> None: ...

class OcMessagePartRemovedEvent(_message.Message):
    __slots__ = ("type", "session_id", "message_id", "part_id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PART_ID_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    message_id: str
    part_id: str
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., message_id: _Optional[str] = ..., part_id: _Optional[str] = ...) -> None: ...

class OcSessionCreatedEvent(_message.Message):
    __slots__ = ("type", "session")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    type: str
    session: _oc_session_pb2.OcSessionInfo
    def __init__(self, type: _Optional[str] = ..., session: _Optional[_Union[_oc_session_pb2.OcSessionInfo, _Mapping[str, _Any]]] = ...) -> None: ...

class OcSessionUpdatedEvent(_message.Message):
    __slots__ = ("type", "session")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    type: str
    session: _oc_session_pb2.OcSessionInfo
    def __init__(self, type: _Optional[str] = ..., session: _Optional[_Union[_oc_session_pb2.OcSessionInfo, _Mapping[str, _Any]]] = ...) -> None: ...

class OcSessionDeletedEvent(_message.Message):
    __slots__ = ("type", "session_id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class OcSessionStatusEvent(_message.Message):
    __slots__ = ("type", "session_id", "status")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    status: OcSessionStatus
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., status: _Optional[_Union[OcSessionStatus, _Mapping[str, _Any]]] = ...) -> None: ...

class OcSessionStatus(_message.Message):
    __slots__ = ("idle", "thinking")
    IDLE_FIELD_NUMBER: _ClassVar[int]
    THINKING_FIELD_NUMBER: _ClassVar[int]
    idle: OcSessionStatusIdle
    thinking: OcSessionStatusThinking
    def __init__(self, idle: _Optional[_Union[OcSessionStatusIdle, _Mapping[str, _Any]]] = ..., thinking: _Optional[_Union[OcSessionStatusThinking, _Mapping[str, _Any]]] = ...) -> None: ...

class OcSessionStatusIdle(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: str
    def __init__(self, status: _Optional[str] = ...) -> None: ...

class OcSessionStatusThinking(_message.Message):
    __slots__ = ("status", "message_id")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    status: str
    message_id: str
    def __init__(self, status: _Optional[str] = ..., message_id: _Optional[str] = ...) -> None: ...

class OcPermissionAskedEvent(_message.Message):
    __slots__ = ("type", "session_id", "request")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    request: _oc_tool_pb2.OcPermissionRequest
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., request: _Optional[_Union[_oc_tool_pb2.OcPermissionRequest, _Mapping[str, _Any]]] = ...) -> None: ...

class OcPermissionRepliedEvent(_message.Message):
    __slots__ = ("type", "session_id", "request_id", "reply")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    type: str
    session_id: str
    request_id: str
    reply: _oc_tool_pb2.OcPermissionReply
    def __init__(self, type: _Optional[str] = ..., session_id: _Optional[str] = ..., request_id: _Optional[str] = ..., reply: _Optional[_Union[_oc_tool_pb2.OcPermissionReply, str]] = ...) -> None: ...
