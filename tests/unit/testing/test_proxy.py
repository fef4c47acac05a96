"""Every fault of the proxy, as the two ends of a connection see it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from opencode_sync.errors import IpcArgumentError, IpcUsageError
from opencode_sync.testing import Fault, FaultPlan, FaultProxy
from tests.support.leaks import eventually
from tests.support.threads import Background
from tests.unit.testing.wire import KEY, REQUEST, RESPONSE, Backend, Socket, frame, masked

ONE, TWO, THREE = frame(2, b"one"), frame(2, b"two"), frame(2, b"three")
END = frame(8, b"\x03\xe8")


@pytest.fixture
def backend(_leaves_nothing: None) -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


def to_client(backend: Backend, *faults: Fault, seed: int = 1) -> tuple[FaultProxy, Socket, Socket]:
    proxy = FaultProxy(backend.address, FaultPlan(faults, seed=seed))
    proxy.start()
    client, server = backend.shake_hands(proxy.port)
    return proxy, client, server


def received(backend: Backend, *faults: Fault) -> bytes:
    """What a client receives, up to the end, of three messages and a close."""
    proxy, client, server = to_client(backend, *faults)
    server.send(ONE + TWO + THREE + END)
    server.sock.shutdown(socket.SHUT_WR)
    try:
        return client.rest()
    finally:
        proxy.stop()


def is_refused(tools: Backend, port: int) -> bool:
    """Whether a connection is reset, be it while it is being made."""
    try:
        return tools.connect(port).ended_by_reset()
    except ConnectionResetError:
        return True


def test_without_faults_everything_passes_both_ways(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        data = frame(2, b"x" * 200_000, key=KEY) + frame(9, b"", key=KEY)
        threading.Thread(target=client.send, args=(data,)).start()
        assert server.read(len(data)) == data
        server.send(ONE + frame(10))
        assert client.read(len(ONE) + 2) == ONE + frame(10)
        assert (proxy.connections, proxy.injected) == (1, ())


def test_the_backend_is_asked_under_its_own_name(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client = backend.connect(proxy.port)
        client.send(REQUEST)
        host, port = backend.address
        head = REQUEST.replace(b"127.0.0.1:1", f"{host}:{port}".encode())
        assert backend.accept().read(len(head)) == head


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.drop(message=2), ONE + THREE + END),
        (Fault.duplicate(message=2), ONE + TWO + TWO + THREE + END),
        (Fault.reorder(5.0, message=1), TWO + ONE + THREE + END),
        (Fault.reorder(5.0, message=3), ONE + TWO + END + THREE),
        (Fault.fragment(2, message=2), ONE + b"\x02\x02tw\x80\x01o" + THREE + END),
        (Fault.corrupt(0xFF, message=2, offset=2), ONE + b"\x82\x03\x8bwo" + THREE + END),
        (Fault.slice(1), ONE + TWO + THREE + END),
        (Fault.slice(offset=len(RESPONSE) + 3), ONE + TWO + THREE + END),
        (Fault.delay(0.01), ONE + TWO + THREE + END),
        (Fault.throttle(2000), ONE + TWO + THREE + END),
        (Fault.cut(message=2), ONE),
        (Fault.cut(message=2, offset=1), ONE + TWO[:1]),
        (Fault.cut(offset=len(RESPONSE) + len(ONE) + 3), ONE + TWO[:3]),
        (Fault.cut(message=2, offset=99), ONE + TWO),
        (Fault.close(1012, "soon", message=2), ONE + frame(8, b"\x03\xf4soon")),
        (Fault.close(None, message=1), frame(8)),
        (Fault.close(message=2, offset=1), ONE + TWO[:1] + END),
    ],
    ids=repr,
)
def test_what_the_client_receives(backend: Backend, fault: Fault, expected: bytes) -> None:
    assert received(backend, fault) == expected


def test_faults_of_one_message_add_up(backend: Backend) -> None:
    faults = (
        Fault.duplicate(message=2),
        Fault.slice(2),
        Fault.reorder(message=2),
        Fault.delay(0.01),
    )
    assert received(backend, *faults) == ONE + THREE + TWO + TWO + END


def test_a_fault_of_one_direction_leaves_the_other_alone(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.drop(direction="to_backend"))
    with proxy:
        client.send(frame(2, b"lost", key=KEY) + frame(9, key=KEY))
        assert server.read(6) == frame(9, key=KEY)
        server.send(ONE)
        assert client.read(len(ONE)) == ONE
        (injection,) = proxy.injected
        assert (injection.connection, injection.direction, injection.message) == (
            1,
            "to_backend",
            1,
        )


@pytest.mark.parametrize("offset", range(len(TWO) + 1))
def test_a_reset_at_every_byte_of_a_frame(backend: Backend, offset: int) -> None:
    proxy, client, server = to_client(backend, Fault.reset(message=2, offset=offset))
    with proxy:
        server.send(ONE + TWO + THREE)
        assert client.read(len(ONE) + offset) == ONE + TWO[:offset]
        assert client.ended_by_reset()
        assert server.ended_by_reset()


def test_bytes_come_one_by_one(backend: Backend) -> None:
    proxy, client, server = to_client(
        backend, Fault.slice(1, 0.01, direction="to_client", message=1)
    )
    with proxy:
        begun = time.monotonic()
        server.send(ONE)
        pieces = []
        while sum(map(len, pieces)) < len(ONE):
            pieces.append(client.sock.recv(100))
        assert b"".join(pieces) == ONE
        assert time.monotonic() - begun >= 0.01 * (len(ONE) - 1)


def test_a_throttle_takes_its_time(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.throttle(10_000, direction="to_client"))
    with proxy:
        begun = time.monotonic()
        server.send(frame(2, b"x" * 1000))
        client.read(1004)
        assert time.monotonic() - begun >= 0.1


def test_a_message_is_held_back_and_those_behind_it_too(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.delay(0.1, message=2))
    with proxy:
        begun = time.monotonic()
        server.send(ONE + TWO + THREE)
        assert client.read(len(ONE)) == ONE
        assert client.read(len(TWO + THREE)) == TWO + THREE
        assert time.monotonic() - begun >= 0.1


def test_a_message_that_nobody_overtakes_goes_out_in_the_end(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.reorder(0.02, message=1))
    with proxy:
        server.send(ONE)
        assert client.read(len(ONE)) == ONE


def test_a_half_open_link_swallows_all_even_the_end(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.half_open(direction="to_client", message=2))
    with proxy:
        server.send(ONE + TWO + THREE)
        assert client.read(len(ONE)) == ONE
        server.sock.shutdown(socket.SHUT_WR)
        client.send(frame(9, key=KEY))
        assert server.read(6) == frame(9, key=KEY)  # the other direction lives
        assert client.hears_nothing()


def test_a_half_open_link_can_end_in_mid_frame(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.half_open(message=1, offset=2))
    with proxy:
        server.send(ONE + TWO)
        assert client.read(2) == ONE[:2]
        assert client.hears_nothing()


def test_a_frozen_link_takes_nothing_in(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.freeze(direction="to_client", message=2))
    with proxy:
        server.send(ONE + TWO)
        assert client.read(len(ONE)) == ONE
        assert client.hears_nothing()
        server.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.send(bytes(64 << 20))


def test_a_link_frozen_for_a_while_goes_on_where_it_stopped(backend: Backend) -> None:
    proxy, client, server = to_client(backend, Fault.freeze(0.05, message=2, offset=2))
    with proxy:
        server.send(ONE + TWO + THREE)
        assert client.read(len(ONE + TWO + THREE)) == ONE + TWO + THREE


def test_the_handshake_is_not_answered(backend: Backend) -> None:
    with FaultProxy(backend.address, FaultPlan([Fault.stall_handshake()], seed=1)) as proxy:
        client = backend.connect(proxy.port)
        client.send(REQUEST)
        server = backend.accept()
        server.sock.recv(1000)
        server.send(RESPONSE)
        assert client.hears_nothing()


def test_the_handshake_is_answered_late(backend: Backend) -> None:
    plan = FaultPlan([Fault.stall_handshake(0.05)], seed=1)
    with FaultProxy(backend.address, plan) as proxy:
        begun = time.monotonic()
        backend.shake_hands(proxy.port)
        assert time.monotonic() - begun >= 0.05


@pytest.mark.parametrize("offset", [0, 1, len(RESPONSE) - 1])
def test_a_reset_within_the_handshake(backend: Backend, offset: int) -> None:
    fault = Fault.reset(direction="to_client", message=0, offset=offset)
    with FaultProxy(backend.address, FaultPlan([fault], seed=1)) as proxy:
        client = backend.connect(proxy.port)
        client.send(REQUEST)
        server = backend.accept()
        server.sock.recv(1000)
        server.send(RESPONSE)
        client.read(offset)
        assert client.ended_by_reset()


def test_a_connection_is_refused_and_the_next_is_not(backend: Backend) -> None:
    with FaultProxy(backend.address, FaultPlan([Fault.refuse(connection=1)], seed=1)) as proxy:
        assert is_refused(backend, proxy.port)
        backend.shake_hands(proxy.port)
        assert proxy.connections == 2
        assert [injection.direction for injection in proxy.injected] == [None]


def test_a_backend_that_is_not_there_shows_as_a_reset() -> None:
    with Backend() as gone:
        address = gone.address
    with FaultProxy(address) as proxy, Backend() as other:
        assert is_refused(other, proxy.port)


def test_a_backend_that_cannot_be_shows_as_a_reset(backend: Backend) -> None:
    addresses = iter([("127.0.0.1", 0), ("192.0.2.1", 80)])
    with FaultProxy(lambda: next(addresses)) as proxy:
        assert is_refused(backend, proxy.port)
        assert is_refused(backend, proxy.port)


def test_the_backend_may_move(backend: Backend) -> None:
    with Backend() as second:
        addresses = iter([backend.address, second.address])
        with FaultProxy(lambda: next(addresses)) as proxy:
            backend.shake_hands(proxy.port)
            second.shake_hands(proxy.port)
            assert is_refused(backend, proxy.port)  # the function has no more to say


def test_an_end_of_either_side_is_passed_on(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        client.sock.shutdown(socket.SHUT_WR)
        assert server.rest() == b""
        server.send(ONE)  # the other direction still lives
        server.close()
        assert client.rest() == ONE
        client, server = backend.shake_hands(proxy.port)
        server.send(ONE[:2])
        server.close()
        assert client.rest() == ONE[:2]  # half a message does not get lost


def test_a_reset_of_either_side_is_passed_on(backend: Backend) -> None:
    from opencode_sync.testing.link import reset

    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        reset(client.sock)
        assert server.ended_by_reset()
        client, server = backend.shake_hands(proxy.port)
        reset(server.sock)
        assert client.ended_by_reset()


def test_nobody_listens_while_it_is_down(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        proxy.go_down()
        proxy.go_down()
        with pytest.raises(ConnectionRefusedError):
            backend.connect(proxy.port)
        server.send(ONE)
        assert client.read(len(ONE)) == ONE
        proxy.come_back()
        proxy.come_back()
        backend.shake_hands(proxy.port)


def test_it_cannot_come_back_to_a_port_that_was_taken(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        proxy.go_down()
        with (
            socket.create_server(("127.0.0.1", proxy.port)),
            pytest.raises(OSError, match="in use"),
        ):
            proxy.come_back()
        proxy.come_back()


def test_faults_by_hand(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        links = [backend.shake_hands(proxy.port) for _ in range(3)]
        assert proxy.inject(Fault.reset(), connection=2) == 1
        assert links[1][0].ended_by_reset()
        assert links[1][1].ended_by_reset()
        assert proxy.inject(Fault.close(4000, "by hand")) == 2
        for client, server in (links[0], links[2]):
            assert client.rest() == frame(8, b"\x0f\xa0by hand")
            assert server.rest() == b""
        assert eventually(lambda: proxy.inject(Fault.reset()) == 0)
        assert len(proxy.injected) == 4  # a reset has two directions
        with pytest.raises(IpcArgumentError, match="needs a message"):
            proxy.inject(Fault.drop())


def test_a_close_towards_the_backend_is_masked(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        _, server = backend.shake_hands(proxy.port)
        proxy.inject(Fault.close(1001, direction="to_backend"))
        data = server.rest()
        assert data[:2] == b"\x88\x82"
        assert masked(data[6:], data[2:6]) == b"\x03\xe9"


def test_a_link_that_is_ending_is_not_struck_again(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        backend.shake_hands(proxy.port)
        assert proxy.inject(Fault.cut()) == 1  # neither side has ended it yet
        assert proxy.inject(Fault.reset()) == 0


def test_a_link_that_was_cut_is_freed_though_nobody_ends_it(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        backend.shake_hands(proxy.port)
        proxy.inject(Fault.cut())
        assert eventually(lambda: not proxy._loop.links)


def test_a_client_that_resets_after_its_last_byte_is_noticed(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        client.close()
        assert server.rest() == b""
        server.send(ONE)  # to which the client's system answers with a reset
        assert eventually(lambda: not proxy._loop.links)


def test_a_client_that_goes_in_the_middle_of_a_flood_is_noticed(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        flood = Background(server.send, frame(2, bytes(60_000)) * 500)
        client.read(100_000)
        client.close()
        assert isinstance(flood.error(), OSError)
        assert eventually(lambda: not proxy._loop.links)


def test_a_new_plan_holds_from_then_on(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        proxy.plan = FaultPlan([Fault.drop(message=1)], seed=1)
        server.send(ONE + TWO)
        assert client.read(len(TWO)) == TWO
        assert proxy.plan.seed == 1


def test_another_protocol_passes_as_it_is(backend: Backend) -> None:
    plan = FaultPlan([Fault.corrupt(0xFF, offset=3, direction="to_backend")], seed=1)
    with FaultProxy(backend.address, plan, websocket=False) as proxy:
        client = backend.connect(proxy.port)
        server = backend.accept()
        client.send(b"ab")
        assert server.read(2) == b"ab"
        client.send(b"cdef")
        assert server.read(4) == b"c\x9bef"
        server.send(b"\r\n\r\n\x00")
        assert client.read(5) == b"\r\n\r\n\x00"


def test_a_flood_waits_in_the_senders_buffers_not_in_ours(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        client, server = backend.shake_hands(proxy.port)
        server.sock.settimeout(0.3)
        piece = frame(2, bytes(60_000))
        with pytest.raises(TimeoutError):
            server.send(piece * 1000)
        client.sock.settimeout(5)
        assert client.read(100_000)[:4] == piece[:4]


def test_an_exception_says_how_to_replay(backend: Backend) -> None:
    plan = FaultPlan([Fault.drop(message=7)], seed=11)
    with pytest.raises(KeyError) as raised, FaultProxy(backend.address, plan):
        raise KeyError("x")
    assert raised.value.__notes__ == [f"these faults were injected: {plan!r}"]


def test_its_life() -> None:
    proxy = FaultProxy(("127.0.0.1", 1))
    with pytest.raises(IpcUsageError, match="start"):
        _ = proxy.port
    with pytest.raises(IpcUsageError, match="does not run"):
        proxy.go_down()
    with proxy:
        proxy.start()
        names = [thread.name for thread in threading.enumerate()]
        assert f"opencode-sync-testing-proxy-{proxy.port}" in names
        assert proxy.endpoint == f"ws://127.0.0.1:{proxy.port}/"
        assert f"port={proxy.port}" in repr(proxy)
    proxy.stop()
    with pytest.raises(IpcUsageError, match="stopped"):
        proxy.start()
    with pytest.raises(IpcUsageError, match="does not run"):
        proxy.inject(Fault.reset())


def test_it_leads_nowhere_but_to_this_machine() -> None:
    with pytest.raises(IpcArgumentError, match="loopback"):
        FaultProxy(("192.0.2.1", 80))


def test_it_stands_in_front_of_another_one(backend: Backend) -> None:
    """Or a gateway: of whatever listens on loopback and has a port."""
    with FaultProxy(backend.address) as inner, FaultProxy(inner) as outer:
        client, server = backend.shake_hands(outer.port)
        server.send(ONE)
        assert client.read(len(ONE)) == ONE
    with pytest.raises(IpcUsageError, match="start"):
        FaultProxy(FaultProxy(backend.address))


@pytest.mark.parametrize(
    ("backend", "plan", "field", "remedy"),
    [
        (None, None, "backend", "a gateway that runs"),
        ("127.0.0.1:4096", None, "backend", "an address such as"),
        (("127.0.0.1", 4096), Fault.drop(), "plan", "FaultPlan"),
    ],
    ids=repr,
)
def test_what_it_cannot_stand_in_front_of_or_do_is_refused(
    backend: object, plan: object, field: str, remedy: str
) -> None:
    with pytest.raises(IpcArgumentError, match=remedy) as caught:
        FaultProxy(backend, plan)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_new_plan_has_to_be_one(backend: Backend) -> None:
    with FaultProxy(backend.address) as proxy:
        with pytest.raises(IpcArgumentError, match="plan is of type Fault"):
            proxy.plan = Fault.drop()  # type: ignore[assignment]
        assert proxy.plan.faults == ()


def test_it_leads_to_ipv6_as_well() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, FaultProxy(("::1", listener.getsockname()[1])) as proxy, Backend() as tools:
        client = tools.connect(proxy.port)
        client.send(REQUEST)
        server = Socket(listener.accept()[0])
        assert b"Host: [::1]:" in server.sock.recv(1000)
        server.close()


def test_many_links_come_and_go(backend: Backend) -> None:
    with FaultProxy(backend.address, FaultPlan([Fault.slice(2)], seed=1)) as proxy:
        for _ in range(50):
            client, server = backend.shake_hands(proxy.port)
            client.close()
            assert server.rest() == b""
            server.close()
        assert eventually(lambda: not proxy._loop.links)
