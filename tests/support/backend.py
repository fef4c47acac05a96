"""A scripted IPC backend behind in-memory links.

A test says how each operation is answered, holds answers back, hands them out in any order, and
ends links in every way there is::

    backend = ScriptedBackend()
    backend.rule("list_sessions", HOLD)
    with backend.client() as client:
        future = client.futures.list_sessions()
        request = backend.link().request()
        backend.link().answer(request, sessions("a"))

Each link has a thread that reads it, shakes hands and applies the rules; ``ScriptedBackend.close``
ends them all. Everything that waits is bounded by ``WAIT``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from opencode_sync import IpcClient, IpcClientOptions, IpcConfig
from opencode_sync.deadline import Deadline
from opencode_sync.transport.base import Transport, TransportClosed
from opencode_sync.transport.memory import MemoryPeer, memory_link
from opencode_sync.wire import (
    ipc_pb2,
    oc_agent_pb2,
    oc_auth_pb2,
    oc_message_pb2,
    oc_session_pb2,
)

WAIT: Final = 5.0
"""Seconds after which something that should have happened is taken not to have."""

TOKEN: Final = "6f1c2d3e-token-of-the-tests"
CONFIG: Final = IpcConfig(port=4096, auth_token=TOKEN)

Payload = dict[str, Any]
Rule = Callable[[ipc_pb2.IpcClientMessage], "Payload | None"]


def HOLD(request: ipc_pb2.IpcClientMessage) -> Payload | None:
    """The rule that answers nothing."""
    return None


# --- Payloads of answers ---


def sessions(*titles: str) -> Payload:
    """The answer to list_sessions."""
    listed = [oc_session_pb2.OcSessionInfo(id=f"ses_{title}", title=title) for title in titles]
    return {"session_list": oc_session_pb2.OcSessionList(sessions=listed)}


def session(title: str) -> Payload:
    """The answer to create_session."""
    return {"session_info": oc_session_pb2.OcSessionInfo(id="ses_new", title=title)}


def healthy(value: bool = True) -> Payload:
    """The answer to check_health."""
    return {"check_health_response": ipc_pb2.IpcCheckHealthResponse(healthy=value)}


def deleted(value: bool = True) -> Payload:
    """The answer to delete_session."""
    return {"delete_session_response": ipc_pb2.IpcDeleteSessionResponse(success=value)}


def discovered(port: int | None = 5000) -> Payload:
    """The answer to discover_server; None: there is no server."""
    server = None if port is None else ipc_pb2.IpcServerInfo(pid=7, port=port)
    return {"discover_server_response": ipc_pb2.IpcDiscoverServerResponse(server=server)}


def spawned(port: int = 5001) -> Payload:
    """The answer to spawn_server."""
    server = ipc_pb2.IpcServerInfo(pid=8, port=port, owned=True)
    return {"spawn_server_response": ipc_pb2.IpcSpawnServerResponse(server=server)}


def stopped(value: bool = True) -> Payload:
    """The answer to stop_server."""
    return {"stop_server_response": ipc_pb2.IpcStopServerResponse(success=value)}


def agents(*names: str) -> Payload:
    """The answer to list_agents."""
    listed = [oc_agent_pb2.OcAgentInfo(name=name, mode="primary") for name in names]
    return {"agent_list": oc_agent_pb2.OcAgentList(agents=listed)}


def providers(*connected: str) -> Payload:
    """The answer to get_provider_status."""
    return {"provider_status": ipc_pb2.IpcProviderStatus(connected=connected)}


def auth(key: str = "") -> Payload:
    """The answer to set_auth and get_auth."""
    api = oc_auth_pb2.OcApiAuth(type="api", key=key)
    return {"auth_info": oc_auth_pb2.OcAuth(api=api)}


def oauth_status(status: int = ipc_pb2.OAUTH_STATUS_TYPE_API_KEY) -> Payload:
    """The answer to get_oauth_status."""
    answer = ipc_pb2.IpcOAuthStatusResponse()
    answer.status = status  # type: ignore[assignment]  # an open enum
    return {"oauth_status_response": answer}


def synced(*names: str) -> Payload:
    """The answer to sync_auth_keys."""
    results = [ipc_pb2.IpcProviderSyncResult(provider=name) for name in names]
    return {"auth_sync_response": ipc_pb2.IpcAuthSyncResponse(synced=results, duration_ms=3)}


def config(application: str = '{"version": 1}', models: str = '{"providers": []}') -> Payload:
    """The answer to get_config."""
    answer = ipc_pb2.IpcGetConfigResponse(app_config_json=application, models_config_json=models)
    return {"get_config_response": answer}


def updated(reason: str | None = None) -> Payload:
    """The answer to update_config; a reason means that it was refused."""
    answer = ipc_pb2.IpcUpdateConfigResponse(success=reason is None, error=reason)
    return {"update_config_response": answer}


def said(text: str) -> Payload:
    """The answer to send_message."""
    message = oc_message_pb2.OcAssistantMessage(id="msg_1", role="assistant", text=text)
    return {"send_message_response": oc_message_pb2.OcMessage(assistant=message)}


def error(code: int, message: str = "it went wrong") -> Payload:
    """The answer of any operation that failed."""
    refusal = ipc_pb2.IpcErrorResponse(message=message)
    refusal.code = code  # type: ignore[assignment]  # an open enum: numbers it does not know too
    return {"error": refusal}


NO_SERVER: Final = error(ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR, "No OpenCode server connected")
"""How the reference backend says that nothing is bound to the connection."""


def encode(request_id: int, payload: Payload) -> bytes:
    """An answer in wire form."""
    return ipc_pb2.IpcServerMessage(request_id=request_id, **payload).SerializeToString()


def accept(message: ipc_pb2.IpcClientMessage) -> Payload:
    """The verdict on the right token."""
    return {"auth_handshake_response": ipc_pb2.IpcAuthHandshakeResponse(success=True)}


def refuse(message: ipc_pb2.IpcClientMessage) -> Payload:
    """The verdict on a wrong token."""
    return {
        "auth_handshake_response": ipc_pb2.IpcAuthHandshakeResponse(
            success=False, error="Invalid authentication token"
        )
    }


class Link:
    """The backend's end of one link, and what came in on it."""

    def __init__(self, backend: ScriptedBackend, peer: MemoryPeer) -> None:
        self.peer = peer
        self._backend = backend
        self._changed = threading.Condition()  # guards all below; waited on by the test
        self.raw: list[bytes] = []
        """Every message as it came, the handshake included."""
        self.requests: list[ipc_pb2.IpcClientMessage] = []
        """Every request after the handshake."""
        self.goodbye: TransportClosed | None = None
        """How the client ended the link, once it has."""
        self.thread = threading.Thread(target=self._serve, name="scripted-backend", daemon=True)

    # --- What a test does ---

    def request(self, index: int = 0) -> ipc_pb2.IpcClientMessage:
        """Wait for the request with this index; -1 is not supported, for nobody knows the last."""
        self.wait(lambda: len(self.requests) > index, f"request {index}")
        return self.requests[index]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` holds; it is looked at whenever something came in."""
        with self._changed:
            assert self._changed.wait_for(condition, WAIT), f"no {what}; came: {self.requests}"

    def wait_for_end(self) -> TransportClosed:
        """Wait until the client has ended the link and return how."""
        self.wait(lambda: self.goodbye is not None, "end of the link")
        assert self.goodbye is not None
        return self.goodbye

    def answer(self, request: ipc_pb2.IpcClientMessage, payload: Payload) -> None:
        """Answer a request that was held back."""
        self.send(request.request_id, payload)

    def send(self, request_id: int, payload: Payload) -> None:
        """Send an answer under any id."""
        self.peer.send(encode(request_id, payload))

    def operations(self) -> list[str | None]:
        """The names of the operations asked for until now, in order."""
        with self._changed:
            return [request.WhichOneof("payload") for request in self.requests]

    # --- Its thread ---

    def _serve(self) -> None:
        try:
            self._shake_hands()
            while True:
                self._take(self.peer.receive())
        except TransportClosed as closed:
            if closed.clean and self._backend.polite:
                self.peer.close(closed.code or 1000)
            with self._changed:
                self.goodbye = closed
                self._changed.notify_all()

    def _shake_hands(self) -> None:
        data = self.peer.receive()
        message = ipc_pb2.IpcClientMessage.FromString(data)
        with self._changed:
            self.raw.append(data)
            self._changed.notify_all()
        verdict = self._backend.handshake(message)
        if verdict is not None:
            self.send(message.request_id, verdict)

    def _take(self, data: bytes) -> None:
        message = ipc_pb2.IpcClientMessage.FromString(data)
        rule = self._backend.rule_for(message)
        with self._changed:
            self.raw.append(data)
            self.requests.append(message)
            self._changed.notify_all()
        payload = rule(message)
        if payload is not None:
            self.answer(message, payload)


class ScriptedBackend:
    """Makes links, serves them by rules, and remembers everything."""

    def __init__(self) -> None:
        # Guards _links, _rules and _closed; waited on by the test.
        self._changed = threading.Condition()
        self._closed = False
        self._links: list[Link] = []
        self._rules: dict[str, Rule] = {
            "check_health": lambda request: healthy(),
            "list_sessions": lambda request: sessions("one"),
            "create_session": lambda request: session(request.create_session.title),
            "delete_session": lambda request: deleted(),
            "discover_server": lambda request: discovered(),
            "spawn_server": lambda request: spawned(),
            "stop_server": lambda request: stopped(),
            "list_agents": lambda request: agents("build"),
            "get_provider_status": lambda request: providers("anthropic"),
            "set_auth": lambda request: auth(),
            "get_auth": lambda request: auth("sk-...abcd"),
            "get_oauth_status": lambda request: oauth_status(),
            "sync_auth_keys": lambda request: synced("anthropic"),
            "get_config": lambda request: config(),
            "update_config": lambda request: updated(),
            "send_message": lambda request: said(request.send_message.text),
        }
        self.handshake: Rule = accept
        """How the first message is answered; HOLD for not at all."""
        self.refusal: str | None = None
        """When set, nobody listens: connecting fails with this text."""
        self.polite = True
        """Whether a goodbye is returned; a backend that does not makes ``close`` wait a while."""
        self.wrap: Callable[[Transport], Transport] = lambda transport: transport
        """Put around each client's end, for faults of the link itself."""

    # --- What a test says ---

    def rule(self, operation: str, rule: Rule | Payload) -> None:
        """Answer ``operation`` so from now on: a payload, or a function of the request."""
        with self._changed:
            self._rules[operation] = rule if callable(rule) else (lambda request: rule)

    def script(self, operation: str, *steps: Rule | Payload) -> None:
        """Answer ``operation`` with each step in turn; the last one stays."""
        left = list(steps)

        def rule(request: ipc_pb2.IpcClientMessage) -> Payload | None:
            step = left.pop(0) if len(left) > 1 else left[0]
            return step(request) if callable(step) else step

        self.rule(operation, rule)

    def rule_for(self, message: ipc_pb2.IpcClientMessage) -> Rule:
        """Return how a message is answered."""
        with self._changed:
            return self._rules.get(message.WhichOneof("payload") or "", HOLD)

    # --- What a test looks at ---

    @property
    def links(self) -> int:
        """How many links were made."""
        with self._changed:
            return len(self._links)

    def link(self, index: int = 0) -> Link:
        """Wait for the link with this index."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._links) > index, WAIT), (
                f"link {index} was never made"
            )
            return self._links[index]

    # --- The client's side ---

    def factory(self, config: IpcConfig, options: IpcClientOptions) -> Transport:
        """The ``transport_factory`` of clients of this backend."""
        transport, peer = memory_link(config.endpoint, refuse=self.refusal)
        link = Link(self, peer)
        link.thread.start()
        with self._changed:
            self._links.append(link)
            if self._closed:
                peer.drop()
            self._changed.notify_all()
        return self.wrap(transport)

    def client(self, config: Any = CONFIG, **arguments: Any) -> IpcClient:
        """Return a client of this backend, not yet connected."""
        return IpcClient(config, transport_factory=self.factory, **arguments)

    def close(self) -> None:
        """End all links and their threads."""
        with self._changed:
            self._closed = True
            links = list(self._links)
        for link in links:
            link.peer.drop()
        for link in links:
            link.thread.join(WAIT)


class WrappedTransport(Transport):
    """Passes everything on to another transport; the base of those with a fault."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.endpoint = inner.endpoint

    @property
    def last_received_at(self) -> float:  # type: ignore[override]
        return self.inner.last_received_at

    @property
    def on_output_due(self) -> Callable[[], None]:
        return self.inner.on_output_due

    @on_output_due.setter
    def on_output_due(self, callback: Callable[[], None]) -> None:
        self.inner.on_output_due = callback

    def connect(self, deadline: Deadline) -> None:
        self.inner.connect(deadline)

    def receive(self, deadline: Deadline | None = None) -> bytes:
        return self.inner.receive(deadline)

    def send(self, messages: Any) -> None:
        self.inner.send(messages)

    def flush(self, deadline: Deadline) -> bool:
        return self.inner.flush(deadline)

    @property
    def output_due(self) -> bool:
        return self.inner.output_due

    def ping(self) -> None:
        self.inner.ping()

    def close(self, code: int, reason: str, deadline: Deadline) -> None:
        self.inner.close(code, reason, deadline)

    def abort(self) -> None:
        self.inner.abort()

    def dispose(self) -> None:
        self.inner.dispose()


class StallingTransport(WrappedTransport):
    """A link whose peer can stop taking bytes, as one with a full window does."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._changed = threading.Condition()  # guards all below; waited on by flush and tests
        self._stalled = False
        self._aborted = False
        self._writers = 0

    def stall(self) -> None:
        """Take nothing from now on."""
        with self._changed:
            self._stalled = True

    def resume(self) -> None:
        """Take everything again."""
        with self._changed:
            self._stalled = False
            self._changed.notify_all()

    def wait_for_writer(self) -> None:
        """Wait until somebody is stuck in ``flush``."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._writers > 0, WAIT), "nobody writes"

    def flush(self, deadline: Deadline) -> bool:
        with self._changed:
            self._writers += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(
                    lambda: not self._stalled or self._aborted, deadline.remaining()
                )
            finally:
                self._writers -= 1
            if self._aborted:
                raise TransportClosed("the link was aborted")
            if self._stalled:
                return False
        return self.inner.flush(deadline)

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._changed.notify_all()
        super().abort()
