"""P15: 200,000 probes, good and hostile mixed, and nothing grows: memory, descriptors, threads, tasks.

    python -m benchmarks.soak CONFIG PROBES      runs the daemon and prints what was seen, as JSON

Two samples a second are taken. The medians of an early stretch, after the first tenth of the probes, and of the last
stretch are compared: a leak of one thing per hundred probes shows as a thousand.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from benchmarks.harness import program, said
from benchmarks.hostile_server import BEHAVIOURS
from monitor.config.load import load
from monitor.daemon import Daemon
from monitor.limits import raise_descriptor_limit, spare_what_is_loaded

if TYPE_CHECKING:
    from benchmarks.servers import Servers
    from monitor.config import Config

PROBES = 200_000
_GOOD = {"http": 400, "https": 25, "ws": 25}  # endpoints, each probed every second
_HOSTILE_EACH = 5
_STRETCH = 0.2  # of all probes: how much each of the two medians is over
_HEAD = """[monitor]
listen = "127.0.0.1:0"
data_dir = "data"
[defaults]
interval = "1s"
timeout = "500ms"
[defaults.http]
ca_file = "{ca_file}"
"""
_ENDPOINT = """[[endpoint]]
name = "{name}"
url = "{url}"
"""


@attrs.frozen
class Seen:
    """One look at the process."""

    probes: int
    memory: float  # MiB, resident
    descriptors: int
    threads: int
    tasks: int


def written(directory: Path, servers: Servers) -> Path:
    """Write the config of the soak."""
    path = directory / "config.toml"
    urls = [f"{servers.urls[scheme]}{number}" for scheme, many in _GOOD.items() for number in range(many)]
    for number in range(_HOSTILE_EACH):
        urls += [f"http://127.0.0.1:{servers.hostile}/{behaviour}/{number}" for behaviour in BEHAVIOURS]
        urls += [f"https://127.0.0.1:{servers.no_tls}/{number}", f"ws://127.0.0.1:{servers.hostile}/error/{number}"]
        urls += [f"http://127.0.0.1:1/{number}"]  # nobody listens there
    with path.open("w", encoding="ascii") as config:
        config.write(_HEAD.format(ca_file=servers.ca_file))
        config.writelines(_ENDPOINT.format(name=f"e{number}", url=url) for number, url in enumerate(urls))
    return path


def run(servers: Servers, probes: int = PROBES) -> dict[str, Any]:
    """Soak a daemon; the figures."""
    with tempfile.TemporaryDirectory() as name:
        seen = [Seen(**each) for each in said(program("soak", written(Path(name), servers), probes))["seen"]]
    last = seen[-1].probes
    early = [each for each in seen if 0.1 * last <= each.probes <= (0.1 + _STRETCH) * last]
    late = [each for each in seen if each.probes >= (1 - _STRETCH) * last]
    figures: dict[str, Any] = {"probes": last}
    for what in ("memory", "descriptors", "threads", "tasks"):
        before, after = (statistics.median(getattr(each, what) for each in part) for part in (early, late))
        figures[what] = {"early": before, "late": after, "growth": after - before}
    return figures


async def soaked(config: Config, probes: int) -> list[Seen]:
    """Run the daemon of *config* until its store has *probes* more, and look at it all the time."""
    daemon = Daemon(config)
    seen: list[Seen] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.serve)
        spare_what_is_loaded()  # as `monitor run` does
        database = f"file:{config.data_dir / 'monitor.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True)) as store:
            while not seen or seen[-1].probes < probes:
                await trio.sleep(0.5)
                (done,) = store.execute("SELECT coalesce(max(id), 0) FROM history").fetchone()
                seen.append(look(done))
        daemon.stop()
    return seen


def look(probes: int) -> Seen:
    """Look at this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return Seen(
        probes=probes,
        memory=int(resident.split()[1]) / 1024,
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names are enough
        threads=threading.active_count(),
        tasks=trio.lowlevel.current_statistics().tasks_living,
    )


def main() -> None:
    """Read the config, run, report."""
    logging.basicConfig(level=logging.CRITICAL)
    raise_descriptor_limit()
    config = load(Path(sys.argv[1]), environ=os.environ)
    seen = trio.run(soaked, config, int(sys.argv[2]))
    print(json.dumps({"seen": [attrs.asdict(each) for each in seen]}))


if __name__ == "__main__":
    main()
