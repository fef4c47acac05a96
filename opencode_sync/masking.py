"""The last line of defence of secrets in the log: what is known as one, or looks like one.

The first is that nothing secret is logged at all. This is for the text of a peer, or of a library,
that quotes what it should not.
"""

from __future__ import annotations

import re
import threading
import traceback
from collections import deque
from typing import Any, Final

__all__ = ["HIDDEN", "MaskedError", "mask", "mask_record", "remember_secret"]

HIDDEN: Final = "[secret]"
"""What stands in the place of a secret."""

_SHORTEST: Final = 8
"""Characters; what is shorter may well be a word, and hiding it would spoil every text."""

_MOST: Final = 1_000

# Each keeps its first group, which tells people what kind of secret it was.
_SHAPES: Final = tuple(
    re.compile(shape, re.ASCII)
    for shape in (
        r"\b(sk-|xai-|gsk_|hf_|AIza|AKIA|gh[oprsu]_|github_pat_|xox[abprs]-)[A-Za-z0-9_-]{8,}",
        # Three parts in base64, of which the first begins with '{"'.
        r"\b(eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
        # Not a word that follows in a sentence: "Bearer authentication is needed".
        r"\b((?i:bearer|basic)\s+)(?![a-z]{1,19}(?![\w~+/=-]))[\w.~+/=-]{6,}",
        r"((?i:\b|_)(?i:api[_-]?key|key|password|passwd|secret|token)=)[^\s&;,'\"]{4,}",
        r"(://[^\s/:@]*:)[^\s/@]+(?=@)",
    )
)

_lock = threading.Lock()  # guards the change of the next two
_newest: deque[str] = deque(maxlen=_MOST)
_secrets: tuple[str, ...] = ()  # the same, longest first: one may be a part of another


class MaskedError(Exception):
    """Stands for an exception whose text held a secret: the whole text, without it."""


def remember_secret(secret: str) -> None:
    """Have a secret kept out of all logs of this package from now on. Any thread may call it.

    The newest 1,000 are remembered; those of fewer than 8 characters are not.
    """
    global _secrets
    if len(secret) < _SHORTEST or secret in _secrets:
        return
    with _lock:
        _newest.append(secret)
        _secrets = tuple(sorted(_newest, key=len, reverse=True))


def mask(text: str) -> str:
    """Return a text without what is known to be a secret, and what has the shape of one."""
    for secret in _secrets:
        text = text.replace(secret, HIDDEN)
    for shape in _SHAPES:
        text = shape.sub(rf"\1{HIDDEN}", text)
    return text


def mask_record(record: Any) -> None:
    """Take secrets out of a record of loguru's: out of its message, fields and exception."""
    record["message"] = mask(record["message"])
    extra = record["extra"]
    for name, value in extra.items():
        shown = value if isinstance(value, str) else repr(value)
        masked = mask(shown)
        if masked != shown:
            extra[name] = masked
    exception = record["exception"]
    if exception is not None and exception.value is not None:
        shown = "".join(traceback.format_exception(exception.value))
        masked = mask(shown)
        if masked != shown:
            record["exception"] = type(exception)(MaskedError, MaskedError(masked), None)
