"""Is it me? Stories of references that answer or not, and of what is said of the monitor's own trouble."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.face import PlainFace
from support.memory_store import MemoryStore
from support.nets import ConnectNet
from support.ports import PlainRand, TrioClock
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict, check_option
from monitor.live import LiveFeed
from monitor.net.reasons import own_trouble
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.selfwatch import SelfWatch
from monitor.selfwatch.reference import PATIENCE
from monitor.store.sqlite import open_store, run_here
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.core.model import Endpoint, Observation
    from monitor.store import Store

Jump = trio.testing.MockClock
ONE, TWO = "tcp://one.example.org:443", "tcp://two.example.org:443"
HOSTS = {"one.example.org", "two.example.org"}


@attrs.frozen(kw_only=True, eq=False)
class Target(Check):
    """A target that the test moves: `+` works, `-` does not, `!` crashes the check, `e` is our own EMFILE."""

    now: list[str] = check_option(doc="how it is")
    takes: float = check_option(doc="seconds of a probe", default=0.0)

    async def probe(self, probe: Probe) -> Verdict:
        answer = self.now[0]
        await trio.sleep(self.takes)
        match answer:
            case "+":
                return Verdict.up()
            case "-":
                return Verdict.down("connection refused")
            case "e":
                exc = own_trouble(OSError(errno.EMFILE, "Too many open files"))
                assert exc is not None
                raise exc
            case _:
                raise ValueError("the check itself is broken")


class StallingClock(TrioClock):
    def __init__(self) -> None:
        super().__init__()
        self.stood_still = 0.0

    def stalled(self) -> float:
        return self.stood_still


class House:
    """A monitor from the supervisor to the store, its references and what it says of itself."""

    def __init__(self, nursery: trio.Nursery, store: Store, *reference: str) -> None:
        self.nursery = nursery
        self.store = store
        self.net = ConnectNet()
        self.clock = StallingClock()
        self.config = attrs.evolve(PlainFace().config, reference=reference, self_sinks=("ops",))
        self.targets: dict[str, list[str]] = {}
        self.recorder = Recorder(store, clock=self.clock, rand=PlainRand(), feed=LiveFeed(), ring=lambda: None)
        self.watch = SelfWatch(
            store,
            self.recorder,
            net=self.net,
            clock=self.clock,
            rand=PlainRand(),
            config=lambda: self.config,
            not_ready=lambda: None,
            ring=lambda: None,
        )

    async def start(self, *endpoints: Endpoint) -> None:
        self.config = attrs.evolve(self.config, endpoints=endpoints)
        await self.recorder.load()
        await self.nursery.start(self.watch.run)
        self.supervisor = Supervisor(
            self.nursery, probe=self.probe, record=self.watch.record, slots=trio.CapacityLimiter(10_000)
        )
        for each in endpoints:
            self.supervisor.start(each)

    async def probe(self, watched: Endpoint) -> Observation:
        return await probe_once(watched, net=self.net, clock=self.clock, mask=None)

    def target(self, name: str = "it", *, takes: float = 0.0, **settings: Any) -> Endpoint:
        now = self.targets.setdefault(name, ["+"])
        wanted = {"interval": 10, "retry_interval": 5, "timeout": 2, "sinks": ("ops",)} | settings
        return endpoint(Target(now=now, takes=takes), name=name, **wanted)

    def becomes(self, answer: str, *names: str) -> None:
        for name in names or self.targets:
            self.targets[name][:] = answer

    async def states(self, name: str = "it") -> str:
        return " ".join(str(each.after) for each in reversed(await self.store.latest(name, limit=100)))

    async def told(self) -> list[dict[str, Any]]:
        """What was said of the monitor itself; each is taken from the outbox as it is read."""
        found = []
        later = self.clock.wall() + timedelta(days=1)
        while due := [each for each in await self.store.due(later, room={"ops": 999}) if each.endpoint is None]:
            for each in due:
                found.append(json.loads(each.body))
                await self.store.settle(each.id, attempts=1, at=later)
        return [document["data"] for document in found]

    async def fired(self) -> list[str]:
        due = await self.store.due(self.clock.wall() + timedelta(days=1), room={"ops": 9999})
        return [each.type for each in due if each.endpoint is not None]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def house(nursery: trio.Nursery, store: MemoryStore) -> AsyncIterator[House]:
    yield House(nursery, store, ONE, TWO)
    nursery.cancel_scope.cancel()


async def test_when_no_reference_answers_nothing_is_down_and_one_alert_says_so(
    house: House, autojump_clock: Jump
) -> None:
    await house.start(*(house.target(f"t{number}") for number in range(50)))
    await trio.sleep(30)
    house.net.refused = set(HOSTS)
    house.becomes("-")
    await trio.sleep(600)
    assert await house.fired() == []
    [alert] = await house.told()
    assert (alert["endpoint"], alert["incident"], alert["sequence"]) == (None, None, None)
    assert alert["trouble"] is True
    assert [each["kind"] for each in alert["standing"]] == ["network"], "not fifty endpoints that cannot be told"
    assert alert["reason"] == {
        "code": "internal",
        "phase": None,
        "message": "no reference answers, the monitor's own network may be gone: "
        "tcp://one.example.org:443: connection refused (one.example.org:443); "
        "tcp://two.example.org:443: connection refused (two.example.org:443)",
    }
    seen = house.recorder.records["t7"].last
    assert seen is not None
    assert seen.reason.message.startswith("no reference answers, the monitor's own network may be gone: ")
    assert seen.reason.message.endswith("; the probe found: connection refused")

    house.net.refused = set()
    house.becomes("+")
    await trio.sleep(120)
    [alert] = await house.told()
    assert (alert["trouble"], alert["standing"], alert["over"][0]["kind"]) == (False, [], "network")
    assert alert["reason"]["code"] == "ok"
    assert await house.fired() == []
    assert await house.states("t7") == "up"


async def test_when_one_answers_it_is_the_endpoint(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target())
    await trio.sleep(30)
    house.net.refused = {"one.example.org"}
    house.becomes("-")
    await trio.sleep(60)
    assert await house.states() == "up down"
    assert await house.fired() == ["alert.firing"]
    assert await house.told() == []


async def test_without_references_nobody_is_asked(nursery: trio.Nursery, autojump_clock: Jump) -> None:
    house = House(nursery, MemoryStore())
    await house.start(house.target())
    house.becomes("-")
    await trio.sleep(60)
    assert await house.states() == "down"
    assert house.net.asked == []
    nursery.cancel_scope.cancel()


async def test_a_thousand_that_fail_at_once_are_one_round(house: House, autojump_clock: Jump) -> None:
    many = [house.target(f"t{number}", interval=3600, retry_interval=5) for number in range(1000)]
    await house.start(*many)
    await trio.sleep(20)
    house.becomes("-")
    for each in many:
        house.supervisor.probe_now(each.name)
    await trio.sleep(11)
    assert len(await house.fired()) == 1000
    assert len(house.net.asked) == 2, "both references, once"


async def test_references_are_not_asked_more_often_than_once_a_second(house: House, autojump_clock: Jump) -> None:
    many = [house.target(f"t{number}", failure_threshold=1) for number in range(500)]
    house.becomes("-")
    await house.start(*many)
    await trio.sleep(15)
    assert len(await house.fired()) == 500
    rounds = sorted({when for when, _ in house.net.asked})
    assert all(later - earlier > 0.999 for earlier, later in itertools.pairwise(rounds))


async def test_a_mute_reference_delays_the_down_by_no_more_than_its_deadline_and_nobody_else(
    house: House, autojump_clock: Jump
) -> None:
    await house.start(house.target("bad", failure_threshold=1), house.target("good", interval=1))
    await trio.sleep(15)
    house.net.mute = set(HOSTS)
    house.becomes("-", "bad")
    house.supervisor.probe_now("bad")
    seen_before = house.recorder.records["bad"].last
    began = trio.current_time()
    while house.recorder.records["bad"].last is seen_before:
        await trio.sleep(0.01)
        good = house.recorder.records["good"].last
        assert good is not None
        assert (house.clock.wall() - good.started_at).total_seconds() < 1.1, "it goes on meanwhile"
    assert trio.current_time() - began <= PATIENCE + 0.02
    assert await house.states("bad") == "up", "nobody answered in time, so it may be us"


async def test_a_probe_that_began_before_the_network_was_back_says_nothing(house: House, autojump_clock: Jump) -> None:
    slow = house.target(takes=12, timeout=20, interval=15, retry_interval=15, failure_threshold=1)
    await house.start(slow, house.target("quick"))
    await trio.sleep(40)
    house.net.refused = set(HOSTS)
    house.becomes("-")
    await trio.sleep(100)
    checker, last = house.supervisor.checkers["it"], house.recorder.records["it"].last
    while house.recorder.records["it"].last is last:
        await trio.sleep(0.1)
    began = checker.progress_at
    while checker.progress_at == began:  # the next probe has begun, and will fail
        await trio.sleep(0.1)
    house.net.refused = set()
    await trio.sleep(11)  # which a round finds out before it does
    house.becomes("+")
    await trio.sleep(60)
    assert await house.states() == "up"
    assert await house.fired() == []


async def test_a_clock_set_forward_during_a_probe_does_not_make_it_older_than_the_network(
    house: House, autojump_clock: Jump
) -> None:
    await house.start(house.target("slow", takes=2, timeout=20, failure_threshold=1), house.target("quick"))
    await trio.sleep(30)
    house.net.refused = set(HOSTS)
    house.becomes("-")
    await trio.sleep(60)
    house.net.refused = set()
    house.becomes("+")
    await trio.sleep(60)
    house.becomes("-", "slow")
    checker = house.supervisor.checkers["slow"]
    began = checker.progress_at
    while checker.progress_at == began:  # a probe has begun, and will fail
        await trio.sleep(0.1)
    house.clock.skew += timedelta(hours=1)
    await trio.sleep(3)
    assert await house.states("slow") == "up down"


async def test_what_is_really_down_fires_once_the_network_is_back(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target())
    await trio.sleep(30)
    house.net.refused = set(HOSTS)
    house.becomes("-")
    await trio.sleep(300)
    assert await house.fired() == []
    house.net.refused = set()
    await trio.sleep(60)
    assert await house.fired() == ["alert.firing"]


async def test_an_outage_too_short_to_matter_is_not_told(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target())
    await trio.sleep(30)
    house.net.refused = set(HOSTS)
    house.becomes("-")
    await trio.sleep(25)
    house.net.refused = set()
    house.becomes("+")
    await trio.sleep(600)
    assert await house.told() == []


async def test_to_stop_does_not_wait_for_a_reference(autojump_clock: Jump) -> None:
    async with trio.open_nursery() as nursery:
        house = House(nursery, MemoryStore(), ONE)
        house.net.mute = set(HOSTS)
        house.becomes("-")
        await house.start(house.target(failure_threshold=1))
        house.becomes("-")
        house.supervisor.probe_now("it")
        await trio.sleep(1)
        assert house.net.asked
        began = trio.current_time()
        await house.supervisor.stop("it").wait()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == began


async def test_a_reload_that_takes_the_references_away_ends_the_trouble(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target())
    house.net.refused = set(HOSTS)
    house.becomes("-")
    await trio.sleep(100)
    assert len(await house.told()) == 1
    house.config = attrs.evolve(house.config, reference=())
    await trio.sleep(400)
    assert await house.states() == "down"
    [alert] = await house.told()
    assert alert["trouble"] is False


# Checks that crash.


async def test_what_former_references_said_is_nothing_to_others(house: House, autojump_clock: Jump) -> None:
    it = house.target(retry_interval=3, failure_threshold=2)
    await house.start(it)
    await trio.sleep(10.5)
    house.net.refused = set(HOSTS)
    house.becomes("-")
    house.supervisor.probe_now("it")
    await trio.sleep(3.5)  # two probes failed, and no reference answered
    assert await house.fired() == []
    house.config = attrs.evolve(house.config, reference=("tcp://three.example.org:443",))
    house.supervisor.probe_now("it")
    await trio.sleep(1.5)  # rounds are a second apart
    assert await house.fired() == ["alert.firing"]
    assert house.net.asked[-1][1] == "three.example.org"


async def test_checks_that_crash_together_are_one_message_and_a_later_one_is_not_silent(
    house: House, autojump_clock: Jump
) -> None:
    many = [house.target(f"t{number}", interval=20) for number in range(50)]
    await house.start(*many, house.target("late"))
    await trio.sleep(30)
    house.becomes("!", *(each.name for each in many))
    await trio.sleep(200)
    [alert] = await house.told()
    assert (alert["standing_total"], len(alert["standing"])) == (50, 20)
    assert alert["reason"]["message"].startswith("cannot tell how 50 endpoints are (t")
    assert alert["reason"]["message"].endswith("the check crashed: ValueError: the check itself is broken")

    house.becomes("!", "late")
    await trio.sleep(400)
    [alert] = await house.told()
    assert (alert["standing_total"], alert["over_total"]) == (51, 0)

    house.becomes("+")
    await trio.sleep(700)
    [alert] = await house.told()
    assert (alert["trouble"], alert["over_total"]) == (False, 51)
    await trio.sleep(1000)
    assert await house.told() == []


async def test_checks_that_crash_now_and_then_give_a_bounded_number_of_messages(
    house: House, autojump_clock: Jump
) -> None:
    await house.start(*(house.target(f"t{number}", failure_threshold=1, interval=30) for number in range(20)))
    began = trio.current_time()
    names = list(house.targets)
    while trio.current_time() - began < 7200:
        for offset, name in enumerate(names):
            house.becomes("!" if (trio.current_time() // 90 + offset) % 3 else "+", name)
        await trio.sleep(30)
    assert 1 <= len(await house.told()) <= 7200 / 300 + 1


async def test_who_leaves_the_config_is_no_trouble_any_more(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target("it"), house.target("other"))
    house.becomes("!", "it")
    await trio.sleep(120)
    assert len(await house.told()) == 1
    await house.supervisor.stop("it").wait()
    house.config = attrs.evolve(house.config, endpoints=house.config.endpoints[1:])
    house.watch.watch()
    await trio.sleep(400)
    [alert] = await house.told()
    assert (alert["trouble"], alert["over"][0]["endpoint"]) == (False, "it")


async def test_nobody_to_tell_is_fine(house: House, autojump_clock: Jump, caplog: pytest.LogCaptureFixture) -> None:
    house.config = attrs.evolve(house.config, self_sinks=())
    await house.start(house.target())
    house.becomes("!")
    await trio.sleep(600)
    assert await house.told() == []
    assert [each.getMessage() for each in caplog.records if each.name == "monitor.selfwatch.own_trouble"] == [
        "the monitor's own trouble: cannot tell how it is: the check crashed: ValueError: the check itself is broken"
    ]


# The process itself.


async def test_no_free_descriptors_make_nothing_down_and_are_told_once(house: House, autojump_clock: Jump) -> None:
    await house.start(*(house.target(f"t{number}") for number in range(50)))
    await trio.sleep(30)
    house.becomes("e")
    await trio.sleep(300)
    assert await house.fired() == []
    assert await house.states("t7") == "up"
    [alert] = await house.told()
    assert alert["standing_total"] == 50
    assert alert["reason"]["message"].endswith("the monitor has no free file descriptor")


async def test_a_process_that_stood_still_says_so_once(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target())
    await trio.sleep(60)
    house.clock.stood_still += 600
    await trio.sleep(600)
    [alert] = await house.told()
    assert (alert["trouble"], alert["over"][0]["kind"]) == (False, "stall")
    assert alert["reason"]["message"] == "the monitor itself stood still for 10 min: stopped, suspended or overloaded"


async def test_a_loop_that_is_held_up_all_the_time_is_trouble(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target())
    for _ in range(20):
        house.clock.stood_still += 2
        await trio.sleep(5)
    await trio.sleep(400)
    began, ended = await house.told()
    assert (began["trouble"], ended["trouble"]) == (True, False)
    assert re.fullmatch(r"the monitor is held up for \d s in 15 s", began["reason"]["message"])


async def test_what_the_store_could_not_take_is_told_when_it_can(
    house: House, store: MemoryStore, autojump_clock: Jump
) -> None:
    await house.start(house.target())
    house.becomes("!")
    await trio.sleep(20)
    store.broken = True
    await trio.sleep(100)
    house.becomes("+")
    await trio.sleep(100)
    store.broken = False
    await trio.sleep(30)
    alerts = await house.told()
    assert [(each["trouble"], each["over_total"]) for each in alerts] == [(False, 1)]


# Restarts, on the real store.


async def test_a_restart_neither_repeats_nor_forgets(tmp_path: Path, autojump_clock: Jump) -> None:
    clock = TrioClock()

    async def life(seconds: float, before: str, after: str, *, network: bool) -> list[dict[str, Any]]:
        async with open_store(tmp_path, clock=clock, run_sync=run_here) as store, trio.open_nursery() as nursery:
            house = House(nursery, store, ONE)
            house.net.refused = set() if network else set(HOSTS)
            endpoints = house.target("crashes"), house.target("fails")
            house.becomes(before, "crashes")
            house.becomes(after, "fails")
            await house.start(*endpoints)
            await trio.sleep(seconds)
            told = await house.told()
            nursery.cancel_scope.cancel()
        return told

    [first] = await life(200, "!", "-", network=False)
    assert [each["kind"] for each in first["standing"]] == ["network", "endpoint"]
    assert await life(3, "!", "-", network=False) == []
    assert await life(1000, "!", "-", network=False) == [], "a restart repeats nothing"
    [partly] = await life(1000, "!", "-", network=True)
    assert [each["kind"] for each in partly["standing"]] == ["endpoint"]
    assert [each["kind"] for each in partly["over"]] == ["network"]
    assert await life(3, "+", "+", network=True) == []
    [over] = await life(1000, "+", "+", network=True)
    assert (over["trouble"], over["over"][0]["endpoint"]) == (False, "crashes")
    assert over["over"][0]["since"] == first["standing"][1]["since"]
    assert await life(1000, "+", "+", network=True) == []


async def test_what_stands_already_when_the_note_is_read_is_not_repeated(tmp_path: Path, autojump_clock: Jump) -> None:
    for life in range(3):
        async with open_store(tmp_path, clock=TrioClock(), run_sync=run_here) as store, trio.open_nursery() as nursery:
            house = House(nursery, store)
            house.watch.trouble.begins("store", "the disk is full")
            await house.start()
            await trio.sleep(400)
            assert len(await house.told()) == (1 if life == 0 else 0)
            nursery.cancel_scope.cancel()


async def test_an_unreadable_note_is_begun_anew(
    house: House, store: MemoryStore, autojump_clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await store.note("own_trouble", {"told": ["what is this"]})
    await house.start(house.target())
    house.becomes("!")
    await trio.sleep(200)
    assert len(await house.told()) == 1
    assert "cannot be read" in caplog.text


async def test_what_should_fail_is_not_up_because_the_network_is_gone(house: House, autojump_clock: Jump) -> None:
    await house.start(house.target(invert=True))
    await trio.sleep(60)
    assert await house.states() == "down", "it works, which it should not"
    house.becomes("-")
    house.net.refused = set(HOSTS)
    await trio.sleep(60)
    assert await house.states() == "down", "whether it fails cannot be told"
    house.net.refused = set()
    await trio.sleep(60)
    assert await house.states() == "down up"
