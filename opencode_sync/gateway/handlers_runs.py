"""The requests that wait for a model: they take minutes, and can be cancelled."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import Backend, BackendError, EventSink
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import ipc_pb2

__all__ = ["RUN_HANDLERS", "RunHandler", "run_seconds"]

RunHandler = Callable[
    [
        Backend,
        ipc_pb2.IpcClientMessage,
        ipc_pb2.IpcServerMessage,
        Deadline,
        Cancellation,
        EventSink,
    ],
    None,
]

_LONGEST_SECONDS = 24 * 60 * 60.0


def run_seconds(request: ipc_pb2.IpcClientMessage, usual: float) -> float:
    """Return how long a run may take: what the client asks for, else the usual.

    Raises:
        BackendError: INVALID_MESSAGE: that is no time.
    """
    wanted = request.prompt.timeout_seconds if request.HasField("prompt") else 0.0
    if not math.isfinite(wanted) or wanted < 0:
        raise BackendError(
            ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE,
            f"prompt.timeout_seconds must be a finite number above 0, but is {wanted}; leave it "
            f"out to have the gateway's own",
        )
    return min(wanted, _LONGEST_SECONDS) or usual


def _send_message(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
    cancellation: Cancellation,
    sink: EventSink,
) -> None:
    wanted = request.send_message
    message = backend.send_message(
        wanted.session_id,
        wanted.text,
        model_id=wanted.model_id,
        provider_id=wanted.provider_id,
        agent=wanted.agent if wanted.HasField("agent") else None,
        deadline=deadline,
        cancellation=cancellation,
    )
    answer.send_message_response.CopyFrom(message)


def _prompt(
    backend: Backend,
    request: ipc_pb2.IpcClientMessage,
    answer: ipc_pb2.IpcServerMessage,
    deadline: Deadline,
    cancellation: Cancellation,
    sink: EventSink,
) -> None:
    result = backend.prompt(request.prompt, sink, deadline=deadline, cancellation=cancellation)
    answer.run_result.CopyFrom(result)


RUN_HANDLERS: Mapping[str | None, RunHandler] = {
    "send_message": _send_message,
    "prompt": _prompt,
}
