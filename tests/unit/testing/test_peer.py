"""The backend's ends of links in memory, seen from the client's end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from opencode_sync import IpcConfig
from opencode_sync.deadline import NOW, Deadline
from opencode_sync.options import IpcClientOptions
from opencode_sync.testing import FakeIpcClient, peer
from opencode_sync.testing.peer import Links, ServedLink
from opencode_sync.transport.base import Transport, TransportClosed, TransportError
from opencode_sync.wire.ext_event_pb2 import IpcSubscribeRequest, IpcUnsubscribeRequest
from opencode_sync.wire.ipc_pb2 import (
    IpcAuthHandshake,
    IpcCheckHealthRequest,
    IpcClientMessage,
    IpcServerMessage,
)

WAIT = 20.0
CONFIG = IpcConfig(port=4096, auth_token="a-token-of-these-tests")


def nothing(link: ServedLink, message: IpcClientMessage) -> None:
    """Take a request and do nothing about it."""


def send(transport: Transport, message: IpcClientMessage) -> None:
    transport.send([message.SerializeToString()])
    transport.flush(NOW)


def receive(transport: Transport) -> IpcServerMessage:
    return IpcServerMessage.FromString(transport.receive(Deadline.after(WAIT)))


@contextmanager
def connected(links: Links) -> Iterator[Transport]:
    transport = links.transport(CONFIG, IpcClientOptions())
    transport.connect(Deadline.after(WAIT))
    handshake = IpcAuthHandshake(token="x")
    send(transport, IpcClientMessage(request_id=1, auth_handshake=handshake))
    assert receive(transport).auth_handshake_response.success
    yield transport
    transport.abort()
    links.close()


def test_what_takes_requests_may_fail_and_its_link_ends() -> None:
    def fail(link: ServedLink, message: IpcClientMessage) -> None:
        raise ZeroDivisionError

    links = Links(fail)
    with connected(links) as transport:
        send(transport, IpcClientMessage(request_id=2, check_health=IpcCheckHealthRequest()))
        with pytest.raises(TransportClosed):
            transport.receive(Deadline.after(WAIT))
    assert [type(each) for each in links.errors] == [ZeroDivisionError]


def test_a_link_without_a_handshake_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "_FIRST_MESSAGE", 0.01)
    links = Links(nothing)
    transport = links.transport(CONFIG, IpcClientOptions())
    with pytest.raises(TransportClosed):
        transport.receive(Deadline.after(WAIT))
    links.close()


def test_links_are_refused_with_a_reason() -> None:
    links = Links(nothing)
    links.refuse("not today")
    transport = links.transport(CONFIG, IpcClientOptions())
    with pytest.raises(TransportError, match="not today"):
        transport.connect(Deadline.after(WAIT))


def test_a_link_may_be_ended_from_its_own_thread() -> None:
    """Which then waits for itself no more than for others."""
    links: Links

    def end(link: ServedLink, message: IpcClientMessage) -> None:
        links.close()

    links = Links(end)
    with connected(links) as transport:
        send(transport, IpcClientMessage(request_id=2, check_health=IpcCheckHealthRequest()))
        with pytest.raises(TransportClosed) as caught:
            transport.receive(Deadline.after(WAIT))
    assert caught.value.code == 1001


def test_a_subscription_may_be_ended_by_name() -> None:
    """As other clients do it; ``IpcClient`` cancels."""
    fake = FakeIpcClient()
    with connected(fake._fake.links) as transport:
        send(transport, IpcClientMessage(request_id=2, subscribe=IpcSubscribeRequest()))
        assert receive(transport).HasField("subscribed")
        for found in (True, False):
            ending = IpcUnsubscribeRequest(request_id=2)
            send(transport, IpcClientMessage(request_id=3, unsubscribe=ending))
            if found:
                assert receive(transport).subscription_end.reason == "cancelled by the client"
            assert receive(transport).unsubscribe_response.found is found
