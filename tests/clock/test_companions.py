"""What stays with an endpoint between its probes: when it begins, who is told of its end, when it comes back.

By a check of a stranger's, against `monitor.api` alone; exact, by autojump.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from support.ports import TrioClock
from support.probes import endpoint
from support.watching import Watch

from monitor.api import Check, Code, Probe, ProbeError, Reason, Verdict, check_option
from monitor.probing import probe_once

if TYPE_CHECKING:
    from collections.abc import Callable


class Line:
    """What is held; the test drops it."""

    def __init__(self, of: str) -> None:
        self.of = of
        self.began = trio.current_time()
        self.ended: float | None = None
        self.dropped = trio.Event()
        self.why: BaseException | None = None

    def drop(self, why: BaseException | None = None) -> None:
        self.why = why
        self.dropped.set()


class Lines:
    """Every line that was begun, in order; and how the world behaves."""

    def __init__(self) -> None:
        self.tries: list[float] = []
        self.all: list[Line] = []
        self.latency = 0.1
        self.refused = False
        self.lasts: Callable[[Line], None] = lambda _: None
        self.mute = False

    @property
    def open(self) -> list[Line]:
        return [each for each in self.all if each.ended is None]


LINES: dict[str, Lines] = {}


def dropped(message: str = "dropped") -> ProbeError:
    return ProbeError(Reason(Code.PROTOCOL, "dialogue", message))


@attrs.frozen(kw_only=True)
class Holding(Check):
    """Holds a line."""

    world: str = check_option(doc="which")

    @property
    def stays(self) -> bool:
        return True

    async def probe(self, probe: Probe) -> Verdict:
        if probe.companion is None:
            return Verdict.up()
        probe.phase("connect")
        line = await probe.keep(self._stay)
        probe.phase("dialogue")
        await probe.companion.while_it_stays(self._look)
        probe.facts["since"] = line.began
        return Verdict.up()

    async def _look(self) -> None:
        await trio.sleep(99 if LINES[self.world].mute else 0.1)

    async def _stay(self, *, task_status: trio.TaskStatus[Line]) -> None:
        world = LINES[self.world]
        world.tries.append(trio.current_time())
        await trio.sleep(world.latency)
        if world.refused:
            raise dropped("refused")
        line = Line(self.world)
        world.all.append(line)
        try:
            task_status.started(line)
            world.lasts(line)
            await line.dropped.wait()
        finally:
            line.ended = trio.current_time()
        if line.why is not None:
            raise line.why


class House(Watch):
    """Watches lines."""

    def watch(self, name: str, lines: Lines | None = None, **settings: float) -> Lines:
        LINES[name] = lines or Lines()
        self.supervisor.start(endpoint(Holding(world=name), name=name, **settings))
        return LINES[name]


async def test_begun_by_a_probe_and_kept(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=10)
    await trio.sleep(100)
    (line,) = lines.all
    seen = [each for _, each in house.seen["it"]]
    assert len(seen) >= 9
    assert {each.status for each in seen} == {"up"}
    assert {each.facts["since"] for each in seen} == {line.began}
    assert [round(each.duration, 6) for each in seen[:3]] == [0.2, 0.1, 0.1], "the first has to begin it"
    assert house.companions.staying == 1
    nursery.cancel_scope.cancel()


async def test_an_end_is_told_at_once_and_once(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=60, retry_interval=5)
    await trio.sleep(200)
    lines.all[0].drop(dropped("the server dropped the connection"))
    at, before = trio.current_time(), len(house.seen["it"])
    await trio.sleep(30)
    told, again = house.seen["it"][before:]
    assert told[0] == at
    assert (told[1].status, told[1].reason.code, told[1].reason.phase) == ("down", "protocol", "dialogue")
    assert told[1].reason.message == "the server dropped the connection"
    assert again[1].status == "up"
    assert 0.5 <= lines.tries[1] - at <= 5
    nursery.cancel_scope.cancel()


async def test_what_ends_just_after_a_probe_is_told_before_it_is_begun_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=60, retry_interval=0.2)
    await trio.sleep(90)
    before = len(house.seen["it"])
    await trio.sleep_until(house.seen["it"][-1][0] + 60.05)
    lines.all[0].drop(dropped())
    at = trio.current_time()
    await trio.sleep(3)
    assert house.story()[before:] == ["up", "dropped", "up"]
    assert lines.tries[1] - at < 2
    nursery.cancel_scope.cancel()


async def test_an_end_while_a_probe_looks_fails_that_probe(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=10, retry_interval=1)
    await trio.sleep(30)
    lines.mute, before = True, len(house.seen["it"])
    await trio.sleep_until(house.seen["it"][-1][0] - 0.1 + 10 + 3)  # a probe has looked for three seconds
    assert len(house.seen["it"]) == before
    lines.all[0].drop(dropped())
    lines.mute = False
    await trio.sleep(5)
    assert house.story()[before : before + 2] == ["dropped", "up"]
    assert house.seen["it"][before][1].duration == pytest.approx(3.0)
    nursery.cancel_scope.cancel()


async def test_an_end_without_a_complaint_is_nobodys_fault(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=60, retry_interval=5)
    await trio.sleep(200)
    lines.all[0].drop()
    at = trio.current_time()
    await trio.sleep(300)
    assert set(house.story()) == {"up"}
    assert 0.5 <= lines.tries[1] - at <= 5
    assert len(lines.all) == 2
    nursery.cancel_scope.cancel()


async def test_what_cannot_begin_fails_its_probe_and_is_tried_on_the_grid(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=10)
    lines.refused = True
    await trio.sleep(95)
    assert set(house.story()) == {"refused"}
    assert len(lines.tries) == len(house.seen["it"]) == 10
    lines.refused, lines.latency = False, 99
    await trio.sleep(20)
    assert house.story()[-1] == "no answer within 5 s (during connect)", "the deadline is the probe's"
    assert house.companions.staying == 0
    nursery.cancel_scope.cancel()


async def test_who_ends_at_once_again_and_again_comes_back_ever_more_slowly(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery, unconfirmed=True)
    lines = Lines()
    lines.lasts = lambda line: line.drop(dropped())
    house.watch("it", lines, interval=60, retry_interval=1)
    await trio.sleep(3600)
    pauses = [later - earlier for earlier, later in itertools.pairwise(lines.tries)]
    assert pauses[0] < 5
    assert all(30 <= pause <= 65 for pause in pauses[8:])
    assert len(lines.tries) < 100, "one in 45 s on average"
    told = house.story()
    assert any(each.startswith("dropped; tried again in ") for each in told)
    nursery.cancel_scope.cancel()


async def test_a_thousand_that_are_dropped_together_do_not_come_back_together(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery, unconfirmed=True)
    names = [f"e{number}" for number in range(1000)]
    for name in names:
        house.watch(name, interval=60, retry_interval=5)
    await trio.sleep(16)
    assert house.companions.staying == 1000
    at = trio.current_time()
    for name in names:
        LINES[name].all[0].drop(dropped())
    await trio.sleep(10)
    for name in names:
        (told,) = [when for when, each in house.seen[name] if each.reason.message == "dropped"]
        assert told - at <= 0.5, "at once, or half a second after a probe that had just ended"
    tries = sorted(LINES[name].tries[1] - at for name in names)
    assert tries[0] < 0.6
    assert 4.5 < tries[-1] <= 5.5
    busiest = max(sum(begin <= each < begin + 0.1 for each in tries) for begin in (number / 10 for number in range(60)))
    assert busiest < 50, "a thousand over five seconds are twenty in a tenth"
    assert all(len(LINES[name].tries) == 2 for name in names)
    assert house.companions.staying == 1000
    nursery.cancel_scope.cancel()


async def test_what_does_not_answer_a_probe_in_time_is_let_go(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery, unconfirmed=True)
    lines = house.watch("it", interval=30, retry_interval=5)
    await trio.sleep(100)
    lines.mute = True
    await trio.sleep(30)
    lines.mute = False
    assert house.story()[-1] == "no answer within 5 s (during dialogue)"
    await trio.sleep(10)
    assert len(lines.all) >= 2
    assert len(lines.open) == 1
    assert house.story()[-1] == "up"
    nursery.cancel_scope.cancel()


async def test_nothing_outlives_stop_and_replacement(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    house = House(nursery)
    lines = house.watch("it", interval=10)
    await trio.sleep(30)
    LINES["new"] = Lines()
    house.supervisor.replace(endpoint(Holding(world="new"), name="it", interval=10))
    await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()
    assert lines.open == []
    await trio.sleep(30)
    assert len(LINES["new"].open) == 1
    await house.supervisor.stop("it").wait()
    assert LINES["new"].open == []
    assert house.companions.staying == 0
    assert set(house.story()) == {"up"}
    nursery.cancel_scope.cancel()


async def test_a_bug_of_what_stays_is_a_crash_and_harms_nobody(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(nursery)
    lines, others = house.watch("it", interval=10), house.watch("other", interval=10)
    await trio.sleep(30)
    lines.all[0].drop(SystemExit(3))
    await trio.sleep(0.3)
    last = house.seen["it"][-1][1]
    assert (last.status, last.reason.code) == ("unknown", "crash")
    assert last.reason.message == "the check crashed: SystemExit: 3"
    await trio.sleep(30)
    assert house.story()[-1] == "up"
    assert len(others.all) == 1
    nursery.cancel_scope.cancel()


async def test_a_look_without_anybody_who_stays(autojump_clock: trio.testing.MockClock) -> None:
    clock = TrioClock()
    LINES["it"] = Lines()
    seen = await probe_once(endpoint(Holding(world="it")), net=None, clock=clock, mask=None)  # type: ignore[arg-type]
    assert seen.status == "up"


async def test_who_end_together_take_turns(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    house, rounds, moments = House(nursery), 0, []
    for number in range(20):
        house.watch(f"e{number}", interval=1)
    await trio.sleep(5)

    async def count() -> None:
        nonlocal rounds
        while len(moments) < 20:
            rounds += 1
            await trio.lowlevel.checkpoint()

    async def end(name: str) -> None:
        companion = house.companions.of(endpoint(Holding(world=name), name=name))
        assert companion is not None
        await companion.take_turn()
        moments.append(rounds)

    async with trio.open_nursery() as ends:
        ends.start_soon(count)
        for number in range(20):
            ends.start_soon(end, f"e{number}")
    assert len(set(moments)) == 20, "the loop came round between any two"
    nursery.cancel_scope.cancel()
