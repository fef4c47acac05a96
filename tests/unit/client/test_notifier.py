"""``Notifier``: users' callbacks, in order, on a thread that is there only while needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync import notifier as module
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.notifier import Notifier
from opencode_sync.own_threads import OwnThreads
from tests.support.backend import WAIT
from tests.support.leaks import eventually
from tests.unit.client.doubles import no_thread

NAME = "opencode-sync-notifier-of-a-test"


@pytest.fixture
def notifier() -> Iterator[Notifier]:
    notifier = Notifier(NAME, OwnThreads())
    yield notifier
    assert notifier.stop(Deadline.after(WAIT))


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_without_work_there_is_no_thread(notifier: Notifier) -> None:
    assert _threads() == []
    assert notifier.stop(NOW) is True


def test_callbacks_run_in_order_with_their_arguments(notifier: Notifier) -> None:
    seen: list[tuple[int, str]] = []
    for number in range(100):
        notifier.post(lambda *args: seen.append(args), number, "x")
    assert notifier.stop(Deadline.after(WAIT)) is True
    assert seen == [(number, "x") for number in range(100)]
    assert _threads() == []


def test_its_thread_is_a_daemon_and_knows_itself(notifier: Notifier) -> None:
    answers: list[bool] = []
    notifier.post(lambda: answers.append(notifier.is_current_thread()))
    assert all(thread.daemon for thread in _threads())
    assert notifier.is_current_thread() is False
    notifier.stop(Deadline.after(WAIT))
    assert answers == [True]


def test_its_thread_is_one_of_the_clients_own_as_long_as_it_runs() -> None:
    own, seen = OwnThreads(), []
    notifier = Notifier(NAME, own)
    notifier.post(lambda: seen.append(own.ids == {threading.get_ident()}))
    assert notifier.stop(Deadline.after(WAIT))
    assert seen == [True]
    assert own.ids == set()


def test_after_a_pause_the_thread_ends_by_itself_and_comes_back_when_needed(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINGER", 0.01)
    done = threading.Event()
    notifier.post(done.set)
    assert done.wait(WAIT)
    assert eventually(lambda: _threads() == [])
    again = threading.Event()
    notifier.post(again.set)
    assert again.wait(WAIT)


@pytest.mark.parametrize("raised", [ValueError("x"), SystemExit(2), KeyboardInterrupt()])
def test_what_a_callback_raises_stays_there(notifier: Notifier, raised: BaseException) -> None:
    def explode() -> None:
        raise raised

    done = threading.Event()
    notifier.post(explode)
    notifier.post(done.set)
    assert done.wait(WAIT)


def test_stopping_is_bounded_by_its_deadline(notifier: Notifier) -> None:
    entered, release = threading.Event(), threading.Event()

    def dawdle() -> None:
        entered.set()
        assert release.wait(WAIT)

    notifier.post(dawdle)
    assert entered.wait(WAIT)
    assert notifier.stop(Deadline.after(0.01)) is False
    release.set()


def test_a_callback_may_stop_it_and_the_rest_still_runs(notifier: Notifier) -> None:
    results: list[bool] = []
    done = threading.Event()
    notifier.post(lambda: results.append(notifier.stop(Deadline.after(WAIT))))
    notifier.post(done.set)
    assert done.wait(WAIT)
    assert results == [False]
    assert eventually(lambda: _threads() == [])


def test_a_callback_may_post_more(notifier: Notifier) -> None:
    done = threading.Event()
    notifier.post(lambda: notifier.post(lambda: notifier.post(done.set)))
    assert done.wait(WAIT)


def test_no_thread_to_be_had_is_made_up_for_by_the_next_callback(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    said: list[str] = []
    monkeypatch.setattr(module, "complain", said.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        notifier.post(seen.append, 1)
    assert said == ["callbacks have no thread to run on: can't start new thread"]
    notifier.post(seen.append, 2)
    assert notifier.stop(Deadline.after(WAIT)) is True
    assert seen == [1, 2]


def test_who_is_told_that_there_is_no_thread_may_post_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From another thread, too: no lock of the notifier's is held meanwhile."""
    told: list[str] = []
    seen: list[str] = []
    with ThreadPoolExecutor(1) as others:
        others.submit(int).result(WAIT)  # so that its thread is there

        def tell(error: RuntimeError) -> None:
            told.append(str(error))
            if len(told) == 1:
                others.submit(notifier.post, seen.append, "from another thread").result(WAIT)

        notifier = Notifier(NAME, OwnThreads(), tell)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            notifier.post(seen.append, "first")
    assert told == ["can't start new thread"] * 2
    notifier.post(seen.append, "last")
    assert notifier.stop(Deadline.after(WAIT)) is True
    assert seen == ["first", "from another thread", "last"]
