"""Cancelling a blocking call from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["CancelToken"]


class CancelToken:
    """Tells blocking calls to give up: pass it to them, call ``cancel`` from any thread.

    One token may serve any number of calls, at once or one after another. Cancelling is final: a
    call that gets a token already cancelled raises ``IpcCancelledError`` without sending anything.

    Example::

        token = CancelToken()
        window.on_stop(token.cancel)
        client.list_sessions(cancel=token)
    """

    __slots__ = ("_cancelled", "_lock", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _cancelled and _waiting
        self._cancelled = False
        self._waiting: dict[object, Callable[[], None]] = {}

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """End every call that waits with this token, and every later one. Any thread."""
        with self._lock:
            self._cancelled = True
            waiting, self._waiting = list(self._waiting.values()), {}
        for wake in waiting:
            wake()

    def attach(self, key: object, wake: Callable[[], None]) -> bool:
        """Have ``wake`` called on cancellation; for this package's own calls.

        Returns:
            False, keeping nothing, when the token is cancelled already.
        """
        with self._lock:
            if self._cancelled:
                return False
            self._waiting[key] = wake
            return True

    def detach(self, key: object) -> None:
        """Forget what ``attach`` registered under ``key``."""
        with self._lock:
            self._waiting.pop(key, None)

    def __repr__(self) -> str:
        return f"CancelToken({'cancelled' if self._cancelled else 'active'})"
