"""What OpenCode does with sessions: listing, making, changing, reading, aborting, deleting."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import check_session_id
from opencode_sync.gateway.backends.opencode.checks import UnknownNameError, invalid
from opencode_sync.gateway.backends.opencode.history import message_documents
from opencode_sync.gateway.backends.opencode.lookups import call_of_session, session_document
from opencode_sync.gateway.backends.opencode.mapping.message_errors import hide_secrets
from opencode_sync.gateway.backends.opencode.mapping.messages import read_messages
from opencode_sync.gateway.backends.opencode.mapping.sessions import (
    Oddities,
    read_session,
    read_sessions,
)
from opencode_sync.gateway.backends.opencode.mapping.tables import log_oddities
from opencode_sync.gateway.backends.opencode.models import provider_secrets
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.wire import oc_message_pb2, oc_session_pb2

__all__ = [
    "abort_session",
    "create_session",
    "delete_session",
    "get_session",
    "list_messages",
    "list_sessions",
    "update_session",
]


def list_sessions(project: Project, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
    """See ``OpenCodeBackend.list_sessions``."""
    # Without a limit of -1 it would be the first 100, with nothing to say so.
    answer = project.call("GET", "/session", deadline, limit="-1")
    if not isinstance(answer, list):
        raise project.binding.misshapen("GET /session", "a list of sessions")
    odd = Oddities()
    sessions = read_sessions(answer, odd)
    log_oddities(odd)
    return sessions


def create_session(
    project: Project, title: str | None, deadline: Deadline
) -> oc_session_pb2.OcSessionInfo:
    """See ``OpenCodeBackend.create_session``."""
    answer = project.call("POST", "/session", deadline, {} if title is None else {"title": title})
    return _session(project.binding, answer, "POST /session")


def get_session(
    binding: Binding, session_id: str, deadline: Deadline
) -> oc_session_pb2.OcSessionInfo:
    """See ``OpenCodeBackend.get_session``."""
    document = session_document(binding, session_id, deadline)
    return _session(binding, document, "GET /session/{id}")


def update_session(
    binding: Binding,
    session_id: str,
    *,
    title: str | None,
    archived: bool | None,
    deadline: Deadline,
) -> oc_session_pb2.OcSessionInfo:
    """See ``OpenCodeBackend.update_session``."""
    check_session_id(session_id)
    change: dict[str, Any] = {}
    if title is not None:
        change["title"] = title
    if archived is not None:
        # Null would leave it where it is. Zero is what OpenCode's own programs take for "not".
        change["time"] = {"archived": time.time_ns() // 1_000_000 if archived else 0}
    if not change:
        raise invalid("title and archived are both absent; give at least one of them")
    answer = call_of_session(binding, "PATCH", session_id, deadline=deadline, body=change)
    return _session(binding, answer, "PATCH /session/{id}")


def delete_session(binding: Binding, session_id: str, deadline: Deadline) -> bool:
    """See ``OpenCodeBackend.delete_session``."""
    try:
        answer = call_of_session(binding, "DELETE", session_id, deadline=deadline)
    except UnknownNameError:
        return False
    if answer is not True:
        raise binding.misshapen("DELETE /session/{id}", "true")
    return True


def abort_session(binding: Binding, session_id: str, deadline: Deadline) -> bool:
    """See ``OpenCodeBackend.abort_session``."""
    session_document(binding, session_id, deadline)  # an abort is answered with true for any id
    if call_of_session(binding, "POST", session_id, "/abort", deadline=deadline) is not True:
        raise binding.misshapen("POST /session/{id}/abort", "true")
    return True


def list_messages(
    binding: Binding, session_id: str, limit: int, deadline: Deadline
) -> list[oc_message_pb2.OcMessage]:
    """See ``OpenCodeBackend.list_messages``."""
    odd = Oddities()
    messages = read_messages(message_documents(binding, session_id, limit, deadline), odd)
    log_oddities(odd)
    _hide_keys(binding, session_id, messages, deadline)
    return messages


# Helpers...


def _session(binding: Binding, answer: object, call: str) -> oc_session_pb2.OcSessionInfo:
    odd = Oddities()
    session = read_session(answer, odd)
    if session is None:
        raise binding.misshapen(call, "a session")
    log_oddities(odd)
    return session


def _hide_keys(
    binding: Binding,
    session_id: str,
    messages: Iterable[oc_message_pb2.OcMessage],
    deadline: Deadline,
) -> None:
    """Take providers' keys out of stored errors, which may quote them."""
    errors = [each.assistant.error for each in messages if each.assistant.HasField("error")]
    if errors:
        directory = session_document(binding, session_id, deadline).get("directory")
        project = Project(binding, directory if isinstance(directory, str) else None)
        secrets = provider_secrets(project, deadline)
        for error in errors:
            hide_secrets(error, secrets)
