"""What a chart shows of one endpoint: roll-ups, and where they are not made yet, what they are made of.

Read a piece at a time, so that writers in between never wait long.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.rollup import Point, Rollup, Series
from monitor.store import rollups
from monitor.store.moments import moment
from monitor.store.rollups import DAYS, HOURS, MINUTES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from monitor.core.uptime import Life
    from monitor.store.rollups import Level

_MINUTE, _HOUR, _DAY = MINUTES.width, HOURS.width, DAYS.width
# Windows up to so long: the level that is read, and the length of a point, so that there are about 100 to 400.
_SHAPES = (
    (timedelta(hours=6), MINUTES, _MINUTE),
    (timedelta(hours=26), MINUTES, 5 * _MINUTE),
    (timedelta(days=8), HOURS, _HOUR),
    (timedelta(days=32), HOURS, 4 * _HOUR),
    (timedelta(days=400), DAYS, _DAY),
)
LONGEST = _SHAPES[-1][0]
_PIECE = {MINUTES: 200 * _MINUTE, HOURS: 400 * _HOUR, DAYS: 400 * _DAY}  # read at one go: some milliseconds
_RAW_PIECE = 10_000  # milliseconds
_RAW_MOST = 900_000  # … at most so much of what is not rolled up yet; after an upgrade that may be two days

_RAW = """
    SELECT h.started_at, h.status, h.duration, h.phases FROM history h
    WHERE h.started_at >= ? AND h.started_at < ? AND h.endpoint = ?
"""
_READ = {
    level: f"SELECT at, {rollups.COLUMNS} FROM {level.table} WHERE endpoint = ? AND at >= ? AND at < ?"  # noqa: S608
    for level in (HOURS, DAYS)
}


@attrs.frozen
class Piece:
    """A part of what is to be read; *level* None: raw results. Moments in milliseconds."""

    level: Level | None
    start: int
    end: int


@attrs.define
class Plan:
    """What to read for one chart, and what was read so far."""

    endpoint: int
    start: int
    end: int
    step: int
    pieces: list[Piece]
    found: dict[int, Rollup] = attrs.field(factory=dict)

    def read(self, db: sqlite3.Connection, piece: Piece) -> None:
        """Take *piece* in."""
        if piece.level is None:
            for at, status, duration, phases in db.execute(_RAW, (piece.start, piece.end, self.endpoint)):
                self._at(at).add(status, duration, json.loads(phases))
            return
        for at, *row in _rows_of(db, piece.level, self.endpoint, piece.start, piece.end):
            self._at(at).merge(rollups.from_row(tuple(row)))

    def _at(self, moment: int) -> Rollup:
        return self.found.setdefault(moment // self.step * self.step, Rollup())

    def series(self, life: Life) -> Series:
        """What was read, with the uptime that *life* gives."""
        points = []
        for at in range(self.start, self.end, self.step):
            uptime = life.uptime(at, min(at + self.step, self.end))
            rollup = self.found.get(at)
            if rollup is not None or uptime is not None:
                points.append(Point(moment(at), rollup or Rollup(), uptime))
        return Series(self.step / 1000, tuple(points))


def plan(db: sqlite3.Connection, *, endpoint: str, window: timedelta, now: int) -> Plan | None:
    """How to read the *window* before *now* (milliseconds) of *endpoint*; None where nothing was ever kept of it."""
    known = db.execute("SELECT id FROM endpoints WHERE name = ?", (endpoint,)).fetchone()
    if known is None:
        return None
    level, step = next((level, step) for longest, level, step in _SHAPES if window <= longest or longest == LONGEST)
    start = (now - window // timedelta(milliseconds=1)) // step * step
    return Plan(known[0], start, now, step, list(_pieces(rollups.progress(db), level, start, now)))


def _pieces(until: dict[str, int], level: Level, start: int, end: int) -> Iterator[Piece]:
    """From the coarsest level to the raw results, each from where the one before ends."""
    below = {DAYS: (DAYS, HOURS, MINUTES), HOURS: (HOURS, MINUTES), MINUTES: (MINUTES,)}[level]
    for each in below:
        done = min(end, until.get(each.table, start))
        while start < done:
            stop = min(done, start + _PIECE[each])
            yield Piece(each, start, stop)
            start = stop
    start = max(start, end - _RAW_MOST)
    while start < end:
        stop = min(end, start + _RAW_PIECE)
        yield Piece(None, start, stop)
        start = stop


def _rows_of(db: sqlite3.Connection, level: Level, endpoint: int, start: int, end: int) -> Iterator[tuple[Any, ...]]:
    if level is not MINUTES:
        yield from db.execute(_READ[level], (endpoint, start, end))
        return
    for hour in range(HOURS.floor(start), end, HOURS.width):  # they stand in order of time: look each up
        for row in db.execute(HOURS.source, (endpoint, hour, min(end, hour + HOURS.width))):
            if row[0] >= start:
                yield row
