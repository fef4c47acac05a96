"""The extensions' operations: fields to the backend, results to the answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from google.protobuf.message import Message

from opencode_sync.gateway.answer_sizes import AnswerSizes
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.wire import (
    ext_event_pb2,
    ext_operations_pb2,
    ext_prompt_pb2,
    ipc_pb2,
    oc_message_pb2,
    oc_model_pb2,
)
from tests.unit.gateway.doubles import RecordingLink, ScriptedBackend, answer_of, request, session

OPERATIONS = (
    "backend_info",
    "get_session",
    "update_session",
    "list_messages",
    "abort_session",
    "list_models",
    "reply_permission",
    "reply_question",
    "prompt",
    "subscribe",
)


class ExtendedBackend(ScriptedBackend):
    """Has every extension; remembers what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.called: dict[str, Any] = {}
        self.seconds = 0.0
        self.result: Any = None

    def _answer(self, deadline: Any, *args: Any, **fields: Any) -> Any:
        self.seconds = deadline.remaining()
        self.called = {"args": args, **fields}
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def __getattribute__(self, name: str) -> Any:
        if name in OPERATIONS:
            return lambda *args, deadline, **fields: self._answer(deadline, *args, **fields)
        return super().__getattribute__(name)


@pytest.fixture
def backend() -> ExtendedBackend:
    return ExtendedBackend()


@pytest.fixture
def dispatcher(backend: ExtendedBackend) -> Dispatcher:
    return Dispatcher(backend, request_timeout=30, prompt_timeout=600, max_message_size=1_000_000)


@pytest.fixture
def ask(
    backend: ExtendedBackend, dispatcher: Dispatcher
) -> Callable[..., ipc_pb2.IpcServerMessage]:
    def send(operation: str, result: Any, payload: Message | None = None) -> Any:
        backend.result = result
        message = request(2, operation)
        if payload is not None:
            getattr(message, operation).CopyFrom(payload)
        return answer_of(dispatcher, message)

    return send


def test_get_backend_info(ask: Any) -> None:
    info = ext_operations_pb2.IpcBackendInfo(backend="opencode", server_version="1.18.33")
    answer = ask("get_backend_info", info).backend_info
    assert answer.version == metadata.version("opencode-sync-sdk")
    assert (answer.backend, answer.server_version) == ("opencode", "1.18.33")
    assert info.version == ""  # the backend's own is left as it was


def test_get_backend_info_without_an_installation(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    answer = ask("get_backend_info", ext_operations_pb2.IpcBackendInfo())
    assert answer.backend_info.version == "0"


def test_get_session(ask: Any, backend: ExtendedBackend) -> None:
    payload = ext_operations_pb2.IpcGetSessionRequest(session_id="ses_1")
    assert ask("get_session", session(1), payload).session_info == session(1)
    assert backend.called == {"args": ("ses_1",)}
    assert 20 < backend.seconds <= 30


@pytest.mark.parametrize("title", [None, "", "new"])
@pytest.mark.parametrize("archived", [None, False, True])
def test_update_session(
    ask: Any, backend: ExtendedBackend, title: str | None, archived: bool | None
) -> None:
    payload = ext_operations_pb2.IpcUpdateSessionRequest(
        session_id="ses_1",
        title=title,
        archived=archived,  # type: ignore[arg-type]
    )
    answer = ask("update_session", session(1), payload)
    if title is None and archived is None:
        assert answer.error.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
        assert "give it a title, archived, or both" in answer.error.message
        assert backend.called == {}
    else:
        assert answer.session_info == session(1)
        assert backend.called == {"args": ("ses_1",), "title": title, "archived": archived}


@pytest.mark.parametrize("limit", [0, 5])
def test_list_messages(ask: Any, backend: ExtendedBackend, limit: int) -> None:
    payload = ext_operations_pb2.IpcListMessagesRequest(session_id="ses_1", limit=limit)
    messages = [oc_message_pb2.OcMessage(user=oc_message_pb2.OcUserMessage(id="msg_1"))]
    assert list(ask("list_messages", messages, payload).message_list.messages) == messages
    assert backend.called == {"args": ("ses_1",), "limit": limit}
    assert ask("list_messages", [], payload).WhichOneof("payload") == "message_list"


def test_list_messages_larger_than_a_message(ask: Any) -> None:
    message = oc_message_pb2.OcMessage(user=oc_message_pb2.OcUserMessage(id="x" * 1_000_001))
    error = ask("list_messages", [message]).error
    assert error.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
    assert error.message.endswith("ask for fewer with a limit")


@pytest.mark.parametrize("success", [True, False])
def test_abort_session(ask: Any, backend: ExtendedBackend, success: bool) -> None:
    payload = ext_operations_pb2.IpcAbortSessionRequest(session_id="ses_1")
    answer = ask("abort_session", success, payload)
    assert answer.WhichOneof("payload") == "abort_session_response"
    assert answer.abort_session_response.success is success
    assert backend.called == {"args": ("ses_1",)}


def test_list_models(ask: Any) -> None:
    models = ext_operations_pb2.IpcModelList(
        models=[oc_model_pb2.OcModelInfo(id="m")], default_models={"p": "m"}
    )
    assert ask("list_models", models).model_list == models
    empty = ask("list_models", ext_operations_pb2.IpcModelList())
    assert empty.WhichOneof("payload") == "model_list"


def test_reply_permission(ask: Any, backend: ExtendedBackend) -> None:
    payload = ext_operations_pb2.IpcReplyPermissionRequest(permission_id="per_1", message="no")
    answer = ask("reply_permission", None, payload)
    assert answer.WhichOneof("payload") == "reply_permission_response"
    assert backend.called == {"args": (payload,)}


def test_reply_question(ask: Any, backend: ExtendedBackend) -> None:
    payload = ext_operations_pb2.IpcReplyQuestionRequest(question_id="que_1")
    answer = ask("reply_question", None, payload)
    assert answer.WhichOneof("payload") == "reply_question_response"
    assert backend.called == {"args": (payload,)}


class TestPrompt:
    @pytest.mark.parametrize(
        ("asked", "given"), [(0, 600), (0.5, 0.5), (1000, 1000), (86400, 86400), (1e300, 86400)]
    )
    def test_time(self, ask: Any, backend: ExtendedBackend, asked: float, given: float) -> None:
        payload = ext_prompt_pb2.IpcPromptRequest(text="x", timeout_seconds=asked)
        result = ext_prompt_pb2.IpcRunResult(finish="stop", missed=3)
        assert ask("prompt", result, payload).run_result == result
        assert given - 0.5 <= backend.seconds <= given
        assert backend.called["args"][0] == payload
        assert not backend.called["cancellation"].cancelled

    @pytest.mark.parametrize("asked", [-1, -math.inf, math.inf, math.nan])
    def test_what_is_no_time(self, ask: Any, backend: ExtendedBackend, asked: float) -> None:
        payload = ext_prompt_pb2.IpcPromptRequest(text="x", timeout_seconds=asked)
        error = ask("prompt", ext_prompt_pb2.IpcRunResult(), payload).error
        assert error.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
        assert error.message.startswith("prompt.timeout_seconds must be a finite number")
        assert backend.called == {}

    def run(self, dispatcher: Dispatcher, cancellation: Cancellation) -> ipc_pb2.IpcServerMessage:
        link = RecordingLink()
        message = request(2, "prompt")
        pushes = dispatcher.pushes(link, message, lambda reason: None)
        link.room = False
        pushes.event(ext_event_pb2.IpcEvent())
        answer = dispatcher.run(message, cancellation=cancellation, pushes=pushes)
        link.room = True
        pushes.event(ext_event_pb2.IpcEvent())
        assert link.sent == []
        return ipc_pb2.IpcServerMessage.FromString(answer)

    def test_what_was_missed_is_in_the_result(
        self, dispatcher: Dispatcher, backend: ExtendedBackend
    ) -> None:
        backend.result = ext_prompt_pb2.IpcRunResult(missed=2)
        assert self.run(dispatcher, Cancellation()).run_result.missed == 3

    @pytest.mark.parametrize("cancelled", [False, True])
    def test_errors(
        self, dispatcher: Dispatcher, backend: ExtendedBackend, cancelled: bool
    ) -> None:
        cancellation = Cancellation()
        if cancelled:
            cancellation.cancel("cancelled by the client")
        for result in (BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "no"), KeyError("private")):
            backend.result = result
            error = self.run(dispatcher, cancellation).error
            if cancelled:
                assert (error.code, error.message) == (6, "cancelled by the client")
            else:
                assert (error.code, error.message) in (
                    (5, "no"),
                    (4, "prompt failed inside the gateway; its log has the details"),
                )

    def test_request_id_0(self, dispatcher: Dispatcher) -> None:
        error = answer_of(dispatcher, request(0, "prompt")).error
        assert "request_id must not be 0" in error.message


class TestSubscribe:
    def test_backend_gets_the_request_and_the_time(
        self, dispatcher: Dispatcher, backend: ExtendedBackend
    ) -> None:
        message = request(2, "subscribe", session_id="ses_1")
        sink = dispatcher.pushes(RecordingLink(), message, lambda reason: None)
        backend.result = "a subscription"
        assert dispatcher.subscribe(message, "", sink) == "a subscription"  # type: ignore[comparison-overlap]
        assert backend.called == {"args": (message.subscribe, sink)}
        assert 20 < backend.seconds <= 30

    @pytest.mark.parametrize(
        ("error", "shown"),
        [
            (BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "none"), (5, "none")),
            (
                KeyError("private"),
                (4, "subscribe failed inside the gateway; its log has the details"),
            ),
        ],
    )
    def test_errors(
        self,
        dispatcher: Dispatcher,
        backend: ExtendedBackend,
        error: Exception,
        shown: tuple[int, str],
    ) -> None:
        message = request(2, "subscribe")
        backend.result = error
        sink = dispatcher.pushes(RecordingLink(), message, lambda reason: None)
        with pytest.raises(BackendError) as caught:
            dispatcher.subscribe(message, "", sink)
        assert (caught.value.code, caught.value.message) == shown


@pytest.mark.parametrize(
    "operation", [name for name in OPERATIONS if name not in ("backend_info", "subscribe")]
)
def test_a_backend_without_an_extension_says_which_has_it(operation: str) -> None:
    dispatcher = Dispatcher(ScriptedBackend(), request_timeout=1, max_message_size=1000)
    message = request(2, operation)
    if operation == "update_session":
        message.update_session.archived = True
    error = answer_of(dispatcher, message).error
    assert error.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED
    assert error.message.startswith(f"{operation} is not served by this gateway")
    assert "start the gateway with --backend opencode" in error.message


def test_every_backend_says_what_it_is() -> None:
    dispatcher = Dispatcher(ScriptedBackend(), request_timeout=1, max_message_size=1000)
    info = answer_of(dispatcher, request(2, "get_backend_info")).backend_info
    assert (info.backend, info.description) == ("scripted", "a scripted backend")


def test_an_operation_that_nobody_serves_is_told() -> None:
    dispatcher = Dispatcher(ScriptedBackend(), request_timeout=1, max_message_size=1000)
    error = answer_of(dispatcher, request(2, "unsubscribe")).error
    assert error.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED
    assert "use OpenCode's own interface for it" in error.message


def test_a_backend_without_folders_refuses_one() -> None:
    dispatcher = Dispatcher(ScriptedBackend(), request_timeout=1, max_message_size=1000)
    answer = dispatcher.answer(request(2, "list_sessions"), "/project")
    error = ipc_pb2.IpcServerMessage.FromString(answer).error
    assert error.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED
    assert error.message.startswith("a project folder of the client's choice is not served")


class TestAnswerSizes:
    def test_lists_of_sessions_are_kept_apart_by_folder(self) -> None:
        sizes = AnswerSizes(lambda: 5)
        asked = request(2, "list_sessions")
        sizes.note(asked, "", 1000)
        sizes.note(request(2, "create_session"), "", 10)
        sizes.note(request(2, "create_session"), "/b", 10)
        assert sizes.expected(asked, "") == 1010
        assert sizes.expected(asked, "/b") == 5

    def test_messages_of_a_session(self) -> None:
        sizes = AnswerSizes(lambda: 5)
        whole = request(2, "list_messages", session_id="ses_1")
        part = request(2, "list_messages", session_id="ses_1", limit=1)
        sizes.note(part, "", 100)
        assert sizes.expected(part, "") == 100
        assert sizes.expected(whole, "") == 1 << 20
        assert sizes.expected(part, "/b") == 1 << 20

    def test_memory_has_a_bound(self) -> None:
        sizes = AnswerSizes(lambda: 5)
        for number in range(5000):
            sizes.note(request(2, "list_messages", session_id=f"ses_{number}"), "", 100)
        assert len(sizes._sizes) <= 4096
        newest = request(2, "list_messages", session_id="ses_4999")
        assert sizes.expected(newest, "") == 100
