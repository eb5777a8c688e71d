"""Spans of a time without the database: told of afterwards, it holds what it would if it had been told at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st
from support.entries import NOW, StandingClock, came_back, went_down

from monitor.core.uptime import Course, course, without
from monitor.store import spans
from monitor.store.database import connect_to_memory
from monitor.store.fallback import PAUSE
from monitor.store.kept import EACH, SPANS, Kept
from monitor.store.moments import millis
from monitor.store.opening import open_steady_store
from monitor.store.schema import migrate
from monitor.store.seed import Seed
from monitor.store.spans import Change
from monitor.store.sqlite import run_here
from monitor.store.times import Times

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from trio.testing import MockClock

    from monitor.store.spans import Kind

KINDS: tuple[Kind, ...] = ("watched", "down", "unknown")
FLIPS = st.lists(st.sampled_from(KINDS), max_size=30)
END = NOW + timedelta(hours=1)


def changes(flips: Iterable[Kind]) -> list[Change]:
    """One flip each second: what is not under way begins, what is ends. To be watched is told again and again.

    An `unknown` ends with its beginning told again; who is not watched any longer is nothing else.
    """
    found = [Change("watched", since=NOW)]
    since: dict[Kind, datetime] = {}
    for number, kind in enumerate(flips, 1):
        now = NOW + timedelta(seconds=number)
        if kind == "watched":
            found += [Change(each, until=now) for each in KINDS]
            since.clear()
            continue
        found.append(Change("watched", since=now))
        if kind not in since:
            since[kind] = now
            found.append(Change(kind, since=now))
        else:
            began = since.pop(kind)
            found.append(Change(kind, since=began if kind == "unknown" else None, until=now))
    return found


def held(known: Iterable[Change], times: Times | None = None) -> tuple[dict[Kind, Course], list[tuple[str]]]:
    """What a database holds that was told of *known*, then of *times*: moments by kind, and what is not over."""
    with closing(connect_to_memory()) as db:
        migrate(db, 0)
        db.execute("INSERT INTO endpoints (name, health, sequence, watched) VALUES ('shop', '{}', 0, 1)")
        spans.write(db, "shop", tuple(known))
        if times is not None:
            times.write(db, "shop")
        query = "SELECT started_at, coalesce(ended_at, ?) FROM spans WHERE kind = ?"
        found = {kind: course(db.execute(query, (millis(END), kind))) for kind in KINDS}
        return found, db.execute("SELECT kind FROM spans WHERE ended_at IS NULL ORDER BY kind").fetchall()


@given(before=FLIPS, meanwhile=FLIPS)
def test_nothing_is_lost(before: list[Kind], meanwhile: list[Kind]) -> None:
    every = changes([*before, *meanwhile])
    known = changes(before)
    times = Times()
    for each in every[len(known) :]:
        times.add(each)
    assert held(known, times) == held(every)


@given(before=FLIPS, meanwhile=FLIPS, forgotten=st.integers(1, 20))
def test_what_is_forgotten_is_unknown(before: list[Kind], meanwhile: list[Kind], forgotten: int) -> None:
    every = changes([*before, *meanwhile])
    known = changes(before)
    times = Times()
    for each in every[len(known) :]:
        times.add(each)
    for _ in range(forgotten):
        times.forget()
    (found, under_way), (true, really) = held(known, times), held(every)
    assert under_way == really
    assert without(true["unknown"], found["unknown"]) == []
    for kind in KINDS[:2]:
        assert without(without(true[kind], found[kind]), found["unknown"]) == []
        assert without(without(found[kind], true[kind]), found["unknown"]) == []


def test_memory_is_bounded() -> None:
    kept = Kept(Seed(), 1)
    steady = went_down("feed", "f", sinks=())
    kept.append(steady)
    for number in range(SPANS + 100):
        down = went_down("shop", "s", sinks=(), at=NOW + timedelta(minutes=2 * number))
        kept.append(down)
        kept.append(came_back(down, "t", at=NOW + timedelta(minutes=2 * number + 1)))
    assert len(kept.told["shop"].times) + len(kept.told["feed"].times) == SPANS
    kept.close()


async def test_an_endpoint_that_goes_up_and_down_while_the_database_is_away(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Each of its outages is in the database afterwards, though of its incidents and transitions only the latest."""
    async with open_steady_store(tmp_path, clock=StandingClock(), run_sync=run_here) as store:
        await store.commit(went_down("shop", "a-0"))
        other = sqlite3.connect(tmp_path / "monitor.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        down = went_down("shop", "a-0")
        for number in range(1, 3 * EACH):
            await store.commit(came_back(down, f"b-{number}", at=NOW + timedelta(minutes=2 * number - 1)))
            down = went_down("shop", f"a-{number}", at=NOW + timedelta(minutes=2 * number))
            await store.commit(down)
        assert store.trouble
        other.close()
        await trio.sleep(5 * PAUSE)
        assert not store.trouble
    with closing(sqlite3.connect(tmp_path / "monitor.db")) as db:
        found = db.execute("SELECT started_at, ended_at FROM spans WHERE kind = 'down' ORDER BY started_at").fetchall()
    minute, began = 60_000, millis(NOW)
    *over, last = [(began + 2 * number * minute, began + (2 * number + 1) * minute) for number in range(3 * EACH)]
    assert found == [*over, (last[0], None)]
