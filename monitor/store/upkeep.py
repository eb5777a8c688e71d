"""What is done in passing, a little with each flush, as a part of its transaction: nothing ever waits long for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from monitor.store import retention
from monitor.store.presence import Presence
from monitor.store.rollups import Roller

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from monitor.core.ports import Clock
    from monitor.store.group import Work


class Upkeep:
    """Keeps that the monitor runs, rolls up, and removes what is too old."""

    def __init__(self, clock: Clock) -> None:
        """The monitor runs from now on."""
        self.presence = Presence(clock)
        self._roller = Roller()

    def work(self) -> Work[None]:
        """What is to be done now; asked for on the loop, done where it may block."""
        return partial(self._do, now=self.presence.look())

    def last_work(self) -> Work[None]:
        """What is to be done before the database is closed: all the time until now counts."""
        self.presence.look()
        return partial(self.presence.write, at_once=True)

    def _do(self, db: sqlite3.Connection, now: datetime) -> None:
        self.presence.write(db)
        self._roller.step(db, now)
        retention.prune(db, now)
