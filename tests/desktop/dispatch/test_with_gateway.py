"""The dispatcher with a real client and a real gateway behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from opencode_sync import (
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcPromptError,
    RunEvent,
    TextDelta,
)
from opencode_sync.gateway import Gateway
from opencode_sync.wire.ext_event_pb2 import IpcEvent
from tests.desktop.dispatch.manual import WAIT, ManualDispatcher
from tests.integration.cli.talking import TalkingBackend

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

_FELT: Final = 0.05
"""Seconds of its own that a window's thread may be held."""


@pytest.fixture
def backend(tmp_path: Path) -> TalkingBackend:
    return TalkingBackend(tmp_path / "sessions.db")


@pytest.fixture
def client(backend: TalkingBackend) -> Iterator[IpcClient]:
    with (
        Gateway(backend, runtime_file=None) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        yield client


class Run:
    """What was told of a run."""

    def __init__(self) -> None:
        self.text = ""
        self.error: BaseException | None = None
        self.ended = threading.Event()

    def items(self, events: Sequence[RunEvent]) -> None:
        self.text += "".join(event.text for event in events if isinstance(event, TextDelta))

    def end(self, error: BaseException | None) -> None:
        self.error = error
        self.ended.set()


@pytest.fixture
def run() -> Run:
    return Run()


def test_results_of_the_clients_futures(ui: ManualDispatcher, client: IpcClient) -> None:
    titles: list[str] = []
    ui.deliver(client.futures.create_session("one"), lambda session: titles.append(session.title))
    ui.run_until(lambda: titles == ["one"])


def test_a_run_from_its_first_word_to_its_end(
    ui: ManualDispatcher, client: IpcClient, run: Run
) -> None:
    ui.follow(lambda: client.stream_prompt("ses_1", "hello there"), run.items, run.end)
    ui.run_until(run.ended.is_set)
    assert run.text.strip() == "You said: hello there"
    assert run.error is None


def test_a_run_that_fails(ui: ManualDispatcher, client: IpcClient, run: Run) -> None:
    ui.follow(lambda: client.stream_prompt("ses_1", "fail"), run.items, run.end)
    ui.run_until(run.ended.is_set)
    assert run.text == "Half"
    assert isinstance(run.error, IpcPromptError)
    assert run.error.kind == "provider_auth"


def test_calling_a_run_off_aborts_it(
    ui: ManualDispatcher, client: IpcClient, backend: TalkingBackend, run: Run
) -> None:
    delivery = ui.follow(lambda: client.stream_prompt("ses_1", "hold"), run.items, run.end)
    ui.run_until(lambda: run.text == "Half")
    delivery.cancel()
    assert backend.aborted.acquire(timeout=WAIT)
    assert ui.close(WAIT)
    assert not run.ended.is_set()


def test_events_until_they_are_called_off(
    ui: ManualDispatcher, client: IpcClient, backend: TalkingBackend
) -> None:
    types: list[str] = []
    delivery = ui.follow(
        client.events, lambda events: types.extend(event.type for event in events), print
    )
    assert backend.subscribed.acquire(timeout=WAIT)
    for kind in ("session.idle", "file.edited"):
        backend.sinks[0].event(IpcEvent(type=kind))
    ui.run_until(lambda: types == ["session.idle", "file.edited"])
    delivery.cancel()
    assert ui.close(WAIT), "the thread still waits for events"


def test_a_client_that_closes_ends_what_is_followed(
    ui: ManualDispatcher, client: IpcClient, backend: TalkingBackend, run: Run
) -> None:
    ui.follow(client.events, lambda events: None, run.end)
    assert backend.subscribed.acquire(timeout=WAIT)
    client.close()
    ui.run_until(run.ended.is_set)
    assert isinstance(run.error, IpcConnectionError)


def test_closing_during_runs_holds_the_window_up_for_no_time(
    ui: ManualDispatcher, client: IpcClient, backend: TalkingBackend, run: Run
) -> None:
    for number in range(4):
        prompt: Any = lambda number=number: client.stream_prompt(f"ses_{number}", "hold")  # noqa: E731
        ui.follow(prompt, run.items, run.end)
    for _ in range(4):
        assert backend.holding.acquire(timeout=WAIT)
    begun = time.thread_time()
    ui.close()
    held = time.thread_time() - begun
    for _ in range(4):
        assert backend.aborted.acquire(timeout=WAIT)
    assert ui.close(WAIT)
    assert held < _FELT
