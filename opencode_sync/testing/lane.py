"""One direction of a faulty transport: whole messages, and what the plan makes of them.

One thread uses it, but for ``busy``. Nothing here waits: an item says when it is due.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opencode_sync.deadline import Deadline
from opencode_sync.testing.faults import ENDS, Direction, Fault, FaultKind
from opencode_sync.testing.plan import FaultPlan, Injection, Stroke
from opencode_sync.transport.base import TransportError

__all__ = ["Item", "Lane"]


@dataclass
class Item:
    """A message, an end, or only a pause."""

    data: bytes | None = None
    wait: float | None = 0.0
    """Seconds to wait once it is its turn; None: for ever."""
    end: Fault | None = None
    """The fault that ends the link here."""
    error: TransportError | None = None
    """How the link itself ended."""
    due: Deadline | None = None
    """When its wait is over; set once it is its turn."""


class Lane:
    """What travels one way, in order."""

    def __init__(
        self,
        direction: Direction,
        plan: FaultPlan,
        *,
        connection: int,
        note: Callable[[Injection], None],
    ) -> None:
        """Make a lane on which nothing has travelled.

        Args:
            direction: Which.
            plan: What goes wrong.
            connection: The link's number for the plan.
            note: Told of each fault that strikes.
        """
        self.silent_since: float | None = None
        """``time.monotonic()`` from which on everything is swallowed."""
        self.held_until: Deadline | None = None
        """Until when a message waits to be overtaken; None when none does."""
        self._direction = direction
        self._plan = plan
        self._connection = connection
        self._note = note
        self._number = 0
        self._items: deque[Item] = deque()
        self._held: list[Item] = []

    @property
    def busy(self) -> bool:
        """Whether anything waits here. Any thread."""
        return bool(self._items) or self.held_until is not None

    def opening(self) -> list[Item]:
        """Return what happens to the opening of the link."""
        return self._struck(self._strokes(is_message=False), None)

    def take(self, data: bytes) -> None:
        """Let the next message in."""
        self._number += 1
        if self.silent_since is not None:
            return
        strokes = self._strokes(is_message=True)
        items = self._struck(strokes, data)
        for stroke in strokes:
            if stroke.fault.kind is FaultKind.REORDER:
                self.release()
                self._held = items
                self.held_until = Deadline.after(stroke.fault.seconds or 0.0)
                return
        self._items.extend(items)
        self.release()

    def end(self, error: TransportError) -> None:
        """Note that the link has ended behind what came until now."""
        self.release()
        self._items.append(Item(error=error))

    def release(self) -> None:
        """Let the message go that waits to be overtaken, if one does."""
        held, self._held = self._held, []
        self.held_until = None
        self._items.extend(held)

    def next(self) -> Item | None:
        """Return what comes next, without taking it; it must not be passed on before it is due."""
        if not self._items:
            return None
        item = self._items[0]
        if item.due is None:
            item.due = Deadline.after(item.wait)
        return item

    def pop(self) -> None:
        """Take what ``next`` returned."""
        self._items.popleft()

    # --- Inner steps ---

    def _strokes(self, *, is_message: bool) -> list[Stroke]:
        strokes = self._plan.strikes(
            self._connection, self._direction, self._number, is_message=is_message
        )
        for stroke in strokes:
            self._note(Injection(stroke.fault, self._connection, self._direction, self._number))
        return strokes

    def _struck(self, strokes: list[Stroke], data: bytes | None) -> list[Item]:
        items: list[Item] = []
        copies = [] if data is None else [data]
        pace = 0.0
        for stroke in strokes:
            fault = stroke.fault
            match fault.kind:
                case FaultKind.DELAY | FaultKind.FREEZE:
                    items.append(Item(wait=fault.seconds))
                case FaultKind.THROTTLE:
                    pace += 1 / (fault.size or 1)
                case FaultKind.DROP:
                    copies = []
                case FaultKind.DUPLICATE:
                    copies = copies * 2
                case FaultKind.CORRUPT:
                    copies = [stroke.corrupted(copy, 0) for copy in copies]
        for stroke in strokes:
            if stroke.fault.kind in ENDS:
                return [*items, Item(end=stroke.fault)]
            if stroke.fault.kind is FaultKind.HALF_OPEN:
                self.silent_since = time.monotonic()
                return items
        return items + [Item(copy, wait=pace * len(copy)) for copy in copies]
