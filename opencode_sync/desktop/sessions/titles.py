"""Titles, which may hold anything: as they are shown, and as they are ordered."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from opencode_sync.printable import printable

__all__ = ["shown_title", "title_key"]

_LONGEST: Final = 1000
"""Characters that are shown, of which no window has room for half."""

_DIGITS: Final = 20
"""Numbers of fewer digits are ordered as numbers."""

_LAST: Final = "\U0010ffff"

_number: Final = re.compile("[0-9]+")


def shown_title(title: str) -> str:
    """Return a title on one line, in which nothing steers how the rest is drawn; "" if blank."""
    return printable(" ".join(title.split()), _LONGEST)


def title_key(title: str) -> str:
    """Return what a title is ordered by: numbers by their value, letters whatever their case.

    A blank title comes last. It is one string, for those are compared fast.
    """
    words = " ".join(title.split())
    if not words:
        return _LAST
    if not words.isascii():
        words = unicodedata.normalize("NFKD", words)  # an accent comes after its letter
    return _number.sub(lambda found: found[0].lstrip("0").zfill(_DIGITS), words.casefold())
