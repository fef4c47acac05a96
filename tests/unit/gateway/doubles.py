"""A backend that does as the test says, and peers that speak the protocol by hand."""

from __future__ import annotations

import contextlib
import copy
import struct
import threading
from collections.abc import Callable
from typing import Any

import websocket

from opencode_sync.deadline import Deadline
from opencode_sync.gateway import Backend, Gateway
from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.handlers_runs import RUN_HANDLERS
from opencode_sync.gateway.link import Link
from opencode_sync.transport.base import TransportClosed, TransportTimeout
from opencode_sync.transport.memory import MemoryTransport
from opencode_sync.wire import (
    ext_event_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_message_pb2,
    oc_session_pb2,
)

PATIENCE = 10.0
"""Seconds after which a test takes a thing for never happening."""


def session(number: int, title: str = "") -> oc_session_pb2.OcSessionInfo:
    return oc_session_pb2.OcSessionInfo(id=f"ses_{number}", title=title or f"session {number}")


def server() -> ipc_pb2.IpcServerInfo:
    return ipc_pb2.IpcServerInfo(
        pid=7, port=4096, base_url="http://127.0.0.1:4096", name="opencode"
    )


class ScriptedBackend(Backend):
    """Each operation does what ``script`` holds under its name, else a small default."""

    name = "scripted"

    def __init__(self) -> None:
        self.script: dict[str, Callable[..., Any]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.starts = 0
        self.closes = 0
        self.sessions_size = 0
        self.lock = threading.Lock()  # guards calls

    @property
    def description(self) -> str:
        return "a scripted backend"

    def start(self) -> None:
        self.starts += 1
        self._do("start", lambda: None)

    def close(self) -> None:
        self.closes += 1
        self._do("close", lambda: None)

    def _do(self, name: str, default: Callable[..., Any], *arguments: Any) -> Any:
        with self.lock:
            self.calls.append((name, *arguments))
        return self.script.get(name, default)(*arguments)

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        return self._do("discover_server", lambda: None)

    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        return self._do("spawn_server", lambda port: server(), port)

    def stop_server(self, *, deadline: Deadline) -> bool:
        return self._do("stop_server", lambda: True)

    def check_health(self, *, deadline: Deadline) -> bool:
        return self._do("check_health", lambda: True)

    def list_sessions(self, *, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
        return self._do("list_sessions", lambda: [session(2), session(1)])

    def list_size(self) -> int:
        return self.sessions_size

    def create_session(
        self, title: str | None, *, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        return self._do("create_session", lambda title: session(3, title or "untitled"), title)

    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        return self._do("delete_session", lambda session_id: True, session_id)


class Stream:
    """A subscription as the backend has it; the test brings the events."""

    def __init__(self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink) -> None:
        self.request = request
        self.sink = sink
        self.closed = threading.Event()
        self.lock = threading.Lock()  # held while the sink is called

    def push(self, event: ext_event_pb2.IpcEvent) -> None:
        with self.lock:
            if not self.closed.is_set():
                self.sink.event(event)

    def end(self, reason: str) -> None:
        with self.lock:
            if not self.closed.is_set():
                self.closed.set()
                self.sink.ended(reason)

    def close(self) -> None:
        with self.lock:
            self.closed.set()


class StreamingBackend(ScriptedBackend):
    """Has folders, subscriptions and runs as well. A view of it shares all but the folder."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = ""
        self.streams: list[Stream] = []

    def in_directory(self, directory: str) -> StreamingBackend:
        view = copy.copy(self)
        view.directory = directory
        return view

    def _do(self, name: str, default: Callable[..., Any], *arguments: Any) -> Any:
        if self.directory:
            with self.lock:
                self.calls.append(("in", self.directory))
        return super()._do(name, default, *arguments)

    def subscribe(
        self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> Stream:
        stream = Stream(request, sink)
        self.streams.append(stream)
        self._do("subscribe", lambda stream: stream.sink.opened(), stream)
        return stream

    def publish(self, text: str) -> None:
        """Bring an event to all that are subscribed, one after the other, as a hub does."""
        event = ext_event_pb2.IpcEvent(type=text)
        for stream in list(self.streams):
            stream.push(event)

    def send_message(
        self,
        session_id: str,
        text: str,
        *,
        model_id: str,
        provider_id: str,
        agent: str | None,
        deadline: Deadline,
        cancellation: Cancellation | None = None,
    ) -> oc_message_pb2.OcMessage:
        return self._do(
            "send_message",
            lambda text, cancellation: oc_message_pb2.OcMessage(
                assistant=oc_message_pb2.OcAssistantMessage(id="msg_1", text=text)
            ),
            text,
            cancellation,
        )

    def prompt(
        self,
        request: ext_prompt_pb2.IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> ext_prompt_pb2.IpcRunResult:
        return self._do(
            "prompt",
            lambda request, sink, cancellation: ext_prompt_pb2.IpcRunResult(finish=request.text),
            request,
            sink,
            cancellation,
        )


class Run:
    """A scripted run that goes on until it is cancelled, or the test ends it."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.over = Cancellation()
        self.sinks: list[EventSink] = []
        self.reasons: list[str] = []

    def __call__(self, request: Any, sink: EventSink, cancellation: Cancellation) -> Any:
        self.sinks.append(sink)
        enough = threading.Event()
        cancellation.on_cancel(enough.set)
        forget = self.over.on_cancel(enough.set)
        self.entered.release()
        assert enough.wait(PATIENCE)
        forget()
        result = ext_prompt_pb2.IpcRunResult(finish=request.text)
        if cancellation.cancelled:
            self.reasons.append(cancellation.reason)
            result.failure.kind = "cancelled"
        return result

    def wait_entered(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)

    def end(self) -> None:
        self.over.cancel("the test is over")


class RecordingLink(Link):
    """A link that keeps what is sent, and has room as long as the test says."""

    def __init__(self) -> None:
        self.sent: list[ipc_pb2.IpcServerMessage] = []
        self.room = True
        self.alive = True
        self.aborted = threading.Event()

    def open(self, deadline: Deadline) -> None: ...

    def trust(self) -> None: ...

    def receive(self, deadline: Deadline) -> bytes | None:
        raise TransportClosed("nobody is there")

    def wait_for_room(self) -> None: ...

    def send(self, message: bytes) -> bool:
        return self.offer(message, urgent=True)

    def offer(self, message: bytes, *, urgent: bool = False) -> bool:
        if self.alive and (self.room or urgent):
            self.sent.append(ipc_pb2.IpcServerMessage.FromString(message))
            return True
        return False

    def nudge(self) -> bool:
        return self.alive

    def close(self, code: int, reason: str, deadline: Deadline) -> None: ...

    def abort(self) -> None:
        self.aborted.set()

    def dispose(self) -> None: ...


def answer_of(
    dispatcher: Dispatcher, request: ipc_pb2.IpcClientMessage
) -> ipc_pb2.IpcServerMessage:
    """Have a request answered, in the way of its kind."""
    if request.WhichOneof("payload") in RUN_HANDLERS:
        pushes = dispatcher.pushes(RecordingLink(), request, lambda reason: None)
        answer = dispatcher.run(request, cancellation=Cancellation(), pushes=pushes)
    else:
        answer = dispatcher.answer(request)
    return ipc_pb2.IpcServerMessage.FromString(answer)


class Held:
    """A scripted operation that waits until the test lets it go."""

    def __init__(self, result: Any = True) -> None:
        self.entered = threading.Semaphore(0)
        self.released = threading.Event()
        self.result = result

    def __call__(self, *arguments: Any) -> Any:
        self.entered.release()
        assert self.released.wait(PATIENCE)
        return self.result

    def wait_entered(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)


class Closed(Exception):
    """The gateway ended the connection; ``code`` is None when it gave none."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


def request(request_id: int, operation: str | None, /, **fields: Any) -> ipc_pb2.IpcClientMessage:
    message = ipc_pb2.IpcClientMessage(request_id=request_id)
    if operation is not None:
        payload = getattr(message, operation)
        payload.SetInParent()
        for name, value in fields.items():
            setattr(payload, name, value)
    return message


def scoped(
    request_id: int, directory: str, inner: ipc_pb2.IpcClientMessage
) -> ipc_pb2.IpcClientMessage:
    """Return a request about the project in a folder."""
    message = ipc_pb2.IpcClientMessage(request_id=request_id)
    message.scoped.directory = directory
    message.scoped.request = inner.SerializeToString()
    return message


class Peer:
    """One connection to a gateway, without any client in between."""

    def send_bytes(self, data: bytes) -> None:
        raise NotImplementedError

    def receive_bytes(self, timeout: float = PATIENCE) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def send(self, request_id: int, operation: str | None, /, **fields: Any) -> None:
        self.send_bytes(request(request_id, operation, **fields).SerializeToString())

    def receive(self, timeout: float = PATIENCE) -> ipc_pb2.IpcServerMessage:
        return ipc_pb2.IpcServerMessage.FromString(self.receive_bytes(timeout))

    def ask(self, request_id: int, operation: str | None, /, **fields: Any) -> Any:
        self.send(request_id, operation, **fields)
        return self.receive()

    def authenticate(self, token: str) -> ipc_pb2.IpcServerMessage:
        return self.ask(1, "auth_handshake", token=token)

    def end(self) -> Closed:
        """Wait for the gateway's end of it; fails if a message comes first."""
        try:
            message = self.receive()
        except Closed as closed:
            return closed
        raise AssertionError(f"expected the end, got {message}")


class WebSocketPeer(Peer):
    def __init__(self, gateway: Gateway, **options: Any) -> None:
        options.setdefault("suppress_origin", True)
        self.ws = websocket.create_connection(gateway.endpoint, timeout=PATIENCE, **options)

    def send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self.ws.send_binary(data)

    def receive_bytes(self, timeout: float = PATIENCE) -> bytes:
        self.ws.settimeout(timeout)
        try:
            opcode, data = self.ws.recv_data()
        except websocket.WebSocketTimeoutException:
            raise TimeoutError from None
        except (OSError, websocket.WebSocketException):
            raise Closed(None) from None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise Closed(struct.unpack("!H", data[:2])[0] if data else None)
        assert opcode == websocket.ABNF.OPCODE_BINARY
        return data

    def close(self) -> None:
        self.ws.shutdown()


class MemoryPeerOfGateway(Peer):
    def __init__(self, gateway: Gateway) -> None:
        self.transport: MemoryTransport = gateway.connect_in_memory()
        self.transport.connect(Deadline.after(PATIENCE))

    def send_bytes(self, data: bytes) -> None:
        self.transport.send([data])
        with contextlib.suppress(TransportClosed):
            self.transport.flush(Deadline.after(PATIENCE))

    def receive_bytes(self, timeout: float = PATIENCE) -> bytes:
        try:
            return self.transport.receive(Deadline.after(timeout))
        except TransportTimeout:
            raise TimeoutError from None
        except TransportClosed as closed:
            raise Closed(closed.code) from None

    def close(self) -> None:
        self.transport.abort()


KINDS: dict[str, Callable[[Gateway], Peer]] = {
    "websocket": WebSocketPeer,
    "memory": MemoryPeerOfGateway,
}
