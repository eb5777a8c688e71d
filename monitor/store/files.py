"""The data directory: made where it is missing, locked, and the database in it opened and brought up to date.

A database that is damaged is set aside and an empty one takes its place; one that is not ours is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sqlite3
from typing import TYPE_CHECKING

from monitor.core.errors import DamagedError, StoreError, UnavailableError
from monitor.store import backup, database, readers, schema, seed, soundness
from monitor.store.lock import DirectoryLock
from monitor.store.seed import Seed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from monitor.store import Record

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
        self._identity = _identity(path)

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        now: datetime,
        migrations: Sequence[Sequence[schema.Step]] = schema.MIGRATIONS,
        mend: bool = True,
    ) -> DataFiles:
        """Lock *data_dir* and open the database in it, or raise StoreError and leave both as they were.

        *now* dates the name of a damaged database, which is set aside; it is a DamagedError where we shall not *mend*.
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
                    if not mend:
                        raise
                    loss = _set_aside(path, now, damage)
                    db = _open(path, migrations)
            except BaseException:
                lock.release()
                raise
        return cls(path, lock, db, loss)

    @classmethod
    def glance(cls, data_dir: Path, *, most: int) -> tuple[dict[str, Record], Seed, dict[str, str]]:
        """Read what a start needs of a database on a full disk, and write nothing: no lock, no log, no index.

        Nothing where there is no database yet. UnavailableError where it cannot be read either.
        """
        path = data_dir / NAME
        if not path.exists():
            return {}, Seed(whole=True), {}
        with database.explained(path), contextlib.closing(database.connect(path)) as db:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # then SQLite keeps its index of the log in memory
            if schema.check(db, path) != len(schema.MIGRATIONS):
                raise UnavailableError(f"{path} has an older schema, and there is no room to change it")
            notes = dict(db.execute("SELECT key, value FROM notes"))
            return readers.records(db), seed.read(db, most=most), notes

    def check_there(self) -> None:
        """Raise FileNotFoundError where the database's file is gone, or another: nothing written to it would last."""
        found = self.path.stat()
        if (found.st_dev, found.st_ino) != self._identity:
            raise FileNotFoundError(errno.ENOENT, "it is another file than the one that was opened", str(self.path))

    def revive(self, *, damaged: bool, now: datetime) -> bool:
        """Make what is open and what is in the directory one again; say whether it is another database now."""
        with database.explained(self.path):
            if damaged:
                self.db.close()
                self.loss = _set_aside(self.path, now, "it is damaged")
                self._reopen()
                return True
            try:
                self.check_there()
            except FileNotFoundError:
                return self._return()
        return False

    def _return(self) -> bool:
        """Put the database back in its place: what the open connection still holds, unless another file is there."""
        data_dir = self.path.parent
        _make(data_dir)
        if not self._lock.is_at(data_dir):
            lock = DirectoryLock.take(data_dir)
            self._lock.release()
            self._lock = lock
        another = self.path.exists()
        if not another:
            another = True
            part = data_dir / f"{NAME}.part"
            with contextlib.suppress(sqlite3.Error):  # then it is begun anew
                backup.copy(self.db, part)
                another = False
        self.db.close()  # before the other is opened: it removes a log of the same name
        if not another:
            part.rename(self.path)
            log.warning("the database was gone; it is back in %s, from what was still open", data_dir)
        self._reopen()
        return another

    def _reopen(self) -> None:
        self.db = _open(self.path, schema.MIGRATIONS)
        self._identity = _identity(self.path)

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


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _set_aside(path: Path, now: datetime, damage: object) -> str:
    """Rename the database at *path*; what is said of it."""
    aside = soundness.set_aside(path, now)
    loss = f"{damage}; it was set aside as {aside.name} and an empty one begun"
    log.error("%s", loss)
    return loss


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
            soundness.mend_lanes(db, path)
    except BaseException:
        db.close()
        raise
    return db
