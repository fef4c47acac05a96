"""Words of models and servers, made fit for labels, buttons and tooltips of this window."""

from __future__ import annotations

from typing import Final

from opencode_sync.desktop.plain import plain_tooltip
from opencode_sync.printable import printable

__all__ = ["caption", "hint", "line"]

_SHOWN: Final = 120


def line(text: str, limit: int = _SHOWN) -> str:
    """Return a text as one line in which nothing is invisible or changes the writing direction."""
    return printable(text.strip(), limit)


def caption(text: str, limit: int = _SHOWN) -> str:
    """Return the same for a button or a box, where Qt takes & for a shortcut."""
    return line(text, limit).replace("&", "&&")


def hint(text: str) -> str:
    """Return the same for a tooltip, which Qt would read as HTML."""
    return plain_tooltip(line(text, 500))
