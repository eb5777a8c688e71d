"""Results of minutes, made of the raw ones; of hours, made of minutes; of days, made of hours.

Theory of operation. A little is done with each flush, in its transaction, so that no writer ever waits long: a
minute is read some rows at a time, then its roll-ups are written some at a time, then `progress` says that it is
done. All of it may be done again: a roll-up *replaces* what stands there, and is made of everything it is a
roll-up of. So a crash in the middle, or a transaction that fails, costs only that the span under way is begun anew.

A minute is rolled up `LAG` after its end. Results that come later still (a probe may take long) are found by their
ids, and their minute, hour and day are done again; so are those that a clock set back puts into the past.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.histogram import Histogram
from monitor.core.rollup import Rollup
from monitor.store.moments import millis

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from datetime import datetime

LAG = 90_000  # milliseconds
BUDGET = 400  # about so many rows are read or written with one flush: a few milliseconds at most
_ROWS = 100  # at one go
_WRITE_COSTS = 3  # rows read
_PAUSE = 1000  # milliseconds until it is looked again whether there is something to do

COLUMNS = "up, degraded, down, unknown, latency, phases"
_RAW = """
    SELECT started_at, id, endpoint, status, duration, phases FROM history
    WHERE (started_at, id) > (?, ?) AND started_at < ? ORDER BY started_at, id LIMIT ?
"""
_NEWS = "SELECT id, started_at FROM history WHERE id > ? ORDER BY id LIMIT ?"
_ENDPOINTS = "SELECT id FROM endpoints WHERE id > ? ORDER BY id LIMIT 1"
_PROGRESS = "INSERT INTO progress (of, until) VALUES (?, ?) ON CONFLICT (of) DO UPDATE SET until = excluded.until"


@attrs.frozen
class Level:
    """One kind of roll-up: its table, how long it is and is kept (milliseconds), and how to read what it is made of."""

    table: str
    width: int
    kept: int
    first: str  # of the source, from a moment on: when is it
    source: str  # one endpoint's in a span

    def floor(self, moment: int) -> int:
        """The beginning of the span *moment* is in."""
        return moment // self.width * self.width

    @property
    def write(self) -> str:
        """The statement that writes one."""
        return f"INSERT OR REPLACE INTO {self.table} (at, endpoint, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
MINUTES = Level("minutes", _MINUTE, 7 * _DAY, "SELECT min(started_at) FROM history WHERE started_at >= ?", "")
HOURS = Level(
    "hours",
    _HOUR,
    100 * _DAY,
    "SELECT min(at) FROM minutes WHERE at >= ?",
    f"SELECT at, {COLUMNS} FROM minutes WHERE at IN (SELECT ?2 + value * {_MINUTE} FROM json_each("  # noqa: S608
    f"'[{','.join(map(str, range(60)))}]')) AND endpoint = ?1 AND at < ?3",
)
DAYS = Level(
    "days",
    _DAY,
    400 * _DAY,
    "SELECT min(at) FROM hours WHERE at >= ?",
    f"SELECT at, {COLUMNS} FROM hours WHERE endpoint = ?1 AND at >= ?2 AND at < ?3",  # noqa: S608
)
LEVELS = (MINUTES, HOURS, DAYS)
_ABOVE = {MINUTES: HOURS, HOURS: DAYS}
_PRUNE_ONE = {level: f"DELETE FROM {level.table} WHERE endpoint = ? AND at < ?" for level in (HOURS, DAYS)}  # noqa: S608


def to_row(rollup: Rollup) -> tuple[Any, ...]:
    """The values of `COLUMNS`."""
    latency, phases = rollup.latency.to_bytes(), json.dumps(rollup.phases, separators=(",", ":"))
    return rollup.up, rollup.degraded, rollup.down, rollup.unknown, latency, phases


def from_row(row: tuple[Any, ...]) -> Rollup:
    """Read what `to_row` wrote; one that cannot be read is empty: nobody is misled by a gap."""
    up, degraded, down, unknown, latency, phases = row
    try:
        return Rollup(
            up=up,
            degraded=degraded,
            down=down,
            unknown=unknown,
            latency=Histogram.from_bytes(latency),
            phases=json.loads(phases),
        )
    except (ValueError, TypeError):
        return Rollup()


def progress(db: sqlite3.Connection) -> dict[str, int]:
    """Up to where each table is made; `history`: the last id that was looked at; `steps`: how many were written."""
    return dict(db.execute("SELECT of, until FROM progress"))


def keep(db: sqlite3.Connection, of: str, until: int) -> None:
    """Write one line of `progress`."""
    db.execute(_PROGRESS, (of, until))


class Roller:
    """Does the work, a little at each `step`."""

    def __init__(self) -> None:
        """Begin where the database says."""
        self._work: Iterator[int] | None = None
        self._steps = 0
        self._limit = 0
        self._looked_at = 0

    def step(self, db: sqlite3.Connection, now: datetime) -> None:
        """Do a little, if there is something to do, as a part of a transaction."""
        at = millis(now)
        if 0 <= at - self._looked_at < _PAUSE:
            return
        self._limit = at - LAG
        work, self._work = self._work, None  # what raises is begun anew
        if work is None or progress(db).get("steps") != self._steps:
            work = self._for_ever(db)  # … and so is what was rolled back
        self._steps += 1
        keep(db, "steps", self._steps)
        spent = 0
        while spent < BUDGET:
            cost = next(work)
            if not cost:
                self._looked_at = at
                break
            spent += cost
        self._work = work

    def _for_ever(self, db: sqlite3.Connection) -> Iterator[int]:
        """Yield what each piece of work cost, 0 when there is none."""
        desk = _Desk(db)
        while True:
            yield from desk.look_for_news()
            job = desk.next_job(self._limit)
            if job is None:
                yield 0
            else:
                level, at = job
                yield from _minute(db, at) if level is MINUTES else _merged(db, level, at)
                desk.done(level, at)
                yield _WRITE_COSTS


class _Desk:
    """What is done, and what is to be done next."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._until = progress(db)
        self._again: set[tuple[int, int]] = set()  # the number of a level, a moment
        if "history" not in self._until:
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM history").fetchone()
            self._keep("history", last)
        self._seen = self._until["history"]

    def look_for_news(self) -> Iterator[int]:
        """Look at the results that were written since, and find those of minutes that were done before."""
        while True:
            news = self._db.execute(_NEWS, (self._seen, _ROWS)).fetchall()
            if not news:
                return
            done = self._until.get(MINUTES.table, 0)
            self._again.update((0, MINUTES.floor(started_at)) for _, started_at in news if started_at < done)
            self._seen = news[-1][0]
            yield len(news) // 4 + 1  # only looked at

    def next_job(self, limit: int) -> tuple[Level, int] | None:
        """What to roll up next, of the time before *limit*."""
        if self._again:
            number, at = min(self._again)
            return LEVELS[number], at
        if self._seen != self._until["history"]:
            self._keep("history", self._seen)
        for level in LEVELS:
            start = self._start(level, limit)
            if start + level.width <= limit:
                return level, start
            limit = self._until[level.table]  # the next is made of this one
        return None

    def _start(self, level: Level, limit: int) -> int:
        """The first span that is not done; spans without anything are passed over, where that can be seen fast."""
        until = self._until.get(level.table)
        first = until
        if until is None or level is not DAYS:
            (first,) = self._db.execute(level.first, (until or 0,)).fetchone()
        start = level.floor(limit if first is None else min(first, limit))
        if start != until:  # also where the clock was set back
            self._keep(level.table, start)
        return start

    def done(self, level: Level, at: int) -> None:
        """Keep that the span at *at* is done; those above it that were done before are to be done again."""
        number = LEVELS.index(level)
        if (number, at) in self._again:
            self._again.remove((number, at))
        else:
            self._keep(level.table, at + level.width)
        above = _ABOVE.get(level)
        if above is not None and at < self._until.get(above.table, 0):
            self._again.add((number + 1, above.floor(at)))

    def _keep(self, of: str, until: int) -> None:
        keep(self._db, of, until)
        self._until[of] = until


def _minute(db: sqlite3.Connection, at: int) -> Iterator[int]:
    found: dict[int, Rollup] = {}
    where = (at, -1)
    while raw := db.execute(_RAW, (*where, at + MINUTES.width, _ROWS)).fetchall():
        for _, _, endpoint, status, duration, phases in raw:
            found.setdefault(endpoint, Rollup()).add(status, duration, json.loads(phases))
        where = raw[-1][:2]
        yield len(raw)
    waiting = [(at, endpoint, *to_row(rollup)) for endpoint, rollup in found.items()]
    for start in range(0, len(waiting), _ROWS):
        some = waiting[start : start + _ROWS]
        db.executemany(MINUTES.write, some)
        yield len(some) * _WRITE_COSTS


def _merged(db: sqlite3.Connection, level: Level, at: int) -> Iterator[int]:
    """One endpoint after the other, those that have left too: what is too old goes in passing."""
    endpoint = 0
    while found := db.execute(_ENDPOINTS, (endpoint,)).fetchone():
        (endpoint,) = found
        db.execute(_PRUNE_ONE[level], (endpoint, at - level.kept))
        parts = db.execute(level.source, (endpoint, at, at + level.width)).fetchall()
        if parts:
            whole = Rollup()
            for _, *row in parts:
                whole.merge(from_row(tuple(row)))
            db.execute(level.write, (at, endpoint, *to_row(whole)))
        yield len(parts) + _WRITE_COSTS
