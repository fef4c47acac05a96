"""Whole runs with their events, on a real OpenCode with a stub for its model.

What a run yields is compared with what OpenCode itself says over HTTP.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import ext_operations_pb2, oc_tool_pb2
from opencode_sync.wire import ext_prompt_pb2 as pb
from tests.e2e.event_cutter import EventCutter
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import KEY, StubModel

pytestmark = pytest.mark.e2e

ALL, ATTENTION, NONE = (
    pb.IPC_RUN_EVENTS_ALL,
    pb.IPC_RUN_EVENTS_ATTENTION,
    pb.IPC_RUN_EVENTS_NONE,
)
REJECT, ONCE, ALWAYS, ASK = (
    pb.IPC_ANSWER_POLICY_REJECT,
    pb.IPC_ANSWER_POLICY_ONCE,
    pb.IPC_ANSWER_POLICY_ALWAYS,
    pb.IPC_ANSWER_POLICY_ASK,
)
OUTSIDE = '[[tool:read {"filePath":"/etc/hostname"}]]'
"""Asks for permission whatever the configuration says: the file is outside the project."""
QUESTION = (
    '[[tool:question {"questions":[{"question":"Which one?","header":"Pick",'
    '"options":[{"label":"A","description":"first"}]}]}]]'
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]}
BASH = '[[tool:bash {"command":"echo from the shell","description":"d"}]]'


def soon(seconds=60.0):
    return Deadline.after(seconds)


class Sink:
    """Keeps what it gets; ``wait`` for an event of a kind."""

    def __init__(self):
        self.events = []
        self._changed = threading.Condition()
        self.times = []

    def event(self, event):
        with self._changed:
            self.times.append(time.monotonic())
            self.events.append(event)
            self._changed.notify_all()

    def of(self, kind):
        return [event for event in self.events if event.type == kind]

    def wait(self, kind, *, count=1):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(kind)) >= count, 30)
        return next(iter(self.of(kind)), None)

    def text(self, session_id, kind="text"):
        return "".join(
            event.delta.text
            for event in self.events
            if event.session_id == session_id and event.delta.part_type == kind
        )


@pytest.fixture(scope="module")
def stub():
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def start(opencode_program, stub, tmp_path_factory):
    """Start servers whose provider "stub" is the stub model; they end with the module."""
    servers = []

    def start():
        environ = {"OPENCODE_CONFIG_CONTENT": stub.config()}
        folder = tmp_path_factory.mktemp("opencode-runs")
        servers.append(RealServer(opencode_program, folder, environ=environ))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def server(start):
    return start()


@pytest.fixture
def backend(server):
    backend = OpenCodeBackend(server.url)
    backend.start()
    yield backend
    backend.close()


@pytest.fixture
def session_id(server):
    return server.create("runs")


def prompt(backend, session_id, text, *, sink=None, seconds=60.0, cancellation=None, **fields):
    request = pb.IpcPromptRequest(session_id=session_id, text=text, **{"events": ALL, **fields})
    return backend.prompt(
        request,
        sink or Sink(),
        deadline=soon(seconds),
        cancellation=cancellation or Cancellation(),
    )


def stored(server, session_id):
    """Return OpenCode's own messages of a session."""
    status, messages = server.request("GET", f"/session/{session_id}/message")
    assert status == 200
    return messages


def assert_idle(server):
    assert server.request("GET", "/session/status") == (200, {})


# A run...


def test_a_run_is_what_opencode_stored_and_its_text_came_piece_by_piece(
    backend, server, session_id
):
    sink = Sink()
    text = f"[[think:let me see]] {BASH} {BASH}"
    result = prompt(backend, session_id, text, sink=sink)
    user, *own = stored(server, session_id)
    assert result.user_message_id == user["info"]["id"]
    assert [message.assistant.id for message in result.messages] == [
        each["info"]["id"] for each in own
    ]
    assert len(own) == 3
    assert [message.assistant.finish for message in result.messages] == [
        "tool-calls",
        "tool-calls",
        "stop",
    ]
    assert result.finish == "stop"
    assert not result.HasField("failure")
    final = "".join(part["text"] for part in own[-1]["parts"] if part["type"] == "text")
    assert result.messages[-1].assistant.text == final
    assert sink.text(session_id).rstrip() == final.rstrip()
    assert sink.text(session_id, "reasoning") == "let me see"
    assert len(sink.of("message.part.delta")) > 5
    assert [sum(message.assistant.cost for message in result.messages)] == [
        pytest.approx(sum(each["info"]["cost"] for each in own))
    ]
    running = {event.session_id for event in sink.events}
    assert running == {session_id}


def test_a_piece_of_text_is_there_when_the_model_has_sent_it(backend, stub, session_id):
    gate, sink = stub.gate("one by one"), Sink()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            prompt, backend, session_id, "[[words:5]] [[gate:one by one]]", sink=sink
        )
        for number in range(5):
            assert gate.reached.acquire(timeout=30)
            sink.wait("message.part.delta", count=number)
            assert not running.done()
            gate.let()
        assert running.result(30).finish == "stop"
    assert sink.text(session_id) == "w0 w1 w2 w3 w4"


def test_the_events_belong_to_the_run_and_not_to_its_neighbours(backend, server, stub, session_id):
    other = server.create("neighbour")
    stub.hold()
    sinks = Sink(), Sink()
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(prompt, backend, each, "[[slow]] [[say:x]]", sink=sink)
            for each, sink in zip((session_id, other), sinks, strict=True)
        ]
        assert stub.slow_started.acquire(timeout=30)
        assert stub.slow_started.acquire(timeout=30)
        stub.release()
        assert [run.result(30).finish for run in runs] == ["stop", "stop"]
    for each, sink in zip((session_id, other), sinks, strict=True):
        assert {event.session_id for event in sink.events} == {each}
        assert sink.text(each) == "Slowly x"


def test_a_subagents_session_belongs_to_the_run(backend, server, session_id):
    sink = Sink()
    task = '{"description":"sub","prompt":"go down","subagent_type":"general"}'
    result = prompt(backend, session_id, f"[[tool:task {task}]]", sink=sink)
    (child,) = {event.session_id for event in sink.events} - {session_id}
    assert server.session(child)["parentID"] == session_id
    assert sink.text(child) == "Hello from the stub model."
    assert "Hello from the stub model." in sink.text(session_id)
    assert {message.assistant.session_id for message in result.messages} == {session_id}


@pytest.mark.parametrize("wanted", [NONE, ATTENTION])
def test_only_the_events_that_are_wanted_are_sent(backend, session_id, wanted):
    sink = Sink()
    result = prompt(backend, session_id, f"[[429-once:1]] {wanted}", sink=sink, events=wanted)
    kinds = [event.type for event in sink.events]
    assert kinds == (["session.status"] if wanted == ATTENTION else [])
    (retry,) = result.retries
    assert (retry.attempt, retry.session_id) == (1, session_id)
    assert retry.message == "stub error 429 for [key]"
    assert retry.next_at > 0
    assert result.finish == "stop"


def test_the_model_and_the_agent_are_those_asked_for_or_opencodes_choice(
    backend, server, session_id
):
    named = prompt(
        backend, session_id, "a", provider_id="stub", model_id="stub-2", agent="plan", system="s"
    )
    again = prompt(backend, session_id, "b")
    fresh = prompt(backend, server.create("fresh"), "c")
    models = [each.messages[0].assistant.model.model_id for each in (named, again, fresh)]
    assert models == ["stub-2", "stub-2", "stub-1"]
    user = stored(server, session_id)[0]["info"]
    assert (user["agent"], user["system"]) == ("plan", "s")


def test_files_go_with_the_prompt(backend, server, session_id):
    path = server.project / "notes.txt"
    path.write_text("what the file says")
    data = base64.b64encode(b"inline words").decode()
    files = [
        pb.IpcPromptFile(url=path.as_uri(), mime="text/plain", filename="notes.txt"),
        pb.IpcPromptFile(url=f"data:text/plain;base64,{data}", mime="text/plain", filename="i.txt"),
    ]
    assert prompt(backend, session_id, "[[say:read]]", files=files).finish == "stop"
    assert prompt(backend, session_id, "", files=files[:1]).finish == "stop"
    sent = json.dumps(stored(server, session_id))
    assert "what the file says" in sent
    assert "inline words" in sent


def test_a_result_that_fits_a_schema(backend, server, session_id):
    result = prompt(backend, session_id, '[[structured:{"n": 7}]]', schema_json=json.dumps(SCHEMA))
    assert json.loads(result.structured_json) == {"n": 7}
    assert not result.HasField("failure")
    missed = prompt(backend, session_id, "no such thing", schema_json=json.dumps(SCHEMA))
    assert missed.failure.kind == "structured_output"
    assert [message.assistant.text for message in missed.messages] == ["Hello from the stub model."]
    # OpenCode by itself could not list these messages any more.
    assert len(stored(server, session_id)) == 4


def test_two_prompts_at_once_in_one_session_each_get_their_own_run(backend, server, session_id):
    barrier = threading.Barrier(3)

    def ask(number):
        sink = Sink()
        barrier.wait(30)
        result = prompt(backend, session_id, f"[[say:answer to {number}]]", sink=sink)
        return result.messages[-1].assistant.text, sink.text(session_id)

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(ask, range(3)))
    assert answers == [(f"answer to {number}",) * 2 for number in range(3)]


def test_another_programs_prompt_does_not_show_in_the_run(backend, server, stub, session_id):
    stub.hold()
    sink = Sink()
    with ThreadPoolExecutor(2) as pool:
        ours = pool.submit(prompt, backend, session_id, "[[slow]] [[say:ours]]", sink=sink)
        assert stub.slow_started.acquire(timeout=30)
        body = {"parts": [{"type": "text", "text": "[[say:theirs]]"}]}
        theirs = pool.submit(server.request, "POST", f"/session/{session_id}/message", body)
        while len(stored(server, session_id)) < 3:  # until it waits behind ours
            assert not theirs.done()
        stub.release()
        result = ours.result(60)
        assert theirs.result(60)[0] == 200
    assert [message.assistant.text for message in result.messages] == ["Slowly ours"]
    assert sink.text(session_id) == "Slowly ours"


def test_a_loss_of_the_events_costs_no_text(server, stub, session_id):
    cutter, gate, sink = EventCutter(server.port), stub.gate("cut"), Sink()
    backend = OpenCodeBackend(cutter.url)
    try:
        with ThreadPoolExecutor(1) as pool:
            text = f"{OUTSIDE} [[gate:cut]]"
            running = pool.submit(prompt, backend, session_id, text, sink=sink)
            for _ in range(3):
                assert gate.reached.acquire(timeout=30)
                gate.let()
            sink.wait("message.part.delta", count=2)
            assert cutter.cut() == 1
            for _ in range(4):
                assert gate.reached.acquire(timeout=30)
                gate.let()
            sink.wait("gateway.resubscribed")
            gate.let(1000)
            result = running.result(60)
    finally:
        backend.close()
        cutter.stop()
    assert not result.HasField("failure")
    assert sink.text(session_id) == result.messages[-1].assistant.text
    assert any(event.replayed for event in sink.of("message.part.delta"))


# Questions on the way...


def test_nobody_is_asked_by_default_and_the_run_goes_on(backend, server, session_id):
    sink = Sink()
    result = prompt(backend, session_id, f"{OUTSIDE} {QUESTION}", sink=sink, events=ATTENTION)
    assert [event.type for event in sink.events] == ["permission.asked", "question.asked"]
    refused, asked, answer = (message.assistant for message in result.messages)
    (tool,) = [part.tool for part in refused.parts if part.HasField("tool")]
    assert "Nobody is there to answer" in tool.state.error.error
    (tool,) = [part.tool for part in asked.parts if part.HasField("tool")]
    assert "Nobody is there to answer" in tool.state.completed.output
    assert answer.finish == "stop"
    assert not result.HasField("failure")


def test_the_words_of_the_refusal_can_be_the_clients(backend, session_id):
    result = prompt(backend, session_id, OUTSIDE, reject_message="not in here", events=NONE)
    assert "not in here" in result.messages[-1].assistant.text


@pytest.mark.parametrize("policy", [ONCE, ALWAYS])
def test_permission_by_policy(start, server, policy):
    if policy == ALWAYS:
        server = start()  # its own: "always" is for the whole instance
    backend = OpenCodeBackend(server.url)
    try:
        session_id = server.create("allowed")
        sink = Sink()
        result = prompt(backend, session_id, f"{OUTSIDE} {OUTSIDE}", sink=sink, permissions=policy)
        assert result.finish == "stop"
        assert [event.type for event in sink.of("permission.replied")] == ["permission.replied"] * (
            2 if policy == ONCE else 1
        )
        states = [
            part.tool.state.WhichOneof("state")
            for message in result.messages
            for part in message.assistant.parts
            if part.HasField("tool")
        ]
        assert states == ["completed"] * 2
    finally:
        backend.close()


def test_the_client_is_asked_and_a_bare_no_ends_the_run(backend, session_id):
    sink = Sink()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            prompt, backend, session_id, OUTSIDE, sink=sink, permissions=ASK, events=ATTENTION
        )
        asked = sink.wait("permission.asked")
        reply = ext_operations_pb2.IpcReplyPermissionRequest(
            permission_id=json.loads(asked.properties_json)["id"],
            reply=oc_tool_pb2.DENY,
            directory=asked.directory,
        )
        backend.reply_permission(reply, deadline=soon())
        result = running.result(30)
    assert result.failure.kind == "permission_rejected"
    assert result.finish == "tool-calls"
    assert len(result.messages) == 1


def test_the_client_answers_a_question(backend, session_id):
    sink = Sink()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(prompt, backend, session_id, QUESTION, sink=sink, questions=ASK)
        asked = sink.wait("question.asked")
        assert asked.question.items[0].options[0].label == "A"
        reply = ext_operations_pb2.IpcReplyQuestionRequest(
            question_id=asked.question.id,
            answers=[ext_operations_pb2.IpcAnswer(labels=["A"])],
            directory=asked.directory,
        )
        backend.reply_question(reply, deadline=soon())
        assert '"Which one?"="A"' in running.result(30).messages[-1].assistant.text


def test_what_an_aborted_run_asked_is_asked_no_more(backend, server, session_id):
    result = prompt(
        backend,
        session_id,
        f"{OUTSIDE} never answered",
        permissions=ASK,
        events=ATTENTION,
        seconds=4,
    )
    assert result.failure.kind == "timeout"
    assert server.request("GET", "/permission") == (200, [])
    assert_idle(server)


# Failures...


@pytest.mark.parametrize(
    ("text", "kind", "status", "retryable"),
    [
        ("[[400]]", "api", 400, False),
        ("[[401]]", "provider_auth", 401, False),
        ("[[403]]", "provider_auth", 403, False),
        ("[[length]]", "output_length", None, False),
        ("[[overflow]]", "context_overflow", None, False),
    ],
)
def test_a_failure_of_the_model_has_a_kind(backend, session_id, text, kind, status, retryable):
    sink = Sink()
    result = prompt(backend, session_id, text, sink=sink)
    failure = result.failure
    assert (failure.kind, failure.retryable, failure.provider_id) == (kind, retryable, "stub")
    assert failure.status == (status or 0)
    assert failure.HasField("status") == (status is not None)
    assert failure.message
    assert result.messages
    assert KEY not in str(result) + str(sink.events)


def test_a_cut_connection_is_tried_again_and_nothing_is_lost(backend, session_id):
    sink = Sink()
    result = prompt(backend, session_id, "[[cut]] [[say:Here it is]]", sink=sink)
    texts = [message.assistant.text for message in result.messages]
    assert texts[-1] == "Here it is"
    assert sink.text(session_id) == "".join(texts)
    assert not result.HasField("failure")


def test_answers_that_are_cut_again_and_again_end_the_run(backend, server, stub, session_id):
    sink, before = Sink(), len(stub.requests)
    began = time.monotonic()
    result = prompt(backend, session_id, "[[cut-always]] [[say:Here it is]]", sink=sink)
    assert time.monotonic() - began < 30
    assert (result.failure.kind, result.failure.retryable) == ("incomplete", True)
    assert "3 times" in result.failure.message
    assert "the run was aborted" in result.failure.message
    answers = [message.assistant for message in result.messages]
    assert [each.text for each in answers[:3]] == ["Here "] * 3
    assert [each.finish for each in answers[:3]] == ["unknown"] * 3
    assert len(answers) < 50  # not for ever; how many more come until it is aborted is luck
    assert sink.text(session_id).startswith("Here Here Here ")
    assert_idle(server)
    asked = len(stub.requests)
    assert asked - before <= 6  # a title among them
    assert prompt(backend, session_id, "[[say:Whole]]").messages[-1].assistant.text == "Whole"
    assert len(stub.requests) - asked <= 2


def test_a_message_that_is_cut_again_and_again_is_an_error(backend, server, session_id):
    with pytest.raises(BackendError, match="ended its answers in the middle") as caught:
        backend.send_message(
            session_id,
            "[[cut-always]]",
            model_id="stub-1",
            provider_id="stub",
            agent="build",
            deadline=soon(),
        )
    assert error_code_name(caught.value.code) == "SERVER_ERROR"
    assert_idle(server)


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"provider_id": "stub", "model_id": "stub-3"}, "unknown_model", "did you mean"),
        ({"provider_id": "nope", "model_id": "x"}, "unknown_model", '"nope"'),
        ({"agent": "primary"}, "unknown_agent", '"build"'),
        ({"session_id": "ses_doesnotexist"}, "unknown_session", "ses_doesnotexist"),
    ],
)
def test_what_does_not_exist_is_a_failure_and_nothing_is_stored(
    backend, server, session_id, fields, kind, words
):
    result = prompt(backend, fields.pop("session_id", session_id), "hello", **fields)
    assert result.failure.kind == kind
    assert words in result.failure.message
    assert result.user_message_id == ""
    assert stored(server, session_id) == []


def test_opencodes_own_words_for_a_model_that_the_session_was_preset_with(backend, server):
    session_id = server.create("preset", model={"id": "stub-11", "providerID": "stub"})
    failure = prompt(backend, session_id, "hello").failure
    assert failure.kind == "unknown_model"
    assert "stub/stub-11" in failure.message
    assert "Did you mean" in failure.message


def test_a_session_that_is_deleted_in_the_middle(backend, server, stub, session_id):
    stub.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(prompt, backend, session_id, "[[slow]]")
        assert stub.slow_started.acquire(timeout=30)
        assert server.request("DELETE", f"/session/{session_id}") == (200, True)
        failure = running.result(10).failure
    assert failure.kind == "unknown_session"
    assert failure.message == f"session {session_id} was deleted while its prompt ran"
    assert_idle(server)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"session_id": "nope"}, "session_id must be an id"),
        ({"text": " "}, "text is blank"),
        ({"text": "x" * 8_000_001}, "text has 8000001 bytes"),
        ({"provider_id": "stub"}, "belong together"),
        ({"schema_json": "[]"}, "schema_json is JSON, but not an object"),
        ({"questions": ONCE}, "questions: "),
        ({"permissions": ASK, "events": NONE}, "permissions: "),
    ],
)
def test_what_cannot_be_right_is_refused(backend, session_id, fields, words):
    fields = {"session_id": session_id, "text": "x", **fields}
    with pytest.raises(BackendError) as caught:
        prompt(backend, fields.pop("session_id"), fields.pop("text"), **fields)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"
    assert words in caught.value.message


# Its end before its time...


@pytest.mark.parametrize("text", ["[[slow]]", "[[500]]"])
def test_the_deadline_aborts_the_run_also_between_two_tries(
    backend, server, stub, session_id, text
):
    stub.hold()
    began = time.monotonic()
    result = prompt(backend, session_id, text, seconds=4)
    assert time.monotonic() - began < 15
    assert result.failure.kind == "timeout"
    assert result.failure.retryable
    assert "the run was aborted" in result.failure.message
    assert [each.assistant.text.strip() for each in result.messages] == (
        ["Slowly"] if text == "[[slow]]" else [""]
    )
    assert bool(result.retries) == (text == "[[500]]")
    assert_idle(server)
    stub.release()
    assert prompt(backend, session_id, "[[say:and on]]").messages[0].assistant.text == "and on"


def test_a_cancel_aborts_the_run_and_keeps_what_there_was(backend, server, stub, session_id):
    stub.hold()
    cancellation = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(prompt, backend, session_id, "[[slow]]", cancellation=cancellation)
        assert stub.slow_started.acquire(timeout=30)
        cancellation.cancel("enough")
        result = running.result(10)
    assert result.failure.kind == "cancelled"
    assert "enough" in result.failure.message
    assert_idle(server)
    stub.release()
    assert prompt(backend, session_id, "[[say:next]]").finish == "stop"


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05])
def test_a_cancel_that_is_quicker_than_the_prompt(backend, server, stub, session_id, delay):
    stub.hold()
    cancellation = Cancellation()
    with ThreadPoolExecutor(1) as pool:
        timer = threading.Timer(delay, cancellation.cancel, ("at once",))
        running = pool.submit(prompt, backend, session_id, "[[slow]]", cancellation=cancellation)
        timer.start()
        result = running.result(20)
        timer.join()
    assert result.failure.kind == "cancelled"
    assert_idle(server)
    stub.release()
    assert prompt(backend, session_id, "[[say:next]]").finish == "stop"


def test_a_prompt_that_waits_for_its_turn_can_be_cancelled(backend, server, stub, session_id):
    stub.hold()
    cancellation = Cancellation()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(prompt, backend, session_id, "[[slow]] [[say:first]]")
        assert stub.slow_started.acquire(timeout=30)
        second = pool.submit(prompt, backend, session_id, "second", cancellation=cancellation)
        cancellation.cancel("no more")
        result = second.result(5)
        assert not first.done()
        stub.release()
        assert first.result(30).messages[0].assistant.text == "Slowly first"
    assert result.failure.kind == "cancelled"
    assert result.user_message_id == ""
    assert len(stored(server, session_id)) == 2


def test_a_run_that_somebody_else_aborts(backend, server, stub, session_id):
    stub.hold()
    sink = Sink()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(prompt, backend, session_id, "[[slow]]", sink=sink)
        sink.wait("message.part.delta")
        assert server.request("POST", f"/session/{session_id}/abort") == (200, True)
        result = running.result(30)
    assert result.failure.kind == "aborted"
    assert result.messages[0].assistant.text == "Slowly "


def test_close_ends_what_runs(server, stub, session_id):
    backend = OpenCodeBackend(server.url)
    stub.hold()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(prompt, backend, session_id, "[[slow]]")
        assert stub.slow_started.acquire(timeout=30)
        backend.close()
        assert running.result(10).failure.kind == "server"
    assert_idle(server)


def test_opencode_is_killed_in_mid_run(start, stub):
    server = start()
    backend = OpenCodeBackend(server.url)
    sink = Sink()
    stub.hold()
    try:
        session_id = server.create("doomed")
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(prompt, backend, session_id, f"{BASH} [[slow]]", sink=sink)
            assert stub.slow_started.acquire(timeout=30)
            sink.wait("message.part.delta")
            server.kill()
            began = time.monotonic()
            result = running.result(30)
        assert time.monotonic() - began < 10
        assert result.failure.kind == "server"
        assert result.failure.retryable
        step, partial = (message.assistant for message in result.messages)
        assert any(part.HasField("tool") for part in step.parts)
        assert partial.text == "Slowly "
        with pytest.raises(BackendError) as caught:
            prompt(backend, session_id, "anybody there?")
        assert error_code_name(caught.value.code) == "NO_SERVER"
    finally:
        backend.close()
        stub.release()
