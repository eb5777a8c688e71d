"""Uptime, computed a second time and another way: of the observations as they came, moment by moment.

The daemon keeps spans in its database. Here the observations alone say when an endpoint was down and when it could
not be seen; when the monitor ran, and what was in maintenance, is read from the database and held against the lives
of the daemon and the windows of the config.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import attrs

from monitor.core.model import State, Status
from simulation.time import EPOCH

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

    from monitor.core.model import Observation
    from simulation.witness import Witness
    from simulation.world import World

Span = tuple[datetime, datetime]
Kind = Literal["watched", "down", "unknown"]

WINDOWS = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "90d": timedelta(days=90)}
_OLDEST = timedelta(days=91)
_LEAVING = 10.0  # seconds that it may take until somebody who left the config is let go
_TELLING = 75.0  # seconds that it may take until a window that opens is noticed: the clock may have been set
_JUMP = 30.0  # seconds by which the wall clock may go another way before the monitor sees that it was away
_FORGOTTEN = 330.0  # seconds before a kill of which it may not know that it ran: it keeps that each five minutes
_EXACT = 0.1  # seconds that rounding may cost


@attrs.frozen
class Told:
    """What the store said at *now* of the uptime of every endpoint, in a run that began *here_since*."""

    now: datetime
    here_since: datetime
    uptime: Mapping[str, Mapping[str, float | None]]


@attrs.frozen
class Times:
    """When an endpoint was watched, down, and not to be seen: what is over, and since when what is not."""

    over: tuple[tuple[Kind, datetime, datetime], ...] = ()
    since: Mapping[Kind, datetime] = attrs.field(factory=dict)
    left: int = 0  # times that it left the config

    def begins(self, kind: Kind, at: datetime) -> Times:
        return self if kind in self.since else attrs.evolve(self, since={**self.since, kind: at})

    def ends(self, kind: Kind, at: datetime) -> Times:
        if kind not in self.since:
            return self
        began = self.since[kind]
        since = {each: moment for each, moment in self.since.items() if each != kind}
        over = tuple(each for each in self.over if each[2] > at - _OLDEST)
        return attrs.evolve(self, since=since, over=(*over, (kind, began, max(began, at))))

    def observed(self, observation: Observation) -> Times:
        """It was looked at."""
        times = self.begins("watched", observation.started_at)
        change = times.begins if observation.status is Status.UNKNOWN else times.ends
        return change("unknown", observation.started_at)

    def moved(self, before: State, after: State, since: datetime) -> Times:
        """Its state changed, because of what was seen from *since* on."""
        times = self.ends("down", since) if before is State.DOWN else self
        return times.begins("down", since) if after is State.DOWN else times

    def leaves(self, at: datetime) -> Times:
        """It is watched no longer."""
        if not self.since:
            return self
        times: Times = self
        for kind in tuple(self.since):
            times = times.ends(kind, at)
        return attrs.evolve(times, left=times.left + 1)

    def spans(self, kind: Kind, now: datetime) -> list[Span]:
        found = [(began, ended) for each, began, ended in self.over if each == kind]
        return [*found, (self.since[kind], now)] if kind in self.since else found


class Lives:
    """When the daemon really ran, by the wall clock: a life is in pieces where that was set, or the machine slept."""

    def __init__(self, world: World) -> None:
        self.pieces: list[Span] = []
        self.cuts = 0  # where some time may be missing: crashes, jumps
        self.jumped = 0.0  # seconds of jumps too small to be seen
        self._world = world
        self._since: datetime | None = None

    def begins(self) -> None:
        self._since = self._world.clock.wall()

    def ends(self, *, killed: bool) -> None:
        self.cuts += killed
        if self._since is not None:
            self.pieces.append((self._since, self._world.clock.wall()))
        self._since = None

    def about_to_jump(self, seconds: float) -> None:
        """The wall clock is about to go another way than time."""
        if self._since is not None:
            self.pieces.append((self._since, self._world.clock.wall()))
            self._since = self._world.clock.wall() + timedelta(seconds=seconds)
            self.cuts += 1
            self.jumped += abs(seconds) if abs(seconds) <= _JUMP else 0.0

    def until(self, now: datetime) -> list[Span]:
        """Every piece, up to *now*."""
        return [*self.pieces, (self._since, now)] if self._since is not None else self.pieces


def seconds_of(
    inside: Iterable[Iterable[Span]], outside: Iterable[Iterable[Span]], begin: datetime, end: datetime
) -> float:
    """How long, between *begin* and *end*, every one of *inside* holds and none of *outside*: step by step."""
    layers = [(list(spans), True) for spans in inside] + [(list(spans), False) for spans in outside]
    edges = {begin, end}
    changes: dict[datetime, list[tuple[int, int]]] = {}
    for number, (spans, _) in enumerate(layers):
        for began, ended in spans:
            if ended <= began:
                continue
            first, last = max(began, begin), min(ended, end)
            if first < last:
                edges |= {first, last}
                changes.setdefault(first, []).append((number, 1))
                changes.setdefault(last, []).append((number, -1))
    depth, total = [0] * len(layers), 0.0
    for here, there in pairwise(sorted(edges)):
        for number, change in changes.get(here, ()):
            depth[number] += change
        if all((depth[number] > 0) is wanted for number, (_, wanted) in enumerate(layers)):
            total += (there - here).total_seconds()
    return total


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=millis)


def _runs(db: sqlite3.Connection) -> list[Span]:
    """When the monitor ran, as the database has it."""
    return [(_moment(began), _moment(ended)) for began, ended in db.execute("SELECT started_at, ended_at FROM runs")]


def _marks(db: sqlite3.Connection, name: str) -> list[Span]:
    query = """
        SELECT s.started_at, s.ended_at FROM spans s JOIN endpoints e ON e.id = s.endpoint
        WHERE e.name = ? AND s.kind = 'maintenance'
    """
    return [(_moment(began), _moment(ended)) for began, ended in db.execute(query, (name,))]


def uptime_is_the_integral_of_the_truth(witness: Witness) -> Iterator[str]:
    """Uptime equals the integral of the truth."""
    told, witness.uptimes = witness.uptimes, None
    with witness.world.disk.reading() as db:
        if told is None or db is None:
            return
        runs = [*_runs(db), (told.here_since, told.now)]
        yield from _runs_are_lives(witness.world, runs, told.now)
        for name, values in told.uptime.items():
            if name not in witness.standing:
                continue
            times = witness.times_of(name)
            marks = _marks(db, name)
            yield from _marks_are_windows(witness, name, marks, runs, told.now)
            for window, value in values.items():
                begin = told.now - WINDOWS[window]
                counting = [times.spans("watched", told.now), runs]
                excluded = [times.spans("unknown", told.now), marks]
                counted = seconds_of(counting, excluded, begin, told.now)
                down = seconds_of([*counting, times.spans("down", told.now)], excluded, begin, told.now)
                mistake = _EXACT + _LEAVING * times.left
                if value is None or counted <= mistake:
                    if counted > mistake:
                        yield f"{name}: no uptime is told of {window}, and it was watched for {counted:.0f} s"
                elif abs(value - (1 - down / counted)) > mistake / counted:
                    yield f"{name}: {value:.6f} is told of {window}, and {1 - down / counted:.6f} is true"


def _runs_are_lives(world: World, runs: list[Span], now: datetime) -> Iterator[str]:
    lives = world.lives.until(now)
    begin, margin = EPOCH - timedelta(days=1000), 60.0 + world.lives.jumped
    end = max(now, max((ended for _, ended in lives), default=now))
    if (more := seconds_of([runs], [lives], begin, end)) > margin:
        yield f"the monitor says that it ran for {more:.0f} s in which it did not"
    missing = seconds_of([lives], [runs], begin, end)
    if missing > margin + world.lives.cuts * _FORGOTTEN + world.without_database:
        yield f"the monitor does not know of {missing:.0f} s in which it ran, with {world.lives.cuts} cuts"


def _marks_are_windows(
    witness: Witness, name: str, marks: list[Span], runs: list[Span], now: datetime
) -> Iterator[str]:
    """Maintenance is what the config says, as far as the monitor ran and the wall clock was not set."""
    world = witness.world
    if "clock_jump" in world.scenario.faults:
        return
    begin, end = now - timedelta(days=30), now
    windows = [*world.scenario.windows_of(name), *world.scenario.past_windows_of(name)]
    opened = [span for window in windows for span in window.between(begin, world.settled_at or now)]
    opened = [(began, min(ended, world.settled_at or now)) for began, ended in opened]
    margin = _TELLING * (2 * len(opened) + world.lives.cuts) + world.without_database
    watched = witness.times_of(name).spans("watched", now)
    missing = seconds_of([opened, runs, watched], [marks], begin, end)
    more = seconds_of([marks, runs, watched], [opened], begin, end)
    if missing > margin:
        yield f"{name}: {missing:.0f} s of maintenance are not known"
    if more > margin:
        yield f"{name}: {more:.0f} s count as maintenance, and were none"
