"""What chaos has found once, step by step, so that it is found at once should it come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from opencode_sync import IpcConnectionError, ReconnectPolicy
from opencode_sync.transport.base import Transport, TransportClosed
from tests.support.backend import HOLD, WAIT, ScriptedBackend, WrappedTransport
from tests.support.leaks import no_leaks


class TakesNoRequest(WrappedTransport):
    """A link that ends right behind the handshake."""

    shaken = False

    def send(self, messages: Sequence[bytes]) -> Any:
        if self.shaken:
            raise TransportClosed("the link has ended")
        self.shaken = True
        super().send(messages)


def test_a_repeated_call_stays_sent_though_its_second_link_takes_nothing() -> None:
    backend = ScriptedBackend()
    made: list[Transport] = []

    def wrap(transport: Transport) -> Transport:
        made.append(transport)
        return TakesNoRequest(transport) if len(made) == 2 else transport

    backend.rule("list_sessions", HOLD)
    backend.wrap = wrap
    policy = ReconnectPolicy(initial_delay=0.0, jitter=0.0, attempts=1)
    with no_leaks():
        with backend.client(reconnect=policy) as client:
            future = client.futures.list_sessions(timeout=WAIT)
            backend.link(0).request()  # the backend has it
            backend.link(0).peer.drop()
            with pytest.raises(IpcConnectionError) as lost:
                future.result(WAIT)
            assert lost.value.request_sent
            assert backend.link(1).requests == []
        backend.close()
