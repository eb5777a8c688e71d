"""Heartbeats in time: when silence is down, what a push changes, what a restart and a stall excuse. By autojump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.memory_store import MemoryStore
from support.nets import ConnectNet
from support.ports import PlainRand, TrioClock
from support.probes import endpoint

from checks.heartbeat import Heartbeat
from monitor.core.errors import StoreError
from monitor.core.quantities import Lifetime
from monitor.heartbeats import Heartbeats
from monitor.live import LiveFeed
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.core.model import Endpoint, Observation

Jump = trio.testing.MockClock
TOKEN = "a-secret-of-the-backup"


class StallingClock(TrioClock):
    stood_still = 0.0

    def stalled(self) -> float:
        return self.stood_still


def backup(name: str = "backup", **settings: Any) -> Endpoint:
    """Every hour, five minutes late at most; down at once."""
    wanted = {"interval": 3600.0, "timeout": 5.0, "failure_threshold": 1, "success_threshold": 1} | settings
    return endpoint(Heartbeat(token=TOKEN, grace=Lifetime(300)), name=name, **wanted)


class House:
    """From heartbeats to the store, and back after a restart."""

    def __init__(self, store: MemoryStore, watched: Endpoint) -> None:
        self.store = store
        self.watched = watched
        self.clock = StallingClock()
        self.probes: list[float] = []
        self.recorder = Recorder(store, clock=self.clock, rand=PlainRand(), feed=LiveFeed(), ring=lambda: None)
        self.hearts = Heartbeats(store, clock=self.clock, woken=self.heard)

    async def start(self, nursery: trio.Nursery) -> None:
        await self.recorder.load()
        self.recorder.configure([self.watched], {}, None)
        self.hearts.configure([self.watched])
        await self.hearts.load(self.recorder.records)
        self.supervisor = Supervisor(
            nursery,
            probe=self.probe,
            record=self.record,
            slots=trio.CapacityLimiter(10),
            quiet=self.hearts.quiet_until,
        )
        self.supervisor.start(self.watched)

    def heard(self, name: str) -> None:
        self.supervisor.probe_now(name)

    async def record(self, watched: Endpoint, observation: Observation) -> bool:
        return await self.recorder.record(watched, observation)

    async def probe(self, watched: Endpoint) -> Observation:
        self.probes.append(trio.current_time())
        beat = self.hearts.beat(watched)
        return await probe_once(watched, net=ConnectNet(), clock=self.clock, mask=None, beat=beat)

    async def hears(self, signal: str | None = None, **more: Any) -> None:
        assert await self.hearts.push(TOKEN, signal=signal, **more)
        await trio.sleep(1)

    @property
    def state(self) -> str:
        record = self.recorder.records.get(self.watched.name)
        return "pending" if record is None else str(record.health.state)

    @property
    def says(self) -> str:
        last = self.recorder.records[self.watched.name].last
        assert last is not None
        return last.reason.message


@pytest.fixture
async def house(nursery: trio.Nursery) -> AsyncIterator[House]:
    made = House(MemoryStore(), backup())
    await made.start(nursery)
    yield made
    nursery.cancel_scope.cancel()


async def test_silence_is_down_once_it_is_late_and_not_before(house: House, autojump_clock: Jump) -> None:
    await trio.sleep(3899)
    assert (house.state, house.probes) == ("pending", []), "there was nothing to see"
    await trio.sleep(2)
    assert house.state == "down"
    assert house.says == "no heartbeat since it is watched for 1 h 5 min, expected one every 1 h"


async def test_a_heartbeat_is_up_at_once_and_the_next_has_its_time(house: House, autojump_clock: Jump) -> None:
    for _ in range(3):
        await trio.sleep(3800)
        await house.hears()
        assert house.state == "up"
    assert len(house.probes) == 3
    await trio.sleep(3898)
    assert house.state == "up"
    await trio.sleep(2)
    assert house.state == "down"
    await house.hears()
    assert house.state == "up"


async def test_one_that_failed_is_down_with_its_own_words(house: House, autojump_clock: Jump) -> None:
    await house.hears("down", message="disk full")
    assert (house.state, house.says) == ("down", "it said that it failed: disk full")
    await trio.sleep(1800)
    assert house.state == "down"
    await house.hears()
    assert house.state == "up"


async def test_a_start_is_no_heartbeat_and_says_how_long_it_ran(house: House, autojump_clock: Jump) -> None:
    await house.hears("start")
    await house.hears("log", message="half")
    assert house.state == "pending"
    await trio.sleep(81)
    await house.hears(message="OK", ping=0.25)
    last = house.recorder.records["backup"].last
    assert last is not None
    assert last.facts == {"message": "OK", "ping": 0.25, "run_time": 83.0}


async def test_nobody_has_another_token(house: House, autojump_clock: Jump) -> None:
    assert not await house.hearts.push("another")
    assert not await house.hearts.push("")
    assert house.state == "pending"


async def test_while_the_monitor_stood_still_nobody_was_late(house: House, autojump_clock: Jump) -> None:
    await house.hears()
    house.clock.stood_still += 1000
    await trio.sleep(4000)
    assert house.state == "up"
    await trio.sleep(1000)
    assert house.state == "down"


async def restarted(house: House, nursery: trio.Nursery, away: float) -> House:
    house.supervisor.stop_all()
    await trio.sleep(away)
    again = House(house.store, house.watched)
    await again.start(nursery)
    return again


async def test_after_a_restart_the_next_has_all_of_its_time(
    house: House, nursery: trio.Nursery, autojump_clock: Jump
) -> None:
    await house.hears()
    again = await restarted(house, nursery, 86400)  # what came meanwhile nobody heard
    await trio.sleep(3890)
    assert again.state == "up"
    await trio.sleep(11)
    assert (again.state, again.says.split(",")[0]) == ("down", "no heartbeat for 1 h 5 min")


async def test_what_was_down_is_down_after_a_restart_until_it_is_heard(
    house: House, nursery: trio.Nursery, autojump_clock: Jump
) -> None:
    await house.hears()
    await trio.sleep(5000)
    assert house.state == "down"
    again = await restarted(house, nursery, 600)
    await trio.sleep(3600)
    assert again.state == "down"
    assert again.says.startswith("no heartbeat for 2 h")
    await again.hears()
    assert again.state == "up"


async def test_one_is_kept_before_it_is_answered(house: House, nursery: trio.Nursery, autojump_clock: Jump) -> None:
    assert await house.hearts.push(TOKEN, signal="down", message="no space")
    kept = await house.store.noted("heartbeat:backup")
    assert (kept["status"], kept["message"]) == ("down", "no space")


async def test_what_was_kept_and_not_looked_at_is_looked_at_after_a_restart(
    house: House, nursery: trio.Nursery, autojump_clock: Jump
) -> None:
    await house.hears()
    house.supervisor.stop_all()
    await house.hearts.push(TOKEN, signal="down", message="no space")  # and the power is cut
    again = await restarted(house, nursery, 5)
    await trio.sleep(20)
    assert (again.state, again.says) == ("down", "it said that it failed: no space")


async def test_many_at_once_are_few_writes(house: House, autojump_clock: Jump, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    note = house.store.note

    async def slow_note(*args: Any) -> None:
        written.append(args)
        await trio.sleep(0.1)
        await note(*args)

    monkeypatch.setattr(house.store, "note", slow_note)
    async with trio.open_nursery() as callers:
        for _ in range(500):
            callers.start_soon(house.hearts.push, TOKEN)
    assert len(written) <= 3
    assert len(house.probes) < 5


async def test_what_cannot_be_kept_is_not_answered(
    house: House, autojump_clock: Jump, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise StoreError("no disk")

    monkeypatch.setattr(house.store, "note", broken)
    with pytest.raises(StoreError):
        await house.hearts.push(TOKEN)


async def test_a_reload_keeps_who_stays(house: House, autojump_clock: Jump) -> None:
    await trio.sleep(3000)
    house.hearts.configure([house.watched])
    await trio.sleep(890)
    assert house.state == "pending"
    await trio.sleep(11)
    assert house.state == "down"
