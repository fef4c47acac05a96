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
    ext_event_pb2,
    ext_operations_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_agent_pb2,
    oc_auth_pb2,
    oc_event_pb2,
    oc_message_part_pb2,
    oc_message_pb2,
    oc_model_pb2,
    oc_session_pb2,
    oc_tool_pb2,
)

WAIT: Final = 5.0
"""Seconds after which something that should have happened is taken not to have."""

TOKEN: Final = "6f1c2d3e-token-of-the-tests"
CONFIG: Final = IpcConfig(port=4096, auth_token=TOKEN)

Payload = dict[str, Any]
Rule = Callable[[ipc_pb2.IpcClientMessage], "Payload | list[Payload] | None"]
"""What is sent back: one payload, several in their order (pushes, then the answer), or nothing."""


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


def backend_info() -> Payload:
    """The answer to get_backend_info."""
    return {"backend_info": ext_operations_pb2.IpcBackendInfo(version="1.0", backend="embedded")}


def messages(*texts: str) -> Payload:
    """The answer to list_messages."""
    listed = [said(text)["send_message_response"] for text in texts]
    return {"message_list": ext_operations_pb2.IpcMessageList(messages=listed)}


def aborted(value: bool = True) -> Payload:
    """The answer to abort_session."""
    return {"abort_session_response": ext_operations_pb2.IpcAbortSessionResponse(success=value)}


def models(*names: str) -> Payload:
    """The answer to list_models."""
    listed = [oc_model_pb2.OcModelInfo(id=name, provider_id="p") for name in names]
    answer = ext_operations_pb2.IpcModelList(models=listed, default_models={"p": names[0]})
    return {"model_list": answer}


def permission_replied() -> Payload:
    """The answer to reply_permission."""
    return {"reply_permission_response": ext_operations_pb2.IpcReplyPermissionResponse()}


def question_replied() -> Payload:
    """The answer to reply_question."""
    return {"reply_question_response": ext_operations_pb2.IpcReplyQuestionResponse()}


def cancelled(found: bool = True) -> Payload:
    """The answer to cancel."""
    return {"cancel_response": ext_operations_pb2.IpcCancelResponse(found=found)}


def ran(*texts: str, **fields: Any) -> Payload:
    """The end of a prompt's run, with a message of the model's for each text."""
    listed = [
        oc_message_pb2.OcMessage(
            assistant=oc_message_pb2.OcAssistantMessage(
                id=f"msg_{number}", session_id="ses_1", role="assistant", text=text
            )
        )
        for number, text in enumerate(texts, 1)
    ]
    given = {"session_id": "ses_1", "user_message_id": "msg_0", "finish": "stop", **fields}
    return {"run_result": ext_prompt_pb2.IpcRunResult(messages=listed, **given)}


def failed(kind: str, message: str = "it went wrong", *texts: str, **fields: Any) -> Payload:
    """The end of a prompt's run that failed, after it had said so much."""
    payload = ran(*texts, finish="")
    failure = ext_prompt_pb2.IpcRunFailure(kind=kind, message=message, **fields)
    payload["run_result"].failure.CopyFrom(failure)
    return payload


SUBSCRIBED: Final[Payload] = {"subscribed": ext_event_pb2.IpcSubscribed()}
"""A subscription has begun."""


def subscription_end(reason: str = "the server has ended") -> Payload:
    """A subscription is over."""
    return {"subscription_end": ext_event_pb2.IpcSubscriptionEnd(reason=reason)}


# --- Pushes ---


def push(event: ext_event_pb2.IpcEvent, missed: int = 0) -> Payload:
    """An event on its way, after so many that were dropped."""
    return {"event": ext_event_pb2.IpcEventPush(event=event, missed=missed)}


def event(type: str = "session.updated", **fields: Any) -> Payload:
    """An event of any kind."""
    return push(ext_event_pb2.IpcEvent(type=type, **fields))


def delta(
    text: str,
    part_type: str = "text",
    *,
    session_id: str = "ses_1",
    message_id: str = "msg_1",
    missed: int = 0,
) -> Payload:
    """A piece of an answer."""
    return push(
        ext_event_pb2.IpcEvent(
            type="message.part.delta",
            session_id=session_id,
            delta=ext_event_pb2.IpcDelta(
                session_id=session_id,
                message_id=message_id,
                part_id="prt_1",
                part_type=part_type,
                text=text,
            ),
        ),
        missed,
    )


def retry(attempt: int = 1, message: str = "Too Many Requests", next_at: int = 0) -> Payload:
    """The provider refused, and there will be another try."""
    return push(
        ext_event_pb2.IpcEvent(
            type="session.status",
            session_id="ses_1",
            retry=ext_event_pb2.IpcRetry(
                session_id="ses_1", attempt=attempt, message=message, next_at=next_at
            ),
        )
    )


def permission_asked(
    id: str = "per_1", *, directory: str = "/project", **properties: Any
) -> Payload:
    """A tool asks whether it may."""
    request = oc_tool_pb2.OcPermissionRequest(
        id=id, permission="bash", action="ls", patterns=["ls"], call_id="call_1"
    )
    request.tool.name = "bash"
    request.tool.input.update({"command": "ls"})
    asked = oc_event_pb2.OcPermissionAskedEvent(
        type="permission.asked", session_id="ses_1", request=request
    )
    return push(
        ext_event_pb2.IpcEvent(
            type="permission.asked",
            session_id="ses_1",
            directory=directory,
            event=oc_event_pb2.OcEvent(permission_asked=asked),
            **properties,
        )
    )


def question_asked(id: str = "que_1", *questions: str, directory: str = "/project") -> Payload:
    """The model asks the user."""
    options = [ext_event_pb2.IpcQuestionOption(label=label) for label in ("red", "blue")]
    items = [
        ext_event_pb2.IpcQuestionItem(header="h", question=question, options=options, custom=True)
        for question in questions or ("Which colour?",)
    ]
    question = ext_event_pb2.IpcQuestion(id=id, session_id="ses_1", items=items)
    return push(
        ext_event_pb2.IpcEvent(
            type="question.asked", session_id="ses_1", directory=directory, question=question
        )
    )


def tool_updated(status: str = "running", call_id: str = "call_1") -> Payload:
    """A tool call stands there now."""
    part = oc_message_part_pb2.OcToolPart(
        id="prt_9", session_id="ses_1", message_id="msg_1", type="tool", name="bash"
    )
    part.call_id = call_id
    getattr(part.state, status).SetInParent()
    updated = oc_event_pb2.OcMessagePartUpdatedEvent(
        session_id="ses_1",
        message_id="msg_1",
        part=oc_message_part_pb2.OcPart(tool=part),
    )
    return push(
        ext_event_pb2.IpcEvent(
            type="message.part.updated",
            session_id="ses_1",
            event=oc_event_pb2.OcEvent(message_part_updated=updated),
        )
    )


def error(code: int, message: str = "it went wrong") -> Payload:
    """The answer of any operation that failed."""
    refusal = ipc_pb2.IpcErrorResponse(message=message)
    refusal.code = code  # type: ignore[assignment]  # an open enum: numbers it does not know too
    return {"error": refusal}


NO_PAYLOAD: Final = error(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "No payload in message")
"""How the reference backend refuses what it does not know."""

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


def _unwrapped(message: ipc_pb2.IpcClientMessage) -> ipc_pb2.IpcClientMessage:
    """The request about a folder as the request itself."""
    if not message.HasField("scoped"):
        return message
    inner = ipc_pb2.IpcClientMessage.FromString(message.scoped.request)
    inner.request_id = message.request_id
    return inner


def _is_extension(message: ipc_pb2.IpcClientMessage) -> bool:
    fields = message.DESCRIPTOR.fields_by_name
    name = message.WhichOneof("payload")
    return name is not None and fields[name].number >= 200


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

    def answer(self, request: ipc_pb2.IpcClientMessage, *payloads: Payload) -> None:
        """Answer a request that was held back; what comes before the last payload are pushes."""
        for payload in payloads:
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
        payload = rule(_unwrapped(message))
        if payload is not None:
            self.answer(message, *(payload if isinstance(payload, list) else [payload]))


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
            "get_backend_info": lambda request: backend_info(),
            "get_session": lambda request: session("one"),
            "update_session": lambda request: session(request.update_session.title),
            "list_messages": lambda request: messages("Hi"),
            "abort_session": lambda request: aborted(),
            "list_models": lambda request: models("m"),
            "reply_permission": lambda request: permission_replied(),
            "reply_question": lambda request: question_replied(),
            "cancel": lambda request: cancelled(),
            "prompt": lambda request: ran(request.prompt.text),
            "subscribe": lambda request: SUBSCRIBED,
        }
        self.handshake: Rule = accept
        """How the first message is answered; HOLD for not at all."""
        self.refusal: str | None = None
        """When set, nobody listens: connecting fails with this text."""
        self.extensions = True
        """Whether it knows more than the reference protocol."""
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
        if not self.extensions and _is_extension(message):
            return lambda request: NO_PAYLOAD
        with self._changed:
            return self._rules.get(_unwrapped(message).WhichOneof("payload") or "", HOLD)

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
