"""A client that sends back what it gets, on the transport and the frame reader of the product.

The product takes binary messages only. Here text goes the same way, by a frame reader that calls it
binary and remembers what it was; nothing else is changed.
"""

from __future__ import annotations

from opencode_sync.config import IpcConfig
from opencode_sync.deadline import Deadline
from opencode_sync.options import IpcClientOptions
from opencode_sync.transport.base import TransportClosed, TransportError, TransportProtocolError
from opencode_sync.transport.frames import BINARY, TEXT, FrameReader, encode_frame
from opencode_sync.transport.websocket import WebSocketTransport

__all__ = ["echo"]

_PATIENCE = 120.0
"""Seconds for one whole link; the slowest case takes a tenth of that."""


class _Frames(FrameReader):
    """Lets text pass for binary."""

    kind = BINARY
    """What the newest message was."""

    def next_event(self) -> tuple[int, bytes] | None:
        event = super().next_event()
        if event is not None and event[0] in (TEXT, BINARY):
            self.kind = event[0]
            return BINARY, event[1]
        return event


class _EchoTransport(WebSocketTransport):
    def __init__(self, config: IpcConfig, options: IpcClientOptions) -> None:
        super().__init__(config, options)
        self._frames: _Frames = _Frames(options.max_message_size)

    def send_back(self, message: bytes) -> None:
        self._output.append(encode_frame(self._frames.kind, message))


def echo(port: int) -> TransportError:
    """Connect to a local port and echo until the link ends; returns how it did.

    The link ends as a connection of the product ends it: what was wrong is told, what was closed
    is closed in answer, and then the socket goes.
    """
    deadline = Deadline.after(_PATIENCE)
    transport = _EchoTransport(IpcConfig(port, "unused"), IpcClientOptions())

    def flush() -> None:
        transport.flush(deadline)

    transport.on_output_due = flush
    try:
        transport.connect(deadline)
        while True:
            transport.send_back(transport.receive(deadline))
            flush()
    except TransportError as end:
        if isinstance(end, TransportProtocolError):
            transport.close(end.code, "", deadline)
        elif isinstance(end, TransportClosed) and end.clean:
            transport.close(1000 if end.code is None else end.code, "", deadline)
        return end
    finally:
        transport.abort()
        transport.dispose()
