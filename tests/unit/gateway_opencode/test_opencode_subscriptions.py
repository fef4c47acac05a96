"""A subscription's events: which of the hub's get to the sink, and when."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from opencode_sync.deadline import Deadline
from opencode_sync.errors import error_code_name
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.opencode import listener as opencode_listener
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.reader import OpenCodeEvent
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.gateway.backends.opencode.subscriptions import subscribe
from opencode_sync.wire import ext_event_pb2


class Hub:
    """A hub whose events a test sends itself, and a server whose answers it gives."""

    def __init__(self):
        self.events = self
        self.listener = None
        self.closed = 0
        self.ended = False
        self.meanwhile = lambda: None
        self.children = {}

    def subscribe(self, listener, *, deadline, opened=None):
        self.listener = listener
        self.turn = threading.RLock()  # guards the calls of the listener
        if opened is not None:
            opened()
        return self

    def in_turn(self, method, *arguments, deadline=None):
        with self.turn:
            if not self.ended:
                method(*arguments)
            return not self.ended

    def end(self, reason):
        with self.turn:
            self.listener.ended(reason)
            self.ended = True

    def close(self):
        self.closed += 1

    def call(self, method, path, query, deadline, body=None):
        self.meanwhile()
        assert (method, path.rpartition("/")[2]) == ("GET", "children")
        children = self.children.get(path.split("/")[2], [])
        if isinstance(children, BackendError):
            raise children
        return [{"id": each} for each in children]

    def send(self, kind, session_id="", directory="/p", parent=None):
        properties = {"sessionID": session_id} if session_id else {}
        if kind in ("session.created", "session.updated", "session.deleted"):
            properties["info"] = {"id": session_id, "parentID": parent}
        with self.turn:
            self.listener.event(OpenCodeEvent(kind, properties, directory=directory))


class Sink:
    def __init__(self):
        self.seen = []

    def opened(self):
        self.seen.append("opened")

    def event(self, event):
        self.seen.append((event.type, event.session_id))

    def ended(self, reason):
        self.seen.append(reason)


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def sink():
    return Sink()


def begin(hub, sink, *types, session_id=None, directory=None):
    request = ext_event_pb2.IpcSubscribeRequest(types=types, session_id=session_id)
    return subscribe(Project(hub, directory), request, sink, Deadline.after(20))


# Which types...


def test_without_types_all_come_but_the_servers_noise(hub, sink):
    begin(hub, sink)
    for kind in ("server.heartbeat", "plugin.added", "of.a.later.version", "catalog.updated"):
        hub.send(kind)
    hub.send("session.idle", "ses_1")
    hub.listener.resubscribed()
    assert sink.seen == [
        "opened",
        ("of.a.later.version", ""),
        ("session.idle", "ses_1"),
        ("gateway.resubscribed", ""),
    ]


def test_with_types_only_those_come(hub, sink):
    begin(hub, sink, "session.*", "plugin.added")
    for kind in ("session.idle", "session.next.step", "sessions", "plugin.added", "plugin.removed"):
        hub.send(kind)
    hub.listener.resubscribed()
    assert [kind for kind, _ in sink.seen[1:]] == [
        "session.idle",
        "session.next.step",
        "plugin.added",
    ]


def test_a_resubscription_can_be_asked_for(hub, sink):
    begin(hub, sink, "gateway.*")
    hub.send("session.idle")
    hub.listener.resubscribed()
    assert sink.seen == ["opened", ("gateway.resubscribed", "")]


@pytest.mark.parametrize("name", ["", " ", "*", ".*", "session.*.x", "se*", "*.updated"])
def test_what_is_no_type_is_refused(hub, sink, name):
    with pytest.raises(BackendError, match="types: ") as caught:
        begin(hub, sink, "session.idle", name)
    assert error_code_name(caught.value.code) == "INVALID_MESSAGE"
    assert (hub.listener, sink.seen) == (None, [])


def test_types_of_a_subscription():
    assert "session.idle" in EventTypes(["session.idle"])
    assert "session.idle.x" not in EventTypes(["session.idle"])
    assert "server.heartbeat" in EventTypes(["server.*"])
    assert "server.heartbeat" not in EventTypes([])


# Which project...


def test_a_projects_events_and_those_of_the_whole_server(hub, sink):
    begin(hub, sink, directory="/p")
    hub.send("session.idle", "ses_1", directory="/q")
    hub.send("session.idle", "ses_2", directory="/p/below")
    hub.send("session.idle", "ses_3", directory="/p")
    hub.send("installation.updated", directory="")
    assert sink.seen[1:] == [("session.idle", "ses_3"), ("installation.updated", "")]


def test_without_a_project_those_of_all(hub, sink):
    begin(hub, sink)
    hub.send("session.idle", "ses_1", directory="/q")
    hub.send("session.idle", "ses_2", directory="/p")
    assert len(sink.seen) == 3


# Which sessions...


def test_a_session_and_those_below_it_wherever_they_are(hub, sink):
    hub.children = {"ses_1": ["ses_2"], "ses_2": ["ses_3"]}
    begin(hub, sink, session_id="ses_1", directory="/q")
    for session_id in ("ses_1", "ses_2", "ses_3", "ses_4", ""):
        hub.send("session.idle", session_id)
    assert [session_id for _, session_id in sink.seen[1:]] == ["ses_1", "ses_2", "ses_3"]


def test_sessions_that_come_to_be_below_it_are_learned_of(hub, sink):
    begin(hub, sink, session_id="ses_1")
    hub.send("session.idle", "ses_2")
    hub.send("session.created", "ses_2", parent="ses_1")
    hub.send("session.updated", "ses_3", parent="ses_2")
    hub.send("session.created", "ses_4", parent="ses_0")
    hub.send("session.created", "ses_5")
    for session_id in ("ses_2", "ses_3", "ses_4", "ses_5"):
        hub.send("session.idle", session_id)
    hub.listener.event(OpenCodeEvent("session.created", {"sessionID": "ses_6", "info": 7}))
    assert sink.seen[1:] == [
        ("session.created", "ses_2"),
        ("session.updated", "ses_3"),
        ("session.idle", "ses_2"),
        ("session.idle", "ses_3"),
    ]


def test_a_session_is_learned_of_also_when_its_creation_is_not_wanted(hub, sink):
    begin(hub, sink, "session.idle", session_id="ses_1")
    hub.send("session.created", "ses_2", parent="ses_1")
    hub.send("session.idle", "ses_2")
    assert sink.seen == ["opened", ("session.idle", "ses_2")]


def test_what_happens_while_the_sessions_are_looked_up_comes_after_the_opening(hub, sink):
    hub.children = {"ses_1": ["ses_2"]}
    once = iter([None])

    def meanwhile():
        for _ in once:
            hub.send("session.idle", "ses_2")
            hub.send("session.idle", "ses_9")
            hub.listener.resubscribed()

    hub.meanwhile = meanwhile
    begin(hub, sink, session_id="ses_1")
    hub.send("session.idle", "ses_1")
    assert sink.seen == [
        "opened",
        ("session.idle", "ses_2"),
        ("gateway.resubscribed", ""),
        ("session.idle", "ses_1"),
    ]


@pytest.mark.parametrize(
    ("then", "seen"),
    [
        (lambda hub: hub.send("session.idle", "ses_1"), ("session.idle", "ses_1")),
        (lambda hub: hub.end("the server was stopped"), "the server was stopped"),
    ],
    ids=["event", "end"],
)
def test_what_comes_while_the_kept_events_are_handed_on_comes_after_them(hub, sink, then, seen):
    hub.meanwhile = lambda: [hub.send("session.idle", f"ses_{each}") for each in (2, 3)]
    hub.children = {"ses_1": ["ses_2", "ses_3"]}
    with ThreadPoolExecutor(1) as pool:
        handed, coming = threading.Event(), []

        def come():
            assert handed.wait(20)
            then(hub)

        def event(event):
            sink.seen.append((event.type, event.session_id))
            handed.set()

        sink.event = event
        coming.append(pool.submit(come))
        begin(hub, sink, session_id="ses_1")
        coming[0].result(20)
    assert sink.seen[-1] == seen
    assert ("session.idle", "ses_3") in sink.seen[:-1]


def test_a_session_made_while_the_others_are_looked_up_is_learned_of(hub, sink):
    """Its events come after its creation, and so does who begins to hear them."""
    hub.meanwhile = lambda: hub.send("session.created", "ses_2", parent="ses_1")
    begin(hub, sink, "session.idle", session_id="ses_1")
    hub.send("session.idle", "ses_2")
    assert sink.seen == ["opened", ("session.idle", "ses_2")]


def test_what_nobody_wants_is_not_kept(hub, sink, monkeypatch):
    monkeypatch.setattr(opencode_listener, "_MOST_HELD", 2)

    def meanwhile():
        for _ in range(10):
            hub.send("message.part.delta", "ses_1")
            hub.send("session.idle")

    hub.meanwhile = meanwhile
    begin(hub, sink, "session.*", session_id="ses_1")
    assert sink.seen == ["opened"]


@pytest.mark.parametrize("session_id", ["", "nope"])
def test_a_malformed_session_id_is_refused(hub, sink, session_id):
    with pytest.raises(BackendError, match="session_id must be"):
        begin(hub, sink, session_id=session_id)
    assert hub.listener is None


def test_a_failed_look_up_ends_the_subscription(hub, sink):
    hub.children = {"ses_1": server_error("no children")}
    with pytest.raises(BackendError, match="no children"):
        begin(hub, sink, session_id="ses_1")
    assert (hub.closed, sink.seen) == (1, [])


def test_too_many_events_to_keep_end_the_subscription(hub, sink, monkeypatch):
    monkeypatch.setattr(opencode_listener, "_MOST_HELD", 2)
    hub.meanwhile = lambda: [hub.send("session.idle", "ses_1") for _ in range(3)]
    with pytest.raises(BackendError, match="more than 2 events"):
        begin(hub, sink, session_id="ses_1")
    assert (hub.closed, sink.seen) == (1, [])


# The end...


def test_the_hubs_end_is_the_sinks(hub, sink):
    begin(hub, sink)
    hub.end("the server was stopped")
    assert sink.seen == ["opened", "the server was stopped"]


def test_an_end_before_the_opening_is_an_error(hub, sink):
    hub.meanwhile = lambda: hub.end("the server was stopped")
    with pytest.raises(BackendError, match="the events have ended: the server was stopped"):
        begin(hub, sink, session_id="ses_1")
    assert (hub.closed, sink.seen) == (1, [])


def test_closing_is_the_hubs(hub, sink):
    begin(hub, sink).close()
    assert hub.closed == 1
