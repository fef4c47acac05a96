"""The chat pane: the conversation of one session, and everything that a run of the agent needs."""

from __future__ import annotations

from opencode_sync.desktop.chat.pane import ChatPane

__all__ = ["ChatPane"]
