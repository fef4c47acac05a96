"""Round trip of one caller: IpcClient beside a bare loop on websocket-client."""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import websocket

from opencode_sync import IpcClient, IpcConfig
from opencode_sync.wire import ipc_pb2

TOKEN = "benchmark-token-of-no-use"


class BareLoop:
    """The floor of this shape on this library: a reader thread and a dict of futures."""

    def __init__(self, port: int) -> None:
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}/", suppress_origin=True)
        self._futures: dict[int, Future[ipc_pb2.IpcServerMessage]] = {}
        self._ids = itertools.count(2)
        hello = ipc_pb2.IpcClientMessage(request_id=1)
        hello.auth_handshake.token = TOKEN
        self._socket.send_binary(hello.SerializeToString())
        self._socket.recv()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def check_health(self) -> bool:
        """One round trip."""
        request = ipc_pb2.IpcClientMessage(request_id=next(self._ids))
        request.check_health.SetInParent()
        future: Future[ipc_pb2.IpcServerMessage] = Future()
        self._futures[request.request_id] = future
        self._socket.send_binary(request.SerializeToString())
        return future.result(30).check_health_response.healthy

    def close(self) -> None:
        """End it."""
        self._socket.abort()
        self._thread.join()
        self._socket.shutdown()

    def _read(self) -> None:
        try:
            while True:
                message = ipc_pb2.IpcServerMessage.FromString(self._socket.recv())
                self._futures.pop(message.request_id).set_result(message)
        except (websocket.WebSocketException, OSError):
            return


def measure(calls: dict[str, Callable[[], bool]], rounds: int) -> dict[str, list[float]]:
    """Time the contenders in turn, a hundred calls each time; returns seconds per call."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(100):
                start = time.perf_counter()
                if not call():
                    raise SystemExit(f"{name}: a wrong answer")
                times[name].append(time.perf_counter() - start)
    return {name: values[len(values) // 10 :] for name, values in times.items()}  # less warm-up


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="hundreds of calls of each")
    rounds = parser.parse_args().rounds
    responder = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("responder.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert responder.stdin is not None
    assert responder.stdout is not None
    try:
        port = int(responder.stdout.readline())
        bare = BareLoop(port)
        with IpcClient(IpcConfig(port, TOKEN)) as client:
            times = measure(
                {"IpcClient": client.check_server_health, "bare loop": bare.check_health}, rounds
            )
        bare.close()
    finally:
        responder.stdin.close()
        responder.wait(10)
        responder.stdout.close()
    base = statistics.median(times["bare loop"])
    print(f"{'':12}{'p50 µs':>10}{'p90 µs':>10}{'p99 µs':>10}{'p50 / bare loop':>18}")
    for name, values in times.items():
        cuts = statistics.quantiles(values, n=100)
        print(
            f"{name:12}{cuts[49] * 1e6:10.1f}{cuts[89] * 1e6:10.1f}{cuts[98] * 1e6:10.1f}"
            f"{statistics.median(values) / base:18.2f}"
        )


if __name__ == "__main__":
    main()
