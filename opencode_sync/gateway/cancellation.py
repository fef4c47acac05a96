"""How work that takes long gets to know that nobody wants its result any more."""

from __future__ import annotations

import threading
from collections.abc import Callable

from opencode_sync.logger import logger

__all__ = ["Cancellation"]


class Cancellation:
    """Set at most once, for good. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the next two
        self._reason: str | None = None
        self._callbacks: dict[object, Callable[[], object]] = {}

    @property
    def cancelled(self) -> bool:
        """Whether it is set."""
        return self._reason is not None

    @property
    def reason(self) -> str:
        """Why, for people; "" while it is not set."""
        return self._reason or ""

    def cancel(self, reason: str) -> bool:
        """Set it, and call what waits for it in this thread; returns False if it was set before."""
        with self._lock:
            if self._reason is not None:
                return False
            self._reason = reason
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            _call(callback)
        return True

    def on_cancel(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have ``callback()`` called once it is set: now, if it is. It must not block.

        Returns:
            A function that takes the callback back.
        """
        key = object()
        with self._lock:
            if self._reason is None:
                self._callbacks[key] = callback
                return lambda: self._forget(key)
        _call(callback)
        return lambda: None

    def _forget(self, key: object) -> None:
        with self._lock:
            self._callbacks.pop(key, None)


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - one that fails must not keep the others from knowing
        logger.exception("a cancellation's callback failed; this is a bug")
