"""`make planted`: known bugs are planted in a copy of the tree, one at a time; the simulation must find each.

    python -m simulation.planted [--seeds 20] [--jobs N] [NAME…]

A bug is a text of the source and what takes its place. A text that is not there exactly once is an error: the code
has moved on, and the bug with it. Ends with 1 when a bug was not found, or could not be planted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs

from simulation.bugs import BUGS, Bug

ROOT = Path(__file__).parents[2]
PACKAGES = ("monitor", "checks", "tests/simulation")
DAYS = 0.3
PATIENCE = 240  # seconds for one seed; a bug that hangs the simulation is found, too

HUNT = """
import sys, tempfile
from pathlib import Path
import monitor
from simulation.__main__ import scratch
from simulation.world import simulate
assert Path(monitor.__file__).is_relative_to(sys.argv[1]), monitor.__file__
print("began")
with tempfile.TemporaryDirectory(dir=scratch()) as directory:
    result = simulate(int(sys.argv[2]), float(sys.argv[3]), Path(directory))
print(result.violations[0] if result.violations else "")
"""


@attrs.frozen
class Hunt:
    """How the hunt for one bug ended: by which seed and how it was found, or why not at all."""

    bug: Bug
    seed: int | None
    said: str
    seconds: float


class NotPlantedError(Exception):
    """The text that the bug takes the place of is not there exactly once."""


def planted(bug: Bug, directory: Path) -> None:
    """Copy the tree to *directory*, with the bug."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in bug.changes:
        path = directory / file
        text = path.read_text() if path.is_file() else ""
        if text.count(old) != 1:
            raise NotPlantedError(f"{file} holds this {text.count(old)} times, expected once:\n{old}")
        path.write_text(text.replace(old, new))


def hunt(bug: Bug, seeds: int) -> Hunt:
    """Look for *bug*, seed by seed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        try:
            planted(bug, Path(directory))
        except NotPlantedError as exc:
            return Hunt(bug, None, f"cannot be planted: {exc}", 0.0)
        environment = {**os.environ, "PYTHONPATH": f"{directory}:{directory}/tests", "PYTHONDONTWRITEBYTECODE": "1"}
        for seed in range(1, seeds + 1):
            command = [sys.executable, "-c", HUNT, directory, str(seed), str(DAYS)]
            try:
                ran = subprocess.run(
                    command,
                    env=environment,
                    cwd=directory,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return Hunt(bug, seed, "the run does not end", time.monotonic() - began)
            start, _, said = ran.stdout.strip().partition("\n")
            last = ran.stderr.strip().rpartition("\n")[2]
            if start != "began":  # no bug of ours: the tree itself does not run
                return Hunt(bug, None, f"the simulation does not even begin: {last}", time.monotonic() - began)
            if ran.returncode or said:
                return Hunt(bug, seed, said or f"the run broke: {last}", time.monotonic() - began)
    return Hunt(bug, None, "not found", time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation.planted", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    bugs = [bug for bug in BUGS if not given.names or bug.name in given.names]
    missed = []
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for found in pool.map(hunt, bugs, [given.seeds] * len(bugs)):
            if found.seed is None:
                missed.append(found.bug.name)
            where = f"seed {found.seed}" if found.seed else "NOT FOUND"
            print(f"{found.bug.name}: {where}, {found.seconds:.0f} s: {found.said[:160]}", flush=True)
    print(f"{len(bugs) - len(missed)} of {len(bugs)} planted bugs found within {given.seeds} seeds × {DAYS} days")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
