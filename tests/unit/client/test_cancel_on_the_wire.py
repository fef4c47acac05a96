"""When a caller gives up what the backend would work on for nothing, the backend is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opencode_sync import (
    CancelToken,
    InMemoryMetrics,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcTimeoutError,
    ReconnectPolicy,
    enable_logging,
    operations,
)
from opencode_sync.connection import Connection
from tests.support import backend as b
from tests.support.backend import (
    HOLD,
    WAIT,
    ScriptedBackend,
    StallingTransport,
)
from tests.support.operations import SAMPLES, Sample
from tests.support.threads import Background, together

CANCELLABLE = [sample for sample in SAMPLES if sample.operation in ("send_message", "prompt")]
OTHERS = [sample for sample in SAMPLES if sample not in CANCELLABLE]

cancellable = pytest.mark.parametrize("sample", CANCELLABLE, ids=lambda sample: sample.method)


def by_time_out(client: IpcClient, sample: Sample) -> None:
    with pytest.raises(IpcTimeoutError):
        sample.call(client, timeout=0.02)


def by_time_out_of_a_future(client: IpcClient, sample: Sample) -> None:
    future = sample.call(client.futures, timeout=0.02)
    assert isinstance(future.exception(WAIT), IpcTimeoutError)


def by_token(client: IpcClient, sample: Sample) -> None:
    token = CancelToken()
    future = sample.call(client.futures, cancel=token)
    _wait_until_sent(client, future)
    token.cancel()
    assert isinstance(future.exception(WAIT), IpcCancelledError)


def by_cancelling_the_future(client: IpcClient, sample: Sample) -> None:
    future = sample.call(client.futures)
    _wait_until_sent(client, future)
    assert future.cancel()


def by_interrupt(client: IpcClient, sample: Sample) -> None:
    """As a KeyboardInterrupt that comes out of the wait."""

    class Interrupting(CancelToken):
        def attach(self, key: Any, wake: Any) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample.call(client, cancel=Interrupting())


def _wait_until_sent(client: IpcClient, future: Any) -> None:
    assert client.check_server_health() is True  # what was asked before went out before
    assert future.sent


@cancellable
@pytest.mark.parametrize(
    "give_up",
    [by_time_out, by_time_out_of_a_future, by_token, by_cancelling_the_future, by_interrupt],
)
def test_giving_up_is_told_once(
    backend: ScriptedBackend, client: IpcClient, sample: Sample, give_up: Any
) -> None:
    backend.rule(sample.operation, HOLD)
    give_up(client, sample)
    link = backend.link()
    request = link.request()
    link.wait(lambda: any(each.HasField("cancel") for each in link.requests), "cancel")
    (cancel,) = [each for each in link.requests if each.HasField("cancel")]
    assert cancel.cancel.request_id == request.request_id
    assert cancel.request_id > request.request_id
    link.answer(request, b.error(6, "cancelled"))
    client.check_server_health()
    assert (client.strays.cancelled, client.strays.late) == (1, 0)


@cancellable
def test_the_error_says_that_the_backend_was_told(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, HOLD)
    told = "the backend may have acted on it, and was told to abort it"
    assert told in str(sample.call(client.futures, timeout=0.2).exception(WAIT))
    token = CancelToken()
    future = sample.call(client.futures, cancel=token)
    _wait_until_sent(client, future)
    token.cancel()
    assert told in str(future.exception(WAIT))


def test_the_error_does_not_say_so_where_it_was_not_told(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("delete_session", HOLD)
    said = str(client.futures.delete_session("ses_1", timeout=0.2).exception(WAIT))
    assert "may have acted" in said
    assert "was told" not in said


@pytest.mark.parametrize("sample", OTHERS, ids=lambda sample: sample.method)
def test_what_is_short_is_not_cancelled(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, HOLD)
    sample.call(client.futures).cancel()
    backend.rule("check_health", b.healthy())
    client.check_server_health()
    assert "cancel" not in backend.link().operations()


@cancellable
def test_what_was_never_sent_is_not_cancelled(backend: ScriptedBackend, sample: Sample) -> None:
    client = backend.client()
    token = CancelToken()
    token.cancel()
    with pytest.raises(IpcCancelledError):
        sample.call(client, cancel=token)
    with client:
        client.check_server_health()
        assert backend.link().operations() == ["check_health"]


@cancellable
def test_what_still_waits_to_be_sent_is_not_cancelled(
    backend: ScriptedBackend, sample: Sample
) -> None:
    """It stands behind a peer that takes nothing, and is then not sent at all."""
    transports: list[StallingTransport] = []

    def wrap(inner: Any) -> Any:
        transports.append(StallingTransport(inner))
        return transports[-1]

    backend.wrap = wrap
    with backend.client(reconnect=None) as client:
        client.check_server_health()
        transports[0].stall()
        stuck = client.futures.list_agents()
        transports[0].wait_for_writer()
        future = sample.call(client.futures)
        assert not future.sent
        assert future.cancel()
        transports[0].resume()
        stuck.result(WAIT)
        client.check_server_health()
        operations_seen = backend.link().operations()
    assert operations_seen == ["check_health", "list_agents", "check_health"]


@cancellable
def test_what_was_answered_is_not_cancelled(
    backend: ScriptedBackend, client: IpcClient, sample: Sample
) -> None:
    backend.rule(sample.operation, sample.payload)
    future = sample.call(client.futures)
    assert future.result(WAIT) == sample.result
    assert not future.cancel()
    client.check_server_health()
    assert backend.link().operations() == [sample.operation, "check_health"]


@cancellable
def test_another_connection_is_not_told(backend: ScriptedBackend, sample: Sample) -> None:
    """There the same id is another request."""
    backend.rule(sample.operation, HOLD)
    policy = ReconnectPolicy(initial_delay=0.001, wait_while_down=True)
    with backend.client(reconnect=policy) as client:
        future = sample.call(client.futures)
        backend.link().request()
        backend.link().peer.drop()
        assert future.exception(WAIT) is not None
        assert not future.cancel()
        client.check_server_health()
        assert backend.link(1).operations() == ["check_health"]


def test_what_becomes_of_it_is_nobodys_business(
    backend: ScriptedBackend, client: IpcClient, log: list[str]
) -> None:
    backend.rule("send_message", HOLD)
    backend.script("cancel", b.error(6, "no"), b.sessions(), {}, b.cancelled(False))
    for _ in range(4):
        by_time_out(client, CANCELLABLE[0])
    assert client.check_server_health() is True
    assert not [text for text in log if "cancel" in text]


def test_a_backend_that_cannot_cancel_is_asked_once(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    """The reference backend: a client that gives up often must not bother it each time."""
    backend.extensions = False
    backend.rule("send_message", HOLD)
    for _ in range(3):
        by_time_out(client, CANCELLABLE[0])
        client.check_server_health()
    names = backend.link().operations()
    assert (names.count("send_message"), names.count("cancel")) == (3, 1)


def test_a_full_table_does_not_keep_the_caller(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    backend.rule("send_message", HOLD)
    backend.rule("list_sessions", HOLD)
    options = IpcClientOptions(max_pending_requests=1)
    with backend.client(options=options) as client:
        submit = Connection.submit

        def crowded(self: Connection, call: Any) -> bool:
            if call.operation == "cancel":  # somebody else was faster
                submit(self, client._calls.make_own(operations.list_sessions()))
            return submit(self, call)

        monkeypatch.setattr(Connection, "submit", crowded)
        by_time_out(client, CANCELLABLE[0])
        assert "cancel" not in backend.link().operations()
    assert any("could not cancel" in text for text in log)


def test_a_connection_that_has_just_ended_needs_no_cancel(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.rule("send_message", HOLD)
    future = CANCELLABLE[0].call(client.futures)
    backend.link().request()
    submit = Connection.submit

    def ended(self: Connection, call: Any) -> bool:
        return call.operation != "cancel" and submit(self, call)

    monkeypatch.setattr(Connection, "submit", ended)
    assert future.cancel()
    assert future.cancelling is not None
    assert future.cancelling.cancelled()


def test_hundreds_give_up_at_once(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("send_message", HOLD)
    futures = [CANCELLABLE[0].call(client.futures) for _ in range(200)]
    link = backend.link()
    link.request(199)
    jobs = together(8, lambda index: [future.cancel() for future in futures[index::8]])
    assert all(all(job.result()) for job in jobs)
    link.wait(lambda: len(link.requests) == 400, "all cancels")
    cancelled = {each.cancel.request_id for each in link.requests if each.HasField("cancel")}
    assert cancelled == {each.request_id for each in link.requests if each.HasField("send_message")}
    client.check_server_health()
    live = client._supervisor._live
    assert live is not None
    assert len(live._pending) == 0


def test_it_is_a_request_of_its_own_in_the_figures(backend: ScriptedBackend) -> None:
    backend.rule("send_message", HOLD)
    metrics = InMemoryMetrics()
    with backend.client(metrics=metrics) as client:
        by_time_out(client, CANCELLABLE[0])
        client.check_server_health()
    operations_seen = metrics.snapshot().operations
    assert operations_seen["send_message"].failed == 1
    assert (operations_seen["cancel"].sent, operations_seen["cancel"].succeeded) == (1, 1)


def test_a_client_that_closes_meanwhile_does_not_wait_for_it(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("send_message", HOLD)
    backend.rule("cancel", HOLD)
    by_time_out(client, CANCELLABLE[0])
    closing = Background(client.close)
    closing.result()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """The text of everything from warnings up."""
    texts: list[str] = []
    disable = enable_logging("WARNING", lambda message: texts.append(message.record["message"]))
    yield texts
    disable()
