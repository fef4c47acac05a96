"""What is known of what goes on in sessions: who is at work, what waits, and for whom."""

from __future__ import annotations

import pytest

from opencode_sync.desktop.activity import shelf
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


# --- More of them than anybody answers ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are kept, and fewer of one session."""
    monkeypatch.setattr(shelf, "_MOST_QUESTIONS", 6)
    monkeypatch.setattr(shelf, "_MOST_OF_ONE", 4)


@pytest.mark.usefixtures("small")
def test_of_one_session_the_first_are_kept_and_the_others_once_there_is_room(
    book: ActivityBook,
) -> None:
    for each in "abcde":
        book.ask(asked("one", each))
    assert [each.id for each in book.questions_of("one")] == ["a", "b", "c", "d"]
    assert not book.lacks_questions
    book.answer("a")
    book.answer("b")
    assert book.lacks_questions  # e is open still, and has to be told again
    book.doubt_told()
    assert not book.lacks_questions


@pytest.mark.usefixtures("small")
def test_of_many_sessions_the_oldest_questions_go_but_not_those_somebody_looks_at(
    book: ActivityBook,
) -> None:
    book.place("child", "top")
    book.watch("top")
    book.watch("top")
    book.unwatch("top")
    book.ask(asked("child", "watched"))
    for each in "abcdefg":
        book.ask(asked(f"ses_{each}", each))
    assert [each.id for each in book.questions_of("top")] == ["watched"]
    assert book.waiting == {"top", *(f"ses_{each}" for each in "cdefg")}
    for each in "cd":
        book.work(f"ses_{each}", False)
    assert not book.lacks_questions
    book.work("ses_e", False)
    assert book.lacks_questions
    book.unwatch("top")
    for each in "ABCDE":
        book.ask(asked(f"ses_{each}", each))
    assert book.questions_of("top") == ()


@pytest.mark.usefixtures("small")
def test_where_somebody_looks_at_all_of_them_no_more_are_taken(book: ActivityBook) -> None:
    book.watch("top")
    for each in "abcdefg":
        book.place(f"ses_{each}", "top")
        book.ask(asked(f"ses_{each}", each))
    assert [each.id for each in book.questions_of("top")] == list("abcdef")


# --- Who works for whom ---


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
    assert book.unplaced == []
    book.ask(asked("child"))
    book.ask(asked("other", "per_2"))
    assert book.unplaced == ["child", "other"]
    book.place("child", "top")
    book.place("other", "")
    assert book.unplaced == ["top"]
    book.place("top", "")
    book.answer("per_2")
    assert book.unplaced == []
    assert book.waiting == {"top"}


def test_sessions_that_are_said_to_be_each_others_parents_end_nowhere(book: ActivityBook) -> None:
    book.place("one", "two")
    book.place("two", "one")
    book.ask(asked("one"))
    assert len(book.waiting) == 1
    assert book.unplaced == []


def test_a_row_of_sessions_without_end_is_cut(book: ActivityBook) -> None:
    for number in range(1_000):
        book.place(f"ses_{number}", f"ses_{number + 1}")
    book.ask(asked("ses_0"))
    assert book.waiting == {"ses_49"}


def test_a_session_that_is_gone_leaves_nothing(book: ActivityBook) -> None:
    book.place("one", "")
    book.work("one", True)
    book.ask(asked("one"))
    book.remove("one")
    assert (book.at_work, book.waiting) == (frozenset(), frozenset())
    book.ask(asked("one"))
    assert book.unplaced == ["one"]


def test_our_own_run_needs_no_events_and_outlives_their_loss(book: ActivityBook) -> None:
    book.begin_ours("one")
    book.work("two", True)
    book.ask(asked("two"))
    assert book.at_work == {"one", "two"}
    book.place("two", "three")
    book.ask(asked("two"))
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


# --- What was answered here, and what may have changed unseen ---


def test_what_was_answered_here_is_not_asked_by_late_events(book: ActivityBook) -> None:
    book.ask(asked("one"))
    book.close_question("per_1")
    book.ask(asked("one"))
    assert book.is_over("per_1")
    assert book.waiting == frozenset()
    book.reopen_question("per_1")
    book.ask(asked("one"))
    assert book.waiting == {"one"}


def test_what_is_told_as_it_is_now_is_right(book: ActivityBook) -> None:
    """A question of a run that was lost with the connection may wait as before."""
    book.ask(asked("one"))
    book.close_question("per_1")
    book.doubt_told()
    book.ask(asked("one"))
    assert book.waiting == {"one"}
    book.close_question("per_1")
    book.answer("per_1")  # the backend says so as well
    assert not book.is_over("per_1")


def test_questions_stay_until_all_have_been_told_again(book: ActivityBook) -> None:
    first, second, third = asked("one", "a"), asked("one", "b"), asked("one", "c")
    for each in (first, second, third):
        book.ask(each)
    book.work("one", True)
    book.doubt_told()
    assert book.at_work == frozenset()
    assert book.questions_of("one") == (first, second, third)
    book.ask(asked("one", "b"))
    book.answer("a")
    book.drop_doubtful()
    assert book.questions_of("one") == (second,)
    book.doubt_told()
    book.work("one", False)
    book.ask(third)
    book.drop_doubtful()
    assert book.questions_of("one") == (third,)
    book.forget_told()
    assert book.questions_of("one") == ()


def test_a_session_learns_late_for_whom_it_works(book: ActivityBook) -> None:
    book.ask(asked("child"))
    assert book.waiting == {"child"}
    book.place("child", "top")
    assert (book.waiting, len(book.questions_of("top"))) == ({"top"}, 1)
    book.place("child", "top")
    book.remove("top")
    assert book.waiting == frozenset()
