"""What waits and what is dead, and the way back: in order, and never so that a sink's last word becomes false."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.entries import NOW, StandingClock, came_back, went_down

from monitor.store.sqlite import SqliteStore, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LATER = NOW + timedelta(days=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path, clock=StandingClock()) as opened:
        yield opened


async def outage(store: SqliteStore, name: str = "shop", sink: str = "ops") -> tuple[int, int]:
    """*name* goes down and comes back; the ids of the two deliveries."""
    down = went_down(name, f"{name}-down", sinks=(sink,))
    await store.commit(down)
    await store.commit(came_back(down, f"{name}-up"))
    first, second = [each.delivery.id for each in await store.letters(limit=100) if each.delivery.endpoint == name]
    return first, second


async def listed(store: SqliteStore) -> list[tuple[str, str, bool]]:
    return [(each.delivery.alert, each.state, each.obsolete) for each in await store.letters(limit=100)]


async def put_back(store: SqliteStore, *ids: int, force: bool = False, sinks: tuple[str, ...] = ("ops",)):
    return await store.put_back(ids or None, sink=None, sinks=sinks, force=force, at=LATER)


async def lane(store: SqliteStore) -> list[str]:
    """What the sink would get now, one after the other."""
    got = []
    while due := await store.due(LATER, room={"ops": 1}):
        got.append(due[0].alert)
        await store.settle(due[0].id, attempts=1, at=LATER)
    return got


async def test_what_waits_and_what_is_dead_is_listed(store: SqliteStore) -> None:
    first, second = await outage(store)
    await store.bury(first, attempts=3, error="HTTP 503", at=LATER)

    dead, waiting = await store.letters(limit=100)

    assert (dead.state, dead.error, dead.given_up_at, dead.next_try_at) == ("dead", "HTTP 503", LATER, None)
    assert (dead.delivery.id, dead.delivery.attempts, dead.obsolete) == (first, 3, False)
    assert (waiting.delivery.id, waiting.state, waiting.given_up_at) == (second, "pending", None)
    assert await store.letter_counts() == {"pending": 1, "dead": 1}
    assert [each.delivery.id for each in await store.letters(after=first, limit=100)] == [second]
    assert [each.delivery.id for each in await store.letters(limit=1)] == [first]
    assert [each.delivery.id for each in await store.letters(states=["pending"], limit=100)] == [second]
    assert await store.letters(sink="log", limit=100) == []


async def test_what_was_delivered_is_not_listed(store: SqliteStore) -> None:
    await outage(store)
    await lane(store)
    assert await store.letters(limit=100) == []
    assert await store.letter_counts() == {"pending": 0, "dead": 0}


async def test_dead_ones_come_back_in_their_order(store: SqliteStore) -> None:
    first, second = await outage(store)
    third, fourth = await outage(store, "shop ")  # another lane
    for each in (first, second, third):
        await store.bury(each, attempts=3, error="HTTP 503", at=NOW)

    done = await put_back(store)

    assert (done.put_back, done.obsolete, done.gone, done.unknown) == ((first, second, third), (), (), ())
    assert await lane(store) == ["shop-down", "shop-up", "shop -down", "shop -up"]
    assert fourth


async def test_one_that_comes_back_stands_before_those_that_wait(store: SqliteStore) -> None:
    first, _ = await outage(store)
    await store.bury(first, attempts=3, error="HTTP 503", at=NOW)

    await put_back(store, first)

    [head] = await store.due(LATER, room={"ops": 9})
    assert (head.id, head.attempts, head.first_try_at, head.digest) == (first, 0, None, None)
    assert await lane(store) == ["shop-down", "shop-up"]


async def test_a_firing_whose_resolved_was_delivered_is_obsolete(store: SqliteStore) -> None:
    first, _ = await outage(store)
    await store.bury(first, attempts=3, error="HTTP 400", at=NOW)
    await lane(store)
    assert await listed(store) == [("shop-down", "dead", True)]

    done = await put_back(store)
    assert (done.put_back, done.obsolete) == ((), (first,))
    assert await lane(store) == []

    done = await put_back(store, first, force=True)
    assert (done.put_back, done.obsolete) == ((first,), ())
    assert await lane(store) == ["shop-down"]


async def test_one_put_back_while_a_later_one_is_under_way_is_overtaken(store: SqliteStore) -> None:
    first, second = await outage(store)
    await store.bury(first, attempts=3, error="HTTP 400", at=NOW)
    await put_back(store, first)
    await store.settle(second, attempts=1, at=LATER)  # its try had begun before

    assert await lane(store) == []
    [left] = await store.letters(limit=100)
    assert (left.delivery.id, left.state, left.obsolete) == (first, "dead", True)
    assert left.error == "a later alert was delivered meanwhile"


async def test_what_cannot_come_back_is_told(store: SqliteStore) -> None:
    first, second = await outage(store)
    other, _ = await outage(store, "feed", sink="former")
    for each in (first, other):
        await store.bury(each, attempts=1, error="no", at=NOW)

    done = await put_back(store, first, second, other, 99)

    assert (done.put_back, done.gone, done.unknown) == ((first,), (other,), (second, 99))
    assert (await store.put_back(None, sink="former", sinks=("ops",), force=False, at=LATER)).gone == (other,)
    assert await put_back(store) == type(done)(gone=(other,))


async def test_a_digest_that_comes_back_is_taken_apart(store: SqliteStore) -> None:
    """Half of it may have been wanted back, and an id stands for what it always stood for."""
    first, _ = await outage(store, "a")
    second, _ = await outage(store, "b")
    await store.bundle([first, second], digest="d-1")
    await store.bury(first, second, attempts=5, error="HTTP 413", at=NOW)
    await put_back(store, first)
    assert await store.members(first) == []
