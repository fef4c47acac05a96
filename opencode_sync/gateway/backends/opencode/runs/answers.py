"""Whose answer an answer is: the messages of one session, followed from a prompt of ours.

OpenCode answers a prompt with the session's last assistant message. That can be somebody else's: a
prompt that arrives while another runs is put behind it, and both get the same answer. Each
assistant message names the user message it answers (``parentID``), so ours are those that name
ours. When OpenCode compacts a session in the middle of a run it writes user messages itself and
answers those; they belong to the run they interrupt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["answer_to", "answers", "answers_to", "has_ended", "is_by_opencode"]


def answers(document: object, message_id: str) -> bool:
    """Return whether this is an assistant message that names our message as its parent."""
    info = _info(document)
    return info.get("role") == "assistant" and info.get("parentID") == message_id


def answers_to(documents: Iterable[object], message_id: str) -> list[Mapping[str, Any]]:
    """Return the assistant messages of the run that our message began, the oldest first.

    Args:
        documents: The session's messages, the oldest first.
        message_id: Of our own prompt.
    """
    ours = {message_id}
    mine = False  # whether the user message read last belongs to our run
    found: list[Mapping[str, Any]] = []
    for document in documents:
        info = _info(document)
        if info.get("role") == "user":
            mine = info.get("id") == message_id or (mine and _is_by_opencode(document))
            if mine:
                ours.add(str(info.get("id")))
        elif isinstance(document, dict) and any(answers(document, each) for each in ours):
            found.append(document)
    return found


def answer_to(documents: Iterable[object], message_id: str) -> Mapping[str, Any] | None:
    """Return the last assistant message of the run that our message began, None if there is none.

    Args:
        documents: The session's messages, the oldest first.
        message_id: Of our own prompt.
    """
    found = answers_to(documents, message_id)
    return found[-1] if found else None


def has_ended(document: object) -> bool:
    """Return whether a run ended with this: it says how, or why not."""
    info = _info(document)
    return bool(info.get("finish") or info.get("error"))


def _info(document: object) -> Mapping[str, Any]:
    info = document.get("info") if isinstance(document, dict) else None
    return info if isinstance(info, dict) else {}


def is_by_opencode(part: object) -> bool:
    """Return whether OpenCode itself wrote this part of a user message."""
    return isinstance(part, dict) and bool(
        part.get("type") == "compaction" or part.get("synthetic")
    )


def _is_by_opencode(document: object) -> bool:
    parts = document.get("parts") if isinstance(document, dict) else None
    return bool(parts) and all(map(is_by_opencode, parts or ()))
