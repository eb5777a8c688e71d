"""`make torture`: every row by itself beside healthy endpoints, then all of them at once; P5 and P7 held against it.

    python -m torture [--only WORDS]

Ends with 1 when a verdict is wrong, something survives, or a promise is broken. The figures are for an idle machine
with two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from torture.rack import Ordeal, Report, run
from torture.rows import ROWS

TIMEOUT = 1.0  # seconds
P5, P5_WORST, P7 = 0.1, 0.5, 1.0


def quantile(values: list[float], share: float) -> float:
    """The value below which *share* of *values* are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def line(ordeal: Ordeal, report: Report) -> tuple[str, bool]:
    """A row of the printed table, and whether all is well."""
    seen, row = ordeal.observation, ordeal.row
    verdict = str(seen.status), str(seen.reason.code)
    right = verdict in row.expected and ordeal.survivors == 0
    if row.isolated:
        right = right and ordeal.dead_after <= P7 and quantile(report.lags, 0.99) <= P5 and max(report.lags) <= P5_WORST
    late = f"{quantile(report.lags, 0.99) * 1000:7.1f} {max(report.lags) * 1000:7.1f}"
    dead = f"{ordeal.dead_after * 1000:7.0f}" if row.isolated else "      –"
    mark = "  " if right else "!!"
    return (
        f"{mark} {row.name[:32]:32} {row.isolation:8} {verdict[0]:8} {verdict[1]:12} "
        f"{ordeal.overrun * 1000:8.0f} {dead} {late}"
    ), right


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(prog="torture")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    wanted = parser.parse_args().only
    rows = [row for row in ROWS if wanted in row.name]
    print(f"deadline {TIMEOUT:g} s; milliseconds: overrun of the deadline, dead after it, lateness of the healthy")
    print(
        f"   {'plugin':32} {'isolated':8} {'status':8} {'reason':12} {'overrun':>8} {'dead':>7} {'p99':>7} {'worst':>7}"
    )
    good = True
    with tempfile.TemporaryDirectory() as place:
        for number, row in enumerate(rows):
            own = Path(place) / str(number)
            own.mkdir()
            report = trio.run(partial(run, [row], own, timeout=TIMEOUT, patience=TIMEOUT + 1, beside=1.5))
            text, right = line(report.ordeals[0], report)
            good = good and right and report.left == 0 and "down" not in report.healthy
            print(text, flush=True)
        isolated = [row for row in rows if row.isolated]
        own = Path(place) / "all"
        own.mkdir()
        report = trio.run(partial(run, isolated, own, timeout=2.0, patience=20.0, beside=3.0))
    survivors = sum(each.survivors for each in report.ordeals) + report.left
    slowest = max(each.dead_after for each in report.ordeals)
    p99, worst = quantile(report.lags, 0.99), max(report.lags)
    print(f"\nall {len(isolated)} at once: {len(report.lags)} probes of the healthy, {sorted(report.healthy)}")
    print(f"  lateness p99 {p99 * 1000:.1f} ms, worst {worst * 1000:.1f} ms  (P5: {P5 * 1000:g}, {P5_WORST * 1000:g})")
    print(f"  dead after their deadline: slowest {slowest * 1000:.0f} ms  (P7: {P7 * 1000:g}); left: {survivors}")
    good = good and p99 <= P5 and worst <= P5_WORST and slowest <= P7 and survivors == 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
