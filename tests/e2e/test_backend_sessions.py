"""The OpenCode backend's sessions, each answer compared with what OpenCode itself says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.wire import oc_session_pb2 as pb
from opencode_sync.wire.ext_types_pb2 import IpcUsage

pytestmark = pytest.mark.e2e


def soon():
    return Deadline.after(60)


@pytest.fixture
def backend(opencode_server):
    backend = OpenCodeBackend(opencode_server.url)
    backend.start()
    yield backend
    backend.close()


def failure(function, *args):
    with pytest.raises(BackendError) as caught:
        function(*args, deadline=soon())
    return error_code_name(caught.value.code), caught.value.message


def test_create_session_makes_the_session_it_returns(backend, opencode_server):
    session = backend.create_session("from the backend", deadline=soon())
    stored = opencode_server.session(session.id)
    assert session == pb.OcSessionInfo(
        id=stored["id"],
        project_id=stored["projectID"],
        directory=stored["directory"],
        title=stored["title"],
        version=stored["version"],
        time=pb.OcSessionTime(created=stored["time"]["created"], updated=stored["time"]["updated"]),
        cost=0.0,
        usage=IpcUsage(),
        slug=stored["slug"],
    )
    assert session.title == "from the backend"
    assert session.version == "1.18.33"
    assert session.directory == str(opencode_server.project)


def test_create_session_without_a_title_leaves_it_to_opencode(backend, opencode_server):
    session = backend.create_session(None, deadline=soon())
    assert session.title.startswith("New session - ")
    assert opencode_server.session(session.id)["title"] == session.title


@pytest.mark.parametrize(
    "title",
    [
        "",
        "   ",
        "nul \0 inside",
        "\0",
        "line\nbreak\r\ttab \x1b[31m red",
        "emoji 😀 family 👨‍👩‍👧 \u202e right to left",
        "x" * 1_000_000,
        "😀" * 250_000,
    ],
    ids=["empty", "blank", "nul", "only nul", "controls", "emoji", "1 MB", "1 MB of emoji"],
)
def test_titles_of_every_kind_arrive_unchanged(backend, opencode_server, title):
    session = backend.create_session(title, deadline=soon())
    try:
        assert session.title == title
        assert opencode_server.session(session.id)["title"] == title
        listed = {each.id: each.title for each in backend.list_sessions(deadline=soon())}
        assert listed[session.id] == title
    finally:
        assert backend.delete_session(session.id, deadline=soon())


def test_a_title_with_a_lone_surrogate_is_refused_and_makes_no_session(backend, opencode_server):
    before = set(opencode_server.sessions())
    code, message = failure(backend.create_session, "a\ud800")
    assert (code, "surrogate" in message) == ("INVALID_MESSAGE", True)
    assert set(opencode_server.sessions()) == before


def test_a_lone_surrogate_that_opencode_stores_hides_no_session(backend, opencode_server):
    # OpenCode takes it, and its database makes another character of it.
    session_id = opencode_server.create("b\ud800c")
    listed = {each.id: each.title for each in backend.list_sessions(deadline=soon())}
    assert listed[session_id] == opencode_server.sessions()[session_id]["title"]


def test_list_sessions_returns_what_opencode_lists_in_its_order(backend, opencode_server):
    for number in range(3):
        opencode_server.create(f"listed {number}")
    listed = backend.list_sessions(deadline=soon())
    theirs = list(opencode_server.sessions().values())
    assert [each.id for each in listed] == [each["id"] for each in theirs]
    assert [each.time.updated for each in listed] == [each["time"]["updated"] for each in theirs]


def test_list_sessions_is_not_cut_off_at_a_hundred(backend, opencode_server):
    with ThreadPoolExecutor(8) as pool:
        created = set(pool.map(lambda number: opencode_server.create(f"{number}"), range(101)))
    assert len(opencode_server.request("GET", "/session")[1]) == 100  # the trap is still there
    listed = {each.id for each in backend.list_sessions(deadline=soon())}
    assert created <= listed
    assert listed == set(opencode_server.sessions())


def test_a_child_session_with_rules_is_carried(backend, opencode_server):
    parent = opencode_server.create("parent")
    rules = [
        {"permission": "task", "pattern": "*", "action": "deny"},
        {"permission": "bash", "pattern": "git *", "action": "ask"},
    ]
    child = opencode_server.create("child", parentID=parent, permission=rules)
    listed = {each.id: each for each in backend.list_sessions(deadline=soon())}
    assert listed[child].parent_id == parent
    assert listed[child].permission == pb.OcPermissionRuleset(
        rules=[
            pb.OcPermissionRule(permission="task", pattern="*", action=pb.DENY),
            pb.OcPermissionRule(permission="bash", pattern="git *", action=pb.ASK),
        ]
    )


def test_an_archived_session_is_listed_with_its_time(backend, opencode_server):
    session_id = opencode_server.create("archived")
    status, _ = opencode_server.request(
        "PATCH", f"/session/{session_id}", {"time": {"archived": 1795391706186}}
    )
    assert status == 200
    listed = {each.id: each for each in backend.list_sessions(deadline=soon())}
    assert listed[session_id].time.archived == 1795391706186


def test_delete_session_deletes_it_and_its_children_once(backend, opencode_server):
    parent = opencode_server.create("to be deleted")
    child = opencode_server.create("below", parentID=parent)
    assert backend.delete_session(parent, deadline=soon()) is True
    assert opencode_server.session(parent) is None
    assert opencode_server.session(child) is None
    assert backend.delete_session(parent, deadline=soon()) is False


@pytest.mark.parametrize(
    "session_id",
    ["ses_doesnotexist", "ses", *("ses_" + "a" * length for length in (96, 97, 9_000, 100_000))],
    ids=lambda session_id: f"{len(session_id)} characters",
)
def test_deleting_an_unknown_session_returns_false(backend, session_id):
    assert backend.delete_session(session_id, deadline=soon()) is False


@pytest.mark.parametrize("session_id", ["", "nope", "msg_1", "ses_1/../x", "ses_%00", "ses_\0"])
def test_deleting_a_malformed_id_is_an_invalid_message(backend, opencode_server, session_id):
    before = set(opencode_server.sessions())
    code, message = failure(backend.delete_session, session_id)
    assert (code, "session_id" in message) == ("INVALID_MESSAGE", True)
    assert set(opencode_server.sessions()) == before


def test_a_directory_has_its_own_sessions(backend, opencode_server, project):
    elsewhere = OpenCodeBackend(opencode_server.url, directory=project)
    session = elsewhere.create_session("elsewhere", deadline=soon())
    inside = elsewhere.list_sessions(deadline=soon())
    deleted = elsewhere.delete_session(session.id, deadline=soon())
    elsewhere.close()
    assert session.directory == str(project)
    assert [each.id for each in inside] == [session.id]
    assert deleted
    assert opencode_server.session(session.id) is None


def test_many_threads_share_one_backend(backend, opencode_server):
    def use(number):
        session = backend.create_session(f"thread {number}", deadline=soon())
        assert opencode_server.session(session.id)["title"] == f"thread {number}"
        return session.id, backend.delete_session(session.id, deadline=soon())

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(use, range(64)))
    assert len({session_id for session_id, _ in results}) == 64
    assert all(deleted for _, deleted in results)
    assert not {session_id for session_id, _ in results} & set(opencode_server.sessions())
