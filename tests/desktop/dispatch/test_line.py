"""The line of callbacks itself, without a toolkit."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from opencode_sync.desktop.dispatch import base
from opencode_sync.errors import IpcArgumentError
from tests.desktop.dispatch.manual import WAIT, Clock, Log, ManualDispatcher

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def test_the_toolkit_is_not_woken_for_each(ui: ManualDispatcher, clock: Clock) -> None:
    """Once for all of them, and once more, which stands by for a callback that runs a loop."""
    ran: list[int] = []
    for number in range(50):
        ui.post(lambda number=number: ran.append(number))  # type: ignore[misc]
    assert ui.wakes == 1
    assert ui.turn()
    assert ran == list(range(50))
    assert ui.wakes == 2


def test_a_turn_ends_when_it_has_taken_long_enough(ui: ManualDispatcher, clock: Clock) -> None:
    ran: list[int] = []
    for number in range(4):
        ui.post(lambda number=number: (ran.append(number), clock.advance(0.006)))  # type: ignore[misc]
    assert ui.turn()
    assert ran == [0, 1]
    assert ui.turn()
    assert ran == [0, 1], "the toolkit's turn was skipped"
    clock.advance(0.001)
    assert ui.turn()
    assert ran == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_programs_is_let_through_and_the_rest_still_runs(
    ui: ManualDispatcher, error: type[BaseException]
) -> None:
    ran = threading.Event()

    def end() -> None:
        raise error

    ui.post(end)
    ui.post(ran.set)
    with pytest.raises(error):
        ui.turn()
    ui.run_until(ran.is_set)


def test_posting_where_there_is_no_toolkit_any_more_closes(ui: ManualDispatcher) -> None:
    never: Future[int] = Future()
    delivery = ui.deliver(never, print)
    ui.alive = False
    ui.post(lambda: pytest.fail("nothing runs any more"))
    assert ui.closed
    assert delivery.done


def test_a_finaliser_may_post_while_somebody_posts(ui: ManualDispatcher) -> None:
    """Python runs finalisers and signal handlers in the middle of anything."""
    ran = threading.Event()
    ui.on_wake = lambda: ui.post(ran.set)
    done = threading.Event()
    poster = threading.Thread(target=lambda: (ui.post(lambda: None), done.set()), daemon=True)
    poster.start()
    assert done.wait(WAIT)
    ui.run_until(ran.is_set)


@pytest.mark.parametrize("batch", [0, -1, 1.5, True, "8"])
def test_a_batch_that_is_none_is_refused(batch: int) -> None:
    with pytest.raises(IpcArgumentError, match="batch") as caught:
        ManualDispatcher(batch)
    assert caught.value.field == "batch"


def test_what_was_left_open_is_closed_at_exit(ui: ManualDispatcher) -> None:
    """Before the toolkit goes."""
    earlier = ManualDispatcher()
    base._close_all()
    assert ui.closed
    assert earlier.closed


class Stubborn(ManualDispatcher):
    """What it was woken by does not let itself be given back."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def _let_go(self) -> None:
        raise self._error


def test_what_cannot_be_given_back_is_logged_and_the_rest_ends(log: Log) -> None:
    ui = Stubborn(OSError("Bad file descriptor"))
    delivery = ui.deliver(Future[int](), print)
    assert ui.close()
    assert delivery.done
    assert "Bad file descriptor" in log.at("WARNING")[0]
    assert ui.close()
    assert len(log.at("WARNING")) == 1


def test_an_interrupt_in_closing_leaves_no_delivery_behind() -> None:
    ui = Stubborn(KeyboardInterrupt())
    delivery = ui.deliver(Future[int](), print)
    with pytest.raises(KeyboardInterrupt):
        ui.close()
    assert (ui.closed, delivery.done) == (True, True)
