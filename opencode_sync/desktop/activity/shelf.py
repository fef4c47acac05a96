"""The open questions, found by who asks and by whom that session works for. Knows no Qt."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Final

from opencode_sync.desktop.activity.events import Asked

__all__ = ["Shelf"]

_MOST_QUESTIONS: Final = 1_000
"""Open questions that are kept; nobody would answer more."""

_MOST_OF_ONE: Final = 100
"""Of those, of one session."""

_DEEPEST: Final = 50
"""Sessions that work for each other in a row; what is above them is not looked at."""


class Shelf:
    """What waits for an answer. For one thread.

    An event of any session costs what it changes, however much is kept.
    """

    def __init__(self) -> None:
        """Have nothing."""
        self.watched: Counter[str] = Counter()
        """Sessions whose questions are not dropped to make room for others'."""
        self._parents: dict[str, str] = {}  # "" for a session that has none
        self._numbers = itertools.count()
        self._asked: dict[str, tuple[int, Asked]] = {}  # by their ids, the oldest first
        self._of: dict[str, dict[str, Asked]] = {}  # of each session that asks
        self._lines: dict[str, list[str]] = {}  # of each, from it to its root
        self._below: dict[str, set[str]] = {}  # which of them have a session in their lines
        self._roots: frozenset[str] | None = None  # None: not known now
        self._crowded = False  # some were not taken, or dropped for newer ones
        self._cut: set[str] = set()  # sessions that ask more than is taken

    # --- What there is ---

    @property
    def roots(self) -> frozenset[str]:
        """The sessions that ask, or for which those work that do."""
        if self._roots is None:
            self._roots = frozenset(line[-1] for line in self._lines.values())
        return self._roots

    def of(self, session_id: str) -> tuple[Asked, ...]:
        """Return the questions of a session and of those that work for it, the oldest first."""
        below = self._below.get(session_id, ())
        asking = [each for each in below if self._lines[each][-1] == session_id]
        ids = [question_id for each in asking for question_id in self._of[each]]
        return tuple(asked for _, asked in sorted((self._asked[each] for each in ids), key=_number))

    @property
    def unplaced(self) -> list[str]:
        """Sessions of which nobody has said for whom they work, the oldest first."""
        roots = dict.fromkeys(line[-1] for line in self._lines.values())
        return [each for each in roots if each not in self._parents]

    @property
    def lacks_some(self) -> bool:
        """Whether some were not kept, and many of them would fit now."""
        if self._crowded and len(self._asked) <= _MOST_QUESTIONS // 2:
            return True
        return any(len(self._of.get(each, ())) <= _MOST_OF_ONE // 2 for each in self._cut)

    # --- Questions ---

    def add(self, asked: Asked) -> None:
        """Take one, unless it is here; if need be in place of the oldest that nobody looks at."""
        if asked.id in self._asked:
            return
        session_id = asked.session_id
        if len(self._of.get(session_id, ())) >= _MOST_OF_ONE:
            self._cut.add(session_id)
            return
        if len(self._asked) >= _MOST_QUESTIONS and not self._make_room():
            return
        self._asked[asked.id] = next(self._numbers), asked
        if session_id not in self._of:
            self._of[session_id] = {}
            self._take_line(session_id)
        self._of[session_id][asked.id] = asked

    def _make_room(self) -> bool:
        self._crowded = True
        for question_id, (_, asked) in self._asked.items():
            if self._lines[asked.session_id][-1] not in self.watched:
                self.drop(question_id)
                return True
        return False

    def drop(self, question_id: str) -> None:
        """Forget one, if it is here."""
        _, asked = self._asked.pop(question_id, (0, None))
        if asked is not None:
            of_session = self._of[asked.session_id]
            del of_session[question_id]
            if not of_session:
                self._drop_session(asked.session_id)

    def drop_below(self, session_id: str) -> list[str]:
        """Forget what a session and those that work for it ask, and return the ids."""
        ids = [
            question_id
            for each in self._below.get(session_id, ())
            for question_id in self._of[each]
        ]
        for question_id in ids:
            self.drop(question_id)
        return ids

    def begin_anew(self) -> set[str]:
        """Take what is kept for complete: all are told again. Returns the ids of those kept."""
        self._crowded = False
        self._cut.clear()
        return set(self._asked)

    # --- Who works for whom ---

    def place(self, session_id: str, parent_id: str) -> None:
        """A session works for another one, or for none: ""."""
        if self._parents.get(session_id) == parent_id:
            return
        self._parents[session_id] = parent_id
        self._line_again(session_id)

    def unplace(self, session_id: str) -> None:
        """It is not known for whom a session works."""
        if self._parents.pop(session_id, None) is not None:
            self._line_again(session_id)

    def forget_places(self) -> None:
        """Nothing is known of who works for whom. For when nobody asks anything."""
        self._parents.clear()

    def _line_again(self, session_id: str) -> None:
        for each in list(self._below.get(session_id, ())):
            self._drop_line(each)
            self._take_line(each)

    def _drop_session(self, session_id: str) -> None:
        del self._of[session_id]
        self._drop_line(session_id)

    def _drop_line(self, session_id: str) -> None:
        self._roots = None
        for each in self._lines.pop(session_id):
            below = self._below[each]
            below.discard(session_id)
            if not below:
                del self._below[each]

    def _take_line(self, session_id: str) -> None:
        """Note a session and those above it; each once, whatever they are said to be."""
        self._roots = None
        line = [session_id]
        while (parent := self._parents.get(line[-1])) and parent not in line:
            if len(line) == _DEEPEST:
                break
            line.append(parent)
        self._lines[session_id] = line
        for each in line:
            self._below.setdefault(each, set()).add(session_id)


def _number(kept: tuple[int, Asked]) -> int:
    return kept[0]
