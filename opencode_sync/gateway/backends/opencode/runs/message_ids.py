"""Message ids that sort among OpenCode's own: ``msg_``, 12 hex digits of time, 14 random letters.

OpenCode puts the lowest 48 bits of milliseconds times 4096 plus a counter into the digits, and some
of its code compares ids to tell which message came first.
"""

from __future__ import annotations

import secrets
import string
import threading
import time

__all__ = ["MessageIds"]

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_LETTERS = 14
_PER_MILLISECOND = 0x1000


class MessageIds:
    """Makes ids that only ever grow, even when the clock is set back. Any thread may use it."""

    def __init__(self) -> None:
        # Guards _last.
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        """Return a new id."""
        fresh = time.time_ns() // 1_000_000 * _PER_MILLISECOND + 1
        with self._lock:
            number = self._last = max(fresh, self._last + 1)
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LETTERS))
        return f"msg_{number & 0xFFFF_FFFF_FFFF:012x}{letters}"
