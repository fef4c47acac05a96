"""Which sessions are shown, in which order, and on which page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opencode_sync.desktop.sessions.listing import Listing, SortOrder
from opencode_sync.desktop.sessions.record import record_of, records_of
from opencode_sync.desktop.sessions.titles import shown_title
from opencode_sync.types import OcSessionInfo

from .conftest import session


def listing_of(*sessions: OcSessionInfo) -> Listing:
    listing = Listing()
    listing.replace(records_of(sessions))
    return listing


def ids(listing: Listing) -> list[int]:
    return [int(record.id.removeprefix("ses_")) for record in listing.rows]


def id_of(number: int) -> str:
    return session(number).id


def test_an_empty_list_has_one_empty_page() -> None:
    listing = Listing()
    assert (listing.rows, listing.page, listing.pages, listing.total) == ([], 0, 1, 0)


def test_what_was_updated_last_comes_first() -> None:
    listing = listing_of(session(1, updated=50), session(2, updated=5), session(3, updated=500))
    assert ids(listing) == [2, 1, 3]


def test_ten_are_on_a_page_and_the_rest_on_the_last() -> None:
    listing = listing_of(*(session(each, updated=each) for each in range(25)))
    assert (listing.pages, ids(listing)) == (3, list(range(10)))
    listing.go_to(2)
    assert ids(listing) == [20, 21, 22, 23, 24]


@pytest.mark.parametrize(("wanted", "page"), [(-1, 0), (1, 1), (99, 1)])
def test_a_page_that_does_not_exist_is_the_nearest(wanted: int, page: int) -> None:
    listing = listing_of(*(session(each) for each in range(11)))
    listing.go_to(wanted)
    assert listing.page == page


def test_a_page_that_is_not_there_yet_is_kept_in_mind() -> None:
    listing = Listing()
    listing.go_to(1)
    assert listing.page == 0
    listing.replace(records_of(session(each) for each in range(11)))
    assert listing.page == 1


def test_a_search_looks_for_all_words_in_title_and_id_whatever_their_case() -> None:
    listing = listing_of(
        session(1, "Fix the STRASSE parser"), session(2, "Fix the tests"), session(3, "Other")
    )
    listing.search("  fix straße ")
    assert (ids(listing), listing.searching, listing.matching, listing.total) == ([1], True, 1, 3)
    listing.search(f"{3:026d}")
    assert ids(listing) == [3]
    listing.search("")
    assert (listing.searching, listing.matching) == (False, 3)


def test_a_short_word_is_looked_for_in_titles_only() -> None:
    """Two digits are in most ids."""
    listing = listing_of(session(1, "task 12"), session(12, "task 3"), session(13, "task 4"))
    listing.search("task 12")
    assert ids(listing) == [1]
    listing.search("task 00012")
    assert ids(listing) == [12]


def test_a_search_and_an_order_begin_with_the_first_page() -> None:
    listing = listing_of(*(session(each, updated=each) for each in range(25)))
    listing.go_to(2)
    listing.search("session")
    assert listing.page == 0
    listing.go_to(2)
    listing.sort(SortOrder.TITLE)
    assert listing.page == 0


def test_orders() -> None:
    first, second = session(1, "b", updated=1), session(2, "A", updated=2)
    first.time.created, second.time.created = 1000, 2000
    listing = listing_of(first, second)
    for order, expected in (
        (SortOrder.UPDATED, [1, 2]),
        (SortOrder.CREATED, [2, 1]),
        (SortOrder.TITLE, [2, 1]),
    ):
        listing.sort(order)
        assert (listing.order, ids(listing)) == (order, expected)


def test_titles_are_ordered_as_people_count_and_those_without_come_last() -> None:
    names = [" ", "Task 10", "task 2", "Zoo", "\u00e9t\u00e9", "Task 001", "f"]
    listing = listing_of(*(session(number, name) for number, name in enumerate(names)))
    listing.sort(SortOrder.TITLE)
    assert [record.title for record in listing.rows] == [
        "\u00e9t\u00e9",
        "f",
        "Task 001",
        "task 2",
        "Task 10",
        "Zoo",
        " ",
    ]


def test_a_title_is_shown_on_one_line_and_in_its_own_script() -> None:
    hebrew = "\u05e9\u05dc\u05d5\u05dd"
    assert shown_title(f" {hebrew}\n x ") == f"{hebrew} x"
    assert shown_title("\n") == ""
    assert len(shown_title("x" * 5000)) < 1010


def test_changes_keep_search_order_and_page() -> None:
    listing = listing_of(*(session(each, updated=each) for each in range(12)))
    listing.go_to(1)
    changed = record_of(session(5, "renamed", updated=100))
    assert listing.change([changed, record_of(session(99, "not listed"))]) == [changed]
    assert listing.remove([id_of(1), id_of(99)])
    assert not listing.remove([id_of(1)])
    assert listing.change([record_of(session(99))]) == []
    assert ids(listing) == [5]
    assert listing.total == 11
    assert listing.page_of(f"ses_{5:026d}") == 1
    listing.search("renamed")
    assert ids(listing) == [5]
    assert listing.page_of(f"ses_{6:026d}") is None


def shown_titles(listing: Listing) -> list[str]:
    return sorted(record.title for record in listing.rows)


def test_what_changes_while_the_list_is_read_is_newer_than_the_answer() -> None:
    listing = listing_of(session(1, "old"), session(2), session(3))
    listing.begin_reading()
    answer = records_of([session(1, "old"), session(2), session(3)])
    listing.change([record_of(session(1, "half")), record_of(session(1, "new"))])
    listing.remove([id_of(2)])
    listing.add(record_of(session(4, "created")))
    listing.replace(answer)
    assert shown_titles(listing) == ["Session 3", "created", "new"]


def test_what_is_created_and_changed_while_the_list_is_read_is_there_and_as_it_is_now() -> None:
    listing = listing_of()
    listing.begin_reading()
    for number in (1, 2):
        listing.add(record_of(session(number, "created")))
    listing.change([record_of(session(1, "named"))])
    listing.remove([id_of(2)])
    listing.replace({})
    assert shown_titles(listing) == ["named"]


def test_what_is_heard_of_sessions_before_the_first_list_counts_for_those_in_it() -> None:
    """Others may be another project's."""
    listing = Listing()
    listing.begin_reading()
    listing.change([record_of(session(1, "new")), record_of(session(9, "elsewhere"))])
    listing.remove([id_of(2)])
    assert listing.total == 0
    listing.replace(records_of([session(1, "old"), session(2)]))
    assert shown_titles(listing) == ["new"]


def test_what_was_changed_before_a_reading_began_its_answer_knows() -> None:
    listing = listing_of(session(1, "old"), session(2))
    listing.begin_reading()
    listing.change([record_of(session(1, "ours"))])
    listing.remove([id_of(2)])
    listing.begin_reading()
    listing.replace(records_of([session(1, "by others"), session(2)]))
    assert shown_titles(listing) == ["Session 2", "by others"]


def test_what_changed_while_a_list_was_read_in_vain_is_not_kept() -> None:
    listing = listing_of(session(1, "old"))
    listing.begin_reading()
    listing.remove([id_of(1)])
    listing.give_up_reading()
    listing.replace(records_of([session(1, "another backend's")]))
    assert shown_titles(listing) == ["another backend's"]


def test_a_word_that_is_searched_many_times_is_looked_for_once() -> None:
    class Counted(str):
        looks = 0

        def __contains__(self, word: object) -> bool:
            Counted.looks += 1
            return super().__contains__(word)  # type: ignore[operator]

    record = replace(record_of(session(1)), searched=Counted("session 1"))
    listing = Listing()
    listing.replace({record.id: record})
    listing.search("s " * 100)
    assert (listing.matching, Counted.looks) == (1, 1)


def test_a_session_is_found_on_whichever_page() -> None:
    listing = listing_of(*(session(each) for each in range(30)))
    found = listing.get(f"ses_{29:026d}")
    assert found is not None
    assert found.title == "Session 29"
    assert listing.get("ses_other") is None


def test_a_record_has_the_summary_only_if_there_is_one() -> None:
    with_summary = session(1)
    with_summary.summary.additions = 3
    with_summary.summary.files = 2
    assert record_of(with_summary).summary == (3, 0, 2)
    assert record_of(session(1)).summary is None
