"""The messages of one session, as the pane shows them: plain values, without a toolkit.

A ``Transcript`` belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opencode_sync.desktop.chat.entry import Entry, TextPart, ToolPart, entry_of
from opencode_sync.messages import ToolCall
from opencode_sync.run_events import (
    MessageUpdate,
    OtherEvent,
    ReasoningDelta,
    RunEvent,
    TextDelta,
    ToolUpdate,
)
from opencode_sync.wire.oc_message_pb2 import OcMessage

__all__ = ["Transcript"]


class Transcript:
    """The messages of one session in their order, kept up to date by the events of its runs."""

    def __init__(self, session_id: str) -> None:
        """Make an empty one.

        Args:
            session_id: Whose messages count; those of sessions below it do not.
        """
        self._session_id = session_id
        self.entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._waits: Callable[[ToolCall], bool] = lambda call: False

    def load(self, entries: Iterable[Entry]) -> None:
        """Have these messages and no others; one that was there before stays the same entry."""
        kept = [self._merged(entry) for entry in entries]
        self.entries = kept
        self._by_id = {entry.id: entry for entry in kept}
        self.mark_waiting(self._waits)

    def _merged(self, new: Entry) -> Entry:
        old = self._by_id.get(new.id)
        if old is None or not new.id:
            return new
        old.take_read(new)
        return old

    def add_prompt(self, text: str) -> Entry:
        """Add what the user has just sent, which OpenCode will give an id."""
        entry = Entry("", "user", {"prompt": TextPart(text)})
        self.entries.append(entry)
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget a message, if it is there."""
        if entry in self.entries:
            self.entries.remove(entry)
            self._by_id.pop(entry.id, None)

    def settle(self, messages: Iterable[OcMessage], prompt_id: str = "") -> list[Entry]:
        """Take what a run's end says of its messages; returns their entries.

        Args:
            messages: The model's, complete.
            prompt_id: The id that the user's got.
        """
        if prompt_id not in self._by_id:
            self._name_prompt(prompt_id)
        settled = []
        for message in messages:
            entry = self._entry(message)
            new = entry_of(message)
            if new.parts or not entry.parts:
                entry.take(new)
            else:
                entry.describe(message)
            settled.append(entry)
        return settled

    def apply(self, event: RunEvent) -> Entry | None:
        """Take an event of a run; returns the entry that it has changed, if any."""
        if isinstance(event, TextDelta | ReasoningDelta):
            return self._grow(event)
        if isinstance(event, ToolUpdate):
            if event.session_id != self._session_id:
                return None
            entry = self._assistant(event.message_id)
            entry.parts[event.call.id] = ToolPart(event.call, waits=self._waits(event.call))
            return entry
        if isinstance(event, MessageUpdate):
            if event.session_id != self._session_id:
                return None
            entry = self._entry(event.message)
            entry.describe(event.message)
            return entry
        if isinstance(event, OtherEvent):
            return self._drop(event)
        return None

    def mark_waiting(self, waits: Callable[[ToolCall], bool]) -> list[Entry]:
        """Have tool calls wait for the user; returns the entries that this changes.

        Args:
            waits: Tells of a call, also of those to come, whether it is one of them.
        """
        self._waits = waits
        changed = []
        for entry in self.entries:
            for part in entry.parts.values():
                if isinstance(part, ToolPart) and part.waits != waits(part.call):
                    part.waits = not part.waits
                    if entry not in changed:
                        changed.append(entry)
        return changed

    def mark_left(self, *, at_work: bool) -> None:
        """Tell answers that nobody is known to be writing from those that go on.

        Args:
            at_work: Whether somebody is writing the newest answer.
        """
        answers = [entry for entry in self.entries if entry.role == "assistant"]
        for entry in answers:
            entry.left = entry.unfinished and not (at_work and entry is answers[-1])

    def _grow(self, delta: TextDelta | ReasoningDelta) -> Entry | None:
        if delta.session_id != self._session_id or not delta.text:
            return None
        entry = self._assistant(delta.message_id)
        part = entry.parts.get(delta.part_id)
        if not isinstance(part, TextPart):
            part = TextPart(reasoning=isinstance(delta, ReasoningDelta))
            entry.parts[delta.part_id] = part
        part.append(delta.text)
        return entry

    def _drop(self, other: OtherEvent) -> Entry | None:
        event = other.event.event
        if event.WhichOneof("event") != "message_part_removed":
            return None
        removed = event.message_part_removed
        entry = self._by_id.get(removed.message_id)
        if entry is None or entry.parts.pop(removed.part_id, None) is None:
            return None
        return entry

    def _assistant(self, message_id: str) -> Entry:
        entry = self._by_id.get(message_id)
        return entry if entry is not None else self._add(Entry(message_id, "assistant"))

    def _entry(self, message: OcMessage) -> Entry:
        new = entry_of(message)
        entry = self._by_id.get(new.id)
        if entry is not None:
            return entry
        if new.role == "user":
            waiting = self._name_prompt(new.id)
            if waiting is not None:
                return waiting
        new.parts = {}  # they come in events of their own
        return self._add(new)

    def _name_prompt(self, prompt_id: str) -> Entry | None:
        """Give the prompt that has no id yet this one; None if there is no such prompt."""
        waiting = next((each for each in reversed(self.entries) if not each.id), None)
        if waiting is not None and prompt_id:
            waiting.id = prompt_id
            self._by_id[prompt_id] = waiting
        return waiting

    def _add(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        self._by_id[entry.id] = entry
        return entry
