"""What is known of what goes on in sessions: who is at work, what waits, and for whom."""

from __future__ import annotations

import pytest

from opencode_sync.desktop.activity import book as book_module
from opencode_sync.desktop.activity.book import ActivityBook
from opencode_sync.run_events import PermissionAsked


def asked(session_id: str, question_id: str = "per_1") -> PermissionAsked:
    return PermissionAsked(question_id, "bash", ("ls",), {}, "", session_id, "/project")


@pytest.fixture
def book() -> ActivityBook:
    return ActivityBook()


def test_a_session_is_at_work_from_its_first_sign_to_its_last(book: ActivityBook) -> None:
    book.work("one", True)
    book.work("one", True)
    assert book.at_work == {"one"}
    assert book.others_at_work("one")
    book.work("one", False)
    assert book.at_work == frozenset()
    assert not book.others_at_work("one")


def test_it_waits_until_the_last_question_is_answered(book: ActivityBook) -> None:
    first, second = asked("one", "a"), asked("one", "b")
    book.ask(first)
    book.ask(second)
    assert book.waiting == {"one"}
    assert book.others_at_work("one")  # or nobody would ask
    assert book.questions_of("one") == (first, second)
    book.answer("a")
    book.answer("unknown")
    assert book.questions_of("one") == (second,)
    book.answer("b")
    assert book.waiting == frozenset()


def test_the_end_of_a_session_is_the_end_of_its_questions(book: ActivityBook) -> None:
    """OpenCode does not say so of what an abort takes with it."""
    book.work("one", True)
    book.ask(asked("one", "a"))
    book.ask(asked("two", "b"))
    book.work("one", False)
    assert book.waiting == {"two"}


def test_a_question_that_is_told_again_is_the_same(book: ActivityBook) -> None:
    first = asked("one")
    book.ask(first)
    book.ask(asked("one"))
    assert book.questions_of("one")[0] is first


def test_more_questions_than_anybody_answers_are_not_kept(
    book: ActivityBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_module, "_MOST_QUESTIONS", 2)
    for each in "abc":
        book.ask(asked("one", each))
    assert [each.id for each in book.questions_of("one")] == ["a", "b"]


def test_what_a_session_below_asks_the_one_above_waits_for(book: ActivityBook) -> None:
    book.place("child", "middle")
    book.place("middle", "top")
    book.place("top", "")
    question = asked("child")
    book.ask(question)
    assert book.waiting == {"top"}
    assert book.questions_of("top") == (question,)
    assert book.questions_of("child") == ()
    book.work("middle", False)
    assert book.waiting == frozenset()


def test_whom_a_session_works_for_is_asked_from_the_one_that_asks_upwards(
    book: ActivityBook,
) -> None:
    assert book.unplaced is None
    book.ask(asked("child"))
    assert book.unplaced == "child"
    book.place("child", "top")
    assert book.unplaced == "top"
    book.place("top", "")
    assert book.unplaced is None
    assert book.waiting == {"top"}


def test_sessions_that_are_said_to_be_each_others_parents_end_nowhere(book: ActivityBook) -> None:
    book.place("one", "two")
    book.place("two", "one")
    book.ask(asked("one"))
    assert len(book.waiting) == 1
    assert book.unplaced is None


def test_a_session_that_is_gone_leaves_nothing(book: ActivityBook) -> None:
    book.place("one", "")
    book.work("one", True)
    book.ask(asked("one"))
    book.remove("one")
    assert (book.at_work, book.waiting) == (frozenset(), frozenset())
    book.ask(asked("one"))
    assert book.unplaced == "one"


def test_our_own_run_needs_no_events_and_outlives_their_loss(book: ActivityBook) -> None:
    book.begin_ours("one")
    book.work("two", True)
    book.ask(asked("two"))
    assert book.at_work == {"one", "two"}
    book.forget_backend()
    assert (book.at_work, book.waiting) == ({"one"}, frozenset())
    assert book.is_ours("one")


def test_what_a_run_of_ours_did_is_not_taken_for_others(book: ActivityBook) -> None:
    book.begin_ours("one")
    book.work("one", True)
    assert not book.others_at_work("one")
    book.end_ours("one")  # its last events are still on their way
    assert not book.others_at_work("one")
    book.begin_ours("one")
    book.end_ours("one")
    book.settle("one")  # of the first
    assert not book.others_at_work("one")
    book.settle("one")
    assert book.others_at_work("one")
    assert not book.is_ours("one")
