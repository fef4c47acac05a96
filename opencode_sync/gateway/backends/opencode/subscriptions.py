"""One client's subscription: which of the server's events it wants, from when on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import EventSink, Subscription, check_session_id
from opencode_sync.gateway.backends.event_types import EventTypes
from opencode_sync.gateway.backends.opencode.beginning import Beginning
from opencode_sync.gateway.backends.opencode.errors import server_error
from opencode_sync.gateway.backends.opencode.events.current import known_folders
from opencode_sync.gateway.backends.opencode.events.readings import Readings
from opencode_sync.gateway.backends.opencode.http.breaker import Breaker
from opencode_sync.gateway.backends.opencode.listener import Listener, SessionTree
from opencode_sync.gateway.backends.opencode.lookups import session_document, session_tree
from opencode_sync.gateway.backends.opencode.project import Project
from opencode_sync.wire.ext_event_pb2 import IpcSubscribeRequest

__all__ = ["subscribe"]


def subscribe(
    project: Project, request: IpcSubscribeRequest, sink: EventSink, deadline: Deadline
) -> Subscription:
    """See ``OpenCodeBackend.subscribe``."""
    types, breaker = EventTypes(request.types), Breaker()
    events, tree = project.binding.events, None
    if request.HasField("session_id"):
        tree = SessionTree({check_session_id(request.session_id)})
    elif not request.current:
        listener = Listener(sink, types, directory=project.directory)
        return events.subscribe(listener, deadline=deadline, opened=sink.opened)
    listener = Listener(
        sink,
        types,
        directory=project.directory,
        tree=tree,
        held=True,
        hurry=breaker.trip,
    )
    # Subscribed first and asked then: what happens in between is not passed over.
    subscription = events.subscribe(listener, deadline=deadline)
    try:
        folders = _folders(project)
        if tree is not None:
            family = session_tree(project.binding, request.session_id, deadline)
            tree.add(family)
            if request.current:
                folders = _folders_of(project, request.session_id, family, deadline)
        if not subscription.in_turn(listener.open, deadline=deadline):
            raise server_error(f"the events have ended: {listener.end}")
        if not request.current:
            subscription.in_turn(listener.release, deadline=deadline)
            return subscription
        beginning = Beginning(
            project.binding, subscription, listener, breaker, folders, types, tree
        )
        beginning.start()
    except BaseException:
        subscription.close()
        raise
    return beginning


def _folders(project: Project) -> Callable[[Readings], Iterable[str]]:
    """Return the folders where something may be going on that the project's events tell."""
    directory = project.directory
    if directory is not None:
        return lambda _: [directory]
    return lambda readings: known_folders(readings, project.binding.events)


def _folders_of(
    project: Project, session_id: str, family: dict[str, str], deadline: Deadline
) -> Callable[[Readings], Iterable[str]]:
    """Return those of a session and of the sessions below it, as ``session_tree`` found them."""
    own = session_document(project.binding, session_id, deadline).get("directory")
    folders = dict.fromkeys([own if isinstance(own, str) else "", *family.values()])
    return lambda _: [each for each in folders if each]
