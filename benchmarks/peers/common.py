"""What every prober shares: its arguments, the answer it must get, and how its CPU time is taken.

A run warms up first, so that imports, contexts and caches cost nobody a figure, then makes `count` probes,
`concurrency` at a time. CPU time is user and system time of the whole process, threads included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ANSWER = b"twenty bytes of text"
"""The body that nginx answers with; every prober looks at it."""


class Task(argparse.Namespace):
    """What to probe, and how often."""

    url: str
    ca_file: str
    count: int
    concurrency: int
    loop: str


def arguments(description: str | None) -> Task:
    """The arguments of a prober."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url")
    parser.add_argument("--ca-file", required=True, help="the authority that the TLS server's certificate is from")
    parser.add_argument("--count", type=int, default=1000, help="probes that are measured")
    parser.add_argument("--concurrency", type=int, default=20, help="probes under way at once")
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


async def measured(
    task: Task,
    probe: Callable[[], Awaitable[bool]],
    together: Callable[[list[Callable[[], Awaitable[None]]]], Awaitable[None]],
) -> None:
    """Probe as *task* says and report; *together* runs workers at the same time on the loop in use."""
    await _probe_many(warm_up(task.count), task.concurrency, probe, together)
    before = cpu_seconds()
    good = await _probe_many(task.count, task.concurrency, probe, together)
    report(count=task.count, good=good, cpu=cpu_seconds() - before)


async def _probe_many(
    count: int,
    concurrency: int,
    probe: Callable[[], Awaitable[bool]],
    together: Callable[[list[Callable[[], Awaitable[None]]]], Awaitable[None]],
) -> int:
    tickets: Iterator[int] = iter(range(count))
    good = itertools.count()

    async def worker() -> None:
        for _ in tickets:
            if await probe():
                next(good)

    await together([worker] * concurrency)
    return next(good)


async def on_asyncio(workers: list[Callable[[], Awaitable[None]]]) -> None:
    """Run *workers* together on asyncio."""
    import asyncio  # noqa: PLC0415 - each prober loads its own loop and no other

    await asyncio.gather(*(worker() for worker in workers))


async def on_trio(workers: list[Callable[[], Awaitable[None]]]) -> None:
    """Run *workers* together on Trio."""
    import trio  # noqa: PLC0415

    async with trio.open_nursery() as nursery:
        for worker in workers:
            nursery.start_soon(worker)
