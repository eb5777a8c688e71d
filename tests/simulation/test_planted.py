"""The planted bugs still fit the code; the hunt finds one of them. `make planted` hunts for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulation.bugs import BUGS, Bug
from simulation.planted import ROOT, NotPlantedError, hunt, planted

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_still_be_planted(bug: Bug) -> None:
    for file, old, new in bug.changes:
        assert (ROOT / file).read_text().count(old) == 1, f"{file} has changed: plant this bug anew"
        assert old != new


def test_what_is_not_there_is_not_planted(tmp_path: Path) -> None:
    with pytest.raises(NotPlantedError, match="0 times"):
        planted(Bug("it", (("monitor/daemon.py", "no such text", ""),)), tmp_path)


def test_the_hunt_finds_a_bug() -> None:
    bug = next(bug for bug in BUGS if bug.name == "reset on reload")
    found = hunt(bug, seeds=5)
    assert found.seed is not None
    assert "transitions_where_results_stand" in found.said, found.said
