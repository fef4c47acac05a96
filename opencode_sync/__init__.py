"""Drive OpenCode from ordinary blocking Python.

Example::

    from opencode_sync import IpcClient

    with IpcClient() as client:
        for session in client.list_sessions():
            print(session.title)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# Sees to it that nothing is logged unless somebody wants it, whatever comes first.
from opencode_sync import logger as _logger  # noqa: F401
from opencode_sync.lazy import lazy_names

if TYPE_CHECKING:
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
    from opencode_sync.launching import launch
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

# Imported when used: pytest, for one, imports this package for its plugin in every run.
_MODULES = {
    "cancel": ("CancelToken",),
    "client": ("IpcClient",),
    "config": (
        "IpcConfig",
        "IpcConfigProvider",
    ),
    "errors": (
        "IpcArgumentError",
        "IpcAuthenticationError",
        "IpcCancelledError",
        "IpcConfigError",
        "IpcConnectionError",
        "IpcError",
        "IpcPromptError",
        "IpcProtocolError",
        "IpcServerError",
        "IpcSlowConsumerError",
        "IpcTimeoutError",
        "IpcUnsupportedOperationError",
        "IpcUsageError",
    ),
    "launching": ("launch",),
    "logs": ("enable_logging",),
    "metrics": (
        "InMemoryMetrics",
        "Metrics",
        "OpenTelemetryMetrics",
    ),
    "operations": ("PromptFile",),
    "options": ("IpcClientOptions",),
    "prompts": ("PromptResult",),
    "providers": (
        "CommandConfigProvider",
        "DefaultConfigProvider",
        "EnvironmentConfigProvider",
        "FileConfigProvider",
        "HttpConfigProvider",
        "StaticConfigProvider",
    ),
    "reconnect": ("ReconnectPolicy",),
    "run_events": (
        "MessageUpdate",
        "OtherEvent",
        "PermissionAsked",
        "PermissionReply",
        "QuestionAsked",
        "QuestionItem",
        "QuestionOption",
        "ReasoningDelta",
        "RetryScheduled",
        "RunEvent",
        "TextDelta",
        "ToolUpdate",
    ),
    "state": (
        "ConnectionState",
        "StateChange",
    ),
    "streams": (
        "EventStream",
        "PromptStream",
    ),
}
if not TYPE_CHECKING:  # for whom there would be no misspelt names any more
    __getattr__, __dir__ = lazy_names(__name__, _MODULES)
