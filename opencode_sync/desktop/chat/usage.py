"""What runs and sessions cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from PySide6.QtCore import QCoreApplication, QLocale

from opencode_sync.desktop.chat.entry import Entry
from opencode_sync.messages import MessageTokens
from opencode_sync.types import OcSessionInfo

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost and tokens.

    Attributes:
        cost: In US dollars.
        tokens: All of them.
    """

    cost: float = 0.0
    tokens: MessageTokens = field(default_factory=MessageTokens)

    @classmethod
    def of_entries(cls, entries: Iterable[Entry]) -> Self:
        """Return what these messages took together."""
        listed = list(entries)
        return cls(
            sum((entry.cost for entry in listed), 0.0),
            sum((entry.tokens for entry in listed), MessageTokens()),
        )

    @classmethod
    def of_session(cls, session: OcSessionInfo) -> Self | None:
        """Return what the backend says of a session; None where it says nothing."""
        if not session.HasField("cost"):
            return None
        usage = session.usage
        tokens = MessageTokens(
            usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning
        )
        return cls(session.cost, tokens)

    def text(self) -> str:
        """Return it for people: "160 in, 20 out, $0.0012"."""
        tokens, locale = self.tokens, QLocale()
        read = tokens.input + tokens.cache_read + tokens.cache_write
        return QCoreApplication.translate("usage", "{0} in, {1} out, ${2}").format(
            locale.toString(read),
            locale.toString(tokens.total - read),
            locale.toString(self.cost, "f", 4),
        )
