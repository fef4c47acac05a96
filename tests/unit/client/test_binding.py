"""The binding to an OpenCode server: made, made again, and never the caller's business.

The backend here behaves like the reference one: the binding belongs to the connection, session
operations without one are refused with prose, and one that was announced may take a moment.
"""

from __future__ import annotations

from concurrent.futures import wait

import pytest

from opencode_sync import (
    InMemoryMetrics,
    IpcClient,
    IpcConnectionError,
    IpcServerError,
    IpcTimeoutError,
    ReconnectPolicy,
)
from opencode_sync.wire import ipc_pb2
from tests.support import backend as b
from tests.support.backend import HOLD, NO_SERVER, WAIT, Payload, Rule, ScriptedBackend

AT_ONCE = ReconnectPolicy(initial_delay=0.0, jitter=0.0)


class ReferenceBackend(ScriptedBackend):
    """Refuses what needs a server until one is bound on this connection."""

    def __init__(self) -> None:
        super().__init__()
        self.server: int | None = 5000
        self.race = 0
        """So many requests after a binding are still refused."""
        self._bound: dict[int, int] = {}  # link number -> requests still refused
        for operation in ("list_sessions", "create_session", "delete_session", "check_health"):
            self.rule(operation, self._needing_server(self.rule_named(operation)))
        self.rule("discover_server", self._discover)
        self.rule("spawn_server", self._spawn)
        self.rule("stop_server", self._stop)

    def rule_named(self, operation: str) -> Rule:
        return self._rules[operation]

    @property
    def _here(self) -> int:
        return self.links  # the newest link is the one in use

    def _needing_server(self, rule: Rule) -> Rule:
        def refuse_or(request: ipc_pb2.IpcClientMessage) -> Payload | None:
            left = self._bound.get(self._here)
            if left is None:
                return NO_SERVER
            if left > 0:
                self._bound[self._here] -= 1
                return NO_SERVER
            return rule(request)

        return refuse_or

    def _discover(self, request: ipc_pb2.IpcClientMessage) -> Payload:
        if self.server is not None:
            self._bound[self._here] = self.race
        return b.discovered(self.server)

    def _spawn(self, request: ipc_pb2.IpcClientMessage) -> Payload:
        self._bound[self._here] = self.race
        return b.spawned()

    def _stop(self, request: ipc_pb2.IpcClientMessage) -> Payload:
        self._bound.pop(self._here, None)
        return b.stopped()


@pytest.fixture
def backend(_leaves_nothing: None) -> object:
    backend = ReferenceBackend()
    yield backend
    backend.close()


def test_the_first_call_binds_and_its_caller_sees_nothing(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    assert client.list_sessions()[0].title == "one"
    assert client.create_session("x").title == "x"
    assert backend.link().operations() == [
        "list_sessions",
        "discover_server",
        "list_sessions",
        "create_session",
    ]


@pytest.mark.parametrize("name", ["list_sessions", "create_session", "check_server_health"])
def test_the_same_through_futures(backend: ReferenceBackend, client: IpcClient, name: str) -> None:
    assert getattr(client.futures, name)().result(WAIT) is not None
    assert backend.link().operations().count("discover_server") == 1


def test_ids_go_on_counting_and_the_calls_error_would_name_the_last(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    client.list_sessions()
    assert [request.request_id for request in backend.link().requests] == [2, 3, 4]


def test_many_calls_at_once_share_one_binding(backend: ReferenceBackend, client: IpcClient) -> None:
    backend.rule("discover_server", HOLD)
    futures = [client.futures.create_session(str(index)) for index in range(10)]
    link = backend.link()
    link.wait(lambda: "discover_server" in link.operations(), "discovery")
    assert client.futures.discover_server().cancel()  # the reader has come this far
    request = next(r for r in link.requests if r.HasField("discover_server"))
    link.answer(request, backend._discover(request))
    assert wait(futures, WAIT).not_done == set()
    assert [future.result(0).title for future in futures] == [str(n) for n in range(10)]
    assert link.operations().count("discover_server") == 2  # one of them is the one above


def test_a_binding_that_takes_a_moment_costs_one_more_try(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.race = 1
    assert client.list_sessions()[0].title == "one"
    assert backend.link().operations() == [
        "list_sessions",
        "discover_server",
        "list_sessions",
        "list_sessions",
    ]


def test_a_binding_that_never_takes_effect_ends_in_the_backends_own_error(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.race = 1000
    with pytest.raises(IpcServerError, match="No OpenCode server connected"):
        client.list_sessions()
    assert len(backend.link().operations()) == 4


def test_nothing_to_discover_ends_in_the_backends_own_error(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.server = None
    with pytest.raises(IpcServerError, match="No OpenCode server connected") as caught:
        client.list_sessions()
    assert caught.value.request_id == 2
    assert caught.value.operation == "list_sessions"
    assert client.health_check() is False
    backend.server = 5000
    assert client.list_sessions()[0].title == "one"


def test_a_discovery_that_fails_is_the_errors_cause(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.rule("discover_server", b.error(6, "the process list is broken"))
    with pytest.raises(IpcServerError, match="No OpenCode server connected") as caught:
        client.list_sessions()
    assert isinstance(caught.value.__cause__, IpcServerError)
    assert "process list is broken" in str(caught.value.__cause__)


def test_each_held_call_fails_with_its_own_instance(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.server = None
    futures = [client.futures.create_session() for _ in range(5)]
    errors = [future.exception(WAIT) for future in futures]
    assert all(isinstance(error, IpcServerError) for error in errors)
    assert len({id(error) for error in errors}) == 5


@pytest.mark.parametrize(
    ("code", "message", "binds"),
    [
        (ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "whatever", True),
        (ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, "No server connected", True),
        (ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, "no opencode server connected yet", True),
        (ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, "the disk is full", False),
        (ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "No OpenCode server connected", False),
    ],
)
def test_which_errors_mean_that_nothing_is_bound(
    backend: ReferenceBackend, client: IpcClient, code: int, message: str, binds: bool
) -> None:
    backend.script("list_sessions", b.error(code, message), b.sessions("bound"))
    if binds:
        assert client.list_sessions()[0].title == "bound"
    else:
        with pytest.raises(IpcServerError, match=message):
            client.list_sessions()
    assert ("discover_server" in backend.link().operations()) is binds


@pytest.mark.parametrize("name", ["stop_server", "discover_server", "spawn_server"])
def test_operations_that_need_no_server_bind_nothing(
    backend: ReferenceBackend, client: IpcClient, name: str
) -> None:
    backend.rule(name, NO_SERVER)
    with pytest.raises(IpcServerError):
        getattr(client, name)()
    assert backend.link().operations() == [name]


# --- As the user last did it ---


def test_a_spawned_server_is_spawned_again(backend: ReferenceBackend) -> None:
    with backend.client(reconnect=AT_ONCE) as client:
        client.spawn_server(7000)
        backend.link().peer.drop()
        assert client.list_sessions()[0].title == "one"
        link = backend.link(1)
        assert link.operations()[:3] == ["list_sessions", "spawn_server", "list_sessions"]
        assert link.request(1).spawn_server.port == 7000


def test_after_stopping_the_server_nothing_is_bound_by_itself(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    client.list_sessions()
    assert client.stop_server() is True
    with pytest.raises(IpcServerError, match="No OpenCode server connected"):
        client.list_sessions()
    assert backend.link().operations().count("discover_server") == 1
    assert client.discover_server() is not None  # the user wants one again
    assert client.list_sessions()[0].title == "one"
    backend._bound.clear()
    assert client.list_sessions()[0].title == "one"


def test_a_stop_that_failed_changes_nothing(backend: ReferenceBackend, client: IpcClient) -> None:
    client.list_sessions()
    backend.rule("stop_server", b.stopped(False))
    assert client.stop_server() is False
    backend._bound.clear()
    assert client.list_sessions()[0].title == "one"


def test_a_discovery_that_found_nothing_is_not_remembered_as_a_wish(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    client.spawn_server(7000)
    backend.server = None
    assert client.discover_server() is None
    backend._bound.clear()
    assert client.list_sessions()[0].title == "one"
    assert backend.link().operations()[-2:] == ["spawn_server", "list_sessions"]


def test_finding_the_backends_own_server_is_no_wish_for_somebody_elses(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    """Should that one end, another of its own is wanted, not whichever runs on the machine."""
    client.spawn_server(7000)
    found = b.discovered()
    found["discover_server_response"].server.owned = True
    backend.rule("discover_server", found)
    server = client.discover_server()
    assert server is not None
    assert server.owned
    backend._bound.clear()
    assert client.list_sessions()[0].title == "one"
    assert backend.link().operations()[-2:] == ["spawn_server", "list_sessions"]


# --- Across connections ---


def test_after_reconnecting_the_binding_is_restored(backend: ReferenceBackend) -> None:
    with backend.client(reconnect=AT_ONCE) as client:
        client.list_sessions()
        backend.link().peer.drop()
        assert client.list_sessions()[0].title == "one"
        assert client.create_session("after").title == "after"
        assert "discover_server" in backend.link(1).operations()


def test_after_closing_and_connecting_the_binding_is_restored(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    client.list_sessions()
    client.close()
    client.connect()
    assert client.list_sessions()[0].title == "one"


def test_a_loss_while_binding_is_survived(backend: ReferenceBackend) -> None:
    with backend.client(reconnect=AT_ONCE) as client:
        backend.script("discover_server", HOLD, backend._discover)
        future = client.futures.create_session("x")
        link = backend.link()
        link.request(1)
        link.peer.drop()
        assert future.result(WAIT).title == "x"


def test_a_call_that_was_bound_on_one_connection_is_bound_on_the_next_as_well(
    backend: ReferenceBackend,
) -> None:
    with backend.client(reconnect=AT_ONCE) as client:
        listing = backend.rule_named("list_sessions")
        backend.script("list_sessions", listing, HOLD, listing)
        future = client.futures.list_sessions()  # refused, bound, asked again, held
        backend.link().request(2)
        backend.link().peer.drop()
        assert future.result(WAIT)[0].title == "one"


def test_losing_the_connection_for_good_while_binding_is_a_connection_error(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.rule("discover_server", HOLD)
    future = client.futures.create_session()
    backend.link().request(1)
    backend.link().peer.drop()
    assert isinstance(future.exception(WAIT), IpcConnectionError)


# --- Time and cancelling ---


def test_a_call_that_waits_for_a_binding_keeps_its_deadline(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.rule("discover_server", HOLD)
    with pytest.raises(IpcTimeoutError):
        client.list_sessions(timeout=0.03)
    future = client.futures.list_sessions(timeout=0.03)
    assert isinstance(future.exception(WAIT), IpcTimeoutError)


def test_a_call_cancelled_while_binding_is_not_asked_again(
    backend: ReferenceBackend, client: IpcClient
) -> None:
    backend.rule("discover_server", HOLD)
    future = client.futures.create_session()
    link = backend.link()
    request = link.request(1)
    assert future.cancel()
    link.answer(request, backend._discover(request))
    assert client.check_server_health() is True
    assert link.operations().count("create_session") == 1


def test_the_metrics_count_the_call_once(backend: ReferenceBackend) -> None:
    metrics = InMemoryMetrics()
    with backend.client(metrics=metrics) as client:
        client.list_sessions()
    figures = metrics.snapshot().operations["list_sessions"]
    assert (figures.sent, figures.succeeded, figures.failed) == (2, 1, 0)
