"""Calls about one session of OpenCode's, and what is said of one that it does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import check_session_id
from opencode_sync.gateway.backends.opencode.checks import UnknownNameError
from opencode_sync.gateway.backends.opencode.http.client import RefusedError, quote_id
from opencode_sync.gateway.backends.opencode.server.servers import Binding

__all__ = ["call_of_session", "is_unknown", "session_document", "session_tree"]

_LONGEST_ID = 100
"""Characters of a path's part that OpenCode's router takes."""

_MOST_SESSIONS = 1000
"""Sessions of a tree that are looked for."""


def call_of_session(
    binding: Binding,
    method: str,
    session_id: str,
    below: str = "",
    *,
    deadline: Deadline,
    query: Mapping[str, str] | None = None,
    body: object = None,
) -> Any:
    """Return what OpenCode answers about a session.

    Args:
        binding: The server.
        method: ``"GET"``, ...
        session_id: The session's.
        below: The rest of the path: ``"/children"``.
        deadline: For the call.
        query: Parameters, not encoded.
        body: Sent as JSON unless None.

    Raises:
        UnknownNameError: there is no such session.
        BackendError: INVALID_MESSAGE: none can have this id. Others as ``Binding.call`` says.
    """
    path = f"/session/{quote_id(check_session_id(session_id))}{below}"
    try:
        return binding.call(method, path, query or {}, deadline, body)
    except RefusedError as error:
        if not is_unknown(error, session_id):
            raise
        raise UnknownNameError(
            "unknown_session",
            f"session_id: OpenCode has no session {session_id[:_LONGEST_ID]}; use an id that "
            f"list_sessions or create_session returned",
        ) from error


def is_unknown(error: RefusedError, identifier: str) -> bool:
    """Return whether a call was refused because there is nothing of the id in its path."""
    if error.refusal.is_not_found:
        return True
    # OpenCode does not even look at longer ones, and says so without a word of its own.
    return len(identifier) > _LONGEST_ID and error.refusal.status in (404, 414, 431)


def session_document(binding: Binding, session_id: str, deadline: Deadline) -> dict[str, Any]:
    """Return a session as OpenCode's JSON; raises as ``call_of_session`` does."""
    answer = call_of_session(binding, "GET", session_id, deadline=deadline)
    if not isinstance(answer, dict):
        raise binding.misshapen("GET /session/{id}", "a session")
    return answer


def session_tree(binding: Binding, session_id: str, deadline: Deadline) -> dict[str, str]:
    """Return a session's id and those of the sessions below it, with their project folders.

    Its own folder is not looked up, and "". Raises as ``call_of_session`` does.
    """
    tree = {session_id: "", **_children(binding, session_id, deadline)}
    todo = tree.keys() - {session_id}
    while todo and len(tree) < _MOST_SESSIONS:
        try:
            children = _children(binding, todo.pop(), deadline)
        except UnknownNameError:
            continue  # deleted meanwhile
        fresh = {each: folder for each, folder in children.items() if each not in tree}
        tree |= fresh
        todo |= fresh.keys()
    return tree


def _children(binding: Binding, session_id: str, deadline: Deadline) -> dict[str, str]:
    answer = call_of_session(binding, "GET", session_id, "/children", deadline=deadline)
    if not isinstance(answer, list):
        raise binding.misshapen("GET /session/{id}/children", "a list of sessions")
    children = {}
    for each in answer:
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            folder = each.get("directory")
            children[each["id"]] = folder if isinstance(folder, str) else ""
    return children
