"""``opencode_sync.types``: what it exports, and its helpers."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

from opencode_sync import types
from opencode_sync.errors import IpcArgumentError
from opencode_sync.types import OcSessionInfo, OcSessionTime
from opencode_sync.wire import (
    ext_event_pb2,
    ipc_pb2,
    oc_agent_pb2,
    oc_auth_pb2,
    oc_event_pb2,
    oc_message_error_pb2,
    oc_message_part_pb2,
    oc_message_pb2,
    oc_model_pb2,
    oc_provider_pb2,
    oc_session_pb2,
    oc_tool_pb2,
)

HELPERS = {
    "MessageTokens",
    "ToolCall",
    "event_properties",
    "is_assistant",
    "message_cost",
    "message_error",
    "message_text",
    "message_tokens",
    "session_created",
    "session_updated",
    "struct_to_dict",
    "to_datetime",
    "tool_calls",
}

DOMAINS = [
    oc_agent_pb2,
    oc_auth_pb2,
    oc_event_pb2,
    oc_message_error_pb2,
    oc_message_part_pb2,
    oc_message_pb2,
    oc_model_pb2,
    oc_provider_pb2,
    oc_session_pb2,
    oc_tool_pb2,
]


@pytest.mark.parametrize("name", types.__all__)
def test_export_resolves(name: str) -> None:
    """Every exported name is a message class, an enum or one of the helpers."""
    value = getattr(types, name)
    if name in HELPERS:
        assert callable(value)
    elif isinstance(value, EnumTypeWrapper):
        assert value.DESCRIPTOR.name == name
    else:
        assert issubclass(value, Message)
        assert value.DESCRIPTOR.name == name.replace("OcPartTokenUsage", "OcTokenUsage")


def test_no_name_is_exported_twice() -> None:
    assert len(set(types.__all__)) == len(types.__all__)


def test_every_domain_type_is_exported() -> None:
    """All messages and enums of the domains are here, whatever their names."""
    exported = {getattr(getattr(types, name), "DESCRIPTOR", None) for name in types.__all__}
    for module in DOMAINS:
        file = module.DESCRIPTOR
        for descriptor in [
            *file.message_types_by_name.values(),
            *file.enum_types_by_name.values(),
        ]:
            assert descriptor in exported, descriptor.full_name


@pytest.mark.parametrize(
    ("payload", "exported"),
    [
        ("session_info", types.OcSessionInfo),
        ("session_list", types.OcSessionList),
        ("agent_list", types.OcAgentList),
        ("provider_status", types.IpcProviderStatus),
        ("auth_info", types.OcAuth),
        ("get_config_response", types.IpcGetConfigResponse),
        ("update_config_response", types.IpcUpdateConfigResponse),
        ("auth_sync_response", types.IpcAuthSyncResponse),
        ("oauth_status_response", types.IpcOAuthStatusResponse),
        ("send_message_response", types.OcMessage),
        ("backend_info", types.IpcBackendInfo),
        ("model_list", types.IpcModelList),
    ],
)
def test_exports_are_what_the_backend_answers(payload: str, exported: type[Message]) -> None:
    """The exported class is the very class that a decoded answer has."""
    assert type(getattr(ipc_pb2.IpcServerMessage(), payload)) is exported


def test_what_an_event_is_made_of_is_exported() -> None:
    event = ext_event_pb2.IpcEvent.DESCRIPTOR
    made_of = {event, *(field.message_type for field in event.fields if field.message_type)}
    exported = {getattr(getattr(types, name), "DESCRIPTOR", None) for name in types.__all__}
    assert made_of <= exported


def test_the_two_token_usages_are_told_apart() -> None:
    """Each exported name is the type of the field its documentation names."""
    assert type(types.OcAssistantMessage().tokens) is types.OcTokenUsage
    assert type(types.OcStepFinishPart().tokens) is types.OcPartTokenUsage
    assert types.OcTokenUsage.DESCRIPTOR is not types.OcPartTokenUsage.DESCRIPTOR


def test_enum_values_are_attributes() -> None:
    assert types.OcPermissionAction.ALLOW == oc_session_pb2.ALLOW == 1
    assert types.OcPermissionReply.ALLOW_ALL == oc_tool_pb2.ALLOW_ALL == 3
    assert types.IpcErrorCode.IPC_ERROR_CODE_NO_SERVER == 5


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1, datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (1795391042151, datetime(2026, 11, 22, 23, 44, 2, 151000, tzinfo=UTC)),
        (253402300799999, datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (-62135596800000, datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_to_datetime_is_exact(ms: int, expected: datetime) -> None:
    """The result is the same instant to the millisecond, and knows that it is UTC."""
    result = types.to_datetime(ms)
    assert result == expected
    assert result.utcoffset() == timedelta(0)


@pytest.mark.parametrize("ms", [253402300800000, -62135596800001, 2**63 - 1, -(2**63)])
def test_to_datetime_outside_the_calendar(ms: int) -> None:
    """A time beyond the calendar is refused by name and value, also at the schema's limits."""
    with pytest.raises(IpcArgumentError, match=str(ms)) as caught:
        types.to_datetime(ms)
    assert caught.value.field == "ms"


def test_session_times() -> None:
    """Each helper reads its own field."""
    session = OcSessionInfo(time=OcSessionTime(created=1_000, updated=2_500))
    assert types.session_created(session) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert types.session_updated(session) == datetime(1970, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC)


def test_session_without_times() -> None:
    """A backend that says nothing reads as 1970, and the session is left as it was."""
    session = OcSessionInfo(id="ses_1")
    assert types.session_created(session) == datetime(1970, 1, 1, tzinfo=UTC)
    assert types.session_updated(session) == datetime(1970, 1, 1, tzinfo=UTC)
    assert not session.HasField("time")


def test_import_is_light() -> None:
    """Importing the types loads no network, no command line and no toolkit."""
    script = "import sys, opencode_sync.types; print(' '.join(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(run.stdout.split())
    assert "opencode_sync.types" in loaded
    heavy = {"requests", "websocket", "websockets", "typer", "rich", "PySide6", "opentelemetry"}
    # asyncio is not among them: loguru imports it.
    assert not loaded & (heavy | {"urllib3", "psutil", "sqlite3"})
