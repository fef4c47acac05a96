"""Where in a text another writing system begins: each such place takes Qt long to lay out.

A word that goes on for many of them takes it much longer, by the square of their number.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["script_changes"]

_LATIN: Final = 0x250
"""Where the letters end that are laid out together with those of English."""

_NEITHER: Final = re.compile(r"\s|[\u0300-\u036f\u200c\u200d\ufe00-\ufe0f]")
"""Blanks, and marks that join what they stand on."""

_IDEOGRAPHS: Final = re.compile(
    r"[\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Also Kana, Hangul and their punctuation, which share lines and may be wrapped anywhere."""


def script_changes(line: str) -> list[int]:
    """Return the positions at which something begins that is written otherwise, and not in Latin.

    Args:
        line: One line of any text.
    """
    if line.isascii():
        return []
    changes = []
    before = 0
    for position, character in enumerate(line):
        if _NEITHER.match(character):
            continue
        script = _script(character)
        if script not in (before, 0):
            changes.append(position)
        before = script
    return changes


def _script(character: str) -> int:
    """Return a number for where a character belongs: blocks of 128 tell scripts apart."""
    code = ord(character)
    if code < _LATIN:
        return 0
    return -1 if _IDEOGRAPHS.match(character) else code >> 7
