"""Drive OpenCode from ordinary blocking Python.

Example::

    from opencode_sync import IpcClient

    with IpcClient() as client:
        for session in client.list_sessions():
            print(session.title)
"""

from __future__ import annotations

from opencode_sync.cancel import CancelToken
from opencode_sync.client import IpcClient
from opencode_sync.config import IpcConfig, IpcConfigProvider
from opencode_sync.errors import (
    IpcArgumentError,
    IpcAuthenticationError,
    IpcCancelledError,
    IpcConfigError,
    IpcConnectionError,
    IpcError,
    IpcPromptError,
    IpcProtocolError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
)
from opencode_sync.launch import launch
from opencode_sync.logs import enable_logging
from opencode_sync.metrics import InMemoryMetrics, Metrics, OpenTelemetryMetrics
from opencode_sync.operations import PromptFile
from opencode_sync.options import IpcClientOptions
from opencode_sync.prompts import PromptResult
from opencode_sync.providers import (
    CommandConfigProvider,
    DefaultConfigProvider,
    EnvironmentConfigProvider,
    FileConfigProvider,
    HttpConfigProvider,
    StaticConfigProvider,
)
from opencode_sync.reconnect import ReconnectPolicy
from opencode_sync.run_events import (
    MessageUpdate,
    OtherEvent,
    PermissionAsked,
    PermissionReply,
    QuestionAsked,
    QuestionItem,
    QuestionOption,
    ReasoningDelta,
    RetryScheduled,
    RunEvent,
    TextDelta,
    ToolUpdate,
)
from opencode_sync.state import ConnectionState, StateChange
from opencode_sync.streams import EventStream, PromptStream

__all__ = [
    "CancelToken",
    "CommandConfigProvider",
    "ConnectionState",
    "DefaultConfigProvider",
    "EnvironmentConfigProvider",
    "EventStream",
    "FileConfigProvider",
    "HttpConfigProvider",
    "InMemoryMetrics",
    "IpcArgumentError",
    "IpcAuthenticationError",
    "IpcCancelledError",
    "IpcClient",
    "IpcClientOptions",
    "IpcConfig",
    "IpcConfigError",
    "IpcConfigProvider",
    "IpcConnectionError",
    "IpcError",
    "IpcPromptError",
    "IpcProtocolError",
    "IpcServerError",
    "IpcSlowConsumerError",
    "IpcTimeoutError",
    "IpcUnsupportedOperationError",
    "IpcUsageError",
    "MessageUpdate",
    "Metrics",
    "OpenTelemetryMetrics",
    "OtherEvent",
    "PermissionAsked",
    "PermissionReply",
    "PromptFile",
    "PromptResult",
    "PromptStream",
    "QuestionAsked",
    "QuestionItem",
    "QuestionOption",
    "ReasoningDelta",
    "ReconnectPolicy",
    "RetryScheduled",
    "RunEvent",
    "StateChange",
    "StaticConfigProvider",
    "TextDelta",
    "ToolUpdate",
    "__version__",
    "enable_logging",
    "launch",
]

__version__ = "0.1.0"
