"""What was called on a ``FakeIpcClient``, and which calls fail."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opencode_sync.call import Call
from opencode_sync.testing.envelope import check_operation, describe, unwrap
from opencode_sync.testing.failures import Failure
from opencode_sync.testing.masking import fields_of
from opencode_sync.wire import ipc_pb2

__all__ = ["CallLog", "FakeCall"]


@dataclass(frozen=True)
class FakeCall:
    """A call that was made on a fake client.

    Attributes:
        operation: What was asked for, by its name in errors and metrics, which is the method's:
            ``"create_session"``; but ``"check_health"`` for ``health_check`` and
            ``check_server_health``, ``"prompt"`` for ``stream_prompt``, ``"subscribe"`` for
            ``events``. Whatever takes an operation takes the methods' names as well.
        fields: What was given, as plain values, with keys and tokens masked.
        directory: The project folder; "" for none.
        request: The payload as it goes over the wire, with what ``fields`` masks.
    """

    operation: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    directory: str = ""
    request: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return describe(self.operation, self.fields, self.directory)


class CallLog:
    """Remembers calls, and how the next are to fail. Any thread may call any method."""

    def __init__(self) -> None:
        self._noted = threading.Condition()  # guards the three below; waited on by tests
        self._made: list[FakeCall] = []
        self._next: dict[str, deque[Failure]] = {}
        self._always: dict[str, Failure] = {}

    def note(self, call: Call[Any]) -> Failure | None:
        """Remember a call; returns what it is to fail with, if it is."""
        request, directory = unwrap(ipc_pb2.IpcClientMessage.FromString(call.request.body))
        payload = getattr(request, request.WhichOneof("payload") or "")
        made = FakeCall(call.operation, fields_of(payload), directory, payload)
        with self._noted:
            self._made.append(made)
            waiting = self._next.get(call.operation)
            failure = waiting.popleft() if waiting else self._always.get(call.operation)
            self._noted.notify_all()
        return failure

    def fail_next(self, operation: str, failure: Failure, times: int) -> None:
        """Have so many calls of an operation fail."""
        name = check_operation(operation)
        with self._noted:
            self._next.setdefault(name, deque()).extend([failure] * times)

    def fail_always(self, operation: str, failure: Failure) -> None:
        """Have all that come then fail."""
        name = check_operation(operation)
        with self._noted:
            self._always[name] = failure

    def stop_failing(self, operation: str) -> None:
        """Have none fail."""
        name = check_operation(operation)
        with self._noted:
            self._next.pop(name, None)
            self._always.pop(name, None)

    def all(self) -> list[FakeCall]:
        """Return all until now, in their order."""
        with self._noted:
            return list(self._made)

    def of(self, operation: str) -> list[FakeCall]:
        """Return those of one operation."""
        name = check_operation(operation)
        return [call for call in self.all() if call.operation == name]

    def wait(self, operation: str, count: int, timeout: float) -> FakeCall:
        """Wait for an operation to be called so often; raises ``TimeoutError``."""
        name = check_operation(operation)
        with self._noted:
            called = self._noted.wait_for(lambda: len(self.of(name)) >= count, timeout)
            made = self.of(name)
        if not called:
            raise TimeoutError(
                f"{name} was called {len(made)} of {count} times within {timeout:g} s; called "
                f"were: {', '.join(map(str, self.all())) or 'none'}"
            )
        return made[count - 1]
