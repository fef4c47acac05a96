"""Every fault of a transport, as a client and a backend see it; no sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from opencode_sync import IpcClient, IpcConnectionError, IpcTimeoutError, ReconnectPolicy
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import IpcArgumentError
from opencode_sync.options import IpcClientOptions
from opencode_sync.testing import Fault, FaultPlan, FaultyTransport, FaultyTransports
from opencode_sync.transport.base import (
    TransportClosed,
    TransportError,
    TransportTimeout,
)
from opencode_sync.transport.memory import MemoryPeer, memory_link
from tests.support.backend import CONFIG, ScriptedBackend
from tests.support.threads import Background

SOON = 5.0


def linked(*faults: Fault, seed: int = 1) -> tuple[FaultyTransport, MemoryPeer]:
    inner, peer = memory_link()
    transport = FaultyTransport(inner, FaultPlan(faults, seed=seed))
    transport.connect(Deadline.after(SOON))
    return transport, peer


def incoming(*faults: Fault) -> list[bytes | int | None]:
    """What a client receives of three messages and a close."""
    transport, peer = linked(*faults)
    for message in (b"one", b"two", b"three"):
        peer.send(message)
    peer.close(1001)
    got: list[bytes | int | None] = []
    try:
        while True:
            got.append(transport.receive(Deadline.after(SOON)))
    except TransportClosed as end:
        got.append(end.code)
    return got


def outgoing(*faults: Fault) -> list[bytes | int | None]:
    """What a backend receives of three messages and a close."""
    transport, peer = linked(*faults)
    got: list[bytes | int | None] = []
    try:
        transport.send([b"one", b"two"])
        transport.send([b"three"])
        transport.close(1001, "", Deadline.after(SOON))
        while True:
            got.append(peer.receive(0.05))
    except TransportClosed as end:
        got.append(end.code)
    except TransportTimeout:
        got.append(-1)
    return got


@pytest.mark.parametrize("way", [incoming, outgoing])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, [b"one", b"two", b"three", 1001]),
        (Fault.drop(message=2), [b"one", b"three", 1001]),
        (Fault.duplicate(message=2), [b"one", b"two", b"two", b"three", 1001]),
        (Fault.reorder(9.0, message=1), [b"two", b"one", b"three", 1001]),
        (Fault.reorder(9.0), [b"one", b"two", b"three", 1001]),
        (Fault.reorder(9.0, message=3), [b"one", b"two", b"three", 1001]),
        (Fault.corrupt(0xFF, message=2, offset=0), [b"one", b"\x8bwo", b"three", 1001]),
        (Fault.delay(0.01), [b"one", b"two", b"three", 1001]),
        (Fault.throttle(1000), [b"one", b"two", b"three", 1001]),
        (Fault.freeze(0.01, message=2), [b"one", b"two", b"three", 1001]),
        (Fault.reset(message=2), [b"one", None]),
        (Fault.cut(message=3), [b"one", b"two", None]),
    ],
    ids=repr,
)
def test_what_the_other_side_receives(
    way: Callable[..., object], fault: Fault | None, expected: list[object]
) -> None:
    assert way(*([fault] if fault else [])) == expected


def test_a_close_reaches_the_side_it_is_sent_to() -> None:
    assert incoming(Fault.close(4001, "why", message=2)) == [b"one", 4001]
    assert incoming(Fault.close(None, message=1)) == [None]
    assert outgoing(Fault.close(4001, message=2, direction="to_backend")) == [b"one", 4001]


def test_a_close_is_told_as_a_backend_would_say_it() -> None:
    transport, peer = linked(Fault.close(4001, "why", message=1))
    peer.send(b"x")
    with pytest.raises(TransportClosed, match="4001") as end:
        transport.receive(Deadline.after(SOON))
    assert (end.value.code, end.value.reason, end.value.clean) == (4001, "why", True)


def test_after_an_end_everything_says_so() -> None:
    transport, peer = linked(Fault.reset(message=1, direction="to_client"))
    peer.send(b"x")
    for _ in range(2):
        with pytest.raises(TransportClosed, match="injected reset"):
            transport.receive(Deadline.after(SOON))
    with pytest.raises(TransportClosed):
        transport.send([b"y"])
    with pytest.raises(TransportClosed):
        transport.flush(NOW)
    transport.close(1000, "", NOW)
    with pytest.raises(TransportClosed):
        peer.receive(SOON)


def test_an_end_on_the_way_out_wakes_the_reader() -> None:
    transport, _ = linked(Fault.reset(message=1, direction="to_backend"))
    reader = Background(transport.receive)
    transport.send([b"x"])
    with pytest.raises(TransportClosed):
        transport.flush(NOW)
    assert "injected reset" in str(reader.error())


def test_a_half_open_link_swallows_both_ways_and_shows_no_life() -> None:
    transport, peer = linked(Fault.half_open(message=1))
    peer.send(b"x")
    with pytest.raises(TransportTimeout):
        transport.receive(Deadline.after(0.02))
    heard = transport.last_received_at
    transport.send([b"y"])
    assert transport.flush(NOW)
    transport.ping()
    with pytest.raises(TransportTimeout):
        peer.receive(0.02)
    peer.send(b"z")
    peer.drop()
    with pytest.raises(TransportTimeout):
        transport.receive(Deadline.after(0.05))
    assert transport.last_received_at == heard
    reader = Background(transport.receive)
    transport.close(1000, "", NOW)
    transport.abort()
    assert isinstance(reader.error(), TransportClosed)


def test_a_held_up_write_says_that_it_waits() -> None:
    transport, peer = linked(Fault.freeze(message=1, direction="to_backend"))
    transport.send([b"x"])
    assert transport.output_due
    assert not transport.flush(Deadline.after(0.01))
    assert transport.output_due
    writer = Background(transport.flush, Deadline(None))
    transport.abort()
    assert isinstance(writer.error(), TransportClosed)
    with pytest.raises(TransportClosed):
        peer.receive(SOON)


def test_a_message_that_nobody_overtakes_goes_out_in_the_end() -> None:
    transport, peer = linked(Fault.reorder(0.05))
    transport.send([b"x"])
    assert transport.output_due
    assert not transport.flush(NOW)
    assert transport.flush(Deadline.after(SOON))
    assert peer.receive(SOON) == b"x"
    peer.send(b"y")
    assert transport.receive() == b"y"


def test_a_deadline_comes_while_a_message_is_held_up_and_the_next_gets_it() -> None:
    transport, peer = linked(Fault.delay(0.05, message=1))
    peer.send(b"x")
    with pytest.raises(TransportTimeout):
        transport.receive(Deadline.after(0.01))
    assert transport.receive(Deadline.after(SOON)) == b"x"
    with pytest.raises(TransportTimeout):
        transport.receive(NOW)


def test_a_refused_link_is_not_opened() -> None:
    inner, peer = memory_link()
    transport = FaultyTransport(inner, FaultPlan([Fault.refuse()], seed=1))
    with pytest.raises(TransportError, match="injected"):
        transport.connect(NOW)
    transport.abort()
    transport.dispose()
    with pytest.raises(TransportClosed):
        peer.receive(SOON)


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.cut(message=0), Fault.close(message=0)])
def test_a_link_ends_while_it_is_opened(fault: Fault) -> None:
    with pytest.raises(TransportClosed):
        linked(fault)


def test_the_opening_may_stall() -> None:
    inner, _ = memory_link()
    transport = FaultyTransport(inner, FaultPlan([Fault.stall_handshake()], seed=1))
    with pytest.raises(TransportTimeout):
        transport.connect(Deadline.after(0.01))
    begun = time.monotonic()
    linked(Fault.stall_handshake(0.02))
    assert time.monotonic() - begun >= 0.02


def test_it_passes_on_what_it_wraps() -> None:
    transport, _ = linked()
    due = threading.Event()
    transport.on_output_due = due.set
    transport.on_output_due()
    assert due.is_set()
    assert transport.endpoint == "memory:"
    before = transport.last_received_at
    transport.ping()  # a link in memory takes a ping for life
    assert transport.last_received_at >= before
    transport.dispose()


@pytest.mark.parametrize("fault", [Fault.slice(), Fault.fragment(), Fault.reset(offset=3)])
def test_what_only_a_wire_has_is_refused(fault: Fault) -> None:
    inner, _ = memory_link()
    with pytest.raises(IpcArgumentError, match="FaultProxy"):
        FaultyTransport(inner, FaultPlan([fault], seed=1))
    with pytest.raises(IpcArgumentError, match="FaultProxy"):
        FaultyTransports(lambda config, options: inner, FaultPlan([fault], seed=1))


# --- Under a client ---


def client_of(faults: FaultyTransports, **arguments: object) -> IpcClient:
    return IpcClient(CONFIG, transport_factory=faults, **arguments)  # type: ignore[arg-type]


def test_a_client_comes_back_after_a_fault_of_its_first_connection() -> None:
    backend = ScriptedBackend()
    plan = FaultPlan([Fault.reset(direction="to_client", connection=1, message=2)], seed=1)
    with FaultyTransports(backend.factory, plan) as faults:
        policy = ReconnectPolicy(initial_delay=0.01, jitter=0)
        with client_of(faults, reconnect=policy) as client:
            assert [session.title for session in client.list_sessions()] == ["one"]
        (injection,) = faults.injected
        assert (injection.connection, injection.message) == (1, 2)
        assert repr(plan) in repr(faults)
    backend.close()


def test_a_client_finds_a_half_open_link_by_its_keep_alive() -> None:
    backend = ScriptedBackend()
    faults = FaultyTransports(backend.factory, FaultPlan([Fault.half_open(message=2)], seed=1))
    options = IpcClientOptions(ping_interval=0.05, ping_timeout=0.05)
    with client_of(faults, options=options, reconnect=None) as client:
        with pytest.raises(IpcConnectionError) as lost:
            client.create_session("x", timeout=SOON)
        assert lost.value.request_sent
    backend.close()


def test_a_lost_answer_is_a_time_out() -> None:
    backend = ScriptedBackend()
    plan = FaultPlan([Fault.drop(direction="to_client", message=2)], seed=1)
    with client_of(FaultyTransports(backend.factory, plan), reconnect=None) as client:
        with pytest.raises(IpcTimeoutError):
            client.check_server_health(timeout=0.05)
        assert client.check_server_health(timeout=SOON)
    backend.close()


def test_an_exception_says_how_to_replay() -> None:
    plan = FaultPlan([Fault.drop(message=7)], seed=11)
    backend = ScriptedBackend()
    with pytest.raises(KeyError) as raised, FaultyTransports(backend.factory, plan):
        raise KeyError("x")
    assert raised.value.__notes__ == [f"these faults were injected: {plan!r}"]
