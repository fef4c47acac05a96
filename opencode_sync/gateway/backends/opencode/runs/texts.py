"""The parts of a run's messages as its events show them, and what is missing of their texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["DELTA", "Missing", "RunTexts"]

DELTA = "message.part.delta"
_KINDS = ("text", "reasoning")


class Missing(NamedTuple):
    """A piece of text that no delta has brought; named as in ``IpcDelta``."""

    session_id: str
    message_id: str
    part_id: str
    part_type: str
    text: str


class _Text:
    """What was sent of one part's text."""

    __slots__ = ("pieces", "size", "whole")

    def __init__(self, *, whole: bool) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self.whole = whole
        """Whether nothing can be missing before the next delta."""

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.size += len(piece)

    def join(self) -> str:
        self.pieces = ["".join(self.pieces)]
        return self.pieces[0]


class RunTexts:
    """Keeps what was published. One thread at a time."""

    def __init__(self) -> None:
        self._messages: set[str] = set()
        self._parts: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._texts: dict[str, _Text] = {}
        self._gap = False

    def expect(self, message_id: object) -> None:
        """Note that a message is the model's: only of such ones the texts are followed."""
        self._messages.add(str(message_id))

    def gap(self) -> None:
        """Note that any delta may have been lost."""
        self._gap = True
        for text in self._texts.values():
            text.whole = False

    def delta(self, properties: Mapping[str, Any]) -> bool:
        """Take a piece of text; returns whether it follows what was there before."""
        part_id, piece = properties.get("partID"), properties.get("delta")
        if not isinstance(part_id, str) or not isinstance(piece, str):
            return False
        if properties.get("field", "text") != "text":
            return True  # of a kind yet to come
        text = self._texts.get(part_id)
        if text is None:
            text = self._texts[part_id] = _Text(whole=not self._gap)
        if text.whole:
            text.add(piece)
        return text.whole

    def updated(self, part: Mapping[str, Any], *, replayed: bool) -> Missing | None:
        """Take a part as OpenCode shows it; returns what was not sent of its text.

        Args:
            part: OpenCode's JSON.
            replayed: Whether it was read again: then deltas may have come since, and been lost.
        """
        session_id, message_id, part_id, kind = (
            part.get(key) for key in ("sessionID", "messageID", "id", "type")
        )
        if not isinstance(part_id, str) or not isinstance(message_id, str):
            return None
        if message_id not in self._messages:
            return None
        self._parts.setdefault(message_id, {})[part_id] = part
        full = part.get("text")
        if kind not in _KINDS or not isinstance(full, str):
            return None
        text = self._texts.get(part_id)
        if text is None:
            text = self._texts[part_id] = _Text(whole=not self._gap)
        if not replayed:
            text.whole = True
        # At its end OpenCode takes blanks away, so that it may be shorter than what was sent.
        if len(full) <= text.size:
            return None
        sent = text.join()
        if not full.startswith(sent):
            return None  # rewritten by a plugin: what was sent cannot be taken back
        rest = full[len(sent) :]
        text.add(rest)
        return Missing(str(session_id), str(message_id), part_id, str(kind), rest)

    def parts_of(self, message_id: str) -> list[Mapping[str, Any]]:
        """Return a message's parts, with as much of each text as is known."""
        parts = []
        for part_id, part in self._parts.get(message_id, {}).items():
            text = self._texts.get(part_id)
            shown = part.get("text")
            size = len(shown) if isinstance(shown, str) else 0
            if text is not None and text.size > size:
                part = {**part, "text": text.join()}
            parts.append(part)
        return parts
