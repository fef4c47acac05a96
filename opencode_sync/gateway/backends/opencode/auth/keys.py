"""New keys, and the instances of OpenCode that do not know them yet.

OpenCode reads its credentials once for each directory it works in (an instance) and goes on with
what it read; only an instance that was disposed of reads them again. Disposing aborts every run in
that directory, whoever started it. So a new key disposes of nothing. It is remembered, and the next
call that needs the key, a prompt to that provider or a look at what is connected, has the
instance disposed of first, provided nothing runs there; otherwise that call goes on without the
key, and a later one tries again. A run that another program starts in the very moment of the
disposal is lost all the same: OpenCode has no call that would prevent it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.errors import server_error

__all__ = ["KeyChanges"]


class KeyChanges:
    """What has changed since which instance read its keys. Any thread may call any method."""

    def __init__(self) -> None:
        # Guards every attribute below; waited on while an instance is being disposed of.
        self._changed = threading.Condition()
        self._count = 0
        self._changes: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self._running: Counter[str] = Counter()
        self._disposing: set[str] = set()

    def note(self, provider_id: str) -> None:
        """Remember that this provider's key is new."""
        with self._changed:
            self._count += 1
            self._changes[provider_id] = self._count

    def refresh(
        self,
        directory: str,
        provider_id: str | None,
        dispose: Callable[[], bool],
        deadline: Deadline,
    ) -> bool:
        """Have a directory's instance know the keys; returns whether it does.

        Args:
            directory: The instance's.
            provider_id: Whose key matters; None for all.
            dispose: Disposes of the instance if nothing runs there; returns whether it did.
            deadline: For waiting until another thread has done so.
        """
        with self._changed:
            self._wait(directory, deadline)
            changed = self._count if provider_id is None else self._changes.get(provider_id, 0)
            if changed <= self._read.get(directory, 0):
                return True
            if self._running[directory]:
                return False
            self._disposing.add(directory)
            count = self._count
        done = False
        try:
            done = dispose()
        finally:
            with self._changed:
                self._disposing.discard(directory)
                if done:
                    self._read[directory] = count
                self._changed.notify_all()
        return done

    @contextmanager
    def running(self, directory: str, deadline: Deadline) -> Iterator[None]:
        """Keep a directory's instance from being disposed of here."""
        with self._changed:
            self._wait(directory, deadline)
            self._running[directory] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[directory] -= 1
                if not self._running[directory]:
                    del self._running[directory]

    def _wait(self, directory: str, deadline: Deadline) -> None:
        """Wait until nobody disposes of the instance. The caller holds the lock."""
        free = self._changed.wait_for(
            lambda: directory not in self._disposing, deadline.remaining()
        )
        if not free:
            raise server_error(
                f"OpenCode did not read its new keys for {directory} in the time allowed; try again"
            )
