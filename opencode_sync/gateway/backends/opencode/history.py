"""A session's messages as OpenCode's JSON, also where OpenCode cannot list them all at once.

OpenCode 1.18 stores a prompt that asks for a result of a JSON schema in a form that its own check
of the answer refuses: a list with such a prompt in it is a status 400, for ever. The check is
not made of a page that has another one behind it. So the messages are read in pages, and the last
pages become smaller until they can be read. What is left at worst is a session's first message.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.http.client import RefusedError
from opencode_sync.gateway.backends.opencode.lookups import call_of_session
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.logger import logger

__all__ = ["message_documents"]

_PAGE = 64


def message_documents(
    binding: Binding, session_id: str, limit: int, deadline: Deadline
) -> list[Any]:
    """Return a session's messages, the oldest first.

    Of a prompt that OpenCode cannot show there is only the id, if an answer names it.

    Args:
        binding: The server.
        session_id: The session's.
        limit: Only the newest so many; 0 for all.
        deadline: For all of it.

    Raises:
        BackendError: as ``call_of_session`` says.
    """
    messages = _page(binding, session_id, limit, "", deadline)
    if messages is None:
        logger.debug("OpenCode cannot list the messages of {} at once", session_id)
        messages = _page_by_page(binding, session_id, limit, deadline)
    return messages


def _page_by_page(binding: Binding, session_id: str, limit: int, deadline: Deadline) -> list[Any]:
    newest_first: list[Any] = []
    size, before = _PAGE, ""
    while not limit or len(newest_first) < limit:
        size = min(size, limit - len(newest_first)) if limit else size
        page = _page(binding, session_id, size, before, deadline)
        if page is None and size > 1:
            size //= 2
        elif page is None:
            newest_first += _unreadable(newest_first, session_id)
            break
        else:
            newest_first += reversed(page)
            if len(page) < size:
                break
            before = _behind(page[0])
            if not before:
                raise binding.misshapen("GET /session/{id}/message", "messages with times")
    return newest_first[::-1]


def _page(
    binding: Binding, session_id: str, limit: int, before: str, deadline: Deadline
) -> list[Any] | None:
    """Return the newest messages, the oldest of them first; None when OpenCode cannot.

    Args:
        binding: The server.
        session_id: The session's.
        limit: So many; 0 for all.
        before: Only older ones than this cursor says; "" for all.
        deadline: For the call.
    """
    query = {**({"limit": str(limit)} if limit else {}), **({"before": before} if before else {})}
    try:
        answer = call_of_session(
            binding, "GET", session_id, "/message", deadline=deadline, query=query
        )
    except RefusedError as error:
        if error.refusal.status == 400:  # nothing is wrong with what was asked
            return None
        raise
    if not isinstance(answer, list):
        raise binding.misshapen("GET /session/{id}/message", "a list of messages")
    return answer


def _unreadable(newest_first: list[Any], session_id: str) -> list[Any]:
    """Return what is known of a session's first message, which answers may name."""
    read = {_info(each).get("id") for each in newest_first}
    for each in reversed(newest_first):
        parent = _info(each).get("parentID")
        if isinstance(parent, str) and parent not in read:
            info = {"id": parent, "sessionID": session_id, "role": "user"}
            return [{"info": info, "parts": []}]
    return []


def _behind(message: object) -> str:
    """Return OpenCode's cursor for what is older than a message, "" if that has no time or id."""
    info = _info(message)
    times = info.get("time")
    created = times.get("created") if isinstance(times, dict) else None
    if not isinstance(created, int) or not isinstance(info.get("id"), str):
        return ""
    place = json.dumps({"id": info["id"], "time": created}, separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _info(message: object) -> dict[str, Any]:
    info = message.get("info") if isinstance(message, dict) else None
    return info if isinstance(info, dict) else {}
