"""Session ids: ``ses_`` and 26 characters that sort by the time of their making."""

from __future__ import annotations

import secrets
import threading
import time

__all__ = ["SessionIds"]

# Ascending in ASCII, so that the text sorts as the number does; no letters people mix up.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80


class SessionIds:
    """Makes ids and their times; both only ever grow, even when the clock is set back.

    Any thread may call any method.
    """

    def __init__(self) -> None:
        # Guards _last.
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> tuple[str, int]:
        """Return a new id and its time in Unix milliseconds."""
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            # Within one millisecond, and behind a clock that went back, counting up keeps order.
            number = self._last = max(fresh, self._last + 1)
        letters = [_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH))]
        return "ses_" + "".join(letters), number >> _RANDOM_BITS
