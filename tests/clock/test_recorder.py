"""From probes to alerts in one process: supervisor, recorder and outbox over a store in memory, by autojump.

Each test is a story: what a target does, minute by minute, and what its sink is told.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.house import House
from support.memory_store import MemoryStore

from monitor.live import Moved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

Jump = trio.testing.MockClock  # pytest-trio runs a test on the clock only if the test itself asks for it


@pytest.fixture
async def house(nursery: trio.Nursery) -> AsyncIterator[House]:
    yield House(nursery)
    nursery.cancel_scope.cancel()


STORIES = [
    ("+++++++", "", "pending>up:policy"),
    ("+--++++", "", "pending>up:policy"),  # two failures are not an outage
    ("+---+-++", "firing resolved", "pending>up:policy up>down:alerted down>up:alerted"),
    ("---", "firing", "pending>down:alerted"),
    ("+---?-?-", "firing", "pending>up:policy up>down:alerted"),
    ("+-?-?-++", "firing resolved", "pending>up:policy up>down:alerted down>up:alerted"),  # `?` breaks no streak
    ("+---~~++", "firing resolved",
     "pending>up:policy up>down:alerted down>degraded:alerted degraded>up:policy"),
    ("+~~~---++", "firing resolved",
     "pending>up:policy up>degraded:policy degraded>down:alerted down>up:alerted"),
    ("+???????", "", "pending>up:policy"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "told", "states"), STORIES)
async def test_stories(house: House, autojump_clock: Jump, script: str, told: str, states: str) -> None:
    house.watch(script)
    await trio.sleep(10 * (len(script) + 2))
    assert " ".join(house.ops.types) == told
    assert await house.states() == states
    assert house.chat.types == []


async def test_the_times_of_an_incident_are_those_of_its_first_bad_and_first_good_probe(
    house: House, autojump_clock: Jump
) -> None:
    house.watch("+---+++")
    await trio.sleep(100)
    firing, resolved = (document["data"] for document in house.ops.documents)
    started = datetime.fromisoformat(firing["incident"]["started_at"])
    observed = [each for each in await house.store.transitions() if each.endpoint == "it"]
    assert observed[1].at - started == timedelta(seconds=20), "three probes, ten seconds apart"
    assert firing["incident"]["duration"] == 20.0
    assert firing["incident"]["resolved_at"] is None
    ended = datetime.fromisoformat(resolved["incident"]["resolved_at"])
    assert ended - started == timedelta(seconds=30)
    assert resolved["incident"]["duration"] == 30.0
    assert (firing["sequence"], resolved["sequence"]) == (1, 2)
    assert firing["incident"]["id"] == resolved["incident"]["id"]
    assert firing["id"] != resolved["id"]
    assert firing["reason"]["message"] == "expected status 200-299, got 503"
    assert (firing["from"], firing["to"], resolved["from"], resolved["to"]) == ("up", "down", "down", "up")


async def test_a_restart_neither_fires_again_nor_forgets(autojump_clock: Jump) -> None:
    store = MemoryStore()
    async with trio.open_nursery() as first_life:
        house = House(first_life, store=store)
        house.watch("+-")
        await trio.sleep(60)
        assert house.ops.types == ["firing"]
        first_life.cancel_scope.cancel()
    async with trio.open_nursery() as second_life:
        house = House(second_life, store=store)
        house.rand._count = 100
        await house.recorder.load()
        house.watch("-----++")
        await trio.sleep(120)
        assert house.ops.types == ["resolved"]
        assert house.ops.documents[0]["data"]["sequence"] == 2
        second_life.cancel_scope.cancel()


async def test_a_streak_outlives_a_short_stop_but_not_a_long_one(autojump_clock: Jump) -> None:
    for stop, told in ((5, ["firing"]), (500, [])):
        store = MemoryStore()
        clock_skew = timedelta(0)
        async with trio.open_nursery() as first_life:
            house = House(first_life, store=store)
            house.watch("+--")
            await trio.sleep(25)
            bad = house.recorder.records["it"].health.as_bad_as_down.count
            assert 1 <= bad <= 2
            first_life.cancel_scope.cancel()
        async with trio.open_nursery() as second_life:
            house = House(second_life, store=store)
            house.clock.skew = clock_skew + timedelta(seconds=stop)
            await house.recorder.load()
            house.watch("-" * (3 - bad) + "+")
            await trio.sleep(60)
            assert house.ops.types[:1] == told
            second_life.cancel_scope.cancel()


async def test_who_leaves_while_down_is_resolved_once_and_comes_back_fresh(house: House, autojump_clock: Jump) -> None:
    house.watch("---", labels={"team": "shop"})
    await trio.sleep(60)
    await house.leave()
    await house.recorder.forget_all_but(())
    await trio.sleep(5)
    assert house.ops.types == ["firing", "resolved"]
    gone = house.ops.documents[1]["data"]
    assert (gone["to"], gone["reason"]["message"], gone["sequence"]) == (None, "no longer watched", 2)
    assert gone["endpoint"]["labels"] == {"team": "shop"}
    house.watch("---")
    await trio.sleep(60)
    assert house.ops.types == ["firing", "resolved", "firing"]
    assert house.ops.documents[2]["data"]["sequence"] == 3


async def test_resolved_goes_to_those_who_were_told(house: House, autojump_clock: Jump) -> None:
    house.watch("---")
    await trio.sleep(60)
    house.change("+", sinks=("chat",))
    await trio.sleep(60)
    assert (house.ops.types, house.chat.types) == (["firing", "resolved"], [])


async def test_an_incident_nobody_heard_of_ends_silently(house: House, autojump_clock: Jump) -> None:
    house.watch("---", sinks=())
    await trio.sleep(60)
    house.change("+", sinks=("ops",))
    await trio.sleep(60)
    assert house.ops.types == []
    assert await house.states() == "pending>down:policy down>up:policy"
    assert house.recorder.records["it"].sequence == 0


async def test_a_store_that_fails_delays_a_decision_and_loses_nothing(house: House, autojump_clock: Jump) -> None:
    house.watch("+---------")
    await trio.sleep(15)
    house.store.broken = True
    await trio.sleep(60)
    assert house.ops.types == []
    house.store.broken = False
    await trio.sleep(30)
    assert house.ops.types == ["firing"]
    incident = house.ops.documents[0]["data"]["incident"]
    assert incident["duration"] > 60, "it began with the first bad probe, not with the store's return"


async def test_the_feed_tells_what_happens(house: House, autojump_clock: Jump) -> None:
    def moves(events: list[Any]) -> list[Callable[..., str]]:
        return [str(event.transition.after) for event in events if isinstance(event, Moved)]

    events: list[Any] = []
    with house.feed.listen() as listener:
        house.watch("+---+")
        with trio.move_on_after(100):
            while True:
                events.append(await listener.receive())
    assert moves(events) == ["up", "down", "up"]
    assert len(events) > 8


async def test_a_listener_that_falls_behind_is_dropped(house: House, autojump_clock: Jump) -> None:
    with house.feed.listen() as listener:
        house.watch("+", interval=1)
        await trio.sleep(400)
        assert house.feed.listeners == 0
        received = [event async for event in listener]
    assert len(received) > 200


async def test_a_monitor_that_cannot_tell_says_so_once(
    house: House, autojump_clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="monitor.recorder")
    house.watch("+??+?????+")
    await trio.sleep(120)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", "it: pending -> up: ok"),
        ("WARNING", "it: cannot tell, shown as unknown: the check crashed: ValueError: the check itself is broken"),
        ("INFO", "it: can tell again: up"),
    ]
