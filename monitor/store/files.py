"""The data directory: made where it is missing, locked, and the database in it opened and brought up to date."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from monitor.core.errors import StoreError
from monitor.store import database, schema
from monitor.store.lock import DirectoryLock

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

NAME = "monitor.db"


class DataFiles:
    """A locked data directory with its open database. Blocking: for the database thread."""

    def __init__(self, path: Path, lock: DirectoryLock, db: sqlite3.Connection) -> None:
        """Own *lock* and *db*, the database at *path*."""
        self.path = path
        self.db = db
        self._lock = lock

    @classmethod
    def open(cls, data_dir: Path) -> DataFiles:
        """Lock *data_dir* and open the database in it, or raise StoreError and leave both as they were."""
        path = data_dir / NAME
        with database.explained(path):
            _make(data_dir)
            lock = DirectoryLock.take(data_dir)
            try:
                db = _open(path)
            except BaseException:
                lock.release()
                raise
        return cls(path, lock, db)

    def close(self) -> None:
        """Empty the log into the database, close it, and let the next daemon in."""
        try:
            with database.explained(self.path):
                try:
                    self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    self.db.close()
        finally:
            self._lock.release()


def _make(data_dir: Path) -> None:
    """Make *data_dir* for nobody else to read; one that is there already stays as its owner wants it."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise StoreError(f"data_dir {data_dir} is not a directory") from None


def _open(path: Path) -> sqlite3.Connection:
    # Made before SQLite would, for nobody else to read; its log and index files take their mode from it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = database.connect(path)
    try:
        version = schema.check(db, path)
        database.configure(db)
        schema.migrate(db, version)
    except BaseException:
        db.close()
        raise
    return db
