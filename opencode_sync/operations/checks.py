"""Checks of arguments, before anything is sent. Each error names the argument and the remedy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from opencode_sync.errors import IpcArgumentError

__all__ = [
    "MAX_TEXT_BYTES",
    "Folder",
    "check_directory",
    "check_flag",
    "check_id",
    "check_session_id",
    "check_size",
    "check_text",
    "write_json",
]

MAX_TEXT_BYTES: Final = 8_000_000
"""Of one text, in UTF-8. OpenCode takes more than this without ever answering."""

Folder: TypeAlias = str | os.PathLike[str] | None
"""A project folder as callers give it; None is the client's, or else the backend's own."""

_MAX_FIELD_BYTES: Final = 64 * 1024 * 1024 - 1024
"""Of any text: what fits into the largest message that backends take, with room for the rest."""


def check_text(value: object, field: str, remedy: str) -> str:
    """Return ``value`` if it is text that can be sent.

    Args:
        value: The argument.
        field: Its name.
        remedy: What to say after "give a str, ".

    Raises:
        IpcArgumentError: it is no str, holds what UTF-8 cannot, or fits into no message.
    """
    if not isinstance(value, str):
        raise IpcArgumentError(
            f"{field} is of type {type(value).__name__}; give a str, {remedy}", field=field
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise IpcArgumentError(
            f"{field} holds a lone surrogate at position {error.start}, which is no character and "
            "cannot be sent; remove it, or decode the text with the right encoding",
            field=field,
        ) from None
    if size > _MAX_FIELD_BYTES:
        raise IpcArgumentError(
            f"{field} has {size} bytes, and a message holds at most {_MAX_FIELD_BYTES}; shorten it",
            field=field,
        )
    return value


def check_id(value: object, field: str, what: str, remedy: str) -> None:
    """Check that ``value`` can be an id: text that is not blank.

    Args:
        value: The argument.
        field: Its name.
        what: What it has to be, as "the id of a session".
        remedy: Where such an id comes from, as "as list_sessions shows it".

    Raises:
        IpcArgumentError: it cannot.
    """
    if not check_text(value, field, remedy).strip():
        raise IpcArgumentError(f"{field} is blank; give {what}, {remedy}", field=field)


def check_size(value: str, field: str, remedy: str) -> None:
    """Check that a text is not longer than OpenCode and the gateway take.

    Raises:
        IpcArgumentError: it is; ``remedy`` says what to do.
    """
    size = len(value.encode())
    if size > MAX_TEXT_BYTES:
        raise IpcArgumentError(
            f"{field} has {size} bytes in UTF-8, and {MAX_TEXT_BYTES} is the most that can be "
            f"sent; {remedy}",
            field=field,
        )


def check_session_id(value: object) -> None:
    """Check that ``value`` can be the id of a session.

    Raises:
        IpcArgumentError: it cannot.
    """
    check_id(
        value, "session_id", "the id of a session", "as create_session and list_sessions give it"
    )


def check_flag(value: object, field: str, remedy: str) -> None:
    """Check that ``value`` is a boolean.

    Raises:
        IpcArgumentError: it is not; ``remedy`` says what to do.
    """
    if not isinstance(value, bool):
        raise IpcArgumentError(f"{field} is {value!r:.60}; {remedy}", field=field)


def check_directory(value: Folder) -> str | None:
    """Return a project folder as an absolute path; None stays None.

    Whether it exists is not looked at: the backend may see other folders than this process.

    Raises:
        IpcArgumentError: it is no path.
    """
    if value is None:
        return None
    remedy = "which is the path of a project folder, or None for the backend's own"
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise IpcArgumentError(
            f"directory is of type {type(value).__name__}; give a str or a path, {remedy}",
            field="directory",
        )
    path = check_text(os.fspath(value), "directory", remedy)
    if not path.strip() or "\0" in path:
        problem = "holds a null character" if "\0" in path else "is blank"
        raise IpcArgumentError(f"directory {problem}; give a str, {remedy}", field="directory")
    return os.path.abspath(path)


def write_json(value: Mapping[str, Any], field: str) -> str:
    """Return a mapping as JSON text.

    Raises:
        IpcArgumentError: JSON has no words for something in it.
    """
    try:
        return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise IpcArgumentError(
            f"{field} cannot be written as JSON ({error}); give strings as keys, and as values "
            "only strings, finite numbers, booleans, None, lists and mappings",
            field=field,
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value is of type {type(value).__name__}")
