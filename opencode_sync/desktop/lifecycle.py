"""Connecting, moving to another backend, and ending: what waits, on threads made for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opencode_sync import IpcClient, IpcConfig, IpcConfigProvider
from opencode_sync.desktop.local_gateway import GatewayKind, make_gateway
from opencode_sync.desktop.target import Target
from opencode_sync.errors import IpcUsageError

if TYPE_CHECKING:
    from opencode_sync.gateway import Gateway

__all__ = ["Lifecycle"]

_THREADS: Final = 4
"""An attempt, the wish that supersedes it, and two for who is in a hurry."""

_STOP_SECONDS: Final = 2.0
"""What a gateway's requests in flight get to end; OpenCode's own end comes on top."""


class Lifecycle:
    """Does what takes long with a client, and with a gateway of the window's own.

    Any thread may call any method; each returns at once with a future.
    """

    def __init__(
        self,
        client: IpcClient,
        target: Target,
        directory: Path | None,
    ) -> None:
        """Remember whom it is about.

        Args:
            client: Is connected and closed here.
            target: Tells the client where to go.
            directory: The project of a gateway that is started; None for the current folder.
        """
        self._client = client
        self._target = target
        self._directory = directory
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="opencode-sync-desktop")
        self._lock = threading.Lock()  # guards what follows; never held while waiting
        self._choice = 0  # the newest; an older one changes nothing any more
        self._attempt: Future[None] | None = None  # the newest; it may have ended
        self._gateway: Gateway | None = None
        self._end: Future[None] | None = None

    def connect(self) -> Future[None]:
        """Connect unless connected. An attempt that has not ended, of any kind, is this one."""
        with self._lock:
            if self._attempt is not None and not self._attempt.done():
                return self._attempt
            return self._begin(self._client.connect)

    def move_to(self, config: IpcConfig) -> Future[None]:
        """Connect somewhere else. It supersedes what was wanted before."""
        return self._choose(lambda choice: self._move_to(choice, config, None))

    def look_again(self) -> Future[None]:
        """Ask anew what was asked at the start, and connect to what it says.

        Where it says nothing, all stays as it is.
        """
        return self._choose(self._look_again)

    def start_gateway(self, kind: GatewayKind) -> Future[None]:
        """Start a gateway and connect to it. It supersedes what was wanted before."""
        return self._choose(lambda choice: self._start_gateway(choice, kind))

    def _choose(self, job: Callable[[int], None]) -> Future[None]:
        with self._lock:
            self._choice += 1
            choice, former = self._choice, self._attempt
            attempt = self._begin(lambda: job(choice))
        if former is not None:
            former.cancel()  # it may still wait for a thread; once begun, the job itself ends it
        return attempt

    def close(self) -> Future[None]:
        """Disconnect, and end the gateway. Idempotent."""
        with self._lock:
            if self._end is None:
                # A thread of its own: it has to end what those of the pool may be waiting for.
                ending = ThreadPoolExecutor(1, thread_name_prefix="opencode-sync-desktop-end")
                self._end = ending.submit(self._close)
                ending.shutdown(wait=False)
                self._pool.shutdown(wait=False, cancel_futures=True)
            return self._end

    def _begin(self, job: Callable[[], None]) -> Future[None]:
        """Have a thread do it. The caller holds the lock."""
        if self._end is None:
            self._attempt = self._pool.submit(job)
            return self._attempt
        refused: Future[None] = Future()
        refused.set_exception(_closed())
        return refused

    # --- On threads of the pool ---

    def _look_again(self, choice: int) -> None:
        provider = self._target.first
        self._move_to(choice, provider.get_config(), None, provider)

    def _move_to(
        self,
        choice: int,
        config: IpcConfig,
        gateway: Gateway | None,
        provider: IpcConfigProvider | None = None,
    ) -> None:
        former = self._adopt(choice, gateway, config, provider)
        self._client.close()  # which also ends an attempt that another thread waits for
        if former is not None:
            _stop(former)
        self._check(choice)  # or it would wait for a newer one's attempt, and take its thread
        self._client.connect()

    def _start_gateway(self, choice: int, kind: GatewayKind) -> None:
        gateway = make_gateway(kind, self._directory)
        former = self._adopt(choice, gateway, None)
        if former is not None:
            self._client.close()
            _stop(former)
        gateway.start()
        self._move_to(choice, IpcConfig(gateway.port, gateway.auth_token), gateway)

    def _adopt(
        self,
        choice: int,
        gateway: Gateway | None,
        config: IpcConfig | None,
        provider: IpcConfigProvider | None = None,
    ) -> Gateway | None:
        """Note which gateway is ours to end, and where to connect to, if that is known yet.

        Returns:
            The gateway before, which is now the caller's to stop.

        Raises:
            IpcUsageError: the end has come, or another choice was made meanwhile.
        """
        with self._lock:
            self._check(choice)
            former, self._gateway = self._gateway, gateway
            if config is not None:
                self._target.set_config(config, provider)
        return None if former is gateway else former

    def _check(self, choice: int) -> None:
        """Go on only with the newest choice. Takes no lock: a look at two attributes."""
        if self._end is not None:
            raise _closed()
        if choice != self._choice:
            raise IpcUsageError("another backend was chosen meanwhile")

    def _close(self) -> None:
        with self._lock:
            gateway, self._gateway = self._gateway, None
        # First, so that what begins an attempt after this moment has it ended by itself.
        self._target.close()
        self._client.close()
        if gateway is not None:
            _stop(gateway)
        self._pool.shutdown()  # nothing there has anything left to wait for


def _stop(gateway: Gateway) -> None:
    # First, for that frees a start which waits for OpenCode, and the stop would wait for that.
    gateway.backend.close()
    gateway.stop(_STOP_SECONDS)


def _closed() -> IpcUsageError:
    return IpcUsageError("the window closes; nothing is begun any more")
