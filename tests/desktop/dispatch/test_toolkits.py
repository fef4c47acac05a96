"""What every toolkit's dispatcher does alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("tkinter", reason="this Python has no tkinter")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from opencode_sync import (
    ConnectionState,
    IpcClient,
    IpcConfig,
    RunEvent,
    StateChange,
    TextDelta,
)
from opencode_sync.gateway import Gateway
from opencode_sync.types import OcSessionInfo
from tests.desktop.dispatch.toolkits import WAIT, Toolkit
from tests.integration.cli.talking import TalkingBackend
from tests.support.threads import together


def test_callbacks_of_any_thread_run_on_the_toolkits_in_the_order_posted(toolkit: Toolkit) -> None:
    ran: list[tuple[int, int, threading.Thread]] = []

    def ran_on(index: int, number: int) -> None:
        ran.append((index, number, threading.current_thread()))

    with toolkit.dispatcher() as ui:

        def post(index: int) -> None:
            for number in range(200):
                ui.post(partial(ran_on, index, number))

        for thread in together(4, post):
            thread.result()
        toolkit.run_dry(ui)
    for index in range(4):
        assert [number for who, number, _ in ran if who == index] == list(range(200))
    assert {thread for _, _, thread in ran} == {threading.current_thread()}


def test_nothing_runs_within_the_call_that_posts_it(toolkit: Toolkit) -> None:
    ran: list[str] = []
    with toolkit.dispatcher() as ui:
        ui.post(lambda: (ui.post(lambda: ran.append("inner")), ran.append("outer")))
        assert ran == []
        toolkit.run_until(lambda: len(ran) == 2)
    assert ran == ["outer", "inner"]


def test_one_that_raises_is_reported_as_the_toolkit_does_and_holds_up_nobody(
    toolkit: Toolkit,
) -> None:
    error = ValueError("a user's mistake")

    def fail() -> None:
        raise error

    with toolkit.dispatcher() as ui:
        ui.post(fail)
        toolkit.run_dry(ui)
    assert toolkit.reported == [error]


def test_one_that_runs_a_loop_of_its_own_holds_up_nobody(toolkit: Toolkit) -> None:
    """A dialog, that is: what was posted after it, and what comes meanwhile, still runs."""
    ran: list[str] = []
    answered = threading.Event()

    def dialog() -> None:
        ui.post(answered.set)
        toolkit.run_until(answered.is_set)
        ran.append("answered")

    with toolkit.dispatcher() as ui:
        ui.post(dialog)
        ui.post(lambda: ran.append("meanwhile"))
        toolkit.run_until(lambda: "answered" in ran)
        toolkit.run_dry(ui)
    assert ran == ["meanwhile", "answered"]
    assert toolkit.reported == []


@pytest.mark.parametrize("seconds", [0.0, 0.003])
def test_a_flood_leaves_the_toolkit_its_turn(toolkit: Toolkit, seconds: float) -> None:
    """However fast they come, and however long each takes, windows are drawn."""
    drawn = threading.Event()
    give_up = time.monotonic() + WAIT

    def work() -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
        if not drawn.is_set() and time.monotonic() < give_up:
            ui.post(work)

    with toolkit.dispatcher() as ui:
        for _ in range(10):
            ui.post(work)
        toolkit.step()
        toolkit.draw_soon(drawn.set)
        toolkit.run_until(drawn.is_set)
        assert time.monotonic() < give_up, "it was drawn only after the flood"


def test_outcomes_of_futures_arrive(toolkit: Toolkit) -> None:
    good: Future[int] = Future()
    bad: Future[int] = Future()
    arrived: list[object] = []
    error = OSError("no")
    with toolkit.dispatcher() as ui:
        ui.deliver(good, arrived.append)
        ui.deliver(bad, arrived.append, lambda error: arrived.append((error, "failed")))
        threading.Thread(target=lambda: (good.set_result(42), bad.set_exception(error))).start()
        toolkit.run_until(lambda: len(arrived) == 2)
    assert arrived == [42, (error, "failed")]


def test_a_stream_arrives_whole_and_in_order(toolkit: Toolkit) -> None:
    arrived: list[int] = []
    ends: list[BaseException | None] = []
    sizes: list[int] = []

    def take(items: object) -> None:
        assert isinstance(items, list)
        arrived.extend(items)
        sizes.append(len(items))

    with toolkit.dispatcher(batch=7) as ui:
        ui.follow(lambda: nullcontext(range(300)), take, ends.append)
        toolkit.run_until(lambda: bool(ends))
    assert arrived == list(range(300))
    assert ends == [None]
    assert max(sizes) <= 7


def test_after_closing_nothing_runs(toolkit: Toolkit) -> None:
    ran: list[str] = []
    ui = toolkit.dispatcher()
    ui.post(lambda: ran.append("before"))
    assert ui.close()
    ui.post(lambda: ran.append("after"))
    assert ui.close()
    with toolkit.dispatcher() as another:
        toolkit.run_dry(another)
    assert ran == []


def test_closing_in_a_callback_is_the_end(toolkit: Toolkit) -> None:
    ran: list[str] = []
    ui = toolkit.dispatcher()
    ui.post(lambda: ran.append("first"))
    ui.post(ui.close)
    ui.post(lambda: ran.append("never"))
    toolkit.run_until(lambda: ui.closed)
    with toolkit.dispatcher() as another:
        toolkit.run_dry(another)
    assert ran == ["first"]


def test_another_thread_may_close(toolkit: Toolkit) -> None:
    ran: list[str] = []
    ui = toolkit.dispatcher()
    ui.post(lambda: ran.append("never"))
    thread = threading.Thread(target=ui.close)
    thread.start()
    thread.join(WAIT)
    assert ui.closed
    with toolkit.dispatcher() as another:
        toolkit.run_dry(another)
    assert ran == []


def test_a_client_and_its_gateway(toolkit: Toolkit, tmp_path: Path) -> None:
    """Sessions, an answer word by word, and the end of the connection, each on its thread."""
    shown: list[str] = []
    states: list[ConnectionState] = []
    threads: set[threading.Thread] = set()

    def note(session: OcSessionInfo) -> None:
        threads.add(threading.current_thread())
        shown.append(session.title)
        ui.follow(lambda: client.stream_prompt(session.id, "hello"), read, ended)

    def read(events: Sequence[RunEvent]) -> None:
        threads.add(threading.current_thread())
        shown.append("".join(each.text for each in events if isinstance(each, TextDelta)))

    def ended(error: BaseException | None) -> None:
        threads.add(threading.current_thread())
        shown.append(f"ended with {error}")

    def changed(change: StateChange) -> None:
        threads.add(threading.current_thread())
        states.append(change.new)

    with Gateway(TalkingBackend(tmp_path / "sessions.db"), runtime_file=None) as gateway:
        client = IpcClient(IpcConfig(gateway.port, gateway.auth_token))
        with client, toolkit.dispatcher() as ui:
            ui.watch_state(client, changed)
            ui.deliver(client.futures.create_session("A title"), note)
            toolkit.run_until(lambda: "ended with None" in shown)
            client.close()
            toolkit.run_until(lambda: ConnectionState.DISCONNECTED in states)
            assert ui.close(WAIT)
    assert shown[0] == "A title"
    assert "".join(shown[1:-1]).strip() == "You said: hello"
    assert threads == {threading.current_thread()}
    assert toolkit.reported == []
