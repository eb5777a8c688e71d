"""Charts show the same whether they are read from raw results or from roll-ups, whatever happened in between."""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from support.entries import REFUSED, StandingClock, looked_at, observed

from monitor.core.histogram import RELATIVE_ERROR
from monitor.core.model import OK, Status
from monitor.core.rollup import Rollup
from monitor.store import Entry, Record, writer
from monitor.store.files import DataFiles
from monitor.store.group import WINDOW
from monitor.store.rollups import BUDGET, Roller
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trio.testing import MockClock

    from monitor.core.model import Observation
    from monitor.core.rollup import Series
    from monitor.store.sqlite import SqliteStore

START = datetime.fromisoformat("2026-11-20T00:00:00Z")


def result(name: str, at: datetime, chance: random.Random) -> Observation:
    status = chance.choice([Status.UP] * 8 + [Status.DEGRADED, Status.DOWN, Status.UNKNOWN])
    return attrs.evolve(
        observed(name, at=at, reason=OK if status is Status.UP else REFUSED),
        status=status,
        duration=chance.lognormvariate(-3, 1),
        phases={"connect": chance.random() / 10, "tls": chance.random() / 10},
    )


def entry(observation: Observation) -> Entry:
    return Entry(record=Record(name=observation.endpoint, last=observation), observation=observation)


async def flush(store: SqliteStore, clock: StandingClock) -> None:
    store.append(Entry(record=Record(name="flushes")))
    await trio.sleep(WINDOW * 1.1)
    clock.advance(seconds=1.001)


async def settled(store: SqliteStore, clock: StandingClock) -> None:
    """Until there is nothing to roll up any more."""
    before = None
    while (now := await progress(store)) != before:
        before = now
        for _ in range(3):
            await flush(store, clock)


async def progress(store: SqliteStore) -> tuple[object, ...]:
    path = store._files.path
    db = sqlite3.connect(path)
    found = db.execute("SELECT of, until FROM progress WHERE of != 'steps'").fetchall()
    counts = [db.execute(f"SELECT count(*), sum(up) FROM {table}").fetchone() for table in ("minutes", "hours", "days")]
    db.close()
    return (*[(of, until // 60_000) for of, until in found if of == "minutes"], *counts)


def expected(observations: Iterable[Observation], step: timedelta, since: datetime) -> dict[datetime, Rollup]:
    found: defaultdict[datetime, Rollup] = defaultdict(Rollup)
    epoch = datetime.fromisoformat("1970-01-01T00:00:00Z")
    for each in observations:
        at = epoch + (each.started_at - epoch) // step * step
        if at >= since:
            found[at].add(str(each.status), each.duration, each.phases)
    return dict(found)


def shown(series: Series | None) -> dict[datetime, Rollup]:
    assert series is not None
    return {point.at: point.rollup for point in series.points if point.rollup != Rollup()}


async def test_charts_of_all_windows(tmp_path: Path, autojump_clock: MockClock) -> None:
    chance = random.Random(1)
    clock = StandingClock(START)
    everything: list[Observation] = []
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        for minute in range(0, 40 * 60, 19):
            clock.now = START + timedelta(minutes=minute)
            for name in ("shop", "feed"):
                observation = result(name, clock.now, chance)
                everything.append(observation)
                store.append(entry(observation))
            await trio.sleep(WINDOW * 1.1)
        await settled(store, clock)
        newest = result("shop", clock.now, chance)  # is in no roll-up yet
        everything.append(newest)
        store.append(entry(newest))
        await flush(store, clock)

        ours = [each for each in everything if each.endpoint == "shop"]
        for window, step in (("5h", 60), ("24h", 300), ("7d", 3600), ("30d", 4 * 3600), ("90d", 86400)):
            span = timedelta(hours=float(window[:-1]) * (24 if window[-1] == "d" else 1))
            series = await store.series("shop", window=span, now=clock.now)
            assert series is not None
            assert series.step == step
            since = min((point.at for point in series.points), default=START)
            assert shown(series) == expected(ours, timedelta(seconds=step), since), window
        assert await store.series("nobody", window=timedelta(days=1), now=clock.now) is None
        everything_read = await store.series("shop", window=timedelta(days=90), now=clock.now)

    latencies = sorted(each.duration for each in ours if each.status in (Status.UP, Status.DEGRADED))
    whole = Rollup()
    for point in everything_read.points:
        whole.merge(point.rollup)
    for share in (0.5, 0.95, 0.99):
        exact = latencies[max(1, -(-int(share * 1000) * len(latencies) // 1000)) - 1]
        assert whole.latency.percentile(share) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_in_between(tmp_path: Path, autojump_clock: MockClock, seed: int) -> None:
    """Restarts, crashes, results that come late, clocks set back, a database that is locked for a while."""
    chance = random.Random(seed)
    clock = StandingClock(START)
    everything: list[Observation] = []
    for _ in range(8):
        async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
            for _ in range(chance.randrange(40)):
                clock.advance(seconds=chance.randrange(1, 100))
                if chance.random() < 0.03:
                    clock.advance(hours=-chance.random() * 2)
                late = timedelta(minutes=chance.random() * 90 if chance.random() < 0.1 else 0)
                observation = result(chance.choice(("shop", "feed")), clock.now - late, chance)
                everything.append(observation)
                store.append(entry(observation))
                other = sqlite3.connect(tmp_path / "monitor.db", isolation_level=None)
                if chance.random() < 0.02:
                    other.execute("BEGIN IMMEDIATE")
                await trio.sleep(WINDOW * 1.1)
                other.close()
                if chance.random() < 0.1:  # one that contradicts: all in its transaction are done one by one
                    store.append(Entry(record=attrs.evolve(Record(name="odd"), incident=_open(chance))))
                    store.append(Entry(record=attrs.evolve(Record(name="odd"), incident=_open(chance))))
    clock.now = max(each.started_at for each in everything) + timedelta(minutes=5)
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        await settled(store, clock)
    db = sqlite3.connect(tmp_path / "monitor.db")
    db.execute("DELETE FROM history")  # so that only roll-ups can be read
    db.commit()
    db.close()
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        for name in ("shop", "feed"):
            series = await store.series(name, window=timedelta(hours=26), now=clock.now)
            ours = [each for each in everything if each.endpoint == name]
            since = min(point.at for point in series.points)
            assert shown(series) == expected(ours, timedelta(minutes=5), since)


def _open(chance: random.Random) -> object:
    from monitor.core.model import Incident

    return Incident(id=str(chance.random()), endpoint="odd", started_at=START, reason=REFUSED)


def test_what_is_rolled_back_is_done_again(tmp_path: Path) -> None:
    """A commit may fail after the work was done: what was only in that transaction must not count as done."""
    chance = random.Random(3)
    files = DataFiles.open(tmp_path, now=START)
    everything = [result("shop", START + timedelta(seconds=7 * number), chance) for number in range(900)]
    files.db.execute("BEGIN")
    for each in everything:
        writer.write_entry(files.db, writer.EntryRows.of(entry(each)))
    files.db.execute("COMMIT")
    roller = Roller()
    for number in range(200):
        files.db.execute("BEGIN")
        roller.step(files.db, START + timedelta(hours=3, seconds=2 * number))
        files.db.execute("ROLLBACK" if chance.random() < 0.4 else "COMMIT")
    (counted,) = files.db.execute("SELECT sum(up + degraded + down + unknown) FROM minutes").fetchone()
    files.close()
    assert counted == 900


async def test_no_flush_does_much(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What one transaction may read and write for it is bounded, however much there is to do."""
    clock = StandingClock(START)
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        for number in range(3000):
            store.append(looked_at(f"endpoint-{number % 1000}", at=START + timedelta(milliseconds=number)))
        await trio.sleep(WINDOW * 1.1)
        clock.advance(minutes=3)
        written = []
        while sum(written) < 1000:
            before = _count(tmp_path)
            await flush(store, clock)
            written.append(_count(tmp_path) - before)
        assert max(written) <= BUDGET / 3 + 100


def _count(data_dir: Path) -> int:
    db = sqlite3.connect(data_dir / "monitor.db")
    (found,) = db.execute("SELECT count(*) FROM minutes").fetchone()
    db.close()
    return found


async def test_an_unreadable_roll_up_is_a_gap(tmp_path: Path, autojump_clock: MockClock) -> None:
    clock = StandingClock(START)
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        for minute in range(10):
            store.append(looked_at("shop", at=START + timedelta(minutes=minute)))
        clock.advance(minutes=20)
        await settled(store, clock)
        db = sqlite3.connect(tmp_path / "monitor.db")
        db.execute("UPDATE minutes SET latency = x'ff' WHERE at % 120000 = 0")
        db.execute("UPDATE minutes SET phases = '{' WHERE at % 120000 != 0 AND at % 180000 = 0")
        db.commit()
        db.close()
        series = await store.series("shop", window=timedelta(hours=1), now=clock.now)
        assert [point.at.minute for point in series.points if point.rollup.up] == [1, 5, 7]
