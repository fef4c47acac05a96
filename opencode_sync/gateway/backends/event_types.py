"""Which types of events a subscription asks for; the same for every backend."""

from __future__ import annotations

from collections.abc import Iterable

from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.wire import ipc_pb2

__all__ = ["EventTypes"]

_NOISE = frozenset(
    {
        "server.connected",
        "server.heartbeat",
        "plugin.added",
        "catalog.updated",
        "integration.updated",
        "reference.updated",
        "models-dev.refreshed",
    }
)
"""Of an OpenCode server's own life, dozens of them when it first looks at a folder."""

_SHOWN = 60


class EventTypes:
    """The types of events that are wanted. Immutable."""

    def __init__(self, types: Iterable[str]) -> None:
        """Check them.

        Args:
            types: Names, or beginnings of names that end in ``".*"``; none at all for all types
                but the server's noise.

        Raises:
            BackendError: INVALID_MESSAGE: one can be no type's name.
        """
        types = list(types)
        for each in types:
            if not each.removesuffix(".*").strip() or "*" in each.removesuffix(".*"):
                raise BackendError(
                    ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
                    f"types: {each[:_SHOWN]!a} is no type of events; give names such as "
                    f'"session.updated", or "session.*" for all that begin so',
                )
        self._all = not types
        self._names = frozenset(each for each in types if not each.endswith(".*"))
        self._beginnings = tuple(each[:-1] for each in types if each.endswith(".*"))

    def __contains__(self, name: str) -> bool:
        if self._all:
            return name not in _NOISE
        return name in self._names or name.startswith(self._beginnings)
