"""The database does not grow for ever, and nothing that is still owed or open is ever too old."""

from __future__ import annotations

import itertools
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from support.entries import NOW, StandingClock, came_back, looked_at, went_down

from monitor.store.group import WINDOW
from monitor.store.retention import CHUNK
from monitor.store.sqlite import SqliteStore, open_store, run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

ROOM = {"ops": 10_000}


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def store(tmp_path: Path, clock: StandingClock, autojump_clock: MockClock) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as opened:
        yield opened


async def flush(store: SqliteStore, clock: StandingClock) -> None:
    store.append(looked_at("the newest", at=clock.now))
    await trio.sleep(WINDOW * 1.1)


def count(data_dir: Path, table: str) -> int:
    db = sqlite3.connect(data_dir / "monitor.db")
    (found,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    db.close()
    return found


async def test_raw_results_are_kept_for_two_days(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    await store.commit(looked_at("shop", at=NOW))
    await store.commit(looked_at("shop", at=NOW + timedelta(hours=1)))

    clock.advance(hours=48)
    await flush(store, clock)
    assert count(tmp_path, "history") == 3

    clock.advance(milliseconds=1)
    await flush(store, clock)
    assert count(tmp_path, "history") == 3  # one came, one went
    assert set(await store.records()) == {"shop", "the newest"}


async def test_a_little_goes_at_a_time(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    for _ in range(3 * CHUNK):
        store.append(looked_at("shop", at=NOW))
    await trio.sleep(WINDOW)
    while count(tmp_path, "minutes") == 0:  # before, nothing goes
        clock.advance(minutes=1)
        await flush(store, clock)
    clock.advance(days=3)

    left = []
    for _ in range(3):
        await flush(store, clock)
        left.append(count(tmp_path, "history"))
    assert [before - after for before, after in itertools.pairwise(left)] == [
        CHUNK - 1,
        CHUNK - 1,
    ]  # one came each time


async def test_what_is_not_rolled_up_yet_stays(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    """As after a long stop: first it is counted, then it goes."""
    for second in range(120):
        store.append(looked_at("shop", at=NOW + timedelta(seconds=second)))
    await trio.sleep(WINDOW * 1.1)
    clock.advance(days=5)
    while count(tmp_path, "history") > 100:
        await flush(store, clock)
        clock.advance(seconds=2)
    assert count(tmp_path, "minutes") >= 2


async def test_what_was_delivered_goes_after_a_month_with_its_alert(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    down = went_down("shop", "a-1", sinks=("ops", "log"))
    await store.commit(down)
    ops, log = await store.due(clock.now, room={"ops": 1, "log": 1})
    await store.settle(ops.id, attempts=1, at=NOW)
    await store.settle(log.id, attempts=1, at=NOW + timedelta(days=1))
    over = came_back(down, "a-2")
    assert over.decision is not None
    await store.commit(attrs.evolve(over, decision=attrs.evolve(over.decision, alerts=())))

    clock.advance(days=30)
    await flush(store, clock)
    assert (count(tmp_path, "deliveries"), count(tmp_path, "alerts")) == (2, 1)

    clock.advance(seconds=1)
    await flush(store, clock)
    assert (count(tmp_path, "deliveries"), count(tmp_path, "alerts")) == (1, 1)

    clock.advance(days=1)
    await flush(store, clock)
    assert (count(tmp_path, "deliveries"), count(tmp_path, "alerts")) == (0, 0)


async def test_what_was_said_of_an_open_incident_is_kept_as_long(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    await store.commit(went_down("shop", "a-1"))
    (delivery,) = await store.due(clock.now, room=ROOM)
    await store.settle(delivery.id, attempts=1, at=NOW)

    clock.advance(days=90)
    await flush(store, clock)
    assert (count(tmp_path, "deliveries"), count(tmp_path, "alerts")) == (1, 1)


async def test_the_dead_are_kept_longer_and_the_pending_for_ever(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    down = went_down("shop", "a-1")
    await store.commit(down)
    await store.commit(came_back(down, "a-2"))
    (head,) = await store.due(clock.now, room=ROOM)
    await store.bury(head.id, attempts=5, error="HTTP 400", at=NOW)

    clock.advance(days=400)
    await flush(store, clock)
    assert count(tmp_path, "deliveries") == 2

    clock.advance(days=400)
    await flush(store, clock)
    assert [each.alert for each in await store.due(clock.now, room=ROOM)] == ["a-2"]
    assert (count(tmp_path, "deliveries"), count(tmp_path, "alerts")) == (1, 1)


async def test_incidents_and_transitions_are_kept_for_more_than_a_year(
    autojump_clock: MockClock, store: SqliteStore, clock: StandingClock, tmp_path: Path
) -> None:
    past = went_down("shop", "a-1")
    await store.commit(past)
    await store.commit(came_back(past, "a-2", at=NOW))
    still_open = went_down("feed", "a-3")
    ids = [(await store.commit(still_open)).id]

    clock.advance(days=400)
    await flush(store, clock)
    assert (count(tmp_path, "incidents"), count(tmp_path, "transitions")) == (2, 3)

    clock.advance(seconds=1)
    await flush(store, clock)
    assert (await store.records())["feed"].incident == still_open.record.incident
    assert (count(tmp_path, "incidents"), count(tmp_path, "transitions")) == (1, 0)

    # An id is never given twice: whoever pages by it must not miss the next.
    ids.append((await store.commit(came_back(still_open, "a-4"))).id)
    assert ids[1] > ids[0]
