"""What every prober shares: its arguments, the answer it must get, and how its CPU time is taken.

A run warms up first, so that imports, contexts and caches cost nobody a figure, then makes `count` probes,
`concurrency` at a time. CPU time is user and system time of the whole process, threads included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import time
from collections.abc import Awaitable, Callable

import attrs

Worker = Callable[[], Awaitable[None]]

ANSWER = b"twenty bytes of text"
"""The body that nginx answers with; every prober looks at it."""


class Task(argparse.Namespace):
    """What to probe, and how often."""

    url: str
    ca_file: str
    count: int
    concurrency: int
    rate: float
    loop: str
    json: bool


def arguments(description: str | None) -> Task:
    """The arguments of a prober."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url")
    parser.add_argument("--ca-file", required=True, help="the authority that the TLS server's certificate is from")
    parser.add_argument("--count", type=int, default=1000, help="probes that are measured")
    parser.add_argument("--concurrency", type=int, default=20, help="probes under way at once")
    parser.add_argument("--rate", type=float, default=0.0, help="begin so many a second; default: as many as can be")
    parser.add_argument("--json", action="store_true", help="for `layers`: print JSON")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="for those on asyncio")
    return parser.parse_args(namespace=Task())


def cpu_seconds(who: int = resource.RUSAGE_SELF) -> float:
    """User and system time so far, of this process or of its children."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def warm_up(count: int) -> int:
    """How many probes come before those that are measured."""
    return max(1, count // 10)


def report(*, count: int, good: int, cpu: float) -> None:
    """Print the one line that the harness reads."""
    print(json.dumps({"count": count, "good": good, "cpu": cpu}))


@attrs.frozen
class Loop:
    """What a prober needs of its event loop: run workers together, and sleep for some seconds."""

    together: Callable[[list[Worker]], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]]


async def measured(task: Task, probe: Callable[[], Awaitable[bool]], loop: Loop) -> None:
    """Probe as *task* says, and report."""
    await _probe_many(task, warm_up(task.count), probe, loop)
    before = cpu_seconds()
    good = await _probe_many(task, task.count, probe, loop)
    report(count=task.count, good=good, cpu=cpu_seconds() - before)


async def _probe_many(task: Task, count: int, probe: Callable[[], Awaitable[bool]], loop: Loop) -> int:
    tickets = iter(range(count))
    good = itertools.count()
    begin = time.monotonic()

    async def worker() -> None:
        for number in tickets:
            if task.rate:
                await loop.sleep(max(0.0, begin + number / task.rate - time.monotonic()))
            if await probe():
                next(good)

    await loop.together([worker] * task.concurrency)
    return next(good)


def on_asyncio() -> Loop:
    """Give asyncio, or uvloop where that runs."""
    import asyncio  # noqa: PLC0415 - each prober loads its own loop and no other

    async def together(workers: list[Worker]) -> None:
        await asyncio.gather(*(worker() for worker in workers))

    return Loop(together, asyncio.sleep)


def on_trio() -> Loop:
    """Give Trio."""
    import trio  # noqa: PLC0415 - as above

    async def together(workers: list[Worker]) -> None:
        async with trio.open_nursery() as nursery:
            for worker in workers:
                nursery.start_soon(worker)

    return Loop(together, trio.sleep)
