"""The events of a real OpenCode, through the hub: one subscription, their order, losses."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.opencode.events.hub import EventHub, FeedTiming
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import KEY, StubModel

pytestmark = pytest.mark.e2e

PATIENCE = 60.0


def soon():
    return Deadline.after(PATIENCE)


class CountingProxy:
    """Passes TCP connections on to ``target``, a port; counts subscriptions; ``cut`` ends all."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.subscriptions = 0
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()  # guards the two above
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, function, *arguments) -> None:
        thread = threading.Thread(target=function, args=arguments, name="test-proxy")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.target), 5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                with self._lock:
                    self._sockets |= {near, far}
                self._start(self._pass_on, near, far)
                self._start(self._pass_on, far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    self.subscriptions += data.count(b"GET /global/event ")
                sink.sendall(data)
        _shut(source, sink)

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            _shut(*self._sockets)

    def stop(self) -> None:
        _shut(self._listener)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(PATIENCE)
        for each in self._sockets:
            each.close()


def _shut(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class Listener:
    """A subscriber that keeps what it gets."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards got
        self.got = []

    def event(self, event) -> None:
        self._add(event.type, event)

    def resubscribed(self) -> None:
        self._add("resubscribed", None)

    def ended(self, reason: str) -> None:
        self._add("ended", None)

    def _add(self, kind, event) -> None:
        with self._changed:
            self.got.append((kind, event))
            self._changed.notify_all()

    def all(self, session_id, *types):
        """Return the events of a session, of these types or all."""
        with self._changed:
            return [
                event
                for kind, event in self.got
                if event is not None
                and event.session_id == session_id
                and (not types or kind in types)
            ]

    def wait(self, wanted, count=1):
        """Wait until there are so many that are ``wanted``, a type or a test; return the last."""

        def matching():
            return [
                (kind, event)
                for kind, event in self.got
                if (kind == wanted if isinstance(wanted, str) else event and wanted(event))
            ]

        with self._changed:
            found = self._changed.wait_for(lambda: len(matching()) >= count, PATIENCE)
            assert found, [kind for kind, _ in self.got]
            return matching()[count - 1][1]

    def deltas(self, session_id, part_type):
        messages = [each.message for each in self.all(session_id, "message.part.delta")]
        return [each.delta.text for each in messages if each.delta.part_type == part_type]


@pytest.fixture(scope="module")
def stub():
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def server(opencode_program, stub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opencode-with-events")
    running = RealServer(
        opencode_program,
        folder,
        environ={"OPENCODE_CONFIG_CONTENT": stub.config()},
        password="a password of the tests",
    )
    yield running
    running.stop()


@pytest.fixture
def proxy(server):
    proxy = CountingProxy(server.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def make_hub(server):
    made = []

    def make(url, **timing):
        http = OpenCodeHttp(url, password=server.password)
        made.append((EventHub(http, timing=FeedTiming(**timing)), http))
        return made[-1][0]

    yield make
    for hub, http in made:
        hub.close()
        http.close()
    assert not [each for each in threading.enumerate() if "events" in each.name]


@pytest.fixture
def hub(make_hub, proxy):
    return make_hub(proxy.url)


@pytest.fixture
def listener(hub):
    listener = Listener()
    hub.subscribe(listener, deadline=soon())
    return listener


@pytest.fixture
def prompt(server):
    """Send prompts, each in a thread of its own: ``prompt(session_id, text) -> Future``."""
    with ThreadPoolExecutor() as pool:

        def send(session_id, text):
            body = {
                "parts": [{"type": "text", "text": text}],
                "model": {"providerID": "stub", "modelID": "stub-1"},
            }
            path = f"/session/{session_id}/message"
            return pool.submit(server.request, "POST", path, body, timeout=PATIENCE)

        yield send


def is_idle(session_id):
    return lambda event: event.type == "session.idle" and event.session_id == session_id


def test_any_number_of_subscribers_share_one_subscription(hub, proxy, server):
    listeners = [Listener() for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: hub.subscribe(each, deadline=soon()), listeners))
    session_id = server.create("for all")
    for each in listeners:
        each.wait(lambda event: event.session_id == session_id)
        assert each.all(session_id)[0].message.event.session_created.session.title == "for all"
    assert proxy.subscriptions == 1


def test_no_event_is_passed_over_from_the_beginning_on(make_hub, server):
    """OpenCode greets before it listens itself; see ``opencode/events/feed_check``."""
    for number in range(15):
        hub, listener = make_hub(server.url), Listener()
        hub.subscribe(listener, deadline=soon())
        session_id = server.create(f"at once {number}")
        server.request("PATCH", f"/session/{session_id}", {"title": "the end"})
        listener.wait("session.updated")
        assert [each.type for each in listener.all(session_id)] == [
            "session.created",
            "session.updated",
        ]
        hub.close()


def test_the_events_of_a_prompt_come_in_their_order(listener, hub, prompt, server):
    session_id = server.create("a prompt")
    text = "[[think:let me see]] [[say:one two three four]]"
    answer = prompt(session_id, text).result(PATIENCE)[1]
    listener.wait(is_idle(session_id))
    kinds = [each.type for each in listener.all(session_id)]
    assert kinds[0] == "session.created"
    first_delta = kinds.index("message.part.delta")
    assert kinds.index("message.updated") < kinds.index("message.part.updated") < first_delta
    assert first_delta < kinds.index("session.idle")
    assert "".join(listener.deltas(session_id, "reasoning")) == "let me see"
    deltas = listener.deltas(session_id, "text")
    assert len(deltas) == 4
    written = [part["text"] for part in answer["parts"] if part["type"] == "text"]
    assert ["".join(deltas)] == written == ["one two three four"]
    states = [
        each.message.event.session_status.status.WhichOneof("status")
        for each in listener.all(session_id, "session.status")
    ]
    assert (states[0], states[-1]) == ("thinking", "idle")
    busy = listener.all(session_id, "session.status")[-2].message.event.session_status.status
    assert busy.thinking.message_id == answer["info"]["id"]
    assert {each.directory for each in listener.all(session_id)} == {str(server.project)}
    for each in listener.all(session_id):
        if each.type != "message.part.delta":
            assert json.loads(each.message.properties_json) == each.properties
    assert hub.odd == {}  # all that OpenCode sent has its place


def test_a_refused_key_is_not_repeated(listener, prompt, server):
    session_id = server.create("401")
    prompt(session_id, "[[401]]").result(PATIENCE)
    error = listener.wait("session.error")
    assert error.session_id == session_id
    assert error.message.session_error.error.api.status == 401
    listener.wait(
        lambda event: event.type == "message.updated" and event.properties["info"].get("error")
    )
    shown = "".join(
        each.message.properties_json + str(each.message) for each in listener.all(session_id)
    )
    assert "[key]" in shown
    assert KEY not in shown


def test_retries_are_seen(listener, prompt, server):
    session_id = server.create("429")
    done = prompt(session_id, "[[429-once]] once more")
    retry = listener.wait(lambda event: event.message.HasField("retry")).message.retry
    assert (retry.session_id, retry.attempt) == (session_id, 1)
    assert retry.message
    assert retry.next_at > 1_700_000_000_000
    done.result(PATIENCE)


def asking(server, title):
    rules = [{"permission": "bash", "pattern": "*", "action": "ask"}]
    return server.create(title, permission=rules)


def test_permission_is_asked_for_and_granted(listener, hub, prompt, server):
    session_id = asking(server, "permission")
    done = prompt(session_id, '[[tool:bash {"command": "echo hi", "description": "d"}]]')
    asked = listener.wait("permission.asked")
    request = asked.message.event.permission_asked.request
    assert (asked.session_id, request.permission, request.action) == (
        session_id,
        "bash",
        "echo hi",
    )
    assert list(request.patterns) == ["echo hi"]
    assert list(request.always) == ["echo *"]
    assert request.tool.input["command"] == "echo hi"
    assert request.message_id.startswith("msg_")
    assert request.call_id
    assert hub.directory_of_question(request.id) == str(server.project)
    server.request("POST", f"/permission/{request.id}/reply", {"reply": "once"})
    replied = listener.wait("permission.replied").message.event.permission_replied
    assert (replied.request_id, replied.reply) == (request.id, 1)
    done.result(PATIENCE)


QUESTION = json.dumps(
    {
        "questions": [
            {
                "question": "Which?",
                "header": "Pick",
                "options": [
                    {"label": "A", "description": "first"},
                    {"label": "B", "description": "second"},
                ],
            }
        ]
    }
)


def test_a_question_is_asked_and_answered(listener, hub, prompt, server):
    session_id = server.create("question")
    done = prompt(session_id, f"[[tool:question {QUESTION}]]")
    question = listener.wait("question.asked").message.question
    assert question.session_id == session_id
    item = question.items[0]
    assert (item.header, item.question, item.custom) == ("Pick", "Which?", True)
    assert [option.label for option in item.options] == ["A", "B"]
    assert hub.directory_of_question(question.id) == str(server.project)
    server.request("POST", f"/question/{question.id}/reply", {"answers": [["B"]]})
    listener.wait("question.replied")
    done.result(PATIENCE)


def test_after_a_cut_what_is_open_is_read_again_and_what_follows_comes(
    listener, proxy, prompt, server
):
    session_id = asking(server, "cut")
    done = prompt(session_id, '[[tool:bash {"command": "echo cut", "description": "d"}]]')
    request = listener.wait("permission.asked").message.event.permission_asked.request
    proxy.cut()
    listener.wait("resubscribed")
    again = listener.wait("permission.asked", 2)
    assert (again.replayed, again.message.replayed) == (True, True)
    assert again.message.event.permission_asked.request.id == request.id
    busy = listener.wait(
        lambda event: (
            event.type == "session.status" and event.replayed and event.session_id == session_id
        )
    )
    assert busy.message.event.session_status.status.HasField("thinking")
    replayed = [each.type for each in listener.all(session_id) if each.replayed]
    assert replayed[0] == "session.updated"
    assert "message.part.updated" in replayed
    server.request("POST", f"/permission/{request.id}/reply", {"reply": "once"})
    answer = done.result(PATIENCE)[1]
    listener.wait(is_idle(session_id))
    assert "".join(listener.deltas(session_id, "text")) == answer["parts"][1]["text"]
    assert proxy.subscriptions == 2


def test_an_answer_that_ends_while_nobody_listens_is_read_again(
    make_hub, proxy, prompt, server, stub
):
    hub, listener = make_hub(proxy.url, connect=2.0), Listener()
    hub.subscribe(listener, deadline=soon())
    session_id = server.create("missed")
    stub.hold()
    done = prompt(session_id, "[[slow]] [[say:the whole of it]]")
    listener.wait("message.part.delta")
    with socket.create_server(("127.0.0.1", 0)) as nowhere:
        proxy.target = nowhere.getsockname()[1]  # accepts, and never answers
        proxy.cut()
        stub.release()
        answer = done.result(PATIENCE)[1]
        proxy.target = server.port
    proxy.cut()
    idle = listener.wait(is_idle(session_id))
    assert idle.replayed
    written = [part["text"] for part in answer["parts"] if part["type"] == "text"]
    texts = [
        each.properties["part"]["text"]
        for each in listener.all(session_id, "message.part.updated")
        if each.replayed and each.properties["part"]["type"] == "text"
    ]
    assert written[0] in texts


def test_a_server_that_is_restarted_is_found_again(make_hub, start_opencode):
    first = start_opencode()
    proxy = CountingProxy(first.port)
    try:
        hub, listener = make_hub(proxy.url), Listener()
        hub.subscribe(listener, deadline=soon())
        first.create("before")
        listener.wait("session.created")
        first.kill()
        second = start_opencode()
        proxy.target = second.port
        listener.wait("resubscribed")
        session_id = second.create("after")
        listener.wait(lambda event: event.session_id == session_id)
        hub.close()
    finally:
        proxy.stop()
