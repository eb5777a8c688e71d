"""Mass events: a thousand endpoints that hang and heal at once, thousands of cancellations, and our own shortages."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import resource
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from support.probes import endpoint, http, read_request, serve

from checks.http import Http
from hostile.matrix import Leftovers, Servers, settled
from hostile.servers_dns import Names
from hostile.table import HEALTHY, ROWS
from monitor.core.health import Health, advance
from monitor.core.model import Endpoint, Observation, State
from monitor.limits import spare_what_is_loaded
from monitor.net.resolve import WORKERS, Resolver
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.supervisor import Supervisor
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.alone

MANY = 1000
CANCELLATIONS = 5000


class Moody:
    """A server that answers, or hangs with whoever is there."""

    def __init__(self) -> None:
        self.hangs = False

    async def __call__(self, stream: trio.SocketStream) -> None:
        await read_request(stream)
        while self.hangs:
            if not await stream.receive_some():
                return
        await stream.send_all(http(200, b"ok"))


class Crowd:
    """Takes observations and keeps states as the recorder does; says when all are in one."""

    def __init__(self) -> None:
        self.needed: collections.Counter[str] = collections.Counter()  # probes since the healing until up again
        self._healed_at = float("inf")
        self._health: dict[str, Health] = {}
        self._states: collections.Counter[State] = collections.Counter()
        self._waited_for, self._reached = State.PENDING, trio.Event()
        self._net, self._clock = SocketNet(), SystemClock()
        self._began: dict[str, float] = {}

    def heal(self) -> None:
        """Count from now on."""
        self._healed_at = trio.current_time()

    async def probe(self, watched: Endpoint) -> Observation:
        self._began[watched.name] = trio.current_time()
        return await probe_once(watched, net=self._net, clock=self._clock, mask=None)

    async def record(self, watched: Endpoint, observation: Observation) -> bool:
        before = self._health.get(watched.name) or Health()
        after, _ = advance(before, observation, watched.thresholds)
        self._health[watched.name] = after
        self._states[before.state] -= 1
        self._states[after.state] += 1
        if self._began[watched.name] > self._healed_at and before.state is not State.UP:
            self.needed[watched.name] += 1
        if self._states[self._waited_for] == MANY:
            self._reached.set()
        return after.unconfirmed

    async def until_all(self, state: State) -> None:
        self._waited_for, self._reached = state, trio.Event()
        with trio.fail_after(120):  # a checker that hangs must not hang the test
            await self._reached.wait()


async def test_a_thousand_that_hang_at_once_and_heal_are_up_again_with_their_second_probe(
    nursery: trio.Nursery,
) -> None:
    mood, crowd = Moody(), Crowd()
    port = await serve(nursery, mood)
    async with trio.open_nursery() as checkers:
        supervisor = Supervisor(checkers, probe=crowd.probe, record=crowd.record, slots=trio.CapacityLimiter(MANY))
        check = Http(url=f"http://127.0.0.1:{port}/")
        for number in range(MANY):
            one = endpoint(check, name=f"{number}", interval=5.0, timeout=2.0, retry_interval=5.0, failure_threshold=1)
            supervisor.start(one)
        spare_what_is_loaded()  # as the daemon does
        await crowd.until_all(State.UP)
        mood.hangs = True
        await crowd.until_all(State.DOWN)
        mood.hangs = False
        crowd.heal()
        await crowd.until_all(State.UP)
        checkers.cancel_scope.cancel()
    # Two good probes make an endpoint up again: the one in the first interval after the healing, and the next.
    assert max(crowd.needed.values()) <= 2


async def test_thousands_of_cancellations_leave_nothing_behind(place: Servers) -> None:
    dice = random.Random(3)
    names, clock = Names(), SystemClock()
    net = SocketNet(Resolver(names.look_up))
    rows = [
        place.endpoint(row, timeout=5) for row in ROWS if "stuck" not in row.name and "looked at again" not in row.name
    ]
    await probe_once(place.endpoint(HEALTHY), net=net, clock=clock, mask=None)
    before = Leftovers.now()
    limiter = trio.CapacityLimiter(200)

    async def cancelled(watched: Endpoint, after: float) -> None:
        async with limiter:
            with trio.move_on_after(after):
                await probe_once(watched, net=net, clock=clock, mask=None)

    async with trio.open_nursery() as nursery:
        for _ in range(CANCELLATIONS):
            nursery.start_soon(cancelled, dice.choice(rows), dice.expovariate(1 / 0.03))
    assert await settled(before) == before
    seen = await probe_once(place.endpoint(HEALTHY), net=net, clock=clock, mask=None)
    assert seen.status == "up", seen.reason


async def together(
    place: Servers, net: SocketNet, clock: SystemClock, *, number: int, timeout: float = 5
) -> list[Observation]:
    """Healthy endpoints with names of their own, all at once."""
    found: list[Observation] = []

    async def look(watched: Endpoint) -> None:
        found.append(await probe_once(watched, net=net, clock=clock, mask=None))

    async with trio.open_nursery() as nursery:
        for each in range(number):
            row = attrs.evolve(HEALTHY, host=f"healthy-{each}.test")
            nursery.start_soon(look, place.endpoint(row, timeout=timeout))
    return found


@contextlib.contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """Leave only *spare* descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def codes(seen: Sequence[Observation]) -> set[tuple[str, str]]:
    return {(str(each.status), str(each.reason.code)) for each in seen}


@pytest.mark.parametrize(("spare", "expected"), [(0, {("unknown", "internal")}),
                                                 (10, {("unknown", "internal"), ("up", "ok")})])  # fmt: skip
async def test_without_descriptors_nothing_is_down(place: Servers, spare: int, expected: set[tuple[str, str]]) -> None:
    net, clock = SocketNet(Resolver(Names().look_up)), SystemClock()
    with few_descriptors(spare):
        short = await together(place, net, clock, number=50)
    assert codes(short) == expected
    assert codes(await together(place, net, clock, number=50)) == {("up", "ok")}


async def test_when_every_dns_worker_is_stuck_nothing_is_down(place: Servers) -> None:
    names, clock = Names(), SystemClock()
    net = SocketNet(Resolver(names.look_up))
    stuck = next(row for row in ROWS if "stuck" in row.name)
    async with trio.open_nursery() as nursery:
        for number in range(WORKERS):
            row = attrs.evolve(stuck, host=f"stuck-{number}.test")
            one = place.endpoint(row, timeout=30)
            nursery.start_soon(lambda one=one: probe_once(one, net=net, clock=clock, mask=None))
        await trio.testing.wait_all_tasks_blocked()
        seen = await together(place, net, clock, number=50, timeout=0.5)
        names.release()
        nursery.cancel_scope.cancel()
    assert codes(seen) == {("unknown", "internal")}
    assert codes(await together(place, net, clock, number=50)) == {("up", "ok")}
