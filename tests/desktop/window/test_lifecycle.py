"""Of many wishes to connect: how many are carried out, and which one is not kept waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import cast

import pytest

from opencode_sync import IpcClient, IpcConfig, IpcConnectionError, IpcUsageError
from opencode_sync.desktop.lifecycle import Lifecycle
from opencode_sync.desktop.target import Target
from opencode_sync.providers import StaticConfigProvider

WAIT = 30.0


class Client:
    """Whose ``connect`` waits until it is closed, or let through."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._closings = 0
        self._connecting = 0
        self.attempts = 0
        self.answers = False

    def connect(self) -> None:
        with self._changed:
            self.attempts += 1
            self._connecting += 1
            self._changed.notify_all()
            closings = self._closings
            assert self._changed.wait_for(
                lambda: self.answers or self._closings > closings, timeout=WAIT
            )
            self._connecting -= 1
            if not self.answers:
                raise IpcConnectionError("the client was closed")

    def close(self) -> None:
        with self._changed:
            self._closings += 1
            self._changed.notify_all()

    def answer(self) -> None:
        with self._changed:
            self.answers = True
            self._changed.notify_all()

    def wait_connecting(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._connecting == count, timeout=WAIT)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def lifecycle(client: Client) -> Iterator[Lifecycle]:
    target = Target(StaticConfigProvider(config(4096)))
    lifecycle = Lifecycle(cast(IpcClient, client), target, None)
    yield lifecycle
    lifecycle.close().result(WAIT)


def config(port: int) -> IpcConfig:
    return IpcConfig(port, "nobody-listens-there")


def test_who_wants_to_connect_while_that_is_tried_waits_for_the_same_attempt(
    client: Client, lifecycle: Lifecycle
) -> None:
    attempts = [lifecycle.connect() for _ in range(30)]
    client.wait_connecting(1)
    client.answer()
    assert [attempt.result(WAIT) for attempt in attempts] == [None] * 30
    assert client.attempts == 1
    lifecycle.connect().result(WAIT)
    assert client.attempts == 2  # the one before had ended


def test_another_place_is_not_kept_waiting_by_wishes_for_the_one_before(
    client: Client, lifecycle: Lifecycle
) -> None:
    for _ in range(30):
        former = lifecycle.connect()
    client.wait_connecting(1)
    newest = lifecycle.move_to(config(4097))
    assert isinstance(former.exception(WAIT), IpcConnectionError)
    client.wait_connecting(1)
    again = lifecycle.connect()  # to where it goes now
    client.answer()
    assert newest.result(WAIT) is again.result(WAIT) is None
    assert client.attempts == 2


def test_a_choice_that_has_no_thread_yet_is_dropped_for_a_newer_one(
    client: Client, lifecycle: Lifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    real = client.close

    def close() -> None:
        begun.release()
        assert go_on.wait(WAIT)
        real()

    monkeypatch.setattr(client, "close", close)
    running = []
    for port in range(4097, 4101):
        running.append(lifecycle.move_to(config(port)))
        assert begun.acquire(timeout=WAIT)
    queued = [lifecycle.move_to(config(port)) for port in range(4101, 4111)]
    newest = lifecycle.move_to(config(4111))
    assert all(each.cancelled() for each in queued)
    client.answer()
    go_on.set()
    assert newest.result(WAIT) is None
    for each in running:
        with pytest.raises(IpcUsageError, match="another backend was chosen"):
            each.result(WAIT)
    assert client.attempts == 1
    assert lifecycle._target.endpoint == config(4111).endpoint
