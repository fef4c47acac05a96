"""One proxied connection, driven by hand: how it begins and ends where a system is unkind."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from opencode_sync.testing import Fault, FaultPlan
from opencode_sync.testing.link import ProxiedLink
from opencode_sync.testing.plan import Journal
from tests.unit.testing.wire import Backend


@pytest.fixture
def client(_leaves_nothing: None) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        yield ours


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as made:
        yield made


def link(
    client: socket.socket, backend: tuple[str, int], selector: selectors.BaseSelector
) -> ProxiedLink:
    return ProxiedLink(
        1,
        client,
        backend,
        selector=selector,
        websocket=True,
        plan=lambda: FaultPlan(seed=1),
        journal=Journal(),
    )


def test_a_backend_that_is_refused_at_once_is_told_to_whoever_asks(
    client: socket.socket, selector: selectors.BaseSelector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some systems do, while others need a moment to know."""
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, address: 111)
    with pytest.raises(OSError, match="cannot be reached"):
        link(client, ("127.0.0.1", 1024), selector)
    assert client.fileno() != -1  # is still its owner's


def test_a_port_that_is_none_leaves_nothing_open(
    client: socket.socket, selector: selectors.BaseSelector
) -> None:
    with pytest.raises(OverflowError):
        link(client, ("127.0.0.1", 70_000), selector)


def test_what_was_seen_before_the_end_does_not_count_after_it(
    client: socket.socket, selector: selectors.BaseSelector
) -> None:
    with Backend() as backend:
        made = link(client, backend.address, selector)
        backend.accept()
        made.advance(time.monotonic())
        ready = selector.select(5.0)
        for key, events in ready:
            made.ready(key.fileobj, events, time.monotonic())
        assert made.inject(Fault.reset())
        assert made.advance(time.monotonic()) is False
        for key, events in ready:
            made.ready(key.fileobj, events, time.monotonic())
        assert made.inject(Fault.reset()) is False
        assert not selector.get_map()
