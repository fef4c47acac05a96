"""The backend as the gateway uses it: which server, which sessions, which errors."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from loguru import logger

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.backend import OpenCodeBackend
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp
from opencode_sync.gateway.backends.opencode.server import servers as opencode_servers
from opencode_sync.gateway.backends.opencode.server.discovery import Found
from opencode_sync.gateway.cancellation import Cancellation
from opencode_sync.wire.ext_event_pb2 import IpcSubscribeRequest
from opencode_sync.wire.ext_operations_pb2 import (
    IpcReplyPermissionRequest,
    IpcReplyQuestionRequest,
)
from tests.unit.gateway_opencode.conftest import gone
from tests.unit.gateway_opencode.http_server import Answer, Raw

SESSION = {"id": "ses_1", "title": "one", "version": "1.18.33"}


def soon():
    return Deadline.after(20)


@pytest.fixture
def backend():
    """Make backends: ``backend(url, **options)``."""
    backends = []

    def make(server=None, **options):
        backends.append(OpenCodeBackend(getattr(server, "url", server), **options))
        return backends[-1]

    yield make
    for each in backends:
        each.close()


@pytest.fixture
def spawning(backend, opencode_program, environment, tmp_path):
    """Make a backend that spawns the stand-in: ``spawning("sick", **options)``."""
    if os.name != "posix":
        pytest.skip("the stand-in is a shell script")

    def make(*faults, **options):
        options.setdefault("directory", tmp_path)
        return backend(executable=opencode_program, environ=environment(*faults), **options)

    return make


@pytest.fixture
def found(monkeypatch, serve):
    """Have discovery find this: ``found(server)``, or nothing: ``found(None)``."""

    def arrange(server):
        def discover(*, username, password, deadline, environ):
            if server is None:
                return None
            http = OpenCodeHttp(server.url, username=username, password=password)
            return Found(4711, server.port, "opencode serve", http)

        monkeypatch.setattr(opencode_servers, "discover", discover)

    arrange(None)
    return arrange


def failure(function, *args):
    with pytest.raises(BackendError) as caught:
        function(*args, **({} if function.__name__ == "start" else {"deadline": soon()}))
    return error_code_name(caught.value.code), caught.value.message


def healthy(request):
    return Answer({"healthy": True}) if request.path == "/global/health" else Answer([SESSION])


# Sessions...


def test_list_sessions_asks_for_all_of_them(serve, backend):
    server = serve(Answer([SESSION, {"id": "ses_0", "invented": 1}, None]))
    sessions = backend(server).list_sessions(deadline=soon())
    assert [(session.id, session.title) for session in sessions] == [
        ("ses_1", "one"),
        ("ses_0", ""),
    ]
    assert server.requests[0].path == "/session"
    assert server.requests[0].query == {"limit": ["-1"]}


def test_what_cannot_be_carried_is_logged_by_path_for_those_who_look(serve, backend):
    server = serve(Answer([{**SESSION, "invented": "s3cret"}]))
    lines = []
    logger.enable("opencode_sync")
    sink = logger.add(lines.append, level="DEBUG", format="{message}")
    try:
        backend(server).list_sessions(deadline=soon())
    finally:
        logger.remove(sink)
        logger.disable("opencode_sync")
    assert any("session.invented" in line for line in lines)
    assert "s3cret" not in "".join(lines)


def test_a_directory_selects_its_sessions_and_is_where_new_ones_are_made(serve, backend, tmp_path):
    server = serve(lambda request: Answer([] if request.method == "GET" else SESSION))
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    within = backend(server, directory=link)
    within.list_sessions(deadline=soon())
    within.create_session(None, deadline=soon())
    assert [request.query["directory"] for request in server.requests] == [
        [str(tmp_path.resolve())]
    ] * 2


@pytest.mark.parametrize(
    ("title", "body"),
    [
        (None, b"{}"),
        ("", b'{"title": ""}'),
        ("a\0ü😀", '{"title": "a\\u0000ü😀"}'.encode()),
    ],
)
def test_create_session_sends_a_title_if_there_is_one(serve, backend, title, body):
    server = serve(Answer(SESSION))
    session = backend(server).create_session(title, deadline=soon())
    assert session.id == "ses_1"
    assert (server.requests[0].method, server.requests[0].body) == ("POST", body)


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [
        (Answer(True), True),
        (Answer({"name": "NotFoundError", "data": {"message": "no"}}, status=404), False),
    ],
)
def test_delete_session_tells_whether_there_was_one(serve, backend, answer, deleted):
    server = serve(answer)
    assert backend(server).delete_session("ses_1-a", deadline=soon()) is deleted
    assert (server.requests[0].method, server.requests[0].path) == ("DELETE", "/session/ses_1-a")


@pytest.mark.parametrize("session_id", ["", "nope", "ses_1/../x", "ses_ü", "ses_1\n"])
def test_an_id_no_session_can_have_is_refused_unsent(serve, backend, session_id):
    server = serve(Answer(True))
    code, message = failure(backend(server).delete_session, session_id)
    assert code == "INVALID_MESSAGE"
    assert "session_id" in message
    assert server.requests == []


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("list_sessions", Answer({"id": "ses_1"})),
        ("create_session", Answer([])),
        ("create_session", Answer({"title": "no id"})),
        ("delete_session", Answer(False)),
        ("delete_session", Answer({})),
    ],
)
def test_json_of_the_wrong_shape_is_no_success(serve, backend, operation, answer):
    arguments = {"list_sessions": (), "create_session": ("t",), "delete_session": ("ses_1",)}
    function = getattr(backend(serve(answer)), operation)
    code, message = failure(function, *arguments[operation])
    assert (code, "JSON that is not" in message) == ("SERVER_ERROR", True)


@pytest.mark.parametrize("status", [404, 500])
def test_a_failed_delete_is_not_taken_for_an_unknown_id(serve, backend, status):
    server = serve(Answer(content=b"<html>", content_type="text/html", status=status))
    assert failure(backend(server).delete_session, "ses_1")[0] == "SERVER_ERROR"


@pytest.mark.parametrize(
    ("length", "status", "deleted"), [(101, 404, False), (9000, 431, False), (101, 500, None)]
)
def test_an_id_too_long_for_opencodes_router_is_an_unknown_one(
    serve, backend, length, status, deleted
):
    refusing = backend(serve(Answer(content=b"", content_type=None, status=status)))
    session_id = "ses_" + "a" * (length - 4)
    if deleted is None:
        code, message = failure(refusing.delete_session, session_id)
        assert (code, len(message) < 400) == ("SERVER_ERROR", True)
    else:
        assert refusing.delete_session(session_id, deadline=soon()) is deleted


# Projects...


def test_a_view_of_a_folder_shares_all_but_the_folder(serve, backend, tmp_path):
    server = serve(Answer([SESSION]))
    whole = backend(server)
    view = whole.in_directory(str(tmp_path))
    further = view.in_directory("/")
    for each in (whole, view, further, whole):
        each.list_sessions(deadline=soon())
    places = [request.query.get("directory") for request in server.requests]
    assert places == [None, [str(tmp_path.resolve())], ["/"], None]
    assert view.description == whole.description
    whole.close()
    assert failure(view.list_sessions)[0] == "NO_SERVER"


def test_a_folder_is_named_as_opencode_would(serve, backend, tmp_path):
    link, folder = tmp_path / "link", tmp_path / "folder"
    folder.mkdir()
    link.symlink_to(folder)
    server = serve(Answer([]))
    backend(server).in_directory(f"{link}/").list_sessions(deadline=soon())
    assert server.requests[0].query["directory"] == [str(folder.resolve())]


@pytest.mark.parametrize(
    ("directory", "words"),
    [
        ("", "must be the absolute path of a project's folder, but it is empty"),
        ("relative/path", 'but it is "relative/path"'),
        ("/no/such/folder", 'there is no folder "/no/such/folder"'),
        ("/no\0nul", "there is no folder"),
        ("/" + "x" * 10_000, "there is no folder"),
        (__file__, "there is no folder"),
    ],
)
@pytest.mark.parametrize("url", [None, "http://127.0.0.1:1", "http://localhost:1"])
def test_what_is_no_folder_here_is_refused(backend, url, directory, words):
    with pytest.raises(BackendError) as caught:
        backend(url).in_directory(directory)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"
    assert caught.value.message.startswith("directory")
    assert words in caught.value.message
    assert len(caught.value.message) < 400


def test_of_a_folder_on_another_machine_only_the_form_is_checked(backend):
    far = backend("http://opencode.example:4096")
    assert far.in_directory("/no/such/folder")._directory == "/no/such/folder"
    assert far.in_directory("C:\\project")._directory == "C:\\project"
    with pytest.raises(BackendError, match="absolute path"):
        far.in_directory("relative")


def test_backend_info_has_the_servers_version(serve, backend):
    server = serve(Answer({"healthy": True, "version": "1.18.33"}))
    info = backend(server).backend_info(deadline=soon())
    assert (info.backend, info.server_version) == ("opencode", "1.18.33")
    assert info.description == f"OpenCode at {server.url}"


@pytest.mark.parametrize(
    "answer",
    [Answer({"healthy": True}), Answer([]), Answer({"version": 7}), Answer(status=401)],
)
def test_backend_info_of_a_server_that_does_not_say(serve, backend, answer):
    assert backend(serve(answer)).backend_info(deadline=soon()).server_version == ""


def test_backend_info_without_a_server(backend):
    unbound = backend()
    info = unbound.backend_info(deadline=soon())
    assert (info.server_version, info.description) == ("", "OpenCode, none connected")
    unbound.close()
    assert unbound.backend_info(deadline=soon()).description == "OpenCode, closed"
    assert backend("http://127.0.0.1:1").backend_info(deadline=soon()).server_version == ""


def test_a_prompt_goes_to_the_server_in_use(serve, backend, monkeypatch):
    server = serve(healthy)
    given, calls = backend(server), []
    request, sink, deadline, cancellation = object(), object(), soon(), Cancellation()

    def run(binding, *args, **options):
        calls.append((binding.http.base_url, args, options))
        return "result"

    monkeypatch.setattr(given._prompts, "run", run)
    view = given.in_directory("/")
    result = view.prompt(request, sink, deadline=deadline, cancellation=cancellation)
    assert result == "result"
    assert calls == [
        (server.url, (request, sink), {"deadline": deadline, "cancellation": cancellation})
    ]


# Without a server...


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_sessions", ()),
        ("create_session", (None,)),
        ("delete_session", ("ses_1",)),
        ("check_health", ()),
        ("stop_server", ()),
        ("get_session", ("ses_1",)),
        ("abort_session", ("ses_1",)),
        ("list_models", ()),
        ("list_agents", ()),
        ("connected_providers", ()),
        ("reply_permission", (IpcReplyPermissionRequest(permission_id="per_1", reply=1),)),
        ("reply_question", (IpcReplyQuestionRequest(question_id="que_1"),)),
        ("subscribe", (IpcSubscribeRequest(), None)),
    ],
)
def test_without_a_server_every_operation_says_how_to_get_one(backend, operation, arguments):
    unbound = backend()
    unbound.start()
    code, message = failure(getattr(unbound, operation), *arguments)
    assert code == "NO_SERVER"
    assert message.startswith("No OpenCode server connected")
    assert unbound.description == "OpenCode, none connected"


def test_a_closed_backend_says_so(serve, backend):
    closed = backend(serve(healthy))
    closed.close()
    closed.close()
    assert failure(closed.list_sessions) == (
        "NO_SERVER",
        "the gateway is closing; start it again to go on",
    )
    assert repr(closed) == "<OpenCodeBackend: OpenCode, closed>"


# A server given by its URL...


def test_start_checks_the_server_at_the_url_once(serve, backend):
    server = serve(healthy)
    given = backend(server)
    given.start()
    given.start()
    assert [request.path for request in server.requests] == ["/global/health"]
    assert given.description == f"OpenCode at {server.url}"
    assert given.name == "opencode"


def test_start_fails_when_the_server_at_the_url_is_not_healthy(serve, backend):
    code, message = failure(backend(serve(Answer({"healthy": False}))).start)
    assert (code, "not healthy" in message) == ("SERVER_ERROR", True)


def test_start_fails_when_nothing_is_at_the_url(backend):
    assert failure(backend("http://127.0.0.1:1").start)[0] == "NO_SERVER"


def test_a_password_in_the_url_is_refused_by_the_constructor():
    with pytest.raises(ValueError, match="OPENCODE_SERVER_PASSWORD"):
        OpenCodeBackend("http://a:b@127.0.0.1:4096")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer({"healthy": True}), True),
        (Answer({"healthy": False}), False),
        (Answer(status=503), False),
        (Raw(lambda send: None), False),
    ],
)
def test_check_health_is_the_servers_own_word(serve, backend, answer, expected):
    assert backend(serve(answer)).check_health(deadline=soon()) is expected


def test_check_health_raises_when_the_password_is_refused(serve, backend):
    refusing = serve(Answer(status=401, content=b"", content_type=None))
    assert failure(backend(refusing).check_health)[0] == "AUTH_ERROR"


def test_check_health_does_not_wait_long_for_a_silent_server(serve, backend, monkeypatch):
    monkeypatch.setattr(opencode_servers, "_HEALTH_TIMEOUT", 0.2)
    server = serve(Raw(lambda send: server.closing.wait(20)))
    assert backend(server).check_health(deadline=Deadline(None)) is False


def test_a_server_of_somebody_else_is_never_stopped(serve, backend):
    server = serve(healthy)
    given = backend(server)
    code, message = failure(given.stop_server)
    assert code == "SERVER_ERROR"
    assert "was not started by this gateway, so it is left running" in message
    assert given.check_health(deadline=soon())


# Discovery...


def test_discover_with_a_url_is_that_server_and_no_other(serve, backend, found):
    server, other = serve(healthy), serve(healthy)
    found(other)
    info = backend(server).discover_server(deadline=soon())
    assert (info.base_url, info.port, info.pid) == (server.url, server.port, 0)
    assert (info.name, info.owned) == ("opencode", False)


def test_discover_with_a_url_where_nothing_answers_finds_nothing(serve, backend, found):
    found(serve(healthy))
    assert backend("http://127.0.0.1:1").discover_server(deadline=soon()) is None


def test_discover_binds_what_it_finds_and_keeps_it_while_it_works(serve, backend, found):
    first, second = serve(healthy), serve(healthy)
    searching = backend()
    assert searching.discover_server(deadline=soon()) is None
    found(first)
    info = searching.discover_server(deadline=soon())
    assert (info.pid, info.port, info.command) == (4711, first.port, "opencode serve")
    found(second)
    assert searching.discover_server(deadline=soon()).port == first.port
    assert [session.id for session in searching.list_sessions(deadline=soon())] == ["ses_1"]
    first.stop()
    assert searching.discover_server(deadline=soon()).port == second.port
    assert len(searching.list_sessions(deadline=soon())) == 1


def test_what_was_returned_is_the_callers_to_change(serve, backend):
    given = backend(serve(healthy))
    given.discover_server(deadline=soon()).base_url = "changed"
    assert given.discover_server(deadline=soon()).base_url != "changed"


def test_start_discovers_when_told_to(serve, backend, found):
    server = serve(healthy)
    found(server)
    searching = backend(discover=True)
    searching.start()
    assert searching.description == f"OpenCode at {server.url}"


def test_start_fails_when_there_is_nothing_to_discover(backend, found):
    code, message = failure(backend(discover=True).start)
    assert (code, "opencode serve" in message) == ("NO_SERVER", True)


# Servers of our own...


def test_spawn_yields_a_working_server_that_stop_ends(spawning, tmp_path):
    owner = spawning()
    info = owner.spawn_server(None, deadline=soon())
    assert info.owned
    assert info.base_url == f"http://127.0.0.1:{info.port}"
    assert owner.check_health(deadline=soon())
    session = owner.create_session("one", deadline=soon())
    assert session.directory == str(tmp_path.resolve())
    assert [s.title for s in owner.list_sessions(deadline=soon())] == ["one"]
    assert owner.stop_server(deadline=soon())
    assert gone(info.pid, 0)
    assert failure(owner.list_sessions)[0] == "NO_SERVER"


def test_spawn_uses_the_port_it_is_given(spawning):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert spawning().spawn_server(port, deadline=soon()).port == port


def test_spawn_on_a_taken_port_says_so(spawning):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code, message = failure(spawning().spawn_server, port)
    assert (code, f"port {port}: it is taken" in message) == ("SERVER_ERROR", True)


def test_spawn_that_fails_on_a_free_port_keeps_the_servers_words(spawning):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, message = failure(spawning("exit").spawn_server, port)
    assert (code, "ServeError" in message) == ("SERVER_ERROR", True)


def test_spawn_beside_another_that_starts_in_the_same_home_is_tried_again(
    spawning, monkeypatch, tmp_path
):
    monkeypatch.setattr(opencode_servers, "_START_APART", 0.0)
    assert spawning("crowded").spawn_server(None, deadline=soon()).owned
    assert (tmp_path / "starts").read_text() == "..."


def test_spawn_that_never_finds_room_says_why(spawning, monkeypatch, tmp_path):
    monkeypatch.setattr(opencode_servers, "_START_APART", 0.0)
    monkeypatch.setattr(opencode_servers, "_STARTS", 2)
    code, message = failure(spawning("crowded").spawn_server, None)
    assert (code, "database is locked" in message) == ("SERVER_ERROR", True)


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_spawn_refuses_a_port_that_does_not_exist(spawning, port):
    assert failure(spawning().spawn_server, port)[0] == "INVALID_MESSAGE"


def test_spawn_without_opencode_says_how_to_install_it(backend, tmp_path):
    code, message = failure(backend(environ={"PATH": str(tmp_path)}).spawn_server, None)
    assert (code, "npm install -g opencode-ai" in message) == ("NO_SERVER", True)


def test_spawning_twice_yields_one_server(spawning):
    owner = spawning()
    first = owner.spawn_server(None, deadline=soon())
    assert owner.spawn_server(None, deadline=soon()) == first
    assert owner.discover_server(deadline=soon()) == first


def test_spawning_from_many_threads_at_once_yields_one_server(spawning):
    owner = spawning()
    together = threading.Barrier(4)

    def spawn():
        together.wait(20)
        return owner.spawn_server(None, deadline=soon()).pid

    with ThreadPoolExecutor(4) as pool:
        pids = [future.result() for future in [pool.submit(spawn) for _ in range(4)]]
    assert len(set(pids)) == 1
    assert not gone(pids[0], 0)


def test_a_server_of_ours_that_ended_is_missed_with_its_fate_and_can_be_replaced(spawning):
    owner = spawning()
    pid = owner.spawn_server(None, deadline=soon()).pid
    psutil.Process(pid).kill()
    for operation in (owner.list_sessions, owner.check_health):
        code, message = failure(operation)
        assert code == "NO_SERVER"
        assert f"(process {pid}) has ended by signal 9" in message
        assert "spawn a server to go on" in message
    again = owner.spawn_server(None, deadline=soon()).pid
    assert again != pid
    assert owner.check_health(deadline=soon())


def test_a_server_of_ours_that_ends_during_a_request_may_have_acted(spawning):
    owner = spawning("post")
    pid = owner.spawn_server(None, deadline=soon()).pid
    code, message = failure(owner.create_session, "x")
    assert code == "SERVER_ERROR"  # NO_SERVER would have clients send it again
    assert f"(process {pid}) has ended with exit code 7" in message
    assert "whether it acted on the request before is unknown" in message


def test_stopping_a_server_of_ours_that_ended_by_itself_succeeds(spawning):
    owner = spawning()
    psutil.Process(owner.spawn_server(None, deadline=soon()).pid).kill()
    assert owner.stop_server(deadline=soon())
    assert failure(owner.stop_server)[0] == "NO_SERVER"


def test_a_server_of_ours_that_hangs_is_replaced(spawning, monkeypatch):
    monkeypatch.setattr(opencode_servers, "_HEALTH_TIMEOUT", 0.3)
    owner = spawning()
    pid = owner.spawn_server(None, deadline=soon()).pid
    psutil.Process(pid).suspend()
    assert owner.check_health(deadline=soon()) is False
    again = owner.spawn_server(None, deadline=soon()).pid
    assert again != pid
    assert gone(pid)


def test_discovering_in_place_of_a_hanging_server_of_ours_ends_it(
    spawning, found, serve, monkeypatch
):
    monkeypatch.setattr(opencode_servers, "_HEALTH_TIMEOUT", 0.3)
    owner = spawning()
    pid = owner.spawn_server(None, deadline=soon()).pid
    psutil.Process(pid).suspend()
    server = serve(healthy)
    found(server)
    assert owner.discover_server(deadline=soon()).port == server.port
    assert gone(pid)


def test_stop_that_runs_out_of_time_can_be_repeated(spawning):
    owner = spawning("stubborn")
    pid = owner.spawn_server(None, deadline=soon()).pid
    assert not owner.stop_server(deadline=Deadline.after(0.1))
    assert owner.stop_server(deadline=soon())
    assert gone(pid, 0)


def test_the_server_at_the_url_is_in_use_again_after_one_of_our_own(spawning, serve):
    server = serve(healthy)
    both = spawning(server=server)
    spawned = both.spawn_server(None, deadline=soon())
    assert spawned.owned
    assert both.discover_server(deadline=soon()).pid == spawned.pid
    assert both.stop_server(deadline=soon())
    assert both.description == f"OpenCode at {server.url}"
    pid = both.spawn_server(None, deadline=soon()).pid
    psutil.Process(pid).kill()
    assert gone(pid)
    assert both.discover_server(deadline=soon()).base_url == server.url
    assert both.check_health(deadline=soon())


def test_start_spawns_when_told_to(spawning):
    owner = spawning(spawn=True)
    owner.start()
    assert owner.check_health(deadline=soon())


def test_start_spawns_when_it_finds_nothing(spawning, found):
    owner = spawning(spawn=True, discover=True)
    owner.start()
    assert owner.check_health(deadline=soon())


def test_start_prefers_a_running_server_to_spawning(spawning, found, serve):
    server = serve(healthy)
    found(server)
    owner = spawning(spawn=True, discover=True)
    owner.start()
    assert owner.description == f"OpenCode at {server.url}"


def test_spawn_uses_this_process_environment_and_directory_by_default(
    backend, opencode_program, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(opencode_program.parent), prepend=os.pathsep)
    owner = backend()
    owner.spawn_server(None, deadline=soon())
    assert owner.create_session("x", deadline=soon()).directory == str(tmp_path.resolve())


# Closing...


def test_close_ends_a_server_of_ours(spawning):
    owner = spawning()
    pid = owner.spawn_server(None, deadline=soon()).pid
    owner.close()
    assert gone(pid, 0)


def test_close_says_so_when_the_server_does_not_end(spawning, monkeypatch):
    owner = spawning("stubborn")
    owner.spawn_server(None, deadline=soon())
    lines = []
    logger.enable("opencode_sync")
    sink = logger.add(lines.append, level="ERROR", format="{message}")
    binding = owner._servers.current()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(opencode_servers, "_CLOSE_TIMEOUT", 0.1)
            owner.close()
    finally:
        logger.remove(sink)
        logger.disable("opencode_sync")
    assert "did not end in time" in lines[0]
    assert binding.owned.stop(soon())


def test_close_breaks_off_a_spawn(spawning, monkeypatch):
    owner = spawning("silent")
    begun = threading.Event()
    wait = opencode_servers.OwnedServer.wait_until_ready

    def begin(server, deadline):
        begun.set()
        return wait(server, deadline)

    monkeypatch.setattr(opencode_servers.OwnedServer, "wait_until_ready", begin)
    with ThreadPoolExecutor(1) as pool:
        spawn = pool.submit(failure, owner.spawn_server, None)
        assert begun.wait(20)
        owner.close()
        assert spawn.result(20)[0] == "SERVER_ERROR"


@pytest.mark.parametrize("moment", ["start", "wait_until_ready"])
def test_a_server_that_starts_while_we_close_ends_again(spawning, monkeypatch, moment):
    owner = spawning()
    started = []
    original = getattr(opencode_servers.OwnedServer, moment)

    def close_in_between(*args, **options):
        result = original(*args, **options)
        started.append(result if moment == "start" else args[0])
        with owner._servers._lock:  # close() itself would end it before we can go on
            owner._servers._closed = True
        return result

    monkeypatch.setattr(opencode_servers.OwnedServer, moment, close_in_between)
    assert failure(owner.spawn_server, None)[0] == "NO_SERVER"
    assert gone(started[0].pid, 0)


def test_a_request_that_waits_for_another_ones_spawn_has_a_deadline(backend):
    waiting = backend()
    with waiting._servers._change, pytest.raises(BackendError, match="try again"):
        waiting.discover_server(deadline=NOW)
