"""What was said in a session, as the pane shows it: plain values, without a toolkit.

A ``Transcript`` belongs to one thread; ``entry_of`` is pure and for any.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from opencode_sync.messages import (
    MessageTokens,
    ToolCall,
    message_cost,
    message_error,
    message_tokens,
    tool_call,
)
from opencode_sync.run_events import (
    MessageUpdate,
    OtherEvent,
    ReasoningDelta,
    RunEvent,
    TextDelta,
    ToolUpdate,
)
from opencode_sync.wire.oc_message_part_pb2 import OcPart
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage, OcUserMessage

__all__ = ["Entry", "Note", "Part", "TextPart", "ToolPart", "Transcript", "entry_of"]

_keys: Final = itertools.count(1)


class TextPart:
    """Text or reasoning, which grows while it is written."""

    __slots__ = ("_pieces", "reasoning")

    def __init__(self, text: str = "", *, reasoning: bool = False) -> None:
        """Make a part that says ``text``, aloud or to itself."""
        self.reasoning: Final = reasoning
        self._pieces = [text]

    @property
    def text(self) -> str:
        """All of it."""
        # Joined when somebody looks, some times a second, and not with each of many small pieces.
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def append(self, text: str) -> None:
        """Add what was just written."""
        self._pieces.append(text)


@dataclass(slots=True)
class ToolPart:
    """A tool call as it stands."""

    call: ToolCall


@dataclass(slots=True, frozen=True)
class Note:
    """Anything else worth a line.

    Attributes:
        kind: ``"file"``, ``"patch"``, ``"agent"``, ``"subtask"``, ``"compaction"``, ``"retry"``.
        text: About which; may be "".
    """

    kind: str
    text: str


Part: TypeAlias = TextPart | ToolPart | Note


@dataclass(slots=True, eq=False)
class Entry:
    """One message.

    Attributes:
        id: OpenCode's; "" for a prompt that it has not taken yet.
        role: Who speaks.
        parts: What it is made of, by id, in order.
        model: ``"provider/model"``; "" where nobody said.
        agent: The agent's name; "" likewise.
        cost: In US dollars.
        tokens: What it took.
        error: Why the answer failed, for people; None if it did not.
        created: Unix milliseconds; 0 where nobody said.
        key: Tells entries of this process apart, also before they have an id.
    """

    id: str
    role: Literal["user", "assistant"]
    parts: dict[str, Part] = field(default_factory=dict)
    model: str = ""
    agent: str = ""
    cost: float = 0.0
    tokens: MessageTokens = field(default_factory=MessageTokens)
    error: str | None = None
    created: int = 0
    key: int = field(default_factory=lambda: next(_keys))

    @property
    def text(self) -> str:
        """What it says aloud, its parts as paragraphs."""
        texts = [
            part.text
            for part in self.parts.values()
            if isinstance(part, TextPart) and not part.reasoning
        ]
        return "\n\n".join(text for text in texts if text)

    def take(self, other: Entry) -> None:
        """Become what ``other`` says, and stay the same entry."""
        self.id = other.id
        self.parts = other.parts
        self._describe(other)

    def describe(self, message: OcMessage) -> None:
        """Take over all that a message says but its parts."""
        self._describe(entry_of(message))

    def _describe(self, other: Entry) -> None:
        self.model, self.agent = other.model or self.model, other.agent or self.agent
        self.cost, self.tokens = other.cost, other.tokens
        self.error = other.error
        self.created = other.created or self.created


def entry_of(message: OcMessage) -> Entry:
    """Return a message as an entry."""
    role: Literal["user", "assistant"]
    said: OcUserMessage | OcAssistantMessage
    if message.WhichOneof("message") == "assistant":
        role, said = "assistant", message.assistant
    else:
        role, said = "user", message.user
    entry = Entry(said.id, role, agent=said.agent, created=said.created)
    entry.cost, entry.tokens = message_cost(message), message_tokens(message)
    entry.error = message_error(message)
    if said.model.model_id:
        entry.model = f"{said.model.provider_id}/{said.model.model_id}"
    for number, part in enumerate(said.parts):
        read = _part(part)
        if read is not None:
            part_id, value = read
            entry.parts[part_id or f"part-{number}"] = value
    if not said.parts and said.text:
        entry.parts["text"] = TextPart(said.text)
    return entry


def _part(part: OcPart) -> tuple[str, Part] | None:
    """Return a part with its id; None for one that is not for people."""
    kind = part.WhichOneof("part")
    if kind == "text":
        # What OpenCode has added itself is for the model.
        return None if part.text.synthetic else (part.text.id, TextPart(part.text.text))
    if kind == "reasoning":
        return part.reasoning.id, TextPart(part.reasoning.text, reasoning=True)
    if kind == "tool":
        return part.tool.id, ToolPart(tool_call(part.tool))
    if kind == "file":
        return part.file.id, Note(kind, part.file.path)
    if kind == "patch":
        return part.patch.id, Note(kind, part.patch.path)
    if kind == "agent":
        return part.agent.id, Note(kind, part.agent.agent_name)
    if kind == "subtask":
        return part.subtask.id, Note(kind, "")
    if kind == "compaction":
        return part.compaction.id, Note(kind, part.compaction.summary)
    if kind == "retry":
        return part.retry.id, Note(kind, part.retry.error)
    return None


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

    def load(self, entries: Iterable[Entry]) -> None:
        """Have these messages and no others; one that was there before stays the same entry."""
        kept = [self._merged(entry) for entry in entries]
        self.entries = kept
        self._by_id = {entry.id: entry for entry in kept}

    def _merged(self, new: Entry) -> Entry:
        old = self._by_id.get(new.id)
        if old is None or not new.id:
            return new
        old.take(new)
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
            entry.parts[event.call.id] = ToolPart(event.call)
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
