"""The connection: transactions, and what SQLite's errors mean in words.

Nothing here knows a table. The monitor keeps exactly one connection, for reads, writes and checkpoints alike:
SQLite before 3.51 can damage a database whose log is reset by one connection while another writes.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from typing import TYPE_CHECKING

from monitor.core.errors import DamagedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUSY_TIMEOUT = 0.5  # seconds to wait for another program that looks into the file
_LOG_LIMIT = 64 * 1024 * 1024  # bytes: the write-ahead log is cut to this after a checkpoint

_MEANING: dict[int, str] = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "another program has locked it",
    sqlite3.SQLITE_LOCKED: "another program has locked it",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_PERM: "permission denied",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is not a database",
    sqlite3.SQLITE_CONSTRAINT: "the new values contradict those it holds",
}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}  # where a file cannot grow it may be either
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(path: Path) -> sqlite3.Connection:
    """Open the file at *path*, and change nothing in it yet; threads may take turns with the connection."""
    return sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def connect_to_memory() -> sqlite3.Connection:
    """Open a database of its own that lives as long as the connection."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def configure(db: sqlite3.Connection) -> None:
    """Make a commit durable once it returns, and readers from outside no obstacle to it."""
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("its file system cannot share memory, which the log needs")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = ON")  # macOS only: there, a plain fsync stops at the drive's cache
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it."""
    if db.in_transaction:  # the disk failed so badly that not even the roll-back was possible then
        db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # After some errors SQLite has rolled back already; the first error is the one worth telling.
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system raise in the block into an UnavailableError of one sentence.

    A DamagedError where the file's structure is broken.
    """
    try:
        yield
    except sqlite3.Error as error:
        kind = DamagedError if _code(error) in _DAMAGE else UnavailableError
        raise kind(f"cannot use the database {path}: {_meaning(error)}", full=_code(error) in _FULL) from error
    except UnicodeDecodeError as error:  # in a message of SQLite's, where the names of tables are damaged
        raise DamagedError(f"cannot use the database {path}: it is damaged") from error
    except OSError as error:
        sentence = f"cannot use {error.filename or path}: {error.strerror or error}"
        raise UnavailableError(sentence, full=error.errno in _NO_ROOM) from error


def _meaning(error: sqlite3.Error) -> str:
    return _MEANING.get(_code(error)) or str(error)


def _code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)  # only there when SQLite itself raised it
    return code & 0xFF  # the upper bits only say where
