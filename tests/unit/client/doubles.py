"""Small stand-ins for the neighbours of one class."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from opencode_sync import IpcClient, StateChange, operations
from opencode_sync.call import BlockingCall, FutureCall
from opencode_sync.deadline import Deadline
from opencode_sync.metered import metered_calls
from opencode_sync.notifier import Notifier
from opencode_sync.operations import Request
from opencode_sync.own_threads import OwnThreads
from opencode_sync.transport.base import Transport, TransportClosed
from tests.support.backend import WAIT


def make_call(
    request: Request[Any] | None = None,
    *,
    timeout: float | None = 30.0,
    notifier: Notifier | None = None,
    metrics: Any = None,
) -> FutureCall[Any]:
    """A call as ``client.futures`` makes it."""
    new = FutureCall if metrics is None else metered_calls(metrics)[1]
    return new(
        request or operations.check_health(),
        timeout=timeout,
        deadline=Deadline.after(timeout),
        notifier=notifier or Notifier("opencode-sync-notifier", OwnThreads()),
    )


def make_blocking_call(
    *, timeout: float | None = 30.0, metrics: Any = None, request: Request[Any] | None = None
) -> BlockingCall[Any]:
    """A call as a client's blocking methods make it."""
    new = BlockingCall if metrics is None else metered_calls(metrics)[0]
    return new(
        request or operations.check_health(),
        timeout=timeout,
        deadline=Deadline.after(timeout),
    )


def tell_when_down(client: IpcClient) -> threading.Event:
    """Return an event that is set when the connection is lost and another attempt is planned."""
    down = threading.Event()

    def listener(change: StateChange) -> None:
        if change.retry_in is not None:
            down.set()

    client.on_state_change(listener)
    return down


def no_thread(self: threading.Thread) -> None:
    """In place of ``Thread.start``, for a system that has none to give."""
    raise RuntimeError("can't start new thread")


class FakeTransport(Transport):
    """Keeps what is written; can be told to be slow, to fail, or to stop a writer on its way."""

    endpoint = "ws://fake/"

    def __init__(self) -> None:
        self.last_received_at = time.monotonic()
        self.on_output_due: Callable[[], None] = lambda: None
        self.output: list[bytes] = []
        self.written: list[bytes] = []
        self.pings = 0
        self.closes: list[tuple[int, str]] = []
        self.aborted = threading.Event()
        self.fault: BaseException | None = None
        self.stuck = False
        self.before_flush: Callable[[], None] = lambda: None
        self.on_ping: Callable[[], None] = lambda: None
        self._resumed = threading.Event()

    def connect(self, deadline: Deadline) -> None:
        """It is open."""

    def receive(self, deadline: Deadline | None = None) -> bytes:
        self.aborted.wait(WAIT)
        raise TransportClosed("it was aborted")

    def send(self, messages: Sequence[bytes]) -> None:
        self.output.extend(messages)

    def flush(self, deadline: Deadline) -> bool:
        self.before_flush()
        if self.fault is not None:
            raise self.fault
        if self.stuck and not self._resumed.wait(deadline.remaining()):
            return False
        if self.aborted.is_set():
            raise TransportClosed("it was aborted")
        self.written += self.output
        self.output.clear()
        return True

    @property
    def output_due(self) -> bool:
        return bool(self.output)

    def ping(self) -> None:
        self.pings += 1
        self.on_ping()

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self.closes.append((code, reason))

    def abort(self) -> None:
        self.aborted.set()
        self._resumed.set()

    def dispose(self) -> None:
        """Nothing to free."""

    def resume(self) -> None:
        """Take everything from now on."""
        self.stuck = False
        self._resumed.set()
