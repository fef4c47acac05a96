"""Something that goes on when a test says so, and not after some time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Self

__all__ = ["Gate"]


class Gate:
    """Holds answers back until it is opened; then everything passes. Any thread may call it.

    As a context manager it is open once the block is left::

        with fake.hold("list_sessions") as gate:
            future = fake.futures.list_sessions()
            gate.wait_reached()
            ...  # the answer is on its way, and does not come
        future.result()
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all below; waited on by tests
        self._open = False
        self._reached = 0
        self._parked: dict[Hashable, Callable[[], None]] = {}

    @property
    def is_open(self) -> bool:
        """Whether it lets everything pass."""
        return self._open

    @property
    def reached(self) -> int:
        """How many requests, or runs, have come to it until now."""
        return self._reached

    def wait_reached(self, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until so many have come to it.

        Args:
            count: How many, from the beginning on.
            timeout: Seconds.

        Raises:
            TimeoutError: fewer came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._reached >= count, timeout):
                raise TimeoutError(
                    f"{self._reached} of {count} came to the gate within {timeout:g} s; has the "
                    "program under test asked for it?"
                )

    def open(self) -> None:
        """Let go on what waits here, in the order in which it came, and whatever comes later."""
        with self._changed:
            self._open = True
            parked, self._parked = self._parked, {}
        for go_on in parked.values():
            go_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.open()

    def __repr__(self) -> str:
        return f"<Gate {'open' if self._open else f'holding {len(self._parked)}'}>"

    # --- For what is held ---

    def park(self, key: Hashable, go_on: Callable[[], None]) -> bool:
        """Come to the gate; returns False when it is open, so that nothing waits for it.

        Args:
            key: What ``leave`` will name.
            go_on: Called by whoever opens the gate.
        """
        with self._changed:
            self._reached += 1
            self._changed.notify_all()
            if self._open:
                return False
            self._parked[key] = go_on
            return True

    def leave(self, key: Hashable) -> bool:
        """Wait no more; returns whether it did."""
        with self._changed:
            return self._parked.pop(key, None) is not None
