"""Is the database whole? And what is done with one that is not: it is set aside, never removed.

What must be right is checked at every start: each table but those of the history, which are nearly all of a large
file. A file up to `WHOLE` is checked from end to end. So a start takes no longer the more is kept, and damage in
old results is found when they are read or written, which sets the file aside then.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from monitor.core.errors import DamagedError, StoreError
from monitor.store import readers, schema, writer
from monitor.store.database import connect_to_memory
from monitor.violations import violated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

_HEADLESS = """
    SELECT sink, endpoint FROM deliveries WHERE state = 'pending' GROUP BY sink, endpoint HAVING max(head) = 0
"""
WHOLE = 128 * 1024 * 1024  # bytes: about 0.6 s of a processor
HISTORY = frozenset({"history", "minutes", "hours", "days"})  # the tables that grow with every result


def check_structure(db: sqlite3.Connection, path: Path) -> None:
    """Look through the database at *path*, of whatever schema; DamagedError says what is wrong."""
    if path.stat().st_size <= WHOLE:
        _refuse(path, db.execute("PRAGMA quick_check(1)").fetchone())
    else:
        for table in sorted({table for table, _ in schema.columns(db)} - HISTORY):
            _refuse(path, db.execute(f"PRAGMA quick_check({table})").fetchone())


def check_contents(db: sqlite3.Connection, path: Path) -> None:
    """See whether all of our schema is there, and what the monitor cannot start without can be read."""
    if missing := _expected() - schema.columns(db):
        table, column = min(missing)
        raise DamagedError(f"cannot use the database {path}: it is damaged (column {column} of {table} is missing)")
    _read(db, path)


def _read(db: sqlite3.Connection, path: Path) -> None:
    try:
        with suspected(path):
            readers.records(db)
    except StoreError as error:
        raise DamagedError(str(error)) from error


@contextlib.contextmanager
def suspected(path: Path) -> Iterator[None]:
    """Take for damage what cannot be said of a file that we wrote: no such column, no such text, no such format."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            raise
        raise DamagedError(f"cannot use the database {path}: it is damaged ({error})") from error


def mend_lanes(db: sqlite3.Connection, path: Path) -> None:
    """See to it that every lane in which something waits has a head: without one, nothing of it would ever be sent."""
    for lane in db.execute(_HEADLESS).fetchall():
        violated("lane_without_head", f"deliveries to {lane[0]} about {lane[1] or 'the monitor'} had no first")
        try:
            writer.elect(db, lane)
        except sqlite3.IntegrityError as error:  # the table and its index do not agree
            raise DamagedError(f"cannot use the database {path}: it is damaged ({error})") from error


def _refuse(path: Path, found: tuple[str] | None) -> None:
    if found is not None and found[0] != "ok":
        raise DamagedError(f"cannot use the database {path}: it is damaged ({' '.join(found[0].split())})")


def _expected() -> set[tuple[str, str]]:
    db = connect_to_memory()
    try:
        schema.migrate(db, 0)
        return schema.columns(db)
    finally:
        db.close()


def set_aside(path: Path, now: datetime) -> Path:
    """Rename the database at *path* with its log and index; where it is now. OSError passes."""
    stem = f"{path.stem}-damaged-{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z"
    new = path.with_name(f"{stem}{path.suffix}")
    number = 1
    while new.exists():
        number += 1
        new = path.with_name(f"{stem}-{number}{path.suffix}")
    # The file itself goes last: a log that stayed behind alone would be taken for that of the next database.
    for suffix in ("-wal", "-shm", ""):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(new.with_name(new.name + suffix))
    return new
