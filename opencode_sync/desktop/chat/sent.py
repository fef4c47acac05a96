"""Prompts that were sent, until it is known whether OpenCode has them. Knows no Qt."""

from __future__ import annotations

from collections.abc import Iterable

from opencode_sync.desktop.arrival import cannot_have_arrived
from opencode_sync.desktop.chat.entry import Entry

__all__ = ["SentPrompt"]


class SentPrompt:
    """A prompt, which is its writer's until OpenCode is known to have it. For one thread."""

    def __init__(self, entry: Entry, before: Iterable[Entry]) -> None:
        """Take a prompt that is about to be sent.

        Args:
            entry: The prompt, on the page.
            before: What the session had when it was sent.
        """
        self.entry = entry
        self._before = frozenset(each.id for each in before)

    @property
    def text(self) -> str:
        """What was written."""
        return self.entry.text

    @property
    def arrived(self) -> bool:
        """Whether it has an id by now: while its run goes on, whether OpenCode has told of it."""
        return bool(self.entry.id)

    def cannot_have_arrived(self, error: BaseException, *, was_answered: bool) -> bool:
        """Return whether a run that ended so has never had this prompt.

        Args:
            error: How it ended.
            was_answered: Whether anything was said in it.
        """
        return cannot_have_arrived(error) and not was_answered

    def is_among(self, entries: Iterable[Entry]) -> bool:
        """Return whether the session's messages, read after the run, have this prompt."""
        written = self.text.strip()
        return any(
            each.role == "user"
            and each.id not in self._before
            and (each.id == self.entry.id or each.text.strip() == written)
            for each in entries
        )
