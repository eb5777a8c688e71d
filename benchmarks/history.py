"""How long history queries take: a database of 90 days of 1,000 endpoints is made, then asked.

    python -m benchmarks.history make /tmp/history        # some minutes, about 1.5 GB; once
    python -m benchmarks.history ask /tmp/history         # prints milliseconds

`make` writes roll-ups and spans as the monitor leaves them (30 s interval; minutes of the last 2 days only, which is
what the measured charts read; hours and days of all 90), about three outages a week for each endpoint. `ask` goes
through the store as the API does: uptime of all endpoints in four windows, a chart of each window, and how long a
start takes with the checks it makes.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from monitor.core.rollup import Rollup
from monitor.store import rollups
from monitor.store.files import DataFiles
from monitor.store.moments import millis
from monitor.store.sqlite import open_store
from monitor.system import SystemClock

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

ENDPOINTS, DAYS = 1000, 90
NOW = datetime(2026, 11, 22, tzinfo=UTC)
HEALTH = (
    '{"state":"up","counted_at":null,"unknowns":0,"as_bad_as_degraded":null,"as_bad_as_down":null,'
    '"as_good_as_degraded":null,"as_good_as_up":null}'
)
WINDOWS = {"24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90)}
ROUNDS = 15


def make(data_dir: Path) -> None:
    """Fill a new database in *data_dir*."""
    files = DataFiles.open(data_dir, now=NOW)
    db, chance = files.db, random.Random(1)
    db.execute("PRAGMA synchronous = OFF")
    begin = NOW - timedelta(days=DAYS)
    db.execute("BEGIN")
    for number in range(1, ENDPOINTS + 1):
        db.execute(
            "INSERT INTO endpoints (id, name, health, sequence, watched) VALUES (?, ?, ?, 0, 1)",
            (number, f"endpoint-{number}", HEALTH),
        )
        _spans(db, number, begin, chance)
    db.execute("INSERT INTO runs VALUES (?, ?)", (millis(begin), millis(NOW)))
    minutes = [(rollups.MINUTES, minute) for minute in range(millis(NOW) - 2 * 86_400_000, millis(NOW), 60_000)]
    for endpoint in range(1, ENDPOINTS + 1):
        for level in (rollups.HOURS, rollups.DAYS):
            _roll(db, level, endpoint, range(millis(begin), millis(NOW), level.width), chance)
    for level, minute in minutes:
        db.executemany(
            level.write, [(minute, e, *rollups.to_row(_results(2, chance))) for e in range(1, ENDPOINTS + 1)]
        )
    for level in rollups.LEVELS:
        rollups.keep(db, level.table, millis(NOW))
    rollups.keep(db, "history", 0)
    db.execute("COMMIT")
    files.close()
    print(f"{(data_dir / 'monitor.db').stat().st_size / 2**20:.0f} MiB in {data_dir}")


def _spans(db: sqlite3.Connection, endpoint: int, begin: datetime, chance: random.Random) -> None:
    found = [("watched", millis(begin), None)]
    for _ in range(3 * DAYS // 7):
        start = millis(begin) + chance.randrange(DAYS * 86_400) * 1000
        found.append(
            (chance.choice(("down", "down", "unknown", "maintenance")), start, start + chance.randrange(3_600_000))
        )
    db.executemany("INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?)", [(endpoint, *each) for each in found])


def _roll(db: sqlite3.Connection, level: rollups.Level, endpoint: int, moments: range, chance: random.Random) -> None:
    whole = rollups.to_row(_results(min(level.width // 30_000, 240), chance))
    db.executemany(level.write, [(at, endpoint, *whole) for at in moments])


def _results(count: int, chance: random.Random) -> Rollup:
    rollup = Rollup()
    for _ in range(count):
        seconds = chance.lognormvariate(-2.5, 0.6)
        phases = {"resolve": 0.002, "connect": 0.01, "tls": 0.02, "processing": seconds, "transfer": 0.004}
        rollup.add("up" if chance.random() < 0.995 else "down", seconds, phases)
    return rollup


class _Clock(SystemClock):
    def wall(self) -> datetime:
        return NOW


async def ask(data_dir: Path) -> None:
    """Ask everything some times, and print the median, the worst, and the processor's time on the average."""
    began = time.perf_counter()
    async with open_store(data_dir, clock=_Clock()) as store:
        print(f"{'start, with its checks':28} {(time.perf_counter() - began) * 1000:7.1f} ms")
        await _time("uptime of all, 4 windows", partial(store.uptime, windows=WINDOWS, now=NOW))
        await _time(
            "uptime of one, 4 windows", partial(store.uptime, endpoints=["endpoint-7"], windows=WINDOWS, now=NOW)
        )
        for name, window in WINDOWS.items():
            await _time(f"chart of one, {name}", partial(store.series, "endpoint-7", window=window, now=NOW))


async def _time(what: str, work: Callable[[], Awaitable[object]]) -> None:
    taken = []
    spent = time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    cpu = (time.process_time() - spent) * 1000 / ROUNDS
    print(f"{what:28} {statistics.median(taken):7.1f} ms, worst {max(taken):.1f}, first {taken[0]:.1f}, cpu {cpu:.1f}")


def main() -> None:
    """See the module."""
    match sys.argv[1:]:
        case ["make", where]:
            make(Path(where))
        case ["ask", where]:
            trio.run(ask, Path(where))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
