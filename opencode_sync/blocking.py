"""The operations of ``IpcClient`` as blocking calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from opencode_sync import operations
from opencode_sync.cancel import CancelToken
from opencode_sync.operations import Request
from opencode_sync.wire.ipc_pb2 import IpcServerInfo
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo

__all__ = ["BlockingOperations"]

R = TypeVar("R")


class BlockingOperations(ABC):
    """Each operation: make the request, wait for its answer. ``IpcClient`` says how."""

    @abstractmethod
    def _run(self, request: Request[R], timeout: float | None, cancel: CancelToken | None) -> R:
        """Make a blocking call."""

    def health_check(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> bool:
        """Return whether the backend answers and its OpenCode server is healthy.

        Raises nothing for a backend that is unreachable, slow or unhealthy: that is False. Wrong
        use of the client, and a cancelled token, still raise.
        """
        return self._run(operations.health_check(), timeout, cancel)

    def check_server_health(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> bool:
        """Ask the backend for the health of its OpenCode server; raises what goes wrong."""
        return self._run(operations.check_health(), timeout, cancel)

    def discover_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> IpcServerInfo | None:
        """Look for a running OpenCode server and use it; None when there is none."""
        return self._run(operations.discover_server(), timeout, cancel)

    def spawn_server(
        self,
        port: int | None = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> IpcServerInfo:
        """Start an OpenCode server and use it.

        Args:
            port: Where it shall listen; None for any free port.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait.
        """
        return self._run(operations.spawn_server(port), timeout, cancel)

    def stop_server(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> bool:
        """Stop the OpenCode server in use; returns whether it stopped."""
        return self._run(operations.stop_server(), timeout, cancel)

    def list_sessions(
        self, *, timeout: float | None = None, cancel: CancelToken | None = None
    ) -> Sequence[OcSessionInfo]:
        """Return all sessions, the one updated last first."""
        return self._run(operations.list_sessions(), timeout, cancel)

    def create_session(
        self,
        title: str | None = None,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> OcSessionInfo:
        """Create a session and return it.

        Args:
            title: Its title; None lets OpenCode choose one.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the session may be created all the same.
        """
        return self._run(operations.create_session(title), timeout, cancel)

    def delete_session(
        self,
        session_id: str,
        *,
        timeout: float | None = None,
        cancel: CancelToken | None = None,
    ) -> bool:
        """Delete a session; returns False when there is none with this id.

        Args:
            session_id: The id, as ``list_sessions`` gives it.
            timeout: Seconds for the whole call; None for the option's default.
            cancel: Ends the wait; the session may be deleted all the same.
        """
        return self._run(operations.delete_session(session_id), timeout, cancel)
