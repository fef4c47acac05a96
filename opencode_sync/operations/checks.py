"""Checks of arguments, before anything is sent. Each error names the argument and the remedy."""

from __future__ import annotations

from typing import Final

from opencode_sync.errors import IpcArgumentError

__all__ = ["MAX_TEXT_BYTES", "check_id", "check_size", "check_text"]

MAX_TEXT_BYTES: Final = 8_000_000
"""Of one text, in UTF-8. OpenCode takes more than this without ever answering."""

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
