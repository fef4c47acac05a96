"""A transport with faults, for tests without sockets: a ``FaultPlan``, message by message.

It wraps any other transport. ``FaultyTransports`` is the factory that a client takes::

    plan = FaultPlan([Fault.drop(direction="to_client", message=3)], seed=1)
    faults = FaultyTransports(lambda config, options: gateway.connect_in_memory(), plan)
    client = IpcClient(config, transport_factory=faults)

A transport carries whole messages, so faults that cut bytes need a ``FaultProxy``. Message 1 of
each direction is the IPC handshake; ``message=0`` is the opening of the link.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import IpcArgumentError
from opencode_sync.testing.faults import OF_BYTES, Direction, Fault, FaultKind
from opencode_sync.testing.lane import Lane
from opencode_sync.testing.plan import FaultPlan, Injection, Journal, check_plan
from opencode_sync.testing.wrapping import WrappingTransport
from opencode_sync.transport.base import (
    Transport,
    TransportClosed,
    TransportError,
    TransportFactory,
    TransportTimeout,
)

if TYPE_CHECKING:
    from opencode_sync.config import IpcConfig
    from opencode_sync.options import IpcClientOptions

__all__ = ["FaultyTransport", "FaultyTransports"]


class FaultyTransports:
    """A ``transport_factory`` whose transports are faulty. Any thread may call any method.

    The transports it makes are numbered from 1: that is what ``connection`` of a fault means.
    As a context manager it adds a note on how to replay the faults to an exception that leaves it.
    """

    def __init__(self, factory: TransportFactory, plan: FaultPlan) -> None:
        """Make a factory around another one.

        Args:
            factory: Makes the transports that work.
            plan: What goes wrong.

        Raises:
            IpcArgumentError: the plan is none, or a fault of it needs a proxy.
        """
        _check(plan)
        self.plan = plan
        self._factory = factory
        self._numbers = itertools.count(1)
        self._journal = Journal()

    @property
    def injected(self) -> tuple[Injection, ...]:
        """The faults that struck until now, in order."""
        return self._journal.injections()

    def __call__(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        return FaultyTransport(
            self._factory(config, options),
            self.plan,
            connection=next(self._numbers),
            journal=self._journal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            exc.add_note(f"these faults were injected: {self.plan!r}")

    def __repr__(self) -> str:
        return f"FaultyTransports({self.plan!r})"


class FaultyTransport(WrappingTransport):
    """One link with faults around a transport without. See ``Transport`` for who may call what."""

    def __init__(
        self,
        inner: Transport,
        plan: FaultPlan,
        *,
        connection: int = 1,
        journal: Journal | None = None,
    ) -> None:
        """Wrap a transport that is not connected yet.

        Args:
            inner: Does the work.
            plan: What goes wrong.
            connection: This link's number for the plan.
            journal: Told of what struck.

        Raises:
            IpcArgumentError: the plan is none, or a fault of it needs a proxy.
        """
        _check(plan)
        super().__init__(inner)
        self._plan = plan
        self._connection = connection
        self._journal = journal or Journal()
        self._changed = threading.Condition()  # guards _aborted and _end; waited on during a pause
        self._aborted = False
        self._end: TransportError | None = None
        # The reader's and the writer's own.
        self._incoming = self._lane(Direction.TO_CLIENT)
        self._outgoing = self._lane(Direction.TO_BACKEND)

    def _lane(self, direction: Direction) -> Lane:
        return Lane(direction, self._plan, connection=self._connection, note=self._journal.note)

    # --- What a link is ---

    @property
    def last_received_at(self) -> float:  # type: ignore[override]  # it is only read
        """When something came in that was not swallowed."""
        since = self._incoming.silent_since
        return self._inner.last_received_at if since is None else since

    # --- The reader ---

    def connect(self, deadline: Deadline) -> None:
        refusal = self._plan.refuses(self._connection)
        if refusal is not None:
            self._journal.note(Injection(refusal, self._connection, None, 0))
            raise TransportError(f"could not connect to {self.endpoint}: an injected fault")
        for item in self._incoming.opening() + self._outgoing.opening():
            if not self._pause(Deadline.after(item.wait), deadline):
                raise TransportTimeout("the handshake was not answered in time: an injected fault")
            if item.end is not None:
                raise self._finish(item.end)
        self._inner.connect(deadline)

    def receive(self, deadline: Deadline | None = None) -> bytes:
        deadline = deadline or Deadline(None)
        lane = self._incoming
        while True:
            item = lane.next()
            if item is None:
                self._listen(deadline)
                continue
            if not self._pause(item.due, deadline):
                raise TransportTimeout("no message came in time")
            lane.pop()
            if item.error is not None:
                raise item.error
            if item.end is not None:
                raise self._finish(item.end)
            if item.data is not None:
                return item.data

    def _listen(self, deadline: Deadline) -> None:
        """Take the next message in, or let one go that nobody overtook."""
        lane = self._incoming
        until = lane.held_until
        try:
            data = self._inner.receive(deadline if until is None else deadline.earlier(until))
        except TransportTimeout:
            if until is None or not until.passed():
                raise
            lane.release()
        except TransportError as error:
            if self._end is not None:
                raise self._end from error
            if lane.silent_since is None:
                lane.end(error)
            # In a silent link nobody hears an end, but for that which is made on this side.
            elif not self._pause(_NEVER, deadline):
                raise TransportTimeout("no message came in time") from error
        else:
            lane.take(data)

    # --- The writer ---

    def send(self, messages: Sequence[bytes]) -> None:
        if messages and self._end is not None:
            raise self._end
        for message in messages:
            self._outgoing.take(message)

    def flush(self, deadline: Deadline) -> bool:
        lane = self._outgoing
        while True:
            if self._end is not None:
                raise self._end
            item = lane.next()
            if item is None:
                written = self._inner.flush(deadline)
                if not written or lane.held_until is None:
                    return written
                if not self._pause(lane.held_until, deadline):
                    return False
                lane.release()
            else:
                if not self._pause(item.due, deadline):
                    return False
                lane.pop()
                if item.end is not None:
                    self._inner.flush(NOW)
                    raise self._finish(item.end)
                if item.data is not None:
                    self._inner.send([item.data])

    @property
    def output_due(self) -> bool:
        return self._outgoing.busy or self._inner.output_due

    def ping(self) -> None:
        if self._outgoing.silent_since is None:
            self._inner.ping()

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        try:
            self._outgoing.release()
            if not self.flush(deadline) or self._outgoing.silent_since is not None:
                return
        except TransportError:
            return  # the link is gone already, which is what close() is for
        self._inner.close(code, reason, deadline)

    # --- Any thread ---

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._changed.notify_all()
        self._inner.abort()

    # --- Inner steps ---

    def _finish(self, fault: Fault) -> TransportError:
        """End the link, in both directions, as a fault says; returns what to raise."""
        with self._changed:
            if self._end is None:
                self._end = _ending(fault)
            self._changed.notify_all()
        if fault.kind is FaultKind.CLOSE and fault.direction is Direction.TO_BACKEND:
            # As the writer, whose direction this is.
            self._inner.close(1000 if fault.code is None else fault.code, fault.reason, NOW)
        self._inner.abort()
        return self._end

    def _pause(self, due: Deadline | None, deadline: Deadline) -> bool:
        """Wait until something is due; returns False when the deadline came first.

        Raises:
            TransportClosed: the link was aborted or ended meanwhile.
        """
        due = due or NOW
        with self._changed:
            while not due.passed():
                if self._end is not None:
                    raise self._end
                if self._aborted:
                    raise TransportClosed("the link was aborted")
                if deadline.passed():
                    return False
                self._changed.wait(due.earlier(deadline).remaining())
        return True


_NEVER: Final = Deadline(None)


def _ending(fault: Fault) -> TransportClosed:
    if fault.kind is FaultKind.CLOSE and fault.direction is not Direction.TO_BACKEND:
        said = "without a code" if fault.code is None else f"with code {fault.code}"
        return TransportClosed(
            f"the backend closed the connection {said}: an injected fault",
            code=fault.code,
            reason=fault.reason,
            clean=True,
        )
    return TransportClosed(f"the connection was lost: an injected {fault.kind}")


def _check(plan: FaultPlan) -> None:
    for fault in check_plan(plan).faults:
        if fault.kind in OF_BYTES or (fault.offset is not None and fault.message is None):
            raise IpcArgumentError(
                f"plan holds {fault!r}, which is about bytes on a wire; a transport carries whole "
                "messages, so use a FaultProxy",
                field="plan",
            )
