"""One message of a session, as the pane shows it: plain values, without a toolkit."""

from __future__ import annotations

import itertools
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
from opencode_sync.wire.oc_message_part_pb2 import OcPart
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage, OcUserMessage

__all__ = ["Entry", "Note", "Part", "TextPart", "ToolPart", "entry_of"]

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
    """A tool call as it stands.

    Attributes:
        call: What is called, and what has come of it.
        waits: Whether it goes on only when the user has answered.
    """

    call: ToolCall
    waits: bool = False


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
        error: Why the answer failed, in the provider's words or OpenCode's; None if it did not.
        error_kind: Which sort of failure, named as ``IpcPromptError.kind`` does; "" for none.
        complete: Whether the backend has said that nothing follows.
        cut: Whether the rest of it was lost with the connection, as far as anybody knows.
        left: Whether nobody is known to be writing it; see ``unfinished``.
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
    error_kind: str = ""
    complete: bool = False
    cut: bool = False
    left: bool = False
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

    @property
    def unfinished(self) -> bool:
        """Whether it looks as if something were still to come: nothing is said, or a tool runs."""
        if self.role == "user" or self.complete or self.error is not None:
            return False
        parts = self.parts.values()
        tools = [part.call.status for part in parts if isinstance(part, ToolPart)]
        if any(status in ("pending", "running") for status in tools):
            return True
        return not tools and not self.text.strip() and not any(isinstance(p, Note) for p in parts)

    def take(self, other: Entry) -> None:
        """Become what ``other`` says, and stay the same entry."""
        self.id = other.id
        self.parts = other.parts
        self.cut = False
        self._describe(other)

    def take_read(self, other: Entry) -> None:
        """Become what the history says, unless this is cut off and that says less."""
        if self.cut and other.says_less(self):
            for part_id, part in other.parts.items():
                if not isinstance(part, TextPart):
                    self.parts[part_id] = part
            self._describe(other)
        else:
            self.take(other)

    def says_less(self, shown: Entry) -> bool:
        """Return whether some of what was shown is missing here, and may yet come."""
        if self.error is not None:
            return self._length < shown._length
        return not self.complete and self._length <= shown._length

    @property
    def _length(self) -> int:
        return sum(len(part.text) for part in self.parts.values() if isinstance(part, TextPart))

    def describe(self, message: OcMessage) -> None:
        """Take over all that a message says but its parts."""
        self._describe(entry_of(message))

    def _describe(self, other: Entry) -> None:
        self.model, self.agent = other.model or self.model, other.agent or self.agent
        self.cost, self.tokens = other.cost, other.tokens
        self.error, self.error_kind = other.error, other.error_kind
        self.complete = other.complete
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
    entry.error_kind, entry.error = _failure(message)
    if message.WhichOneof("message") == "assistant":
        entry.complete = bool(message.assistant.completed)
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


_REFUSALS: Final = {401: "provider_auth", 403: "provider_auth", 429: "rate_limited"}
"""What the provider's HTTP status says more exactly."""


def _failure(message: OcMessage) -> tuple[str, str | None]:
    """Return how a message failed and why; ("", None) if it did not."""
    text = message_error(message)
    if text is None:
        return "", None
    error = message.assistant.error
    kind = error.WhichOneof("error")
    if kind is None:
        return "unknown", text
    detail = getattr(error, kind)
    text = detail.message or detail.name or text
    if kind == "api" and error.api.status:
        kind = _REFUSALS.get(error.api.status, kind)
        text = f"{text}, status {error.api.status}"
    return kind, text


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
