"""A transport around another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from opencode_sync.transport.base import Transport

if TYPE_CHECKING:
    from opencode_sync.deadline import Deadline

__all__ = ["WrappingTransport"]


class WrappingTransport(Transport):
    """Hands everything on to another transport; who extends it does more in some steps."""

    def __init__(self, inner: Transport) -> None:
        """Wrap a transport that is not connected yet."""
        self.endpoint = inner.endpoint
        self._inner = inner

    @property
    def last_received_at(self) -> float:  # type: ignore[override]  # it is only read
        """See ``Transport``."""
        return self._inner.last_received_at

    @property
    def on_output_due(self) -> Callable[[], None]:
        """Handed on to the inner transport."""
        return self._inner.on_output_due

    @on_output_due.setter
    def on_output_due(self, callback: Callable[[], None]) -> None:
        self._inner.on_output_due = callback

    def connect(self, deadline: Deadline) -> None:
        self._inner.connect(deadline)

    def receive(self, deadline: Deadline | None = None) -> bytes:
        return self._inner.receive(deadline)

    def send(self, messages: Sequence[bytes]) -> None:
        self._inner.send(messages)

    def flush(self, deadline: Deadline) -> bool:
        return self._inner.flush(deadline)

    @property
    def output_due(self) -> bool:
        return self._inner.output_due

    def ping(self) -> None:
        self._inner.ping()

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self._inner.close(code, reason, deadline)

    def abort(self) -> None:
        self._inner.abort()

    def dispose(self) -> None:
        self._inner.dispose()
