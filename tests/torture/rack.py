"""Runs rows of the table beside healthy endpoints on their own schedule, and measures."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio
from support.below import alive
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict
from monitor.isolation.workers import Workers
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.processes.tree import below
from monitor.supervisor import Supervisor
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.core.model import Endpoint, Observation
    from torture.rows import Row

HEALTHY, INTERVAL = 20, 0.1  # endpoints, and seconds between two probes of one
MEMORY = 200 * 1024**2
PATIENCE = 30.0  # seconds; only what survives needs them


@attrs.frozen(kw_only=True)
class Healthy(Check):
    """Takes a moment."""

    async def probe(self, probe: Probe) -> Verdict:
        await trio.sleep(0.001)
        return Verdict.up()


@attrs.define
class Ordeal:
    """What became of one row: *dead_after* are seconds from its deadline, or its answer if that was earlier."""

    row: Row
    observation: Observation
    overrun: float
    dead_after: float
    survivors: int


@attrs.define
class Report:
    """What became of some of them."""

    ordeals: list[Ordeal] = attrs.field(factory=list)
    lags: list[float] = attrs.field(factory=list)  # of the healthy, in seconds
    healthy: set[str] = attrs.field(factory=set)  # what was said of them
    left: int = 0  # processes that are there still

    def __iadd__(self, other: Report) -> Report:
        self.ordeals += other.ordeals
        self.lags += other.lags
        self.healthy |= other.healthy
        self.left += other.left
        return self


async def run(
    rows: Sequence[Row], place: Path, *, timeout: float, patience: float = 30.0, at_once: int = 100, beside: float = 0.0
) -> Report:
    """Probe each of *rows* once, so many at once, beside the healthy; these go on for *beside* seconds at least.

    *patience* is what a worker has to begin, in seconds.
    """
    report, slots = Report(), trio.CapacityLimiter(at_once)
    net, clock = SocketNet(), SystemClock()
    before = below(os.getpid()).keys()
    async with Workers(memory=MEMORY, patience=patience) as workers:

        async def probe(watched: Endpoint) -> Observation:
            return await probe_once(watched, net=net, clock=clock, mask=None, workers=workers)

        async def record(watched: Endpoint, seen: Observation) -> bool:
            report.healthy.add(str(seen.status))
            report.lags.append(supervisor.checkers[watched.name].lag)
            return False

        async def suffer(row: Row, number: int) -> None:
            own = place / str(number)
            own.mkdir()
            watched = endpoint(row.check(own), name=f"row {number}", timeout=timeout, isolated=row.isolated)
            async with slots:
                seen = await probe(watched)
            overrun = max(0.0, seen.duration - timeout) if seen.reason.code == "timeout" else 0.0
            due = trio.current_time() - overrun
            pids = {int(each.stem) for each in own.glob("[0-9]*") if seen.status != "up" or not each.suffix}
            pids.discard(os.getpid())  # where it is not isolated
            with trio.move_on_after(PATIENCE):
                while any(map(alive, pids)):
                    await trio.sleep(0.005)
            ended = trio.current_time()
            report.ordeals.append(Ordeal(row, seen, overrun, max(0.0, ended - due), sum(map(alive, pids))))

        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, probe=probe, record=record, slots=trio.CapacityLimiter(500))
            for number in range(HEALTHY):
                supervisor.start(endpoint(Healthy(), name=f"healthy {number}", interval=INTERVAL, timeout=2.0))
            await trio.sleep(INTERVAL)
            async with trio.open_nursery() as rack:
                rack.start_soon(trio.sleep, beside)
                for number, row in enumerate(rows):
                    rack.start_soon(partial(suffer, row, number))
            nursery.cancel_scope.cancel()
    with trio.move_on_after(PATIENCE):
        while left := below(os.getpid()).keys() - before:
            await trio.sleep(0.01)
    report.left = len(left)
    return report
