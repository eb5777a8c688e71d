"""Where the CPU time of a probe goes, by layer: samples of the running prober, four milliseconds of CPU time apart.

A tracing profiler would make small functions look dear; samples cost nothing. A sample belongs to the innermost
frame of Python, with the C functions and system calls that it is in; so `the kernel` is no layer of its own but is
told beside it, from the process's own accounts.
"""

from __future__ import annotations

import collections
import json
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from benchmarks.harness import ROOT
from benchmarks.peers.common import Task, arguments, warm_up
from benchmarks.peers.ours import configured
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from types import FrameType

_LAYERS = (  # the first whose words are all in the path of a file
    ("checks", "/checks/"),
    ("net: sockets", "/monitor/net/sockets"),
    ("net: sockets", "/monitor/net/stream"),
    ("TLS (ssl, OpenSSL)", "/monitor/net/records"),
    ("net: HTTP", "/monitor/net/http"),
    ("net: the rest", "/monitor/net/"),
    ("probing", "/monitor/probing", "/monitor/plugin"),
    ("core", "/monitor/core/"),
    ("store", "/monitor/store/", "/sqlite3/"),
    ("the rest of the engine", "/monitor/"),
    ("Trio: scheduler", "/trio/_core/_run", "/trio/_core/_generated_run", "/outcome/", "/sortedcontainers/"),
    ("Trio: epoll", "/trio/_core/_io_epoll"),
    ("Trio: the rest", "/trio/"),
    ("trio-websocket, wsproto", "/trio_websocket/", "/wsproto/", "/h11/"),
    ("httpx", "/httpx/", "/httpcore/"),
    ("TLS (ssl, OpenSSL)", "/ssl.py"),
)


class Sampler:
    """Counts which layer is at work while it is entered; one per process."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.layers: collections.Counter[str] = collections.Counter()
        self.functions: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> Sampler:
        """Take samples from now on."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, 0.004, 0.004)
        return self

    def __exit__(self, *_: object) -> None:
        """No more."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self.layers[layer_of(code.co_filename)] += 1
            self.functions[f"{Path(code.co_filename).name}:{code.co_qualname}"] += 1


def layer_of(filename: str) -> str:
    """The layer that a source file belongs to."""
    path = filename.removeprefix(str(ROOT)) if not filename.startswith("<attrs") else "/attrs/"
    for name, *parts in _LAYERS:
        if any(part in path for part in parts):
            return name
    return "Python's library and others"


@attrs.frozen
class Profile:
    """CPU milliseconds of a probe: in all, in the kernel, by layer and by function, the most first."""

    total: float
    kernel: float
    layers: dict[str, float]
    functions: dict[str, float]

    @classmethod
    def of(cls, sampler: Sampler, spent: Spent, count: int) -> Profile:
        """The profile of *count* probes that *sampler* saw and that took *spent*."""
        total = spent.total * 1000 / count
        one = total / sampler.layers.total()
        return cls(
            total=total,
            kernel=spent.kernel * 1000 / count,
            layers={name: seen * one for name, seen in sampler.layers.most_common()},
            functions={name: seen * one for name, seen in sampler.functions.most_common(40)},
        )


@attrs.frozen
class Spent:
    """CPU seconds of this process, in all and in the kernel."""

    total: float
    kernel: float

    @classmethod
    def so_far(cls) -> Spent:
        """Until now."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return cls(usage.ru_utime + usage.ru_stime, usage.ru_stime)

    def since(self, before: Spent) -> Spent:
        """What came to it after *before*."""
        return Spent(self.total - before.total, self.kernel - before.kernel)


def profiled(task: Task) -> Profile:
    """Probe as *task* says, and tell where the time went."""
    config = configured(task)
    (endpoint,) = config.enabled

    async def probe_many(count: int) -> None:
        net, clock, tickets = SocketNet(), SystemClock(), iter(range(count))

        async def worker() -> None:
            for _ in tickets:
                await probe_once(endpoint, net=net, clock=clock, mask=config.masker or None)

        async with trio.open_nursery() as nursery:
            for _ in range(task.concurrency):
                nursery.start_soon(worker)

    trio.run(probe_many, warm_up(task.count))
    before = Spent.so_far()
    with Sampler() as sampler:
        trio.run(probe_many, task.count)
    return Profile.of(sampler, Spent.so_far().since(before), task.count)


def main() -> None:
    """Profile and print."""
    task = arguments(__doc__)
    found = profiled(task)
    if task.json:
        print(json.dumps(attrs.asdict(found)))
        return
    print(f"{found.total:.3f} ms per probe, {found.kernel:.3f} of it in the kernel")
    for heading, rows in (("layer", found.layers), ("function", found.functions)):
        print(f"\n{'ms':>6} {'share':>6}  {heading}")
        for name, spent in rows.items():
            print(f"{spent:6.3f} {spent / found.total:6.1%}  {name}")


if __name__ == "__main__":
    main()
