"""A gateway in a process of its own that can be killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["KilledGateway", "gateway_to_kill"]

_PATIENCE: Final = 30.0

_GATEWAY: Final = """
import sys, threading
from pathlib import Path
from opencode_sync.gateway import EmbeddedBackend, Gateway, GatewayLimits

class Stuck(EmbeddedBackend):
    asked = threading.Semaphore(0)
    def delete_session(self, session_id, *, deadline):
        self.asked.release()
        threading.Event().wait(600)

database, runtime_file, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
limits = GatewayLimits(max_in_flight=max(64, count + 1))
gateway = Gateway((Stuck if count else EmbeddedBackend)(database), runtime_file=runtime_file,
                  limits=limits)
gateway.start()
print(gateway.port, flush=True)
for _ in range(count):
    Stuck.asked.acquire()
print("full", flush=True)
sys.stdin.read()
"""


class KilledGateway:
    """A gateway in a process of its own, to be killed."""

    def __init__(self, database: Path, runtime_file: Path, stuck: int = 0) -> None:
        """Start it and wait until it serves.

        Args:
            database: Its store.
            runtime_file: Where it leaves port and token.
            stuck: If not 0, no deletion is ever answered, and ``wait_full`` waits for so many.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-c", _GATEWAY, str(database), str(runtime_file), str(stuck)],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        self.port = int(self._output.readline() or "0")

    def wait_full(self) -> None:
        """Wait until the stuck requests are all at work."""
        assert self._output.readline().strip() == "full", "the gateway has ended"

    def kill(self) -> None:
        """Kill it, and wait until it is gone. Idempotent."""
        self._process.kill()
        self._process.wait(_PATIENCE)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._output.close()


@contextmanager
def gateway_to_kill(database: Path, runtime_file: Path, stuck: int = 0) -> Iterator[KilledGateway]:
    """Run one; it is killed with the block at the latest."""
    gateway = KilledGateway(database, runtime_file, stuck)
    try:
        yield gateway
    finally:
        gateway.kill()
