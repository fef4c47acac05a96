"""What can stand in the place of the session store's file: damage of every kind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from opencode_sync.deadline import Deadline
from opencode_sync.gateway.app_config import AppConfigStore
from opencode_sync.gateway.backends.base import BackendError
from opencode_sync.gateway.backends.embedded import EmbeddedBackend
from opencode_sync.wire import oc_session_pb2
from tests.fuzz.chooser import Chooser, changed_bytes

WAIT = 10.0
_SIDES = ("", "-wal", "-journal")
"""The files of a store: the database, its log of changes, and what an older format had."""


class Store:
    """A damaged file: a clear error, or a store that keeps what it accepts."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="opencode-sync-fuzz-")
        self._path = Path(self._folder.name) / "sessions.db"
        self._config = AppConfigStore(Path(self._folder.name) / "config.json")
        self._seeds = self._made()

    def _made(self) -> list[tuple[bytes, bytes]]:
        """Return whole stores: after an orderly end, and as ``kill -9`` leaves one."""
        store = self._backend()
        store.start()
        for number in range(60):
            store.create_session(f"session {number}", deadline=Deadline.after(WAIT))
        killed = (self._bytes(""), self._bytes("-wal"))
        store.close()
        ended = (self._bytes(""), b"")
        self._path.unlink()
        return [ended, killed, (b"", b"")]

    def _backend(self) -> EmbeddedBackend:
        return EmbeddedBackend(self._path, directory="/p", config=self._config)

    def _bytes(self, side: str) -> bytes:
        path = Path(f"{self._path}{side}")
        return path.read_bytes() if path.exists() else b""

    def __call__(self, data: bytes) -> None:
        chooser = Chooser(data)
        database, log = chooser.pick(self._seeds)
        for side in (*_SIDES, "-shm"):
            Path(f"{self._path}{side}").unlink(missing_ok=True)
        self._path.write_bytes(_damaged(chooser, database))
        if log:
            Path(f"{self._path}-wal").write_bytes(_damaged(chooser, log))
        accepted = self._use(chooser)
        if accepted:
            self._look(accepted)

    def _use(self, chooser: Chooser) -> dict[str, str]:
        """Work with the store; returns the titles of the sessions that it took, by id."""
        accepted: dict[str, str] = {}
        with _clearly(), closing(self._backend()) as store:
            store.start()
            for number in range(1 + chooser.number(4)):
                deadline = Deadline.after(WAIT)
                with _clearly():
                    session = store.create_session(f"new {number}", deadline=deadline)
                    accepted[session.id] = session.title
                with _clearly():
                    listed = _readable(store.list_sessions(deadline=deadline))
                    if listed:
                        other = chooser.pick(listed)
                        if chooser.number(2):
                            store.update_session(
                                other.id, title="renamed", archived=None, deadline=deadline
                            )
                            if other.id in accepted:
                                accepted[other.id] = "renamed"
                        elif store.delete_session(other.id, deadline=deadline):
                            accepted.pop(other.id, None)
        return accepted

    def _look(self, accepted: dict[str, str]) -> None:
        """A store that can be opened and read has what it took, or says that it is damaged."""
        with _clearly(), closing(self._backend()) as store:
            store.start()
            listed = _readable(store.list_sessions(deadline=Deadline.after(WAIT)))
            kept = {session.id: session.title for session in listed}
            assert accepted.items() <= kept.items(), (accepted, kept)

    def close(self) -> None:
        self._folder.cleanup()


def _readable(sessions: list[oc_session_pb2.OcSessionInfo]) -> list[oc_session_pb2.OcSessionInfo]:
    for session in sessions:
        session.FromString(session.SerializeToString())
    return sessions


@contextmanager
def _clearly() -> Iterator[None]:
    """Let errors of ours pass that say what is wrong with which file, and nothing else."""
    said = "nothing about sessions.db"
    try:
        yield
    except BackendError as error:
        said = error.message
    said.encode()
    assert "sessions.db" in said, said


def _damaged(chooser: Chooser, content: bytes) -> bytes:
    """Return a file with bytes changed, blocks swapped or zeroed, or its end cut off."""
    if not content or chooser.number(16) == 1:
        return changed_bytes(chooser, [content, b"SQLite format 3\x00", b"text"])
    damaged = bytearray(content)
    pages = len(damaged) // 4096 or 1
    while chooser.more:
        page = chooser.number(pages) * 4096
        # Most of a page's sense is in its first bytes.
        span = chooser.pick((100, 40, 4096))
        place = min(page + chooser.number(span), len(damaged) - 1)
        match chooser.number(8):
            case 0 | 1 | 2:
                damaged[place] = chooser.number(256)
            case 3:
                damaged[place] ^= 1 << chooser.number(8)
            case 4:
                damaged[page : page + 4096] = bytes(len(damaged[page : page + 4096]))
            case 5:
                other = chooser.number(pages) * 4096
                damaged[page : page + 4096] = damaged[other : other + 4096]
            case 6:
                del damaged[max(1, place) :]
                return bytes(damaged)
            case 7:
                size = 1 + chooser.number(64)
                filler = bytes((chooser.number(256),))
                damaged[place : place + size] = filler * len(damaged[place : place + size])
        if chooser.number(3) == 1:
            break
    return bytes(damaged)


__all__ = ["Store"]
