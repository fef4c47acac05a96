"""One definition per operation: what to send, what must come back, and what may be repeated."""

from __future__ import annotations

from opencode_sync.operations.base import (
    PUSHES,
    Begin,
    DefaultTimeout,
    Operation,
    Post,
    PushSink,
    Request,
)
from opencode_sync.operations.checks import MAX_TEXT_BYTES, Folder, check_directory
from opencode_sync.operations.config import get_config, update_config
from opencode_sync.operations.files import PromptFile, PromptFiles
from opencode_sync.operations.prompts import AnswerPolicy, prompt
from opencode_sync.operations.providers import (
    get_auth,
    get_oauth_status,
    get_provider_status,
    list_agents,
    list_models,
    set_auth,
    sync_auth_keys,
)
from opencode_sync.operations.replies import reply_permission, reply_question
from opencode_sync.operations.servers import (
    check_health,
    discover_server,
    get_backend_info,
    health_check,
    spawn_server,
    stop_server,
)
from opencode_sync.operations.sessions import (
    abort_session,
    create_session,
    delete_session,
    get_session,
    list_messages,
    list_sessions,
    send_message,
    update_session,
)
from opencode_sync.operations.streams import cancel, subscribe

__all__ = [
    "MAX_TEXT_BYTES",
    "PUSHES",
    "AnswerPolicy",
    "Begin",
    "DefaultTimeout",
    "Folder",
    "Operation",
    "Post",
    "PromptFile",
    "PromptFiles",
    "PushSink",
    "Request",
    "abort_session",
    "cancel",
    "check_directory",
    "check_health",
    "create_session",
    "delete_session",
    "discover_server",
    "get_auth",
    "get_backend_info",
    "get_config",
    "get_oauth_status",
    "get_provider_status",
    "get_session",
    "health_check",
    "list_agents",
    "list_messages",
    "list_models",
    "list_sessions",
    "prompt",
    "reply_permission",
    "reply_question",
    "send_message",
    "set_auth",
    "spawn_server",
    "stop_server",
    "subscribe",
    "sync_auth_keys",
    "update_config",
    "update_session",
]
