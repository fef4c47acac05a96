"""The embedded store: what is answered stays, and what cannot be done is said."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opencode_sync.deadline import NOW, Deadline
from opencode_sync.gateway import BackendError, EmbeddedBackend
from opencode_sync.gateway.backends import embedded, session_file, session_ids, sqlite_problems
from opencode_sync.gateway.backends.base import WouldWait
from opencode_sync.gateway.backends.session_file import SessionFile
from opencode_sync.gateway.backends.session_ids import SessionIds
from opencode_sync.wire import ipc_pb2
from tests.unit.gateway.doubles import PATIENCE

pytestmark = pytest.mark.usefixtures("nothing_left")


def soon() -> Deadline:
    return Deadline.after(PATIENCE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "sessions.db"


@pytest.fixture
def store(path: Path, nothing_left: None):
    backend = EmbeddedBackend(path, directory="/project")
    backend.start()
    yield backend
    backend.close()


class TestSessions:
    def test_new_session_is_complete(self, store: EmbeddedBackend) -> None:
        before = datetime.now(UTC).timestamp() * 1000
        session = store.create_session("A title", deadline=soon())
        assert session.id.startswith("ses_")
        assert len(session.id) == 30
        assert session.title == "A title"
        assert session.project_id == "global"
        assert session.directory == str(Path("/project").absolute())
        assert session.version
        assert session.time.created == session.time.updated
        assert abs(session.time.created - before) < 60_000
        assert not session.HasField("summary")
        assert store.list_sessions(deadline=soon()) == [session]

    def test_default_title_names_the_time(self, store: EmbeddedBackend) -> None:
        session = store.create_session(None, deadline=soon())
        made = session.title.removeprefix("New session - ")
        assert made.endswith("Z")
        assert datetime.fromisoformat(made).timestamp() * 1000 == session.time.created

    @pytest.mark.parametrize(
        "title",
        [
            "",
            "x" * 1_000_000,
            "a\0b\0",
            "\0",
            "🦊 naïve ключ",
            "'; DROP TABLE session; --",
            " \n\t",
        ],
    )
    def test_titles_come_back_as_they_were(self, store: EmbeddedBackend, title: str) -> None:
        assert store.create_session(title, deadline=soon()).title == title
        assert [session.title for session in store.list_sessions(deadline=soon())] == [title]

    def test_newest_first(self, store: EmbeddedBackend) -> None:
        made = [store.create_session(None, deadline=soon()).id for _ in range(50)]
        listed = [session.id for session in store.list_sessions(deadline=soon())]
        assert listed == made[::-1]

    def test_delete(self, store: EmbeddedBackend) -> None:
        first = store.create_session("first", deadline=soon())
        second = store.create_session("second", deadline=soon())
        assert store.delete_session(first.id, deadline=soon())
        assert not store.delete_session(first.id, deadline=soon())
        assert store.list_sessions(deadline=soon()) == [second]

    def test_unknown_id(self, store: EmbeddedBackend) -> None:
        assert not store.delete_session("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", deadline=soon())

    @pytest.mark.parametrize(
        ("session_id", "shown"),
        [
            ("", "it is empty"),
            ("nope", "'nope'"),
            ("ses_/../x", "'ses_/../x'"),
            ("ses_1\n", r"'ses_1\n'"),
            ("ses_ключ", r"'ses_\u043a\u043b\u044e\u0447'"),
            ("x" * 100_000, "x" * 40 + "'..."),
        ],
    )
    def test_impossible_id(self, store: EmbeddedBackend, session_id: str, shown: str) -> None:
        with pytest.raises(BackendError) as caught:
            store.delete_session(session_id, deadline=soon())
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE
        assert caught.value.message.startswith("session_id must be")
        assert shown in caught.value.message
        assert len(caught.value.message) < 300

    def test_one_session_can_be_read_and_changed(self, store: EmbeddedBackend) -> None:
        made = store.create_session("one", deadline=soon())
        store.create_session("another", deadline=soon())
        assert store.get_session(made.id, deadline=soon()) == made
        before = datetime.now(UTC).timestamp() * 1000
        renamed = store.update_session(made.id, title="", archived=None, deadline=soon())
        assert (renamed.title, renamed.time) == ("", made.time)
        archived = store.update_session(made.id, title="two", archived=True, deadline=soon())
        assert archived.title == "two"
        assert abs(archived.time.archived - before) < 60_000
        assert archived.time.updated == made.time.updated
        assert store.get_session(made.id, deadline=soon()) == archived
        assert archived in store.list_sessions(deadline=soon())
        back = store.update_session(made.id, title=None, archived=False, deadline=soon())
        assert not back.time.HasField("archived")
        assert [each.title for each in store.list_sessions(deadline=soon())] == ["another", "two"]

    @pytest.mark.parametrize(
        ("session_id", "title", "words"),
        [
            ("nope", "x", "session_id must be"),
            ("ses_1", "x", "has no session ses_1; use an id"),
            ("ses_1", None, "title and archived are both absent"),
        ],
    )
    def test_a_change_that_cannot_be(
        self, store: EmbeddedBackend, session_id: str, title: str | None, words: str
    ) -> None:
        with pytest.raises(BackendError, match=words) as caught:
            store.update_session(session_id, title=title, archived=None, deadline=soon())
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE

    @pytest.mark.parametrize("session_id", ["nope", "ses_1"])
    def test_a_session_that_is_not_there(self, store: EmbeddedBackend, session_id: str) -> None:
        with pytest.raises(BackendError, match="session_id") as caught:
            store.get_session(session_id, deadline=soon())
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_INVALID_MESSAGE

    def test_survive_a_restart(self, store: EmbeddedBackend, path: Path) -> None:
        made = store.create_session("kept", deadline=soon())
        store.close()
        again = EmbeddedBackend(path)
        again.start()
        assert again.list_sessions(deadline=soon()) == [made]
        again.close()

    def test_100_000_sessions(self, store: EmbeddedBackend, path: Path) -> None:
        writer = sqlite3.connect(path)
        with writer:
            writer.executemany(
                embedded._INSERT,
                ((f"ses_{n:06}", "global", "/", f"t{n}", "1", n, n) for n in range(100_000)),
            )
        writer.close()
        listed = store.list_sessions(deadline=soon())
        assert len(listed) == 100_000
        assert listed[0].id == "ses_099999"
        with pytest.raises(BackendError, match="took too long to read"):
            store.list_sessions(deadline=NOW)

    def test_many_threads_at_once(self, store: EmbeddedBackend) -> None:
        def work(number: int) -> str:
            session = store.create_session(f"{number}", deadline=soon())
            assert session.id in {s.id for s in store.list_sessions(deadline=soon())}
            if number % 2:
                assert store.delete_session(session.id, deadline=soon())
            return session.id

        with ThreadPoolExecutor(16) as pool:
            made = list(pool.map(work, range(200)))
        assert len(set(made)) == 200
        left = {session.id for session in store.list_sessions(deadline=soon())}
        assert left == set(made[::2])

    def test_two_gateways_share_a_store(self, store: EmbeddedBackend, path: Path) -> None:
        other = EmbeddedBackend(path)
        other.start()
        first = store.create_session("first", deadline=soon())
        second = other.create_session("second", deadline=soon())
        ids = {first.id, second.id}
        assert {session.id for session in store.list_sessions(deadline=soon())} == ids
        assert {session.id for session in other.list_sessions(deadline=soon())} == ids
        other.close()

    def test_many_gateways_make_the_same_store_at_once(self, path: Path) -> None:
        together = threading.Barrier(8)

        def work(number: int) -> None:
            backend = EmbeddedBackend(path)
            together.wait(PATIENCE)
            backend.start()
            backend.create_session(f"{number}", deadline=soon())
            backends.append(backend)

        backends: list[EmbeddedBackend] = []
        with ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(work, number) for number in range(8)]:
                future.result(PATIENCE)
        assert len(backends[0].list_sessions(deadline=soon())) == 8
        for backend in backends:
            backend.close()


class TestDurability:
    def test_every_commit_reaches_the_disk(self, store: EmbeddedBackend) -> None:
        assert store._file._writer is not None
        assert store._file._writer.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert store._file._writer.execute("PRAGMA journal_mode").fetchone()[0] == "wal"

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
    def test_only_the_owner_can_read_it(self, store: EmbeddedBackend, path: Path) -> None:
        store.create_session("secret plans", deadline=soon())
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_waiting_changes_share_a_commit(
        self, store: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commits = []
        commit = store._file._commit
        monkeypatch.setattr(store._file, "_commit", lambda: (commits.append(1), commit()))
        with ThreadPoolExecutor(8) as pool:
            with store._file._writer_lock:
                changes = [
                    pool.submit(store.create_session, f"{n}", deadline=soon()) for n in range(8)
                ]
                while len(store._file._queue) < 8:
                    assert not any(change.done() for change in changes)
            titles = {change.result(PATIENCE).title for change in changes}
        assert len(titles) == 8
        assert len(commits) == 1
        assert len(store.list_sessions(deadline=soon())) == 8

    def test_failed_commit_fails_everybody_in_it_and_leaves_nothing(
        self, store: EmbeddedBackend
    ) -> None:
        assert store._file._writer is not None
        store._file._writer.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.session WHEN NEW.title = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'no more'); END"
        )
        with ThreadPoolExecutor(2) as pool:
            with store._file._writer_lock:
                good = pool.submit(store.create_session, "good", deadline=soon())
                while not store._file._queue:
                    assert not good.done()
                bad = pool.submit(store.create_session, "bad", deadline=soon())
                while len(store._file._queue) < 2:
                    assert not bad.done()
            errors = [future.exception(PATIENCE) for future in (good, bad)]
        assert [type(error) for error in errors] == [BackendError, BackendError]
        assert errors[0] is not errors[1]
        assert store.list_sessions(deadline=soon()) == []
        assert store.create_session("later", deadline=soon()).title == "later"

    @pytest.mark.parametrize("error", [MemoryError(), ValueError("a bug"), KeyboardInterrupt()])
    def test_commit_that_fails_in_any_way_is_nobodys_success(
        self, store: EmbeddedBackend, error: BaseException
    ) -> None:
        def fail(writer: sqlite3.Connection) -> int:
            raise error

        with ThreadPoolExecutor(2) as pool:
            with store._file._writer_lock:
                good = pool.submit(store.create_session, "good", deadline=soon())
                while not store._file._queue:
                    assert not good.done()
                bad = pool.submit(store._file.change, fail, soon())
                while len(store._file._queue) < 2:
                    assert not bad.done()
            errors = [future.exception(PATIENCE) for future in (good, bad)]
        # Whoever committed gets an interrupt itself; nobody is told of a success.
        kinds = {type(caught) for caught in errors}
        assert kinds <= {BackendError, type(error)}
        assert BackendError in kinds
        assert store.list_sessions(deadline=soon()) == []
        assert store.create_session("later", deadline=soon()).title == "later"

    def test_change_gives_up_when_the_store_is_too_busy(self, store: EmbeddedBackend) -> None:
        with store._file._writer_lock, pytest.raises(BackendError, match="too busy") as caught:
            store.create_session("late", deadline=Deadline.after(0.01))
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert store.create_session("next", deadline=Deadline(None)).title == "next"
        assert [session.title for session in store.list_sessions(deadline=soon())] == ["next"]

    def test_change_being_committed_at_the_deadline_is_told_its_true_outcome(
        self, store: EmbeddedBackend
    ) -> None:
        committing, go_on = threading.Event(), threading.Event()

        def slow(writer: sqlite3.Connection) -> int:
            committing.set()
            assert go_on.wait(PATIENCE)
            return 0

        with ThreadPoolExecutor(3) as pool:
            with store._file._writer_lock:
                leader = pool.submit(store._file.change, slow, soon())
                while not store._file._queue:
                    assert not leader.done()
                follower = pool.submit(
                    store.create_session, "in time", deadline=Deadline.after(0.2)
                )
                while len(store._file._queue) < 2:
                    assert not follower.done()
            assert committing.wait(PATIENCE)
            with pytest.raises(TimeoutError):
                follower.result(0.5)  # its deadline has passed; it waits for the truth
            go_on.set()
            assert follower.result(PATIENCE).title == "in time"
            leader.result(PATIENCE)
        assert len(store.list_sessions(deadline=soon())) == 1


class TestAtOnce:
    """What the gateway's readers ask must not make them wait."""

    def test_health_and_server_are_known_without_waiting(self, store: EmbeddedBackend) -> None:
        assert store.quick == {"check_health", "discover_server"}
        assert store.check_health(deadline=NOW)
        assert store.discover_server(deadline=NOW)

    def test_no_turn_to_read_is_needed(self, store: EmbeddedBackend) -> None:
        while store._file.readers._turns.acquire(blocking=False):
            pass
        assert store.check_health(deadline=NOW)

    def test_a_change_under_way_is_not_waited_for(self, store: EmbeddedBackend, path: Path) -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.check_health(deadline=NOW)
        other.close()

    def test_whoever_looks_at_the_same_time_has_to_come_again(self, store: EmbeddedBackend) -> None:
        with store._file.readers._glancing, pytest.raises(WouldWait):
            store.check_health(deadline=NOW)
        assert store.check_health(deadline=NOW)

    def test_what_sqlite_refuses_is_asked_again_with_time(self, store: EmbeddedBackend) -> None:
        assert store.check_health(deadline=NOW)
        assert store._file.readers._glancer is not None
        store._file.readers._glancer.close()
        with pytest.raises(WouldWait):
            store.check_health(deadline=NOW)
        assert store.check_health(deadline=soon())

    def test_a_store_that_is_closed_says_so(self, store: EmbeddedBackend) -> None:
        assert store.check_health(deadline=NOW)
        store.close()
        with pytest.raises(BackendError, match="is not open"):
            store.check_health(deadline=NOW)


class TestServer:
    def test_it_is_its_own_server(self, store: EmbeddedBackend) -> None:
        found = store.discover_server(deadline=soon())
        assert found is not None
        assert (found.name, found.pid, found.owned) == ("embedded", os.getpid(), False)
        assert store.spawn_server(None, deadline=soon()) == found
        assert store.check_health(deadline=soon())

    def test_it_does_not_listen(self, store: EmbeddedBackend) -> None:
        with pytest.raises(BackendError, match=r"^port: ") as caught:
            store.spawn_server(4097, deadline=soon())
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_NOT_IMPLEMENTED

    def test_it_cannot_be_stopped_alone(self, store: EmbeddedBackend) -> None:
        with pytest.raises(BackendError, match="stop the gateway"):
            store.stop_server(deadline=soon())

    def test_description_names_the_file(self, store: EmbeddedBackend, path: Path) -> None:
        assert str(path) in store.description
        assert repr(store) == f"EmbeddedBackend({str(path)!r})"


class TestLife:
    def test_nothing_happens_before_start(self, path: Path) -> None:
        backend = EmbeddedBackend(path)
        for operation in (
            lambda: backend.create_session("x", deadline=soon()),
            lambda: backend.list_sessions(deadline=soon()),
            lambda: backend.check_health(deadline=soon()),
        ):
            with pytest.raises(BackendError, match="is not open"):
                operation()
        assert not path.exists()
        backend.close()

    def test_start_and_close_more_than_once(self, store: EmbeddedBackend) -> None:
        store.start()
        made = store.create_session("x", deadline=soon())
        store.close()
        store.close()
        with pytest.raises(BackendError, match="is not open"):
            store.list_sessions(deadline=soon())
        store.start()
        assert store.list_sessions(deadline=soon()) == [made]

    def test_close_while_a_change_waits(self, store: EmbeddedBackend) -> None:
        with ThreadPoolExecutor(2) as pool:
            with store._file._writer_lock:
                change = pool.submit(store.create_session, "x", deadline=soon())
                while not store._file._queue:
                    assert not change.done()
                writer, store._file._writer = store._file._writer, None
            with pytest.raises(BackendError, match="closed meanwhile"):
                change.result(PATIENCE)
        store._file._writer = writer

    def test_close_is_bounded(
        self, store: EmbeddedBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session_file, "_BUSY_TIMEOUT", 0.01)
        with store._file._writer_lock:
            store.close()
        assert store._file._writer is not None  # left to the process's end, or to the next close

    def test_reader_in_use_at_the_close(self, store: EmbeddedBackend) -> None:
        with store._file.readers.reading() as reader:
            store.close()
            assert reader.execute("SELECT count(*) FROM session").fetchone() == (0,)
        with pytest.raises(sqlite3.ProgrammingError):
            reader.execute("SELECT 1")

    def test_few_idle_readers_are_kept(self, store: EmbeddedBackend) -> None:
        together = threading.Barrier(10)

        def read() -> None:
            with store._file.readers.reading():
                together.wait(PATIENCE)

        with ThreadPoolExecutor(10) as pool:
            for future in [pool.submit(read) for _ in range(10)]:
                future.result(PATIENCE)
        assert len(store._file.readers._idle) == 4

    def test_default_place(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(
            "platformdirs.user_data_path", lambda name: tmp_path / name, raising=True
        )
        assert EmbeddedBackend().description.endswith(
            str(tmp_path / "opencode-sync" / "sessions.db")
        )

    def test_version_of_a_package_that_is_not_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(name: str) -> str:
            raise embedded.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(embedded.metadata, "version", missing)
        assert embedded._package_version() == "0"


class TestBadFiles:
    def refused(self, path: Path, match: str) -> None:
        backend = EmbeddedBackend(path)
        with pytest.raises(BackendError, match=match) as caught:
            backend.start()
        assert str(path) in caught.value.message
        assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        backend.close()

    def test_not_a_database(self, tmp_path: Path) -> None:
        path = tmp_path / "letter.txt"
        path.write_text("Dear Sir or Madam, " * 1000)
        self.refused(path, "is not a session store; move the file away")
        assert path.read_text().startswith("Dear Sir")

    def test_damaged(self, store: EmbeddedBackend, path: Path) -> None:
        for number in range(200):
            store.create_session(f"{number}", deadline=soon())
        store.close()
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xa5" * (len(data) - 4096)
        path.write_bytes(data)
        with pytest.raises(BackendError, match="is damaged; move the file away"):
            store.start()
        assert path.read_bytes() == data

    def test_damaged_where_only_a_whole_look_finds_it(
        self, store: EmbeddedBackend, path: Path
    ) -> None:
        """SQLite would serve it, and might lose what it is given from then on."""
        store.create_session("x", deadline=soon())
        store.close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(
                "UPDATE sqlite_master SET sql = replace(sql, 'updated DESC', 'title DESC') "
                "WHERE name = 'session_newest'"
            )
            connection.commit()
        with pytest.raises(BackendError, match="is damaged; move the file away"):
            store.start()

    def test_damaged_in_a_text(self, store: EmbeddedBackend, path: Path) -> None:
        store.create_session("a title to be damaged", deadline=soon())
        store.close()
        path.write_bytes(path.read_bytes().replace(b"a title", b"\xff\xfe\xff\xfe\xff\xfe\xff"))
        store.start()
        with pytest.raises(BackendError, match="is damaged; move the file away"):
            store.list_sessions(deadline=soon())

    def test_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "is not a regular file")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
    def test_named_pipe(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        self.refused(path, "is not a regular file")

    @pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be removed")
    @pytest.mark.parametrize("replaced", [False, True])
    def test_removed_while_in_use(self, store: EmbeddedBackend, path: Path, replaced: bool) -> None:
        store.create_session("x", deadline=soon())
        store.list_sessions(deadline=soon())
        for file in list(path.parent.iterdir()):
            file.unlink()
        if replaced:
            path.write_bytes(b"")
        for operation in (
            lambda: store.create_session("lost", deadline=soon()),
            lambda: store.list_sessions(deadline=soon()),
            lambda: store.check_health(deadline=soon()),
            lambda: store.check_health(deadline=NOW),
        ):
            with pytest.raises(BackendError, match="was removed or replaced") as caught:
                operation()
            assert str(path) in caught.value.message
            assert caught.value.code == ipc_pb2.IPC_ERROR_CODE_SERVER_ERROR
        assert path.exists() == replaced
        assert store.list_size() == 0

    def test_connections_never_make_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(sqlite3.OperationalError):
            SessionFile(tmp_path / "absent.db")._connect()
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("name", ["a b%20?mode=ro#x.db", "ключ.db"])
    def test_names_that_a_uri_would_misread(self, tmp_path: Path, name: str) -> None:
        backend = EmbeddedBackend(tmp_path / name)
        backend.start()
        backend.create_session("x", deadline=soon())
        backend.close()
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_no_memory_at_the_start(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: SessionFile, writer: sqlite3.Connection) -> None:
            raise MemoryError

        monkeypatch.setattr(SessionFile, "_prepare_patiently", fail)
        self.refused(path, "more memory")

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        self.refused(tmp_path / "file" / "sessions.db", "cannot be opened for writing")

    def test_database_of_another_program(self, tmp_path: Path) -> None:
        path = tmp_path / "other.db"
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE cat (name)")
        other.close()
        self.refused(path, "belongs to another program")

    def test_newer_format(self, store: EmbeddedBackend, path: Path) -> None:
        store.close()
        newer = sqlite3.connect(path)
        newer.execute("PRAGMA user_version = 3")
        newer.close()
        self.refused(path, "newer opencode-sync")

    def test_older_format_is_brought_up_to_date(self, path: Path) -> None:
        path.parent.mkdir()
        older = sqlite3.connect(path)
        older.executescript(
            """
            CREATE TABLE session (
                id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL, directory TEXT NOT NULL,
                title TEXT NOT NULL, version TEXT NOT NULL, created INTEGER NOT NULL,
                updated INTEGER NOT NULL
            ) WITHOUT ROWID;
            INSERT INTO session VALUES ('ses_1', 'global', '/', 'old', '1', 1, 2);
            PRAGMA application_id = 0x4F435359;
            PRAGMA user_version = 1;
            """
        )
        older.close()
        for _ in range(2):
            store = EmbeddedBackend(path)
            store.start()
            assert store.get_session("ses_1", deadline=soon()).title == "old"
            archived = store.update_session("ses_1", title=None, archived=True, deadline=soon())
            assert archived.time.archived > 0
            store.close()

    @pytest.fixture
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Locks are waited for as briefly as can be, by the store and by SQLite itself."""
        connect = sqlite3.connect

        def briefly(path: str, **options: object) -> sqlite3.Connection:
            return connect(path, **{**options, "timeout": 0.01})

        monkeypatch.setattr(session_file, "_BUSY_TIMEOUT", 0.01)
        monkeypatch.setattr(session_file.sqlite3, "connect", briefly)

    @pytest.mark.usefixtures("impatient")
    def test_locked(self, path: Path) -> None:
        path.parent.mkdir()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        self.refused(path, "is locked by another program")
        other.close()

    @pytest.mark.usefixtures("impatient")
    def test_locked_later(self, path: Path) -> None:
        store = EmbeddedBackend(path)
        store.start()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendError, match="is locked by another program"):
            store.create_session("x", deadline=soon())
        other.close()
        assert store.create_session("y", deadline=soon()).title == "y"
        store.close()

    def test_no_write_ahead_log_to_be_had(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect = sqlite3.connect

        def in_memory(path: str, **options: object) -> sqlite3.Connection:
            return connect(":memory:", **{**options, "uri": False})

        monkeypatch.setattr(session_file.sqlite3, "connect", in_memory)
        self.refused(tmp_path / "sessions.db", "without shared memory")

    def test_connection_that_fails_at_once_is_closed(
        self, store: EmbeddedBackend, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Failing(sqlite3.Connection):
            def execute(self, *arguments: object) -> sqlite3.Cursor:
                raise sqlite3.OperationalError("disk I/O error")

        connect = sqlite3.connect
        with monkeypatch.context() as patch:
            patch.setattr(
                session_file.sqlite3,
                "connect",
                lambda path, **options: connect(path, factory=Failing, **options),
            )
            with pytest.raises(BackendError, match=r"failed \(disk I/O error\)"):
                store.check_health(deadline=soon())
        assert store.check_health(deadline=soon())

    @pytest.mark.parametrize(
        ("code", "match"),
        [
            (sqlite3.SQLITE_READONLY, "cannot be written"),
            (sqlite3.SQLITE_READONLY | 1 << 8, "cannot be written"),
            (sqlite3.SQLITE_FULL, "disk is full"),
            (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
            (sqlite3.SQLITE_IOERR, "look after its disk"),
            (sqlite_problems._CUT_OFF, "is damaged"),
            (sqlite3.SQLITE_ERROR, "failed (oops); try again"),
        ],
    )
    def test_other_problems_are_explained(self, path: Path, code: int, match: str) -> None:
        error = sqlite3.OperationalError("oops")
        error.sqlite_errorcode = code
        assert match in SessionFile(path)._explained(error).message

    def test_a_look_that_finds_nothing_is_explained(self, path: Path) -> None:
        error = SessionFile(path)._explained(FileNotFoundError("gone"))
        assert "was removed or replaced" in error.message


@pytest.mark.skipif(sys.platform == "win32", reason="files in use cannot be removed there")
class TestStrangers:
    """What somebody does to the files while a gateway uses them."""

    @pytest.mark.parametrize("gone", [["-wal"], ["-shm"], ["-wal", "-shm"]])
    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_part_is_removed_or_replaced(
        self,
        store: EmbeddedBackend,
        path: Path,
        gone: list[str],
        replaced: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # On Python 3.11 that would leave descriptors to the end of this process.
        abandoned: list[sqlite3.Connection] = []
        monkeypatch.setattr(session_file, "_abandon", abandoned.append)
        made = store.create_session("kept", deadline=soon())
        for suffix in gone:
            part = Path(f"{path}{suffix}")
            data = part.read_bytes()
            part.unlink()
            if replaced:
                part.write_bytes(data)
        for operation in (
            lambda: store.create_session("more", deadline=soon()),
            lambda: store.delete_session(made.id, deadline=soon()),
            lambda: store.list_sessions(deadline=soon()),
            lambda: store.check_health(deadline=soon()),
            lambda: store.check_health(deadline=NOW),
        ):
            with pytest.raises(BackendError, match="was removed or replaced while it was in use"):
                operation()
        store.close()
        assert len(abandoned) == (replaced and "-wal" in gone)
        for writer in abandoned:
            writer.close()

    def test_another_gateways_sessions_outlive_the_end_of_one_whose_log_was_removed(
        self, path: Path
    ) -> None:
        """In processes of their own, since SQLite's locks are those of a process."""
        program = textwrap.dedent(
            """
            import sys
            from pathlib import Path
            from opencode_sync.deadline import Deadline
            from opencode_sync.gateway import BackendError, EmbeddedBackend

            backend = EmbeddedBackend(Path(sys.argv[1]))
            backend.start()
            for line in sys.stdin:
                try:
                    backend.create_session(line.strip(), deadline=Deadline.after(20))
                    print("made", flush=True)
                except BackendError:
                    print("refused", flush=True)
            backend.close()
            """
        )

        def start() -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", program, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

        def create(process: subprocess.Popen[str], title: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{title}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        with start() as first:
            assert create(first, "before") == "made"
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink()
            with start() as second:
                assert create(second, "after") == "made"
                assert create(first, "lost") == "refused"
                second.communicate(timeout=PATIENCE)
            first.communicate(timeout=PATIENCE)
        assert (first.returncode, second.returncode) == (0, 0)
        backend = EmbeddedBackend(path)
        backend.start()
        assert "after" in [each.title for each in backend.list_sessions(deadline=soon())]
        backend.close()

    def test_a_log_removed_in_the_middle_of_a_commit_is_nobodys_success(
        self, store: EmbeddedBackend, path: Path
    ) -> None:
        def remove(writer: sqlite3.Connection) -> int:
            Path(f"{path}-wal").unlink()
            return writer.execute(embedded._DELETE, ("ses_x",)).rowcount

        with pytest.raises(BackendError, match="was removed or replaced"):
            store._file.change(remove, soon())

    def test_a_part_removed_during_the_start(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prepare = SessionFile._prepare_patiently

        def remove(self: SessionFile, writer: sqlite3.Connection) -> None:
            prepare(self, writer)
            Path(f"{path}-wal").unlink()

        monkeypatch.setattr(SessionFile, "_prepare_patiently", remove)
        backend = EmbeddedBackend(path)
        with pytest.raises(BackendError, match="was removed or replaced"):
            backend.start()
        backend.close()

    @pytest.mark.parametrize("kind", ["cut off", "cut in half", "written over"])
    def test_a_log_that_is_spoiled_is_seen_before_more_is_taken(
        self, store: EmbeddedBackend, path: Path, kind: str
    ) -> None:
        for number in range(30):
            store.create_session(f"{number}", deadline=soon())
        log = Path(f"{path}-wal")
        size = log.stat().st_size
        if kind == "written over":
            with log.open("r+b") as file:
                file.seek(100)
                file.write(b"\xa5" * (size - 100))
        else:
            os.truncate(log, 0 if kind == "cut off" else size // 2)
        os.utime(log)
        for _ in range(2):
            with pytest.raises(BackendError, match=r"is damaged|is not a session"):
                store.create_session("lost", deadline=soon())
        with contextlib.suppress(BackendError):
            assert store.check_health(deadline=soon()) is False

    def test_an_older_copy_is_seen_though_it_fits(self, store: EmbeddedBackend, path: Path) -> None:
        store.create_session("first", deadline=soon())
        store._file._writer.execute("PRAGMA wal_checkpoint")  # type: ignore[union-attr]
        older = path.read_bytes()
        for number in range(200):
            store.create_session(f"{number}" * 500, deadline=soon())
        store._file._writer.execute("PRAGMA wal_checkpoint")  # type: ignore[union-attr]
        for number in range(5):
            store.create_session(f"{number}", deadline=soon())
        path.write_bytes(older)
        with pytest.raises(BackendError, match="was written over while it was in use"):
            store.create_session("lost", deadline=soon())

    def test_damage_that_a_list_comes_across_ends_the_health(
        self, store: EmbeddedBackend, path: Path
    ) -> None:
        store.create_session("one", deadline=soon())
        assert store.check_health(deadline=soon()) is True
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        with pytest.raises(BackendError, match="is damaged"), store._file.readers.reading():
            raise error
        assert store.check_health(deadline=soon()) is False
        assert store.check_health(deadline=NOW) is False
        with pytest.raises(BackendError, match="is damaged"):
            store.create_session("two", deadline=soon())
        store.close()
        store.start()  # which looks the file through
        assert store.check_health(deadline=soon()) is True
        assert store.create_session("two", deadline=soon()).title == "two"

    @pytest.mark.parametrize("mode", ["PASSIVE", "TRUNCATE"])
    def test_another_programs_checkpoint_is_fine(
        self, store: EmbeddedBackend, path: Path, mode: str
    ) -> None:
        made = store.create_session("one", deadline=soon())
        with contextlib.closing(sqlite3.connect(path)) as other:
            assert other.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0] == 0
        again = store.create_session("two", deadline=soon())
        assert {each.id for each in store.list_sessions(deadline=soon())} == {made.id, again.id}

    def test_another_gateways_commit_costs_no_look_at_all_of_it(
        self, store: EmbeddedBackend, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = EmbeddedBackend(path)
        other.start()
        looks: list[object] = []
        monkeypatch.setattr(SessionFile, "_check_integrity", lambda *_: looks.append(1))
        for number in range(10):
            store.create_session(f"{number}", deadline=soon())
            other.create_session(f"{number}", deadline=soon())
        other.close()
        assert looks == []

    def test_a_limit_on_the_size_of_files_is_named(
        self, store: EmbeddedBackend, path: Path
    ) -> None:
        import resource

        store.create_session("one", deadline=soon())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        limit = Path(f"{path}-wal").stat().st_size + 10_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(BackendError, match=f"no file of more than {limit} bytes"):
                store.create_session("x" * 50_000, deadline=soon())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.create_session("x" * 50_000, deadline=soon())

    def test_a_limit_far_away_is_not_blamed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import resource

        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        for limit in (resource.RLIM_INFINITY, 1 << 40):
            monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
            assert "look after its disk" in SessionFile(path)._explained(error).message
        monkeypatch.setitem(sys.modules, "resource", None)
        assert "look after its disk" in SessionFile(path)._explained(error).message


class TestIds:
    def test_ids_sort_by_time_even_when_the_clock_goes_back(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        times = iter([5_000_000_000, 5_000_000_000, 1_000_000_000, 9_000_000_000])
        monkeypatch.setattr(session_ids.time, "time_ns", lambda: next(times))
        ids = SessionIds()
        made = [ids.next() for _ in range(4)]
        assert [text for text, _ in made] == sorted(text for text, _ in made)
        assert len({text for text, _ in made}) == 4
        assert [moment for _, moment in made] == [5000, 5000, 5000, 9000]

    def test_ids_of_many_threads_differ(self) -> None:
        ids = SessionIds()
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: ids.next()[0], range(2000)))
        assert len(set(made)) == 2000
