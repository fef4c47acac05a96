"""Reading from OpenCode what its events would have told whoever had listened.

OpenCode replays nothing, but most of what is so can be asked for: after a loss of the events
(``replay``), and by who begins to listen (``current``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.opencode.http.client import OpenCodeHttp, RefusedError
from opencode_sync.wire import ipc_pb2

__all__ = [
    "MISSING",
    "STATUS",
    "UNREADABLE",
    "Finding",
    "Readings",
    "listed_in",
    "questions",
    "states",
    "status_of",
]

MISSING, UNREADABLE = object(), object()

STATUS = "session.status"

_ASKED = (("/permission", "permission.asked"), ("/question", "question.asked"))
_CALL_TIMEOUT = 5.0


class Finding(NamedTuple):
    """Something that is so by now, in the shape of the event that would have told it."""

    type: str
    properties: dict[str, Any]
    directory: str


class Readings:
    """Reads what can be read, until a deadline; what cannot be is left out. For one thread."""

    def __init__(
        self,
        http: OpenCodeHttp,
        deadline: Deadline,
        *,
        stopped: Callable[[], bool],
        failed: Callable[[BackendError], object],
    ) -> None:
        """Do no I/O.

        Args:
            http: The server.
            deadline: For all that is read.
            stopped: Whether to give up.
            failed: Told why something could not be read.
        """
        self._http = http
        self._deadline = deadline
        self._stopped = stopped
        self._failed = failed
        self._gone = False

    @property
    def over(self) -> bool:
        """Whether nothing is read any more."""
        return self._gone or self._stopped() or self._deadline.passed()

    def get(
        self, path: str, directory: str, *, deadline: Deadline | None = None, **query: str
    ) -> Any:
        """Return an answer: None if there is none; MISSING for 404, UNREADABLE for 400.

        Args:
            path: What to ask for.
            directory: Which project's; "" for the one of the server's own folder.
            deadline: For this call, if it has one of its own.
            query: More parameters.
        """
        if self.over:
            return None
        if directory:
            query["directory"] = directory
        soon = self._deadline.earlier(Deadline.after(_CALL_TIMEOUT))
        if deadline is not None:
            soon = soon.earlier(deadline)
        try:
            return self._http.call("GET", path, query=query, deadline=soon)
        except BackendError as error:
            if self._stopped():
                return None  # it may have been broken off for that
            if isinstance(error, RefusedError) and error.refusal.is_not_found:
                return MISSING
            if isinstance(error, RefusedError) and error.refusal.status == 400:
                return UNREADABLE
            # Without a server there is no use in asking it for the rest.
            self._gone = error.code == ipc_pb2.IPC_ERROR_CODE_NO_SERVER
            self._failed(error)
            return None

    def objects(
        self, path: str, directory: str, *, deadline: Deadline | None = None, **query: str
    ) -> list[dict[str, Any]]:
        """Return the objects that a list holds, none if it cannot be read."""
        listed = self.get(path, directory, deadline=deadline, **query)
        return [each for each in listed_in(listed) if isinstance(each, dict)]


def listed_in(value: object) -> list[Any]:
    """Return a value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def questions(
    readings: Readings, directory: str, *, deadline: Deadline | None = None
) -> Iterator[Finding]:
    """Give the questions of a project that OpenCode lists as open, the stale ones included."""
    for path, kind in _ASKED:
        for asked in readings.objects(path, directory, deadline=deadline):
            yield Finding(kind, asked, directory)


def states(
    readings: Readings, directory: str, *, deadline: Deadline | None = None
) -> dict[str, Any] | None:
    """Return the states of a project's sessions by id, idle ones left out; None if not known."""
    answer = readings.get("/session/status", directory, deadline=deadline)
    return answer if isinstance(answer, dict) else None


def status_of(session_id: str, status: object, directory: str) -> Finding:
    """Return what tells a session's state."""
    return Finding(STATUS, {"sessionID": session_id, "status": status}, directory)
