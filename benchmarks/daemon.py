"""The whole daemon: what it costs as it is run, and from inside how late it is and how much it can do.

CPU and memory are those of a real `monitor run`, with its store on disk and nobody looking at its page. Lateness
is not to be seen from outside, so for that a daemon runs in a process of the benchmarks (`inside`).
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from benchmarks.harness import ROOT, BadAnswer, Sample, cpu_of_process, pinned, prober_core, program, said

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """[monitor]
listen = "127.0.0.1:0"
data_dir = "data"
[defaults]
interval = "{interval}s"
"""
_ENDPOINT = """[[endpoint]]
name = "{name}"
url = "{url}{name}"
"""
SETTLING = 18.0  # seconds after ready that belong to the start: every endpoint is probed, memory sorted
_PATIENCE = 120.0  # seconds until every endpoint must have been probed once; it is promised for 15


@attrs.frozen
class Running:
    """A `monitor run` that is ready."""

    pid: int
    ready_after: float  # wall seconds since it was started
    url: str
    database: Path

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_of_process(self.pid)

    def resident(self) -> float:
        """Resident memory in MiB, shared libraries included."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def probed(self) -> tuple[int, int]:
        """How many probes are in the store, and how many of them are up."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            count, good = database.execute("SELECT count(*), total(status = 'up') FROM history").fetchone()
        return int(count), int(good)


def written(directory: Path, url: str, *, endpoints: int, interval: int) -> Path:
    """Write a config of *endpoints* like ones in *directory*; *url* ends with a slash."""
    path = directory / "config.toml"
    with path.open("w", encoding="ascii") as config:
        config.write(_HEAD.format(interval=interval))
        config.writelines(_ENDPOINT.format(name=f"e{number}", url=url) for number in range(endpoints))
    return path


@contextlib.contextmanager
def running(config: Path) -> Iterator[Running]:
    """Run the monitor on the prober's core until the block ends; it must stop cleanly. Raises BadAnswer."""
    began = time.monotonic()
    with pinned(prober_core()):
        command = [sys.executable, "-m", "monitor", "run", "--config", str(config), "--log-level", "error"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        ready, _, url = process.stdout.readline().decode().strip().partition(" ")
        if ready != "ready:":
            raise BadAnswer("monitor run did not become ready")
        yield Running(process.pid, time.monotonic() - began, url, config.parent / "data" / "monitor.db")
        process.send_signal(signal.SIGTERM)
        if code := process.wait(timeout=10):
            raise BadAnswer(f"monitor run left with {code}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def cpu_per_probe(url: str, *, endpoints: int, seconds: float) -> Sample:
    """What *endpoints* probed every second cost, all that the daemon does included."""
    with _directory() as directory, running(written(directory, url, endpoints=endpoints, interval=1)) as monitor:
        time.sleep(SETTLING)
        before, (done_before, good_before) = monitor.cpu(), monitor.probed()
        time.sleep(seconds)
        spent, (done, good) = monitor.cpu() - before, monitor.probed()
        return Sample(done - done_before, good - good_before, spent)


def resident(url: str, *, endpoints: int) -> float:
    """Resident memory in MiB with *endpoints* that have all been probed, most of them asleep."""
    with _directory() as directory, running(written(directory, url, endpoints=endpoints, interval=60)) as monitor:
        give_up = time.monotonic() + _PATIENCE
        while (done := monitor.probed())[0] < endpoints and time.monotonic() < give_up:
            time.sleep(1.0)
        if done[1] < endpoints or done[0] != done[1]:
            raise BadAnswer(f"of {endpoints} endpoints {done[1]} are up after {done[0]} probes")
        time.sleep(SETTLING)
        return monitor.resident()


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@attrs.frozen
class Inside:
    """What a daemon looks like from inside; times in seconds."""

    ready: float  # from the start of the process, config included
    stop: float  # from the wish to stop to the end
    probes: int
    missed: int  # ticks of the grid that passed unused
    not_up: int  # endpoints that are not `up` at the end
    lag_p50: float
    lag_p99: float
    lag_max: float
    drift: float  # how much later than in the first tenth of the time the median probe is in the last
    first_p99: float  # how late the first probes were
    first_max: float


def inside(url: str, *, endpoints: int, interval: int, warm_up: float, seconds: float) -> Inside:
    """Run a daemon on the prober's core and watch it for *seconds*, *warm_up* after it is ready."""
    with _directory() as directory:
        config = written(directory, url, endpoints=endpoints, interval=interval)
        return Inside(**said(program("inside", config, warm_up, seconds)))


def profile(url: str, *, endpoints: int, seconds: float) -> dict[str, Any]:
    """Where the CPU time of a daemon goes that probes *endpoints* every second; see `layers.Profile`."""
    with _directory() as directory:
        config = written(directory, url, endpoints=endpoints, interval=1)
        return said(program("inside", config, SETTLING, seconds, "profile"))


def most_probes(url: str, *, steps: tuple[int, ...], seconds: float) -> tuple[int, Inside | None]:
    """The largest of *steps*, endpoints probed every second, at which no tick is missed; and how late it was."""
    best: tuple[int, Inside | None] = (0, None)
    for endpoints in steps:
        seen = inside(url, endpoints=endpoints, interval=1, warm_up=SETTLING, seconds=seconds)
        if seen.missed or seen.not_up:
            break
        best = (endpoints, seen)
    return best
