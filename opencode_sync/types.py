"""The types of what the operations take and return, and helpers for them.

All are protobuf messages of the wire schema, under their own names. Two messages of the schema
share the name ``OcTokenUsage``; here the one of a whole message is ``OcTokenUsage``, and the one of
a single step (in ``OcStepFinishPart.tokens``) is ``OcPartTokenUsage``. They are different types.

Fields that may be absent (``session.summary``, ``session.parent_id``) read as empty when they are;
``session.HasField("summary")`` tells the difference. An enum's values are attributes of the enum:
``OcPermissionAction.ALLOW``.

Messages may be read from any number of threads at once, and changed by one while no other uses
them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opencode_sync.errors import IpcArgumentError
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthSyncResponse,
    IpcErrorCode,
    IpcGetConfigResponse,
    IpcOAuthStatusResponse,
    IpcProviderStatus,
    IpcProviderSyncResult,
    IpcServerInfo,
    OAuthStatusType,
)
from opencode_sync.wire.oc_agent_pb2 import (
    OcAgentInfo,
    OcAgentList,
    OcAgentModel,
)
from opencode_sync.wire.oc_auth_pb2 import (
    OcApiAuth,
    OcAuth,
    OcOAuth,
    OcWellKnownAuth,
)
from opencode_sync.wire.oc_event_pb2 import (
    OcEvent,
    OcGlobalEvent,
    OcMessagePartRemovedEvent,
    OcMessagePartUpdatedEvent,
    OcMessageRemovedEvent,
    OcMessageUpdatedEvent,
    OcPermissionAskedEvent,
    OcPermissionRepliedEvent,
    OcSessionCreatedEvent,
    OcSessionDeletedEvent,
    OcSessionStatus,
    OcSessionStatusEvent,
    OcSessionStatusIdle,
    OcSessionStatusThinking,
    OcSessionUpdatedEvent,
)
from opencode_sync.wire.oc_message_error_pb2 import (
    OcAbortedError,
    OcApiError,
    OcMessageError,
    OcOutputLengthError,
    OcProviderAuthError,
    OcUnknownError,
)
from opencode_sync.wire.oc_message_part_pb2 import (
    OcAgentPart,
    OcCompactionPart,
    OcFilePart,
    OcPart,
    OcPatchPart,
    OcReasoningPart,
    OcRetryPart,
    OcSnapshotPart,
    OcStepFinishPart,
    OcStepStartPart,
    OcSubtaskPart,
    OcTextPart,
    OcToolPart,
)
from opencode_sync.wire.oc_message_part_pb2 import (
    OcTokenUsage as OcPartTokenUsage,
)
from opencode_sync.wire.oc_message_pb2 import (
    OcAssistantMessage,
    OcMessage,
    OcModelReference,
    OcTokenUsage,
    OcUserMessage,
)
from opencode_sync.wire.oc_model_pb2 import (
    OcAnthropicOptions,
    OcCacheCost,
    OcExperimentalPricing,
    OcGoogleOptions,
    OcInterleavedCapability,
    OcInterleavedFieldSpec,
    OcIOCapabilities,
    OcLogprobsConfig,
    OcModelAPI,
    OcModelCapabilities,
    OcModelCost,
    OcModelInfo,
    OcModelLimits,
    OcModelOptions,
    OcModelStatus,
    OcOpenAIOptions,
    OcServiceTier,
    OcTextVerbosity,
    OcThinkingConfig,
    OcThinkingOptions,
    OcUniversalOptions,
)
from opencode_sync.wire.oc_provider_pb2 import (
    OcProviderInfo,
    OcProviderList,
    OcProviderOptions,
    OcProviderSource,
)
from opencode_sync.wire.oc_session_pb2 import (
    OcFileDiff,
    OcModelSelection,
    OcPermissionAction,
    OcPermissionRule,
    OcPermissionRuleset,
    OcSessionInfo,
    OcSessionList,
    OcSessionRevert,
    OcSessionShare,
    OcSessionSummary,
    OcSessionTime,
)
from opencode_sync.wire.oc_tool_pb2 import (
    OcPermissionReply,
    OcPermissionRequest,
    OcPermissionToolContext,
    OcToolState,
    OcToolStateCompleted,
    OcToolStateError,
    OcToolStatePending,
    OcToolStateRunning,
    OcToolTime,
    OcToolTimeWithEnd,
)

__all__ = [
    "IpcAuthSyncResponse",
    "IpcErrorCode",
    "IpcGetConfigResponse",
    "IpcOAuthStatusResponse",
    "IpcProviderStatus",
    "IpcProviderSyncResult",
    "IpcServerInfo",
    "OAuthStatusType",
    "OcAbortedError",
    "OcAgentInfo",
    "OcAgentList",
    "OcAgentModel",
    "OcAgentPart",
    "OcAnthropicOptions",
    "OcApiAuth",
    "OcApiError",
    "OcAssistantMessage",
    "OcAuth",
    "OcCacheCost",
    "OcCompactionPart",
    "OcEvent",
    "OcExperimentalPricing",
    "OcFileDiff",
    "OcFilePart",
    "OcGlobalEvent",
    "OcGoogleOptions",
    "OcIOCapabilities",
    "OcInterleavedCapability",
    "OcInterleavedFieldSpec",
    "OcLogprobsConfig",
    "OcMessage",
    "OcMessageError",
    "OcMessagePartRemovedEvent",
    "OcMessagePartUpdatedEvent",
    "OcMessageRemovedEvent",
    "OcMessageUpdatedEvent",
    "OcModelAPI",
    "OcModelCapabilities",
    "OcModelCost",
    "OcModelInfo",
    "OcModelLimits",
    "OcModelOptions",
    "OcModelReference",
    "OcModelSelection",
    "OcModelStatus",
    "OcOAuth",
    "OcOpenAIOptions",
    "OcOutputLengthError",
    "OcPart",
    "OcPartTokenUsage",
    "OcPatchPart",
    "OcPermissionAction",
    "OcPermissionAskedEvent",
    "OcPermissionRepliedEvent",
    "OcPermissionReply",
    "OcPermissionRequest",
    "OcPermissionRule",
    "OcPermissionRuleset",
    "OcPermissionToolContext",
    "OcProviderAuthError",
    "OcProviderInfo",
    "OcProviderList",
    "OcProviderOptions",
    "OcProviderSource",
    "OcReasoningPart",
    "OcRetryPart",
    "OcServiceTier",
    "OcSessionCreatedEvent",
    "OcSessionDeletedEvent",
    "OcSessionInfo",
    "OcSessionList",
    "OcSessionRevert",
    "OcSessionShare",
    "OcSessionStatus",
    "OcSessionStatusEvent",
    "OcSessionStatusIdle",
    "OcSessionStatusThinking",
    "OcSessionSummary",
    "OcSessionTime",
    "OcSessionUpdatedEvent",
    "OcSnapshotPart",
    "OcStepFinishPart",
    "OcStepStartPart",
    "OcSubtaskPart",
    "OcTextPart",
    "OcTextVerbosity",
    "OcThinkingConfig",
    "OcThinkingOptions",
    "OcTokenUsage",
    "OcToolPart",
    "OcToolState",
    "OcToolStateCompleted",
    "OcToolStateError",
    "OcToolStatePending",
    "OcToolStateRunning",
    "OcToolTime",
    "OcToolTimeWithEnd",
    "OcUniversalOptions",
    "OcUnknownError",
    "OcUserMessage",
    "OcWellKnownAuth",
    "session_created",
    "session_updated",
    "to_datetime",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_datetime(ms: int) -> datetime:
    """Convert a time of the wire schema.

    Args:
        ms: Unix milliseconds, as all times of the schema are; may lie before 1970.

    Returns:
        The same instant in UTC, exact to the millisecond; ``.astimezone()`` makes it local.

    Raises:
        IpcArgumentError: If the instant is outside the years 1 to 9999.
    """
    try:
        # Not datetime.fromtimestamp: it rounds, and on Windows it refuses times before 1970.
        return _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        raise IpcArgumentError(
            f"ms is {ms}, which is outside the years 1 to 9999; pass Unix milliseconds.",
            field="ms",
        ) from None


def session_created(session: OcSessionInfo) -> datetime:
    """Return when a session was created, in UTC; 1970 if the backend did not say."""
    return to_datetime(session.time.created)


def session_updated(session: OcSessionInfo) -> datetime:
    """Return when a session last changed, in UTC; 1970 if the backend did not say."""
    return to_datetime(session.time.updated)
