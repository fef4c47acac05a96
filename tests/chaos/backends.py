"""Backends that remember what they were asked, one behind each kind of link.

Every request carries a text of its own, a nonce, which comes back in its answer: that is how the
model knows whose answer a caller got, and how often the backend acted.
"""

from __future__ import annotations

import threading
from collections import Counter

from google.protobuf.message import DecodeError

from opencode_sync import IpcClientOptions, IpcConfig
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import Backend
from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.transport.base import Transport, TransportError
from opencode_sync.transport.memory import MemoryPeer, memory_link
from opencode_sync.wire import (
    ext_event_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_message_pb2,
    oc_session_pb2,
)

TOKEN = "chaos-token-0123456789abcdef"
CONFIG = IpcConfig(port=4096, auth_token=TOKEN)
DELTAS = 3
"""Pieces of a run's text."""
_PATIENCE = 10.0


class Seen:
    """How often each nonce was acted on. Any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _counts
        self._counts: Counter[str] = Counter()

    def note(self, nonce: str) -> None:
        with self._lock:
            self._counts[nonce] += 1

    def counts(self) -> Counter[str]:
        with self._lock:
            return Counter(self._counts)


def session(nonce: str) -> oc_session_pb2.OcSessionInfo:
    return oc_session_pb2.OcSessionInfo(id=f"ses_{nonce}", title=nonce)


def delta(nonce: str) -> ext_event_pb2.IpcEvent:
    """A piece of a run's text."""
    piece = ext_event_pb2.IpcDelta(session_id="ses_1", part_type="text", text=nonce)
    return ext_event_pb2.IpcEvent(type="message.part.delta", session_id="ses_1", delta=piece)


def run_result(nonce: str) -> ext_prompt_pb2.IpcRunResult:
    """The end of a run."""
    said = oc_message_pb2.OcAssistantMessage(id="msg_1", session_id="ses_1", text=nonce)
    return ext_prompt_pb2.IpcRunResult(
        session_id="ses_1", messages=[oc_message_pb2.OcMessage(assistant=said)], finish="stop"
    )


class MemoryBackend:
    """Answers over links in memory, on a thread for each."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.refusing = False
        """Whether new links are refused."""
        self._changed = threading.Lock()  # guards the attributes below
        self._peers: list[MemoryPeer] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    def factory(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        """The ``transport_factory`` of its clients."""
        refusal = "nobody listens" if self.refusing else None
        transport, peer = memory_link(config.endpoint, refuse=refusal)
        thread = threading.Thread(
            target=self._serve, args=(peer,), name="chaos-backend", daemon=True
        )
        with self._changed:
            self._peers.append(peer)
            self._threads.append(thread)
            if self._closed:
                peer.drop()
            thread.start()
        return transport

    def end_links(self, code: int | None) -> None:
        """End all links: politely with a code, or without a word."""
        with self._changed:
            peers, self._peers = self._peers, []
        for peer in peers:
            if code is None:
                peer.drop()
            else:
                peer.close(code)

    def close(self) -> None:
        """End all links and threads."""
        with self._changed:
            self._closed = True
            threads = list(self._threads)
        self.end_links(None)
        for thread in threads:
            thread.join(_PATIENCE)

    def _serve(self, peer: MemoryPeer) -> None:
        try:
            while True:
                try:
                    request = ipc_pb2.IpcClientMessage.FromString(peer.receive())
                except DecodeError:
                    continue  # a byte of it was changed on its way
                for answer in self._answers(request):
                    answer.request_id = request.request_id
                    peer.send(answer.SerializeToString())
        except TransportError:
            peer.drop()

    def _answers(self, request: ipc_pb2.IpcClientMessage) -> list[ipc_pb2.IpcServerMessage]:
        answer = ipc_pb2.IpcServerMessage()
        match request.WhichOneof("payload"):
            case "auth_handshake":
                answer.auth_handshake_response.success = True
            case "create_session":
                nonce = request.create_session.title
                self.seen.note(nonce)
                answer.session_info.CopyFrom(session(nonce))
            case "get_session":
                nonce = request.get_session.session_id.removeprefix("ses_")
                self.seen.note(nonce)
                answer.session_info.CopyFrom(session(nonce))
            case "prompt":
                nonce = request.prompt.text
                self.seen.note(nonce)
                answer.run_result.CopyFrom(run_result(nonce))
                return [*(_push(delta(nonce)) for _ in range(DELTAS)), answer]
            case "subscribe":
                answer.subscribed.SetInParent()
                return [answer, _push(delta("news")), _push(delta("news"))]
            case "cancel":
                answer.cancel_response.found = False
            case _:
                answer.error.code = ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED
                answer.error.message = "no such operation"
        return [answer]


def _push(event: ext_event_pb2.IpcEvent) -> ipc_pb2.IpcServerMessage:
    return ipc_pb2.IpcServerMessage(event=ext_event_pb2.IpcEventPush(event=event))


class _Subscription:
    """One that has nothing more to say."""

    def close(self) -> None:
        """Nothing to end."""


class GatewayBackend(Backend):
    """The same behind a gateway."""

    name = "chaos"

    def __init__(self) -> None:
        self.seen = Seen()

    @property
    def description(self) -> str:
        return "the backend of the chaos suite"

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to close."""

    def discover_server(self, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo | None:
        return None

    def spawn_server(self, port: int | None, *, deadline: Deadline) -> ipc_pb2.IpcServerInfo:
        return ipc_pb2.IpcServerInfo(pid=1, port=port or 1)

    def stop_server(self, *, deadline: Deadline) -> bool:
        return False

    def check_health(self, *, deadline: Deadline) -> bool:
        return True

    def list_sessions(self, *, deadline: Deadline) -> list[oc_session_pb2.OcSessionInfo]:
        return []

    def create_session(
        self, title: str | None, *, deadline: Deadline
    ) -> oc_session_pb2.OcSessionInfo:
        self.seen.note(title or "")
        return session(title or "")

    def get_session(self, session_id: str, *, deadline: Deadline) -> oc_session_pb2.OcSessionInfo:
        nonce = session_id.removeprefix("ses_")
        self.seen.note(nonce)
        return session(nonce)

    def delete_session(self, session_id: str, *, deadline: Deadline) -> bool:
        return False

    def subscribe(
        self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> _Subscription:
        sink.opened()
        for _ in range(2):
            sink.event(delta("news"))
        return _Subscription()

    def prompt(
        self,
        request: ext_prompt_pb2.IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> ext_prompt_pb2.IpcRunResult:
        self.seen.note(request.text)
        for _ in range(DELTAS):
            sink.event(delta(request.text))
        return run_result(request.text)
