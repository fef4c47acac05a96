"""``client.events``: OpenCode's events as they happen, for whoever wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opencode_sync import (
    CancelToken,
    EventStream,
    InMemoryMetrics,
    IpcCancelledError,
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
)
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.types import IpcEvent, event_properties
from opencode_sync.wire import ipc_pb2
from tests.e2e.client.asking import WAIT, Asked
from tests.e2e.client.raw import Raw
from tests.e2e.event_cutter import EventCutter
from tests.e2e.opencode_server import RealServer
from tests.support.threads import Background

pytestmark = pytest.mark.e2e

Connect = Callable[..., IpcClient]


@pytest.fixture
def cutter(server: RealServer) -> Iterator[EventCutter]:
    """A way to the server on which the events can be cut."""
    assert server.port is not None
    cutter = EventCutter(server.port)
    yield cutter
    cutter.stop()


@pytest.fixture
def cut_off(cutter: EventCutter) -> Iterator[Gateway]:
    """A gateway that goes that way."""
    with Gateway(OpenCodeBackend(cutter.url)) as gateway:
        yield gateway


def client_of(gateway: Gateway) -> IpcClient:
    return IpcClient(IpcConfig(gateway.port, gateway.auth_token))


def until(stream: EventStream, kind: str, session_id: str | None = None) -> IpcEvent:
    """Read on until an event of this type."""
    while True:
        event = stream.next_event(WAIT)
        if event.type == kind and session_id in (None, event.session_id):
            return event


def publish(server: RealServer, name: str, directory: Path | None = None) -> None:
    """Have OpenCode publish an event that nobody else causes, and of which nobody knows more."""
    body = {"type": "tui.command.execute", "properties": {"command": name}}
    query = {"directory": str(directory)} if directory else None
    assert server.request("POST", "/tui/publish", body, query=query) == (200, True)


def names(events: list[IpcEvent]) -> list[str]:
    return [str(event_properties(event).get("command")) for event in events]


# --- What comes ---


def test_sessions_come_and_go_in_the_stream(client: IpcClient, server: RealServer) -> None:
    with client.events(types=["session.*"]) as stream:
        session_id = server.create("made by somebody else")
        created = until(stream, "session.created", session_id)
        assert created.event.session_created.session.title == "made by somebody else"
        assert created.directory == str(server.project)
        assert event_properties(created)["info"]["id"] == session_id
        assert client.delete_session(session_id)
        until(stream, "session.deleted", session_id)


def test_what_is_no_longer_wanted_does_not_come(
    client: IpcClient, server: RealServer, asked: Asked
) -> None:
    """By type, and by session."""
    other = client.create_session().id
    with (
        client.events(types=["session.status", "message.updated"]) as by_type,
        client.events(session_id=asked.id) as by_session,
    ):
        client.prompt(other, "of another session")
        client.prompt(asked.id, "[[say:of this one]]")
        seen = [until(by_type, "session.status", asked.id)]
        events = [by_session.next_event(WAIT)]
        while events[-1].type != "session.idle":
            events.append(by_session.next_event(WAIT))
    assert seen[0].session_id == asked.id
    assert {event.session_id for event in events} == {asked.id}
    text = "".join(event.delta.text for event in events if event.HasField("delta"))
    assert text == "of this one"


def test_events_of_one_project(client: IpcClient, server: RealServer, elsewhere: Path) -> None:
    client.create_session("so that it is a project", directory=elsewhere)
    kinds = ["tui.command.execute"]
    with (
        client.events(types=kinds, directory=elsewhere) as there,
        client.events(types=kinds) as everywhere,
    ):
        publish(server, "here")
        publish(server, "there", elsewhere)
        assert names([there.next_event(WAIT)]) == ["there"]
        assert names([everywhere.next_event(WAIT) for _ in range(2)]) == ["here", "there"]


def test_a_type_that_nobody_knows_is_handed_on(client: IpcClient, server: RealServer) -> None:
    """With all that OpenCode says of it, and nothing breaks."""
    with client.events() as stream:
        publish(server, "unheard of")
        event = until(stream, "tui.command.execute")
        assert event_properties(event) == {"command": "unheard of"}
        assert event.WhichOneof("detail") is None
        assert not event.HasField("event")


def test_the_order_is_opencodes(client: IpcClient, server: RealServer) -> None:
    with client.events(types=["tui.command.execute"]) as stream:
        for number in range(50):
            publish(server, f"number {number}")
        seen = [stream.next_event(WAIT) for _ in range(50)]
    assert names(seen) == [f"number {number}" for number in range(50)]


def test_many_listen_by_one_subscription(
    cutter: EventCutter, cut_off: Gateway, server: RealServer
) -> None:
    """However many clients there are, the gateway has one stream from OpenCode."""
    clients = [client_of(cut_off) for _ in range(3)]
    for client in clients:
        client.connect()
    streams = [client.events(types=["tui.command.execute"]) for client in clients for _ in range(5)]
    publish(server, "to all")
    assert names([stream.next_event(WAIT) for stream in streams]) == ["to all"] * 15
    assert cutter.cut() == 1
    for client in clients:
        client.close()


def test_after_a_gap_what_was_missed_is_read_again(
    cutter: EventCutter, cut_off: Gateway, server: RealServer
) -> None:
    with client_of(cut_off) as client, client.events() as stream:
        known = Asked(server, client.create_session("before").id)
        until(stream, "session.created", known.id)
        assert cutter.cut() == 1
        missed = server.create("made in the gap")  # or after it: then it comes in any case
        until(stream, "gateway.resubscribed")
        publish(server, "after the gap")
        seen = set()
        while "after the gap" not in names([event := stream.next_event(WAIT)]):
            seen.add(event.session_id)
        if missed not in seen:  # it was being read again
            assert until(stream, "session.updated", missed).replayed


def test_what_a_slow_reader_misses_is_told_where(connect: Connect, server: RealServer) -> None:
    client = connect(stream_buffer_size=10)
    with (
        client.events(types=["tui.command.execute"]) as slow,
        connect().events(types=["tui.command.execute"]) as quick,
    ):
        for number in range(15):
            publish(server, f"number {number}")
            quick.next_event(WAIT)
        client.list_sessions()  # answered behind them
        assert names([slow.next_event(0) for _ in range(10)]) == [
            f"number {number}" for number in range(10)
        ]
        with pytest.raises(IpcSlowConsumerError) as caught:
            slow.next_event(0)
        assert caught.value.missed == 5
        publish(server, "go on")
        assert names([slow.next_event(WAIT)]) == ["go on"]


# --- How a stream ends ---


def test_close_ends_who_reads(client: IpcClient) -> None:
    stream = client.events(types=["never.comes"])
    reader = Background(lambda: list(stream))
    with pytest.raises(IpcTimeoutError):
        stream.next_event(0.05)
    stream.close()
    assert reader.result(WAIT) == []
    with pytest.raises(IpcCancelledError):
        stream.next_event()
    assert stream.closed


def test_a_token_ends_the_stream(client: IpcClient) -> None:
    token = CancelToken()
    stream = client.events(types=["never.comes"], cancel=token)
    reader = Background(lambda: list(stream))
    token.cancel()
    assert isinstance(reader.error(WAIT), IpcCancelledError)


def test_closing_the_client_ends_its_streams(connect: Connect) -> None:
    client = connect()
    stream = client.events(types=["never.comes"])
    reader = Background(lambda: list(stream))
    client.close()
    assert isinstance(reader.error(WAIT), (IpcConnectionError, IpcCancelledError))


def test_a_stopped_gateway_ends_the_stream(cutter: EventCutter) -> None:
    gateway = Gateway(OpenCodeBackend(cutter.url))
    gateway.start()
    with IpcClient(IpcConfig(gateway.port, gateway.auth_token), reconnect=None) as client:
        stream = client.events(types=["never.comes"])
        gateway.stop()
        with pytest.raises((IpcConnectionError, IpcServerError)):
            stream.next_event(WAIT)


def test_opencode_is_killed_and_the_stream_waits_for_it(start: Callable[[], RealServer]) -> None:
    """The gateway tries on, since OpenCode may come back; the stream can be closed meanwhile."""
    server = start()
    with (
        Gateway(OpenCodeBackend(server.url)) as gateway,
        client_of(gateway) as client,
        client.events() as stream,
    ):
        publish(server, "last words")
        until(stream, "tui.command.execute")
        server.kill()
        with pytest.raises(IpcTimeoutError):
            stream.next_event(0.2)
        with pytest.raises(IpcServerError) as caught:
            client.events()
        assert caught.value.code_name == "NO_SERVER"
        assert client.is_connected


# --- By hand ---


def test_unsubscribe_ends_the_subscription_and_nothing_else(
    gateway: Gateway, server: RealServer
) -> None:
    """The client closes its streams by a cancel; other clients may say it in this way."""
    with Raw(gateway) as raw:
        for request_id in (2, 3):
            request = ipc_pb2.IpcClientMessage(request_id=request_id)
            request.subscribe.types.append("tui.command.execute")
            assert raw.ask(request).HasField("subscribed")
        raw.send(ipc_pb2.IpcClientMessage(request_id=4, unsubscribe={"request_id": 2}))
        ended = raw.receive()
        assert (ended.request_id, ended.HasField("subscription_end")) == (2, True)
        answer = raw.receive()
        assert (answer.request_id, answer.unsubscribe_response.found) == (4, True)
        publish(server, "to those who are left")
        push = raw.receive()
        assert (push.request_id, push.event.event.type) == (3, "tui.command.execute")
        answer = raw.ask(ipc_pb2.IpcClientMessage(request_id=5, unsubscribe={"request_id": 2}))
        assert not answer.unsubscribe_response.found


def test_a_closed_stream_is_ended_in_the_gateway_too(
    cutter: EventCutter, cut_off: Gateway, server: RealServer
) -> None:
    """Nothing is pushed to somebody who has gone."""
    metrics = InMemoryMetrics()
    with IpcClient(IpcConfig(cut_off.port, cut_off.auth_token), metrics=metrics) as client:
        stream = client.events(types=["tui.command.execute"])
        publish(server, "one")
        stream.next_event(WAIT)
        stream.close()
        client.list_sessions()  # goes out behind the cancel
        with client.events(types=["tui.command.execute"]) as other:
            before = metrics.snapshot().messages_received
            for number in range(5):
                publish(server, f"{number}")
                other.next_event(WAIT)
            assert metrics.snapshot().messages_received == before + 5
