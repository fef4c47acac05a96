"""What a session's card says of what goes on in it."""

from __future__ import annotations

from enum import Enum, auto

from opencode_sync.desktop.activity.feed import ActivityFeed

__all__ = ["Activity", "activities_of"]


class Activity(Enum):
    """What goes on in a session."""

    RUNNING = auto()
    """An answer is being written, whoever has asked for it."""

    WAITING = auto()
    """A run waits for somebody to answer a question of its own."""


def activities_of(feed: ActivityFeed) -> dict[str, Activity]:
    """Return the sessions in which something goes on."""
    return {
        **dict.fromkeys(feed.at_work, Activity.RUNNING),
        **dict.fromkeys(feed.waiting, Activity.WAITING),
    }
