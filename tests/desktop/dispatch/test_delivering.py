"""The outcome of a future, and the changes of a client's state, on the toolkit's thread."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from opencode_sync import ConnectionState, IpcClient, StateChange
from tests.desktop.dispatch.manual import Log, ManualDispatcher

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


class Told:
    """What was told, and by whom."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.errors: list[BaseException] = []
        self.threads: set[threading.Thread] = set()

    def done(self, result: object) -> None:
        self.results.append(result)
        self.threads.add(threading.current_thread())

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)
        self.threads.add(threading.current_thread())


@pytest.fixture
def told() -> Told:
    return Told()


def in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_a_result_arrives_once_and_here(ui: ManualDispatcher, told: Told) -> None:
    future: Future[int] = Future()
    delivery = ui.deliver(future, told.done, told.failed)
    in_thread(lambda: future.set_result(42))
    assert told.results == []
    assert not delivery.done
    ui.run_dry()
    assert (told.results, told.errors) == ([42], [])
    assert told.threads == {threading.current_thread()}
    assert delivery.done


def test_a_failure_arrives_once(ui: ManualDispatcher, told: Told) -> None:
    future: Future[int] = Future()
    ui.deliver(future, told.done, told.failed)
    error = OSError("no")
    future.set_exception(error)
    ui.run_dry()
    assert (told.results, told.errors) == ([], [error])


def test_a_future_that_is_done_is_told_of_all_the_same(ui: ManualDispatcher, told: Told) -> None:
    future: Future[int] = Future()
    future.set_result(42)
    ui.deliver(future, told.done, told.failed)
    assert told.results == [], "not within the call"
    ui.run_dry()
    assert told.results == [42]


def test_a_cancelled_future_has_failed(ui: ManualDispatcher, told: Told) -> None:
    future: Future[int] = Future()
    ui.deliver(future, told.done, told.failed)
    future.cancel()
    ui.run_dry()
    assert [type(error) for error in told.errors] == [CancelledError]


def test_a_failure_that_nobody_asked_for_is_logged(ui: ManualDispatcher, log: Log) -> None:
    future: Future[int] = Future()
    ui.deliver(future, print)
    future.set_exception(OSError("the cable is out"))
    ui.run_dry()
    assert log.at("ERROR") == ["OSError, and nobody asked to be told: the cable is out"]


def test_a_cancellation_that_nobody_asked_for_is_no_error(ui: ManualDispatcher, log: Log) -> None:
    future: Future[int] = Future()
    ui.deliver(future, print)
    future.cancel()
    ui.run_dry()
    assert log.at("ERROR") == []


def test_a_callback_that_raises_is_reported(ui: ManualDispatcher, told: Told) -> None:
    error = ValueError("a user's mistake")

    def fail(result: int) -> None:
        raise error

    future: Future[int] = Future()
    ui.deliver(future, fail, told.failed)
    future.set_result(42)
    ui.run_dry()
    assert ui.take_reported() == [error]
    assert told.errors == [], "exactly one of the two runs"


@pytest.mark.parametrize("when", ["before the result", "after the result"])
def test_after_cancelling_nothing_is_told(ui: ManualDispatcher, told: Told, when: str) -> None:
    future: Future[int] = Future()
    delivery = ui.deliver(future, told.done, told.failed)
    if when == "after the result":
        future.set_result(42)
    delivery.cancel()
    delivery.cancel()
    assert delivery.done
    if when == "before the result":
        assert not future.done(), "the future is its owner's"
        future.set_result(42)
    ui.run_dry()
    assert (told.results, told.errors) == ([], [])


def test_what_was_called_off_is_let_go(ui: ManualDispatcher) -> None:
    """A window whose request is still on its way can be freed."""

    class Window:
        def show(self, result: int) -> None:
            pytest.fail("it is gone")

    window = Window()
    alive = weakref.ref(window)
    future: Future[int] = Future()
    ui.deliver(future, window.show).cancel()
    del window
    gc.collect()
    assert alive() is None
    future.set_result(42)


def test_a_closed_dispatcher_delivers_nothing(ui: ManualDispatcher, told: Told) -> None:
    future: Future[int] = Future()
    early = ui.deliver(future, told.done, told.failed)
    ui.close()
    late = ui.deliver(future, told.done, told.failed)
    assert early.done
    assert late.done
    future.set_result(42)
    while ui.turn(0):
        pass
    assert told.results == []


# --- State changes ---


class FakeClient:
    """Has listeners, and tells them what the test wants."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[StateChange], object]] = []
        self.on_subscribe: Callable[[], object] = lambda: None

    def on_state_change(self, listener: Callable[[StateChange], object]) -> Callable[[], None]:
        self.listeners.append(listener)
        self.on_subscribe()
        return lambda: self.listeners.remove(listener)


UP = StateChange(ConnectionState.AUTHENTICATING, ConnectionState.CONNECTED)
DOWN = StateChange(ConnectionState.CONNECTED, ConnectionState.FAILED)


def test_state_changes_arrive_in_order_until_called_off(ui: ManualDispatcher, told: Told) -> None:
    client: Any = FakeClient()
    watch = ui.watch_state(client, told.done)
    in_thread(lambda: [client.listeners[0](change) for change in (UP, DOWN)])
    ui.run_dry()
    assert told.results == [UP, DOWN]
    assert told.threads == {threading.current_thread()}
    client.listeners[0](UP)
    watch.cancel()
    assert client.listeners == []
    ui.run_dry()
    assert told.results == [UP, DOWN]


def test_a_watch_called_off_as_it_begins_listens_to_nobody(ui: ManualDispatcher) -> None:
    client: Any = FakeClient()
    client.on_subscribe = ui.close
    assert ui.watch_state(client, print).done
    assert client.listeners == []


def test_a_closed_dispatcher_watches_nobody(ui: ManualDispatcher) -> None:
    client: Any = FakeClient()
    ui.close()
    assert ui.watch_state(client, print).done
    assert client.listeners == []


def test_a_real_client_tells_of_its_states(ui: ManualDispatcher, told: Told) -> None:
    """It cannot connect, and says so."""
    client = IpcClient(reconnect=None)
    ui.watch_state(client, told.done)
    with pytest.raises(Exception, match="gateway"):
        client.connect()
    ui.run_until(lambda: len(told.results) == 2)
    assert [change.new for change in told.results if isinstance(change, StateChange)] == [
        ConnectionState.CONNECTING,
        ConnectionState.FAILED,
    ]
    client.close()
