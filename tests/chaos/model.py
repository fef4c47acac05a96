"""The contract of a client, as a small model that what happened is checked against.

It knows of no connection and no thread; only of calls, their ends, and what the backend saw:

- a call ends exactly once, in its time, with a result, an ``IpcError`` or its cancellation;
- a result is the answer to that very call, and the backend acted on it;
- ``request_sent=False`` means that the backend never saw it;
- what is not idempotent is done at most once, what is at most once more;
- the state takes only the steps there are, each seen once and in order.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from opencode_sync import ConnectionState, IpcError, StateChange

SLACK = 5.0
"""Seconds a call may end late: a busy machine, nothing more."""

_S = ConnectionState
STEPS = {
    (_S.DISCONNECTED, _S.CONNECTING),
    (_S.FAILED, _S.CONNECTING),
    (_S.CONNECTING, _S.AUTHENTICATING),
    (_S.CONNECTING, _S.FAILED),
    (_S.AUTHENTICATING, _S.CONNECTED),
    (_S.AUTHENTICATING, _S.FAILED),
    (_S.CONNECTED, _S.DISCONNECTING),
    (_S.CONNECTED, _S.DISCONNECTED),
    (_S.CONNECTED, _S.FAILED),
    (_S.DISCONNECTING, _S.DISCONNECTED),
}
"""The table of docs/architecture.md, written down a second time."""


@dataclass
class Record:
    """One call."""

    nonce: str
    idempotent: bool
    timeout: float
    begun: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    endings: int = 0
    result: str | None = None
    """The nonce that came back."""
    error: BaseException | None = None
    pieces: list[str] = field(default_factory=list)
    """What was pushed on the way."""


class Ledger:
    """All calls of a run, and all changes of the state. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the lists
        self._records: list[Record] = []
        self._changes: list[StateChange] = []

    def open(self, nonce: str, *, idempotent: bool, timeout: float) -> Record:
        """Write down a call that begins."""
        record = Record(nonce, idempotent, timeout)
        with self._lock:
            self._records.append(record)
        return record

    def close(self, record: Record, result: str | None, error: BaseException | None = None) -> None:
        """Write down its end."""
        now = time.monotonic()
        with self._lock:
            record.endings += 1
            record.ended, record.result, record.error = now, result, error

    def close_with(self, record: Record, future: Future[Any]) -> None:
        """Write down how a future ended; its done-callback."""
        if future.cancelled():
            self.close(record, None, CancelledError())
        elif (error := future.exception()) is not None:
            self.close(record, None, error)
        else:
            self.close(record, future.result().title)

    def step(self, change: StateChange) -> None:
        """Write down a change of the state; a state listener."""
        with self._lock:
            self._changes.append(change)

    @property
    def records(self) -> list[Record]:
        with self._lock:
            return list(self._records)

    @property
    def changes(self) -> list[StateChange]:
        with self._lock:
            return list(self._changes)


def violations(
    records: Sequence[Record],
    changes: Sequence[StateChange],
    seen: Counter[str],
    *,
    repeats_injected: bool,
    bytes_changed: bool,
) -> Iterator[str]:
    """Say everything that is against the contract.

    Args:
        records: The calls.
        changes: The changes of the state.
        seen: How often the backend acted on each nonce.
        repeats_injected: Whether a fault may have doubled a request on its way.
        bytes_changed: Whether a fault may have changed a request or an answer: the protocol has no
            checksum, so then nothing can be said of what they hold.
    """
    for record in records:
        what = f"call {record.nonce}"
        if record.endings != 1:
            yield f"{what} ended {record.endings} times"
            continue
        late = record.ended - record.begun - record.timeout
        if late > SLACK:
            yield f"{what} ended {late:.2f} s after its time"
        error = record.error
        if error is not None and not isinstance(error, IpcError | CancelledError):
            yield f"{what} ended with {error!r}"
        if bytes_changed:
            continue
        times = seen[record.nonce]
        if error is None and record.result != record.nonce:
            yield f"{what} got the answer to {record.result!r}"
        if any(piece != record.nonce for piece in record.pieces):
            yield f"{what} got the pushes {record.pieces}"
        if error is None and not times:
            yield f"{what} has a result, but the backend never saw it"
        if getattr(error, "request_sent", True) is False and times:
            yield f"{what} was done although request_sent is False: {error}"
        if not repeats_injected and times > (2 if record.idempotent else 1):
            yield f"{what} was done {times} times"
    yield from _wrong_steps(changes)


def _wrong_steps(changes: Sequence[StateChange]) -> Iterator[str]:
    state = _S.DISCONNECTED
    for number, change in enumerate(changes):
        if change.old is not state:
            yield f"change {number} leaves {change.old}, but the state was {state}"
        if (change.old, change.new) not in STEPS:
            yield f"change {number} is none there is: {change.old} to {change.new}"
        state = change.new
    if state not in (_S.DISCONNECTED, _S.FAILED):
        yield f"the last state is {state}"
