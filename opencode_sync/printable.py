"""Text that came from elsewhere, made fit for a terminal or a window."""

from __future__ import annotations

import unicodedata

__all__ = ["printable", "printable_block"]

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but emoji and several scripts are spelt with them, and they cannot do harm."""

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format (the bidirectional overrides among them) and surrogate characters, and the
separators that some terminals take for a line break."""


def printable(text: str, limit: int | None = None) -> str:
    r"""Return the text on one line, with every character that a terminal might obey spelt out.

    An escape character becomes ``\x1b``, a line break ``\n``: a session's title, or a backend's
    error message, can then neither move the cursor, nor colour the screen, nor fake a second line.

    Args:
        text: Anything.
        limit: How many characters of ``text`` to keep; None keeps all. A longer text ends in "...".
    """
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}..."
    if text.isprintable():
        return text
    return "".join(character if _is_safe(character) else _spelt(character) for character in text)


def printable_block(text: str) -> str:
    r"""Return the text as ``printable`` does, but with its own lines (``\n``) and tabs left alone.

    For text of many lines that has the screen to itself, such as a model's answer.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)


def _is_safe(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _UNSAFE_CATEGORIES


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
