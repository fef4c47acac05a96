"""``python -m benchmarks.metrics_cost``: what being watched costs, and what a refused call costs.

The same client on the same responder, by turns: without anything, and with each recorder. Then one
whose backend is gone and whose policy is to fail fast: how long a call takes to be refused. The
exit code is 1 if metrics in memory cost more than 5 %. On a busy machine keep client and responder
on one processor (``taskset -c 1 python -m ...``), or where they happen to run decides.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from benchmarks.__main__ import responder
from benchmarks.contenders.ipc_client import Client
from benchmarks.machine import describe_machine
from benchmarks.report import as_table
from benchmarks.samples import Figure
from benchmarks.wire import TOKEN
from opencode_sync import (
    ConnectionState,
    InMemoryMetrics,
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    OpenTelemetryMetrics,
    ReconnectPolicy,
)
from opencode_sync.transport.memory import MemoryPeer, MemoryTransport, memory_link
from opencode_sync.wire import ipc_pb2

__all__ = ["main", "refused"]

OFF: Final = "off"
IN_MEMORY: Final = "metrics in memory"
_MOST: Final = 1.05
_REFUSALS: Final = 200
_WARM_UP: Final = 3
_CALLS: Final = 10
_PATIENCE: Final = 30.0


class Watched(Client):
    """``IpcClient`` with something that watches it."""

    def __init__(self, port: int, name: str, **watch: Any) -> None:
        self.name = name
        self._use(IpcClient(IpcConfig(port, TOKEN), **watch))


def watched(port: int) -> list[Watched]:
    """Return the contenders."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    meters = MeterProvider([InMemoryMetricReader()])
    return [
        Watched(port, OFF),
        Watched(port, IN_MEMORY, metrics=InMemoryMetrics()),
        Watched(port, "OpenTelemetry metrics", metrics=OpenTelemetryMetrics(meters)),
    ]


def round_trips(contenders: Sequence[Watched], rounds: int) -> Figure:
    """Time single calls; the turns are short, so that what else the machine does hits all alike."""
    figure = Figure("round-trip", "Round trip, one caller", "µs")
    for number in range(rounds):
        for place in range(len(contenders)):
            contender = contenders[(number + place) % len(contenders)]
            call, samples = contender.check_health, []
            for _ in range(_WARM_UP):  # the one before has had the processor's caches
                call()
            for _ in range(_CALLS):
                started = time.perf_counter()
                call()
                samples.append((time.perf_counter() - started) * 1e6)
            figure.add(contender.name, samples)
    return figure


def refused(rounds: int) -> Figure:
    """Time calls while the backend is known to be down."""
    peers: list[MemoryPeer] = []

    def make(config: object, options: object) -> MemoryTransport:
        transport, peer = memory_link()
        peers.append(peer)
        welcome = ipc_pb2.IpcAuthHandshakeResponse(success=True)
        answer = ipc_pb2.IpcServerMessage(request_id=1, auth_handshake_response=welcome)
        peer.send(answer.SerializeToString())
        return transport

    figure = Figure("refused", "A call while the backend is down, fail fast", "µs")
    never = ReconnectPolicy(initial_delay=3600, maximum_delay=3600, wait_while_down=False)
    config = IpcConfig(4096, TOKEN)  # any port: nobody dials it
    with IpcClient(config, reconnect=never, transport_factory=make) as client:
        peers[0].drop()
        assert client.wait_for_state(ConnectionState.FAILED, _PATIENCE)
        for _ in range(rounds):
            samples = []
            for _ in range(_REFUSALS):
                started = time.perf_counter()
                try:
                    client.check_server_health()
                except IpcConnectionError:
                    samples.append((time.perf_counter() - started) * 1e6)
            assert len(samples) == _REFUSALS
            figure.add("IpcClient", samples)
    assert len(peers) == 1, "a refused call must not be an attempt"
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=1000, help="of 10 calls of each contender")
    rounds: int = parser.parse_args(arguments).rounds
    with ExitStack() as stack:
        ports = stack.enter_context(responder(1))
        contenders = watched(ports["websocket"])
        for contender in contenders:
            stack.callback(contender.close)
        figure = round_trips(contenders, rounds)
    print("\n".join(f"{name}: {value}" for name, value in describe_machine().items()))
    print(f"\n{as_table(figure)}")
    for contender in contenders[1:]:
        ratio, spread = figure.ratio(contender.name, OFF), figure.spread(contender.name, OFF)
        assert ratio is not None
        shown = "" if spread is None else f" (quartiles {spread[0]:.3f} to {spread[1]:.3f})"
        print(f"{contender.name} / {OFF}: {ratio:.3f}{shown}")
    print(f"\n{as_table(refused(rounds=10))}")
    most = figure.ratio(IN_MEMORY, OFF)
    assert most is not None
    return 0 if most <= _MOST else 1


if __name__ == "__main__":
    sys.exit(main())
