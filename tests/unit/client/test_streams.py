"""``stream_prompt``: a run while it goes on, whatever its reader and its connection do."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any

import pytest

from opencode_sync import (
    CancelToken,
    InMemoryMetrics,
    IpcCancelledError,
    IpcClient,
    IpcClientOptions,
    IpcConnectionError,
    IpcPromptError,
    IpcProtocolError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    IpcUnsupportedOperationError,
    IpcUsageError,
    OtherEvent,
    PermissionAsked,
    PromptStream,
    ReasoningDelta,
    ReconnectPolicy,
    RetryScheduled,
    TextDelta,
    ToolUpdate,
    enable_logging,
)
from opencode_sync.wire import ext_prompt_pb2
from tests.support import backend as b
from tests.support.backend import HOLD, WAIT, Link, ScriptedBackend
from tests.support.leaks import eventually
from tests.support.threads import Background, together


class Run:
    """A stream under way, and the backend's end of it."""

    def __init__(self, backend: ScriptedBackend, client: IpcClient, **arguments: Any) -> None:
        backend.rule("prompt", HOLD)
        self.link: Link = backend.link()
        before = len(self.link.requests)
        self.stream: PromptStream = client.stream_prompt("ses_1", "Hi", **arguments)
        self.request = self.link.request(before)
        self.client = client

    def send(self, *payloads: b.Payload) -> None:
        """Have the backend send this, and the client take it in."""
        self.link.answer(self.request, *payloads)
        assert self.client.check_server_health() is True  # answers keep their order


def texts(stream: PromptStream) -> list[str]:
    return [event.text for event in stream if isinstance(event, TextDelta)]


def small(backend: ScriptedBackend, size: int = 10, **options: Any) -> IpcClient:
    return backend.client(options=IpcClientOptions(stream_buffer_size=size, **options))


# --- What it yields ---


def test_events_come_in_order_and_then_the_result(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    assert run.request.prompt.events == ext_prompt_pb2.IPC_RUN_EVENTS_ALL
    assert run.request.prompt.timeout_seconds == 605
    assert not run.stream.done
    assert repr(run.stream) == "<PromptStream ses_1 running>"
    run.send(
        b.event("session.updated"),
        b.delta("Hm", "reasoning"),
        b.delta("Hel"),
        b.retry(),
        b.tool_updated(),
        b.permission_asked(),
        b.delta("lo"),
        b.ran("Hello"),
    )
    kinds = [type(event) for event in run.stream]
    expected = [OtherEvent, ReasoningDelta, TextDelta, RetryScheduled]
    assert kinds == [*expected, ToolUpdate, PermissionAsked, TextDelta]
    assert run.stream.done
    assert run.stream.session_id == "ses_1"
    assert repr(run.stream) == "<PromptStream ses_1 done>"
    assert run.stream.result().text == "Hello"
    assert list(run.stream) == []  # it stays at its end


def test_each_event_is_there_as_soon_as_it_was_sent(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    for number in range(100):
        reading = Background(next, run.stream)
        run.link.answer(run.request, b.delta(str(number)))
        assert reading.result().text == str(number)
    run.send(b.ran("x"))
    assert list(run.stream) == []


def test_the_text_is_that_of_the_answer_alone(backend: ScriptedBackend, client: IpcClient) -> None:
    run = Run(backend, client)
    run.send(
        b.delta("thinking", "reasoning"),
        b.delta("Let me "),
        b.delta("look.", message_id="msg_1"),
        b.delta("the child's", session_id="ses_child", message_id="msg_c"),
        b.tool_updated(),
        b.delta("", message_id="msg_2"),
        b.delta("It is ", message_id="msg_2"),
        b.delta("42.", message_id="msg_2"),
        b.ran("Let me look.", "It is 42."),
    )
    pieces = list(run.stream.text_stream)
    assert pieces == ["Let me ", "look.", "\n\nIt is ", "42."]
    assert "".join(pieces) == run.stream.result().text


def test_the_text_and_the_stream_may_be_read_by_turns(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    run.send(b.delta("a"), b.tool_updated(), b.delta("b"), b.delta("c"), b.ran("abc"))
    text = run.stream.text_stream
    assert iter(text) is text
    assert next(text) == "a"
    assert isinstance(next(run.stream), ToolUpdate)
    assert next(text) == "b"
    assert texts(run.stream) == ["c"]
    assert list(text) == []


# --- The result ---


def test_the_result_may_be_asked_for_before_and_again(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    waiting = Background(run.stream.result)
    with pytest.raises(IpcTimeoutError, match="goes on") as caught:
        run.stream.result(timeout=0.01)
    assert (caught.value.timeout, caught.value.operation) == (0.01, "prompt")
    with pytest.raises(IpcTimeoutError):
        run.stream.result(timeout=0)
    run.send(b.delta("Hi"), b.ran("Hi"))
    result = waiting.result()
    assert run.stream.result() == run.stream.result(timeout=0) == result
    assert texts(run.stream) == ["Hi"]  # nobody took them away
    assert "cancel" not in run.link.operations()


def test_the_result_from_another_thread_takes_no_event_from_the_reader(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    reader = Background(texts, run.stream)
    others = together(4, lambda _: run.stream.result(WAIT).text)
    for number in range(500):
        run.link.answer(run.request, b.delta(str(number)))
    run.send(b.ran("done"))
    assert reader.result() == [str(number) for number in range(500)]
    assert [other.result() for other in others] == ["done"] * 4


@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan"), 1e12])
def test_a_time_out_that_is_none_is_refused(
    backend: ScriptedBackend, client: IpcClient, timeout: Any
) -> None:
    run = Run(backend, client)
    with pytest.raises(IpcUsageError, match="timeout"):
        run.stream.result(timeout=timeout)
    run.send(b.ran("x"))


# --- Readers who are slow, and readers who do not read ---


def test_a_gap_is_told_exactly_where_it_is(backend: ScriptedBackend) -> None:
    with small(backend) as client:
        run = Run(backend, client)
        run.send(*(b.delta(str(number)) for number in range(25)))
        assert [next(run.stream).text for _ in range(4)] == ["0", "1", "2", "3"]
        run.send(*(b.delta(str(number)) for number in range(25, 30)))  # 29 does not fit
        assert [next(run.stream).text for _ in range(6)] == ["4", "5", "6", "7", "8", "9"]
        with pytest.raises(IpcSlowConsumerError, match=r"15 events.*stream_buffer_size") as caught:
            next(run.stream)
        assert caught.value.missed == 15
        assert [next(run.stream).text for _ in range(4)] == ["25", "26", "27", "28"]
        run.send(b.ran("all of it"))
        with pytest.raises(IpcSlowConsumerError) as caught:
            next(run.stream)
        assert caught.value.missed == 1
        assert list(run.stream) == []
        assert run.stream.result().text == "all of it"


def test_the_text_goes_on_after_a_gap(backend: ScriptedBackend) -> None:
    with small(backend, 2) as client:
        run = Run(backend, client)
        run.send(*(b.delta(letter) for letter in "abcd"))
        text = run.stream.text_stream
        assert next(text) + next(text) == "ab"
        with pytest.raises(IpcSlowConsumerError):
            next(text)
        run.send(b.delta("e"), b.ran("abcde"))
        assert list(text) == ["e"]


def test_what_the_backend_dropped_is_told_as_well(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    run.send(b.delta("a"), b.delta("b", missed=7), b.ran("ab", missed=3))
    missed = []
    seen = []
    while True:
        try:
            seen.append(next(run.stream).text)
        except IpcSlowConsumerError as error:
            missed.append((len(seen), error.missed))
        except StopIteration:
            break
    assert (seen, missed) == (["a", "b"], [(1, 7), (2, 3)])
    assert run.stream.result().text == "ab"


def test_a_stream_that_nobody_reads_holds_up_nobody(backend: ScriptedBackend) -> None:
    with small(backend, 100) as client:
        run = Run(backend, client)
        for _ in range(20):
            run.link.answer(run.request, *(b.delta("x" * 100) for _ in range(250)))
            assert len(client.list_sessions(timeout=WAIT)) == 1
        assert len(run.stream._buffer._items) == 101  # those that fit, and the gap
        run.send(b.ran("the end"))
        assert run.stream.result().text == "the end"


def test_thousands_of_events_reach_a_slow_reader_in_order(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    begun, go_on = threading.Event(), threading.Event()

    def read() -> list[str]:
        seen = [next(run.stream).text]
        begun.set()
        assert go_on.wait(WAIT)  # and meanwhile everything comes
        return seen + texts(run.stream)

    reader = Background(read)
    run.send(b.delta("0"))
    assert begun.wait(WAIT)
    run.send(*(b.delta(str(number)) for number in range(1, 5_000)), b.ran("end"))
    go_on.set()
    assert reader.result() == [str(number) for number in range(5_000)]


def test_many_streams_at_once_get_each_its_own(backend: ScriptedBackend, client: IpcClient) -> None:
    runs = [Run(backend, client) for _ in range(20)]
    readers = [Background(texts, run.stream) for run in runs]
    listing = Background(lambda: [len(client.list_sessions()) for _ in range(50)])
    for number in range(50):
        for index, run in enumerate(runs):
            run.link.answer(run.request, b.delta(f"{index}:{number}"))
    for index, run in enumerate(reversed(runs)):
        run.link.answer(run.request, b.ran(f"end {19 - index}"))
    for index, (run, reader) in enumerate(zip(runs, readers, strict=True)):
        assert reader.result() == [f"{index}:{number}" for number in range(50)]
        assert run.stream.result(WAIT).text == f"end {index}"
    assert listing.result() == [1] * 50


# --- How it ends ---


def test_a_run_that_failed_raises_after_its_events(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    run.send(b.delta("Hel"), b.failed("api", "overloaded", "Hel", status=529, retryable=True))
    assert next(run.stream).text == "Hel"
    errors = []
    for read in (lambda: next(run.stream), lambda: next(run.stream.text_stream)):
        with pytest.raises(IpcPromptError, match="overloaded") as caught:
            read()
        errors.append(caught.value)
    for _ in range(2):
        with pytest.raises(IpcPromptError) as caught:
            run.stream.result()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 4  # an instance each
    for error in errors:
        assert (error.kind, error.status, error.retryable) == ("api", 529, True)
        assert error.partial.text == "Hel"
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_leaving_early_aborts_the_run_and_waits_for_that(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("cancel", HOLD)
    run = Run(backend, client)

    def leave() -> str:
        with run.stream as stream:
            return next(stream).text

    leaving = Background(leave)
    run.send(b.delta("enough"))
    cancel = run.link.request(2)
    assert cancel.cancel.request_id == run.request.request_id
    assert leaving.running
    run.link.answer(run.request, b.failed("cancelled"))
    run.link.answer(cancel, b.cancelled())
    assert leaving.result() == "enough"
    with pytest.raises(IpcCancelledError):
        run.stream.result()
    with pytest.raises(IpcCancelledError):
        next(run.stream)
    client.check_server_health()
    assert (client.strays.cancelled, client.strays.late) == (1, 0)
    run.stream.close()
    assert run.link.operations().count("cancel") == 1


def test_an_exception_in_the_block_aborts_as_well(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    with pytest.raises(ZeroDivisionError), run.stream:
        _ = 1 / 0
    assert run.link.operations()[-1] == "cancel"


def test_a_backend_that_does_not_abort_is_not_waited_for_for_ever(
    backend: ScriptedBackend,
) -> None:
    backend.rule("cancel", HOLD)
    with small(backend, shutdown_timeout=0.05) as client:
        run = Run(backend, client)
        run.stream.close()
        assert run.stream.done


def test_a_finished_run_is_not_aborted(backend: ScriptedBackend, client: IpcClient) -> None:
    with Run(backend, client).stream as stream:
        link = backend.link()
        link.answer(link.request(), b.delta("a"), b.ran("a"))
        assert stream.result().text == "a"
    stream.close()
    stream.cancel()
    assert list(stream) == []  # closed: what was not read is gone
    assert stream.result().text == "a"
    client.check_server_health()
    assert "cancel" not in link.operations()


def test_cancel_wakes_who_reads_and_who_waits(backend: ScriptedBackend, client: IpcClient) -> None:
    backend.rule("cancel", HOLD)
    run = Run(backend, client)
    reading, waiting = Background(next, run.stream), Background(run.stream.result)
    run.stream.cancel()
    assert isinstance(reading.error(), IpcCancelledError)
    assert isinstance(waiting.error(), IpcCancelledError)
    assert run.link.request(1).cancel.request_id == run.request.request_id


def test_closing_from_another_thread_ends_the_reader_with_an_error(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    """Not as if the run had come to its end."""
    run = Run(backend, client)
    reading = Background(list, run.stream)
    run.stream.close()
    assert isinstance(reading.error(), IpcCancelledError)


def test_a_token_aborts_it(backend: ScriptedBackend, client: IpcClient) -> None:
    token = CancelToken()
    run = Run(backend, client, cancel=token)
    run.send(b.delta("a"))
    token.cancel()
    assert next(run.stream).text == "a"
    with pytest.raises(IpcCancelledError):
        next(run.stream)
    run.link.wait(lambda: len(run.link.requests) == 3, "cancel")
    with pytest.raises(IpcCancelledError):
        client.stream_prompt("ses_1", "Hi", cancel=token).result()


def test_its_time_is_up_even_if_nobody_reads(backend: ScriptedBackend, client: IpcClient) -> None:
    run = Run(backend, client, timeout=0.05)
    run.link.answer(run.request, b.delta("a"))
    cancel = run.link.request(1)  # without anybody having looked
    assert cancel.cancel.request_id == run.request.request_id
    assert next(run.stream).text == "a"
    for read in (lambda: next(run.stream), run.stream.result):
        with pytest.raises(IpcTimeoutError) as caught:
            read()
        assert (caught.value.operation, caught.value.timeout) == ("prompt", 0.05)
        assert caught.value.request_sent is True


def test_its_time_is_up_even_if_nobody_minds_the_clock(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._sweep, "watch", lambda call: None)
    for read in (next, PromptStream.result):
        run = Run(backend, client, timeout=0.05)
        with pytest.raises(IpcTimeoutError, match="prompt"):
            read(run.stream)


def test_the_default_is_the_time_of_prompts(backend: ScriptedBackend) -> None:
    with small(backend, default_prompt_timeout=0.05) as client:
        run = Run(backend, client)
        assert run.request.prompt.timeout_seconds == pytest.approx(5.05)
        with pytest.raises(IpcTimeoutError):
            run.stream.result()


def test_a_lost_connection_ends_it_after_its_events(backend: ScriptedBackend) -> None:
    with backend.client(reconnect=ReconnectPolicy(initial_delay=0.001)) as client:
        run = Run(backend, client)
        run.send(b.delta("a"))
        run.link.peer.drop()
        assert next(run.stream).text == "a"
        for read in (lambda: next(run.stream), run.stream.result):
            with pytest.raises(IpcConnectionError) as caught:
                read()
            assert caught.value.request_sent is True
        run.stream.close()
        assert client.check_server_health() is True
        # Neither repeated nor cancelled: on this connection its id is another request's.
        assert set(backend.link(1).operations()) == {"check_health"}


def test_closing_the_client_ends_it(backend: ScriptedBackend, client: IpcClient) -> None:
    run = Run(backend, client)
    reading = Background(list, run.stream)
    client.close()
    assert isinstance(reading.error(), IpcConnectionError)
    with pytest.raises(IpcConnectionError, match="closed"):
        run.stream.result()
    run.stream.close()


def test_without_a_connection_it_says_so(backend: ScriptedBackend) -> None:
    client = backend.client()
    stream = client.stream_prompt("ses_1", "Hi")
    with pytest.raises(IpcConnectionError, match="not connected"):
        next(stream)


def test_a_backend_without_prompts_is_told_apart(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.extensions = False
    with client.stream_prompt("ses_1", "Hi") as stream:
        with pytest.raises(IpcUnsupportedOperationError, match="prompt"):
            next(stream)
        with pytest.raises(IpcUnsupportedOperationError):
            stream.result()


def test_a_backend_that_lost_its_server_is_bound_again(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.script("prompt", b.NO_SERVER, lambda request: [b.delta("a"), b.ran("a")])
    with client.stream_prompt("ses_1", "Hi") as stream:
        assert texts(stream) == ["a"]


@pytest.mark.parametrize("answer", [{}, b.sessions(), b.said("Hi"), b.SUBSCRIBED])
def test_another_answer_is_a_protocol_error_of_this_run(
    backend: ScriptedBackend, client: IpcClient, answer: b.Payload
) -> None:
    run, other = Run(backend, client), Run(backend, client)
    run.send(b.delta("a"), answer)
    assert next(run.stream).text == "a"
    with pytest.raises(IpcProtocolError, match="prompt"):
        next(run.stream)
    other.send(b.delta("b"), b.ran("b"))
    assert texts(other.stream) == ["b"]


# --- Threads ---


def test_who_must_not_wait_may_begin_and_end_a_stream_but_not_read_it(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("prompt", HOLD)
    backend.rule("cancel", HOLD)
    outcome: Future[list[str]] = Future()

    def callback(_: Any) -> None:
        problems = []
        stream = client.stream_prompt("ses_1", "Hi")
        for read in (lambda: next(stream), lambda: next(stream.text_stream), stream.result):
            try:
                read()
            except IpcUsageError as error:
                problems.append(str(error))
        stream.close()  # does not wait for the backend, which does not answer
        outcome.set_result(problems)

    client.futures.check_server_health().add_done_callback(callback)
    problems = outcome.result(WAIT)
    assert len(problems) == 3
    assert all("callback" in problem for problem in problems)


def test_the_result_of_a_run_that_has_ended_may_be_had_anywhere(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    run = Run(backend, client)
    run.send(b.ran("x"))
    outcome: Future[str] = Future()
    client.futures.check_server_health().add_done_callback(
        lambda _: outcome.set_result(run.stream.result().text)
    )
    assert outcome.result(WAIT) == "x"


def test_several_threads_may_read_one_stream(backend: ScriptedBackend, client: IpcClient) -> None:
    run = Run(backend, client)
    readers = together(4, lambda _: texts(run.stream))
    for number in range(1_000):
        run.link.answer(run.request, b.delta(str(number)))
    run.send(b.ran("x"))
    seen = [reader.result() for reader in readers]
    assert sorted(int(text) for mine in seen for text in mine) == list(range(1_000))


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _waits_for_an_event(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == "opencode_sync.push_buffer"


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread()
    or not hasattr(signal, "pthread_kill"),
    reason="needs a signal sent to the main thread, which is where Python handles it",
)
def test_an_interrupt_while_waiting_leaves_a_stream_that_works(
    backend: ScriptedBackend, client: IpcClient, interruptible: None
) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        assert eventually(lambda: _waits_for_an_event(sys._current_frames().get(main)), WAIT)
        signal.pthread_kill(main, signal.SIGINT)

    run = Run(backend, client)
    text = run.stream.text_stream
    for read in (lambda: next(run.stream), lambda: next(text)):
        helper = Background(interrupt)
        with pytest.raises(KeyboardInterrupt):
            read()
        helper.result()
        run.send(b.delta("a"))
        assert next(text) == "a"
    run.send(b.ran("aa"))
    assert list(text) == []
    assert run.stream.result().text == "aa"
    assert "cancel" not in run.link.operations()


# --- Pushes that belong to nobody ---


@pytest.fixture
def log() -> Iterator[list[tuple[str, str]]]:
    """The level and the text of everything that is logged."""
    records: list[tuple[str, str]] = []

    def sink(message: Any) -> None:
        records.append((message.record["level"].name, message.record["message"]))

    disable = enable_logging("DEBUG", sink)
    yield records
    disable()


def test_late_events_of_a_closed_stream_are_counted_and_mentioned_once(
    backend: ScriptedBackend, client: IpcClient, log: list[tuple[str, str]]
) -> None:
    run = Run(backend, client)
    run.stream.close()
    run.send(*(b.delta("late") for _ in range(2_000)))
    assert client.strays.pushes == 2_000
    assert [level for level, text in log if "no stream" in text] == ["DEBUG"]
    run.send(b.failed("cancelled"))
    assert (client.strays.cancelled, client.strays.duplicate) == (1, 0)
    assert [level for level, text in log if "dropped an answer" in text] == ["DEBUG"]


def test_events_of_no_request_are_counted_and_warned_of_once_each(
    backend: ScriptedBackend, client: IpcClient, log: list[tuple[str, str]]
) -> None:
    link = backend.link()
    for request_id in (0, 1, 77, 2**64 - 1):
        for _ in range(100):
            link.send(request_id, b.event())
    assert client.check_server_health() is True
    assert client.strays.pushes == 400
    assert [level for level, text in log if "no stream" in text] == ["WARNING"] * 4


def test_a_flood_of_ids_does_not_fill_the_memory(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    link = backend.link()
    for request_id in range(10_000, 12_000):
        link.send(request_id, b.event())
    assert client.check_server_health() is True
    assert client.strays.pushes == 2_000
    live = client._supervisor._live
    assert live is not None
    assert len(live._answers._told) <= 1_024


def test_a_push_for_an_ordinary_call_is_its_own_protocol_error(
    backend: ScriptedBackend, client: IpcClient
) -> None:
    backend.rule("list_sessions", HOLD)
    wronged, other = client.futures.list_sessions(), client.futures.list_sessions()
    link = backend.link()
    link.answer(link.request(0), b.delta("what?"), b.sessions("too late"))
    link.answer(link.request(1), b.sessions("mine"))
    error = wronged.exception(WAIT)
    assert isinstance(error, IpcProtocolError)
    assert (error.operation, error.request_id) == ("list_sessions", 2)
    assert "'event'" in str(error)
    assert other.result(WAIT)[0].title == "mine"
    assert client.strays.late == 1


def test_a_sink_that_fails_ends_its_own_call(
    backend: ScriptedBackend, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(backend, client)
    monkeypatch.setattr(run.stream._buffer, "put", lambda *arguments: 1 // 0)
    run.send(b.delta("a"))
    with pytest.raises(ZeroDivisionError):
        run.stream.result(WAIT)


# --- Figures ---


def test_a_prompt_counts_as_one_request_and_its_events_as_messages(
    backend: ScriptedBackend,
) -> None:
    metrics = InMemoryMetrics()
    with backend.client(metrics=metrics) as client:
        run = Run(backend, client)
        run.send(*(b.delta("x") for _ in range(10)), b.ran("x"))
        run.stream.result()
    snapshot = metrics.snapshot()
    figures = snapshot.operations["prompt"]
    assert (figures.sent, figures.succeeded, figures.failed) == (1, 1, 0)
    assert snapshot.messages_received == 12  # and the answer to the health check
