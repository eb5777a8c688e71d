"""A few seeds of the simulation, short enough for every run of the tests; `make simulate` runs many, for long."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from simulation.__main__ import scratch, tell
from simulation.world import simulate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(1, 7))
def test_every_invariant_holds(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = simulate(seed, 0.1, tmp_path)
    if result.violations:
        tell(result)
        pytest.fail(capsys.readouterr().out)


def test_the_same_seed_gives_the_same_run(pytestconfig: pytest.Config) -> None:
    """In any process, whatever Python's hashes are like there."""
    program = (
        "import sys, tempfile; from pathlib import Path; from simulation.world import simulate\n"
        "with tempfile.TemporaryDirectory(dir=sys.argv[1] or None) as directory:\n"
        "    print(simulate(4, 0.1, Path(directory)).digest)\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, scratch() or ""],
            env={"PYTHONPATH": str(pytestconfig.rootpath / "tests"), "PYTHONHASHSEED": hashes},
            cwd=pytestconfig.rootpath,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert simulate(1, 0.01, tmp_path / "a").digest != simulate(2, 0.01, tmp_path / "b").digest
