"""What the backend asks of OpenCode about one session, and what it makes of odd answers."""

from __future__ import annotations

import base64
import json

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode import history as opencode_history
from opencode_sync.gateway.backends.opencode import lookups as opencode_lookups
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.backends.opencode.checks import UnknownNameError
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.lookups import session_tree
from opencode_sync.gateway.backends.opencode.server.servers import Binding
from tests.unit.gateway_opencode.http_server import Answer

NOT_FOUND = Answer(
    {"name": "NotFoundError", "data": {"message": "Session not found: ses_1"}}, status=404
)
REFUSED = Answer({"name": "BadRequest", "data": {"message": "Expected", "kind": "Body"}}, 400)


def soon():
    return Deadline.after(20)


@pytest.fixture
def opencode(serve):
    """Make a backend for a server that answers: ``opencode(answer) -> (backend, server)``."""
    backends = []

    def make(answer, **options):
        server = serve(answer)
        backends.append(OpenCodeBackend(server.url, **options))
        return backends[-1], server

    yield make
    for each in backends:
        each.close()


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options, deadline=soon())
    return error_code_name(caught.value.code), caught.value.message


def update(backend, *, title=None, archived=None):
    return backend.update_session("ses_1", title=title, archived=archived, deadline=soon())


# Looking at one and changing it...


def test_get_session_asks_for_it_wherever_it_is(opencode, tmp_path):
    backend, server = opencode(Answer({"id": "ses_1", "slug": "s"}), directory=tmp_path)
    assert backend.get_session("ses_1", deadline=soon()).slug == "s"
    assert (server.requests[0].path, server.requests[0].query) == ("/session/ses_1", {})


@pytest.mark.parametrize("body", [[], {}, {"id": 7}, "ses_1"])
def test_what_is_no_session_is_an_error(opencode, body):
    backend, _ = opencode(Answer(body))
    code, words = failure(backend.get_session, "ses_1")
    assert (code, "not a session" in words) == ("SERVER_ERROR", True)
    code, words = failure(backend.update_session, "ses_1", title="x", archived=None)
    assert (code, "not a session" in words) == ("SERVER_ERROR", True)


def test_update_session_sends_what_is_given(opencode, monkeypatch):
    backend, server = opencode(Answer({"id": "ses_1", "title": "new"}))
    monkeypatch.setattr("time.time_ns", lambda: 1_795_391_706_186_999_999)
    assert update(backend, title="new").title == "new"
    update(backend, archived=True)
    update(backend, title="", archived=False)
    assert {request.method for request in server.requests} == {"PATCH"}
    assert [json.loads(request.body) for request in server.requests] == [
        {"title": "new"},
        {"time": {"archived": 1_795_391_706_186}},
        {"title": "", "time": {"archived": 0}},
    ]


def test_an_update_of_nothing_is_refused_without_a_call(opencode):
    backend, server = opencode(Answer({"id": "ses_1"}))
    code, words = failure(backend.update_session, "ses_1", title=None, archived=None)
    assert (code, words) == (
        "INVALID_MESSAGE",
        "title and archived are both absent; give at least one of them",
    )
    assert server.requests == []


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("get_session", {}),
        ("update_session", {"title": "x", "archived": None}),
        ("abort_session", {}),
        ("list_messages", {"limit": 0}),
    ],
)
def test_an_unknown_session_and_a_malformed_id_are_invalid(opencode, operation, options):
    backend, server = opencode(NOT_FOUND)
    code, words = failure(getattr(backend, operation), "ses_1", **options)
    assert (code, words) == (
        "INVALID_MESSAGE",
        "session_id: OpenCode has no session ses_1; use an id that list_sessions or create_session "
        "returned",
    )
    del server.requests[:]
    code, words = failure(getattr(backend, operation), "../x", **options)
    assert (code, words.startswith("session_id must be an id")) == ("INVALID_MESSAGE", True)
    assert server.requests == []


# Aborting...


def test_abort_session_asks_first_whether_there_is_one(opencode):
    backend, server = opencode(
        lambda request: Answer(True if request.method == "POST" else {"id": "ses_1"})
    )
    assert backend.abort_session("ses_1", deadline=soon()) is True
    assert [(each.method, each.path) for each in server.requests] == [
        ("GET", "/session/ses_1"),
        ("POST", "/session/ses_1/abort"),
    ]


@pytest.mark.parametrize(
    ("session", "abort"), [({"id": "ses_1"}, False), ({"id": "ses_1"}, None), ([], True)]
)
def test_an_abort_that_is_not_answered_with_true_is_an_error(opencode, session, abort):
    backend, _ = opencode(lambda request: Answer(abort if request.method == "POST" else session))
    assert failure(backend.abort_session, "ses_1")[0] == "SERVER_ERROR"


# Sessions below others...


@pytest.fixture
def binding(serve):
    bindings = []

    def make(answer):
        bindings.append(Binding(OpenCodeHttp(serve(answer).url)))
        return bindings[-1]

    yield make
    for each in bindings:
        each.release(soon())


def family(**children):
    def answer(request):
        listed = children.get(request.path.split("/")[2])
        return NOT_FOUND if listed is None else Answer(listed)

    return answer


def test_a_tree_is_a_session_and_all_below_it(binding):
    server = binding(
        family(
            ses_1=[{"id": "ses_2", "directory": "/p"}, {"id": "ses_3"}, "odd", {"id": 7}],
            ses_2=[{"id": "ses_4", "directory": "/q"}, {"id": "ses_1"}],
            ses_4=[],
        )
    )
    # The third was deleted in the meantime.
    folders = {"ses_1": "", "ses_2": "/p", "ses_3": "", "ses_4": "/q"}
    assert session_tree(server, "ses_1", soon()) == folders
    with pytest.raises(UnknownNameError) as caught:
        session_tree(server, "ses_0", soon())
    assert caught.value.kind == "unknown_session"


def test_a_tree_without_end_is_cut_off(binding, monkeypatch):
    monkeypatch.setattr(opencode_lookups, "_MOST_SESSIONS", 5)
    server = binding(lambda request: Answer([{"id": request.path.split("/")[2] + "x"}]))
    assert len(session_tree(server, "ses_", soon())) == 5


def test_a_tree_that_is_no_list_is_an_error(binding):
    with pytest.raises(BackendError, match="not a list of sessions"):
        session_tree(binding(Answer({})), "ses_1", soon())


# Messages...


def documents(count, *, unreadable=()):
    """Return so many messages, answers and prompts in turn; some OpenCode cannot show."""
    made = []
    for number in range(count):
        info = {"id": f"msg_{number:04}", "time": {"created": 1000 + number // 3}}
        role = "user" if number % 2 == 0 else "assistant"
        parent = {} if role == "user" else {"parentID": f"msg_{number - 1:04}"}
        bad = {"unreadable": True} if number in unreadable else {}
        made.append({"info": {**info, "role": role, **parent}, "parts": [], **bad})
    return made


def history(messages):
    """Answer for a session as OpenCode does: what is listed last is checked, the rest is not."""

    def answer(request):
        if not request.path.endswith("/message"):
            return Answer({"id": "ses_1", "directory": "/p"})
        found = messages
        if "before" in request.query:
            place = json.loads(base64.urlsafe_b64decode(request.query["before"][0] + "==="))
            behind = (place["time"], place["id"])
            found = [m for m in found if (m["info"]["time"]["created"], m["info"]["id"]) < behind]
        limit = int(request.query.get("limit", ["0"])[0])
        page = found[-limit:] if limit else found
        is_last = len(page) == len(found)
        if is_last and any("unreadable" in message for message in page):
            return REFUSED
        return Answer(page)

    return answer


def ids(messages):
    return [message.user.id or message.assistant.id for message in messages]


def test_messages_are_asked_for_at_once(opencode):
    backend, server = opencode(history(documents(5)))
    listed = backend.list_messages("ses_1", limit=0, deadline=soon())
    newest = backend.list_messages("ses_1", limit=2, deadline=soon())
    assert ids(listed) == [f"msg_{number:04}" for number in range(5)]
    assert newest == listed[-2:]
    assert [request.query for request in server.requests] == [{}, {"limit": ["2"]}]


@pytest.mark.parametrize("count", [1, 2, 65, 130])
@pytest.mark.parametrize("place", [0, 1, 64, -1])
def test_messages_that_opencode_refuses_to_list_are_read_in_pages(opencode, count, place):
    unreadable = {range(count)[place]} if place < count else {0}
    backend, server = opencode(history(documents(count, unreadable=unreadable)))
    listed = ids(backend.list_messages("ses_1", limit=0, deadline=soon()))
    expected = [f"msg_{number:04}" for number in range(count)]
    # Of the first of all there is the id, if there is an answer to it.
    assert listed == (expected[1:] if unreadable == {0} and count == 1 else expected)
    assert len(server.requests) <= 2 + count // 64 + 14


@pytest.mark.parametrize("unreadable", [{0, 4}, {4}, {1, 2, 9}])
def test_the_newest_messages_are_read_in_pages_too(opencode, unreadable):
    backend, _ = opencode(history(documents(10, unreadable=unreadable)))
    for limit in range(1, 14):
        listed = ids(backend.list_messages("ses_1", limit=limit, deadline=soon()))
        assert listed == [f"msg_{number:04}" for number in range(max(0, 10 - limit), 10)]


def test_of_an_unreadable_prompt_without_an_answer_nothing_is_known(opencode):
    first, _, second, answer = documents(4, unreadable={0})
    backend, _ = opencode(history([first, second, answer]))
    listed = backend.list_messages("ses_1", limit=0, deadline=soon())
    assert ids(listed) == ["msg_0002", "msg_0003"]


def test_what_is_known_of_an_unreadable_prompt_is_its_id(opencode):
    backend, _ = opencode(history(documents(3, unreadable={0})))
    first = backend.list_messages("ses_1", limit=0, deadline=soon())[0].user
    assert (first.id, first.session_id, first.role) == ("msg_0000", "ses_1", "user")
    assert not first.HasField("text")


@pytest.mark.parametrize(
    "info", [{}, {"id": "msg_1"}, {"id": 1, "time": {"created": 1}}, {"id": "msg_1", "time": 1}]
)
def test_pages_of_messages_without_times_are_an_error(opencode, monkeypatch, info):
    monkeypatch.setattr(opencode_history, "_PAGE", 2)
    backend, _ = opencode(
        lambda request: Answer([{"info": info}] * 2) if request.query else REFUSED
    )
    code, words = failure(backend.list_messages, "ses_1", limit=0)
    assert (code, "messages with times" in words) == ("SERVER_ERROR", True)


def test_messages_that_are_no_list_are_an_error(opencode):
    backend, _ = opencode(Answer({}))
    code, words = failure(backend.list_messages, "ses_1", limit=0)
    assert (code, "a list of messages" in words) == ("SERVER_ERROR", True)


def test_a_failed_list_is_not_taken_for_an_unreadable_one(opencode):
    backend, server = opencode(Answer({"name": "UnknownError", "data": {}}, status=500))
    assert failure(backend.list_messages, "ses_1", limit=0)[0] == "SERVER_ERROR"
    assert len(server.requests) == 1


@pytest.mark.parametrize("directory", ["/p", None])
def test_a_stored_error_does_not_quote_a_providers_key(opencode, directory):
    key = "sk-0123456789"
    failed = {"name": "APIError", "data": {"message": f"wrong key {key}", "isRetryable": False}}
    info = {"id": "msg_1", "role": "assistant", "error": failed}

    def answer(request):
        if request.path == "/session/ses_1/message":
            return Answer([{"info": {"id": "msg_0", "role": "user"}}, {"info": info}])
        if request.path == "/session/ses_1":
            return Answer({"id": "ses_1", "directory": directory})
        assert request.query == ({} if directory is None else {"directory": [directory]})
        return Answer({"providers": [{"id": "p", "key": key, "models": {}}]})

    backend, _ = opencode(answer)
    listed = backend.list_messages("ses_1", limit=0, deadline=soon())
    assert listed[1].assistant.error.api.message == "wrong key [key]"


def test_an_error_is_not_shown_when_the_keys_are_not_known(opencode):
    info = {"id": "msg_1", "role": "assistant", "error": {"name": "UnknownError", "data": {}}}
    backend, _ = opencode(
        lambda request: Answer(
            [{"info": info}] if request.path.endswith("/message") else {"id": "ses_1"}
        )
    )
    code, words = failure(backend.list_messages, "ses_1", limit=0)
    assert (code, "a list of providers" in words) == ("SERVER_ERROR", True)
