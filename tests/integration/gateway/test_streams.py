"""Subscriptions and runs: what is pushed, in which order, and how each ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from opencode_sync.gateway import BackendError, Gateway
from opencode_sync.wire import ext_event_pb2, ext_prompt_pb2, ipc_pb2
from tests.unit.gateway.doubles import (
    PATIENCE,
    Closed,
    Held,
    Peer,
    Run,
    Stream,
    StreamingBackend,
    request,
    scoped,
    session,
)

Start = Callable[..., Gateway]
Connect = Callable[[Gateway], Peer]


@pytest.fixture
def backend() -> StreamingBackend:
    return StreamingBackend()


def kind_of(answer: ipc_pb2.IpcServerMessage) -> tuple[int, str | None]:
    return answer.request_id, answer.WhichOneof("payload")


def event(text: str) -> ext_event_pb2.IpcEvent:
    return ext_event_pb2.IpcEvent(type=text)


def subscribe(peer: Peer, request_id: int) -> None:
    assert kind_of(peer.ask(request_id, "subscribe")) == (request_id, "subscribed")


def opened(backend: StreamingBackend, count: int) -> list[Stream]:
    assert len(backend.streams) == count
    return backend.streams


def wait_until(gateway: Gateway, quiet: Callable[[Any], bool]) -> None:
    """Wait until the book of the one peer there is says so."""
    (served,) = gateway._peers._threads
    book = served._requests._book
    with book.changed:
        assert book.changed.wait_for(lambda: quiet(book), PATIENCE)


class TestSubscriptions:
    def test_begin_then_events_then_end(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        def begin(stream: Stream) -> None:
            stream.sink.opened()
            stream.sink.event(event("first"))  # before the subscription is known to anybody

        backend.script["subscribe"] = begin
        peer = connect(start())
        asked = ipc_pb2.IpcClientMessage(request_id=5)
        asked.subscribe.types.append("session.*")
        asked.subscribe.session_id = "ses_1"
        peer.send_bytes(asked.SerializeToString())
        assert kind_of(peer.receive()) == (5, "subscribed")
        assert peer.receive().event.event.type == "first"
        (stream,) = opened(backend, 1)
        assert stream.request == asked.subscribe
        for number in range(100):
            backend.publish(f"event {number}")
        for number in range(100):
            push = peer.receive()
            assert push.request_id == 5
            assert push.event == ext_event_pb2.IpcEventPush(event=event(f"event {number}"))
        stream.end("the server was stopped")
        end = peer.receive()
        assert end.request_id == 5
        assert end.subscription_end.reason == "the server was stopped"
        backend.publish("late")
        assert peer.ask(6, "check_health").check_health_response.healthy

    def test_unsubscribe_is_answered_after_the_end(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        gateway = start()
        peer = connect(gateway)
        subscribe(peer, 2)
        wait_until(gateway, lambda book: not book.jobs)
        backend.publish("one")
        peer.send(3, "unsubscribe", request_id=2)
        assert peer.receive().event.event.type == "one"
        end = peer.receive()
        assert kind_of(end) == (2, "subscription_end")
        assert end.subscription_end.reason == "ended by the client"
        answer = peer.receive()
        assert kind_of(answer) == (3, "unsubscribe_response")
        assert answer.unsubscribe_response.found
        assert backend.streams[0].closed.is_set()
        backend.streams[0].sink.event(event("late"))
        backend.streams[0].sink.ended("late")
        # Again, and with the id in new hands.
        assert not peer.ask(4, "unsubscribe", request_id=2).unsubscribe_response.found
        assert kind_of(peer.ask(2, "check_health")) == (2, "check_health_response")
        wait_until(gateway, lambda book: not (book.jobs or book.subscriptions or book._by_id))

    def test_cancel_ends_a_subscription_too(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        peer = connect(start())
        subscribe(peer, 2)
        peer.send(3, "cancel", request_id=2)
        assert peer.receive().subscription_end.reason == "cancelled by the client"
        assert peer.receive().cancel_response.found
        assert backend.streams[0].closed.wait(PATIENCE)

    @pytest.mark.parametrize("target", [0, 3, 4, 99])
    def test_unsubscribe_from_what_is_no_subscription(
        self, start: Start, connect: Connect, backend: StreamingBackend, target: int
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        peer = connect(start())
        peer.send(4, "list_sessions")
        held.wait_entered()
        answer = peer.ask(3, "unsubscribe", request_id=target)
        assert kind_of(answer) == (3, "unsubscribe_response")
        assert not answer.unsubscribe_response.found
        held.released.set()
        assert kind_of(peer.receive()) == (4, "session_list")

    def test_subscription_that_cannot_begin(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        def refuse(stream: Stream) -> None:
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "no server; start one")

        backend.script["subscribe"] = refuse
        gateway = start()
        peer = connect(gateway)
        error = peer.ask(2, "subscribe").error
        assert (error.code, error.message) == (5, "no server; start one")
        del backend.script["subscribe"]
        subscribe(peer, 2)
        wait_until(gateway, lambda book: len(book.subscriptions) == 1)

    def test_bug_in_the_backend_after_the_begin(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        def fail(stream: Stream) -> None:
            stream.sink.opened()
            raise KeyError("a private matter")

        backend.script["subscribe"] = fail
        peer = connect(start())
        subscribe(peer, 2)
        end = peer.receive()
        assert kind_of(end) == (2, "subscription_end")
        assert "private" not in end.subscription_end.reason

    def test_end_before_the_backend_has_returned(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        def begin_and_end(stream: Stream) -> None:
            stream.sink.opened()
            stream.sink.ended("gone already")
            stream.sink.event(event("late"))

        backend.script["subscribe"] = begin_and_end
        gateway = start()
        peer = connect(gateway)
        subscribe(peer, 2)
        assert peer.receive().subscription_end.reason == "gone already"
        wait_until(gateway, lambda book: not (book.jobs or book.subscriptions))
        assert backend.streams[0].closed.wait(PATIENCE)

    @pytest.mark.parametrize("control", ["cancel", "unsubscribe"])
    @pytest.mark.parametrize("begun", [False, True])
    def test_end_by_the_client_while_it_begins(
        self,
        start: Start,
        connect: Connect,
        backend: StreamingBackend,
        control: str,
        begun: bool,
    ) -> None:
        held = Held()

        def begin(stream: Stream) -> None:
            if begun:
                stream.sink.opened()
            held()
            if not begun:
                stream.sink.opened()  # too late: its error is out
            stream.sink.event(event("late"))

        backend.script["subscribe"] = begin
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "subscribe")
        held.wait_entered()
        if begun:
            assert kind_of(peer.receive()) == (2, "subscribed")
        peer.send(3, control, request_id=2)
        assert kind_of(peer.receive()) == (2, "subscription_end" if begun else "error")
        assert kind_of(peer.receive()) == (3, f"{control}_response")
        held.released.set()
        wait_until(gateway, lambda book: not (book.jobs or book.subscriptions))
        assert backend.streams[0].closed.is_set()
        assert kind_of(peer.ask(4, "check_health")) == (4, "check_health_response")

    def test_one_subscription_too_many(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        gateway = start(max_subscriptions=2)
        peer = connect(gateway)
        subscribe(peer, 2)
        subscribe(peer, 3)
        error = peer.ask(4, "subscribe").error
        assert error.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert "has 2 subscriptions" in error.message
        peer.send(5, "unsubscribe", request_id=2)
        assert kind_of(peer.receive()) == (2, "subscription_end")
        assert kind_of(peer.receive()) == (5, "unsubscribe_response")
        subscribe(peer, 4)

    def test_stop_of_the_gateway_ends_subscriptions_at_once(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        gateway = start()
        peer = connect(gateway)
        subscribe(peer, 2)
        subscribe(peer, 3)
        wait_until(gateway, lambda book: not book.jobs)
        gateway.stop(60)  # which would be the patience with requests
        ends = {kind_of(answer := peer.receive()): answer.subscription_end for _ in range(2)}
        assert sorted(ends) == [(2, "subscription_end"), (3, "subscription_end")]
        assert {end.reason for end in ends.values()} == {"gateway is stopping"}
        assert peer.end().code == 1001
        assert all(stream.closed.is_set() for stream in backend.streams)

    def test_stop_of_the_gateway_while_one_begins(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        held = Held()

        def begin(stream: Stream) -> None:
            held()
            stream.sink.opened()

        backend.script["subscribe"] = begin
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "subscribe")
        held.wait_entered()
        stopping = threading.Thread(target=gateway.stop, args=(PATIENCE,))
        stopping.start()
        wait_until(gateway, lambda book: book.stopping)
        held.released.set()
        assert kind_of(peer.receive()) == (2, "subscribed")
        assert peer.receive().subscription_end.reason == "gateway is stopping"
        stopping.join(PATIENCE)
        assert backend.streams[0].closed.is_set()

    def test_1000_subscriptions_get_every_event_and_hold_no_thread(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        gateway = start()
        peer = connect(gateway)
        for request_id in range(2, 1002):
            peer.send(request_id, "subscribe")
        begun = {kind_of(peer.receive()) for _ in range(1000)}
        assert begun == {(request_id, "subscribed") for request_id in range(2, 1002)}
        wait_until(gateway, lambda book: not book.jobs)
        assert len(gateway._workers._threads) < 500  # those that begin them, for a while
        for text in ("one", "two"):
            publishing = threading.Thread(target=backend.publish, args=(text,))
            publishing.start()
            got = [peer.receive() for _ in range(1000)]
            publishing.join(PATIENCE)
            assert {push.request_id for push in got} == set(range(2, 1002))
            assert {push.event.event.type for push in got} == {text}
            assert {push.event.missed for push in got} == {0}
        assert kind_of(peer.ask(2000, "check_health")) == (2000, "check_health_response")

    @pytest.mark.parametrize("begun", [False, True])
    def test_peer_that_vanishes(
        self, start: Start, connect: Connect, backend: StreamingBackend, begun: bool
    ) -> None:
        held = Held()

        def begin(stream: Stream) -> None:
            stream.sink.opened()
            if not begun:
                held()

        backend.script["subscribe"] = begin
        gateway = start()
        peer = connect(gateway)
        subscribe(peer, 2)
        (thread,) = gateway._peers._threads.values()
        peer.close()
        thread.join(PATIENCE)
        held.released.set()
        gateway.stop()
        (stream,) = opened(backend, 1)
        assert stream.closed.is_set()


class TestScopes:
    def test_the_backend_for_the_folder_answers(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        peer = connect(start())
        peer.send_bytes(scoped(7, "/project", request(99, "list_sessions")).SerializeToString())
        answer = peer.receive()
        assert kind_of(answer) == (7, "session_list")
        assert list(answer.session_list.sessions) == [session(2), session(1)]
        assert backend.calls[-2:] == [("in", "/project"), ("list_sessions",)]
        peer.ask(8, "list_sessions")
        assert backend.calls.count(("in", "/project")) == 1

    @pytest.mark.parametrize("operation", ["subscribe", "prompt", "send_message"])
    def test_long_ones_have_it_too(
        self, start: Start, connect: Connect, backend: StreamingBackend, operation: str
    ) -> None:
        peer = connect(start())
        peer.send_bytes(scoped(7, "/project", request(99, operation)).SerializeToString())
        answer = peer.receive()
        assert answer.request_id == 7
        assert not answer.HasField("error")
        assert ("in", "/project") in backend.calls

    def test_wrong_wrapping_is_told(self, start: Start, connect: Connect) -> None:
        peer = connect(start())
        peer.send_bytes(scoped(7, "here", request(99, "prompt")).SerializeToString())
        error = peer.receive()
        assert kind_of(error) == (7, "error")
        assert error.error.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
        assert "must be an absolute path" in error.error.message
        assert kind_of(peer.ask(7, "check_health")) == (7, "check_health_response")

    def test_wrapped_cancel_is_one(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        peer = connect(start())
        peer.send(2, "prompt", text="x")
        run.wait_entered()
        peer.send_bytes(scoped(3, "/p", request(1, "cancel", request_id=2)).SerializeToString())
        assert peer.receive().run_result.failure.kind == "cancelled"
        assert kind_of(peer.receive()) == (3, "cancel_response")


class TestRuns:
    def test_pushes_come_before_the_result(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        def run(asked: Any, sink: Any, cancellation: Any) -> Any:
            for number in range(200):
                sink.event(event(f"{number}"))
            return ext_prompt_pb2.IpcRunResult(finish="stop")

        backend.script["prompt"] = run
        peer = connect(start())
        peer.send(2, "prompt", text="x")
        for number in range(200):
            push = peer.receive()
            assert push.request_id == 2
            assert push.event.event.type == f"{number}"
        result = peer.receive()
        assert result.run_result == ext_prompt_pb2.IpcRunResult(finish="stop")

    def test_nothing_is_pushed_after_the_result(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        sinks: list[Any] = []

        def run(asked: Any, sink: Any, cancellation: Any) -> Any:
            sinks.append(sink)
            return ext_prompt_pb2.IpcRunResult(finish="stop")

        backend.script["prompt"] = run
        peer = connect(start())
        assert peer.ask(2, "prompt").run_result.finish == "stop"
        sinks[0].event(event("late"))
        sinks[0].ended("late")
        assert kind_of(peer.ask(2, "check_health")) == (2, "check_health_response")

    def test_256_runs_and_a_quick_request(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        gateway = start(max_in_flight=1)
        peer = connect(gateway)
        for request_id in range(2, 302):
            peer.send(request_id, "prompt", text=f"{request_id}")
        for _ in range(256):
            run.wait_entered()
        assert kind_of(peer.ask(1000, "list_sessions")) == (1000, "session_list")
        assert len(run.sinks) == 256  # the others wait
        run.end()
        results = {
            answer.request_id: answer.run_result for answer in (peer.receive() for _ in range(300))
        }
        assert {key: result.finish for key, result in results.items()} == {
            request_id: f"{request_id}" for request_id in range(2, 302)
        }

    def test_many_quick_requests_hold_up_no_run(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        peer = connect(start(max_in_flight=1))
        peer.send(2, "list_sessions")
        peer.send(3, "list_sessions")
        held.wait_entered()
        assert peer.ask(4, "prompt", text="ok").run_result.finish == "ok"
        held.released.set()
        assert sorted(peer.receive().request_id for _ in range(2)) == [2, 3]

    def test_a_large_prompt_holds_up_no_large_list(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        backend.sessions_size = 7 << 20
        peer = connect(start())
        peer.send(2, "prompt", text="x" * (9 << 20))
        run.wait_entered()
        assert kind_of(peer.ask(3, "list_sessions")) == (3, "session_list")
        run.end()
        assert kind_of(peer.receive()) == (2, "run_result")

    def test_result_larger_than_a_message(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        backend.script["prompt"] = lambda *arguments: ext_prompt_pb2.IpcRunResult(
            structured_json="x" * 2000
        )
        error = connect(start(max_message_size=1000)).ask(2, "prompt").error
        assert error.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert "more than the 1000" in error.message
        assert "list_messages and a limit" in error.message

    @pytest.mark.parametrize("operation", ["prompt", "send_message"])
    def test_peer_that_vanishes_cancels_its_runs(
        self, start: Start, connect: Connect, backend: StreamingBackend, operation: str
    ) -> None:
        run = Run()
        backend.script["prompt"] = run
        backend.script["send_message"] = lambda text, cancellation: run(
            request(2, "prompt").prompt, None, cancellation
        )
        gateway = start(max_runs=1)
        peer = connect(gateway)
        peer.send(2, operation, text="x")
        peer.send(3, operation, text="never begun")
        run.wait_entered()
        (served,) = gateway._peers._threads
        peer.close()
        book = served._requests._book
        with book.changed:
            assert book.changed.wait_for(lambda: book.ended and not book.jobs, PATIENCE)
        assert run.reasons == ["the client has gone"]
        assert len(run.sinks) == 1

    @pytest.mark.parametrize("operation", ["prompt", "send_message"])
    def test_stop_of_the_gateway_cancels_late_runs(
        self, start: Start, connect: Connect, backend: StreamingBackend, operation: str
    ) -> None:
        run = Run()
        backend.script["prompt"] = run
        backend.script["send_message"] = lambda text, cancellation: run(
            request(2, "prompt").prompt, None, cancellation
        )
        gateway = start(max_runs=1)
        peer = connect(gateway)
        peer.send(2, operation, text="x")
        peer.send(3, operation, text="never begun")
        run.wait_entered()
        gateway.stop(2)
        errors = {
            answer.request_id: answer.error.message for answer in (peer.receive() for _ in range(2))
        }
        assert errors == {
            2: "gateway is stopping; the request was begun, so it may have been done",
            3: "gateway is stopping",
        }
        assert peer.end().code == 1001
        assert run.reasons == ["gateway is stopping"]

    def test_run_that_ends_in_time_is_answered_by_a_stopping_gateway(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "prompt", text="x")
        run.wait_entered()
        stopping = threading.Thread(target=gateway.stop, args=(PATIENCE,))
        stopping.start()
        wait_until(gateway, lambda book: book.stopping)
        run.sinks[0].event(event("still"))
        run.end()
        assert peer.receive().event.event.type == "still"
        assert peer.receive().run_result.finish == "x"
        stopping.join(PATIENCE)


class TestCancel:
    def test_run_is_told_and_its_result_comes_first(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        peer = connect(start())
        peer.send(2, "prompt", text="x")
        run.wait_entered()
        peer.send(3, "cancel", request_id=2)
        result = peer.receive()
        assert result.request_id == 2
        assert result.run_result.failure.kind == "cancelled"
        answer = peer.receive()
        assert kind_of(answer) == (3, "cancel_response")
        assert answer.cancel_response.found
        assert run.reasons == ["cancelled by the client"]
        assert not peer.ask(4, "cancel", request_id=2).cancel_response.found

    @pytest.mark.parametrize("operation", ["prompt", "send_message"])
    def test_error_of_a_cancelled_run_says_so(
        self, start: Start, connect: Connect, backend: StreamingBackend, operation: str
    ) -> None:
        entered = threading.Event()

        def run(*arguments: Any) -> Any:
            stop = threading.Event()
            arguments[-1].on_cancel(stop.set)
            entered.set()
            assert stop.wait(PATIENCE)
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_NO_SERVER, "what came of it")

        backend.script[operation] = run
        peer = connect(start())
        peer.send(2, operation, text="x")
        assert entered.wait(PATIENCE)
        peer.send(3, "cancel", request_id=2)
        error = peer.receive().error
        assert (error.code, error.message) == (
            ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR,
            "cancelled by the client",
        )
        assert kind_of(peer.receive()) == (3, "cancel_response")

    def test_run_that_does_not_end_is_not_waited_for(
        self,
        start: Start,
        connect: Connect,
        backend: StreamingBackend,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("opencode_sync.gateway.controls._PATIENCE_SECONDS", 0.05)
        held = Held(ext_prompt_pb2.IpcRunResult(finish="at last"))
        backend.script["prompt"] = held
        peer = connect(start())
        peer.send(2, "prompt", text="x")
        held.wait_entered()
        answer = peer.ask(3, "cancel", request_id=2)
        assert answer.cancel_response.found
        held.released.set()
        assert peer.receive().run_result.finish == "at last"

    def test_request_in_line_is_not_begun(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        gateway = start(max_runs=1)
        peer = connect(gateway)
        for request_id in (2, 3, 4):
            peer.send(request_id, "prompt", text=f"{request_id}")
        run.wait_entered()
        peer.send(5, "cancel", request_id=3)
        error = peer.receive()
        assert (error.request_id, error.error.message) == (3, "cancelled by the client")
        assert error.error.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert kind_of(peer.receive()) == (5, "cancel_response")
        run.end()
        assert [peer.receive().run_result.finish for _ in range(2)] == ["2", "4"]
        assert len(run.sinks) == 2

    def test_ordinary_request_is_answered_at_once(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        held = backend.script["list_sessions"] = Held([])
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "list_sessions")
        held.wait_entered()
        peer.send(3, "cancel", request_id=2)
        error = peer.receive()
        assert (error.request_id, error.error.message) == (
            2,
            "cancelled by the client; the request was begun, so it may have been done",
        )
        assert kind_of(peer.receive()) == (3, "cancel_response")
        # The id is free, and the late result is nobody's.
        assert kind_of(peer.ask(2, "check_health")) == (2, "check_health_response")
        held.released.set()
        wait_until(gateway, lambda book: not book.jobs)
        assert kind_of(peer.ask(4, "check_health")) == (4, "check_health_response")

    @pytest.mark.parametrize("target", [0, 3, 99])
    def test_nothing_to_cancel(self, start: Start, connect: Connect, target: int) -> None:
        answer = connect(start()).ask(3, "cancel", request_id=target)
        assert kind_of(answer) == (3, "cancel_response")
        assert not answer.cancel_response.found

    def test_cancel_is_no_target(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        held = Held()

        def deaf(*arguments: Any) -> Any:
            held()
            return run(*arguments)

        backend.script["prompt"] = deaf
        peer = connect(start())
        peer.send(2, "prompt", text="x")
        held.wait_entered()
        peer.send(3, "cancel", request_id=2)
        assert not peer.ask(4, "cancel", request_id=3).cancel_response.found
        held.released.set()
        assert kind_of(peer.receive()) == (2, "run_result")
        assert kind_of(peer.receive()) == (3, "cancel_response")

    @pytest.mark.parametrize("control", ["cancel", "unsubscribe"])
    def test_control_with_a_wrong_id_of_its_own(
        self, start: Start, connect: Connect, backend: StreamingBackend, control: str
    ) -> None:
        run = backend.script["prompt"] = Run()
        peer = connect(start())
        peer.send(2, "prompt", text="x")
        run.wait_entered()
        error = peer.ask(0, control, request_id=2).error
        assert "request_id must not be 0" in error.message
        error = peer.ask(2, control, request_id=2)
        assert error.request_id == 0
        assert "request_id 2 belongs to a request still in flight" in error.error.message
        run.end()
        assert kind_of(peer.receive()) == (2, "run_result")
        assert run.reasons == []

    def test_cancel_passes_a_full_line(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        run = backend.script["prompt"] = Run()
        peer = connect(start(max_runs=1, max_queued=1))
        peer.send(2, "prompt", text="a")
        peer.send(3, "prompt", text="b")
        run.wait_entered()
        peer.send(4, "cancel", request_id=2)
        assert peer.receive().run_result.failure.kind == "cancelled"
        run.wait_entered()
        run.end()
        assert sorted(kind_of(peer.receive()) for _ in range(2)) == [
            (3, "run_result"),
            (4, "cancel_response"),
        ]

    def test_too_many_controls_wait_for_room(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        held = Held(ext_prompt_pb2.IpcRunResult(finish="x"))
        backend.script["prompt"] = held
        gateway = start(max_queued=2)
        peer = connect(gateway)
        peer.send(2, "prompt")
        held.wait_entered()
        for request_id in range(3, 13):
            peer.send(request_id, "cancel", request_id=2)
        wait_until(gateway, lambda book: book._controls == 2)
        held.released.set()
        answers = [peer.receive() for _ in range(11)]
        assert answers[0].run_result.finish == "x"
        assert [answer.request_id for answer in answers[1:]] == list(range(3, 13))

    def test_stop_answers_a_cancel_that_waits(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        held = Held(ext_prompt_pb2.IpcRunResult())
        backend.script["prompt"] = held
        backend.script["close"] = held.released.set
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "prompt")
        held.wait_entered()
        peer.send(3, "cancel", request_id=2)
        wait_until(gateway, lambda book: book._controls == 1)
        gateway.stop(2)
        answers = [kind_of(peer.receive()) for _ in range(2)]
        assert sorted(answers) == [(2, "error"), (3, "error")]
        assert peer.end().code == 1001

    def test_peer_that_vanishes_while_its_cancel_waits(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        held = Held(ext_prompt_pb2.IpcRunResult())
        backend.script["prompt"] = held
        gateway = start()
        peer = connect(gateway)
        peer.send(2, "prompt")
        held.wait_entered()
        peer.send(3, "cancel", request_id=2)
        wait_until(gateway, lambda book: book._controls == 1)
        (served,) = gateway._peers._threads
        book = served._requests._book
        peer.close()
        with book.changed:
            assert book.changed.wait_for(lambda: not book._controls, PATIENCE)
        held.released.set()
        with book.changed:
            assert book.changed.wait_for(lambda: not book.jobs, PATIENCE)

    def test_cancel_races_the_result(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        """Whoever is first, each of both gets one answer, and the result is never lost."""
        gateway = start()
        peer = connect(gateway)
        for number in range(300):
            prompt, cancel = 2 + 2 * number, 3 + 2 * number
            peer.send(prompt, "prompt", text="x")
            peer.send(cancel, "cancel", request_id=prompt)
            answers = {answer.request_id: answer for answer in (peer.receive(), peer.receive())}
            assert answers[cancel].WhichOneof("payload") == "cancel_response"
            if answers[prompt].HasField("error"):
                assert answers[prompt].error.message == "cancelled by the client"
                assert answers[cancel].cancel_response.found
            else:
                assert answers[prompt].run_result.finish == "x"
        wait_until(gateway, lambda book: not (book.jobs or book._by_id))

    def test_subscriptions_and_ends_race(
        self, start: Start, connect: Connect, backend: StreamingBackend
    ) -> None:
        """Backend, client and cancel end the same ones at once: each has one end, nothing after."""
        gateway = start()
        peer = connect(gateway)
        count = 100
        for request_id in range(2, 2 + count):
            subscribe(peer, request_id)
        wait_until(gateway, lambda book: not book.jobs)
        streams = opened(backend, count)
        together = threading.Barrier(2)

        def end_all() -> None:
            together.wait(PATIENCE)
            for stream in streams:
                stream.push(event("last"))
                stream.end("over")

        ending = threading.Thread(target=end_all)
        ending.start()
        together.wait(PATIENCE)
        for request_id in range(2, 2 + count):
            peer.send(1000 + request_id, "unsubscribe", request_id=request_id)
            peer.send(2000 + request_id, "cancel", request_id=request_id)
        ended: set[int] = set()
        answered = 0
        while len(ended) < count or answered < 2 * count:
            answer = peer.receive()
            kind = answer.WhichOneof("payload")
            if kind in ("unsubscribe_response", "cancel_response"):
                answered += 1
                continue
            assert answer.request_id not in ended
            if kind == "subscription_end":
                ended.add(answer.request_id)
            else:
                assert kind == "event"
        ending.join(PATIENCE)
        wait_until(gateway, lambda book: not (book.jobs or book.subscriptions or book._by_id))


def test_peers_that_vanish_in_every_state_leave_nothing(
    start: Start, connect: Connect, backend: StreamingBackend
) -> None:
    run = backend.script["prompt"] = Run()
    gateway = start(max_runs=2)
    other = connect(gateway)
    for _ in range(20):
        peer = connect(gateway)
        peer.send(2, "subscribe")
        for request_id in range(3, 8):
            peer.send(request_id, "prompt", text="x")
        peer.send(8, "cancel", request_id=3)
        peer.send(9, "unsubscribe", request_id=2)
        peer.send(10, "subscribe")
        backend.publish("to whom it may concern")
        peer.close()
    assert kind_of(other.ask(2, "check_health")) == (2, "check_health_response")
    other.close()
    gateway.stop()
    assert all(stream.closed.is_set() for stream in backend.streams)
    run.end()
    with pytest.raises(Closed):
        other.receive()
