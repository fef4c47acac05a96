"""Deadlines of futures that nobody waits for: one timer for all of them."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from opencode_sync.call import Call
from opencode_sync.keeper import Keeper, Timer

__all__ = ["DeadlineSweep"]


class DeadlineSweep:
    """Ends calls whose time is up.

    A blocking caller minds its own deadline; a future has nobody to do it. There is no timer per
    call, only one for the earliest deadline known: when it comes, all live calls are looked at and
    the next earliest is set. Calls that end in time cost nothing but their place in a set.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        # Calls come and go one at a time, each an atomic step of the set; iteration copies.
        self._live: set[Call[Any]] = set()
        self._lock = threading.Lock()  # guards _earliest and _timer
        self._earliest = math.inf
        self._timer: Timer | None = None

    def watch(self, call: Call[Any]) -> None:
        """End ``call`` when its deadline comes, unless it ends before. Any thread."""
        at = call.deadline.at
        if at is None:
            return
        self._live.add(call)
        call.watched_in = self._live
        if call.claimed:  # perhaps before it could know where it has to leave
            self._live.discard(call)
        if at < self._earliest:
            self._arm(at)

    def _arm(self, at: float) -> None:
        with self._lock:
            if at >= self._earliest:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._keeper.call_at(at, self._sweep)
            # Without a thread to mind it, the next call has to try again.
            self._earliest = at if self._keeper.is_running else math.inf

    def _sweep(self) -> None:
        """Keeper thread: end what is due, then plan for the next."""
        with self._lock:
            # From here on a watch() of any deadline arms anew, so none is missed while we look.
            self._earliest, self._timer = math.inf, None
        now = time.monotonic()
        earliest = math.inf
        for call in list(self._live):
            at = call.deadline.at
            if at is None:  # pragma: no cover - watch() admits none
                continue
            if at <= now:
                call.expire()
            else:
                earliest = min(earliest, at)
        if earliest < math.inf:
            self._arm(earliest)

    def reset(self) -> None:
        """Forget the timer, for a keeper that was stopped and starts anew."""
        with self._lock:
            self._earliest, self._timer = math.inf, None
