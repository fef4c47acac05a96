"""What is known of what goes on: who is at work, and what waits for an answer. Knows no Qt."""

from __future__ import annotations

from collections import Counter
from typing import Final

from opencode_sync.desktop.activity.events import Asked

__all__ = ["ActivityBook"]

_MOST_QUESTIONS: Final = 1_000
"""Open questions that are kept; nobody would answer more."""


class ActivityBook:
    """What goes on, session by session. For one thread."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._ours: set[str] = set()
        self._settling: Counter[str] = Counter()
        self._at_work: set[str] = set()  # by what events say, whoever has them work
        self._questions: dict[str, Asked] = {}  # by their ids, the oldest first
        self._parents: dict[str, str] = {}  # "" for a session that has none

    # --- What is known ---

    @property
    def at_work(self) -> frozenset[str]:
        """The sessions in which an answer is being written, whoever has asked for it."""
        return frozenset(self._ours | self._at_work)

    @property
    def waiting(self) -> frozenset[str]:
        """The sessions in which somebody has to answer, also for those that work for them."""
        return frozenset(self._root(each.session_id) for each in self._questions.values())

    def is_ours(self, session_id: str) -> bool:
        """Return whether a run of this window's goes on in a session."""
        return session_id in self._ours

    def others_at_work(self, session_id: str) -> bool:
        """Return whether another program is known to have a session at work."""
        if session_id in self._ours or session_id in self._settling:
            return False
        return session_id in self._at_work or session_id in self.waiting

    def questions_of(self, session_id: str) -> tuple[Asked, ...]:
        """Return the open questions of a session and of those that work for it, oldest first."""
        return tuple(
            each for each in self._questions.values() if self._root(each.session_id) == session_id
        )

    @property
    def unplaced(self) -> str | None:
        """A session that asks, or is above one that does, and nobody has said what is above it."""
        roots = (self._root(each.session_id) for each in self._questions.values())
        return next((root for root in roots if root not in self._parents), None)

    # --- Our own runs ---

    def begin_ours(self, session_id: str) -> None:
        """A run of this window's has begun."""
        self._ours.add(session_id)

    def end_ours(self, session_id: str) -> None:
        """It has ended; what was told of it may be still on its way, until ``settle``."""
        self._ours.discard(session_id)
        self._settling[session_id] += 1

    def settle(self, session_id: str) -> None:
        """Take what is known of a session for others' from now on."""
        self._settling[session_id] -= 1
        self._settling += Counter()  # drops what has come to nothing

    # --- What is told ---

    def work(self, session_id: str, busy: bool) -> None:
        """A session is at work, or not any more."""
        if busy:
            self._at_work.add(session_id)
            return
        self._at_work.discard(session_id)
        # Nobody waits for an answer any more, also where the event that says so was not sent.
        self._questions = {
            each.id: each
            for each in self._questions.values()
            if session_id not in self._line(each.session_id)
        }

    def ask(self, asked: Asked) -> None:
        """A run waits for an answer. One that is known already stays as it is."""
        if len(self._questions) < _MOST_QUESTIONS:
            self._questions.setdefault(asked.id, asked)

    def answer(self, question_id: str) -> None:
        """Nobody waits for the answer to a question any more."""
        self._questions.pop(question_id, None)

    def place(self, session_id: str, parent_id: str) -> None:
        """A session works for another one, or for none: ""."""
        self._parents[session_id] = parent_id

    def remove(self, session_id: str) -> None:
        """A session is gone."""
        self.work(session_id, busy=False)
        self._parents.pop(session_id, None)

    def forget_told(self) -> None:
        """Forget what may have changed unseen: it is told again, or there is nobody to tell."""
        self._at_work.clear()
        self._questions.clear()

    def forget_backend(self) -> None:
        """Forget all that was told; our own runs tell of their end themselves."""
        self.forget_told()
        self._parents.clear()

    # --- Who works for whom ---

    def _line(self, session_id: str) -> list[str]:
        """Return a session and those above it; each once, whatever they are said to be."""
        line = [session_id]
        while (parent := self._parents.get(line[-1])) and parent not in line:
            line.append(parent)
        return line

    def _root(self, session_id: str) -> str:
        return self._line(session_id)[-1]
