"""``client.stream_prompt``: text as it is written, whatever else goes on, and how a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path

import pytest

from opencode_sync import (
    CancelToken,
    IpcCancelledError,
    IpcClient,
    IpcConfig,
    IpcConnectionError,
    IpcPromptError,
    IpcServerError,
    IpcSlowConsumerError,
    IpcTimeoutError,
    MessageUpdate,
    PromptStream,
    ReasoningDelta,
    RetryScheduled,
    TextDelta,
    ToolUpdate,
)
from opencode_sync.gateway import Gateway, OpenCodeBackend
from opencode_sync.providers import FileConfigProvider
from opencode_sync.testing import Fault, FaultProxy
from tests.e2e.client.asking import BASH, TASK, WAIT, Asked
from tests.e2e.event_cutter import EventCutter
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import Gate, StubModel
from tests.support.leaks import eventually
from tests.support.threads import Background

pytestmark = pytest.mark.e2e

Connect = Callable[..., IpcClient]
Start = Callable[[], RealServer]


@pytest.fixture
def gate(stub: StubModel, request: pytest.FixtureRequest) -> Gate:
    """A gate of the test's own; ``held`` is the prompt that stands before it."""
    return stub.gate(request.node.name.replace("[", "(").replace("]", ")"))


@pytest.fixture
def held(gate: Gate, request: pytest.FixtureRequest) -> Iterator[str]:
    yield f"[[words:5]] [[gate:{request.node.name.replace('[', '(').replace(']', ')')}]]"
    gate.let(1000)


def reached(gate: Gate) -> None:
    """Wait until the model is about to say its next word."""
    assert gate.reached.acquire(timeout=WAIT)


def first_word(stream: PromptStream) -> str:
    return next(iter(stream.text_stream))


# --- What comes ---


def test_each_word_is_there_before_the_model_says_the_next(
    client: IpcClient, asked: Asked, gate: Gate, held: str
) -> None:
    with client.stream_prompt(asked.id, held) as stream:
        for number in range(5):
            reached(gate)
            gate.let()
            assert next(stream.text_stream).strip() == f"w{number}"
            assert not stream.done or number == 4
        assert stream.result().text == "w0 w1 w2 w3 w4" == asked.text()
        assert list(stream.text_stream) == []


def test_the_pieces_are_the_whole_in_their_order(client: IpcClient, asked: Asked) -> None:
    """Text and reasoning of all steps, against the result and what OpenCode keeps."""
    with client.stream_prompt(asked.id, f"[[think:one two three]] {BASH} {BASH}") as stream:
        events = list(stream)
        result = stream.result()
    text: dict[str, str] = {}
    for event in events:
        if isinstance(event, TextDelta):
            text[event.message_id] = text.get(event.message_id, "") + event.text
    assert "\n\n".join(text.values()) == result.text == asked.text()
    thought = [each.text for each in events if isinstance(each, ReasoningDelta)]
    own = [part for each in asked.answers() for part in each["parts"]]
    assert "".join(thought) == "".join(p["text"] for p in own if p["type"] == "reasoning")
    updates = [each for each in events if isinstance(each, ToolUpdate)]
    ended = [each.call.call_id for each in updates if each.call.status == "completed"]
    assert sorted(set(ended), key=ended.index) == [call.call_id for call in result.tool_calls]
    seen = [each.message.assistant.id for each in events if isinstance(each, MessageUpdate)]
    ids = [each.assistant.id for each in result.messages]
    assert sorted({each for each in seen if each}, key=seen.index) == ids


def test_the_text_stream_is_the_results_text(client: IpcClient, asked: Asked) -> None:
    with client.stream_prompt(asked.id, f"{TASK} {BASH}") as stream:
        assert "".join(stream.text_stream) == stream.result().text == asked.text()


def test_a_thousand_words_lose_none(client: IpcClient, asked: Asked) -> None:
    with client.stream_prompt(asked.id, "[[words:1000]]") as stream:
        words = "".join(stream.text_stream).split()
    assert words == [f"w{number}" for number in range(1000)]
    assert asked.text().split() == words


def test_retries_are_visible_while_they_wait(client: IpcClient, asked: Asked) -> None:
    with client.stream_prompt(asked.id, "[[429-once:1]] [[say:after all]]") as stream:
        events = list(stream)
    retries = [each for each in events if isinstance(each, RetryScheduled)]
    assert (retries[0].attempt, retries[0].session_id) == (1, asked.id)
    assert "429" in retries[0].message
    assert retries[0].next_at is not None
    result = stream.result()
    assert result.text == "after all"
    assert [each.attempt for each in result.retries] == [1]


def test_what_a_slow_reader_misses_is_told_and_the_result_is_whole(
    connect: Connect, server: RealServer
) -> None:
    client = connect(stream_buffer_size=20)
    asked = Asked(server, client.create_session().id)
    with client.stream_prompt(asked.id, "[[words:100]]") as stream:
        result = stream.result()  # nobody reads meanwhile
        missed = read = 0
        while True:
            try:
                next(stream)
                read += 1
            except IpcSlowConsumerError as error:
                missed += error.missed
            except StopIteration:
                break
    assert read == 20
    assert missed >= 80
    assert result.text == asked.text() == " ".join(f"w{number}" for number in range(100))


def test_a_loss_of_opencodes_events_costs_no_text(
    server: RealServer, gate: Gate, held: str
) -> None:
    assert server.port is not None
    cutter = EventCutter(server.port)
    try:
        with (
            Gateway(OpenCodeBackend(cutter.url)) as gateway,
            IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
        ):
            asked = Asked(server, client.create_session().id)
            with client.stream_prompt(asked.id, held) as stream:
                reached(gate)
                gate.let()
                words = [next(stream.text_stream)]
                assert cutter.cut() == 1
                gate.let(1000)
                words += stream.text_stream
                assert "".join(words) == stream.result().text == asked.text()
    finally:
        cutter.stop()


# --- Many at once ---


def test_twenty_streams_while_sessions_are_listed(
    client: IpcClient, gate: Gate, held: str, server: RealServer
) -> None:
    """All on one client: each gets its own words in order, and lists go on meanwhile."""
    sessions = [client.create_session(f"stream {n}").id for n in range(20)]
    ended = threading.Event()
    listed = 0

    def list_until_ended() -> int:
        nonlocal listed
        while not ended.is_set():
            assert set(sessions) <= {each.id for each in client.list_sessions()}
            listed += 1
        return listed

    def read(stream: PromptStream) -> list[str]:
        return list(stream.text_stream)

    streams = [
        client.stream_prompt(each, f"[[think:{number}]] {held}")
        for number, each in enumerate(sessions)
    ]
    readers = [Background(read, stream) for stream in streams]
    lister = Background(list_until_ended)
    try:
        for _ in streams:
            reached(gate)
        before = listed
        assert eventually(lambda: listed > before + 2, WAIT)  # while all twenty are held
        assert not any(stream.done for stream in streams)
        gate.let(1000)
        for reader, stream in zip(readers, streams, strict=True):
            pieces = reader.result(WAIT)
            assert "".join(pieces).split() == ["w0", "w1", "w2", "w3", "w4"]
            assert stream.result(WAIT).text == "".join(pieces)
    finally:
        ended.set()
    assert lister.result(WAIT) > 0


def test_lists_do_not_wait_for_a_message(
    client: IpcClient, asked: Asked, gate: Gate, held: str
) -> None:
    future = client.futures.send_message(asked.id, held, model_id="stub-1", provider_id="stub")
    reached(gate)
    for _ in range(20):
        assert asked.id in {each.id for each in client.list_sessions(timeout=WAIT)}
    assert asked.runs()
    assert not future.done()
    gate.let(1000)
    assert future.result(WAIT).assistant.finish == "stop"


def test_several_threads_read_one_stream(client: IpcClient, asked: Asked) -> None:
    with client.stream_prompt(asked.id, "[[words:60]]") as stream:
        readers = [Background(lambda: list(stream.text_stream)) for _ in range(3)]
        pieces = [piece for reader in readers for piece in reader.result(WAIT)]
    assert sorted(" ".join(pieces).split()) == sorted(asked.text().split())


# --- How a run ends before its time: in OpenCode, too ---


@contextmanager
def ends_in_opencode(asked: Asked) -> Iterator[None]:
    assert asked.runs()
    yield
    assert asked.ends()
    assert [each["info"]["role"] for each in asked.stored()] == ["user", "assistant"]
    assert "error" in asked.answers()[0]["info"]  # "MessageAbortedError"


def test_leaving_the_stream_early(client: IpcClient, asked: Asked, gate: Gate, held: str) -> None:
    with client.stream_prompt(asked.id, held) as stream:
        reached(gate)
        gate.let()
        assert first_word(stream).strip() == "w0"
        assert asked.runs()
    # At once, not some time later: ``close`` has waited for it.
    assert not asked.runs()
    with pytest.raises(IpcCancelledError):
        stream.result()
    assert client.prompt(asked.id, "[[say:and on]]").text == "and on"


def test_an_exception_while_reading(client: IpcClient, asked: Asked, gate: Gate, held: str) -> None:
    def fail() -> None:
        with client.stream_prompt(asked.id, held):
            reached(gate)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not asked.runs()


def test_cancelling_a_stream(client: IpcClient, asked: Asked, gate: Gate, held: str) -> None:
    stream = client.stream_prompt(asked.id, held)
    reached(gate)
    with ends_in_opencode(asked):
        stream.cancel()
        with pytest.raises(IpcCancelledError):
            stream.result()


@pytest.mark.parametrize("kind", ["prompt", "send_message"])
def test_the_time_is_over(
    client: IpcClient, asked: Asked, gate: Gate, held: str, kind: str
) -> None:
    def ask() -> None:
        if kind == "prompt":
            client.prompt(asked.id, held, timeout=2.0)
        else:
            client.send_message(asked.id, held, model_id="stub-1", provider_id="stub", timeout=2.0)

    error = Background(ask).error(WAIT)
    assert isinstance(error, IpcTimeoutError)
    assert asked.ends()


@pytest.mark.parametrize("kind", ["prompt", "send_message"])
def test_a_token_is_cancelled(
    client: IpcClient, asked: Asked, gate: Gate, held: str, kind: str
) -> None:
    token = CancelToken()

    def ask() -> None:
        if kind == "prompt":
            client.prompt(asked.id, held, cancel=token)
        else:
            client.send_message(asked.id, held, model_id="stub-1", provider_id="stub", cancel=token)

    running = Background(ask)
    reached(gate)
    with ends_in_opencode(asked):
        token.cancel()
        assert isinstance(running.error(WAIT), IpcCancelledError)


@pytest.mark.parametrize("kind", ["prompt", "send_message"])
def test_a_future_is_cancelled(
    client: IpcClient, asked: Asked, gate: Gate, held: str, kind: str
) -> None:
    if kind == "prompt":
        future = client.futures.prompt(asked.id, held)
    else:
        future = client.futures.send_message(  # type: ignore[assignment]
            asked.id, held, model_id="stub-1", provider_id="stub"
        )
    reached(gate)
    with ends_in_opencode(asked):
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(0)


def test_ctrl_c(client: IpcClient, asked: Asked, gate: Gate, held: str) -> None:
    def interrupt() -> None:
        reached(gate)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = Background(interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.prompt(asked.id, held)
    interrupter.result(WAIT)
    assert asked.ends()
    assert client.prompt(asked.id, "[[say:and on]]").text == "and on"


def test_the_client_is_closed(connect: Connect, asked: Asked, gate: Gate, held: str) -> None:
    other = connect()
    stream = other.stream_prompt(asked.id, held)
    reached(gate)  # or the other one might be the first, and be done
    future = other.futures.send_message(
        asked.id, "in line behind it", model_id="stub-1", provider_id="stub"
    )
    with ends_in_opencode(asked):
        other.close()
        for ended in (stream.result, future.result):
            with pytest.raises((IpcConnectionError, IpcCancelledError)):
                ended(WAIT)


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_the_connection_is_cut(
    gateway: Gateway, asked: Asked, gate: Gate, held: str, fault: str
) -> None:
    with FaultProxy(("127.0.0.1", gateway.port)) as proxy:
        config = IpcConfig(proxy.port, gateway.auth_token)
        with IpcClient(config) as other, other.stream_prompt(asked.id, held) as stream:
            reached(gate)
            gate.let()
            first_word(stream)
            with ends_in_opencode(asked):
                assert proxy.inject(getattr(Fault, fault)()) == 1
                with pytest.raises(IpcConnectionError) as caught:
                    stream.result(WAIT)
                assert caught.value.request_sent
            # The client comes back by itself; the prompt is not sent a second time.
            assert asked.id in {each.id for each in other.list_sessions()}
    assert len(asked.stored()) == 2


def test_the_gateway_is_stopped(server: RealServer, asked: Asked, gate: Gate, held: str) -> None:
    other = Gateway(OpenCodeBackend(server.url))
    other.start()
    config = IpcConfig(other.port, other.auth_token)
    with IpcClient(config, reconnect=None) as client:
        stream = client.stream_prompt(asked.id, held)
        reached(gate)
        gate.let()
        first_word(stream)
        with ends_in_opencode(asked):
            other.stop(1.0)
            with pytest.raises((IpcConnectionError, IpcServerError)):
                stream.result(WAIT)


@contextmanager
def gateway_process(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], IpcClient]]:
    """Run ``opencode-sync gateway``; yields the process and a client of it."""
    file = folder / "runtime" / "gateway.json"
    command = [sys.executable, "-m", "opencode_sync", "gateway", "--opencode-url", url]
    with subprocess.Popen([*command, "--runtime-file", file], stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(file.exists, WAIT)
            with IpcClient(FileConfigProvider(file), reconnect=None) as client:
                yield process, client
        finally:
            process.kill()


def test_the_gateways_process_is_told_to_end(
    server: RealServer, asked: Asked, gate: Gate, held: str, tmp_path: Path
) -> None:
    with gateway_process(server.url, tmp_path) as (process, client):
        stream = client.stream_prompt(asked.id, held)
        reached(gate)
        gate.let()
        first_word(stream)
        with ends_in_opencode(asked):
            process.terminate()
            with pytest.raises((IpcConnectionError, IpcServerError)):
                stream.result(WAIT)
        assert process.wait(WAIT) == 0


def test_the_gateways_process_is_killed(
    server: RealServer, asked: Asked, gate: Gate, held: str, tmp_path: Path, client: IpcClient
) -> None:
    """It can end nothing any more: OpenCode goes on, and who comes next can abort the run."""
    with gateway_process(server.url, tmp_path) as (process, doomed):
        stream = doomed.stream_prompt(asked.id, held)
        reached(gate)
        gate.let()
        first_word(stream)
        process.kill()
        with pytest.raises(IpcConnectionError) as caught:
            stream.result(WAIT)
        assert caught.value.request_sent
    with ends_in_opencode(asked):
        assert client.abort_session(asked.id)


def test_another_program_aborts_the_run(
    client: IpcClient, asked: Asked, gate: Gate, held: str
) -> None:
    stream = client.stream_prompt(asked.id, held)
    reached(gate)
    gate.let()
    assert first_word(stream).strip() == "w0"
    with ends_in_opencode(asked):
        asked.abort()
        with pytest.raises(IpcPromptError) as caught:
            list(stream)
    assert caught.value.kind == "aborted"
    assert caught.value.partial.text.strip() == "w0"


def test_opencode_is_killed(start: Start, stub: StubModel, gate: Gate, held: str) -> None:
    server, beside = start(), stub.gate("killed with it")
    with (
        Gateway(OpenCodeBackend(server.url)) as gateway,
        IpcClient(IpcConfig(gateway.port, gateway.auth_token)) as client,
    ):
        stream = client.stream_prompt(client.create_session().id, held)
        waiting = client.futures.send_message(
            client.create_session().id,
            "[[gate:killed with it]]",
            model_id="stub-1",
            provider_id="stub",
        )
        reached(gate)
        reached(beside)
        gate.let()
        assert first_word(stream).strip() == "w0"
        server.kill()
        with pytest.raises(IpcPromptError) as caught:
            stream.result(WAIT)
        assert (caught.value.kind, caught.value.retryable) == ("server", True)
        assert caught.value.partial.text.strip() == "w0"
        assert isinstance(waiting.exception(WAIT), IpcServerError)
        assert client.is_connected
    beside.let(1000)
