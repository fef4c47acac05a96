"""One definition per operation: what to send, what must come back, and what may be repeated."""

from __future__ import annotations

from opencode_sync.operations.base import DefaultTimeout, Operation, Request
from opencode_sync.operations.checks import MAX_TEXT_BYTES
from opencode_sync.operations.config import get_config, update_config
from opencode_sync.operations.providers import (
    get_auth,
    get_oauth_status,
    get_provider_status,
    list_agents,
    set_auth,
    sync_auth_keys,
)
from opencode_sync.operations.servers import (
    check_health,
    discover_server,
    health_check,
    spawn_server,
    stop_server,
)
from opencode_sync.operations.sessions import (
    create_session,
    delete_session,
    list_sessions,
    send_message,
)

__all__ = [
    "MAX_TEXT_BYTES",
    "DefaultTimeout",
    "Operation",
    "Request",
    "check_health",
    "create_session",
    "delete_session",
    "discover_server",
    "get_auth",
    "get_config",
    "get_oauth_status",
    "get_provider_status",
    "health_check",
    "list_agents",
    "list_sessions",
    "send_message",
    "set_auth",
    "spawn_server",
    "stop_server",
    "sync_auth_keys",
    "update_config",
]
