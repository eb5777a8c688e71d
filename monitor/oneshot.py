"""`monitor check`: every endpoint once, at the same time, bounded. No schedule, no thresholds, no store."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING

import trio

from monitor.core.model import Status
from monitor.core.programs import DEFAULT_MEMORY
from monitor.isolation.workers import Workers
from monitor.limits import raise_descriptor_limit
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.processes.starter import Processes
from monitor.signals import stop_on_signals
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Mask

_TICK = 0.1  # seconds between two `on_tick`
_PAUSE = 1.0  # seconds at most until what was not up is probed again


class Interrupted(Exception):  # noqa: N818 - not an error: somebody wanted it
    """A signal came; *number* says which."""

    def __init__(self, number: int) -> None:
        """Keep *number*."""
        super().__init__(signal.Signals(number).name)
        self.number = number


def run(
    endpoints: Sequence[Endpoint],
    *,
    concurrency: int,
    mask: Mask | None,
    on_start: Callable[[Endpoint], None],
    on_result: Callable[[Endpoint, Observation], None],
    on_tick: Callable[[], None] | None = None,
    patience: float | None = None,
    memory: int = DEFAULT_MEMORY,
) -> list[Observation]:
    """Probe every endpoint once; return the observations in the order of *endpoints*.

    With *patience*, one that is not up is probed again and again until it is, or so many seconds have passed since
    the start; its last observation counts. *memory* is what a program that a check runs may have, in bytes. At most
    *concurrency* probes are under way at once. The callbacks are for showing progress: *on_start* and *on_result* for
    each endpoint, *on_tick* ten times a second. Raises Interrupted on SIGINT or SIGTERM.
    """
    raise_descriptor_limit()
    return trio.run(_check, endpoints, concurrency, mask, on_start, on_result, on_tick, patience, memory)


async def _check(
    endpoints: Sequence[Endpoint],
    concurrency: int,
    mask: Mask | None,
    on_start: Callable[[Endpoint], None],
    on_result: Callable[[Endpoint, Observation], None],
    on_tick: Callable[[], None] | None,
    patience: float | None,
    memory: int,
) -> list[Observation]:
    net, clock = SocketNet(), SystemClock()
    processes, workers = Processes(memory=memory), Workers(memory=memory)
    limiter = trio.CapacityLimiter(concurrency)
    found: dict[int, Observation] = {}
    signalled: list[int] = []
    token = trio.lowlevel.current_trio_token()
    last_moment = -math.inf if patience is None else trio.current_time() + patience

    async def look(endpoint: Endpoint) -> Observation:
        """Probe it; once more where we could not tell as we were held up, most likely by what we import at first."""
        before = clock.stalled()
        seen = await probe_once(endpoint, net=net, clock=clock, mask=mask, programs=processes, workers=workers)
        if seen.status is Status.UNKNOWN and clock.stalled() > before:
            seen = await probe_once(endpoint, net=net, clock=clock, mask=mask, programs=processes, workers=workers)
        return seen

    async def probe(index: int, endpoint: Endpoint) -> None:
        async with limiter:
            on_start(endpoint)
            found[index] = await look(endpoint)

    async def check(index: int, endpoint: Endpoint) -> None:
        await probe(index, endpoint)
        with trio.move_on_at(last_moment):
            while found[index].status is not Status.UP and trio.current_time() < last_moment:
                await trio.sleep(min(_PAUSE, endpoint.retry_interval))
                await probe(index, endpoint)
        on_result(endpoint, found[index])

    async def tick() -> None:
        while on_tick is not None:
            on_tick()
            await trio.sleep(_TICK)

    with trio.CancelScope() as everything:

        def ask(number: int) -> None:
            signalled.append(number)
            token.run_sync_soon(everything.cancel)

        with stop_on_signals(ask, patience=None):
            async with processes, workers, trio.open_nursery() as ticking:
                ticking.start_soon(tick)
                async with trio.open_nursery() as probes:
                    await _begin(probes, check, endpoints)
                ticking.cancel_scope.cancel()
    if signalled:
        raise Interrupted(signalled[0])
    return [found[index] for index in range(len(endpoints))]


async def _begin(
    probes: trio.Nursery, check: Callable[[int, Endpoint], Awaitable[None]], endpoints: Sequence[Endpoint]
) -> None:
    """Start *check* of each. The first of a kind imports much: of all kinds in one round, it would hold up the loop."""
    kinds: set[str] = set()
    for index, endpoint in enumerate(endpoints):
        if endpoint.kind not in kinds:
            kinds.add(endpoint.kind)
            await trio.lowlevel.checkpoint()
        probes.start_soon(check, index, endpoint, name=f"check:{endpoint.name}")
