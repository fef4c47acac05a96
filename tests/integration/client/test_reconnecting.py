"""Coming back over real sockets: a gateway on its embedded store, and faults on the way to it.

What a caller is told is compared with what the store holds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("websockets")

from opencode_sync import (
    ConnectionState,
    FileConfigProvider,
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcError,
    ReconnectPolicy,
    StateChange,
)
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.testing import Fault, FaultPlan, FaultProxy
from tests.support.ipcserver import TOKEN
from tests.support.leaks import eventually

MakeClient = Callable[..., IpcClient]

_FAST = ReconnectPolicy(initial_delay=0.01, maximum_delay=0.05, jitter=0.0)
_PATIENCE = 20.0


class Place:
    """A gateway behind a proxy; ``there`` looks past the proxy."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self.database = folder / "sessions.db"
        self.gateway = self.new_gateway()
        self._address = ("127.0.0.1", self.gateway.port)

    def new_gateway(self) -> Gateway:
        """Start one on the same store."""
        backend = EmbeddedBackend(self.database)
        return self._stack.enter_context(Gateway(backend, auth_token=TOKEN))

    def proxy(self, *faults: Fault) -> FaultProxy:
        """Put these faults before the gateway."""
        return self._stack.enter_context(FaultProxy(self._address, FaultPlan(faults, seed=1)))

    def there(self) -> Counter[str]:
        """Return how often each title is in the store."""
        with IpcClient(IpcConfig(port=self.gateway.port, auth_token=TOKEN)) as client:
            return Counter(session.title for session in client.list_sessions())


@pytest.fixture
def place(stack: ExitStack, tmp_path: Path) -> Place:
    return Place(stack, tmp_path)


def _config(proxy: FaultProxy) -> IpcConfig:
    return IpcConfig(port=proxy.port, auth_token=TOKEN)


# --- A loss around one creation ---

# The handshake is message 1 of each direction; the creation is message 2.
_BEFORE_IT_ARRIVES = {
    "reset before the request": Fault.reset(direction="to_backend", connection=1, message=2),
    "reset in the request": Fault.reset(direction="to_backend", connection=1, message=2, offset=7),
    "cut in the request": Fault.cut(direction="to_backend", connection=1, message=2, offset=7),
    "goodbye instead": Fault.close(
        1001, "restarting", direction="to_backend", connection=1, message=2
    ),
    "half open before it": Fault.half_open(direction="to_backend", connection=1, message=2),
}
_AFTER_IT_WAS_DONE = {
    "reset before the answer": Fault.reset(direction="to_client", connection=1, message=2),
    "reset in the answer": Fault.reset(direction="to_client", connection=1, message=2, offset=3),
    "cut in the answer": Fault.cut(direction="to_client", connection=1, message=2, offset=3),
    "a broken close": Fault.close(1005, direction="to_client", connection=1, message=2),
    "half open before the answer": Fault.half_open(direction="to_client", connection=1, message=2),
    "frozen before the answer": Fault.freeze(direction="to_client", connection=1, message=2),
}
_LOSSES = _BEFORE_IT_ARRIVES | _AFTER_IT_WAS_DONE


@pytest.mark.parametrize("name", _LOSSES)
def test_a_creation_in_flight_fails_truthfully_and_is_never_done_twice(
    name: str, place: Place, make_client: MakeClient
) -> None:
    proxy = place.proxy(_LOSSES[name])
    client = make_client(_config(proxy), reconnect=_FAST, ping_interval=0.1, ping_timeout=0.25)
    client.connect()
    with pytest.raises(IpcConnectionError) as caught:
        client.create_session("once", timeout=_PATIENCE)
    # It was handed to the network in each case, and nobody can know more here.
    assert caught.value.request_sent is True
    assert client.create_session("after", timeout=_PATIENCE).title == "after"
    assert place.there() == {"after": 1, **({"once": 1} if name in _AFTER_IT_WAS_DONE else {})}
    assert proxy.connections == 2


@pytest.mark.parametrize("name", _LOSSES)
def test_a_list_in_flight_is_asked_again_and_nobody_notices(
    name: str, place: Place, make_client: MakeClient
) -> None:
    proxy = place.proxy(_LOSSES[name])
    client = make_client(_config(proxy), reconnect=_FAST, ping_interval=0.1, ping_timeout=0.25)
    client.connect()
    assert list(client.list_sessions(timeout=_PATIENCE)) == []
    assert proxy.connections == 2


def test_a_second_loss_ends_a_repeated_call(place: Place, make_client: MakeClient) -> None:
    proxy = place.proxy(Fault.reset(direction="to_client", message=2))
    client = make_client(_config(proxy), reconnect=_FAST)
    client.connect()
    with pytest.raises(IpcConnectionError) as caught:
        client.list_sessions(timeout=_PATIENCE)
    assert caught.value.request_sent is True
    assert eventually(lambda: client.is_connected)
    assert proxy.connections == 3


# --- While it is down ---


def test_calls_of_many_threads_wait_and_are_each_done_once(
    place: Place, make_client: MakeClient
) -> None:
    proxy = place.proxy()
    client = make_client(_config(proxy), reconnect=_FAST)
    client.connect()
    proxy.go_down()
    proxy.inject(Fault.reset())
    assert eventually(lambda: not client.is_connected)
    with ThreadPoolExecutor(16) as pool:
        titles = [f"number {number}" for number in range(16)]
        jobs = [pool.submit(client.create_session, title, timeout=_PATIENCE) for title in titles]
        assert eventually(lambda: len(client._supervisor._waiting) == 16)
        proxy.come_back()
        assert [job.result(_PATIENCE).title for job in jobs] == titles
    assert place.there() == Counter(titles)


def test_listeners_see_attempts_and_pauses(place: Place, make_client: MakeClient) -> None:
    proxy = place.proxy()
    client = make_client(_config(proxy), reconnect=_FAST)
    changes: list[StateChange] = []
    enough = threading.Event()

    def listen(change: StateChange) -> None:
        changes.append(change)
        if change.attempt >= 3:
            enough.set()

    client.connect()
    client.on_state_change(listen)
    proxy.go_down()
    proxy.inject(Fault.reset())
    assert enough.wait(_PATIENCE)
    proxy.come_back()
    assert client.wait_for_state(ConnectionState.CONNECTED, _PATIENCE)
    client.close()
    lost, *rest = changes
    assert (lost.new, lost.attempt) == (ConnectionState.FAILED, 0)
    assert isinstance(lost.cause, IpcConnectionError)
    assert lost.retry_in == pytest.approx(0.01)
    begun = [change.attempt for change in rest if change.new is ConnectionState.CONNECTING]
    assert begun == list(range(1, len(begun) + 1))
    pauses = [change.retry_in for change in rest if change.new is ConnectionState.FAILED]
    assert pauses[:2] == pytest.approx([0.02, 0.04])
    assert all(pause is not None and pause <= 0.05 for pause in pauses)
    arrived = [change for change in rest if change.new is ConnectionState.CONNECTED]
    assert [change.attempt for change in arrived] == [begun[-1]]


def test_after_the_last_attempt_callers_are_told_and_connect_begins_anew(
    place: Place, make_client: MakeClient
) -> None:
    proxy = place.proxy()
    policy = ReconnectPolicy(initial_delay=0.01, maximum_delay=0.02, jitter=0.0, attempts=3)
    client = make_client(_config(proxy), reconnect=policy)
    client.connect()
    proxy.go_down()
    proxy.inject(Fault.cut())
    assert eventually(lambda: not client.is_connected)
    with pytest.raises(IpcConnectionError) as caught:
        client.create_session("never sent", timeout=_PATIENCE)
    assert caught.value.request_sent is False
    assert client.state is ConnectionState.FAILED
    proxy.come_back()
    client.connect()
    assert client.create_session("sent").title == "sent"
    assert place.there() == {"sent": 1}


def test_a_stalled_opening_costs_one_attempt(place: Place, make_client: MakeClient) -> None:
    """A port that takes connections and says nothing is given up, and tried again."""
    proxy = place.proxy(Fault.stall_handshake(connection=2), Fault.refuse(connection=3))
    client = make_client(_config(proxy), reconnect=_FAST, connection_timeout=0.3)
    client.connect()
    proxy.inject(Fault.reset())
    assert eventually(lambda: proxy.connections == 4, _PATIENCE)
    assert client.check_server_health(timeout=_PATIENCE) is True


# --- A link that only looks alive ---


def test_a_silent_link_is_given_up_in_the_time_of_the_options(
    place: Place, make_client: MakeClient
) -> None:
    proxy = place.proxy()
    client = make_client(_config(proxy), reconnect=_FAST, ping_interval=0.3, ping_timeout=0.4)
    client.connect()
    lost_at: list[float] = []
    lost = threading.Event()

    def listen(change: StateChange) -> None:
        lost_at.append(time.monotonic())
        lost.set()

    client.on_state_change(listen)
    assert client.check_server_health() is True
    silent_since = time.monotonic()
    proxy.inject(Fault.half_open())
    assert lost.wait(_PATIENCE)
    took = lost_at[0] - silent_since
    assert took > 0.4  # not before a ping could have been answered
    assert took < 0.7 + 2.0  # the rest is for a busy machine
    assert client.check_server_health(timeout=_PATIENCE) is True
    assert proxy.connections == 2


# --- Another gateway ---


def test_a_client_follows_its_runtime_file_from_gateway_to_gateway(
    stack: ExitStack, tmp_path: Path, make_client: MakeClient
) -> None:
    """Each has another port and another token; a stale file in between is no more than a pause."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    file = folder / "gateway.json"
    client = make_client(FileConfigProvider(file), reconnect=_FAST)
    tokens = set()
    made = []
    for number in range(4):
        backend = EmbeddedBackend(tmp_path / "sessions.db")
        gateway = stack.enter_context(Gateway(backend, runtime_file=file))
        tokens.add(gateway.auth_token)
        if number == 0:
            client.connect()  # from then on it comes back by itself
        made.append(client.create_session(f"{number}", timeout=_PATIENCE).title)
        left_behind = file.read_bytes()
        gateway.stop()
        file.write_bytes(left_behind)  # as if it had been killed
        file.chmod(0o600)
        assert eventually(lambda: not client.is_connected)
    assert len(tokens) == 4
    assert made == ["0", "1", "2", "3"]


def test_another_gateway_of_the_same_port_with_another_token_is_no_way_in(
    place: Place, stack: ExitStack, make_client: MakeClient
) -> None:
    """The client's token is refused, callers learn why, and it goes on trying: it may be mended."""
    client = make_client(IpcConfig(port=place.gateway.port, auth_token=TOKEN), reconnect=_FAST)
    client.connect()
    causes: list[Exception | None] = []
    client.on_state_change(lambda change: causes.append(change.cause))
    port = place.gateway.port
    place.gateway.stop()
    stranger = Gateway(EmbeddedBackend(place.database), port=port, auth_token="of-another-gateway")
    stack.enter_context(stranger)
    assert eventually(lambda: any("token" in str(cause) for cause in causes), _PATIENCE)
    with pytest.raises(IpcError) as caught:
        client.create_session("for the stranger", timeout=0.2)
    assert getattr(caught.value, "request_sent", None) is False
    assert "token" in str(caught.value)
    stranger.stop()
    place.gateway = Gateway(EmbeddedBackend(place.database), port=port, auth_token=TOKEN)
    stack.enter_context(place.gateway)
    assert client.create_session("for its own", timeout=_PATIENCE).title == "for its own"
    assert place.there() == {"for its own": 1}


# --- Again and again ---


def test_30_losses_with_threads_at_work_lose_nothing(place: Place, make_client: MakeClient) -> None:
    proxy = place.proxy()
    client = make_client(_config(proxy), reconnect=_FAST)
    client.connect()
    over = threading.Event()
    answered: list[str] = []
    unsure: list[str] = []
    untouched: list[str] = []

    def work(number: int) -> None:
        for turn in range(10_000):
            if over.is_set():
                return
            title = f"{number}/{turn}"
            try:
                client.create_session(title, timeout=_PATIENCE)
            except IpcConnectionError as error:
                (unsure if error.request_sent else untouched).append(title)
            else:
                answered.append(title)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(work, number) for number in range(4)]
        try:
            for loss in range(30):
                seen = len(answered)
                assert eventually(lambda seen=seen: len(answered) >= seen + 4, _PATIENCE)
                proxy.inject(Fault.reset() if loss % 2 else Fault.cut())
        finally:
            over.set()
        for job in jobs:
            job.result(_PATIENCE)
    there = place.there()
    assert set(answered) <= there.keys() <= set(answered) | set(unsure)
    assert set(there.values()) == {1}
    assert not there.keys() & set(untouched)
