"""Events of the embedded store: what is changed through it is told, in OpenCode's shapes."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from opencode_sync.deadline import Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend
from opencode_sync.gateway.backends import session_events
from opencode_sync.gateway.backends.base import Subscription
from opencode_sync.wire import ipc_pb2
from opencode_sync.wire.ext_event_pb2 import IpcEvent, IpcSubscribeRequest
from tests.unit.gateway.doubles import PATIENCE

pytestmark = pytest.mark.usefixtures("nothing_left")

FOLDER = str(Path("/project").absolute())

ROW = ("ses_1", "global", FOLDER, "one", "1", 1, 1, None)
"""A session in the file."""


def soon() -> Deadline:
    return Deadline.after(PATIENCE)


class Sink:
    """Keeps what it gets; ``then`` is done with each event."""

    def __init__(self) -> None:
        self.got: list[IpcEvent | str] = []
        self.then: Callable[[IpcEvent], object] = lambda event: None

    def opened(self) -> None:
        self.got.append("opened")

    def event(self, event: IpcEvent) -> None:
        self.got.append(event)
        self.then(event)

    def ended(self, reason: str) -> None:
        self.got.append(f"ended: {reason}")

    @property
    def events(self) -> list[IpcEvent]:
        return [each for each in self.got if isinstance(each, IpcEvent)]

    @property
    def types(self) -> list[str]:
        return [each if isinstance(each, str) else each.type for each in self.got]


@pytest.fixture
def store(tmp_path: Path, nothing_left: None) -> Iterator[EmbeddedBackend]:
    backend = EmbeddedBackend(tmp_path / "sessions.db", directory="/project")
    backend.start()
    yield backend
    backend.close()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []
    logger.enable("opencode_sync")
    sink = logger.add(lambda line: lines.append(str(line)), level="ERROR")
    yield lines
    logger.remove(sink)
    logger.disable("opencode_sync")


def listen(store: EmbeddedBackend, *types: str, **asked: Any) -> tuple[Sink, Subscription]:
    sink = Sink()
    request = IpcSubscribeRequest(types=types, **asked)
    return sink, store.subscribe(request, sink, deadline=soon())


def test_what_is_changed_is_told_as_opencode_tells_it(store: EmbeddedBackend) -> None:
    sink, _ = listen(store)
    made = store.create_session("one", deadline=soon())
    renamed = store.update_session(made.id, title="two", archived=True, deadline=soon())
    assert store.delete_session(made.id, deadline=soon())
    assert sink.types == ["opened", "session.created", "session.updated", "session.deleted"]
    created, updated, deleted = sink.events
    assert {(each.session_id, each.directory) for each in sink.events} == {(made.id, FOLDER)}
    assert created.event.session_created.session == made
    assert updated.event.session_updated.session == renamed
    assert deleted.event.session_deleted.session_id == made.id
    assert [
        getattr(each.event, each.type.replace(".", "_")).type for each in sink.events
    ] == sink.types[1:]
    assert json.loads(created.properties_json) == {
        "sessionID": made.id,
        "info": {
            "id": made.id,
            "projectID": "global",
            "directory": FOLDER,
            "title": "one",
            "version": made.version,
            "time": {"created": made.time.created, "updated": made.time.updated},
        },
    }
    for each in (updated, deleted):
        info = json.loads(each.properties_json)["info"]
        assert (info["title"], info["time"]["archived"]) == ("two", renamed.time.archived)
    assert not any(each.replayed or each.id for each in sink.events)


def test_what_was_not_changed_is_not_told(store: EmbeddedBackend) -> None:
    sink, _ = listen(store)
    assert not store.delete_session("ses_none", deadline=soon())
    with pytest.raises(BackendError, match="has no session"):
        store.update_session("ses_none", title="x", archived=None, deadline=soon())

    def fail(writer: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("the disk is full")

    told = []
    with pytest.raises(BackendError, match="session store"):
        store._file.change(fail, soon(), lambda: told.append(1))
    assert (told, sink.types) == ([], ["opened"])


def test_nothing_is_ever_at_work_here(store: EmbeddedBackend) -> None:
    store.create_session("one", deadline=soon())
    sink, _ = listen(store, current=True)
    assert sink.types == ["opened"]


def test_only_what_was_asked_for_is_told(store: EmbeddedBackend) -> None:
    kept = store.create_session("kept", deadline=soon())
    by_type, _ = listen(store, "session.deleted", "message.*")
    by_beginning, _ = listen(store, "session.*")
    by_session, _ = listen(store, session_id=kept.id)
    other = store.create_session("other", deadline=soon())
    store.update_session(kept.id, title="still", archived=None, deadline=soon())
    store.delete_session(other.id, deadline=soon())
    assert by_type.types == ["opened", "session.deleted"]
    assert len(by_beginning.types) == 4
    assert by_session.types == ["opened", "session.updated"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"session_id": "nope"}, "session_id must be"),
        ({"session_id": "ses_none"}, "has no session ses_none"),
        ({"types": ["se*"]}, "types: 'se\\*' is no type of events"),
        ({"types": ["\x1b[0m*"]}, r"types: '\\x1b\[0m\*' is no"),
    ],
)
def test_what_cannot_be_is_refused(
    store: EmbeddedBackend, asked: dict[str, Any], words: str
) -> None:
    sink = Sink()
    with pytest.raises(BackendError, match=words) as caught:
        store.subscribe(IpcSubscribeRequest(**asked), sink, deadline=soon())
    assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
    assert sink.got == []


def test_the_last_that_is_told_of_a_session_is_what_it_is(store: EmbeddedBackend) -> None:
    """However many change it at once: the order is that of the commits."""
    made = store.create_session("0", deadline=soon())
    sink, _ = listen(store, "session.updated")
    ready = threading.Barrier(8)

    def rename(number: int) -> None:
        ready.wait(PATIENCE)
        for each in range(20):
            title = f"{number}.{each}"
            store.update_session(made.id, title=title, archived=None, deadline=soon())
            # Whoever changed it has been told of it by then.
            assert title in [one.event.session_updated.session.title for one in list(sink.events)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rename, range(8)))
    assert len(sink.events) == 160
    stored = store.get_session(made.id, deadline=soon())
    assert sink.events[-1].event.session_updated.session == stored


def test_a_subscriber_that_fails_costs_nobody_else_anything(
    store: EmbeddedBackend, logged: list[str]
) -> None:
    failing, _ = listen(store)
    other, _ = listen(store)
    failing.then = lambda event: 1 / 0
    made = store.create_session("one", deadline=soon())
    assert [each.session_id for each in other.events] == [made.id]
    assert "a subscriber to the session store failed" in "".join(logged)


def test_a_change_that_cannot_be_told_is_done_all_the_same(
    store: EmbeddedBackend, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, _ = listen(store)
    with monkeypatch.context() as patched:
        patched.setattr(session_events, "_event", lambda *change: 1 / 0)
        lost = store.create_session("lost", deadline=soon())
    made = store.create_session("one", deadline=soon())
    assert [each.session_id for each in sink.events] == [made.id]
    assert store.get_session(lost.id, deadline=soon()) == lost
    assert "a change of the session store was not told" in "".join(logged)


# The beginning...


def test_a_session_that_is_deleted_while_one_subscribes_is_told_or_refused(
    store: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never neither: whoever has subscribed to it waits for something that is."""
    look = store.get_session
    before, after = (store.create_session(name, deadline=soon()).id for name in ("a", "b"))

    def deleted_before(session_id: str, *, deadline: Deadline) -> object:
        store.delete_session(session_id, deadline=soon())
        return look(session_id, deadline=deadline)

    def deleted_after(session_id: str, *, deadline: Deadline) -> object:
        found = look(session_id, deadline=deadline)
        store.update_session(session_id, title="c", archived=None, deadline=soon())
        store.delete_session(session_id, deadline=soon())
        return found

    monkeypatch.setattr(store, "get_session", deleted_before)
    with pytest.raises(BackendError, match=f"has no session {before}"):
        listen(store, session_id=before)
    monkeypatch.setattr(store, "get_session", deleted_after)
    sink, _ = listen(store, session_id=after)
    assert sink.types == ["opened", "session.updated", "session.deleted"]


def test_what_is_changed_while_the_sink_is_opened_is_told(store: EmbeddedBackend) -> None:
    sink = Sink()
    ready, go_on = threading.Event(), threading.Event()

    def opened() -> None:
        sink.got.append("opened")
        ready.set()
        assert go_on.wait(PATIENCE)

    def create() -> None:
        assert ready.wait(PATIENCE)
        store._events.committed("session.created", ROW)  # as with the lock of the file held
        go_on.set()
        store._events.deliver()

    sink.opened = opened  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(create)
        store.subscribe(IpcSubscribeRequest(), sink, deadline=soon())
        creating.result(PATIENCE)
    assert sink.types == ["opened", "session.created"]


def test_a_sink_that_cannot_be_opened_gets_nothing(store: EmbeddedBackend) -> None:
    sink = Sink()
    sink.opened = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        store.subscribe(IpcSubscribeRequest(), sink, deadline=soon())
    store.create_session("one", deadline=soon())
    assert sink.got == []


def test_a_store_that_is_closed_while_one_subscribes(
    store: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.create_session("one", deadline=soon())
    monkeypatch.setattr(store, "get_session", lambda *_, **__: store.close())
    sink = Sink()
    with pytest.raises(BackendError, match="is closed"):
        store.subscribe(IpcSubscribeRequest(session_id=made.id), sink, deadline=soon())
    assert sink.got == []


# The end...


def test_who_has_left_is_told_nothing_more(store: EmbeddedBackend) -> None:
    sink, subscription = listen(store)
    store.create_session("one", deadline=soon())
    subscription.close()
    subscription.close()
    store.create_session("two", deadline=soon())
    store.close()
    assert sink.types == ["opened", "session.created"]


def test_one_may_leave_while_being_told(store: EmbeddedBackend) -> None:
    """Itself, or another that would be told next."""
    first, own = listen(store)
    second, others = listen(store)
    first.then = lambda event: (own.close(), others.close())
    store.create_session("one", deadline=soon())
    store.create_session("two", deadline=soon())
    assert (first.types, second.types) == (["opened", "session.created"], ["opened"])


def test_the_stores_end_is_told_and_others_come_after_the_next_start(
    store: EmbeddedBackend,
) -> None:
    sink, subscription = listen(store)
    store.close()
    subscription.close()
    with pytest.raises(BackendError, match="is closed"):
        listen(store)
    store.start()
    later, _ = listen(store)
    store.create_session("one", deadline=soon())
    assert sink.types == ["opened", "ended: the session store is closed"]
    assert later.types == ["opened", "session.created"]


def test_a_subscriber_that_fails_at_the_end_does_not_keep_the_store_open(
    store: EmbeddedBackend, logged: list[str]
) -> None:
    failing, _ = listen(store)
    other, _ = listen(store)
    failing.ended = lambda reason: 1 / 0  # type: ignore[method-assign]
    store.close()
    assert other.types == ["opened", "ended: the session store is closed"]
    assert "a subscriber to the session store failed" in "".join(logged)
