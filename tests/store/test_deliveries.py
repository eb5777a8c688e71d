"""The outbox's side of the store: one lane per sink and endpoint, in order, and nothing is lost or sent early."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from support.entries import NOW, StandingClock, came_back, went_down

from monitor.store.sqlite import SqliteStore, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from monitor.core.model import Delivery

LATER = NOW + timedelta(days=1)
BOTH = {"ops": 100, "log": 100}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path, clock=StandingClock()) as opened:
        yield opened


async def due(store: SqliteStore, now: datetime = LATER, *, busy: Collection[int] = ()) -> list[str]:
    return [f"{each.alert}>{each.sink}" for each in await store.due(now, room=BOTH, busy=busy)]


async def outage(store: SqliteStore, name: str, *, sinks: Sequence[str] = ("ops",)) -> None:
    """*name* goes down and comes back: two alerts, *name*`-down` and *name*`-up`."""
    down = went_down(name, f"{name}-down", sinks=sinks)
    await store.commit(down)
    await store.commit(came_back(down, f"{name}-up"))


async def first(store: SqliteStore, now: datetime = LATER) -> Delivery:
    return (await store.due(now, room=BOTH))[0]


async def test_a_lane_gives_one_at_a_time_in_order(store: SqliteStore) -> None:
    await outage(store, "shop")
    head = await first(store)
    assert await due(store) == ["shop-down>ops"]

    await store.settle(head.id, attempts=1, at=NOW)
    assert await due(store) == ["shop-up>ops"]

    await store.settle((await first(store)).id, attempts=1, at=NOW)
    assert await due(store) == []
    assert await store.pending() == 0


async def test_lanes_do_not_wait_for_each_other(store: SqliteStore) -> None:
    await outage(store, "shop", sinks=("ops", "log"))
    await outage(store, "feed")

    assert sorted(await due(store)) == ["feed-down>ops", "shop-down>log", "shop-down>ops"]
    assert await store.pending() == 6


async def test_a_busy_head_keeps_its_lane(store: SqliteStore) -> None:
    await outage(store, "shop")
    await outage(store, "feed")
    busy = {(await first(store)).id}

    assert await due(store, busy=busy) == ["feed-down>ops"]
    assert await store.next_due(sinks=["ops"], busy=busy) == NOW
    await store.settle(*busy, attempts=1, at=NOW)
    assert sorted(await due(store)) == ["feed-down>ops", "shop-up>ops"]


async def test_new_deliveries_are_due_at_once(store: SqliteStore) -> None:
    await outage(store, "shop")

    assert await store.next_due(sinks=["ops"]) == NOW
    assert await due(store, NOW) == ["shop-down>ops"]


async def test_a_postponed_head_holds_up_its_lane_only(store: SqliteStore) -> None:
    await outage(store, "shop")
    await outage(store, "feed")
    head = await first(store)
    retry = NOW + timedelta(seconds=30)

    await store.postpone(head.id, attempts=1, first_try_at=NOW, not_before=retry, error="HTTP 503")

    assert await due(store, NOW) == ["feed-down>ops"]
    assert await due(store, retry - timedelta(milliseconds=1)) == ["feed-down>ops"]
    assert await due(store, retry) == ["feed-down>ops", "shop-down>ops"]
    assert await store.next_due(sinks=["ops"], busy={head.id}) == NOW
    (other,) = {each.id for each in await store.due(NOW, room=BOTH)}
    assert await store.next_due(sinks=["ops"], busy={other}) == retry
    assert await store.next_due(sinks=["ops"], busy={other, head.id}) is None
    again = (await store.due(retry, room=BOTH))[1]
    assert again == attrs.evolve(head, attempts=1, first_try_at=NOW)


async def test_next_due_looks_at_heads_only(store: SqliteStore) -> None:
    await outage(store, "shop")
    retry = NOW + timedelta(hours=2)
    await store.postpone((await first(store)).id, attempts=1, first_try_at=NOW, not_before=retry, error="no")

    # Behind the head stands one that was due long ago; it has to wait all the same.
    assert await store.next_due(sinks=["ops"]) == retry
    assert await store.next_due(sinks=["log"]) is None
    assert await store.next_due(sinks=[]) is None


async def test_room_is_for_each_sink(store: SqliteStore) -> None:
    for number in range(9):
        await outage(store, f"endpoint-{number}", sinks=("ops", "log"))
    busy = {each.id for each in await store.due(LATER, room={"ops": 4})}
    assert len(busy) == 4

    found = await store.due(LATER, room={"ops": 2, "log": 3}, busy=busy)

    assert [each.sink for each in found] == ["ops"] * 2 + ["log"] * 3
    assert not busy & {each.id for each in found}
    assert await store.due(LATER, room={"ops": 0}) == []
    assert await store.due(LATER, room={}) == []


async def test_the_one_due_longest_comes_first(store: SqliteStore) -> None:
    for name in ("a", "b", "c"):
        await store.commit(went_down(name, name))
    for each, minutes in zip(await store.due(LATER, room=BOTH), (3, 1, 2), strict=True):
        until = NOW + timedelta(minutes=minutes)
        await store.postpone(each.id, attempts=1, first_try_at=NOW, not_before=until, error="no")

    assert await due(store) == ["b>ops", "c>ops", "a>ops"]


async def test_a_dead_delivery_no_longer_holds_back_the_next(store: SqliteStore) -> None:
    await outage(store, "shop")

    await store.bury((await first(store)).id, attempts=5, error="HTTP 410", at=NOW)

    assert await due(store) == ["shop-up>ops"]
    assert await store.pending() == 1


async def test_what_is_settled_stays_settled(store: SqliteStore) -> None:
    await outage(store, "shop")
    head = await first(store)
    await store.settle(head.id, attempts=1, at=NOW)

    await store.settle(head.id, attempts=1, at=NOW)
    await store.bury(head.id, attempts=2, error="late", at=NOW)
    await store.postpone(head.id, attempts=2, first_try_at=NOW, not_before=NOW, error="late")

    assert await due(store) == ["shop-up>ops"]
    assert await store.pending() == 1


async def test_a_sink_named_twice_is_told_once(store: SqliteStore) -> None:
    await store.commit(went_down("shop", "a-1", sinks=("ops", "log", "ops")))

    assert await due(store) == ["a-1>ops", "a-1>log"]


async def test_what_goes_to_a_sink_that_left_is_abandoned(store: SqliteStore) -> None:
    await outage(store, "shop", sinks=("ops", "log", "old", "older"))
    flying = (await store.due(LATER, room={"old": 1}))[0]

    assert await store.abandon(keep={"ops", "log"}, busy={flying.id}, error="gone", at=NOW) == 3
    assert await store.abandon(keep={"ops", "log"}, busy={flying.id}, error="gone", at=NOW) == 0
    assert [each.id for each in await store.due(LATER, room={"old": 9, "older": 9})] == [flying.id]

    assert await store.abandon(keep={"ops", "log"}, error="gone", at=NOW) == 1
    assert await store.due(LATER, room={"old": 9, "older": 9}) == []
    assert sorted(await due(store)) == ["shop-down>log", "shop-down>ops"]
    assert await store.pending() == 4


async def test_lanes_survive_a_restart(tmp_path: Path) -> None:
    clock = StandingClock()
    retry = NOW + timedelta(minutes=1)
    async with open_store(tmp_path, clock=clock) as store:
        await outage(store, "shop")
        await store.postpone((await first(store)).id, attempts=3, first_try_at=NOW, not_before=retry, error="no")
    async with open_store(tmp_path, clock=clock) as store:
        assert await store.next_due(sinks=["ops"]) == retry
        head = await first(store)
        assert (head.alert, head.attempts, head.first_try_at) == ("shop-down", 3, NOW)


async def test_a_lane_that_lost_its_head_gets_one_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_store(tmp_path, clock=StandingClock()) as store:
        await store.commit(went_down("shop", "a-1"))
    db = sqlite3.connect(tmp_path / "monitor.db")
    db.execute("UPDATE deliveries SET head = 0")
    db.commit()
    db.close()
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert [each.alert for each in await store.due(NOW, room={"ops": 1})] == ["a-1"]
    assert "invariant violated: lane_without_head: deliveries to ops about shop had no first" in caplog.text
