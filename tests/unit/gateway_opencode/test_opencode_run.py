"""Runs against a scripted OpenCode: what is sent, what is answered on the way, how they end."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.errors import no_server, server_error
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.runs import prompts as opencode_prompt
from opencode_sync.gateway.backends.opencode.runs import result as opencode_run_result
from opencode_sync.gateway.backends.opencode.runs import run as opencode_run
from opencode_sync.gateway.backends.opencode.runs.prompts import Prompts
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import ext_prompt_pb2 as pb
from tests.unit.gateway_opencode.http_server import Answer, Raw
from tests.unit.gateway_opencode.run_doubles import (
    SESSION,
    FakeHub,
    Sink,
    answer,
    delta,
    event,
    part,
    status,
    user,
)

ALL, NONE = pb.IPC_RUN_EVENTS_ALL, pb.IPC_RUN_EVENTS_NONE
ONCE, ALWAYS, ASK = (
    pb.IPC_ANSWER_POLICY_ONCE,
    pb.IPC_ANSWER_POLICY_ALWAYS,
    pb.IPC_ANSWER_POLICY_ASK,
)
KEY = "sk-12345678"
PROVIDERS = {"providers": [{"id": "stub", "key": KEY, "models": {"one": {}}}]}
REFUSED = Answer({"name": "UnknownError", "data": {"ref": "err_1"}}, 500)
NOT_FOUND = Answer({"name": "NotFoundError", "data": {"message": "no"}}, 404)


class OpenCode:
    """A scripted OpenCode and its events; a test replaces what it is about.

    Attributes:
        model: Called with the prompt's message id; publishes events and returns the call's answer.
        messages: What the session's list of messages holds, for each prompt.
    """

    def __init__(self, serve):
        self.hub = FakeHub()
        self.prompts = []
        self.replies = []
        self.aborted = threading.Event()
        self.model = self.says_hello
        self.messages = None
        self.routes = {}
        self.server = serve(self._answer)
        self.binding = Binding(OpenCodeHttp(self.server.url))
        object.__setattr__(self.binding, "events", self.hub)
        self.runs = Prompts()

    def close(self):
        self.runs.close()
        self.binding.http.close()

    def _answer(self, request):
        route = self.routes.get(request.path)
        if route is not None:
            return route(request) if callable(route) and not isinstance(route, Answer) else route
        if request.path == f"/session/{SESSION}/message":
            return self._message(request)
        if request.path == f"/session/{SESSION}/abort":
            self.aborted.set()
        if request.path.startswith(("/permission/", "/question/")):
            self.replies.append((request.path, request.query, json.loads(request.body)))
        simple = {
            f"/session/{SESSION}": {"id": SESSION, "directory": "/p"},
            "/config/providers": PROVIDERS,
            "/agent": [{"name": "build"}],
            "/session/status": {},
        }
        return Answer(simple.get(request.path, True))

    def _message(self, request):
        if request.method == "GET":
            return Answer(self.messages or [])
        body = json.loads(request.body)
        self.prompts.append(body)
        return self.model(body["messageID"])

    # What a model does...

    def says_hello(self, message_id, **info):
        self.messages = [asked(message_id), said("msg_a", message_id, "hello", **info)]
        self.hub.publish(
            user(message_id),
            status("busy"),
            answer("msg_a", message_id),
            part("msg_a", "prt_a", ""),
            delta("msg_a", "prt_a", "hello"),
            answer("msg_a", message_id, time={"completed": 2}, **info),
            status("idle"),
        )
        return Answer(self.messages[-1])

    def paths(self):
        return [request.path for request in self.server.requests]

    def run(self, text="hi", *, sink=None, seconds=20.0, cancellation=None, **fields):
        request = pb.IpcPromptRequest(session_id=SESSION, text=text, **{"events": ALL, **fields})
        return self.runs.run(
            self.binding,
            request,
            sink or Sink(),
            deadline=Deadline.after(seconds),
            cancellation=cancellation or Cancellation(),
        )


def asked(message_id):
    info = {"id": message_id, "role": "user", "sessionID": SESSION}
    return {"info": info, "parts": [{"type": "text", "text": "?"}]}


def said(message_id, parent, text="", **info):
    info = {"finish": "stop", "providerID": "stub", **info}
    return {
        "info": {"id": message_id, "role": "assistant", "parentID": parent, **info},
        "parts": [{"id": "prt_a", "messageID": message_id, "type": "text", "text": text}]
        if text
        else [],
    }


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


@pytest.fixture
def opencode(serve):
    double = OpenCode(serve)
    yield double
    double.close()


# What is sent...


def test_a_prompt_with_everything(opencode):
    result = opencode.run(
        "hi",
        provider_id="stub",
        model_id="one",
        agent="build",
        system="be brief",
        schema_json='{"type": "object"}',
        files=[
            pb.IpcPromptFile(url="file:///p/a.txt", mime="text/plain", filename="a.txt"),
            pb.IpcPromptFile(url="data:,x", mime="text/plain"),
        ],
    )
    sent, mended = opencode.prompts
    assert sent.pop("messageID") == result.user_message_id == mended["messageID"]
    assert sent == {
        "parts": [
            {"type": "text", "text": "hi"},
            {"type": "file", "mime": "text/plain", "url": "file:///p/a.txt", "filename": "a.txt"},
            {"type": "file", "mime": "text/plain", "url": "data:,x"},
        ],
        "model": {"providerID": "stub", "modelID": "one"},
        "agent": "build",
        "system": "be brief",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }
    assert opencode.hub.hidden == [KEY]


def test_a_prompt_with_nothing_but_a_file(opencode):
    file = pb.IpcPromptFile(url="FILE:///p/a.txt", mime="text/plain")
    opencode.run("", files=[file])
    assert set(opencode.prompts[0]) == {"messageID", "parts"}
    assert [each["type"] for each in opencode.prompts[0]["parts"]] == ["file"]
    assert "/agent" not in opencode.paths()


def test_a_result_and_its_events(opencode):
    sink = Sink()
    result = opencode.run(sink=sink)
    assert [each.assistant.text for each in result.messages] == ["hello"]
    assert (result.session_id, result.finish, result.structured_json) == (SESSION, "stop", "")
    assert not result.HasField("failure")
    assert sink.text == "hello"
    assert sink.kinds[0] == "message.updated"
    assert sink.kinds[-1] == "session.status"
    assert opencode.hub.subscribers == []


def test_what_the_events_lacked_is_sent_before_the_end(opencode):
    def model(message_id):
        opencode.messages = [said("msg_a", message_id, "hello")]
        opencode.hub.publish(answer("msg_a", message_id), delta("msg_a", "prt_a", "he"))
        opencode.hub.subscribers[0].ended("released")
        return Answer(opencode.messages[-1])

    opencode.model = model
    sink = Sink()
    opencode.run(sink=sink)
    assert sink.text == "hello"


def test_the_last_events_are_waited_for_a_moment(opencode):
    returned = threading.Event()

    def publish_late(message_id):
        assert returned.wait(20)
        opencode.hub.publish(answer("msg_a", message_id, error={"name": "X"}), status("idle"))

    def model(message_id):
        threads.append(threading.Thread(target=publish_late, args=(message_id,)))
        threads[0].start()
        opencode.messages = [said("msg_a", message_id, "hello")]
        opencode.hub.publish(status("busy"), answer("msg_a", message_id, time=None))
        return Answer(opencode.messages[-1])

    threads = []
    opencode.model = model
    settle = opencode_run.Run._settle

    def settling(self, outcome):
        returned.set()
        settle(self, outcome)

    sink = Sink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opencode_run.Run, "_settle", settling)
        opencode.run(sink=sink)
    threads[0].join()
    assert sink.kinds[-2:] == ["session.status", "message.part.delta"]


def test_a_long_session_is_read_as_far_back_as_the_run_began(opencode, monkeypatch):
    monkeypatch.setattr(opencode_run_result, "_FIRST_LOOK", 2)
    monkeypatch.setattr(opencode_run_result, "_MORE", 2)
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    limits = []

    def model(message_id):
        steps = [said(f"msg_a{number}", message_id, f"{number}") for number in range(3)]
        opencode.messages = [asked("msg_0"), said("msg_1", "msg_0"), asked(message_id), *steps]
        return Answer(steps[-1])

    def listed(request):
        if request.method == "POST":
            return model(json.loads(request.body)["messageID"])
        limits.append(int(request.query["limit"][0]))
        return Answer(opencode.messages[-limits[-1] :])

    opencode.routes[f"/session/{SESSION}/message"] = listed
    result = opencode.run()
    assert [each.assistant.text for each in result.messages] == ["0", "1", "2"]
    assert limits == [2, 4]


# What cannot be right...


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"provider_id": "stub"}, "provider_id and model_id belong together"),
        ({"provider_id": "stub", "model_id": " "}, "model_id is blank"),
        ({"text": ""}, "text is empty"),
        ({"text": "x", "files": [("http://x", "a/b")]}, "files[0].url begins with neither"),
        ({"files": [("", "a/b")]}, "files[0].url begins with neither"),
        ({"files": [("data:,x", "a/b"), ("file://x", "a/b")]}, "files[1].url is not file:// and"),
        ({"files": [("data:x", "a/b")]}, "files[0].url has no comma"),
        ({"files": [("data:,x", " ")]}, "files[0].mime is empty"),
        ({"files": [("data:," + "x" * 8_000_000, "a/b")]}, "files has 8000006 of 8000008 bytes"),
        ({"schema_json": "{"}, "schema_json is not JSON"),
        ({"schema_json": "[" * 100_000}, "schema_json is not JSON"),
        ({"schema_json": "[]"}, "schema_json is JSON, but not an object"),
        ({"permissions": 9}, "permissions: there is no answer policy 9"),
        ({"permissions": ASK, "events": NONE}, "permissions: the client wants to be asked"),
        ({"questions": ASK, "events": NONE}, "questions: the client wants to be asked"),
        ({"questions": ALWAYS}, "questions: yes is no answer"),
    ],
)
def test_a_field_that_cannot_be_right_is_named(opencode, fields, words):
    files = [pb.IpcPromptFile(url=url, mime=mime) for url, mime in fields.pop("files", [])]
    code, message = failure(opencode.run, **{"text": "hi", "files": files, **fields})
    assert code == "INVALID_MESSAGE"
    assert message.startswith(words)
    assert opencode.server.requests == []


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"provider_id": "stub", "model_id": "onee"}, "unknown_model", 'did you mean "one"'),
        ({"agent": "primary"}, "unknown_agent", 'it has "build"'),
    ],
)
def test_what_does_not_exist_is_a_failure(opencode, fields, kind, words):
    result = opencode.run(**fields)
    assert result.failure.kind == kind
    assert words in result.failure.message
    assert opencode.prompts == []


def test_a_session_that_does_not_exist_is_a_failure(opencode):
    opencode.routes[f"/session/{SESSION}"] = NOT_FOUND
    assert opencode.run().failure.kind == "unknown_session"


@pytest.mark.parametrize("error", [no_server("none"), server_error("no events here")])
def test_without_events_there_is_no_run(opencode, error):
    opencode.hub.error = error
    assert failure(opencode.run)[1] == error.message
    assert opencode.prompts == []


# Questions...


def ask(opencode, message_id, *events):
    opencode.hub.publish(user(message_id), answer("msg_a", message_id), *events)


def permission(identifier="per_1", **options):
    tool = {"messageID": "msg_a", "callID": "c"}
    return event("permission.asked", sessionID=SESSION, id=identifier, tool=tool, **options)


def question(identifier="que_1", count=2):
    tool = {"messageID": "msg_a", "callID": "c"}
    items = [{"question": "?"}] * count
    return event("question.asked", sessionID=SESSION, id=identifier, questions=items, tool=tool)


class Waiting:
    """A model that asks, and goes on when it has its answers."""

    def __init__(self, opencode, *events, answers=1):
        self._opencode = opencode
        self._events = events
        self._answered = threading.Semaphore(1 - answers)
        opencode.model = self
        for path in ("/permission/per_1/reply", "/question/que_1/reply"):
            opencode.routes[path] = self.reply
        self.tries = 0

    def reply(self, request):
        self.tries += 1
        self._opencode.replies.append((request.path, request.query, json.loads(request.body)))
        self._answered.release()
        return Answer(True)

    def __call__(self, message_id):
        ask(self._opencode, message_id, *self._events)
        assert self._answered.acquire(timeout=20)
        return self._opencode.says_hello(message_id)


@pytest.mark.parametrize(
    ("policy", "reply"),
    [
        (pb.IPC_ANSWER_POLICY_UNSPECIFIED, "reject"),
        (pb.IPC_ANSWER_POLICY_REJECT, "reject"),
        (ONCE, "once"),
        (ALWAYS, "always"),
    ],
)
def test_permission_by_policy(opencode, policy, reply):
    Waiting(opencode, permission(), permission())
    opencode.run(permissions=policy, reject_message="use another tool")
    ((path, query, body),) = opencode.replies
    assert path == "/permission/per_1/reply"
    assert query == {"directory": ["/p"]}
    assert body.pop("reply") == reply
    assert body == ({"message": "use another tool"} if reply == "reject" else {})


def test_a_question_is_answered_by_an_explanation(opencode):
    Waiting(opencode, question())
    opencode.run()
    ((path, _, body),) = opencode.replies
    assert path == "/question/que_1/reply"
    first, second = body["answers"]
    assert first == second
    assert "unattended" in first[0]


def test_a_question_of_no_known_directory(opencode):
    Waiting(opencode, permission(directory=""))
    opencode.run()
    assert opencode.replies[0][1] == {}


def test_an_answer_that_somebody_else_gave_before_is_fine(opencode):
    waiting = Waiting(opencode, permission())

    def reply(request):
        waiting.reply(request)
        return NOT_FOUND

    opencode.routes["/permission/per_1/reply"] = reply
    assert not opencode.run().HasField("failure")


@pytest.mark.parametrize("broken", [Answer(None, 500), Raw(lambda send: None)])
def test_an_answer_is_tried_again(opencode, broken):
    waiting = Waiting(opencode, permission())

    def reply(request):
        if not waiting.tries:
            waiting.tries += 1
            return broken
        return waiting.reply(request)

    opencode.routes["/permission/per_1/reply"] = reply
    assert not opencode.run().HasField("failure")
    assert waiting.tries == 2


def test_a_question_that_cannot_be_answered_ends_the_run(opencode):
    def model(message_id):
        ask(opencode, message_id, permission())
        assert opencode.aborted.wait(20)
        return opencode.says_hello(message_id, finish=None)

    opencode.model = model
    opencode.routes["/permission/per_1/reply"] = Answer(None, 500)
    result = opencode.run()
    assert result.failure.kind == "server"
    assert "a question of the run could not be answered" in result.failure.message
    assert opencode.paths().count("/permission/per_1/reply") == 4  # the last takes it back


def test_a_message_whose_beginning_was_lost_is_looked_up(opencode):
    looked_up = threading.Event()

    def look_up(request):
        looked_up.set()
        return Answer(said("msg_a", opencode.prompts[0]["messageID"], "hello"))

    def model(message_id):
        opencode.hub.publish(delta("msg_a", "prt_a", "hel"), delta("msg_b", "prt_b", "odd"))
        assert looked_up.wait(20)
        opencode.messages = [said("msg_a", message_id, "hello")]
        opencode.hub.subscribers[0].ended("")
        return Answer(opencode.messages[0])

    opencode.model = model
    opencode.routes[f"/session/{SESSION}/message/msg_a"] = look_up
    opencode.routes[f"/session/{SESSION}/message/msg_b"] = NOT_FOUND
    sink = Sink()
    opencode.run(sink=sink)
    assert sink.text == "hello"


# Failures...


def test_the_models_failure(opencode):
    error = {"name": "APIError", "data": {"message": f"bad {KEY}", "statusCode": 401}}
    opencode.model = lambda message_id: opencode.says_hello(message_id, finish=None, error=error)
    result = opencode.run()
    assert (result.failure.kind, result.failure.status) == ("provider_auth", 401)
    assert result.failure.message == "bad [key]"
    assert KEY not in str(result)
    assert result.messages[0].assistant.error.api.status == 401


def test_a_bare_no_ends_the_run(opencode):
    def model(message_id):
        replied = event("permission.replied", sessionID=SESSION, requestID="per_1", reply="reject")
        ask(opencode, message_id, permission(), replied)
        return opencode.says_hello(message_id, finish="tool-calls")

    opencode.model = model
    result = opencode.run(permissions=ASK)
    assert result.failure.kind == "permission_rejected"
    assert opencode.replies == []


def test_a_result_of_a_schema(opencode):
    opencode.model = lambda message_id: opencode.says_hello(
        message_id, finish="tool-calls", structured={"a": "\u00fc"}, agent="build", modelID="one"
    )
    result = opencode.run(schema_json="{}")
    assert result.structured_json == '{"a": "\u00fc"}'
    assert not result.HasField("failure")
    mended = opencode.prompts[1]
    assert (mended["parts"], mended["noReply"], "format" in mended) == ([], True, False)
    assert (mended["agent"], mended["model"]) == (
        "build",
        {"providerID": "stub", "modelID": "one"},
    )


def test_a_schema_that_cannot_be_taken_back(opencode, monkeypatch):
    def model(message_id):
        if len(opencode.prompts) == 2:
            return Answer(None, 500)
        return Answer(asked(message_id))

    opencode.model = model
    opencode.hub.publish = lambda *events: None
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    assert opencode.run(schema_json="{}").failure.kind == "aborted"
    assert "agent" not in opencode.prompts[1]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Model not found: stub/x. Did you mean: one?", "unknown_model"),
        ('Agent not found: "x". Available agents: build', "unknown_agent"),
        ("something else", "unknown"),
    ],
)
def test_a_refusal_has_its_cause_in_an_event(opencode, words, kind):
    def model(message_id):
        error = {"name": "UnknownError", "data": {"message": words}}
        opencode.hub.publish(event("session.error", sessionID=SESSION, error=error))
        return REFUSED

    opencode.model = model
    result = opencode.run()
    assert (result.failure.kind, result.failure.message) == (kind, words)


def test_a_refusal_without_a_cause(opencode, monkeypatch):
    monkeypatch.setattr(opencode_run, "_CAUSE_TIMEOUT", 0.01)
    opencode.model = lambda message_id: REFUSED
    result = opencode.run()
    assert result.failure.kind == "server"
    assert "err_1" in result.failure.message


@pytest.mark.parametrize("status_code", [500, 404])
def test_a_session_that_was_deleted(opencode, monkeypatch, status_code):
    monkeypatch.setattr(opencode_run, "_CAUSE_TIMEOUT", 0.01)

    def model(message_id):
        opencode.routes[f"/session/{SESSION}"] = NOT_FOUND
        return REFUSED if status_code == 500 else NOT_FOUND

    opencode.model = model
    failed = opencode.run().failure
    assert failed.kind == "unknown_session"
    assert failed.message == f"session {SESSION} was deleted while its prompt ran"


def test_a_session_that_is_deleted_while_the_model_thinks(opencode, monkeypatch):
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)

    def model(message_id):
        opencode.hub.publish(event("session.deleted", sessionID=SESSION, info={}))
        assert opencode.aborted.wait(20)
        return REFUSED

    opencode.model = model
    assert opencode.run().failure.kind == "unknown_session"


def test_a_prompt_that_opencode_refuses_for_what_it_is(opencode, monkeypatch):
    monkeypatch.setattr(opencode_run, "_CAUSE_TIMEOUT", 0.01)
    opencode.model = lambda message_id: Answer({"_tag": "BadRequest"}, 400)
    assert failure(opencode.run)[0] == "INVALID_MESSAGE"


@pytest.mark.parametrize("document", [asked("msg_x"), {}])
def test_a_run_that_ends_before_the_model_begins(opencode, monkeypatch, document):
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    opencode.model = lambda message_id: Answer(document)
    result = opencode.run()
    assert result.failure.kind == "aborted"
    assert len(result.messages) == 0


def test_an_answer_that_went_to_somebody_else_alone(opencode, monkeypatch):
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    opencode.model = lambda message_id: Answer(said("msg_b", "msg_other"))
    result = opencode.run()
    assert result.failure.kind == "server"
    assert "another program's prompt" in result.failure.message


def test_opencode_goes_away_in_the_middle(opencode):
    def model(message_id):
        opencode.hub.publish(
            user(message_id),
            answer("msg_a", message_id),
            part("msg_a", "prt_a", ""),
            delta("msg_a", "prt_a", "hel"),
        )
        opencode.routes[f"/session/{SESSION}/message"] = Raw(lambda send: None)
        return Raw(lambda send: None)

    opencode.model = model
    result = opencode.run()
    assert (result.failure.kind, result.failure.retryable) == ("server", True)
    assert [each.assistant.text for each in result.messages] == ["hel"]


def test_messages_that_cannot_be_read_are_those_that_were_seen(opencode):
    def model(message_id):
        answered = opencode.says_hello(message_id)
        opencode.routes[f"/session/{SESSION}/message"] = Answer(None, 500)
        return answered

    opencode.model = model
    result = opencode.run()
    assert not result.HasField("failure")
    assert [each.assistant.text for each in result.messages] == ["hello"]


def test_a_bug_in_the_call_is_a_failure_and_no_hang(opencode, monkeypatch):
    def broken(*args, **options):
        if args[1] == "POST":
            raise ZeroDivisionError
        return call(*args, **options)

    call = Binding.call
    monkeypatch.setattr(Binding, "call", broken)
    result = opencode.run()
    assert (result.failure.kind, result.failure.message) == (
        "server",
        "the gateway failed to send the prompt",
    )


# Its end before its time...


def aborted_run(opencode, message_id, **info):
    """As a model: write a little, and go on until it is aborted."""
    opencode.hub.publish(
        user(message_id),
        status("busy"),
        answer("msg_a", message_id),
        delta("msg_a", "prt_a", "hel"),
        status("retry", attempt=1, message="too busy", next=7),
    )
    assert opencode.aborted.wait(20)
    info = {"finish": None, "error": {"name": "MessageAbortedError"}, **info}
    opencode.messages = [asked(message_id), said("msg_a", message_id, "hel", **info)]
    opencode.hub.publish(answer("msg_a", message_id, **info), status("idle"))
    return Answer(opencode.messages[-1])


def test_the_deadline_aborts_the_run(opencode):
    opencode.model = lambda message_id: aborted_run(opencode, message_id)
    result = opencode.run(seconds=0.5)
    assert result.failure.kind == "timeout"
    assert result.failure.message.startswith(
        "the answer took longer than 0.5 s (OpenCode was trying again after: too busy); the run "
        "was aborted;"
    )
    assert [each.assistant.text for each in result.messages] == ["hel"]
    assert [each.attempt for each in result.retries] == [1]


BROKEN = {"finish": "unknown", "time": {"completed": 2}}


def breaks_off(opencode, message_id, last):
    """As a model: break off three answers, and begin a fourth, until the run is aborted."""
    names = ["msg_a", "msg_b", "msg_c"]
    opencode.hub.publish(user(message_id), status("busy"))
    opencode.hub.publish(*(answer(each, message_id, **BROKEN) for each in names))
    assert opencode.aborted.wait(20)
    opencode.messages = [asked(message_id)]
    opencode.messages += [said(each, message_id, "hel", **BROKEN) for each in names]
    if last is not None:
        opencode.messages.append(said("msg_d", message_id, "", **last))
        opencode.hub.publish(answer("msg_d", message_id, **last))
    opencode.hub.publish(status("idle"))
    return Answer(opencode.messages[-1])


ABORTED = {"finish": None, "error": {"name": "MessageAbortedError"}}


@pytest.mark.parametrize("last", [None, ABORTED], ids=["before the next", "in the next"])
def test_answers_that_break_off_again_and_again_abort_the_run(opencode, last):
    opencode.model = lambda message_id: breaks_off(opencode, message_id, last)
    result = opencode.run()
    assert (result.failure.kind, result.failure.retryable) == ("incomplete", True)
    assert result.failure.message.startswith(
        "the provider ended its answers in the middle, 3 times in a row and without saying why; "
        "the run was aborted; send the prompt again later"
    )
    assert [each.assistant.text for each in result.messages][:3] == ["hel"] * 3


def test_an_answer_that_is_whole_before_the_abort_counts(opencode):
    last = {"finish": "stop", "time": {"completed": 2}}
    opencode.model = lambda message_id: breaks_off(opencode, message_id, last)
    result = opencode.run()
    assert (result.finish, result.HasField("failure")) == ("stop", False)


@pytest.mark.parametrize("error", [None, {"name": "MessageAbortedError"}])
def test_a_cancel_aborts_the_run(opencode, error):
    cancellation = Cancellation()

    def model(message_id):
        cancellation.cancel("enough")
        return aborted_run(opencode, message_id, error=error)

    opencode.model = model
    failed = opencode.run(cancellation=cancellation).failure
    assert (failed.kind, failed.message) == (
        "cancelled",
        "the request was cancelled (enough); the run was aborted",
    )


def test_an_answer_that_is_complete_when_it_is_cancelled_counts(opencode):
    cancellation = Cancellation()

    def model(message_id):
        cancellation.cancel("enough")
        return aborted_run(opencode, message_id, error=None, finish="stop")

    opencode.model = model
    result = opencode.run(cancellation=cancellation)
    assert not result.HasField("failure")
    assert result.finish == "stop"


def test_what_was_asked_is_taken_back(opencode):
    cancellation = Cancellation()

    def model(message_id):
        ask(opencode, message_id, permission(), question())
        cancellation.cancel("enough")
        return aborted_run(opencode, message_id)

    opencode.model = model
    opencode.run(cancellation=cancellation, permissions=ASK, questions=ASK)
    assert [path for path, _, _ in opencode.replies] == [
        "/permission/per_1/reply",
        "/question/que_1/reject",
    ]


def test_a_run_is_aborted_until_it_has_ended(opencode, monkeypatch):
    """The first abort may be quicker than the prompt, and meets nothing."""
    monkeypatch.setattr(opencode_run, "_FIRST_PATIENCE", 0.01)
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    monkeypatch.setattr(opencode_run, "_STATUS_PAUSE", 0.01)
    cancellation, ended = Cancellation(), threading.Event()
    busy = [{SESSION: {"type": "busy"}}, {}]

    def abort(request):
        if opencode.paths().count(request.path) >= 3:
            ended.set()
        return Answer(True)

    def model(message_id):
        cancellation.cancel("at once")
        assert ended.wait(20)
        return Answer(asked(message_id))

    opencode.model = model
    opencode.routes[f"/session/{SESSION}/abort"] = abort
    opencode.routes["/session/status"] = lambda request: Answer(busy.pop(0))
    result = opencode.run(cancellation=cancellation)
    assert result.failure.kind == "cancelled"
    assert busy == []


@pytest.mark.parametrize("state", [Answer(None, 500), Answer([]), None])
def test_a_run_that_does_not_end_is_left(opencode, monkeypatch, state):
    """It is said that it goes on, or it is not known whether it does."""
    monkeypatch.setattr(opencode_run, "_ABORT_TIMEOUT", 0.2)
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    cancellation = Cancellation()
    go_on = threading.Event()

    def model(message_id):
        cancellation.cancel("at once")
        assert (go_on if state is None else opencode.aborted).wait(20)
        return Answer(asked(message_id))

    opencode.model = model
    opencode.routes["/session/status"] = state or Answer({SESSION: {}})
    try:
        failed = opencode.run(cancellation=cancellation).failure
    finally:
        go_on.set()
    assert failed.kind == "cancelled"
    assert ("OpenCode goes on with it" in failed.message) == (state is None)
    for thread in threading.enumerate():
        if thread.name == "opencode-sync-gateway-prompt":
            thread.join(20)


def test_a_session_that_stays_busy_is_not_waited_for_longer(opencode, monkeypatch):
    monkeypatch.setattr(opencode_run, "_ABORT_TIMEOUT", 0.2)
    monkeypatch.setattr(opencode_run, "_SETTLE_TIMEOUT", 0.01)
    cancellation = Cancellation()

    def model(message_id):
        cancellation.cancel("at once")
        assert opencode.aborted.wait(20)
        return Answer(asked(message_id))

    opencode.model = model
    opencode.routes["/session/status"] = Answer({SESSION: {"type": "busy"}})
    assert opencode.run(cancellation=cancellation).failure.kind == "cancelled"


def test_a_deadline_that_came_before(opencode):
    request = pb.IpcPromptRequest(session_id=SESSION, text="x")
    options = {"deadline": NOW, "cancellation": Cancellation()}
    result = opencode.runs.run(opencode.binding, request, Sink(), **options)
    assert result.failure.kind == "timeout"
    assert result.user_message_id == ""
    assert opencode.server.requests == []


def test_a_look_up_that_is_late_is_a_timeout(opencode):
    opencode.routes["/config/providers"] = lambda request: (
        opencode.server.closing.wait(1),
        Answer(PROVIDERS),
    )[1]
    assert opencode.run(seconds=0.3).failure.kind == "timeout"


def test_the_wait_for_a_turn_ends_with_a_cancel(opencode):
    began, go_on = threading.Event(), threading.Event()
    cancellation = Cancellation()

    def model(message_id):
        began.set()
        assert go_on.wait(20)
        return opencode.says_hello(message_id)

    opencode.model = model
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opencode.run)
        assert began.wait(20)
        second = pool.submit(opencode.run, cancellation=cancellation)
        cancellation.cancel("no more")
        failed = second.result(20).failure
        go_on.set()
        assert first.result(20).finish == "stop"
    assert failed.kind == "cancelled"
    assert "it was not sent" in failed.message
    assert len(opencode.prompts) == 1


def test_close_ends_what_runs_and_what_waits(opencode):
    began = threading.Event()

    def model(message_id):
        began.set()
        return aborted_run(opencode, message_id)

    opencode.model = model
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opencode.run)
        assert began.wait(20)
        second = pool.submit(opencode.run)
        opencode.runs.close()
        kinds = [each.result(20).failure.kind for each in (first, second)]
    assert kinds == ["server", "server"]
    assert failure(opencode.run)[1] == "the gateway is closing; start it again to go on"


def test_close_does_not_wait_for_ever(opencode, monkeypatch):
    monkeypatch.setattr(opencode_prompt, "_CLOSE_TIMEOUT", 0.01)
    began, go_on = threading.Event(), threading.Event()

    def model(message_id):
        began.set()
        assert go_on.wait(20)
        return opencode.says_hello(message_id)

    opencode.model = model
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(opencode.run)
        assert began.wait(20)
        opencode.runs.close()
        assert not running.done()
        go_on.set()
        assert running.result(20).finish == "stop"
