"""Prompts, events and cancellation over a real socket, with a real gateway behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from opencode_sync import (
    CancelToken,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcConfig,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    TextDelta,
)
from opencode_sync.deadline import Deadline
from opencode_sync.gateway import EmbeddedBackend, Gateway
from opencode_sync.gateway.backends.base import EventSink
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.types import event_properties
from opencode_sync.wire.ext_event_pb2 import IpcDelta, IpcEvent, IpcSubscribeRequest
from opencode_sync.wire.ext_operations_pb2 import IpcReplyPermissionRequest
from opencode_sync.wire.ext_prompt_pb2 import IpcPromptRequest, IpcRunFailure, IpcRunResult
from opencode_sync.wire.oc_message_pb2 import OcAssistantMessage, OcMessage
from opencode_sync.wire.oc_session_pb2 import OcSessionInfo
from tests.support import backend as b
from tests.support.threads import Background, together

WAIT = 10.0


class _Subscription:
    def __init__(self, backend: RunningBackend, sink: EventSink) -> None:
        self._backend = backend
        self._sink = sink

    def close(self) -> None:
        with self._backend.changed:
            if self._sink in self._backend.sinks:
                self._backend.sinks.remove(self._sink)
            self._backend.changed.notify_all()


class RunningBackend(EmbeddedBackend):
    """Runs prompts by a script instead of a model: the prompt's text says which."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "sessions.db")
        self.changed = threading.Condition()  # guards all below; waited on by tests
        self.sinks: list[EventSink] = []
        self.cancelled: list[str] = []
        self.prompts: list[IpcPromptRequest] = []
        self.replies: list[IpcReplyPermissionRequest] = []
        self.folders: list[str] = []

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, WAIT)

    def prompt(
        self,
        request: IpcPromptRequest,
        sink: EventSink,
        *,
        deadline: Deadline,
        cancellation: Cancellation,
    ) -> IpcRunResult:
        with self.changed:
            self.prompts.append(request)
            self.changed.notify_all()
        word, _, number = request.text.partition(" ")
        for index in range(int(number or 0)):
            sink.event(_delta(request.session_id, f"{index} "))
        if word == "ask":
            sink.event(b.permission_asked()["event"].event)
            self.wait(lambda: bool(self.replies))
        if word == "think":
            self._think(cancellation)
        text = "".join(f"{index} " for index in range(int(number or 0)))
        message = OcAssistantMessage(id="msg_1", session_id=request.session_id, text=text)
        result = IpcRunResult(
            session_id=request.session_id, messages=[OcMessage(assistant=message)], finish="stop"
        )
        if word == "fail":
            result.failure.CopyFrom(IpcRunFailure(kind="api", message="no", status=500))
        return result

    def send_message(
        self, *arguments: Any, cancellation: Cancellation | None = None, **keywords: Any
    ) -> OcMessage:
        assert cancellation is not None
        with self.changed:
            self.prompts.append(IpcPromptRequest())
            self.changed.notify_all()
        self._think(cancellation)
        return OcMessage(assistant=OcAssistantMessage(text="too late"))

    def _think(self, cancellation: Cancellation) -> None:
        over = threading.Event()
        cancellation.on_cancel(over.set)
        assert over.wait(WAIT)
        with self.changed:
            self.cancelled.append(cancellation.reason)
            self.changed.notify_all()

    def reply_permission(self, request: IpcReplyPermissionRequest, *, deadline: Deadline) -> None:
        with self.changed:
            self.replies.append(request)
            self.changed.notify_all()

    def subscribe(
        self, request: IpcSubscribeRequest, sink: EventSink, *, deadline: Deadline
    ) -> _Subscription:
        with self.changed:
            self.sinks.append(sink)
        sink.opened()
        return _Subscription(self, sink)

    def in_directory(self, directory: str) -> Self:
        with self.changed:
            self.folders.append(directory)
        return self

    def publish(self, event: IpcEvent) -> None:
        with self.changed:
            for sink in self.sinks:
                sink.event(event)


def _delta(session_id: str, text: str) -> IpcEvent:
    delta = IpcDelta(session_id=session_id, message_id="msg_1", part_type="text", text=text)
    return IpcEvent(type="message.part.delta", session_id=session_id, delta=delta)


@pytest.fixture
def backend(tmp_path: Path, nothing_left_behind: None) -> RunningBackend:
    return RunningBackend(tmp_path)


@pytest.fixture
def gateway(backend: RunningBackend) -> Iterator[Gateway]:
    with Gateway(backend) as gateway:
        yield gateway


def connect(gateway: Gateway, **options: Any) -> IpcClient:
    return IpcClient(
        IpcConfig(gateway.port, gateway.auth_token), options=IpcClientOptions(**options)
    )


@pytest.fixture
def client(gateway: Gateway) -> Iterator[IpcClient]:
    with connect(gateway) as client:
        yield client


def test_a_run_streams_its_text_and_ends_with_its_result(client: IpcClient) -> None:
    with client.stream_prompt("ses_1", "say 500") as stream:
        pieces = list(stream.text_stream)
        result = stream.result()
    assert pieces == [f"{number} " for number in range(500)]
    assert result.text == "".join(pieces)
    assert client.prompt("ses_1", "say 3").text == "0 1 2 "


def test_a_run_that_fails_does_so_after_its_text(client: IpcClient) -> None:
    with client.stream_prompt("ses_1", "fail 2") as stream:
        assert [type(next(stream)) for _ in range(2)] == [TextDelta, TextDelta]
        with pytest.raises(IpcPromptError) as caught:
            next(stream)
    assert (caught.value.kind, caught.value.status) == ("api", 500)
    assert caught.value.partial.text == "0 1 "


def test_twenty_runs_at_once_beside_ordinary_requests(client: IpcClient) -> None:
    created = client.create_session("beside")

    def run(index: int) -> tuple[str, str]:
        with client.stream_prompt(f"ses_{index}", f"say {100 + index}") as stream:
            return "".join(stream.text_stream), stream.result(WAIT).text

    jobs = together(20, run)
    for _ in range(50):
        assert [session.id for session in client.list_sessions(timeout=WAIT)] == [created.id]
    for index, job in enumerate(jobs):
        text, result = job.result()
        assert text == result == "".join(f"{number} " for number in range(100 + index))


@pytest.mark.parametrize("how", ["leave", "cancel", "token", "time-out", "lost", "future"])
def test_whoever_gives_up_stops_the_run(
    gateway: Gateway, backend: RunningBackend, how: str
) -> None:
    with connect(gateway) as client:
        token = CancelToken()
        if how == "future":
            assert _once_begun(backend, client.futures.prompt("ses_1", "think")).cancel()
        else:
            timeout = 0.2 if how == "time-out" else None
            stream = client.stream_prompt("ses_1", "think 1", timeout=timeout, cancel=token)
            assert isinstance(next(stream), TextDelta)
            expected: type[Exception] = IpcCancelledError
            if how == "leave":
                stream.close()
                assert backend.cancelled  # it has waited for that
            elif how == "cancel":
                stream.cancel()
            elif how == "token":
                token.cancel()
            elif how == "lost":
                client.close()
                expected = IpcConnectionError
            else:
                expected = IpcTimeoutError
            with pytest.raises(expected):
                stream.result(WAIT)
        backend.wait(lambda: len(backend.cancelled) == 1)


def _once_begun(backend: RunningBackend, future: Any) -> Any:
    backend.wait(lambda: bool(backend.prompts))
    return future


def test_giving_up_on_a_message_stops_it_too(client: IpcClient, backend: RunningBackend) -> None:
    future = client.futures.send_message("ses_1", "Hi", model_id="m", provider_id="p")
    assert _once_begun(backend, future).cancel()
    backend.wait(lambda: len(backend.cancelled) == 1)
    assert client.check_server_health() is True


def test_a_question_is_answered_in_the_middle_of_a_run(
    client: IpcClient, backend: RunningBackend
) -> None:
    result = client.prompt("ses_1", "ask 1", on_permission=lambda asked: "always", timeout=WAIT)
    assert result.text == "0 "
    (reply,) = backend.replies
    assert (reply.permission_id, reply.directory) == ("per_1", "/project")


def test_a_slow_reader_misses_events_and_nothing_else(
    gateway: Gateway, backend: RunningBackend
) -> None:
    with connect(gateway, stream_buffer_size=100) as client:
        with client.stream_prompt("ses_1", "say 20000") as stream:
            result = stream.result(30)  # and meanwhile nobody reads
            assert result.text.count(" ") == 20_000
            seen, missed = 0, 0
            while True:
                try:
                    event = next(stream)
                except IpcSlowConsumerError as error:
                    missed += error.missed
                except StopIteration:
                    break
                else:
                    assert isinstance(event, TextDelta)
                    assert event.text == f"{seen + missed} "
                    seen += 1
        assert seen >= 100
        assert seen + missed == 20_000


def test_events_reach_every_listener_and_closing_ends_a_subscription(
    client: IpcClient, backend: RunningBackend
) -> None:
    with client.events() as first, client.events(types=["x"]) as second:
        for number in range(100):
            backend.publish(IpcEvent(type=f"event.{number}"))
        for stream in (first, second):
            types = [stream.next_event(WAIT).type for _ in range(100)]
            assert types == [f"event.{number}" for number in range(100)]
        first.close()
        backend.wait(lambda: len(backend.sinks) == 1)
        backend.publish(IpcEvent(type="last"))
        assert second.next_event(WAIT).type == "last"
    backend.wait(lambda: backend.sinks == [])


def test_a_subscription_that_the_backend_ends_says_why(
    client: IpcClient, backend: RunningBackend
) -> None:
    with client.events() as stream:
        reading = Background(next, stream)
        (sink,) = backend.sinks
        sink.ended("the server was stopped")
        error = reading.error()
    assert isinstance(error, IpcServerError)
    assert "the server was stopped" in str(error)


def test_a_gateway_that_stops_ends_every_stream(gateway: Gateway, backend: RunningBackend) -> None:
    with connect(gateway) as client:
        events = client.events()
        prompt = client.stream_prompt("ses_1", "think")
        readers = [Background(list, stream) for stream in (events, prompt)]
        backend.wait(lambda: bool(backend.prompts))
        gateway.stop(0.2)
        for reader in readers:
            assert isinstance(reader.error(), IpcConnectionError | IpcServerError)


def test_the_folder_reaches_the_backend(
    client: IpcClient, backend: RunningBackend, tmp_path: Path
) -> None:
    client.list_sessions(directory=tmp_path)
    client.events(directory=tmp_path).close()
    assert backend.folders == [str(tmp_path)] * 2


def test_the_embedded_store_tells_who_changes_what(
    tmp_path: Path, nothing_left_behind: None
) -> None:
    with (
        Gateway(EmbeddedBackend(tmp_path / "sessions.db")) as gateway,
        connect(gateway) as one,
        connect(gateway) as other,
        one.events(types=["session.*"], current=True) as events,
    ):
        session = other.create_session("made by another client")
        renamed = other.update_session(session.id, title="renamed")
        other.delete_session(session.id)
        created, updated, deleted = (events.next_event(WAIT) for _ in range(3))
        assert (created.type, created.event.session_created.session) == ("session.created", session)
        assert (updated.type, updated.event.session_updated.session) == ("session.updated", renamed)
        assert (deleted.type, deleted.session_id) == ("session.deleted", session.id)
        assert event_properties(deleted)["info"]["title"] == "renamed"


def test_a_backend_without_models_says_so_at_once(
    tmp_path: Path, nothing_left_behind: None
) -> None:
    embedded = EmbeddedBackend(tmp_path / "sessions.db")
    with Gateway(embedded) as gateway, connect(gateway) as client:
        with pytest.raises(IpcUnsupportedOperationError, match="prompt"):
            client.prompt("ses_1", "Hi")
        with pytest.raises(IpcUnsupportedOperationError), client.stream_prompt("ses_1", "x") as run:
            next(run)
        session: OcSessionInfo = client.create_session("x")
        with pytest.raises(IpcUnsupportedOperationError):
            client.list_models()
        assert client.get_backend_info().backend == "embedded"
        assert client.list_sessions() == [session]
