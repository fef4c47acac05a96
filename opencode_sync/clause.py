"""An error's text as a part of another sentence."""

from __future__ import annotations

from typing import Final

__all__ = ["clause"]

_LOST: Final = "the connection was lost: "
"""How the text of a transport may begin, which whoever quotes it has said already."""


def clause(error: BaseException) -> str:
    """Return the error's text so that it can stand behind a colon, in the middle of a sentence.

    Without the capital and the full stop of a sentence of its own, and without "the connection was
    lost", which is what the sentence around it says.
    """
    text = str(error).removeprefix(_LOST).removesuffix(".")
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first.istitle() else text
