"""What one thread of a soak does, and what it knows of the sessions it has made.

What is known is bounded by the number of sessions that exist, whatever the number of requests.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

from opencode_sync import IpcClient, IpcError, IpcServerError
from opencode_sync.types import OcSessionInfo

__all__ = ["TIMEOUT", "Tally", "Worker"]

TIMEOUT: Final = 5.0
"""Seconds each request has."""

SLACK: Final = 5.0
"""Seconds a request may end late, on a busy machine."""

_KEPT: Final = 20
_BURST: Final = 16
_EXAMPLES: Final = 5


@dataclass
class Tally:
    """What happened to some requests."""

    requests: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By kind."""
    violations: Counter[str] = field(default_factory=Counter)
    """What must never happen, by kind."""
    examples: list[str] = field(default_factory=list)
    """The first violations in words."""

    def violate(self, kind: str, text: str) -> None:
        """Note a violation."""
        self.violations[kind] += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{kind}: {text}")

    def add(self, other: Tally) -> None:
        """Add what another one counted."""
        self.requests += other.requests
        self.answered += other.answered
        self.failures += other.failures
        self.violations += other.violations
        self.examples += other.examples


class Worker:
    """Makes, reads and deletes sessions, and verifies each answer. ``run`` is for one thread."""

    def __init__(self, name: str, seed: int, client: IpcClient, quota: int) -> None:
        """Prepare it.

        Args:
            name: Part of its sessions' titles, so that nobody else's can be taken for them.
            seed: Decides what it does, with the name.
            client: Shared with other workers.
            quota: How many requests it makes.
        """
        self.tally = Tally()
        self.live: dict[str, str] = {}
        """Titles of the sessions whose creation was answered, by id."""
        self.unsure: set[str] = set()
        """Titles of sessions that may or may not exist: the backend may have acted."""
        self.untouched: set[str] = set()
        """Titles of sessions that must not exist: their request was never sent."""
        self.busy_since = 0.0
        """When the request under way began (monotonic); 0 when there is none."""
        self.ended = False
        self._name = name
        self._chance = random.Random(f"soak/{seed}/{name}")
        self._client = client
        self._quota = quota
        self._made = 0

    def run(self, stop: threading.Event) -> None:
        """Work until the quota is reached, or somebody says stop."""
        try:
            while self.tally.requests < self._quota and not stop.is_set():
                self._step()
        except BaseException as error:
            self.tally.violate("unexpected exception", repr(error))
            raise
        finally:
            self.busy_since = 0.0
            self.ended = True

    def _step(self) -> None:
        chance = self._chance.random()
        if not self.live or chance < 0.1:
            self._create()
        elif len(self.live) > _KEPT or chance < 0.2:
            self._delete()
        elif chance < 0.75:
            self._get()
        elif chance < 0.97:
            self._check()
        elif chance < 0.9998:
            self._burst()
        else:
            self._list()

    # --- One request each ---

    def _create(self) -> None:
        self._made += 1
        title = f"{self._name}/{self._made}"
        begun = self._begin()
        try:
            session = self._client.create_session(title)
        except IpcError as error:
            self._failed(error, begun)
            if getattr(error, "request_sent", True):
                self.unsure.add(title)
            else:
                self.untouched.add(title)
            return
        self._answered(session.title == title and bool(session.id), f"{title} got {session}")
        if session.id in self.live:
            self.tally.violate("wrong answer", f"{title} got the id of {self.live[session.id]}")
        self.live[session.id] = title

    def _delete(self) -> None:
        session_id = next(iter(self.live))
        title = self.live.pop(session_id)
        begun = self._begin()
        try:
            deleted = self._client.delete_session(session_id)
        except IpcError as error:
            self._failed(error, begun)
            if getattr(error, "request_sent", True):
                self.unsure.add(title)
            else:
                self.live[session_id] = title
            return
        if not deleted:
            self.tally.violate("lost", f"{title} was gone before it was deleted")
        self._answered(True, "")

    def _get(self) -> None:
        session_id = self._chance.choice(list(self.live))
        begun = self._begin()
        try:
            session = self._client.get_session(session_id)
        except IpcError as error:
            self._failed(error, begun)
            return
        self._check_session(session_id, session)

    def _check(self) -> None:
        begun = self._begin()
        try:
            healthy = self._client.check_server_health()
        except IpcError as error:
            self._failed(error, begun)
            return
        self._answered(healthy is True, f"the health is {healthy}")

    def _list(self) -> None:
        begun = self._begin()
        try:
            listed = self._client.list_sessions()
        except IpcError as error:
            self._failed(error, begun)
            return
        found = Counter(session.title for session in listed)
        for title in self.live.values():
            if found[title] != 1:
                kind = "duplicated" if found[title] else "lost"
                self.tally.violate(kind, f"{title} is listed {found[title]} times")
        self._answered(True, "")

    # --- Many at once ---

    def _burst(self) -> None:
        ended: SimpleQueue[str] = SimpleQueue()  # one entry for each end, by the notifier thread
        chosen = [self._chance.choice(list(self.live)) for _ in range(_BURST)]
        futures: list[tuple[str, Future[OcSessionInfo]]] = []
        begun = self._begin(len(chosen))
        for session_id in chosen:
            future = self._client.futures.get_session(session_id)
            future.add_done_callback(partial(_note, ended, session_id))
            futures.append((session_id, future))
        pending = wait([future for _, future in futures], TIMEOUT + SLACK).not_done
        for session_id, future in futures:
            if future in pending:
                self.tally.violate("hung", f"a future of {session_id} did not end")
                continue
            error = future.exception()
            if error is None:
                self._check_session(session_id, future.result())
            elif isinstance(error, IpcError):
                self._failed(error, begun)
            else:
                self.tally.violate("unexpected exception", repr(error))
        if not pending:
            self._compare_ends(ended, chosen)

    def _compare_ends(self, ended: SimpleQueue[str], chosen: list[str]) -> None:
        came: list[str] = []
        with suppress(Empty):
            # Callbacks may run a moment after their future's waiters are woken.
            came.extend(ended.get(timeout=SLACK) for _ in chosen)
            while True:  # none may come twice
                came.append(ended.get_nowait())
        if Counter(came) != Counter(chosen):
            kind = "lost" if len(came) < len(chosen) else "duplicated"
            self.tally.violate(kind, f"{len(came)} callbacks of {len(chosen)} futures")

    # --- Inner steps ---

    def _begin(self, count: int = 1) -> float:
        self.tally.requests += count
        self.busy_since = now = time.monotonic()
        return now

    def _answered(self, right: bool, text: str) -> None:
        self.busy_since = 0.0
        self.tally.answered += 1
        if not right:
            self.tally.violate("wrong answer", text)

    def _check_session(self, session_id: str, session: OcSessionInfo) -> None:
        title = self.live[session_id]
        right = session.id == session_id and session.title == title
        self._answered(right, f"{title} got {session}")

    def _failed(self, error: IpcError, begun: float) -> None:
        self.busy_since = 0.0
        sent = getattr(error, "request_sent", None)
        told = {True: ", may have been done", False: ", was not done", None: ""}[sent]
        self.tally.failures[type(error).__name__ + told] += 1
        took = time.monotonic() - begun
        if took > TIMEOUT + SLACK:
            self.tally.violate("late", f"{error} came after {took:.1f} s")
        if isinstance(error, IpcServerError):
            # Everything that is asked for is there, and nothing asked for is wrong.
            self.tally.violate("lost", str(error))


def _note(ended: SimpleQueue[str], session_id: str, future: Future[Any]) -> None:
    ended.put(session_id)
