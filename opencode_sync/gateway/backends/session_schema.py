"""The tables of the session store's file, made or brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from opencode_sync.gateway.backends.base import BackendError

__all__ = ["number", "prepare"]

_SCHEMA_VERSION = 2
_APPLICATION_ID = 0x4F435359  # "OCSY", so that a database of another program is never touched
_SCHEMA = """
CREATE TABLE session (
    id TEXT PRIMARY KEY NOT NULL,
    project_id TEXT NOT NULL,
    directory TEXT NOT NULL,
    title TEXT NOT NULL,
    version TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    archived INTEGER
) WITHOUT ROWID;
CREATE INDEX session_newest ON session (updated DESC, id DESC);
"""

_SINCE_VERSION_1 = "ALTER TABLE session ADD COLUMN archived INTEGER"


def prepare(
    writer: sqlite3.Connection,
    check_integrity: Callable[[sqlite3.Connection], None],
    refused: Callable[[str], BackendError],
) -> None:
    """Make the tables of a new file, and refuse a file that is not ours.

    Args:
        writer: A connection to it, in no transaction.
        check_integrity: Raises what there is to raise about a file that is damaged.
        refused: Makes the error that says what is wrong with the file.
    """
    # In one transaction: another gateway may be making the tables just now.
    writer.execute("BEGIN")
    tables = number(writer, "SELECT count(*) FROM sqlite_master")
    application_id = number(writer, "PRAGMA application_id")
    version = number(writer, "PRAGMA user_version")
    writer.execute("COMMIT")
    if application_id != _APPLICATION_ID and (application_id or version or tables):
        raise refused("belongs to another program; name a different file")
    if version > _SCHEMA_VERSION:
        raise refused(
            f"was written by a newer opencode-sync (its format is {version}, this one knows "
            f"{_SCHEMA_VERSION}); update opencode-sync, or name a different file"
        )
    # SQLite notices damage when it comes across it, and until then may put what it is given
    # where it is not found again.
    check_integrity(writer)
    if writer.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise refused("lies on a file system without shared memory; name a local file")
    writer.execute("BEGIN IMMEDIATE")
    # Asked again: another gateway may have made them meanwhile.
    version = number(writer, "PRAGMA user_version")
    if version == 0:
        for statement in _SCHEMA.split(";"):
            writer.execute(statement)
        writer.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    elif version == 1:
        writer.execute(_SINCE_VERSION_1)
    if version < _SCHEMA_VERSION:
        writer.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    writer.execute("COMMIT")


def number(connection: sqlite3.Connection, query: str) -> int:
    """Return the number that a query has for its only answer."""
    return int(connection.execute(query).fetchone()[0])
