"""What the recorder makes of the review in time: moments that come, lives that end, parents, a thousand at once.

On SQLite, on the loop's own thread, where a story goes over a restart.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.house import House
from support.ports import EPOCH, PlainRand, TrioClock

from monitor.agenda import Agenda
from monitor.core.alerting import Hold
from monitor.core.model import Outcome, Route, State
from monitor.core.quantities import Duration
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from monitor.core.model import Endpoint
    from monitor.store import Record

Jump = trio.testing.MockClock

MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
async def house(nursery: trio.Nursery) -> AsyncIterator[House]:
    yield House(nursery)
    nursery.cancel_scope.cancel()


class Lives:
    """One data directory, one life after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rand = PlainRand()
        self.told: list[str] = []

    @contextlib.asynccontextmanager
    async def life(self, **settings: Any) -> AsyncIterator[House]:
        """Live until the block is left; what `ops` was told is added to `told`."""
        async with open_store(self.path, clock=TrioClock(), run_sync=run_here) as store, trio.open_nursery() as nursery:
            house = House(nursery, store=store, rand=self.rand, **settings)
            await house.recorder.load()
            yield house
            await house.outbox.drained()
            nursery.cancel_scope.cancel()
        self.told += house.ops.types


@pytest.fixture
def lives(tmp_path: Path) -> Lives:
    return Lives(tmp_path)


class Window:
    """Maintenance from one second to another."""

    def __init__(self, begins: float, ends: float) -> None:
        self.begins, self.ends = (EPOCH + timedelta(seconds=each) for each in (begins, ends))

    def hold(self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime) -> Hold | None:
        held = endpoint.name == "it" and self.begins <= now < self.ends
        return Hold(why=Outcome.MAINTENANCE, until=self.ends) if held else None


class Edge:
    """What `it` needs `edge` for."""

    def hold(self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime) -> Hold | None:
        parent = records.get("edge")
        if endpoint.name == "edge" or parent is None:
            return None
        if parent.health.state is State.DOWN:
            return Hold(why=Outcome.DEPENDENCY, parents=("edge",))
        return Hold(why=Outcome.DEPENDENCY, parents=("edge",), probe_after=parent.since)


def minutes(number: float) -> Duration:
    return Duration(number * MINUTE)


async def test_reminders_go_on_over_restarts_and_those_missed_are_one(lives: Lives, autojump_clock: Jump) -> None:
    async with lives.life() as house:
        house.watch("+-", reminder_interval=minutes(10))
        await trio.sleep(25 * MINUTE)
        assert house.ops.types == ["firing", "reminder", "reminder"]
    await trio.sleep(3 * HOUR)
    async with lives.life() as house:
        house.watch("-", reminder_interval=minutes(10))
        await trio.testing.wait_all_tasks_blocked()
        assert house.ops.types == [], "not before a probe has seen that it still is"
        await trio.sleep(15 * MINUTE)
        assert house.ops.types == ["reminder", "reminder"]
    async with lives.life() as house:
        house.watch("-", reminder_interval=minutes(10))
        await trio.sleep(4 * MINUTE)
        assert house.ops.types == [], "the last was six minutes ago"
        await trio.sleep(3 * MINUTE)
        assert house.ops.types == ["reminder"]


async def test_who_is_told_late_is_told_in_time_also_by_another_life(lives: Lives, autojump_clock: Jump) -> None:
    routes = {"chat": Route(after=minutes(10))}
    async with lives.life(routes=routes) as house:
        house.watch("+-", sinks=("ops", "chat"))
        await trio.sleep(5 * MINUTE)
        assert (house.ops.types, house.chat.types) == (["firing"], [])
    async with lives.life(routes=routes) as house:
        house.watch("-", sinks=("ops", "chat"))
        await trio.sleep(4 * MINUTE)
        assert house.chat.types == []
        await trio.sleep(2 * MINUTE)
        assert (house.ops.types, house.chat.types) == ([], ["firing"])
        duration = house.chat.documents[0]["data"]["incident"]["duration"]
        assert duration == 600.0


async def test_flapping_ends_in_another_life(lives: Lives, autojump_clock: Jump) -> None:
    async with lives.life() as house:
        house.watch("---++" * 3 + "---", success_threshold=2, flap_changes=4)
        await trio.sleep(3.5 * MINUTE)
    flapping = ["firing", "resolved", "firing", "resolved", "flapping"]
    assert lives.told == flapping
    async with lives.life() as house:
        house.watch("-", flap_changes=4)
        await trio.sleep(20 * MINUTE)
        assert house.ops.types == []
        await trio.sleep(20 * MINUTE)
        assert house.ops.types == ["flapping", "firing"]
        assert house.ops.documents[0]["data"]["flapping"] is False
        assert (await house.states()).endswith("up>down:alerted")


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ("-", []),  # down before and after: nothing new
        ("+", ["resolved"]),  # a change while it was stopped: exactly one
        ("+---", ["resolved"]),
    ],
)
async def test_a_stop_of_hours(lives: Lives, autojump_clock: Jump, after: str, told: list[str]) -> None:
    async with lives.life() as house:
        house.watch("+-", reminder_interval=Duration(24 * HOUR))
        await trio.sleep(MINUTE)
    await trio.sleep(5 * HOUR)
    async with lives.life() as house:
        house.watch(after, reminder_interval=Duration(24 * HOUR), success_threshold=1, failure_threshold=10)
        await trio.sleep(MINUTE)
        assert house.ops.types == told


async def test_a_window_holds_and_its_end_lets_go(nursery: trio.Nursery, autojump_clock: Jump) -> None:
    house = House(nursery, circumstances=Window(0, 600))
    house.watch("+-")
    await trio.sleep(9.9 * MINUTE)
    assert (house.ops.types, await house.states()) == ([], "pending>up:policy up>down:maintenance")
    await trio.sleep(0.2 * MINUTE)
    assert (house.ops.types, await house.states()) == (["firing"], "pending>up:policy up>down:alerted")
    (fired,) = house.ops.documents
    assert fired["timestamp"] == "2026-11-22T15:10:00.000Z", "the moment the window ends, not the next probe"
    nursery.cancel_scope.cancel()


async def test_a_window_that_ended_while_the_monitor_was_stopped(lives: Lives, autojump_clock: Jump) -> None:
    async with lives.life(circumstances=Window(0, 600)) as house:
        house.watch("+-")
        await trio.sleep(MINUTE)
    await trio.sleep(HOUR)
    async with lives.life() as house:
        house.watch("-")
        await trio.sleep(MINUTE)
    assert lives.told == ["firing"]


async def test_a_child_is_named_by_its_parent_and_fires_after_it(nursery: trio.Nursery, autojump_clock: Jump) -> None:
    house = House(nursery, circumstances=Edge())
    house.watch("+" + "-" * 20 + "+", name="edge", interval=15, failure_threshold=1, reminder_interval=minutes(2))
    house.watch("+-")
    await trio.sleep(4 * MINUTE)
    told = [(each["data"]["endpoint"]["name"], each["type"][6:]) for each in house.ops.documents]
    assert told == [("edge", "firing"), ("edge", "reminder")]
    assert [each["data"]["suppressed"] for each in house.ops.documents] == [[], ["it"]]
    assert house.recorder.records["it"].alerting.held is Outcome.DEPENDENCY
    await trio.sleep(3 * MINUTE)
    told = [(each["data"]["endpoint"]["name"], each["type"][6:]) for each in house.ops.documents]
    assert told == [
        ("edge", "firing"),
        ("edge", "reminder"),
        ("edge", "reminder"),
        ("edge", "resolved"),
        ("it", "firing"),
    ]
    assert house.ops.documents[3]["data"]["suppressed"] == ["it"]
    resolved, fired = house.ops.documents[3:]
    assert fired["timestamp"] > resolved["timestamp"], "a probe begun since then"
    assert house.recorder._children.get("edge", {}) == {}
    nursery.cancel_scope.cancel()


async def test_a_child_is_held_and_known_to_its_parent_after_a_restart(lives: Lives, autojump_clock: Jump) -> None:
    async with lives.life(circumstances=Edge()) as house:
        house.watch("-", name="edge", failure_threshold=1)
        house.watch("-")
        await trio.sleep(MINUTE)
    async with lives.life(circumstances=Edge()) as house:
        house.watch("---+", name="edge", failure_threshold=1, success_threshold=1)
        house.watch("-")
        await trio.sleep(2 * MINUTE)
        told = [(each["data"]["endpoint"]["name"], each["type"][6:]) for each in house.ops.documents]
        assert told == [("edge", "resolved"), ("it", "firing")]
        assert house.ops.documents[0]["data"]["suppressed"] == ["it"]


async def test_acknowledged_is_not_repeated_also_after_a_restart(lives: Lives, autojump_clock: Jump) -> None:
    async with lives.life() as house:
        house.watch("+-", reminder_interval=minutes(1))
        await trio.sleep(1.9 * MINUTE)
        incident = house.ops.documents[0]["data"]["incident"]["id"]
        assert await house.recorder.acknowledge(incident, by="me", comment="on it")
        assert not await house.recorder.acknowledge("another", by="me", comment="")
        await trio.sleep(10 * MINUTE)
    assert lives.told == ["firing", "reminder"]
    async with lives.life() as house:
        known = house.recorder.records["it"].incident.acknowledged
        assert known is not None
        assert (known.by, known.comment) == ("me", "on it")
        house.watch("--+", reminder_interval=minutes(1))
        await trio.sleep(10 * MINUTE)
    assert lives.told == ["firing", "reminder", "resolved"]


async def test_a_review_that_cannot_be_written_is_made_again(house: House, autojump_clock: Jump) -> None:
    house.watch("+-", interval=1000, retry_interval=10, reminder_interval=minutes(2))
    await trio.sleep(2.4 * MINUTE)
    assert house.ops.types == ["firing"]
    house.store.broken = True
    await trio.sleep(0.5 * MINUTE)
    house.store.broken = False
    await trio.sleep(0.2 * MINUTE)
    assert house.ops.types == ["firing", "reminder"]


async def test_the_same_config_again_and_again_changes_nothing(house: House, autojump_clock: Jump) -> None:
    house.watch("+-", reminder_interval=minutes(10))
    await trio.sleep(MINUTE)
    kept = house.recorder.records["it"]
    for _ in range(100):
        house.recorder.configure(tuple(house.endpoints.values()), house.routes, None)
        await trio.sleep(0.01)
    assert house.ops.types == ["firing"]
    seen = {"last": None, "failed": None, "health": kept.health}  # a probe may fall into that second
    assert attrs.evolve(house.recorder.records["it"], **seen) == attrs.evolve(kept, **seen)


async def test_a_route_that_is_new_is_followed_at_once(house: House, autojump_clock: Jump) -> None:
    house.routes = {"ops": Route(groups=("db",))}
    house.watch("+-", interval=10)
    await trio.sleep(MINUTE)
    assert house.ops.types == []
    house.recorder.configure(tuple(house.endpoints.values()), {}, None)
    await trio.sleep(1)
    assert (house.ops.types, await house.states()) == (["firing"], "pending>up:policy up>down:alerted")


async def test_a_hundred_that_flap_at_every_probe_are_a_few_messages_each(house: House, autojump_clock: Jump) -> None:
    for number in range(100):
        often = {"interval": 240, "failure_threshold": 1, "success_threshold": 1, "flap_window": minutes(120)}
        house.watch("+-" * 6 + "+", name=f"e-{number}", **often)
    await trio.sleep(HOUR)
    told = Counter(each["data"]["endpoint"]["name"] for each in house.ops.documents)
    assert len(told) == 100
    # Of seven transitions the first is not told, the last begins it: three outages, their ends but one, flapping.
    assert set(told.values()) == {6}
    await trio.sleep(2 * HOUR)
    told = Counter(each["data"]["endpoint"]["name"] for each in house.ops.documents)
    assert set(told.values()) == {8}, "steady again, and the end of what it was told of last"
    assert len({each["data"]["id"] for each in house.ops.documents}) == 800
    assert all(record.alerting.is_quiet for record in house.recorder.records.values())


# The agenda.


async def test_the_agenda_keeps_the_latest_moment_of_each(autojump_clock: Jump, nursery: trio.Nursery) -> None:
    clock, seen = TrioClock(), []

    async def review(name: str) -> None:
        seen.append((name, trio.current_time()))

    agenda = Agenda(clock)
    nursery.start_soon(agenda.run, review)
    await trio.testing.wait_all_tasks_blocked()
    for name, second in (("a", 50), ("b", 30), ("c", 20), ("a", 10), ("b", 300)):
        agenda.put(name, EPOCH + timedelta(seconds=second))
    agenda.put("c", None)
    await trio.sleep(40)
    agenda.soon(["d", "d"])
    await trio.sleep(400)
    assert seen == [("a", 10), ("d", 40), ("b", 300)]
    nursery.cancel_scope.cancel()


async def test_the_agenda_sees_a_clock_that_is_set_forward(autojump_clock: Jump, nursery: trio.Nursery) -> None:
    clock, seen = TrioClock(), []

    async def review(name: str) -> None:
        seen.append(trio.current_time())

    agenda = Agenda(clock)
    agenda.put("a", EPOCH + timedelta(hours=10))
    nursery.start_soon(agenda.run, review)
    await trio.sleep(10)
    clock.skew = timedelta(hours=10)
    await trio.sleep(100)
    assert seen == [60.0]
    nursery.cancel_scope.cancel()


async def test_the_agenda_bears_a_moment_that_comes_while_it_looks(autojump_clock: Jump, nursery: trio.Nursery) -> None:
    class Hurried(TrioClock):
        """Time passes with every look at it."""

        def wall(self) -> datetime:
            self.skew += timedelta(milliseconds=1)
            return super().wall()

    seen = trio.Event()

    async def review(name: str) -> None:
        seen.set()

    agenda = Agenda(Hurried())
    agenda.put("a", EPOCH + timedelta(milliseconds=1.5))  # after the first look, before the second
    nursery.start_soon(agenda.run, review)
    await seen.wait()
    nursery.cancel_scope.cancel()


def test_the_agenda_forgets_what_is_void() -> None:
    """A moment far ahead that comes and goes with each change of state, as under a long silence."""
    agenda = Agenda(TrioClock())
    agenda.put("sooner", EPOCH)
    for _ in range(10_000):
        agenda.put("a", EPOCH + timedelta(days=30))
        agenda.put("a", None)
    agenda.put("b", EPOCH + timedelta(days=1))
    assert len(agenda._heap) < 1100
    assert agenda.next_at == EPOCH
