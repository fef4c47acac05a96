"""Answers to what runs ask: where they are sent, and what is said of those that come too late."""

from __future__ import annotations

import json

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.backends.opencode.events.hub import EventHub
from opencode_sync.wire import ext_operations_pb2, oc_tool_pb2
from tests.unit.gateway_opencode.http_server import Answer

GONE = {
    "permission": Answer({"_tag": "PermissionNotFoundError", "message": "not found"}, status=404),
    "question": Answer({"_tag": "QuestionNotFoundError", "message": "not found"}, status=404),
}


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


def permit(backend, reply, *, permission_id="per_1", message=None, directory=""):
    request = ext_operations_pb2.IpcReplyPermissionRequest(
        permission_id=permission_id, reply=reply, message=message, directory=directory
    )
    backend.reply_permission(request, deadline=Deadline.after(20))


def answer_question(backend, *answers, question_id="que_1", directory=""):
    request = ext_operations_pb2.IpcReplyQuestionRequest(
        question_id=question_id,
        answers=[ext_operations_pb2.IpcAnswer(labels=labels) for labels in answers],
        directory=directory,
    )
    backend.reply_question(request, deadline=Deadline.after(20))


def failure(function, *args, **options):
    with pytest.raises(BackendError) as caught:
        function(*args, **options)
    return error_code_name(caught.value.code), caught.value.message


@pytest.mark.parametrize(
    ("reply", "message", "body"),
    [
        (oc_tool_pb2.ALLOW, None, {"reply": "once"}),
        (oc_tool_pb2.ALLOW, "unused", {"reply": "once"}),
        (oc_tool_pb2.ALLOW_ALL, None, {"reply": "always"}),
        (oc_tool_pb2.DENY, None, {"reply": "reject"}),
        (oc_tool_pb2.DENY, "", {"reply": "reject"}),
        (oc_tool_pb2.DENY, "why not", {"reply": "reject", "message": "why not"}),
    ],
)
def test_each_reply_in_opencodes_words(opencode, reply, message, body):
    backend, server = opencode(Answer(True))
    permit(backend, reply, message=message)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/permission/per_1/reply")
    assert json.loads(request.body) == body
    assert request.query == {}


@pytest.mark.parametrize("reply", [oc_tool_pb2.PERMISSION_REPLY_UNSPECIFIED, 7])
def test_a_reply_that_is_none_is_refused(opencode, reply):
    backend, server = opencode(Answer(True))
    code, words = failure(permit, backend, reply)
    assert (code, words.startswith("reply must be ALLOW")) == ("INVALID_MESSAGE", True)
    assert server.requests == []


def test_the_project_is_the_one_named_else_the_one_that_asked_else_the_backends(
    opencode, monkeypatch, tmp_path
):
    own, asked, named = (tmp_path / name for name in ("own", "asked", "named"))
    for folder in (own, asked, named):
        folder.mkdir()
    backend, server = opencode(Answer(True), directory=own)
    permit(backend, oc_tool_pb2.ALLOW)
    monkeypatch.setattr(
        EventHub,
        "directory_of_question",
        lambda hub, question_id: {"per_2": str(asked), "que_2": str(asked)}.get(question_id),
    )
    permit(backend, oc_tool_pb2.ALLOW, permission_id="per_2")
    permit(backend, oc_tool_pb2.ALLOW, permission_id="per_2", directory=str(named))
    answer_question(backend, question_id="que_1")
    answer_question(backend, question_id="que_2")
    places = [request.query["directory"] for request in server.requests]
    assert places == [[str(each.resolve())] for each in (own, asked, named, own, asked)]


@pytest.mark.parametrize("directory", ["relative", "/does/not/exist"])
def test_a_directory_that_cannot_be_is_refused(opencode, directory):
    backend, server = opencode(Answer(True))
    code, words = failure(permit, backend, oc_tool_pb2.ALLOW, directory=directory)
    assert (code, words.startswith("directory")) == ("INVALID_MESSAGE", True)
    assert server.requests == []


@pytest.mark.parametrize("identifier", ["", "nope", "per_1/x", "per_1\n", "per_\u00e9"])
def test_what_is_no_id_is_refused(opencode, identifier):
    backend, server = opencode(Answer(True))
    code, words = failure(permit, backend, oc_tool_pb2.ALLOW, permission_id=identifier)
    assert (code, words.startswith("permission_id must be")) == ("INVALID_MESSAGE", True)
    code, words = failure(answer_question, backend, ["a"], question_id=identifier)
    assert (code, words.startswith("question_id must be")) == ("INVALID_MESSAGE", True)
    assert server.requests == []


def test_a_permission_that_waits_no_longer_is_named(opencode, tmp_path):
    backend, _ = opencode(GONE["permission"])
    code, words = failure(permit, backend, oc_tool_pb2.ALLOW)
    assert code == "INVALID_MESSAGE"
    assert words.startswith(
        "permission_id: no question per_1 waits for an answer in OpenCode's own"
    )
    _, words = failure(permit, backend, oc_tool_pb2.ALLOW, directory=str(tmp_path))
    assert f"in the project {tmp_path.resolve()}; it was answered before" in words


def test_an_id_too_long_for_opencodes_router_is_an_unknown_one(opencode):
    backend, _ = opencode(Answer(content=b"", content_type=None, status=404))
    permission_id = "per_" + "a" * 200
    assert failure(permit, backend, oc_tool_pb2.ALLOW, permission_id=permission_id)[0] == (
        "INVALID_MESSAGE"
    )
    assert failure(permit, backend, oc_tool_pb2.ALLOW)[0] == "SERVER_ERROR"


@pytest.mark.parametrize("body", [False, None, {}])
def test_a_reply_that_is_not_answered_with_true_is_an_error(opencode, body):
    backend, _ = opencode(Answer(body))
    assert failure(permit, backend, oc_tool_pb2.ALLOW)[0] == "SERVER_ERROR"


# Questions of the model's...


def asking(*items, question_id="que_1"):
    """Answer as a server where a question of these items waits."""

    def answer(request):
        if request.path == "/question":
            return Answer([7, {"id": "que_0"}, {"id": question_id, "questions": list(items)}])
        return Answer(True)

    return answer


def test_a_question_is_answered_item_by_item(opencode, tmp_path):
    backend, server = opencode(asking({}, {}), directory=tmp_path)
    answer_question(backend, ["A"], ["C", "D"])
    looked, replied = server.requests
    assert (looked.path, replied.path) == ("/question", "/question/que_1/reply")
    assert json.loads(replied.body) == {"answers": [["A"], ["C", "D"]]}
    assert looked.query == replied.query == {"directory": [str(tmp_path.resolve())]}


def test_an_item_may_be_left_without_an_answer(opencode):
    backend, server = opencode(asking({}, {}))
    answer_question(backend, ["A"], [])
    assert json.loads(server.requests[-1].body) == {"answers": [["A"], []]}


@pytest.mark.parametrize(
    ("items", "answers", "words"),
    [
        (2, 1, "answers has 1 of them, but the question has 2 items; answer each"),
        (1, 2, "answers has 2 of them, but the question has 1 item; answer each"),
    ],
)
def test_another_number_of_answers_than_of_items_is_refused(opencode, items, answers, words):
    backend, server = opencode(asking(*[{}] * items))
    code, said = failure(answer_question, backend, *[["A"]] * answers)
    assert (code, said.startswith(words)) == ("INVALID_MESSAGE", True)
    assert [request.path for request in server.requests] == ["/question"]


@pytest.mark.parametrize("listed", [[], {}, [{"id": "que_1", "questions": "two"}]])
def test_what_cannot_be_checked_is_opencodes_to_say(opencode, listed):
    backend, server = opencode(
        lambda request: Answer(listed if request.path == "/question" else True)
    )
    answer_question(backend, ["A"])
    assert server.requests[-1].path == "/question/que_1/reply"


def test_no_answers_dismiss_the_question(opencode):
    backend, server = opencode(Answer(True))
    answer_question(backend)
    (request,) = server.requests
    assert (request.path, request.body) == ("/question/que_1/reject", b"")


def test_a_question_that_waits_no_longer_is_named(opencode):
    backend, _ = opencode(
        lambda request: Answer([]) if request.path == "/question" else GONE["question"]
    )
    for answers in ([], [["A"]]):
        code, words = failure(answer_question, backend, *answers)
        assert (code, words.startswith("question_id: no question que_1")) == (
            "INVALID_MESSAGE",
            True,
        )
