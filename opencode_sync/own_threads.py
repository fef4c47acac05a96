"""The threads on which nobody may wait for a client, because it is they who end the wait."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["OwnThreads"]


class OwnThreads:
    """One client's notifier and readers, as long as they run.

    They come and go seldom, and every blocking call asks whether it is on one of them: so they are
    kept by id, which one look finds.
    """

    def __init__(self) -> None:
        self.ids: set[int] = set()
        """What ``threading.get_ident()`` returns on them. Each change is an atomic step."""

    def run(self, work: Callable[[], None]) -> None:
        """Run ``work`` with the caller's thread as one of them: the target of such a thread."""
        me = threading.get_ident()
        self.ids.add(me)
        try:
            work()
        finally:
            self.ids.discard(me)
