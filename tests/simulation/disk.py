"""Where the store's blocking calls are made: on the loop's own thread, with trouble, and with the crash at the end.

A call is one transaction. A crash comes before one or after one and never in the middle: what SQLite does with half
a transaction is shown with real processes that are killed (tests/store/test_crash.py, tests/e2e/test_crashes.py).
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, TypeVar

import trio

from monitor.core.errors import StoreError
from monitor.store.files import DataFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")


class Crashed(BaseException):
    """The process is gone. Nothing catches it but the world."""


class Disk:
    """A `monitor.store.sqlite.RunSync`, and what can be wrong with it. One for each life of the daemon."""

    def __init__(self, path: Path, *, pause: float = 0.0, full: bool = False, locked: bool = False) -> None:
        """Hold the database at *path*; begin with the trouble there is."""
        self.pause = pause
        self.dead = False
        self.failures = 0
        self.committed: Callable[[sqlite3.Connection], None] = lambda _: None  # told after each call
        self.crash_in: int | None = None  # calls from now, the last of which is the crash
        self.crash_after = False  # the write of that call is done
        self.owed: int | None = None  # deliveries ever made, when the next one is to be the crash
        self.files: DataFiles | None = None  # while open
        self._path = path
        self._full = full
        self._locked = locked
        self._locker: sqlite3.Connection | None = None

    async def __call__(self, work: Callable[[], T], /, *, limiter: trio.CapacityLimiter) -> T:
        """Call *work*; to cancel the caller does not abandon it."""
        async with limiter:
            with trio.CancelScope(shield=True):
                if self.pause:
                    await trio.sleep(self.pause)
            return self._call(work)

    def _call(self, work: Callable[[], T]) -> T:
        self._alive()
        crash = False
        if self.crash_in is not None:
            self.crash_in -= 1
            crash = self.crash_in <= 0
        if crash and not self.crash_after:
            self.die()
        try:
            result = work()
        except StoreError:
            self.failures += 1
            raise
        if isinstance(result, DataFiles):
            self._opened(result)
        elif getattr(work, "__self__", None) is self.files:  # it was closed
            self.files = None
        if self.files is not None:
            self.committed(self.files.db)
        if crash or (self.owed is not None and self._deliveries() > self.owed):
            self.die()
        self._alive()
        return result

    def crash_at_alert(self) -> None:
        """The process ends right after the next write that makes a delivery: nothing that follows it is written."""
        self.owed = self._deliveries()

    def _deliveries(self) -> int:
        """How many were ever made."""
        if self.files is None:
            return self.owed or 0
        found = self.files.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'").fetchone()
        return 0 if found is None else int(found[0])

    def _alive(self) -> None:
        if self.dead:
            raise Crashed

    def die(self) -> None:
        """The process ends here: nothing is written from now on."""
        self.dead = True
        raise Crashed

    def _opened(self, files: DataFiles) -> None:
        self.files = files
        files.db.execute("PRAGMA busy_timeout = 0")  # waiting for a lock takes real time
        self.set_full(self._full)
        self.set_locked(self._locked)

    @property
    def failing(self) -> bool:
        """Would a write fail now?"""
        return self._full or self._locked

    def set_full(self, full: bool) -> None:
        """Let the database grow no more, or again."""
        self._full = full
        if self.files is not None:
            self.files.db.execute(f"PRAGMA max_page_count = {1 if full else 1_000_000_000}")

    def set_locked(self, locked: bool) -> None:
        """Have another program write, or no more."""
        self._locked = locked
        if self._locker is not None and not locked:
            self._locker.close()
            self._locker = None
        elif self.files is not None and locked and self._locker is None:
            self._locker = sqlite3.connect(self.files.path, isolation_level=None, timeout=0)
            self._locker.execute("BEGIN IMMEDIATE")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection to read what is committed, also after the end; None: there was never a database."""
        if self.files is not None:
            yield self.files.db
        elif not self._path.exists():
            yield None
        else:
            with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as db:
                yield db

    def bury(self) -> None:
        """What the kernel does when a process is gone: its files are closed, its lock is let go."""
        self.dead = True
        self.set_locked(False)
        if self.files is not None:
            with contextlib.suppress(sqlite3.Error):
                self.files.db.close()
            with contextlib.suppress(OSError):
                self.files._lock.release()
            self.files = None
