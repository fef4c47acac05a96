"""Coming back after a loss: what calls do meanwhile, and what listeners see."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from opencode_sync import (
    ConnectionState,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcTimeoutError,
    IpcUsageError,
    ReconnectPolicy,
    StateChange,
    retry_plan,
)
from opencode_sync.transport.base import Transport, TransportClosed
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, ScriptedBackend, StallingTransport, WrappedTransport
from tests.support.leaks import eventually
from tests.support.threads import Background
from tests.unit.client.doubles import no_thread
from tests.unit.client.test_states import Listener

S = ConnectionState
AT_ONCE = ReconnectPolicy(initial_delay=0.0, jitter=0.0)
LATER = ReconnectPolicy(initial_delay=60.0, maximum_delay=60.0, jitter=0.0)
LATER_FAIL_FAST = ReconnectPolicy(
    initial_delay=60.0, maximum_delay=60.0, jitter=0.0, wait_while_down=False
)


class Outage:
    """A client whose connection has just been lost and is not back until ``connect``."""

    def __init__(self, backend: ScriptedBackend, policy: ReconnectPolicy, **more: Any) -> None:
        self.backend = backend
        self.listener = Listener()
        self.client = backend.client(reconnect=policy, **more)
        self.client.connect()
        self.client.on_state_change(self.listener)

    def begin(self) -> StateChange:
        self.backend.link().peer.drop()
        return self.listener.wait(1)[0]


@pytest.fixture
def outage(backend: ScriptedBackend) -> Iterator[Outage]:
    outage = Outage(backend, LATER)
    yield outage
    outage.client.close()


@pytest.fixture
def returning(backend: ScriptedBackend) -> Iterator[IpcClient]:
    with backend.client(reconnect=AT_ONCE) as client:
        yield client


# --- Coming back ---


def test_a_lost_connection_is_restored_in_the_background(
    backend: ScriptedBackend, returning: IpcClient
) -> None:
    listener = Listener()
    returning.on_state_change(listener)
    backend.link().peer.drop()
    lost, connecting, authenticating, connected = listener.wait(4)
    assert (lost.old, lost.new, lost.attempt) == (S.CONNECTED, S.FAILED, 0)
    assert lost.retry_in == 0.0
    assert isinstance(lost.cause, IpcConnectionError)
    assert (connecting.old, connecting.new, connecting.attempt) == (S.FAILED, S.CONNECTING, 1)
    assert (authenticating.new, authenticating.attempt) == (S.AUTHENTICATING, 1)
    assert (connected.new, connected.attempt, connected.cause) == (S.CONNECTED, 1, None)
    assert returning.check_server_health() is True
    assert [request.request_id for request in backend.link(1).requests] == [2]


def test_a_backend_that_closes_in_order_is_waited_for_as_well(
    backend: ScriptedBackend, returning: IpcClient
) -> None:
    listener = Listener()
    returning.on_state_change(listener)
    backend.link().peer.close(1001, "restarting")
    listener.wait(4)
    assert listener.steps == [
        (S.CONNECTED, S.DISCONNECTED),
        (S.DISCONNECTED, S.CONNECTING),
        (S.CONNECTING, S.AUTHENTICATING),
        (S.AUTHENTICATING, S.CONNECTED),
    ]
    assert listener.changes[0].retry_in == 0.0


def test_attempts_are_counted_until_one_succeeds(
    backend: ScriptedBackend, returning: IpcClient
) -> None:
    listener = Listener()
    backend.refusal = "still down"
    returning.on_state_change(listener)
    backend.link().peer.drop()
    listener.wait(7)  # lost, and three attempts that fail
    backend.refusal = None
    assert returning.wait_for_state(S.CONNECTED, WAIT)
    starts = [change for change in listener.changes if change.new is S.CONNECTING]
    assert [change.attempt for change in starts] == list(range(1, len(starts) + 1))
    failures = [change for change in listener.changes[1:] if change.new is S.FAILED]
    assert all("still down" in str(change.cause) for change in failures)
    assert all(change.retry_in is not None for change in failures)


def test_the_first_connect_is_never_repeated_by_itself(backend: ScriptedBackend) -> None:
    backend.refusal = "nobody there"
    listener = Listener()
    client = backend.client(reconnect=AT_ONCE)
    client.on_state_change(listener)
    with pytest.raises(IpcConnectionError):
        client.connect()
    client.close()
    assert backend.links == 1
    assert listener.changes[-1].retry_in is None


def test_giving_up_after_so_many_attempts(backend: ScriptedBackend) -> None:
    policy = ReconnectPolicy(initial_delay=0.0, jitter=0.0, attempts=3)
    with backend.client(reconnect=policy) as client:
        listener = Listener()
        client.on_state_change(listener)
        backend.refusal = "gone for good"
        backend.link().peer.drop()
        last = listener.wait(7)[-1]
        assert (last.new, last.attempt, last.retry_in) == (S.FAILED, 3, None)
        with pytest.raises(IpcConnectionError, match=r"gone for good.*connect\(\)"):
            client.list_sessions()
        assert backend.links == 4
        backend.refusal = None
        client.connect()
        assert client.check_server_health() is True


def test_giving_up_ends_the_calls_that_waited(backend: ScriptedBackend) -> None:
    policy = ReconnectPolicy(initial_delay=0.05, jitter=0.0, attempts=1)
    with backend.client(reconnect=policy) as client:
        listener = Listener()
        client.on_state_change(listener)
        backend.refusal = "gone for good"
        backend.link().peer.drop()
        listener.wait(1)
        errors = [client.futures.create_session().exception(WAIT) for _ in range(2)]
        for error in errors:
            assert isinstance(error, IpcConnectionError)
            assert error.request_sent is False
            assert "gone for good" in str(error)
        assert errors[0] is not errors[1]


def test_without_a_policy_nobody_comes_back(backend: ScriptedBackend, client: IpcClient) -> None:
    listener = Listener()
    client.on_state_change(listener)
    backend.link().peer.drop()
    assert listener.wait(1)[0].retry_in is None
    with pytest.raises(IpcConnectionError, match=r"connect\(\)") as caught:
        client.list_sessions()
    assert caught.value.request_sent is False
    assert backend.links == 1


# --- Calls in flight ---


def test_an_idempotent_call_in_flight_is_repeated_and_its_caller_sees_nothing(
    backend: ScriptedBackend, returning: IpcClient
) -> None:
    backend.script("list_sessions", HOLD, b.sessions("second time"))
    future = returning.futures.list_sessions()
    call = Background(returning.list_sessions)
    # The first is held, the second answered; lose the link while one is on its way.
    backend.link().request(1)
    call.result()
    backend.link().peer.drop()
    assert future.result(WAIT)[0].title == "second time"
    assert backend.link(1).operations() == ["list_sessions"]


def test_it_is_repeated_once_and_no_more(backend: ScriptedBackend, returning: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    future = returning.futures.list_sessions()
    backend.link(0).request()
    backend.link(0).peer.drop()
    backend.link(1).request()
    assert not future.done()
    backend.link(1).peer.drop()
    error = future.exception(WAIT)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is True
    assert returning.check_server_health() is True
    assert backend.link(2).operations() == ["check_health"]


@pytest.mark.parametrize(
    "name", ["create_session", "delete_session", "stop_server", "spawn_server"]
)
def test_other_calls_in_flight_fail_and_say_that_they_were_sent(
    backend: ScriptedBackend, returning: IpcClient, name: str
) -> None:
    backend.rule(name, HOLD)
    arguments = ["ses_1"] if name == "delete_session" else []
    future = getattr(returning.futures, name)(*arguments)
    backend.link().request()
    backend.link().peer.drop()
    error = future.exception(WAIT)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent is True
    assert "may have acted" in str(error)
    assert error.__cause__ is not None
    assert returning.check_server_health() is True
    assert backend.link(1).operations() == ["check_health"]


def test_every_call_in_flight_fails_at_once_each_with_its_own_exception(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    futures = [client.futures.list_sessions() for _ in range(100)]
    backend.link().request(99)
    backend.link().peer.drop()
    errors = [future.exception(WAIT) for future in futures]
    assert len({id(error) for error in errors}) == 100
    for error in errors:
        assert isinstance(error, IpcConnectionError)
        assert isinstance(error.__cause__, IpcConnectionError)
        assert error.request_sent is True


def test_the_close_code_and_reason_reach_the_callers(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    future = client.futures.list_sessions()
    backend.link().request()
    backend.link().peer.close(1012, "service restart")
    error = future.exception(WAIT)
    assert isinstance(error, IpcConnectionError)
    assert (error.close_code, error.close_reason) == (1012, "service restart")
    assert error.endpoint == "ws://127.0.0.1:4096/"


def test_a_call_that_was_never_sent_waits_although_it_is_not_idempotent(
    backend: ScriptedBackend,
) -> None:
    links: list[StallingTransport] = []

    def stalling(inner: Transport) -> Transport:
        links.append(StallingTransport(inner))
        return links[-1]

    backend.wrap = stalling
    with backend.client(reconnect=AT_ONCE) as client:
        links[0].stall()
        stuck = client.futures.delete_session("ses_1")  # begun, so it counts as sent
        links[0].wait_for_writer()
        unsent = client.futures.create_session("mine")
        backend.link().peer.drop()
        assert unsent.result(WAIT).title == "mine"
        error = stuck.exception(WAIT)
        assert isinstance(error, IpcConnectionError)
        assert error.request_sent is True
        assert backend.link(1).operations() == ["create_session"]


def test_a_repeated_call_keeps_its_deadline(backend: ScriptedBackend, returning: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    future = returning.futures.list_sessions(timeout=0.5)
    backend.link(0).request()
    backend.link(0).peer.drop()
    backend.link(1).request()
    error = future.exception(WAIT)
    assert isinstance(error, IpcTimeoutError)
    assert (error.timeout, error.request_sent) == (0.5, True)


def test_a_cancelled_call_is_not_repeated(backend: ScriptedBackend, returning: IpcClient) -> None:
    backend.rule("list_sessions", HOLD)
    future = returning.futures.list_sessions()
    backend.link(0).request()
    future.cancel()
    backend.link(0).peer.drop()
    assert returning.wait_for_state(S.CONNECTED, WAIT)
    assert returning.check_server_health() is True
    assert "list_sessions" not in backend.link(backend.links - 1).operations()


# --- Calls made while it is down ---


def test_calls_wait_for_the_connection_and_go_out_in_order(outage: Outage) -> None:
    change = outage.begin()
    assert change.retry_in == 60.0
    futures = [outage.client.futures.create_session(str(index)) for index in range(5)]
    blocking = Background(outage.client.list_sessions)
    assert not any(future.done() for future in futures)
    outage.client.connect()
    assert [future.result(WAIT).title for future in futures] == list("01234")
    assert blocking.result()
    link = outage.backend.link(1)
    titles = [r.create_session.title for r in link.requests if r.HasField("create_session")]
    assert titles == list("01234")


def test_a_call_waits_no_longer_than_its_own_time_out(outage: Outage) -> None:
    outage.begin()
    with pytest.raises(IpcTimeoutError, match=r"could not be sent.*no connection") as caught:
        outage.client.create_session(timeout=0.02)
    assert caught.value.request_sent is False
    assert caught.value.request_id == 0
    future = outage.client.futures.create_session(timeout=0.02)
    assert isinstance(future.exception(WAIT), IpcTimeoutError)
    outage.client.connect()
    assert outage.client.check_server_health() is True
    assert outage.backend.link(1).operations() == ["check_health"]


def test_a_cancelled_call_leaves_the_line(outage: Outage) -> None:
    outage.begin()
    future = outage.client.futures.create_session()
    assert future.cancel()
    assert len(outage.client._supervisor._waiting) == 0


def test_if_the_policy_says_so_calls_fail_at_once_and_name_the_next_attempt(
    backend: ScriptedBackend,
) -> None:
    outage = Outage(backend, LATER_FAIL_FAST)
    outage.begin()
    with pytest.raises(IpcConnectionError, match=r"next attempt is in (60\.0|59\.\d) s") as caught:
        outage.client.list_sessions()
    assert caught.value.request_sent is False
    assert caught.value.__cause__ is not None
    assert isinstance(outage.client.futures.list_sessions().exception(0), IpcConnectionError)
    assert outage.client.health_check() is False
    outage.client.close()


def test_failing_fast_still_repeats_what_was_in_flight(backend: ScriptedBackend) -> None:
    policy = ReconnectPolicy(initial_delay=0.0, jitter=0.0, wait_while_down=False)
    with backend.client(reconnect=policy) as client:
        backend.script("list_sessions", HOLD, b.sessions("again"))
        future = client.futures.list_sessions()
        backend.link().request()
        backend.link().peer.drop()
        assert future.result(WAIT)[0].title == "again"


def test_a_call_during_the_first_attempt_waits_or_is_told(backend: ScriptedBackend) -> None:
    for index, policy in enumerate((AT_ONCE, None)):
        backend.handshake = HOLD
        client = backend.client(reconnect=policy)
        connecting = Background(client.connect)
        link = backend.link(index)
        link.wait(lambda raw=link.raw: bool(raw), "handshake")  # type: ignore[misc]
        future = client.futures.list_sessions()
        if policy is None:
            error = future.exception(WAIT)
            assert isinstance(error, IpcConnectionError)
            assert "connecting" in str(error)
        link.send(1, b.accept(None))  # type: ignore[arg-type]
        connecting.result()
        if policy is not None:
            assert future.result(WAIT)[0].title == "one"
        client.close()


def test_the_line_is_no_longer_than_the_limit_of_requests(backend: ScriptedBackend) -> None:
    outage = Outage(backend, LATER, options=IpcClientOptions(max_pending_requests=2))
    try:
        outage.begin()
        futures = [outage.client.futures.create_session() for _ in range(3)]
        assert isinstance(futures[2].exception(0), IpcUsageError)
        assert not futures[0].done()
        assert not futures[1].done()
    finally:
        outage.client.close()


# --- connect() and close() meanwhile ---


def test_connect_during_an_outage_does_not_wait_for_the_pause(outage: Outage) -> None:
    outage.begin()
    outage.client.connect()
    assert outage.client.is_connected
    assert outage.backend.links == 2


def test_connect_during_an_attempt_joins_it(backend: ScriptedBackend) -> None:
    with backend.client(reconnect=AT_ONCE) as client:
        backend.handshake = HOLD
        backend.link(0).peer.drop()
        link = backend.link(1)
        link.wait(lambda: bool(link.raw), "handshake")
        joining = [Background(client.connect) for _ in range(3)]
        link.send(1, b.accept(None))  # type: ignore[arg-type]
        for job in joining:
            job.result()
        assert backend.links == 2


def test_a_connect_that_fails_during_an_outage_leaves_the_next_attempt_planned(
    outage: Outage,
) -> None:
    outage.begin()
    outage.backend.refusal = "not yet"
    with pytest.raises(IpcConnectionError, match="not yet"):
        outage.client.connect()
    changes = outage.listener.wait(3)
    assert changes[2].new is S.FAILED
    assert changes[2].retry_in is not None
    future = outage.client.futures.create_session()
    assert not future.done()
    outage.backend.refusal = None
    outage.client.connect()
    assert future.result(WAIT) is not None


def test_a_lasting_connection_starts_the_pauses_small_again(backend: ScriptedBackend) -> None:
    policy = ReconnectPolicy(initial_delay=0.0, maximum_delay=0.0, jitter=0.0, attempts=1)
    with backend.client(reconnect=policy) as client:
        listener = Listener()
        client.on_state_change(listener)
        for index in range(4):  # each loss after a success: never more than one attempt in a row
            backend.link(index).peer.drop()
            listener.wait(4 * (index + 1))
        attempts = [change.attempt for change in listener.changes if change.new is S.CONNECTING]
        assert attempts == [1, 1, 1, 1]


@pytest.mark.parametrize(("lasted", "grown"), [(0.0, [0.001, 0.002, 0.004]), (1.0, [0.001] * 3)])
def test_a_connection_that_does_not_outlast_the_pause_before_makes_the_pauses_grow(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, lasted: float, grown: list[float]
) -> None:
    # The clock goes on by so much at each look, whatever the machine is doing.
    clock = itertools.count(0.0, lasted)
    monkeypatch.setattr(retry_plan, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    policy = ReconnectPolicy(initial_delay=0.001, maximum_delay=60.0, jitter=0.0)
    with backend.client(reconnect=policy) as client:
        listener = Listener()
        client.on_state_change(listener)
        for index in range(3):
            backend.link(index).peer.drop()
            listener.wait(4 * (index + 1))
        pauses = [change.retry_in for change in listener.changes if change.retry_in is not None]
        assert pauses == pytest.approx(grown)


def test_no_thread_for_the_last_attempt_ends_the_calls_that_waited(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ReconnectPolicy(initial_delay=0.1, jitter=0.0, attempts=1)
    with backend.client(reconnect=policy) as client:
        listener = Listener()
        client.on_state_change(listener)

        start = threading.Thread.start

        def no_reader(self: threading.Thread) -> None:
            no_thread(self) if "reader" in self.name else start(self)

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_reader)
            backend.link().peer.drop()
            listener.wait(1)
            future = client.futures.create_session(timeout=60)
            last = listener.wait(3)[-1]
            assert (last.new, last.retry_in) == (S.FAILED, None)
            assert isinstance(future.exception(WAIT), IpcConnectionError)


def test_a_provider_that_hangs_while_coming_back_does_not_stop_coming_back(
    backend: ScriptedBackend,
) -> None:
    release = threading.Event()

    class Provider:
        asked = 0

        def get_config(self) -> Any:
            self.asked += 1
            if self.asked == 2:
                release.wait(WAIT)
            return b.CONFIG

    options = IpcClientOptions(connection_timeout=0.05, authentication_timeout=0.05)
    client = backend.client(Provider(), reconnect=AT_ONCE, options=options)
    try:
        client.connect()
        listener = Listener()
        client.on_state_change(listener)
        backend.link().peer.drop()
        listener.wait(2)
        assert client.wait_for_state(S.CONNECTED, WAIT)
        assert client.check_server_health() is True
    finally:
        release.set()
        client.close()


def test_nothing_runs_on_after_closing_in_the_middle_of_coming_back(
    backend: ScriptedBackend,
) -> None:
    client = backend.client(reconnect=AT_ONCE)
    client.connect()
    backend.refusal = "down"
    backend.link().peer.drop()
    assert eventually(lambda: backend.links > 3)
    client.close()
    made = backend.links
    assert not eventually(lambda: backend.links > made, 0.05)
    assert client.state in (S.FAILED, S.DISCONNECTED)


class RefusesAfterTheHandshake(WrappedTransport):
    """A link that is dead before its first call, which nobody has noticed."""

    shaken = False

    def send(self, messages: Any) -> None:
        if self.shaken:
            raise TransportClosed("the link has ended")
        self.shaken = True
        super().send(messages)


def test_a_repeated_call_that_its_second_link_refuses_was_sent_all_the_same(
    backend: ScriptedBackend,
) -> None:
    """The first backend may have acted: a retry is not safe, and there is no third time."""
    backend.rule("list_sessions", HOLD)
    made = itertools.count(1)

    def second_refuses(transport: Transport) -> Transport:
        return RefusesAfterTheHandshake(transport) if next(made) == 2 else transport

    backend.wrap = second_refuses
    with backend.client(reconnect=AT_ONCE) as client:
        future = client.futures.list_sessions(timeout=30)
        backend.link(0).request()
        backend.link(0).peer.drop()
        error = future.exception(30)
    assert isinstance(error, IpcConnectionError)
    assert error.request_sent
