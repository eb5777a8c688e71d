"""`make simulate SEEDS=… DAYS=…`: many seeds, each a run of its own, in as many processes as there are cores.

    python -m simulation --seeds 1-200 --days 1 [--slowly] [--jobs N]

`--slowly` draws the longer intervals of a run that lasts long; from 30 days on it is implied. Ends with 1 when an
invariant was violated: the seed's command, the violations and the story of the run are printed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from simulation.invariants import INVARIANTS
from simulation.world import Result, simulate

LONG = 30.0  # days


def seeds(text: str) -> list[int]:
    """`7`, `1-200`, `1,5,9-12`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def scratch() -> str | None:
    """A directory in memory, where there is one: simulated disks need no real one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def one(seed: int, days: float, slowly: bool) -> tuple[Result, float]:
    """Run one seed; how long it took, in seconds."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=scratch()) as directory:
        result = simulate(seed, days, Path(directory), slowly=slowly)
    return result, time.perf_counter() - began


def tell(result: Result) -> None:
    """A failed run, for a person."""
    print(f"\n== seed {result.seed}: {len(result.violations)} violations; again: {result.command}\n")
    print(result.config)
    print(result.story)
    for violation in result.violations[:10]:
        print(f"!! {violation}")
    print(flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=seeds, default=seeds("1-20"), help="such as 7, 1-200 or 1,5,9-12")
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--slowly", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quiet", action="store_true", help="print only the end")
    given = parser.parse_args()
    slowly = given.slowly or given.days >= LONG

    began, counts, failed = time.perf_counter(), Counter[str](), []
    with concurrent.futures.ProcessPoolExecutor(given.jobs) as pool:
        for result, took in pool.map(one, given.seeds, *zip(*[(given.days, slowly)] * len(given.seeds), strict=True)):
            counts.update(result.counts)
            if result.violations:
                failed.append(result.seed)
                tell(result)
            elif not given.quiet:
                print(f"seed {result.seed}: {took:.1f} s, {result.digest[:12]}", flush=True)
    took = time.perf_counter() - began
    total = len(given.seeds) * given.days
    print(f"{len(given.seeds)} seeds × {given.days:g} days = {total:g} simulated days in {took:.0f} s")
    print(f"{len(INVARIANTS)} invariants; " + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())))
    print(f"violated by seeds {failed}" if failed else "no invariant was violated")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
