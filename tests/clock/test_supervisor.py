"""When endpoints are probed: the grid, retries, missed slots, waking, stopping, replacing. Exact, by autojump."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from support.ports import TrioClock
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict, check_option
from monitor.core.schedule import spread
from monitor.probing import probe_once
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.core.model import Endpoint, Observation


@attrs.frozen(kw_only=True)
class Lasting(Check):
    """Takes its time, then says what it is told."""

    seconds: float = check_option(default=0.0, doc="how long a probe lasts")

    async def probe(self, probe: Probe) -> Verdict:
        await trio.sleep(self.seconds)
        return Verdict.up()


class Log:
    """A recorder that remembers when each probe began and ended, and says `unconfirmed` as told."""

    def __init__(self, unconfirmed: Callable[[int], bool] = lambda _: False) -> None:
        self.began: dict[str, list[float]] = {}
        self.ended: dict[str, list[float]] = {}
        self.under_way: dict[str, int] = {}
        self.most_at_once = 0
        self._unconfirmed = unconfirmed

    async def probe(self, watched: Endpoint) -> Observation:
        self.began.setdefault(watched.name, []).append(round(trio.current_time(), 6))
        self.under_way[watched.name] = self.under_way.get(watched.name, 0) + 1
        assert self.under_way[watched.name] == 1, "two probes of one endpoint at once"
        self.most_at_once = max(self.most_at_once, sum(self.under_way.values()))
        try:
            return await probe_once(watched, net=None, clock=TrioClock(), mask=str)  # type: ignore[arg-type] # no net
        finally:
            self.under_way[watched.name] -= 1

    async def record(self, watched: Endpoint, observation: Observation) -> bool:
        ended = self.ended.setdefault(watched.name, [])
        ended.append(round(trio.current_time(), 6))
        return self._unconfirmed(len(ended))


def supervise(nursery: trio.Nursery, log: Log, slots: int = 100) -> Supervisor:
    return Supervisor(nursery, probe=log.probe, record=log.record, slots=trio.CapacityLimiter(slots))


def steps(times: list[float]) -> list[float]:
    return [round(later - earlier, 6) for earlier, later in itertools.pairwise(times)]


def tasks_below(nursery: trio.Nursery) -> list[str]:
    """The names of all tasks in *nursery*, and in the nurseries that these have opened."""
    names = []
    for task in nursery.child_tasks:
        names += [task.name, *(name for inner in task.child_nurseries for name in tasks_below(inner))]
    return names


async def test_every_endpoint_has_one_task_of_its_own(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as checkers:
        supervisor = supervise(checkers, Log())
        names = [f"e{number}" for number in range(50)]
        for name in names:
            supervisor.start(endpoint(Lasting(), name=name, interval=10))
        for seconds in (0, 5, 20):
            await trio.sleep(seconds)
            tasks = tasks_below(checkers)
            assert sorted(task for task in tasks if task.startswith("check:")) == sorted(
                f"check:{each}" for each in names
            )
        checkers.cancel_scope.cancel()


async def test_a_fixed_grid_whatever_a_probe_lasts(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log()
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Lasting(), name="quick", interval=10))
    supervisor.start(endpoint(Lasting(seconds=3), name="slow", interval=10))
    await trio.sleep(100)
    for name in ("quick", "slow"):
        assert log.began[name][0] == pytest.approx(spread(name) * 10)
        assert set(steps(log.began[name])) == {10.0}
    nursery.cancel_scope.cancel()


async def test_missed_slots_are_skipped_and_counted(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log()
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Lasting(seconds=25), name="it", interval=10, timeout=60))
    await trio.sleep(95)
    assert set(steps(log.began["it"])) == {30.0}
    assert supervisor.checkers["it"].missed == 2 * len(log.ended["it"])
    nursery.cancel_scope.cancel()


async def test_the_first_probe_comes_soon_even_for_long_intervals(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log()
    supervisor = supervise(nursery, log)
    for number in range(50):
        supervisor.start(endpoint(Lasting(), name=f"e{number}", interval=3600))
    await trio.sleep(15)
    assert len(log.began) == 50
    firsts = sorted(times[0] for times in log.began.values())
    assert max(steps([0.0, *firsts])) < 3, "spread out, no burst"
    await trio.sleep(3600)
    for name, times in log.began.items():
        assert times[1] == pytest.approx(spread(name) * 3600, abs=3600)
    nursery.cancel_scope.cancel()


async def test_retries_come_sooner_and_the_grid_stays(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log(unconfirmed=lambda count: count in (2, 3))
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Lasting(), name="it", interval=30, retry_interval=5))
    await trio.sleep(120)
    slot = log.began["it"][1]
    assert [round(time - slot, 6) for time in log.began["it"][1:6]] == [0, 5, 10, 30, 60]
    nursery.cancel_scope.cancel()


async def test_a_retry_never_lengthens_the_interval(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log(unconfirmed=lambda _: True)
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Lasting(), name="it", interval=10, retry_interval=60))
    await trio.sleep(100)
    assert set(steps(log.began["it"])) == {10.0}
    nursery.cancel_scope.cancel()


async def test_waiting_for_a_slot_is_not_latency(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    durations: list[float] = []
    log = Log()

    async def record(watched: Endpoint, observation: Observation) -> bool:
        durations.append(observation.duration)
        return False

    supervisor = Supervisor(nursery, probe=log.probe, record=record, slots=trio.CapacityLimiter(2))
    for number in range(6):
        supervisor.start(endpoint(Lasting(seconds=2), name=f"e{number}", interval=1000, timeout=5))
    await trio.sleep(40)
    assert durations == [2.0] * 6
    assert log.most_at_once == 2
    nursery.cancel_scope.cancel()


async def test_who_asks_at_each_answer_does_not_hammer(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log()

    async def record(watched: Endpoint, observation: Observation) -> bool:
        supervisor.probe_now(watched.name)
        return await log.record(watched, observation)

    supervisor = Supervisor(nursery, probe=log.probe, record=record, slots=trio.CapacityLimiter(10))
    supervisor.start(endpoint(Lasting(), name="it", interval=600))
    await trio.sleep(1200)
    assert 1000 < len(log.began["it"]) < 3000
    nursery.cancel_scope.cancel()


async def test_probe_now_wakes_and_counts_once(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    log = Log()
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Lasting(seconds=2), name="it", interval=1000))
    await trio.sleep(500)
    begun = len(log.began["it"])
    supervisor.probe_now("it")
    supervisor.probe_now("it")
    await trio.sleep(1)
    assert len(log.began["it"]) == begun + 1, "two rings before it begins are one"
    supervisor.probe_now("it")
    await trio.sleep(10)
    assert len(log.began["it"]) == begun + 2, "a ring while a probe is under way asks for one more"
    nursery.cancel_scope.cancel()


async def test_stop_and_replace(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    log = Log()
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Lasting(seconds=4), name="it", interval=10))
    await trio.sleep(40)
    ended = len(log.ended["it"])
    supervisor.replace(endpoint(Lasting(), name="it", interval=2))
    await trio.sleep(10)
    assert set(steps(log.began["it"][-4:])) == {2.0}
    assert len(log.ended["it"]) > ended
    stopped = supervisor.stop("it")
    await stopped.wait()
    ended = len(log.ended["it"])
    await trio.sleep(100)
    assert len(log.ended["it"]) == ended
    assert "it" not in supervisor.checkers
    nursery.cancel_scope.cancel()


async def test_when_all_stop_their_nursery_ends_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    log = Log()
    async with trio.open_nursery() as checkers:
        supervisor = Supervisor(checkers, probe=log.probe, record=log.record, slots=trio.CapacityLimiter(1))
        supervisor.start(endpoint(Lasting(seconds=4), name="probing", interval=5))
        supervisor.start(endpoint(Lasting(seconds=4), name="waiting for a slot", interval=5))
        supervisor.start(endpoint(Lasting(), name="asleep", interval=1000))
        await trio.sleep(40)
        supervisor.start(endpoint(Lasting(), name="not begun"))
        supervisor.replace(endpoint(Lasting(), name="probing", interval=2))
        supervisor.stop_all()
        stopped_at = trio.current_time()
    assert trio.current_time() == stopped_at


async def test_who_is_replaced_before_it_began_lets_nobody_overtake(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    @attrs.frozen(kw_only=True)
    class Unwilling(Check):
        """Takes its time to go."""

        async def probe(self, probe: Probe) -> Verdict:
            with trio.CancelScope(shield=True):
                await trio.sleep(30)
            return Verdict.up()

    log = Log()  # which minds two probes at once
    supervisor = supervise(nursery, log)
    supervisor.start(endpoint(Unwilling(), name="it", interval=5, timeout=60))
    await trio.sleep(6)
    supervisor.replace(endpoint(Lasting(), name="it", interval=5))
    await trio.sleep(1)
    supervisor.replace(endpoint(Lasting(), name="it", interval=2))
    await trio.sleep(60)
    assert set(steps(log.began["it"][-4:])) == {2.0}
    nursery.cancel_scope.cancel()


async def test_a_checker_without_progress_is_seen(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log()

    async def stuck(watched: Endpoint, observation: Observation) -> bool:
        await trio.sleep_forever()
        return False

    supervisor = Supervisor(nursery, probe=log.probe, record=stuck, slots=trio.CapacityLimiter(1))
    supervisor.start(endpoint(Lasting(), name="it", interval=10, timeout=5))
    await trio.sleep(40)
    assert supervisor.stalled() == []
    await trio.sleep(30)
    assert supervisor.stalled() == ["it"]
    nursery.cancel_scope.cancel()
