"""What `make bench` says of its figures: the goals, and the page that must show what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.goals import Goal
from benchmarks.report import missed, rendered

HERE = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("must", "aim", "value", "verdict"),
    [
        (0.8, 0.5, 0.9, "**missed**"),
        (0.8, 0.5, 0.8, "met"),
        (0.8, 0.5, 0.5, "aim met"),
        (0.8, None, 0.1, "met"),
        (None, 1.0, 1.1, "aim missed"),
        (None, 1.0, 1.0, "aim met"),
    ],
)
def test_the_less_the_better(must: float | None, aim: float | None, value: float, verdict: str) -> None:
    assert Goal("it", "part", "figure", must, aim).verdict(value) == verdict


def test_more_may_be_better() -> None:
    goal = Goal("probes per second", "part", "figure", 1500, 3000, more_is_better=True)
    assert [goal.verdict(value) for value in (1499, 1500, 3000)] == ["**missed**", "met", "aim met"]


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert "not measured" in rendered({})
    assert missed({}, ["probe", "daemon"]) == []
    assert missed({"memory": {"figures": {"resident": 91}}}, ["memory"]) == ["resident memory, 1,000 endpoints"]


def test_the_page_shows_the_results() -> None:
    results = json.loads((HERE / "results.json").read_text())
    assert (HERE / "RESULTS.md").read_text() == rendered(results)
