"""This project's extensions on a real OpenCode, compared with what OpenCode itself says."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire import (
    ext_event_pb2,
    ext_operations_pb2,
    ext_prompt_pb2,
    oc_model_pb2,
    oc_tool_pb2,
)
from tests.e2e.opencode_server import RealServer
from tests.e2e.stub_model import KEY, StubModel

pytestmark = pytest.mark.e2e

HEADER_SECRET = "header-secret-0123456789"
BASH = '[[tool:bash {"command": "echo from the shell", "description": "d"}]]'
QUESTIONS = {
    "questions": [
        {
            "question": "Which colour?",
            "header": "Colour",
            "options": [
                {"label": "Red", "description": "warm"},
                {"label": "Blue", "description": "cold"},
            ],
        },
        {
            "question": "Which sizes?",
            "header": "Sizes",
            "multiple": True,
            "options": [{"label": "S", "description": ""}, {"label": "L", "description": ""}],
        },
    ]
}
QUESTION = f"[[tool:question {json.dumps(QUESTIONS)}]]"


def soon(seconds=60.0):
    return Deadline.after(seconds)


@pytest.fixture(scope="module")
def stub():
    model = StubModel()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def server(opencode_program, stub, tmp_path_factory):
    """A server of this module's own, whose shell asks for permission."""
    provider = stub.provider(headers={"X-Api-Key": HEADER_SECRET})
    model = provider["stub"]["models"]["stub-1"]
    model["headers"] = {"X-Secret": HEADER_SECRET, "X-Team": "blue"}
    model["options"] = {"reasoningEffort": "low", "deep": {"authToken": HEADER_SECRET, "n": 1}}
    config = stub.config(permission={"bash": "ask"}, provider=provider)
    folder = tmp_path_factory.mktemp("opencode-extensions")
    running = RealServer(opencode_program, folder, environ={"OPENCODE_CONFIG_CONTENT": config})
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], cwd=running.project, check=True)
    commit = [*git, "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(commit, cwd=running.project, check=True)
    yield running
    running.stop()


@pytest.fixture
def backend(server):
    backend = OpenCodeBackend(server.url)
    backend.start()
    yield backend
    backend.close()


@pytest.fixture
def session_id(server):
    return server.create("extensions")


@pytest.fixture
def say(server):
    """Send prompts to OpenCode itself, in the background: ``say(session_id, text) -> future``."""
    with ThreadPoolExecutor(4) as pool:

        def send(session_id, text, **more):
            body = {"parts": [{"type": "text", "text": text}], **more}
            path = f"/session/{session_id}/message"
            return pool.submit(server.request, "POST", path, body, timeout=60)

        yield send


def refusal(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options, deadline=soon())
    return error_code_name(caught.value.code), caught.value.message


def stored(server, session_id):
    status, messages = server.request("GET", f"/session/{session_id}/message")
    assert status == 200
    return messages


def waiting(server, path, running, directory=None):
    """Return the id of the question that a run asks, as soon as it does."""
    query = {"directory": str(directory)} if directory else None
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert not running.done(), running.result()
        _, listed = server.request("GET", path, query=query)
        if listed:
            return listed[-1]["id"]
    raise AssertionError("nothing was asked")


# One session...


def test_get_session_is_what_opencode_has(backend, server, session_id, say):
    assert say(session_id, "[[say:hello]]").result(60)[0] == 200
    session = backend.get_session(session_id, deadline=soon())
    own = server.session(session_id)
    assert (session.title, session.slug, session.agent) == (own["title"], own["slug"], "build")
    assert session.cost == own["cost"] > 0
    tokens, cache = own["tokens"], own["tokens"]["cache"]
    assert (session.usage.input, session.usage.output) == (tokens["input"], tokens["output"])
    assert (session.usage.reasoning, session.usage.cache_read) == (5, cache["read"])
    assert (session.model.provider_id, session.model.model_id) == ("stub", "stub-1")
    assert session.time.updated == own["time"]["updated"]


@pytest.mark.parametrize("unknown", ["ses_doesnotexist", "ses_" + "a" * 300])
@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("get_session", {}),
        ("update_session", {"title": "x", "archived": None}),
        ("list_messages", {"limit": 0}),
        ("abort_session", {}),
    ],
)
def test_an_unknown_session_is_named(backend, operation, options, unknown):
    code, words = refusal(getattr(backend, operation), unknown, **options)
    assert code == "INVALID_MESSAGE"
    assert words.startswith("session_id: OpenCode has no session ses_")


def test_update_session_changes_what_is_given(backend, server, session_id):
    before = time.time() * 1000
    renamed = backend.update_session(session_id, title="new", archived=None, deadline=soon())
    assert (renamed.title, renamed.time.HasField("archived")) == ("new", False)
    archived = backend.update_session(session_id, title=None, archived=True, deadline=soon())
    assert archived.title == "new"
    assert before - 1 <= archived.time.archived <= time.time() * 1000
    assert server.session(session_id)["time"]["archived"] == archived.time.archived
    both = backend.update_session(session_id, title="", archived=False, deadline=soon())
    assert (both.title, both.time.HasField("archived")) == ("", False)
    assert server.session(session_id)["title"] == ""
    listed = {each.id: each for each in backend.list_sessions(deadline=soon())}
    assert not listed[session_id].time.HasField("archived")


def test_an_update_of_nothing_is_refused(backend, session_id):
    code, words = refusal(backend.update_session, session_id, title=None, archived=None)
    assert (code, "title and archived are both absent" in words) == ("INVALID_MESSAGE", True)


def test_a_folders_sessions_are_apart(backend, server, project):
    view = backend.in_directory(str(project))
    session = view.create_session("there", deadline=soon())
    assert session.directory == str(project)
    assert [each.id for each in view.list_sessions(deadline=soon())] == [session.id]
    link = project.parent / "link"
    link.symlink_to(project)
    through = backend.in_directory(str(link))
    assert [each.id for each in through.list_sessions(deadline=soon())] == [session.id]
    # What is about one session finds it wherever it is.
    assert backend.get_session(session.id, deadline=soon()).title == "there"


@pytest.mark.parametrize("directory", ["", "relative", "/does/not/exist", "/dev/null", "/a\0b"])
def test_what_is_no_folder_is_refused(backend, directory):
    with pytest.raises(BackendError, match=r"^directory") as caught:
        backend.in_directory(directory)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"


def test_backend_info_has_the_servers_version(backend, server):
    info = backend.backend_info(deadline=soon())
    assert (info.backend, info.server_version) == ("opencode", "1.18.33")
    assert info.description == f"OpenCode at {server.url}"


# Messages...


def test_messages_hold_what_opencode_stored(backend, server, session_id, say):
    assert say(session_id, "[[say:one]]", system="be brief").result(60)[0] == 200
    assert say(session_id, "[[say:two]]", agent="plan").result(60)[0] == 200
    messages = backend.list_messages(session_id, limit=0, deadline=soon())
    own = stored(server, session_id)
    assert len(messages) == len(own) == 4
    for message, each in zip(messages, own, strict=True):
        info = each["info"]
        read = getattr(message, info["role"])
        assert (read.id, read.role, read.agent) == (info["id"], info["role"], info["agent"])
        assert read.created == info["time"]["created"]
    first, answer = messages[0].user, messages[1].assistant
    assert (first.text, first.system) == ("[[say:one]]", "be brief")
    assert (answer.text, answer.finish, answer.parent_id) == ("one", "stop", first.id)
    assert answer.completed == own[1]["info"]["time"]["completed"]
    assert (answer.usage.reasoning, answer.usage.input) == (5, 60)
    newest = backend.list_messages(session_id, limit=3, deadline=soon())
    assert newest == messages[1:]


def test_tool_calls_and_changes_of_files_are_whole(backend, server, session_id, say):
    path = server.project / "made.txt"
    arguments = json.dumps({"filePath": str(path), "content": "hello\n"})
    assert say(session_id, f"[[tool:write {arguments}]]").result(60)[0] == 200
    until = time.monotonic() + 30
    while not (own := stored(server, session_id))[0]["info"]["summary"]["diffs"]:
        assert time.monotonic() < until, "OpenCode has not summed up what the run changed"
    messages = backend.list_messages(session_id, limit=0, deadline=soon())
    parts = [part for message in messages[1:] for part in message.assistant.parts]
    call = next(part.tool for part in parts if part.HasField("tool"))
    patch = next(part.patch for part in parts if part.HasField("patch"))
    ids = [part["callID"] for each in own for part in each["parts"] if part["type"] == "tool"]
    assert [call.call_id] == ids
    assert patch.path == str(path)
    assert "+hello" in patch.diff


def test_a_stored_error_does_not_quote_the_key(backend, server, session_id, say):
    assert say(session_id, "[[401]]").result(60)[0] == 200
    assert KEY in json.dumps(stored(server, session_id))
    _, answer = backend.list_messages(session_id, limit=0, deadline=soon())
    assert (answer.assistant.error.api.status, KEY in str(answer)) == (401, False)


FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
STRUCTURED = '[[tool:StructuredOutput {"a": 1}]]'


def texts_of(messages):
    return [each.user.text or each.assistant.text for each in messages]


def test_a_prompt_that_opencode_refuses_to_list_is_listed(backend, server, session_id, say):
    for number in range(3):
        assert say(session_id, f"[[say:before {number}]]").result(60)[0] == 200
    assert say(session_id, STRUCTURED, format=FORMAT).result(60)[0] == 200
    assert say(session_id, "[[say:after]]").result(60)[0] == 200
    # The trap is still there.
    assert server.request("GET", f"/session/{session_id}/message")[0] == 400
    messages = backend.list_messages(session_id, limit=0, deadline=soon())
    assert texts_of(messages) == [
        *(each for n in range(3) for each in (f"[[say:before {n}]]", f"before {n}")),
        STRUCTURED,
        "",
        "[[say:after]]",
        "after",
    ]
    prompt, result = messages[6].user, messages[7].assistant
    assert prompt.id == result.parent_id
    assert json.loads(result.structured_json) == {"a": 1}
    for limit in (1, 4, 9, 10, 11):
        newest = backend.list_messages(session_id, limit=limit, deadline=soon())
        assert newest == messages[-limit:]


def test_a_first_prompt_that_opencode_cannot_show_hides_no_other_message(
    backend, server, session_id, say
):
    answer = say(session_id, STRUCTURED, format=FORMAT).result(60)[1]["info"]
    assert say(session_id, "[[say:after]]").result(60)[0] == 200
    messages = backend.list_messages(session_id, limit=0, deadline=soon())
    assert texts_of(messages) == ["", "", "[[say:after]]", "after"]
    assert messages[0].user.id == messages[1].assistant.parent_id == answer["parentID"]
    assert messages[0].user.session_id == session_id


# Runs...


def test_abort_session_ends_what_runs(backend, server, stub, session_id, say):
    stub.hold()
    running = say(session_id, "[[slow]]")
    assert stub.slow_started.acquire(timeout=30)
    assert backend.abort_session(session_id, deadline=soon()) is True
    assert running.result(30)[1]["info"]["error"]["name"] == "MessageAbortedError"
    assert server.request("GET", "/session/status") == (200, {})
    assert backend.abort_session(session_id, deadline=soon()) is True
    stub.release()


def test_a_prompt_is_run_to_its_end(backend, session_id):
    request = ext_prompt_pb2.IpcPromptRequest(session_id=session_id, text="[[say:done]]")
    result = backend.prompt(request, Sink(), deadline=soon(), cancellation=Cancellation())
    assert not result.HasField("failure"), result.failure
    assert [each.assistant.text for each in result.messages] == ["done"]


# Models...


def test_models_are_opencodes_own_without_keys(backend, server):
    listed = backend.list_models(deadline=soon())
    _, own = server.request("GET", "/config/providers")
    models = {each["id"]: each["models"] for each in own["providers"]}
    assert {(each.provider_id, each.id) for each in listed.models} == {
        (provider_id, model_id) for provider_id, each in models.items() for model_id in each
    }
    assert dict(listed.default_models) == own["default"]
    for each in listed.models:
        mine = models[each.provider_id][each.id]
        assert (each.name, each.family) == (mine["name"], mine.get("family", ""))
        assert (each.limit.context, each.limit.output) == (
            mine["limit"]["context"],
            mine["limit"]["output"],
        )
        assert each.capabilities.toolcall == mine["capabilities"]["toolcall"]
        assert set(each.variants) == set(mine["variants"])
        assert each.release_date == mine["release_date"]
        assert each.status == oc_model_pb2.OcModelStatus.Value(mine["status"].upper())
    stub_one = next(each for each in listed.models if each.id == "stub-1")
    assert (stub_one.cost.input, stub_one.cost.cache.read) == (1, 0.5)
    assert dict(stub_one.headers) == {"X-Team": "blue"}
    assert stub_one.options["reasoningEffort"].string_value == "low"
    assert dict(stub_one.options["deep"].struct_value) == {"n": 1}
    assert KEY in json.dumps(own)
    assert HEADER_SECRET in json.dumps(own)
    assert KEY not in str(listed)
    assert HEADER_SECRET not in str(listed)


# Questions...


def permit(backend, permission_id, reply, *, message=None, directory=""):
    request = ext_operations_pb2.IpcReplyPermissionRequest(
        permission_id=permission_id, reply=reply, message=message, directory=directory
    )
    backend.reply_permission(request, deadline=soon())


def answer_question(backend, question_id, *answers, directory=""):
    request = ext_operations_pb2.IpcReplyQuestionRequest(
        question_id=question_id,
        answers=[ext_operations_pb2.IpcAnswer(labels=labels) for labels in answers],
        directory=directory,
    )
    backend.reply_question(request, deadline=soon())


def last_text(answer):
    return "".join(part.get("text", "") for part in answer["parts"])


def test_a_permission_is_given_once(backend, server, session_id, say):
    running = say(session_id, BASH)
    permission_id = waiting(server, "/permission", running)
    permit(backend, permission_id, oc_tool_pb2.ALLOW)
    assert "from the shell" in last_text(running.result(60)[1])
    with pytest.raises(BackendError, match="it was answered before") as caught:
        permit(backend, permission_id, oc_tool_pb2.ALLOW)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"
    assert permission_id in caught.value.message


def test_a_permission_is_denied_with_words_and_the_run_goes_on(backend, server, session_id, say):
    running = say(session_id, BASH)
    permission_id = waiting(server, "/permission", running)
    permit(backend, permission_id, oc_tool_pb2.DENY, message="use no shell")
    assert "use no shell" in last_text(running.result(60)[1])


def test_a_permission_that_is_denied_without_words_ends_the_run(backend, server, session_id, say):
    running = say(session_id, BASH)
    permit(backend, waiting(server, "/permission", running), oc_tool_pb2.DENY)
    states = [part["state"] for part in running.result(60)[1]["parts"] if part["type"] == "tool"]
    assert [state["status"] for state in states] == ["error"]


def test_a_permission_is_given_for_good(backend, project, server, say):
    there = backend.in_directory(str(project))
    session = there.create_session("always", deadline=soon())
    running = say(session.id, BASH)
    permission_id = waiting(server, "/permission", running, project)
    with pytest.raises(BackendError, match="belongs to another project"):
        permit(backend, permission_id, oc_tool_pb2.ALLOW_ALL)
    permit(backend, permission_id, oc_tool_pb2.ALLOW_ALL, directory=str(project))
    assert running.result(60)[0] == 200
    again = there.create_session("again", deadline=soon())
    assert "from the shell" in last_text(say(again.id, BASH).result(60)[1])


def test_where_a_question_was_asked_is_remembered(backend, project, server, say):
    session = backend.in_directory(str(project)).create_session("seen", deadline=soon())
    sink = Sink()
    request = ext_event_pb2.IpcSubscribeRequest(types=["permission.asked"])
    subscription = backend.subscribe(request, sink, deadline=soon())
    running = say(session.id, BASH)
    asked = sink.next("permission.asked").event.permission_asked.request
    assert list(asked.patterns) == ["echo from the shell"]
    permit(backend, asked.id, oc_tool_pb2.ALLOW)
    assert running.result(60)[0] == 200
    subscription.close()


@pytest.mark.parametrize("permission_id", ["", "nope", "per_1/../x", "que_1"])
def test_what_is_no_permissions_id_is_refused(backend, permission_id):
    with pytest.raises(BackendError, match="permission_id must be the id") as caught:
        permit(backend, permission_id, oc_tool_pb2.ALLOW)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"


@pytest.mark.parametrize("permission_id", ["per_unknown", "per_" + "a" * 300])
def test_an_unknown_permission_is_named(backend, permission_id):
    with pytest.raises(BackendError, match="permission_id: no question per_") as caught:
        permit(backend, permission_id, oc_tool_pb2.ALLOW)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"


def test_a_question_is_answered_item_by_item(backend, server, session_id, say):
    running = say(session_id, QUESTION)
    question_id = waiting(server, "/question", running)
    with pytest.raises(BackendError, match="but the question has 2 items"):
        answer_question(backend, question_id, ["Red"])
    answer_question(backend, question_id, ["Red"], ["S", "L"])
    text = last_text(running.result(60)[1])
    assert '"Which colour?"="Red"' in text
    assert '"Which sizes?"="S, L"' in text
    with pytest.raises(BackendError, match="question_id: no question que_"):
        answer_question(backend, question_id, ["Red"], ["S"])


def test_a_question_is_dismissed(backend, server, session_id, say):
    running = say(session_id, QUESTION)
    question_id = waiting(server, "/question", running)
    answer_question(backend, question_id)
    states = [part["state"] for part in running.result(60)[1]["parts"] if part["type"] == "tool"]
    assert ["dismissed" in state["error"] for state in states] == [True]
    with pytest.raises(BackendError, match="question_id: no question que_"):
        answer_question(backend, question_id)


# Events...


class Sink:
    """Keeps what comes; ``next`` waits for it."""

    def __init__(self):
        self.is_open = threading.Event()
        self.events = queue.Queue()
        self.ends = []

    def opened(self):
        self.is_open.set()

    def event(self, event):
        assert self.is_open.is_set()
        self.events.put(event)

    def ended(self, reason):
        self.ends.append(reason)

    def next(self, *types):
        while True:
            event = self.events.get(timeout=30)
            if not types or event.type in types:
                return event


def subscribe(backend, *types, session_id=None):
    sink = Sink()
    request = ext_event_pb2.IpcSubscribeRequest(types=types, session_id=session_id)
    subscription = backend.subscribe(request, sink, deadline=soon())
    assert sink.is_open.is_set()
    return sink, subscription


def test_a_sessions_events_are_its_own_and_those_of_the_sessions_below(
    backend, server, session_id, say
):
    child = server.create("below", parentID=session_id)
    sink, subscription = subscribe(backend, session_id=session_id)
    server.create("another")
    grandchild = server.create("far below", parentID=child)
    server.request("PATCH", f"/session/{grandchild}", {"title": "deep"})
    assert say(session_id, "[[say:streamed words]]").result(60)[0] == 200
    seen = [sink.next()]
    while seen[-1].type != "session.idle":
        seen.append(sink.next())
    subscription.close()
    assert {event.session_id for event in seen} == {session_id, grandchild}
    titles = [
        event.event.session_updated.session.title
        for event in seen
        if event.type == "session.updated" and event.session_id == grandchild
    ]
    assert "deep" in titles
    deltas = [event.delta.text for event in seen if event.HasField("delta")]
    assert "".join(deltas) == "streamed words"


def test_only_the_types_that_were_asked_for_come(backend, server, session_id, say):
    sink, subscription = subscribe(backend, "session.deleted", "message.part.*")
    assert say(session_id, "[[say:hello]]").result(60)[0] == 200
    server.request("DELETE", f"/session/{session_id}")
    seen = [sink.next()]
    while seen[-1].type != "session.deleted":
        seen.append(sink.next())
    subscription.close()
    assert all(event.type.startswith("message.part.") for event in seen[:-1])
    assert len(seen) > 3


def test_a_folders_events_are_its_own(backend, server, project):
    sink, subscription = subscribe(backend.in_directory(str(project)), "session.created")
    server.create("elsewhere")
    there = backend.in_directory(str(project)).create_session("there", deadline=soon())
    event = sink.next()
    subscription.close()
    assert (event.session_id, event.directory) == (there.id, str(project))


def test_the_noise_of_a_folders_first_use_is_left_out(backend, project, say):
    quiet, first = subscribe(backend)
    loud, second = subscribe(backend, "plugin.*")
    session = backend.in_directory(str(project)).create_session("first", deadline=soon())
    assert say(session.id, "[[say:hello]]").result(60)[0] == 200
    assert loud.next().type == "plugin.added"
    seen = [quiet.next()]
    while seen[-1].type != "session.idle":
        seen.append(quiet.next())
    first.close()
    second.close()
    assert {"session.created", "message.updated"} <= {event.type for event in seen}
    assert "plugin.added" not in {event.type for event in seen}


def test_an_unknown_sessions_events_are_refused(backend):
    with pytest.raises(BackendError, match="session_id: OpenCode has no session") as caught:
        subscribe(backend, session_id="ses_doesnotexist")
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"


def test_a_subscription_ends_with_the_backend(server):
    backend = OpenCodeBackend(server.url)
    sink, subscription = subscribe(backend)
    backend.close()
    assert len(sink.ends) == 1
    subscription.close()
