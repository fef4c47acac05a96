"""The races of a client's requests, in whichever order is worst: the test is the workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import controls as controls_module
from opencode_sync.gateway import requests as requests_module
from opencode_sync.gateway.backends.base import BackendError, WouldWait
from opencode_sync.gateway.dispatch import Dispatcher
from opencode_sync.gateway.limits import GatewayLimits
from opencode_sync.gateway.requests import Requests
from opencode_sync.transport.base import TransportClosed
from opencode_sync.wire import ext_event_pb2, ext_prompt_pb2, ipc_pb2
from tests.unit.gateway.doubles import (
    PATIENCE,
    RecordingLink,
    Stream,
    StreamingBackend,
    request,
    scoped,
)


class Workers:
    """Keeps the jobs for the test to run, in the order it likes."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], object]] = []
        self.refuse = False

    def submit(self, job: Callable[[], object]) -> bool:
        if not self.refuse:
            self.jobs.append(job)
        return not self.refuse

    def run(self, place: int = 0) -> None:
        self.jobs.pop(place)()


class Scene:
    def __init__(self, **limits: Any) -> None:
        self.backend = StreamingBackend()
        self.link = RecordingLink()
        self.workers = Workers()
        self.requests = Requests(
            self.link,
            dispatcher=Dispatcher(self.backend, request_timeout=30, max_message_size=1 << 20),
            workers=self.workers,  # type: ignore[arg-type]
            limits=GatewayLimits(**limits),
        )
        self.book = self.requests._book

    def take(self, request_id: int, operation: str, /, **fields: Any) -> None:
        message = request(request_id, operation, **fields).SerializeToString()
        assert self.requests.take(message)

    @property
    def sent(self) -> list[tuple[int, str | None]]:
        return [(answer.request_id, answer.WhichOneof("payload")) for answer in self.link.sent]

    def assert_nothing_left(self) -> None:
        assert not self.workers.jobs
        book = self.book
        assert not any((book.jobs, book.subscriptions, book._by_id, book._controls))
        assert (book._line_length, book._line_size) == (0, 0)
        assert book._quick.running == book._runs.running == 0


@pytest.fixture
def scene() -> Scene:
    return Scene()


class TestAtOnce:
    """What the backend can answer without waiting never sees a worker."""

    @pytest.fixture
    def quick(self) -> Scene:
        scene = Scene()
        scene.backend.quick = frozenset({"check_health", "discover_server"})
        return scene

    def test_answered_by_the_reader(self, quick: Scene) -> None:
        quick.take(2, "check_health")
        quick.take(3, "discover_server")
        assert quick.sent == [(2, "check_health_response"), (3, "discover_server_response")]
        quick.assert_nothing_left()

    def test_others_go_to_a_worker_and_hold_up_nothing(self, quick: Scene) -> None:
        quick.take(2, "list_sessions")
        quick.take(3, "check_health")
        assert quick.sent == [(3, "check_health_response")]
        quick.workers.run()
        quick.assert_nothing_left()

    def test_one_that_would_wait_goes_to_a_worker(self, quick: Scene) -> None:
        def wait() -> bool:
            del quick.backend.script["check_health"]
            raise WouldWait

        quick.backend.script["check_health"] = wait
        quick.take(2, "check_health")
        assert quick.sent == []
        quick.workers.run()
        assert quick.sent == [(2, "check_health_response")]
        quick.assert_nothing_left()

    def test_one_that_fails_is_answered_as_ever(self, quick: Scene) -> None:
        def fail() -> bool:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "it burns")

        quick.backend.script["check_health"] = fail
        quick.take(2, "check_health")
        assert quick.link.sent[0].error.message == "it burns"
        quick.assert_nothing_left()

    def test_while_the_client_leaves_its_answers_unread_a_worker_waits_for_room(
        self, quick: Scene
    ) -> None:
        quick.link.room = False
        quick.take(2, "check_health")
        assert quick.sent == []
        quick.workers.run()
        assert quick.sent == [(2, "check_health_response")]

    def test_an_id_in_flight_is_refused_as_ever(self, quick: Scene) -> None:
        quick.take(2, "list_sessions")
        quick.take(2, "check_health")
        quick.workers.run(1)
        assert quick.sent == [(0, "error")]

    def test_id_0_is_refused_as_ever(self, quick: Scene) -> None:
        quick.take(0, "check_health")
        quick.workers.run()
        assert quick.sent == [(0, "error")]

    def test_a_project_folder_of_its_own_is_looked_up_by_a_worker(self, quick: Scene) -> None:
        message = scoped(2, "/project", request(2, "check_health")).SerializeToString()
        assert quick.requests.take(message)
        assert quick.sent == []
        assert len(quick.workers.jobs) == 1

    def test_a_gateway_that_stops_refuses_it_as_ever(self, quick: Scene) -> None:
        quick.requests.stop(NOW)
        quick.take(2, "check_health")
        quick.workers.run()
        assert quick.sent == [(2, "error")]

    def test_what_was_answered_leaves_before_the_reader_may_have_to_wait(
        self, quick: Scene
    ) -> None:
        steps: list[str] = []
        quick.link.push = lambda: steps.append("push")  # type: ignore[method-assign]
        quick.workers.submit = lambda job: not steps.append("submit")  # type: ignore[assignment]
        quick.take(2, "check_health")
        assert steps == []
        quick.take(3, "list_sessions")
        assert steps == ["push", "submit"]


class TestCancel:
    @pytest.mark.parametrize("operation", ["check_health", "prompt", "subscribe"])
    def test_before_the_worker_has_begun(self, scene: Scene, operation: str) -> None:
        scene.take(2, operation)
        scene.take(3, "cancel", request_id=2)
        scene.workers.run(1)  # the control first
        assert scene.sent == [(2, "error"), (3, "cancel_response")]
        assert scene.link.sent[0].error.message == "cancelled by the client"
        scene.workers.run()
        assert len(scene.sent) == 2
        assert scene.backend.calls == []
        scene.assert_nothing_left()

    @pytest.mark.parametrize("operation", ["check_health", "prompt", "subscribe"])
    def test_worker_comes_first_to_what_is_cancelled(self, scene: Scene, operation: str) -> None:
        scene.take(2, operation)
        scene.take(3, "cancel", request_id=2)
        scene.workers.run()
        assert scene.sent == [(2, "error")]
        scene.workers.run()
        assert scene.sent == [(2, "error"), (3, "cancel_response")]
        assert scene.link.sent[1].cancel_response.found
        assert scene.backend.calls == []
        scene.assert_nothing_left()

    def test_answer_is_out_before_the_control_is_served(self, scene: Scene) -> None:
        def health() -> bool:
            scene.take(3, "cancel", request_id=2)
            return True

        scene.backend.script["check_health"] = health
        scene.take(2, "check_health")
        scene.workers.run()
        scene.workers.run()
        assert scene.sent == [(2, "check_health_response"), (3, "cancel_response")]
        scene.assert_nothing_left()

    def test_control_is_served_while_the_backend_is_at_it(self, scene: Scene) -> None:
        def health() -> bool:
            scene.take(3, "cancel", request_id=2)
            scene.workers.run()
            return True

        scene.backend.script["check_health"] = health
        scene.take(2, "check_health")
        scene.workers.run()
        assert scene.sent == [(2, "error"), (3, "cancel_response")]
        assert "it may have been done" in scene.link.sent[0].error.message
        scene.assert_nothing_left()

    def test_two_cancels_of_one_request(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(controls_module, "_PATIENCE_SECONDS", 0.01)
        scene.take(2, "check_health")
        scene.take(3, "cancel", request_id=2)
        scene.take(4, "cancel", request_id=2)
        assert len(scene.workers.jobs) == 2  # one worker serves both
        scene.workers.run(1)
        assert scene.sent == [(2, "error"), (3, "cancel_response"), (4, "cancel_response")]
        scene.workers.run()
        scene.assert_nothing_left()

    def test_cancel_of_a_refused_request(self, scene: Scene) -> None:
        scene.take(2, "scoped", directory="relative")
        scene.take(3, "cancel", request_id=2)
        scene.workers.run(1)
        scene.workers.run()
        assert scene.sent == [(2, "error"), (3, "cancel_response")]
        scene.assert_nothing_left()

    def test_cancelled_run_leaves_the_line(self) -> None:
        scene = Scene(max_runs=1)

        def run(asked: Any, sink: Any, cancellation: Any) -> Any:
            scene.take(4, "cancel", request_id=3)
            scene.workers.run()
            return ext_prompt_pb2.IpcRunResult()

        scene.backend.script["prompt"] = run
        scene.take(2, "prompt")
        scene.take(3, "prompt")
        assert scene.book._line_length == 1
        scene.workers.run()
        assert scene.sent == [(3, "error"), (4, "cancel_response"), (2, "run_result")]
        scene.assert_nothing_left()

    def test_cancel_frees_the_id_for_the_next(self, scene: Scene) -> None:
        scene.take(2, "check_health")
        scene.take(3, "cancel", request_id=2)
        scene.workers.run(1)
        scene.take(2, "check_health")
        assert scene.book.find(2) is not None
        scene.workers.run()  # the old one's worker, which must not disturb the new one
        assert scene.book.find(2) is not None
        scene.workers.run()
        assert scene.sent[2:] == [(2, "check_health_response")]
        scene.assert_nothing_left()

    def test_run_that_ends_between_the_look_and_the_claim(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene.take(2, "check_health")
        scene.take(3, "cancel", request_id=2)
        controls = scene.requests._controls
        claim = controls._claim

        def late_claim(target: Any) -> bool:
            scene.workers.run()  # the request's own worker is faster
            return claim(target)

        monkeypatch.setattr(controls, "_claim", late_claim)
        scene.workers.run(1)
        assert scene.sent == [(2, "error"), (3, "cancel_response")]
        scene.assert_nothing_left()

    def test_no_worker_for_a_control(self, scene: Scene) -> None:
        scene.workers.refuse = True
        message = request(3, "cancel", request_id=2).SerializeToString()
        assert not scene.requests.take(message)
        assert not scene.book.jobs


class TestSubscriptions:
    def test_ended_by_the_backend_while_it_is_closed(self, scene: Scene) -> None:
        scene.take(2, "subscribe")
        scene.workers.run()
        (stream,) = scene.backend.streams
        close = stream.close

        def close_late() -> None:
            stream.sink.ended("of its own")
            close()

        stream.close = close_late  # type: ignore[method-assign]
        scene.take(3, "unsubscribe", request_id=2)
        scene.workers.run()
        assert scene.sent == [
            (2, "subscribed"),
            (2, "subscription_end"),
            (3, "unsubscribe_response"),
        ]
        assert scene.link.sent[1].subscription_end.reason == "ended by the client"
        scene.assert_nothing_left()

    def test_event_while_it_is_closed(self, scene: Scene) -> None:
        scene.take(2, "subscribe")
        scene.workers.run()
        (stream,) = scene.backend.streams
        close = stream.close

        def close_late() -> None:
            stream.sink.event(ext_event_pb2.IpcEvent(type="late"))
            close()

        stream.close = close_late  # type: ignore[method-assign]
        scene.take(3, "cancel", request_id=2)
        scene.workers.run()
        assert scene.sent[1:] == [(2, "subscription_end"), (3, "cancel_response")]
        scene.assert_nothing_left()

    def test_close_that_fails_is_logged_and_harms_nobody(self, scene: Scene) -> None:
        scene.take(2, "subscribe")
        scene.take(3, "subscribe")
        scene.workers.run()
        scene.workers.run()

        def fail() -> None:
            raise ValueError("a bug")

        scene.backend.streams[0].close = fail  # type: ignore[method-assign]
        scene.requests.give_up()
        assert scene.backend.streams[1].closed.is_set()
        scene.assert_nothing_left()

    def test_link_ends_while_one_begins(self, scene: Scene) -> None:
        def begin(stream: Stream) -> None:
            stream.sink.opened()
            scene.link.alive = False
            scene.requests.give_up()

        scene.backend.script["subscribe"] = begin
        scene.take(2, "subscribe")
        scene.workers.run()
        assert scene.backend.streams[0].closed.is_set()
        assert scene.sent == [(2, "subscribed")]
        scene.assert_nothing_left()

    def test_refusal_after_the_client_has_cancelled(self, scene: Scene) -> None:
        def begin(stream: Stream) -> None:
            scene.take(3, "cancel", request_id=2)
            scene.workers.run()
            raise ValueError("a bug")

        scene.backend.script["subscribe"] = begin
        scene.take(2, "subscribe")
        scene.workers.run()
        assert scene.sent == [(2, "error"), (3, "cancel_response")]
        assert scene.link.sent[0].error.message == "cancelled by the client"
        scene.assert_nothing_left()


class TestStop:
    def test_late_run_pushes_nothing_after_its_error(self, scene: Scene) -> None:
        def run(asked: Any, sink: Any, cancellation: Any) -> Any:
            sink.event(ext_event_pb2.IpcEvent())
            scene.requests.stop(NOW)
            assert cancellation.reason == "gateway is stopping"
            sink.event(ext_event_pb2.IpcEvent())
            return ext_prompt_pb2.IpcRunResult()

        scene.backend.script["prompt"] = run
        scene.take(2, "prompt")
        scene.workers.run()
        assert scene.sent == [(2, "event"), (2, "error")]
        scene.assert_nothing_left()

    def test_cancel_still_works_and_other_requests_do_not(self) -> None:
        scene = Scene(max_runs=1)

        def run(asked: Any, sink: Any, cancellation: Any) -> Any:
            stopping = threading.Thread(target=scene.requests.stop, args=(Deadline(None),))
            stopping.start()
            with scene.book.changed:
                assert scene.book.changed.wait_for(lambda: scene.book.stopping, PATIENCE)
            scene.take(3, "check_health")
            scene.workers.run()
            scene.take(4, "cancel", request_id=2)
            assert cancellation.cancelled
            stoppers.append(stopping)
            return ext_prompt_pb2.IpcRunResult()

        stoppers: list[threading.Thread] = []
        scene.backend.script["prompt"] = run
        scene.take(2, "prompt")
        scene.workers.run()
        scene.workers.run()
        stoppers[0].join(PATIENCE)
        assert scene.sent == [(3, "error"), (2, "run_result"), (4, "cancel_response")]
        scene.assert_nothing_left()


class TestReader:
    @pytest.fixture
    def hurry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(requests_module, "_SIGN_OF_LIFE_SECONDS", 0.02)

    def full(self) -> Scene:
        scene = Scene(max_runs=1, max_queued=1)
        scene.take(2, "prompt")
        scene.take(3, "prompt")
        return scene

    @pytest.mark.usefixtures("hurry")
    def test_client_that_vanishes_while_its_line_is_full(self) -> None:
        scene = self.full()
        scene.link.alive = False
        with pytest.raises(TransportClosed):
            scene.requests.take(request(4, "prompt").SerializeToString())
        scene.requests.give_up()
        scene.workers.run()
        assert scene.backend.calls == []
        scene.assert_nothing_left()

    def test_end_lets_the_reader_go(self) -> None:
        scene = self.full()
        taking = threading.Thread(target=scene.take, args=(4, "prompt"))
        taking.start()
        scene.requests.end()
        taking.join(PATIENCE)
        assert not taking.is_alive()
        scene.requests.give_up()
        scene.workers.run()
        assert scene.sent == []
        assert not scene.book.jobs

    def test_id_in_flight_of_a_control_waits_in_the_common_line(self) -> None:
        scene = Scene(max_in_flight=1, max_queued=1)
        scene.take(2, "check_health")
        scene.take(2, "cancel", request_id=2)
        assert scene.book._line_length == 1
        scene.workers.run()
        assert scene.sent == [(2, "check_health_response"), (0, "error")]
        scene.assert_nothing_left()


class TestBrokenOff:
    """Whatever is raised on its way, a request has its answer and gives its place back."""

    @pytest.mark.parametrize("raised", [RuntimeError("a bug"), SystemExit(1)])
    @pytest.mark.parametrize(
        ("method", "operation", "fields"),
        [
            ("expected_size", "list_sessions", {}),
            ("answer", "list_sessions", {}),
            ("run", "prompt", {"session_id": "ses_1", "text": "x"}),
            ("subscribe", "subscribe", {}),
        ],
    )
    def test_of_the_dispatcher(
        self,
        monkeypatch: pytest.MonkeyPatch,
        method: str,
        operation: str,
        fields: dict[str, str],
        raised: BaseException,
    ) -> None:
        scene = Scene(max_in_flight=1, max_runs=1)

        def fail(*args: Any, **kwargs: Any) -> Any:
            raise raised

        with monkeypatch.context() as patch:
            patch.setattr(scene.requests._dispatcher, method, fail)
            scene.take(2, operation, **fields)
            scene.take(3, operation, **fields)  # waits in line for the first one's place
            scene.workers.run()
        assert scene.sent == [(2, "error"), (3, "error")]
        error = scene.link.sent[0].error
        assert error.code == ipc_pb2.IPC_ERROR_CODE_INTERNAL_ERROR
        assert error.message.startswith("the request failed inside the gateway")
        assert "bug" not in error.message
        scene.assert_nothing_left()
        scene.take(4, "list_sessions")
        scene.workers.run()
        assert scene.sent[-1] == (4, "session_list")

    def test_after_the_answer_nothing_more_is_sent(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = scene.link.send

        def fail(message: bytes) -> bool:
            send(message)
            raise RuntimeError("after all")

        monkeypatch.setattr(scene.link, "send", fail)
        scene.take(2, "list_sessions")
        scene.workers.run()
        assert scene.sent == [(2, "session_list")]
        scene.assert_nothing_left()
