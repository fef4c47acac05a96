"""The window's one stream of events: what becomes known by it, and when that is forgotten."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from opencode_sync import IpcConfig
from opencode_sync.desktop.activity import feed as feed_module
from opencode_sync.desktop.activity import lookups, shelf
from opencode_sync.desktop.activity.feed import ActivityFeed
from opencode_sync.desktop.service import Service
from opencode_sync.gateway import BackendError
from opencode_sync.types import IpcBackendInfo, IpcEvent, OcSessionInfo
from opencode_sync.wire import ipc_pb2
from tests.desktop.watch import Watch, never_held
from tests.support import backend as b
from tests.unit.gateway.doubles import Stream

from .conftest import PATIENCE, Backend, Held, config_of, destroy, session, start


def asked(session_id: str = "ses_1", question_id: str = "per_1") -> IpcEvent:
    made = IpcEvent()
    made.CopyFrom(b.permission_asked(question_id)["event"].event)
    made.session_id = made.event.permission_asked.session_id = session_id
    return made


def status(session_id: str, kind: str) -> IpcEvent:
    said = json.dumps({"status": {"type": kind}})
    return IpcEvent(type="session.status", session_id=session_id, properties_json=said)


BUSY = status("ses_1", "busy")


def begin_with(*events: IpcEvent) -> Callable[[Stream], None]:
    """What a backend does whose streams begin with this."""

    def subscribe(stream: Stream) -> None:
        stream.sink.opened()
        for event in events:
            stream.sink.event(event)

    return subscribe


@pytest.fixture
def service(qtbot: QtBot, scripted: IpcConfig) -> Iterator[Service]:
    """Not connected yet."""
    made = Service(scripted, probe_seconds=3600.0)
    yield made
    made.close()
    assert made.wait_closed(30)
    destroy(made)


@pytest.fixture
def feed(qtbot: QtBot, service: Service, backend: Backend) -> ActivityFeed:
    """Of a connection."""
    backend.script["get_session"] = lambda session_id: OcSessionInfo(id=session_id)
    with qtbot.waitSignal(service.connected, timeout=PATIENCE):
        service.start()
    qtbot.waitUntil(lambda: bool(backend.streams), timeout=PATIENCE)
    return service.activity


def push(backend: Backend, *events: IpcEvent) -> None:
    for event in events:
        backend.streams[-1].push(event)


def wait_busy(qtbot: QtBot, feed: ActivityFeed, *session_ids: str) -> None:
    qtbot.waitUntil(lambda: feed.at_work == set(session_ids), timeout=PATIENCE)


def question_ids(feed: ActivityFeed, session_id: str = "ses_1") -> list[str]:
    return [each.id for each in feed.questions_of(session_id)]


def test_what_went_on_before_the_connection_is_known_at_once(
    qtbot: QtBot, service: Service, backend: Backend
) -> None:
    backend.script["subscribe"] = begin_with(BUSY, asked())
    service.start()
    qtbot.waitUntil(lambda: question_ids(service.activity) == ["per_1"], timeout=PATIENCE)
    assert service.activity.at_work == service.activity.waiting == {"ses_1"}
    assert service.activity.others_at_work("ses_1")
    assert backend.streams[0].request.current


def test_there_is_one_subscription_and_it_leaves_out_what_only_a_chat_shows(
    feed: ActivityFeed, backend: Backend
) -> None:
    (stream,) = backend.streams
    assert not [kind for kind in stream.request.types if kind.startswith("message")]


def test_what_is_asked_and_answered_is_told_as_it_comes(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    push(backend, BUSY, asked(question_id="a"), asked(question_id="b"))
    qtbot.waitUntil(lambda: question_ids(feed) == ["a", "b"], timeout=PATIENCE)
    answered = IpcEvent(type="permission.replied", properties_json='{"requestID": "a"}')
    push(backend, answered)
    qtbot.waitUntil(lambda: question_ids(feed) == ["b"], timeout=PATIENCE)
    feed.close_question("b")
    assert question_ids(feed) == []
    gone = IpcEvent(type="session.deleted")
    gone.event.session_deleted.session_id = "ses_1"
    push(backend, gone)
    wait_busy(qtbot, feed)


def test_a_session_that_asks_is_placed_by_what_the_backend_says_of_it(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    parents = {"ses_child": "ses_middle", "ses_middle": "ses_1"}
    looked: list[str] = []

    def get(session_id: str) -> OcSessionInfo:
        looked.append(session_id)
        if session_id == "ses_gone":
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE, "there is no such session")
        return OcSessionInfo(id=session_id, parent_id=parents.get(session_id, ""))

    backend.script["get_session"] = get
    push(backend, asked("ses_gone", "a"), asked("ses_child", "b"), asked("ses_child", "c"))
    qtbot.waitUntil(lambda: feed.waiting == {"ses_1", "ses_gone"}, timeout=PATIENCE)
    qtbot.waitUntil(lambda: feed._book.unplaced == [], timeout=PATIENCE)
    assert question_ids(feed) == ["b", "c"]
    assert sorted(looked) == ["ses_1", "ses_child", "ses_gone", "ses_middle"]


def test_a_session_that_could_not_be_placed_is_looked_up_again(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    looked: list[str] = []

    def get(session_id: str) -> OcSessionInfo:
        looked.append(session_id)
        if looked in (["ses_child"], ["ses_child", "ses_other"]):
            raise BackendError(ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR, "one moment")
        return OcSessionInfo(id=session_id, parent_id="ses_1" if session_id == "ses_child" else "")

    backend.script["get_session"] = get
    push(backend, asked("ses_child"))
    qtbot.waitUntil(feed._lookups._again.isActive, timeout=PATIENCE)
    push(backend, asked("ses_other", "per_2"))
    qtbot.waitUntil(lambda: len(feed._lookups._failed) == 2, timeout=PATIENCE)
    assert feed.waiting == {"ses_child", "ses_other"}
    feed._lookups._again.start(0)
    qtbot.waitUntil(lambda: question_ids(feed) == ["per_1"], timeout=PATIENCE)
    qtbot.waitUntil(lambda: feed._book.unplaced == [], timeout=PATIENCE)
    assert len(looked) == 5


def test_a_lookup_that_hangs_has_no_other_wait(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for those for which there is no room meanwhile."""
    monkeypatch.setattr(lookups, "_AT_ONCE", 2)
    held = Held(lambda: None)

    def get(session_id: str) -> OcSessionInfo:
        if session_id == "ses_hangs":
            held()
        parent_id = "ses_1" if session_id.startswith("ses_child") else ""
        return OcSessionInfo(id=session_id, parent_id=parent_id)

    backend.script["get_session"] = get
    push(backend, asked("ses_hangs", "a"), asked("ses_child_1", "b"), asked("ses_child_2", "c"))
    try:
        qtbot.waitUntil(lambda: question_ids(feed) == ["b", "c"], timeout=PATIENCE)
        qtbot.waitUntil(lambda: list(feed._lookups._calls) == ["ses_hangs"], timeout=PATIENCE)
        feed.end()
        assert not feed._lookups._calls
    finally:
        held.go_on.set()


def test_questions_that_were_too_many_are_told_again_once_there_is_room(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "_MOST_OF_ONE", 2)
    push(backend, *(asked(question_id=each) for each in "abc"))
    qtbot.waitUntil(lambda: question_ids(feed) == ["a", "b"], timeout=PATIENCE)
    backend.script["subscribe"] = begin_with(asked(question_id="b"), asked(question_id="c"))
    feed._anew.setInterval(0)
    feed.close_question("a")
    qtbot.waitUntil(lambda: question_ids(feed) == ["b", "c"], timeout=PATIENCE)


def test_a_session_whose_beginning_was_told_is_not_looked_up(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    backend.script["get_session"] = lambda session_id: pytest.fail("it is known")
    made = IpcEvent(type="session.created")
    made.event.session_created.session.id = "ses_child"
    made.event.session_created.session.parent_id = "ses_1"
    parent = IpcEvent(type="session.updated")
    parent.event.session_updated.session.id = "ses_1"
    with qtbot.waitSignals([feed.sessions_told, feed.changed], timeout=PATIENCE):
        push(backend, made, parent, asked("ses_child"))
    qtbot.waitUntil(lambda: question_ids(feed) == ["per_1"], timeout=PATIENCE)


def test_after_a_gap_only_what_is_told_again_counts(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    push(backend, BUSY, asked())
    qtbot.waitUntil(lambda: question_ids(feed) == ["per_1"], timeout=PATIENCE)
    with qtbot.waitSignal(feed.missed, timeout=PATIENCE):
        push(backend, IpcEvent(type="gateway.resubscribed"), status("ses_2", "busy"))
    wait_busy(qtbot, feed, "ses_2")
    assert question_ids(feed) == ["per_1"]  # or an answer would go while it is written
    feed._doubt.start(0)
    qtbot.waitUntil(lambda: question_ids(feed) == [], timeout=PATIENCE)


def test_missing_events_have_what_is_so_now_asked_for_once(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    """And what is known stays until then, or somebody's answer would go while it is written."""
    push(backend, BUSY, asked(question_id="a"), asked(question_id="b"))
    qtbot.waitUntil(lambda: question_ids(feed) == ["a", "b"], timeout=PATIENCE)
    held = backend.script["subscribe"] = Held(begin_with(asked(question_id="a")))
    feed._anew.setInterval(0)
    feed._doubt.setInterval(100)
    with qtbot.waitSignal(feed.missed, timeout=PATIENCE):
        feed._missed(3)
    feed._missed(4)  # in the same flood
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    qtbot.waitUntil(backend.streams[0].closed.is_set, timeout=PATIENCE)
    assert question_ids(feed) == ["a", "b"]
    held.go_on.set()
    qtbot.waitUntil(lambda: question_ids(feed) == ["a"], timeout=PATIENCE)
    assert len(backend.streams) == 2


def test_when_nothing_goes_on_any_more_that_is_told_as_well(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    push(backend, BUSY)
    wait_busy(qtbot, feed, "ses_1")
    feed._anew.setInterval(0)
    with qtbot.waitSignal(feed.changed, timeout=PATIENCE, check_params_cb=lambda: not feed.at_work):
        feed._missed(3)


def test_a_stream_that_ends_takes_along_what_it_told(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    push(backend, BUSY, asked())
    wait_busy(qtbot, feed, "ses_1")
    backend.streams[0].end("the server has ended")
    wait_busy(qtbot, feed)
    assert question_ids(feed) == []


def test_a_stream_that_the_backend_has_ended_is_opened_again_once_that_answers_a_call(
    qtbot: QtBot, service: Service, feed: ActivityFeed, backend: Backend
) -> None:
    """And not before: to ask for events would start an OpenCode that somebody has ended."""
    feed._anew.setInterval(0)
    feed.resume()
    ended = threading.Event()
    feed.changed.connect(ended.set)
    backend.streams[0].end("the server has ended")
    qtbot.waitUntil(ended.is_set, timeout=PATIENCE)
    backend.script["list_sessions"] = Held(lambda: [])
    service.list_sessions(lambda sessions: None)
    qtbot.waitUntil(backend.script["list_sessions"].begun.is_set, timeout=PATIENCE)
    assert len(backend.streams) == 1
    backend.script["subscribe"] = begin_with(BUSY)
    backend.script["list_sessions"].go_on.set()
    wait_busy(qtbot, feed, "ses_1")
    assert len(backend.streams) == 2


@pytest.mark.parametrize(
    ("info", "is_there"),
    [
        (IpcBackendInfo(backend="opencode", server_version="1.18.33"), True),
        (IpcBackendInfo(backend="embedded"), True),
        (IpcBackendInfo(backend="opencode", description="OpenCode, not running"), False),
    ],
)
def test_a_stream_that_has_ended_is_opened_again_when_the_server_is_seen(
    qtbot: QtBot,
    service: Service,
    feed: ActivityFeed,
    backend: Backend,
    info: IpcBackendInfo,
    is_there: bool,
) -> None:
    feed._anew.setInterval(PATIENCE)
    backend.backend_info = lambda *, deadline: info  # type: ignore[method-assign]
    push(backend, BUSY)
    wait_busy(qtbot, feed, "ses_1")
    backend.streams[0].end("the server has ended")
    wait_busy(qtbot, feed)
    with qtbot.waitSignal(service.backend_identified, timeout=PATIENCE):
        service._measure()
    assert feed._anew.isActive() is is_there


def test_a_backend_without_events_is_not_asked_for_them_again(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(stream: Stream) -> None:
        raise BackendError(ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED, "there are no events")

    def ended(error: BaseException | None) -> None:
        take(error)
        errors.append(error)

    errors: list[BaseException | None] = []
    take = feed._ended
    monkeypatch.setattr(feed, "_ended", ended)
    backend.script["subscribe"] = refuse
    feed.begin()
    qtbot.waitUntil(lambda: len(errors) == 1, timeout=PATIENCE)
    feed.resume()
    assert not feed._anew.isActive()


def test_nothing_of_a_backend_that_was_left_stays(
    qtbot: QtBot, service: Service, feed: ActivityFeed, backend: Backend
) -> None:
    held = backend.script["get_session"] = Held(lambda session_id: OcSessionInfo(parent_id="x"))
    push(backend, BUSY, asked())
    qtbot.waitUntil(held.begun.is_set, timeout=PATIENCE)
    other = Backend()
    other.script["subscribe"] = begin_with(status("ses_2", "busy"))
    gateway = start(other)
    try:
        with qtbot.waitSignal(service.connected, timeout=PATIENCE):
            service.use_address(config_of(gateway))
        wait_busy(qtbot, feed, "ses_2")
        assert feed.waiting == frozenset()
        assert feed._book.unplaced == []
        assert not feed._lookups._calls
    finally:
        held.go_on.set()
        gateway.stop(1)


def test_a_lost_connection_leaves_nobody_at_work_but_ourselves(
    qtbot: QtBot, service: Service, feed: ActivityFeed, backend: Backend
) -> None:
    push(backend, status("ses_2", "busy"))
    feed.run_began("ses_1")
    wait_busy(qtbot, feed, "ses_1", "ses_2")
    closing = threading.Thread(target=service.client.close, name="close-of-a-test")
    closing.start()
    wait_busy(qtbot, feed, "ses_1")
    closing.join(PATIENCE / 1000)


def test_what_is_told_late_of_a_run_of_ours_is_not_taken_for_others(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_SETTLE_MS", 20)
    feed.run_began("ses_1")
    feed.run_ended("ses_1")
    assert feed.at_work == frozenset()
    push(backend, BUSY)
    with qtbot.waitSignal(
        feed.worked,
        timeout=PATIENCE,
        check_params_cb=lambda *told: feed.others_at_work("ses_1"),
    ) as worked:
        pass
    assert worked.args == ["ses_1", True]


def test_no_thread_to_spare_is_no_error(
    service: Service, feed: ActivityFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(*arguments: object, **others: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(service.dispatcher, "follow", follow)
    feed.begin()
    assert feed.at_work == frozenset()


def test_a_flood_of_questions_never_holds_the_window(
    service: Service, feed: ActivityFeed, backend: Backend
) -> None:
    """As fast as they can be brought, among them some of megabytes."""
    big = json.dumps({"metadata": {"diff": ["+ a line of it"] * 200_000}})

    def flood(stream: Stream, over: threading.Event) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            event = asked(f"ses_{number}", f"per_{number}")
            if number % 500 == 0:
                event.properties_json = big
            stream.push(event)

    def follow(watch: Watch) -> None:
        streams = len(backend.streams)
        watch.during(feed.begin)
        watch.until(lambda: len(backend.streams) > streams)
        over = threading.Event()
        source = threading.Thread(
            target=flood, args=(backend.streams[-1], over), name="flood-of-a-test", daemon=True
        )
        try:
            source.start()
            watch.until(lambda: len(feed.waiting) > 500)
        finally:
            over.set()
            source.join(PATIENCE / 1000)

    never_held(follow)


def test_many_open_questions_do_not_make_other_events_dear(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    """Asked far below the session that is told to wait, which is the dearest."""
    for number in range(30):
        feed._book.place(f"ses_{number + 1}", f"ses_{number}")
    feed._book.place("ses_0", "")
    push(backend, *(asked(f"ses_{number % 30}", f"per_{number}") for number in range(1_000)))
    qtbot.waitUntil(lambda: len(feed.questions_of("ses_0")) == 1_000, timeout=PATIENCE)

    def follow(watch: Watch) -> None:
        push(backend, *(status(f"other_{number}", "idle") for number in range(1_000)))
        push(backend, status("last", "busy"))
        watch.until(lambda: "last" in feed.at_work)
        feed._book.work("last", busy=False)

    never_held(follow)


def test_sessions_that_change_come_in_one_piece(
    qtbot: QtBot, feed: ActivityFeed, backend: Backend
) -> None:
    changed = IpcEvent(type="session.updated")
    changed.event.session_updated.session.CopyFrom(session(1, "another"))
    with qtbot.waitSignal(feed.sessions_told, timeout=PATIENCE) as told:
        push(backend, changed)
    assert [each.session.title for each in told.args[0]] == ["another"]
