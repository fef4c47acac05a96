"""What a subscription with ``current`` begins with: who is at work, and which questions wait."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import count
from typing import ClassVar

import pytest
from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode import beginning as opencode_beginning
from opencode_sync.gateway.backends.opencode import listener as opencode_listener
from opencode_sync.gateway.backends.opencode.events import current as opencode_current
from opencode_sync.gateway.backends.opencode.events import readings as opencode_readings
from opencode_sync.gateway.backends.opencode.events.current import News
from opencode_sync.gateway.backends.opencode.events.memory import EventMemory
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.gateway.backends.opencode.subscriptions import subscribe
from opencode_sync.gateway.spans import HTTP_SPANS
from opencode_sync.wire.ext_event_pb2 import IpcSubscribeRequest
from tests.unit.gateway_opencode.fake_events import DIRECTORY, PATIENCE, FakeEvents, Listener
from tests.unit.gateway_opencode.http_server import Answer

GONE = Answer({"name": "NotFoundError", "data": {"message": "no"}}, status=404)
BUSY = {"type": "busy"}


def soon():
    return Deadline.after(PATIENCE)


def permission(number, session_id="ses_1", **fields):
    made = {"id": f"per_{number}", "sessionID": session_id, "permission": "bash", "patterns": []}
    return {**made, **fields}


def question(number, session_id="ses_1", **fields):
    return {"id": f"que_{number}", "sessionID": session_id, "questions": [], **fields}


def call(message_id, call_id="call_1"):
    return {"tool": {"messageID": message_id, "callID": call_id}}


def message(status, call_id="call_1"):
    return Answer({"info": {}, "parts": [7, {"callID": call_id, "state": {"status": status}}]})


class OpenCode(FakeEvents):
    """Folders in which something goes on: ``folders[directory][path]`` is the answer."""

    def __init__(self):
        super().__init__()
        self.folders = {}
        self.asking = threading.Semaphore(0)
        self.answers["/path"] = Answer({"directory": DIRECTORY})
        for path in ("/permission", "/question", "/session/status"):
            self.answers[path] = self._answer
        self.put(DIRECTORY)

    def put(self, directory, permissions=(), questions=(), states=None):
        self.folders[directory] = {
            "/permission": Answer(list(permissions)),
            "/question": Answer(list(questions)),
            "/session/status": Answer(states or {}),
        }

    def hang(self, directory):
        """Have a folder answer nothing while the server lives; ``asking`` says when it is asked."""
        self.folders[directory] = dict.fromkeys(self.folders[directory], self._never)

    def _never(self, request):
        self.asking.release()
        self.server.closing.wait(PATIENCE)
        return Answer([])

    def _answer(self, request):
        answer = self.folders[request.query["directory"][0]][request.path]
        return answer(request) if callable(answer) else answer

    def asked(self, path):
        """The folders that were asked for something."""
        return [each.query["directory"][0] for each in self.server.requests if each.path == path]


class Sink:
    def __init__(self):
        self._changed = threading.Condition()  # guards got
        self.got = []

    def opened(self):
        self._add("opened")

    def event(self, event):
        self._add(event)

    def ended(self, reason):
        self._add(reason)

    def _add(self, what):
        with self._changed:
            self.got.append(what)
            self._changed.notify_all()

    def wait_for(self, kind):
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(kind == getattr(each, "type", each) for each in self.got), PATIENCE
            ), self.got

    def told(self):
        """What came after the opening."""
        with self._changed:
            assert self.got[0] == "opened"
            return [(each.type, each.session_id) for each in self.got[1:]]

    def ids(self):
        """The questions that came."""
        with self._changed:
            events = self.got[1:]
        return [
            each.question.id or each.event.permission_asked.request.id
            for each in events
            if each.type.endswith(".asked")
        ]


@pytest.fixture
def fake(serve):
    events = OpenCode()
    events.server = serve(events)
    yield events
    events.stop()


@pytest.fixture
def binding(fake):
    binding = Binding(OpenCodeHttp(fake.server.url))
    yield binding
    binding.release(soon())


@pytest.fixture
def readings(binding, monkeypatch):
    """One event for each reading that was begun: set when it is over."""
    submit, readings = binding.readers.submit, []

    def watched(job):
        over = threading.Event()
        readings.append(over)

        def run():
            try:
                job()
            finally:
                over.set()

        return submit(run)

    monkeypatch.setattr(binding.readers, "submit", watched)
    return readings


@pytest.fixture
def start(binding):
    """Subscribe: ``start(*types, session_id=, directory=)``; returns subscription and sink."""

    def start(*types, session_id=None, directory=None):
        request = IpcSubscribeRequest(types=types, session_id=session_id, current=True)
        sink = Sink()
        return subscribe(Project(binding, directory), request, sink, soon()), sink

    return start


@pytest.fixture
def begin(start, readings):
    """Subscribe as ``start`` does, and wait for what is so; returns the sink."""

    def begin(*types, **arguments):
        _, sink = start(*types, **arguments)
        assert readings[-1].wait(PATIENCE)
        return sink

    return begin


@pytest.fixture
def warned():
    """What is logged as a warning."""
    lines = []
    logger.enable("opencode_sync")
    sink = logger.add(lambda line: lines.append(str(line)), level="WARNING")
    yield lines
    logger.remove(sink)
    logger.disable("opencode_sync")


@pytest.fixture
def publish(fake, binding):
    """Send events as OpenCode does, and wait until every subscriber has them."""
    witness = Listener()
    binding.events.subscribe(witness, deadline=soon())
    marks = count(1)

    def publish(*events):
        for kind, properties in events:
            fake.event(kind, properties)
        fake.event("test.mark", {})
        number = next(marks)
        witness.wait_for("test.mark", number)
        # Delivered one by one: with this all before it are with everybody.
        fake.event("test.after", {})
        witness.wait_for("test.after", number)

    return publish


# What it begins with...


def test_sessions_at_work_and_questions_that_wait_come_before_all_else(fake, begin, publish):
    retry = {"type": "retry", "attempt": 2, "message": "busy", "next": 7}
    asking = question(1, questions=[{"header": "Pick", "question": "Which?", "options": []}])
    states = {"ses_1": BUSY, "ses_2": retry, "ses_3": {"type": "idle"}}
    fake.put(DIRECTORY, [permission(1)], [asking], states)
    sink = begin()
    publish(("session.idle", {"sessionID": "ses_1"}))
    sink.wait_for("session.idle")
    assert sink.told()[:5] == [
        ("session.status", "ses_1"),
        ("session.status", "ses_2"),
        ("permission.asked", "ses_1"),
        ("question.asked", "ses_1"),
        ("session.idle", "ses_1"),
    ]
    work, again, permitted, asked = sink.got[1:5]
    assert [each.replayed for each in sink.got[1:6]] == [True] * 4 + [False]
    assert {each.directory for each in sink.got[1:6]} == {DIRECTORY}
    assert work.event.session_status.status.HasField("thinking")
    assert (again.retry.attempt, again.retry.message) == (2, "busy")
    assert permitted.event.permission_asked.request.permission == "bash"
    assert asked.question.items[0].question == "Which?"


def test_a_status_shows_no_key(fake, begin):
    key = "sk-0123456789abcdef0123"
    provider = {"id": "p", "name": "P", "options": {"apiKey": key}, "models": {}}
    fake.answers["/config/providers"] = Answer({"providers": [provider], "default": {}})
    retry = {"type": "retry", "attempt": 1, "message": f"no such key: {key}", "next": 7}
    fake.put(DIRECTORY, states={"ses_1": retry})
    assert begin().got[1].retry.message == "no such key: [key]"


def test_nothing_is_told_unless_it_is_asked_for(fake, binding):
    fake.put(DIRECTORY, [permission(1)], states={"ses_1": BUSY})
    sink = Sink()
    subscribe(Project(binding, None), IpcSubscribeRequest(), sink, soon())
    assert sink.told() == []
    assert fake.asked("/session/status") == []


@pytest.mark.parametrize(
    ("types", "told"),
    [
        (["session.*"], ["session.status"]),
        (["permission.asked"], ["permission.asked"]),
        (["question.*", "session.status"], ["session.status", "question.asked"]),
        (["message.*"], []),
    ],
)
def test_only_wanted_types_are_told(fake, begin, types, told):
    fake.put(DIRECTORY, [permission(1)], [question(1)], {"ses_1": BUSY})
    assert [kind for kind, _ in begin(*types).told()] == told
    asked = {each.path for each in fake.server.requests}
    assert ("/session/status" in asked) == bool(told)
    assert ("/permission" in asked) == any("asked" in each for each in told)


def test_of_a_project_only_its_own(fake, begin):
    fake.put(DIRECTORY, states={"ses_1": BUSY})
    fake.put("/other", [permission(2, "ses_2")], states={"ses_2": BUSY})
    sink = begin(directory="/other")
    assert sink.told() == [("session.status", "ses_2"), ("permission.asked", "ses_2")]
    assert fake.asked("/session/status") == ["/other"]


def test_of_a_session_its_own_and_those_below_it_wherever_they_are(fake, begin):
    fake.answers["/session/ses_1"] = Answer({"id": "ses_1", "directory": "/shop"})
    below = [{"id": "ses_2", "directory": "/below"}, {"id": "ses_3", "directory": "/shop"}]
    fake.answers["/session/ses_1/children"] = Answer(below)
    states = {"ses_1": BUSY, "ses_3": BUSY, "ses_9": BUSY}
    fake.put("/shop", [permission(9, "ses_9"), permission(3, "ses_3")], states=states)
    fake.put("/below", [], [question(2, "ses_2")], {"ses_2": BUSY})
    assert begin(session_id="ses_1").told() == [
        ("session.status", "ses_1"),
        ("session.status", "ses_3"),
        ("permission.asked", "ses_3"),
        ("session.status", "ses_2"),
        ("question.asked", "ses_2"),
    ]
    assert fake.asked("/session/status") == ["/shop", "/below"]


def test_a_session_that_does_not_say_where_it_is_is_told_live_only(fake, begin):
    fake.answers["/session/ses_1"] = Answer({"id": "ses_1"})
    assert begin(session_id="ses_1").told() == []


def test_the_answer_to_a_question_finds_its_project(fake, begin, binding):
    fake.put("/other", [permission(1)], [question(1)], {"ses_1": BUSY})
    begin(directory="/other")
    for each in ("per_1", "que_1"):
        assert binding.events.directory_of_question(each) == "/other"


def test_what_is_asked_belongs_to_the_trace_of_the_subscription(fake, begin):
    asked = []

    class Spans:
        headers: ClassVar[dict[str, str]] = {}

        @contextmanager
        def span(self, method, url):
            asked.append(url)
            yield self

        def answered(self, status):
            assert status

    token = HTTP_SPANS.set(Spans())
    try:
        begin(directory=DIRECTORY)
    finally:
        HTTP_SPANS.reset(token)
    paths = ("/permission", "/question", "/session/status")
    assert [each.partition("?")[0] for each in asked] == [fake.server.url + path for path in paths]


# Questions that wait no more...


def test_questions_of_sessions_that_are_not_at_work_are_left_out(fake, begin):
    odd = [{"id": "per_3"}, permission(4, session_id=["ses_2"])]
    stale = [permission(1, "ses_1"), permission(2, "ses_2"), *odd]
    fake.put(DIRECTORY, stale, [question(1, "ses_3")], {"ses_2": BUSY, "ses_3": {"type": "idle"}})
    assert begin().ids() == ["per_2"]


def test_a_question_of_an_earlier_run_is_left_out_while_another_one_goes_on(fake, begin):
    """OpenCode lists it for ever, and takes an answer to it."""
    numbers = range(1, 8)
    asked = [permission(number, **call(f"msg_{number}")) for number in numbers]
    for number, answer in zip(
        numbers,
        (
            message("error"),
            message("running"),
            message("completed"),
            GONE,
            message("error", "call_2"),  # of another call
            Answer(status=500),
            Answer({"parts": [{"callID": "call_1", "state": 7}]}),
        ),
        strict=True,
    ):
        fake.answers[f"/session/ses_1/message/msg_{number}"] = answer
    fake.put(DIRECTORY, asked, states={"ses_1": BUSY})
    # What is not known to be stale is told: a question that nobody hears of holds up its run.
    assert begin().ids() == ["per_2", "per_5", "per_6", "per_7"]


def test_so_many_calls_are_looked_at_and_no_more(fake, begin, monkeypatch):
    monkeypatch.setattr(opencode_current, "_MOST_CHECKS", 1)
    for number in (1, 2):
        fake.answers[f"/session/ses_1/message/msg_{number}"] = message("error")
    asked = [permission(number, **call(f"msg_{number}")) for number in (1, 2)]
    fake.put(DIRECTORY, asked, states={"ses_1": BUSY})
    assert begin().ids() == ["per_2"]


# Which folders...


def test_without_a_project_all_folders_that_are_known(fake, begin, publish):
    fake.event("session.idle", {"sessionID": "ses_0"}, directory="/heard")
    publish()
    lately = [{"directory": "/lately"}, {"directory": "/heard"}, {"directory": 7}, {}, "odd"]
    fake.answers["/experimental/session"] = Answer(lately)
    for number, folder in enumerate(("/heard", "/lately"), 1):
        fake.put(folder, states={f"ses_{number}": BUSY})
    assert begin().told() == [("session.status", "ses_1"), ("session.status", "ses_2")]
    assert sorted(fake.asked("/session/status")) == sorted([DIRECTORY, "/heard", "/lately"])


def test_a_server_that_says_nothing_of_its_folders(fake, begin, warned):
    fake.answers["/path"] = Answer(["odd"])
    fake.answers["/experimental/session"] = Answer(content=b"<html>", content_type="text/html")
    assert begin().told() == []
    assert "What is going on is not known in all project folders" in "".join(warned)


@pytest.mark.parametrize(
    ("limit", "most", "told"),
    [
        ("_MOST_FOLDERS", 1, ["session.status", "permission.asked"]),
        ("_MOST_EVENTS", 1, ["session.status"]),
        ("_MOST_EVENTS", 2, ["session.status", "permission.asked"]),
    ],
)
def test_there_is_an_end_to_it(fake, begin, monkeypatch, warned, limit, most, told):
    monkeypatch.setattr(opencode_current, limit, most)
    fake.put(DIRECTORY, [permission(1)], states={"ses_1": BUSY})
    fake.put("/lately", states={"ses_2": BUSY})
    fake.answers["/experimental/session"] = Answer([{"directory": "/lately"}])
    assert [kind for kind, _ in begin().told()] == told
    assert f"there are more than {most} " in "".join(warned)


# What cannot be read...


@pytest.mark.parametrize(
    "answer",
    [Answer(status=500), GONE, Answer(status=400), Answer(7), Answer([[1]])],
    ids=["500", "404", "400", "number", "list"],
)
def test_a_folder_that_cannot_be_read_costs_the_others_nothing(fake, begin, answer):
    fake.folders[DIRECTORY] = dict.fromkeys(fake.folders[DIRECTORY], answer)
    fake.put("/lately", [permission(1)], states={"ses_1": BUSY})
    fake.answers["/experimental/session"] = Answer([{"directory": "/lately"}])
    assert begin().told() == [("session.status", "ses_1"), ("permission.asked", "ses_1")]


def test_a_slow_folder_is_given_up(fake, begin, monkeypatch, warned):
    monkeypatch.setattr(opencode_current, "_FOLDER_TIMEOUT", 0.2)
    fake.hang(DIRECTORY)
    fake.put("/lately", states={"ses_1": BUSY})
    fake.answers["/experimental/session"] = Answer([{"directory": "/lately"}])
    assert begin().told() == [("session.status", "ses_1")]
    assert "What is going on is not known in all project folders" in "".join(warned)


def test_an_unknown_session_is_an_error(fake, begin):
    fake.answers["/session/ses_1/children"] = GONE
    with pytest.raises(BackendError, match="has no session ses_1"):
        begin(session_id="ses_1")


# What happens meanwhile...


def test_what_is_heard_meanwhile_is_newer_than_what_was_read(fake, begin, publish):
    once = iter([None])

    def meanwhile(request):
        for _ in once:
            publish(
                ("session.status", {"sessionID": "ses_2", "status": {"type": "idle"}}),
                ("permission.replied", {"sessionID": "ses_1", "requestID": "per_1"}),
                ("permission.asked", permission(3)),
            )
        return Answer({"ses_1": BUSY, "ses_2": BUSY})

    asked = [permission(1), permission(2), permission(3), permission(4, "ses_2")]
    fake.put(DIRECTORY, asked)
    fake.folders[DIRECTORY]["/session/status"] = meanwhile
    sink = begin("session.status", "permission.*")
    assert sink.told() == [
        ("session.status", "ses_1"),
        ("permission.asked", "ses_1"),
        ("session.status", "ses_2"),
        ("permission.replied", "ses_1"),
        ("permission.asked", "ses_1"),
    ]
    assert sink.ids() == ["per_2", "per_3"]


def test_a_flood_of_events_ends_the_reading_and_not_the_subscription(
    fake, begin, publish, monkeypatch, warned
):
    monkeypatch.setattr(opencode_listener, "_MOST_HELD", 10)
    fake.put(DIRECTORY, states={"ses_1": BUSY})
    fake.put("/lately")
    fake.answers["/experimental/session"] = Answer([{"directory": "/lately"}])

    flooded = threading.Event()

    def flood(request):
        publish(*[("session.updated", {"sessionID": f"ses_{number}"}) for number in range(5)])
        flooded.set()
        return Answer({"ses_2": BUSY})

    fake.folders["/lately"]["/session/status"] = flood
    updates = [("session.updated", f"ses_{number}") for number in range(5)]
    sink = begin("session.*")
    assert flooded.wait(PATIENCE)
    assert sink.told() == [("session.status", "ses_1"), *updates]
    assert "too much happened meanwhile" in "".join(warned)


@pytest.fixture
def patient(monkeypatch):
    """No time-out of our own ends a reading before a test does."""
    monkeypatch.setattr(opencode_current, "_FOLDER_TIMEOUT", 10 * PATIENCE)
    monkeypatch.setattr(opencode_readings, "_CALL_TIMEOUT", 10 * PATIENCE)
    monkeypatch.setattr(opencode_beginning, "_TIMEOUT", 10 * PATIENCE)


@pytest.fixture
def hung(fake, patient):
    """OpenCode answers nothing of what is asked for a beginning."""
    fake.hang(DIRECTORY)
    return fake.asking


def test_a_flood_breaks_off_a_call_that_is_not_answered(
    fake, hung, start, readings, publish, monkeypatch
):
    monkeypatch.setattr(opencode_listener, "_MOST_HELD", 10)
    _, sink = start("session.*")
    assert hung.acquire(timeout=PATIENCE)
    publish(*[("session.updated", {"sessionID": f"ses_{number}"}) for number in range(20)])
    assert readings[0].wait(PATIENCE)
    sink.wait_for("session.updated")
    assert sink.told() == [("session.updated", f"ses_{number}") for number in range(20)]


@pytest.mark.parametrize("types", [[], ["session.*"]])
def test_a_flood_that_nobody_wants_disturbs_nothing(
    fake, binding, publish, readings, start, monkeypatch, types
):
    """Of other types, or from another folder."""
    monkeypatch.setattr(opencode_listener, "_MOST_HELD", 10)
    fake.put("/quiet", states={"ses_1": BUSY})
    status = fake.folders["/quiet"]["/session/status"]
    flooded = threading.Event()

    def flood(request):
        if not flooded.is_set():
            publish(*[("file.edited", {"file": "x"})] * 30, ("session.idle", {"sessionID": "x"}))
            flooded.set()
        return status

    fake.folders["/quiet"]["/session/status"] = flood
    _, sink = start(*types, directory="/quiet")
    assert readings[0].wait(PATIENCE)
    fake.event("session.idle", {"sessionID": "ses_1"}, directory="/quiet")
    sink.wait_for("session.idle")
    assert sink.told() == [("session.status", "ses_1"), ("session.idle", "ses_1")]


def test_who_does_not_keep_up_is_passed_over(fake, start, readings, publish, monkeypatch, binding):
    """When all threads that read are taken, a flood does not wait for one."""
    monkeypatch.setattr(opencode_listener, "_MOST_HELD", 4)
    submitted = []
    monkeypatch.setattr(binding.readers, "submit", lambda job: submitted.append(job) or True)
    fake.put(DIRECTORY, states={"ses_0": BUSY})
    _, sink = start("session.*")
    publish(*[("session.idle", {"sessionID": f"ses_{number}"}) for number in range(6)])
    sink.wait_for("session.idle")
    told = [("session.idle", f"ses_{number}") for number in range(6)]
    assert sink.told() == told
    submitted[0]()
    assert sink.told() == told


def test_the_end_of_the_server_does_not_wait_for_the_reading(hung, start, readings, binding):
    _, sink = start("session.*")
    assert hung.acquire(timeout=PATIENCE)
    binding.events.disconnect("the server was stopped")
    assert sink.got == ["opened", "the server was stopped"]
    assert readings[0].wait(PATIENCE)


def test_letting_go_of_the_server_ends_the_readings(hung, start, binding):
    start("session.*")
    assert hung.acquire(timeout=PATIENCE)
    assert binding.release(soon())
    assert not [each for each in threading.enumerate() if "reading" in each.name]


def test_closing_breaks_the_reading_off_and_the_sink_hears_nothing_more(
    hung, start, readings, publish, warned
):
    subscription, sink = start("session.*")
    assert hung.acquire(timeout=PATIENCE)
    publish(("session.idle", {"sessionID": "ses_1"}))
    subscription.close()
    subscription.close()
    assert readings[0].wait(PATIENCE)
    assert sink.got == ["opened"]
    assert warned == []


def test_so_many_read_at_a_time_and_the_others_wait_in_line(
    fake, patient, start, binding, monkeypatch
):
    monkeypatch.setattr(binding.readers, "_limit", 1)
    fake.hang(DIRECTORY)
    fake.put("/other", states={"ses_1": BUSY})
    first, _ = start(directory=DIRECTORY)
    assert fake.asking.acquire(timeout=PATIENCE)
    second, passed_over = start(directory="/other")
    _, third = start(directory="/other")
    second.close()
    assert third.got == ["opened"]
    first.close()
    third.wait_for("session.status")
    assert passed_over.got == ["opened"]
    assert fake.asked("/session/status") == ["/other"]


def test_without_a_thread_there_is_no_subscription(start, binding):
    assert binding.readers.close(soon())
    with pytest.raises(BackendError, match="no thread"):
        start()
    assert "0 subscribers" in repr(binding.events)


def test_a_question_listed_twice_and_a_session_of_two_folders_are_told_once(fake, begin):
    for folder in (DIRECTORY, "/lately"):
        fake.put(folder, [permission(1), permission(1)], states={"ses_1": BUSY})
    fake.answers["/experimental/session"] = Answer([{"directory": "/lately"}])
    assert begin().told() == [("session.status", "ses_1"), ("permission.asked", "ses_1")]


def test_an_end_meanwhile_is_told_after_all_that_was_heard(fake, begin, binding, publish):
    def end(request):
        publish(("session.idle", {"sessionID": "ses_2"}))
        binding.events.disconnect("the server was stopped")
        return Answer({"ses_1": BUSY})

    fake.folders[DIRECTORY]["/session/status"] = end
    sink = begin("session.*")
    assert [getattr(each, "session_id", each) for each in sink.got] == [
        "opened",
        "ses_2",
        "the server was stopped",
    ]


def test_after_a_loss_it_is_told_that_what_was_read_is_over(fake, begin):
    """Though no event of the session has ever passed."""
    fake.put(DIRECTORY, states={"ses_1": BUSY})
    sink = begin("session.*")
    fake.put(DIRECTORY)
    fake.cut()
    sink.wait_for("session.idle")
    assert sink.told()[0] == ("session.status", "ses_1")
    assert sink.told()[-1] == ("session.idle", "ses_1")


def test_what_was_read_is_not_remembered_over_what_was_told_since():
    memory = EventMemory()

    def is_busy():
        return dict(memory.sessions())["ses_1"].busy

    idle = {"sessionID": "ses_1", "status": {"type": "idle"}}
    memory.note(OpenCodeEvent("session.status", idle, directory=DIRECTORY))
    told = dict(memory.sessions())["ses_1"].told_at
    # Whatever else of it passes does not say whether it is at work.
    memory.note(OpenCodeEvent("session.updated", {"sessionID": "ses_1"}, directory=DIRECTORY))
    busy = OpenCodeEvent(
        "session.status", {**idle, "status": BUSY}, directory=DIRECTORY, replayed=True
    )
    memory.note(busy, since=told)
    assert not is_busy()
    memory.note(busy, since=told + 1e-6)
    assert is_busy()


def event(kind, session_id="ses_1", **properties):
    return OpenCodeEvent(kind, {"sessionID": session_id, **properties})


@pytest.mark.parametrize(
    ("heard", "left"),
    [
        ([], ["session.status", "permission.asked", "question.asked"]),
        # The work comes before the questions that hold it up.
        (
            [event("session.status", status=BUSY)],
            ["session.status", "permission.asked", "question.asked"],
        ),
        (
            [
                event("session.status", status=BUSY),
                event("permission.replied", requestID="per_1"),
                event("question.rejected", requestID="que_1"),
            ],
            [],
        ),
        ([event("session.idle")], []),
        ([event("session.deleted")], []),
        ([event("session.status", status={"type": "idle"})], []),
        (
            [event("session.idle"), event("session.status", status=BUSY)],
            ["session.status", "permission.asked", "question.asked"],
        ),
        (
            [event("session.idle", "ses_2")],
            ["session.status", "permission.asked", "question.asked"],
        ),
        ([event("question.asked", id="que_1")], ["session.status", "permission.asked"]),
        ([event("question.replied", requestID="que_1")], ["session.status", "permission.asked"]),
        ([event("question.rejected", requestID="que_1")], ["session.status", "permission.asked"]),
        ([event("permission.replied", requestID="per_1")], ["session.status", "question.asked"]),
        (
            [event("permission.replied", requestID=["per_1"]), event("question.asked", id={})],
            ["session.status", "permission.asked", "question.asked"],
        ),
    ],
)
def test_old_news(heard, left):
    read = [
        event("session.status", status=BUSY),
        event("permission.asked", id="per_1"),
        event("question.asked", id="que_1"),
    ]
    news = News()
    for each in heard:
        news.hear(each)
    assert [each.type for each in news.left_of(read)] == left
