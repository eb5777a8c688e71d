"""The data directory: made where it is missing, locked, and the database in it opened and brought up to date.

A database that is damaged is set aside and an empty one takes its place; one that is not ours is left alone.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from monitor.core.errors import DamagedError, StoreError
from monitor.store import backup, database, schema, soundness
from monitor.store.lock import DirectoryLock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

NAME = "monitor.db"

log = logging.getLogger(__name__)


class DataFiles:
    """A locked data directory with its open database. Blocking: for the database thread."""

    def __init__(self, path: Path, lock: DirectoryLock, db: sqlite3.Connection, loss: str | None = None) -> None:
        """Own *lock* and *db*, the database at *path*; *loss* says why it began empty, if it was not to."""
        self.path = path
        self.db = db
        self.loss = loss
        self._lock = lock

    @classmethod
    def open(
        cls, data_dir: Path, *, now: datetime, migrations: Sequence[Sequence[schema.Step]] = schema.MIGRATIONS
    ) -> DataFiles:
        """Lock *data_dir* and open the database in it, or raise StoreError and leave both as they were.

        *now* dates the name of a damaged database.
        """
        path = data_dir / NAME
        loss = None
        with database.explained(path):
            _make(data_dir)
            lock = DirectoryLock.take(data_dir)
            try:
                try:
                    db = _open(path, migrations)
                except DamagedError as damage:
                    aside = soundness.set_aside(path, now)
                    loss = f"{damage}; it was set aside as {aside.name} and an empty one begun"
                    log.error("%s", loss)  # noqa: TRY400 - says it all
                    db = _open(path, migrations)
            except BaseException:
                lock.release()
                raise
        return cls(path, lock, db, loss)

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


def _open(path: Path, migrations: Sequence[Sequence[schema.Step]]) -> sqlite3.Connection:
    # Made before SQLite would, for nobody else to read; its log and index files take their mode from it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = database.connect(path)
    try:
        with database.explained(path):
            with soundness.suspected(path):
                version = schema.check(db, path, migrations)
            database.configure(db)
            with soundness.suspected(path):
                soundness.check_structure(db, path)
            if 0 < version < len(migrations):
                log.info("the database is brought from schema %d to %d, after a copy", version, len(migrations))
                backup.make(db, path.parent, version)
            schema.migrate(db, version, migrations)
            soundness.check_contents(db, path)
    except BaseException:
        db.close()
        raise
    return db
