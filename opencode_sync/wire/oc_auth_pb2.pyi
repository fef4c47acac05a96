from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import Any as _Any, ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OcOAuth(_message.Message):
    __slots__ = ("type", "refresh", "access", "expires", "enterprise_url")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REFRESH_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    ENTERPRISE_URL_FIELD_NUMBER: _ClassVar[int]
    type: str
    refresh: str
    access: str
    expires: float
    enterprise_url: str
    def __init__(self, type: _Optional[str] = ..., refresh: _Optional[str] = ..., access: _Optional[str] = ..., expires: _Optional[float] = ..., enterprise_url: _Optional[str] = ...) -> None: ...

class OcApiAuth(_message.Message):
    __slots__ = ("type", "key")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    type: str
    key: str
    def __init__(self, type: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class OcWellKnownAuth(_message.Message):
    __slots__ = ("type", "key", "token")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    type: str
    key: str
    token: str
    def __init__(self, type: _Optional[str] = ..., key: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class OcAuth(_message.Message):
    __slots__ = ("oauth", "api", "well_known")
    OAUTH_FIELD_NUMBER: _ClassVar[int]
    API_FIELD_NUMBER: _ClassVar[int]
    WELL_KNOWN_FIELD_NUMBER: _ClassVar[int]
    oauth: OcOAuth
    api: OcApiAuth
    well_known: OcWellKnownAuth
    def __init__(self, oauth: _Optional[_Union[OcOAuth, _Mapping[str, _Any]]] = ..., api: _Optional[_Union[OcApiAuth, _Mapping[str, _Any]]] = ..., well_known: _Optional[_Union[OcWellKnownAuth, _Mapping[str, _Any]]] = ...) -> None: ...
