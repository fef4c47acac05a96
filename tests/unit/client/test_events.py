"""``events``: a subscription from its beginning to whatever ends it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

import pytest

from opencode_sync import (
    CancelToken,
    EventStream,
    IpcArgumentError,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcProtocolError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
    ReconnectPolicy,
)
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, Link, ScriptedBackend
from tests.support.threads import Background


class Subscription:
    """An open stream, and the backend's end of it."""

    def __init__(self, backend: ScriptedBackend, client: IpcClient, **arguments: Any) -> None:
        self.client = client
        self.link: Link = backend.link()
        before = len(self.link.requests)
        self.stream: EventStream = client.events(**arguments)
        self.request = self.link.request(before)

    def send(self, *payloads: b.Payload) -> None:
        """Have the backend send this, and the client take it in."""
        self.link.answer(self.request, *payloads)
        assert self.client.check_server_health() is True


def test_events_come_in_order_as_they_happen(backend: ScriptedBackend, client: IpcClient) -> None:
    with Subscription(backend, client).stream as stream:
        link = backend.link()
        for number in range(200):
            reading = Background(next, stream)
            link.answer(link.request(), b.event(f"event.{number}"))
            assert reading.result().type == f"event.{number}"
        assert not stream.closed
        assert repr(stream) == "<EventStream open>"
    assert stream.closed
    assert repr(stream) == "<EventStream closed>"
    assert list(stream) == []


def test_what_is_wanted_goes_out(backend: ScriptedBackend, client: IpcClient) -> None:
    everything = Subscription(backend, client)
    assert list(everything.request.subscribe.types) == []
    assert not everything.request.subscribe.HasField("session_id")
    assert not everything.request.subscribe.current
    names = ("session.*", "message.updated")
    some = Subscription(
        backend, client, types=(name for name in names), session_id="s", current=True
    )
    assert list(some.request.subscribe.types) == ["session.*", "message.updated"]
    assert some.request.subscribe.session_id == "s"
    assert some.request.subscribe.current


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"types": "session.updated"}, "types"),
        ({"types": b"x"}, "types"),
        ({"types": 5}, "types"),
        ({"types": [""]}, "types"),
        ({"types": [5]}, "types"),
        ({"current": 1}, "current"),
        ({"types": ["a\ud800"]}, "types"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": 5}, "session_id"),
        ({"directory": ""}, "directory"),
        ({"directory": 5}, "directory"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
    ],
)
def test_a_wrong_argument_is_named(
    backend: ScriptedBackend, client: IpcClient, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(IpcArgumentError, match=field) as caught:
        client.events(**arguments)
    assert caught.value.field == field
    client.check_server_health()
    assert backend.link().operations() == ["check_health"]


# --- Its beginning ---


def test_it_returns_once_no_event_is_passed_over(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("subscribe", HOLD)
    opening = Background(client.events)
    link = backend.link()
    request = link.request()
    client.check_server_health()
    assert opening.running
    link.answer(request, b.SUBSCRIBED, b.event("first"))
    with opening.result() as stream:
        assert next(stream).type == "first"


def test_one_that_does_not_begin_in_time_is_given_up(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("subscribe", HOLD)
    with pytest.raises(IpcTimeoutError) as caught:
        client.events(timeout=0.02)
    assert (caught.value.timeout, caught.value.operation) == (0.02, "subscribe")
    link = backend.link()
    assert link.request(1).cancel.request_id == link.request(0).request_id
    assert not [call for call in client._sweep._live if call.operation == "subscribe"]


def test_its_default_is_the_time_of_requests(backend: ScriptedBackend) -> None:
    backend.rule("subscribe", HOLD)
    options = IpcClientOptions(default_request_timeout=0.02)
    with backend.client(options=options) as client, pytest.raises(IpcTimeoutError):
        client.events()


def test_it_lasts_longer_than_its_time_out(backend: ScriptedBackend, client: IpcClient) -> None:
    opened = Subscription(backend, client, timeout=0.05)
    with pytest.raises(IpcTimeoutError):
        opened.stream.next_event(timeout=0.1)
    assert not opened.stream.closed
    opened.send(b.event("later"))
    assert next(opened.stream).type == "later"


@pytest.mark.parametrize("how", ["reference backend", "gateway without"])
def test_a_backend_without_events_is_told_apart(
    backend: ScriptedBackend, client: IpcClient, how: str
) -> None:
    if how == "reference backend":
        backend.extensions = False
    else:
        backend.rule("subscribe", b.error(2, "not with this backend"))
    with pytest.raises(IpcUnsupportedOperationError, match="subscribe"):
        client.events()


def test_a_refusal_is_an_error_of_the_backends(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("subscribe", b.error(6, "no events today"))
    with pytest.raises(IpcServerError, match="no events today"):
        client.events()


@pytest.mark.parametrize("answer", [{}, b.sessions(), b.ran("x")])
def test_another_answer_is_a_protocol_error(
    backend: ScriptedBackend, client: IpcClient, answer: b.Payload
) -> None:
    backend.rule("subscribe", answer)
    with pytest.raises(IpcProtocolError, match="subscribe"):
        client.events()


def test_one_that_ends_before_it_begins_says_why(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("subscribe", b.subscription_end("too many listeners"))
    with pytest.raises(IpcServerError, match="too many listeners"):
        client.events()


def test_a_token_ends_the_wait_and_the_stream(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("subscribe", HOLD)
    token = CancelToken()
    opening = Background(client.events, cancel=token)
    backend.link().request()
    token.cancel()
    assert isinstance(opening.error(), IpcCancelledError)
    with pytest.raises(IpcCancelledError):
        client.events(cancel=token)
    backend.rule("subscribe", b.SUBSCRIBED)
    token = CancelToken()
    stream = client.events(cancel=token)
    reading = Background(next, stream)
    token.cancel()
    assert isinstance(reading.error(), IpcCancelledError)
    assert stream.closed
    client.check_server_health()
    assert backend.link().operations().count("cancel") == 2


def test_a_lost_connection_ends_the_wait(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("subscribe", HOLD)
    opening = Background(client.events)
    backend.link().request()
    backend.link().peer.drop()
    assert isinstance(opening.error(), IpcConnectionError)


def test_a_backend_that_lost_its_server_is_bound_again(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.script("subscribe", b.NO_SERVER, lambda request: [b.SUBSCRIBED, b.event("x")])
    with client.events() as stream:
        assert next(stream).type == "x"
    assert backend.link().operations()[:3] == ["subscribe", "discover_server", "subscribe"]


# --- Reading ---


def test_waiting_for_one_event(backend: ScriptedBackend, client: IpcClient) -> None:
    opened = Subscription(backend, client)
    for timeout in (0, 0.01):
        with pytest.raises(IpcTimeoutError, match="goes on") as caught:
            opened.stream.next_event(timeout=timeout)
        assert caught.value.timeout == timeout
    opened.send(b.event("x"))
    assert opened.stream.next_event(timeout=0).type == "x"
    waiting = Background(opened.stream.next_event)
    opened.send(b.event("y"))
    assert waiting.result().type == "y"


@pytest.mark.parametrize("timeout", [-1, "5", True, float("inf")])
def test_a_time_out_that_is_none_is_refused(
    backend: ScriptedBackend, client: IpcClient, timeout: Any
) -> None:
    opened = Subscription(backend, client)
    with pytest.raises(IpcArgumentError, match="timeout"):
        opened.stream.next_event(timeout=timeout)


def test_a_slow_reader_is_told_what_is_missing_and_reads_on(backend: ScriptedBackend) -> None:
    options = IpcClientOptions(stream_buffer_size=3)
    with backend.client(options=options) as client:
        opened = Subscription(backend, client)
        opened.send(*(b.event(str(number)) for number in range(5)), b.event("5"))
        assert [next(opened.stream).type for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(IpcSlowConsumerError) as caught:
            opened.stream.next_event(timeout=WAIT)
        assert caught.value.missed == 3
        opened.send(b.event("6"))
        assert next(opened.stream).type == "6"


def test_many_events_come_through_beside_requests(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    opened = Subscription(backend, client)

    def read() -> list[str]:
        return [next(opened.stream).type for _ in range(5_000)]

    reading = Background(read)
    for start in range(0, 5_000, 500):
        opened.send(*(b.event(str(number)) for number in range(start, start + 500)))
    assert reading.result() == [str(number) for number in range(5_000)]


def test_who_must_not_wait_is_told(backend: ScriptedBackend, client: IpcClient) -> None:
    opened = Subscription(backend, client)
    outcome: Future[list[str]] = Future()

    def callback(_: Any) -> None:
        problems = []
        for call in (client.events, lambda: next(opened.stream), opened.stream.next_event):
            try:
                call()
            except IpcUsageError as error:
                problems.append(str(error))
        opened.stream.close()
        outcome.set_result(problems)

    client.futures.check_server_health().add_done_callback(callback)
    assert len(outcome.result(WAIT)) == 3
    assert opened.stream.closed


# --- Its end ---


def test_closing_tells_the_backend_and_ends_all_readers(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    opened = Subscription(backend, client)
    opened.send(b.event("unread"))
    opened.stream.close()
    iterating = Background(list, opened.stream)
    waiting = Background(opened.stream.next_event)
    assert iterating.result() == []
    assert isinstance(waiting.error(), IpcCancelledError)
    cancel = opened.link.request(2)
    assert cancel.cancel.request_id == opened.request.request_id
    opened.stream.close()
    opened.send(b.event("late"), b.subscription_end("cancelled"))
    assert (client.strays.pushes, client.strays.cancelled) == (1, 1)
    assert opened.link.operations().count("cancel") == 1


def test_closing_wakes_who_waits(backend: ScriptedBackend, client: IpcClient) -> None:
    opened = Subscription(backend, client)
    iterating = Background(list, opened.stream)
    waiting = Background(opened.stream.next_event)
    opened.stream.close()
    assert iterating.result() == []
    assert isinstance(waiting.error(), IpcCancelledError)


@pytest.mark.parametrize("reason", ["the server has ended", ""])
def test_an_end_of_the_backends_comes_after_what_came_before(
    backend: ScriptedBackend, client: IpcClient, reason: str
) -> None:
    opened = Subscription(backend, client)
    opened.send(b.event("last"), b.subscription_end(reason))
    assert opened.stream.closed
    assert next(opened.stream).type == "last"
    for read in (lambda: next(opened.stream), opened.stream.next_event):
        with pytest.raises(IpcServerError, match=reason or "no reason") as caught:
            read()
        assert caught.value.operation == "subscribe"
        assert caught.value.code_name == "SERVER_ERROR"
    opened.stream.close()
    assert list(opened.stream) == []
    assert "cancel" not in opened.link.operations()


def test_a_lost_connection_ends_it_and_it_is_not_resumed_unseen(backend: ScriptedBackend) -> None:
    with backend.client(reconnect=ReconnectPolicy(initial_delay=0.001)) as client:
        opened = Subscription(backend, client)
        opened.send(b.event("last"))
        opened.link.peer.drop()
        assert next(opened.stream).type == "last"
        with pytest.raises(IpcConnectionError):
            next(opened.stream)
        opened.stream.close()
        with client.events() as again:
            link = backend.link(1)
            link.answer(link.request(), b.event("new"))
            assert next(again).type == "new"


def test_closing_the_client_ends_it(backend: ScriptedBackend, client: IpcClient) -> None:
    opened = Subscription(backend, client)
    reading = Background(next, opened.stream)
    client.close()
    assert isinstance(reading.error(), IpcConnectionError)
    opened.stream.close()


def test_many_subscriptions_end_each_for_itself(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    client.check_server_health()
    threads = threading.active_count()
    opened = [Subscription(backend, client) for _ in range(30)]
    for index, each in enumerate(opened):
        each.link.answer(each.request, b.event(str(index)))
    for each in opened[::2]:
        each.stream.close()
    for index, each in enumerate(opened):
        if index % 2:
            assert each.stream.next_event(WAIT).type == str(index)
            assert not each.stream.closed
    assert threading.active_count() < threads + 10  # none has a thread of its own
    for each in opened:
        each.stream.close()
    client.check_server_health()
    assert opened[0].link.operations().count("cancel") == 30
