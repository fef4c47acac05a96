"""What is known of what goes on: who is at work, and what waits for an answer. Knows no Qt."""

from __future__ import annotations

from collections import Counter
from typing import Final

from opencode_sync.desktop.activity.events import Asked
from opencode_sync.desktop.activity.shelf import Shelf

__all__ = ["ActivityBook"]


class ActivityBook:
    """What goes on, session by session. For one thread."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._ours: set[str] = set()
        self._settling: Counter[str] = Counter()
        self._at_work: set[str] = set()  # by what events say, whoever has them work
        self._shelf: Final = Shelf()
        # Answered here, or ended with a run of ours: events that say so late do not ask again. What
        # is told as it is now begins anew, and is right.
        self._over: set[str] = set()
        self._doubtful: set[str] = set()  # was told before events were lost, and not since

    # --- What is known ---

    @property
    def at_work(self) -> frozenset[str]:
        """The sessions in which an answer is being written, whoever has asked for it."""
        return frozenset(self._ours | self._at_work)

    @property
    def waiting(self) -> frozenset[str]:
        """The sessions in which somebody has to answer, also for those that work for them."""
        return self._shelf.roots

    def is_ours(self, session_id: str) -> bool:
        """Return whether a run of this window's goes on in a session."""
        return session_id in self._ours

    def others_at_work(self, session_id: str) -> bool:
        """Return whether another program is known to have a session at work."""
        if session_id in self._ours or session_id in self._settling:
            return False
        return session_id in self._at_work or session_id in self._shelf.roots

    def questions_of(self, session_id: str) -> tuple[Asked, ...]:
        """Return the open questions of a session and of those that work for it, oldest first."""
        return self._shelf.of(session_id)

    def is_over(self, question_id: str) -> bool:
        """Return whether a question was answered here, or has ended with a run of ours."""
        return question_id in self._over

    @property
    def unplaced(self) -> list[str]:
        """Sessions that ask, or are above one that does; nobody has said what is above them."""
        return self._shelf.unplaced

    @property
    def lacks_questions(self) -> bool:
        """Whether some were not kept, and there is room again for those that are still open."""
        return self._shelf.lacks_some

    # --- Our own runs, and our answers ---

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

    def close_question(self, question_id: str) -> None:
        """A question was answered here, or has ended with a run of ours."""
        self.answer(question_id)
        self._over.add(question_id)

    def reopen_question(self, question_id: str) -> None:
        """A run of ours tells of it, so it is open."""
        self._over.discard(question_id)

    def watch(self, session_id: str) -> None:
        """Keep room for a session's questions: somebody looks at it."""
        self._shelf.watched[session_id] += 1

    def unwatch(self, session_id: str) -> None:
        """End what one ``watch`` has begun."""
        self._shelf.watched[session_id] -= 1
        self._shelf.watched += Counter()

    # --- What is told ---

    def work(self, session_id: str, busy: bool) -> None:
        """A session is at work, or not any more."""
        if busy:
            self._at_work.add(session_id)
            return
        self._at_work.discard(session_id)
        # Nobody waits for an answer any more, also where the event that says so was not sent.
        self._doubtful.difference_update(self._shelf.drop_below(session_id))

    def ask(self, asked: Asked) -> None:
        """A run waits for an answer. One that is known already stays as it is."""
        self._doubtful.discard(asked.id)
        if asked.id not in self._over:
            self._shelf.add(asked)

    def answer(self, question_id: str) -> None:
        """Nobody waits for the answer to a question any more."""
        self._over.discard(question_id)
        self._doubtful.discard(question_id)
        self._shelf.drop(question_id)

    def place(self, session_id: str, parent_id: str) -> None:
        """A session works for another one, or for none: ""."""
        self._shelf.place(session_id, parent_id)

    def remove(self, session_id: str) -> None:
        """A session is gone."""
        self.work(session_id, busy=False)
        self._shelf.unplace(session_id)

    # --- What may have changed unseen ---

    def doubt_told(self) -> None:
        """What is so is about to be told again: who is at work, and what is open.

        Questions stay until ``drop_doubtful``, or somebody's answer would go while it is written.
        """
        self._at_work.clear()
        self._over.clear()
        self._doubtful = self._shelf.begin_anew()

    def drop_doubtful(self) -> None:
        """Forget what has not been told again."""
        for question_id in self._doubtful:
            self._shelf.drop(question_id)
        self._doubtful.clear()

    def forget_told(self) -> None:
        """Forget what was told: there is nobody to tell any more."""
        self.doubt_told()
        self.drop_doubtful()

    def forget_backend(self) -> None:
        """Forget all that was told; our own runs tell of their end themselves."""
        self.forget_told()
        self._shelf.forget_places()
