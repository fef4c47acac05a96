"""``client.futures``: the operations for callers who do not want to wait."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

from opencode_sync import operations
from opencode_sync.cancel import CancelToken
from opencode_sync.operations import Request
from opencode_sync.wire.ipc_pb2 import IpcServerInfo
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["IpcFutures"]

R = TypeVar("R")


class _Begin(Protocol):
    def __call__(
        self, request: Request[R], timeout: float | None, cancel: CancelToken | None
    ) -> Future[R]: ...


class IpcFutures:
    """The operations of ``IpcClient``, each returning a ``concurrent.futures.Future`` at once.

    One thread can have any number of requests on their way: ``concurrent.futures.wait`` and
    ``as_completed`` take these futures. They end in time without anybody waiting, with the errors
    the blocking calls raise; wrong arguments raise at once. ``cancel()`` works until the answer is
    there. Done-callbacks run on the client's notifier thread, one after another.
    """

    def __init__(self, begin: _Begin) -> None:
        self._begin = begin

    def health_check(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[bool]:
        """See ``IpcClient.health_check``."""
        return self._begin(operations.health_check(), timeout, cancel)

    def check_server_health(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[bool]:
        """See ``IpcClient.check_server_health``."""
        return self._begin(operations.check_health(), timeout, cancel)

    def discover_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[IpcServerInfo | None]:
        """See ``IpcClient.discover_server``."""
        return self._begin(operations.discover_server(), timeout, cancel)

    def spawn_server(
        self,
        port: int | None = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[IpcServerInfo]:
        """See ``IpcClient.spawn_server``."""
        return self._begin(operations.spawn_server(port), timeout, cancel)

    def stop_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[bool]:
        """See ``IpcClient.stop_server``."""
        return self._begin(operations.stop_server(), timeout, cancel)

    def list_sessions(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Future[Sequence[OcSessionInfo]]:
        """See ``IpcClient.list_sessions``."""
        return self._begin(operations.list_sessions(), timeout, cancel)

    def create_session(
        self,
        title: str | None = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[OcSessionInfo]:
        """See ``IpcClient.create_session``."""
        return self._begin(operations.create_session(title), timeout, cancel)

    def delete_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> Future[bool]:
        """See ``IpcClient.delete_session``."""
        return self._begin(operations.delete_session(session_id), timeout, cancel)
