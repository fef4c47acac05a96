"""Prompts against a scripted OpenCode: whose answer, which time-out, which error."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.auth.keys import KeyChanges
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.backends.opencode.runs import prompts as opencode_prompt
from opencode_sync.gateway.backends.opencode.runs import run as opencode_run
from opencode_sync.gateway.backends.opencode.runs.answers import answer_to
from opencode_sync.gateway.backends.opencode.runs.message_ids import MessageIds
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import oc_auth_pb2
from tests.unit.gateway_opencode.http_server import Answer, Raw

PROVIDERS = {
    "providers": [
        {"id": "stub", "key": "sk-12345678", "models": {"one": {}, "two": {}}},
        {"id": "bare", "options": {"apiKey": "sk-87654321"}},
        {"id": "short", "key": "x", "models": []},
        {"name": "no id"},
        None,
    ]
}
SESSION = {"id": "ses_1", "directory": "/p"}


def soon(seconds=20.0):
    return Deadline.after(seconds)


class FakeOpenCode:
    """Answers as OpenCode does; ``routes`` holds answers by path, or functions of the request."""

    def __init__(self):
        self.prompts = []
        self.routes = {
            "/session/ses_1": Answer(SESSION),
            "/config/providers": Answer(PROVIDERS),
            "/agent": Answer([{"name": "build"}, {"name": "plan"}, None, {"mode": "x"}]),
            "/session/ses_1/abort": Answer(True),
            "/session/ses_1/message": self.answer,
            "/session/status": Answer({}),
            "/instance/dispose": Answer(True),
            "/path": Answer({"directory": "/p"}),
        }

    def __call__(self, request):
        route = self.routes.get(request.path, Answer(True))
        return route if isinstance(route, (Answer, Raw)) else route(request)

    def answer(self, request):
        self.prompts.append(json.loads(request.body))
        return Answer(assistant(self.prompts[-1]["messageID"]))


def assistant(parent, text="hello", **info):
    return {
        "info": {
            "id": f"{parent}-answer",
            "role": "assistant",
            "parentID": parent,
            "finish": "stop",
            **info,
        },
        "parts": [{"type": "text", "text": text}] if text else [],
    }


def user(message_id, *parts):
    parts = parts or ({"type": "text", "text": "?"},)
    return {"info": {"id": message_id, "role": "user"}, "parts": list(parts)}


@pytest.fixture
def fake():
    return FakeOpenCode()


@pytest.fixture
def server(serve, fake):
    return serve(fake)


@pytest.fixture
def backend(server):
    backend = OpenCodeBackend(server.url)
    yield backend
    backend.close()


def send(backend, text="hi", *, deadline=None, session_id="ses_1", cancellation=None, **changes):
    fields = {"provider_id": "stub", "model_id": "one", "agent": None, **changes}
    return backend.send_message(
        session_id, text, deadline=deadline or soon(), cancellation=cancellation, **fields
    )


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


def paths(server):
    return [request.path for request in server.requests]


# What is sent...


def test_a_prompt_as_opencode_gets_it(backend, fake, server):
    answer = send(backend, "hi \u00fc", agent="plan").assistant
    assert answer.text == "hello"
    (prompt,) = fake.prompts
    assert prompt.pop("messageID").startswith("msg_")
    assert prompt == {
        "parts": [{"type": "text", "text": "hi \u00fc"}],
        "model": {"providerID": "stub", "modelID": "one"},
        "agent": "plan",
    }
    lookups = [request for request in server.requests if request.path != "/session/ses_1"]
    assert {request.path for request in lookups[:2]} == {"/config/providers", "/agent"}
    assert all(request.query == {"directory": ["/p"]} for request in lookups[:2])


@pytest.mark.parametrize("agent", [None, ""])
def test_without_an_agent_opencode_chooses(backend, fake, server, agent):
    send(backend, agent=agent)
    assert "agent" not in fake.prompts[0]
    assert "/agent" not in paths(server)


def test_ids_only_ever_grow_even_when_the_clock_does_not(monkeypatch):
    clock = iter([5_000_000_000, 5_000_000_000, 4_000_000_000, 6_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    ids = MessageIds()
    made = [ids.next() for _ in range(4)]
    assert [each[:16] for each in made] == [
        f"msg_{number:012x}" for number in (5000 * 4096 + 1, 5000 * 4096 + 2, 5000 * 4096 + 3)
    ] + [f"msg_{6000 * 4096 + 1:012x}"]
    assert len({each[16:] for each in made}) == 4
    assert all(len(each) == 30 for each in made)


# What is refused at once...


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": ""}, "text is empty"),
        ({"text": " \n"}, "text is blank"),
        ({"model_id": ""}, "model_id is empty"),
        ({"provider_id": " "}, "provider_id is blank"),
        ({"session_id": ""}, "session_id must be an id"),
        ({"session_id": "../x"}, "session_id must be an id"),
        ({"text": "\u00fc" * 4_000_001}, "text has 8000002 bytes, more than the 8000000"),
    ],
)
def test_a_field_that_cannot_be_is_named_without_asking_opencode(backend, server, changes, words):
    code, said = failure(send, backend, **changes)
    assert code == "INVALID_MESSAGE"
    assert said.startswith(words)
    assert server.requests == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"provider_id": "nope"},
            'provider_id: OpenCode has no connected provider "nope" (set a key for it, or '
            'configure it in OpenCode); it has "stub", "bare", "short"',
        ),
        ({"model_id": "onee"}, 'model_id: stub has no model "onee"; did you mean "one"?'),
        ({"provider_id": "bare"}, 'model_id: bare has no model "one", nor any other'),
        ({"provider_id": "short"}, 'model_id: short has no model "one", nor any other'),
        ({"agent": "primary"}, 'agent: OpenCode has no agent "primary"; it has "build", "plan"'),
    ],
)
def test_what_opencode_does_not_have_is_named_and_nothing_is_sent(backend, fake, changes, words):
    assert failure(send, backend, **changes) == ("INVALID_MESSAGE", words)
    assert fake.prompts == []


def test_of_many_names_a_few_are_listed(backend, fake):
    fake.routes["/agent"] = Answer([{"name": f"{number}"} for number in range(20)])
    _, said = failure(send, backend, agent="zzz")
    assert said.endswith('"8", "9", ...')


@pytest.mark.parametrize("status", [404, 414, 431])
def test_a_session_that_does_not_exist(backend, fake, status):
    fake.routes["/session/ses_1"] = Answer(None, status)
    code, said = failure(send, backend)
    assert code == "INVALID_MESSAGE"
    assert said.startswith("session_id: OpenCode has no session ses_1")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/session/ses_1", {}),
        ("/session/ses_1", []),
        ("/config/providers", []),
        ("/session/ses_1/message", {"info": {"role": "assistant", "parentID": "x"}}),
    ],
)
def test_answers_that_are_not_opencodes(backend, fake, path, body):
    fake.routes[path] = Answer(body)
    code, said = failure(send, backend)
    assert (code, "this gateway knows OpenCode 1.18" in said) == ("SERVER_ERROR", True)


def test_a_session_that_cannot_be_read(backend, fake):
    fake.routes["/session/ses_1"] = Answer(None, 500)
    assert failure(send, backend)[0] == "SERVER_ERROR"


# Whose answer...


def test_prompts_of_one_session_are_sent_one_after_another(backend, fake):
    running = threading.Semaphore(1)

    def answer(request):
        assert running.acquire(blocking=False)
        text = json.loads(request.body)["parts"][0]["text"]
        own = assistant(json.loads(request.body)["messageID"], f"re: {text}")
        running.release()
        return Answer(own)

    fake.routes["/session/ses_1/message"] = answer
    with ThreadPoolExecutor(8) as pool:
        texts = [f"{number}" for number in range(24)]
        answers = list(pool.map(lambda text: send(backend, text).assistant.text, texts))
    assert answers == [f"re: {text}" for text in texts]


def test_a_prompt_whose_turn_does_not_come_in_time_is_not_sent(backend, fake, server):
    entered = threading.Event()
    go_on = threading.Event()

    def answer(request):
        entered.set()
        go_on.wait(20)
        return fake.answer(request)

    fake.routes["/session/ses_1/message"] = answer
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, backend)
        assert entered.wait(20)
        code, said = failure(send, backend, deadline=soon(0.1))
        go_on.set()
        first.result(20)
    assert code == "SERVER_ERROR"
    assert "another prompt of session ses_1 was still running" in said
    assert "/session/ses_1/abort" not in paths(server)
    assert len(fake.prompts) == 1


def test_an_answer_to_somebody_else_is_exchanged_for_ours(backend, fake):
    def answer(request):
        if request.method == "GET":
            ours = fake.prompts[-1]["messageID"]
            return Answer(
                [
                    user("msg_0"),
                    assistant("msg_0", "older"),
                    user(ours),
                    assistant(ours, "a step", finish="tool-calls"),
                    assistant(ours, "mine"),
                    user("msg_2"),
                    assistant("msg_2", "theirs"),
                ]
            )
        fake.answer(request)
        return Answer(assistant("msg_2", "theirs"))

    fake.routes["/session/ses_1/message"] = answer
    assert send(backend).assistant.text == "mine"


@pytest.mark.parametrize(
    ("messages", "words"),
    [([], "has no answer to this one alone"), ({}, "is not a list of messages")],
)
def test_an_answer_that_is_not_there_is_not_made_up(backend, fake, messages, words):
    fake.routes["/session/ses_1/message"] = lambda request: Answer(
        messages if request.method == "GET" else assistant("msg_2")
    )
    code, said = failure(send, backend)
    assert (code, words in said) == ("SERVER_ERROR", True)


def test_what_opencode_writes_itself_in_a_run_belongs_to_the_run():
    compaction, synthetic = {"type": "compaction"}, {"type": "text", "synthetic": True}
    messages = [
        user("msg_1"),
        assistant("msg_1"),
        user("msg_2", compaction),
        assistant("msg_2"),
        user("msg_3", synthetic),
        assistant("msg_3"),
        user("msg_4"),
        user("msg_5", compaction),
        assistant("msg_5"),
        "odd",
        {"info": 1},
    ]
    assert answer_to(messages, "msg_1") == assistant("msg_3")
    assert answer_to(messages, "msg_4") == assistant("msg_5")
    assert answer_to(messages, "msg_9") is None
    empty = {"info": {"id": "msg_2", "role": "user"}, "parts": []}
    assert answer_to([user("msg_1"), empty, assistant("msg_2")], "msg_1") is None


def test_an_answer_without_an_id_is_none(backend, fake):
    fake.routes["/session/ses_1/message"] = lambda request: Answer(
        assistant(json.loads(request.body)["messageID"], id="")
    )
    assert "is not an assistant's message" in failure(send, backend)[1]


@pytest.mark.parametrize(
    ("diffs", "expected"),
    [
        (
            Answer(
                [
                    {"file": "a.txt", "patch": "+a"},
                    {"file": "b/c.txt", "patch": "+c"},
                    {"file": "other.txt", "patch": "+o"},
                    {"file": 7, "patch": "+7"},
                    {"patch": "+8"},
                    None,
                ]
            ),
            "+a\n+c",
        ),
        (Answer({}), ""),
        (Answer(None, 500), ""),
    ],
)
def test_a_patch_gets_the_changes_of_its_files(backend, fake, server, diffs, expected):
    def answer(request):
        document = assistant(json.loads(request.body)["messageID"], new="field")
        patch = {"type": "patch", "files": ["/p/a.txt", "/p/b/c.txt"]}
        return Answer({**document, "parts": [patch, {"type": "text", "text": "done"}]})

    fake.routes["/session/ses_1/message"] = answer
    fake.routes["/session/ses_1/diff"] = diffs
    got = send(backend).assistant
    assert (got.parts[0].patch.diff, got.text) == (expected, "done")
    assert server.requests[-1].query["messageID"][0].startswith("msg_")


# Failures...


def test_the_models_failure_is_part_of_the_answer_without_the_key(backend, fake):
    error = {"name": "APIError", "data": {"message": "bad key sk-12345678", "statusCode": 401}}
    fake.routes["/session/ses_1/message"] = lambda request: Answer(
        assistant(json.loads(request.body)["messageID"], "", finish=None, error=error)
    )
    answer = send(backend).assistant
    assert (answer.error.api.message, answer.error.api.status) == ("bad key [key]", 401)


def test_a_run_that_ended_without_a_word_was_aborted(backend, fake):
    fake.routes["/session/ses_1/message"] = lambda request: Answer(
        assistant(json.loads(request.body)["messageID"], "", finish=None)
    )
    assert send(backend).assistant.error.aborted.name == "MessageAbortedError"


@pytest.mark.parametrize(
    ("abort", "words"),
    [
        (Answer(True), "the run was aborted; "),
        (Answer(None, 500), "aborting the run failed: OpenCode at http"),
    ],
)
def test_at_the_deadline_the_run_is_aborted(backend, fake, server, abort, words, monkeypatch):
    monkeypatch.setattr(opencode_run, "_ABORT_TIMEOUT", 0.5)
    aborted = threading.Event()

    def answer(request):
        (aborted if abort.status == 200 else server.closing).wait(20)
        return Answer(user(json.loads(request.body)["messageID"]))

    def abort_it(request):
        aborted.set()
        return abort

    fake.routes["/session/ses_1/message"] = answer
    fake.routes["/session/ses_1/abort"] = abort_it
    began = time.monotonic()
    code, said = failure(send, backend, deadline=soon(1))
    assert time.monotonic() - began < 15
    assert code == "SERVER_ERROR"
    assert said.startswith("the answer took longer than 1 s; " + words)
    assert "/session/ses_1/abort" in paths(server)


def test_a_cancel_aborts_the_run(backend, fake):
    cancellation, aborted = Cancellation(), threading.Event()

    def answer(request):
        cancellation.cancel("gone")
        assert aborted.wait(20)
        return Answer(assistant(json.loads(request.body)["messageID"], "some", finish=None))

    def abort_it(request):
        aborted.set()
        return Answer(True)

    fake.routes["/session/ses_1/message"] = answer
    fake.routes["/session/ses_1/abort"] = abort_it
    code, said = failure(send, backend, cancellation=cancellation)
    assert (code, said) == (
        "SERVER_ERROR",
        "the request was cancelled (gone); the run was aborted",
    )


def test_an_answer_that_is_there_when_the_run_is_to_end_counts(backend, fake):
    cancellation, aborted = Cancellation(), threading.Event()

    def answer(request):
        cancellation.cancel("gone")
        assert aborted.wait(20)
        return fake.answer(request)

    def abort_it(request):
        aborted.set()
        return Answer(True)

    fake.routes["/session/ses_1/message"] = answer
    fake.routes["/session/ses_1/abort"] = abort_it
    assert send(backend, cancellation=cancellation).assistant.text == "hello"


def test_a_run_that_somebody_aborted_before_the_model_began(backend, fake):
    fake.routes["/session/ses_1/message"] = lambda request: Answer(
        user(json.loads(request.body)["messageID"])
    )
    assert failure(send, backend) == (
        "SERVER_ERROR",
        "the run was aborted before the model began to answer",
    )


def test_a_deadline_that_came_before_sends_nothing(backend, server):
    assert failure(send, backend, deadline=NOW)[0] == "SERVER_ERROR"
    assert server.requests == []


def test_a_deadline_that_comes_while_things_are_looked_up_sends_nothing(backend, fake):
    cancellation = Cancellation()

    def look_up(request):
        cancellation.cancel("gone")
        return Answer(PROVIDERS)

    fake.routes["/config/providers"] = look_up
    code, said = failure(send, backend, cancellation=cancellation)
    assert (code, said.endswith("before the prompt could be sent")) == ("SERVER_ERROR", True)
    assert fake.prompts == []


def test_a_session_that_is_deleted_in_the_middle(backend, fake):
    def answer(request):
        fake.routes["/session/ses_1"] = Answer({"name": "NotFoundError", "data": {}}, 404)
        return Answer({"name": "UnknownError", "data": {"ref": "err_1"}}, 500)

    fake.routes["/session/ses_1/message"] = answer
    said = failure(send, backend)
    assert said == ("SERVER_ERROR", "session ses_1 was deleted while its prompt ran")


@pytest.mark.parametrize("afterwards", [Answer(SESSION), Answer(None, 500), Answer(content=b"{")])
def test_a_failure_without_a_cause_keeps_its_reference(backend, fake, afterwards):
    def answer(request):
        fake.routes["/session/ses_1"] = afterwards
        return Answer({"name": "UnknownError", "data": {"ref": "err_1"}}, 500)

    fake.routes["/session/ses_1/message"] = answer
    code, said = failure(send, backend)
    assert (code, "err_1" in said) == ("SERVER_ERROR", True)


def test_a_server_that_goes_away_may_have_acted(backend, fake):
    """Not NO_SERVER: that would say that it did not, and have the prompt sent again."""
    fake.routes["/session/ses_1/message"] = Raw(lambda send: None)
    assert failure(send, backend)[0] == "SERVER_ERROR"


@pytest.mark.parametrize("abort", [Answer(True), Answer(None, 500)])
def test_close_aborts_what_runs_and_takes_no_more(backend, fake, server, abort):
    entered = threading.Event()
    aborted = threading.Event()

    def answer(request):
        entered.set()
        assert aborted.wait(20)
        return fake.answer(request)

    def abort_it(request):
        aborted.set()
        return abort

    fake.routes["/session/ses_1/message"] = answer
    fake.routes["/session/ses_1/abort"] = abort_it
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, backend)
        assert entered.wait(20)
        backend.close()
        assert running.result(20).assistant.text == "hello"
    assert failure(send, backend)[0] == "NO_SERVER"


def test_a_prompt_that_meets_the_close_is_not_sent(fake, server):
    prompts = opencode_prompt.Prompts()
    prompts.close()
    backend = OpenCodeBackend(server.url)
    backend._prompts = prompts
    try:
        assert "the gateway is closing" in failure(send, backend)[1]
        assert fake.prompts == []
    finally:
        backend.close()


# Keys that OpenCode has not read yet...


AUTH = oc_auth_pb2.OcAuth(api=oc_auth_pb2.OcApiAuth(key="sk-12345678"))


def test_a_new_key_has_the_idle_instance_disposed_of_once(backend, fake, server):
    backend.set_auth("stub", AUTH, deadline=soon())
    assert "/instance/dispose" not in paths(server)
    send(backend)
    send(backend)
    assert backend.connected_providers(deadline=soon()) == ["stub", "bare", "short"]
    disposals = [request for request in server.requests if request.path == "/instance/dispose"]
    assert [request.query for request in disposals] == [{"directory": ["/p"]}]


def test_a_key_of_another_provider_disposes_of_nothing(backend, server):
    backend.set_auth("bare", AUTH, deadline=soon())
    send(backend)
    assert "/instance/dispose" not in paths(server)


@pytest.mark.parametrize("status", [{"ses_2": {"type": "busy"}}, []])
def test_a_busy_instance_is_left_alone(backend, fake, server, status):
    fake.routes["/session/status"] = Answer(status)
    fake.routes["/provider"] = Answer({"connected": ["stub", "new", 1]})
    backend.set_auth("new", AUTH, deadline=soon())
    _, said = failure(send, backend, provider_id="new")
    assert "is read when no run is going on" in said
    assert backend.connected_providers(deadline=soon()) == ["stub", "new"]
    assert "/instance/dispose" not in paths(server)


def test_our_own_run_keeps_its_instance(backend, fake, server):
    entered, go_on = threading.Event(), threading.Event()

    def answer(request):
        entered.set()
        assert go_on.wait(20)
        return fake.answer(request)

    fake.routes["/session/ses_1/message"] = answer
    fake.routes["/provider"] = Answer({"connected": ["stub"]})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, backend)
        assert entered.wait(20)
        backend.set_auth("stub", AUTH, deadline=soon())
        assert backend.connected_providers(deadline=soon()) == ["stub"]
        assert "/session/status" not in paths(server)
        go_on.set()
        running.result(20)


@pytest.mark.parametrize("path", ["/provider", "/config/providers", "/path"])
def test_providers_that_are_not_opencodes_answer(backend, fake, path):
    if path == "/provider":
        fake.routes["/session/status"] = Answer(None)
        backend.set_auth("stub", AUTH, deadline=soon())
    fake.routes[path] = Answer([])
    assert failure(backend.connected_providers, deadline=soon())[0] == "SERVER_ERROR"


def test_who_meets_a_disposal_waits_for_it():
    keys = KeyChanges()
    keys.note("stub")
    disposing, go_on = threading.Event(), threading.Event()

    def dispose():
        disposing.set()
        return go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(keys.refresh, "/p", None, dispose, soon())
        assert disposing.wait(20)
        assert keys.refresh("/q", "other", dispose, NOW)
        code, said = failure(keys.refresh, "/p", "stub", dispose, NOW)
        assert (code, "/p" in said) == ("SERVER_ERROR", True)
        second = pool.submit(keys.refresh, "/p", "stub", lambda: False, soon())
        go_on.set()
        assert first.result(20)
        assert second.result(20)


def test_a_disposal_that_fails_is_tried_again():
    keys = KeyChanges()
    keys.note("stub")

    def fails():
        raise BackendError(6, "no")

    failure(keys.refresh, "/p", "stub", fails, soon())
    assert not keys.refresh("/p", "stub", lambda: False, soon())
    assert keys.refresh("/p", "stub", lambda: True, soon())
    assert keys.refresh("/p", "stub", fails, soon())
