"""A backend with a model that does what the prompt says, for tests of whole conversations."""

from __future__ import annotations

import threading
from typing import Any

from opencode_sync.deadline import Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend
from opencode_sync.gateway.backends.base import EventSink, Subscription
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.types import OcAssistantMessage, OcMessage, OcSessionInfo
from opencode_sync.wire import (
    ext_event_pb2,
    ext_operations_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_tool_pb2,
)
from opencode_sync.wire.oc_event_pb2 import OcEvent, OcPermissionAskedEvent

WAIT = 60.0


class TalkingBackend(EmbeddedBackend):
    """Its model knows a few prompts.

    ===========  ==================================================================
    ``hold``     says "Half", then waits until it is aborted
    ``allow``    asks for permission, and says what the reply was
    ``fail``     says "Half", and fails
    else         says "You said: ..."
    ===========  ==================================================================
    """

    name = "talking"  # the embedded store's own name would say that there is no model

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.holding = threading.Semaphore(0)
        self.aborted = threading.Semaphore(0)
        self.subscribed = threading.Semaphore(0)
        self.sinks: list[EventSink] = []
        self.directories: list[str] = []
        self._replied = threading.Event()
        self._reply: ext_operations_pb2.IpcReplyPermissionRequest | None = None

    def in_directory(self, directory: str) -> TalkingBackend:
        self.directories.append(directory)
        return self

    def get_session(self, session_id: str, *, deadline: Deadline) -> OcSessionInfo:
        for session in self.list_sessions(deadline=deadline):
            if session.id == session_id:
                return session
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "session_id: there is no such")

    def prompt(
        self,
        request: ext_prompt_pb2.IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> ext_prompt_pb2.IpcRunResult:
        session_id = request.session_id
        if request.text == "hold":
            _say(sink, session_id, "Half")
            ended = threading.Event()
            cancellation.on_cancel(ended.set)
            self.holding.release()
            assert ended.wait(WAIT)
            self.aborted.release()
            return _result(session_id, "Half", "aborted")
        if request.text == "fail":
            _say(sink, session_id, "Half")
            return _result(session_id, "Half", "provider_auth")
        text = f"You said: {request.text}"
        if request.text == "allow":
            text = f"Reply {self._ask(sink, session_id, cancellation)}"
        for word in text.split(" "):
            _say(sink, session_id, f"{word} ")
        return _result(session_id, text)

    def _ask(self, sink: EventSink, session_id: str, cancellation: Cancellation) -> str:
        permission_id = "per_00000000000000000000000001"
        asked = OcPermissionAskedEvent(
            session_id=session_id,
            request=oc_tool_pb2.OcPermissionRequest(
                id=permission_id, permission="bash", patterns=["rm -rf build"]
            ),
        )
        self._replied.clear()
        cancellation.on_cancel(self._replied.set)
        sink.event(
            ext_event_pb2.IpcEvent(
                type="permission.asked",
                session_id=session_id,
                directory="/project",
                event=OcEvent(permission_asked=asked),
            )
        )
        assert self._replied.wait(WAIT)
        if self._reply is None:
            self.aborted.release()
            return "none"
        assert self._reply.permission_id == permission_id
        return oc_tool_pb2.OcPermissionReply.Name(self._reply.reply)

    def reply_permission(
        self, request: ext_operations_pb2.IpcReplyPermissionRequest, *, deadline: Deadline
    ) -> None:
        self._reply = request
        self._replied.set()

    def subscribe(
        self, request: ext_event_pb2.IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> Subscription:
        sink.opened()
        self.sinks.append(sink)
        self.subscribed.release()
        return _Subscription()


class _Subscription:
    def close(self) -> None:
        """Nothing goes on by itself here."""


def _say(sink: EventSink, session_id: str, text: str) -> None:
    delta = ext_event_pb2.IpcDelta(
        session_id=session_id, message_id="msg_1", part_id="prt_1", part_type="text", text=text
    )
    sink.event(
        ext_event_pb2.IpcEvent(type="message.part.delta", session_id=session_id, delta=delta)
    )


def _result(session_id: str, text: str, failure: str = "") -> ext_prompt_pb2.IpcRunResult:
    result = ext_prompt_pb2.IpcRunResult(
        session_id=session_id,
        user_message_id="msg_0",
        messages=[OcMessage(assistant=OcAssistantMessage(text=text, cost=0.25))],
        finish="" if failure else "stop",
    )
    if failure:
        result.failure.kind, result.failure.message = failure, f"it was {failure}"
    return result
