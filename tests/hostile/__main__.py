"""`make hostile`: the whole table, measured and printed, and the promises P4, P5, P6 and P8 held against it.

    python -m hostile [--rounds N]

Ends with 1 when a verdict is wrong or a promise is broken. The figures are for an idle machine with two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from hostile.matrix import Report, Servers, quantile, run, servers
from hostile.memory import peak_growth, resident
from hostile.table import ROWS
from monitor.limits import raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hostile.rows import Row

MIB = 1024 * 1024
TIMEOUT, INTERVAL = 2.0, 4.0  # seconds


async def peaks(place: Servers) -> dict[str, int]:
    """What each row adds to our memory, one at a time; the stuck look-ups all alike are looked at once."""
    found: dict[str, int] = {}
    for row in ROWS:
        if "stuck look-up" not in row.name or row.name.endswith(" 0"):
            growth = await peak_growth(place, row, timeout=0.5)
            if growth is not None:
                found[row.name] = growth
    return found


def line(row: Row, report: Report, growth: int | None) -> tuple[str, bool]:
    """A row of the printed table, and whether every verdict is right."""
    looks = report.looks[row.name]
    reasons = [look.observation.reason for look in looks]
    right = all(reason.code in row.codes and row.phase in (None, reason.phase) for reason in reasons)
    told = sorted({f"{reason.code}/{reason.phase}" if reason.phase else str(reason.code) for reason in reasons})
    overrun = max(look.overrun for look in looks) * 1000
    memory = "" if growth is None else f"{growth / MIB:6.1f}"
    mark = "  " if right else "!!"
    return (
        f"{mark} {row.name[:58]:58} {looks[-1].observation.status:8} {' '.join(told)[:30]:30} {overrun:6.1f} {memory}",
        right,
    )


def spread(name: str, values: Sequence[float]) -> str:
    """A distribution of seconds, printed in milliseconds."""
    p50, p99, worst = (quantile(values, share) * 1000 for share in (0.5, 0.99, 1))
    return f"{name:34} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   worst {worst:6.1f} ms   ({len(values)} probes)"


def promises(report: Report, growths: dict[str, int]) -> list[tuple[str, bool]]:
    """Each promise with what was measured."""
    over, late = report.overruns, report.lateness
    statuses = {str(look.observation.status) for look in report.healthy}
    most = max(growths.values(), default=0)
    return [
        ("P4  deadline + 50 ms (p99), + 250 ms at worst", quantile(over, 0.99) <= 0.05 and over[-1] <= 0.25),
        ("P4  every descriptor, task and look-up is gone", report.after == report.before),
        ("P5  the healthy late by 100 ms (p99), 500 ms at worst", quantile(late, 0.99) <= 0.1 and late[-1] <= 0.5),
        (f"P6  no answer takes more than 16 MiB: {most / MIB:.1f}", most <= 16 * MIB),
        (f"P8  nothing healthy is down: {', '.join(sorted(statuses))}", "down" not in statuses),
    ]


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="make hostile", description="every hostile server at once")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is probed")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as place:
        growths = trio.run(peaks, place)
        before = resident("VmRSS")
        report = trio.run(partial(run, place, rounds=arguments.rounds, timeout=TIMEOUT, interval=INTERVAL))
        after = resident("VmRSS")
    print(f"   {'behaviour':58} {'status':8} {'reason/phase':30} {'over ms':>6} {'MiB':>6}")
    good = True
    for row in ROWS:
        text, right = line(row, report, growths.get(row.name))
        good &= right
        print(text)
    print(f"\n{len(ROWS)} behaviours, deadline {TIMEOUT:g} s, {len(report.healthy)} probes of healthy endpoints beside")
    print(spread("overrun of the deadline", report.overruns))
    print(spread("lateness of the healthy", report.lateness))
    print(f"{'memory of the process':34} {before / MIB:.1f} MiB before, {after / MIB:.1f} MiB after\n")
    for text, kept in promises(report, growths):
        good &= kept
        print(f"{'held  ' if kept else 'BROKEN'}  {text}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
