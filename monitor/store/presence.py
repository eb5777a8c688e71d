"""When the monitor itself ran: what it did not see, it does not count (`core.uptime`).

One row for each run, kept up to date as a part of transactions that are made anyway. Where the wall clock went
another way than the time that passed (a suspend, a clock set anew), a new run begins: nobody watched meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.moments import millis

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from monitor.core.ports import Clock

OFTEN = 10.0  # seconds; so much of the time before a crash is not counted
APART = 30.0  # seconds by which the two clocks may differ between two looks

_RUN = """
    INSERT INTO runs (started_at, ended_at) VALUES (?, ?)
    ON CONFLICT (started_at) DO UPDATE SET ended_at = max(ended_at, excluded.ended_at)
"""


class Presence:
    """The run under way."""

    def __init__(self, clock: Clock) -> None:
        """It begins now: *since*."""
        self._clock = clock
        self.since = self._seen_at = clock.wall()
        self._monotonic = clock.monotonic()
        self._written_at: datetime | None = None
        self._over: list[tuple[datetime, datetime]] = []  # runs that are over, and not written to their end

    def look(self) -> datetime:
        """See what time it is; must be asked again and again, on the loop."""
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        passed = monotonic - self._monotonic
        if abs((now - self._seen_at).total_seconds() - passed) > APART:
            self._over.append((self.since, self._seen_at))
            self.since = now
            self._written_at = None
        self._seen_at, self._monotonic = now, monotonic
        return now

    def write(self, db: sqlite3.Connection, *, at_once: bool = False) -> None:
        """Keep that the monitor ran until the last `look`; seldom, unless *at_once*."""
        written = self._written_at
        if at_once or written is None or (self._seen_at - written).total_seconds() >= OFTEN:
            runs = [*self._over, (self.since, self._seen_at)]
            db.executemany(_RUN, [(millis(since), millis(until)) for since, until in runs])
            self._over.clear()
            self._written_at = self._seen_at
