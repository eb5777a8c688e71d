"""The ground all figures stand on: two cores, alternating rounds, CPU time, medians.

The machine's noise is 15-25 %, so a figure is worth nothing by itself. Rows that are compared run in turn, round by
round, so that whatever slows the machine slows all of them, and what counts is the ratio of their medians.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parents[1]
_LONGEST_RUN = 1800  # seconds: the soak is told to probe for some minutes, ten minutes of lateness take eleven


@attrs.frozen
class Sample:
    """What one run of a prober said: how many probes, how many were good, CPU seconds of all of them."""

    count: int
    good: int
    cpu: float

    @property
    def per_probe(self) -> float:
        """CPU milliseconds of one probe."""
        return self.cpu * 1000 / self.count


@attrs.frozen
class Row:
    """One prober in a comparison: *run* makes one sample; *missing* says why it cannot."""

    name: str
    run: Callable[[], Sample]
    missing: str | None = None


class BadAnswer(Exception):  # noqa: N818 - what happened, not an error's name
    """A prober did not get what it should have: its figure would mean nothing."""


_ALL = frozenset(os.sched_getaffinity(0))


def prober_core() -> int:
    """The core for whoever is measured: the last this process may use."""
    return max(_ALL)


def server_core() -> int:
    """The core for whoever answers: the first."""
    return min(_ALL)


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on *core*; so does whatever is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_of_process(pid: int) -> float:
    """User and system seconds of a process so far, in the steps of the kernel's clock (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(module: str, *args: object) -> list[str]:
    """The command that runs a module of the benchmarks in this Python."""
    return [sys.executable, "-m", f"benchmarks.{module}", *map(str, args)]


def said(command: Sequence[str]) -> dict[str, Any]:
    """Run a program on the prober's core; the JSON that it printed. Raises BadAnswer, also for one that hangs."""
    try:
        with pinned(prober_core()):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LONGEST_RUN)
    except subprocess.TimeoutExpired:
        raise BadAnswer(f"{' '.join(command[:4])} took more than {_LONGEST_RUN} s") from None
    if done.returncode != 0:
        raise BadAnswer(f"{' '.join(command[:4])} left with {done.returncode}: {done.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def sample(command: Sequence[str]) -> Sample:
    """Run a prober. Raises BadAnswer unless every probe was good."""
    taken = Sample(**said(command))
    if taken.good != taken.count:
        raise BadAnswer(f"{' '.join(command[:4])}: {taken.count - taken.good} of {taken.count} probes went wrong")
    return taken


def alternate(rows: Sequence[Row], rounds: int, *, say: Callable[[str], None]) -> dict[str, float]:
    """Run every row in turn, *rounds* times; the median CPU milliseconds per probe by name of the row."""
    taken: dict[str, list[float]] = {row.name: [] for row in rows if row.missing is None}
    for number in range(rounds):
        for row in rows:
            if row.missing is None:
                say(f"round {number + 1} of {rounds}: {row.name}")
                taken[row.name].append(row.run().per_probe)
    return {name: statistics.median(values) for name, values in taken.items()}
