"""Uptime from spans, held against adding up every moment by itself; histograms against all values sorted."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.histogram import RELATIVE_ERROR, Histogram
from monitor.core.rollup import Rollup
from monitor.core.uptime import Life, both, course, length, without

LONG = 60
SPANS = st.lists(st.tuples(st.integers(0, LONG), st.integers(0, LONG)), max_size=8)

WINDOWS = st.tuples(st.integers(0, LONG), st.integers(0, LONG))


def moments(spans: list[tuple[int, int]]) -> set[int]:
    return {moment for start, end in spans for moment in range(start, end)}


@given(SPANS, SPANS)
def test_spans_are_sets_of_moments(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    a, b = course(one), course(other)
    assert moments(a) == moments(one)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(a))
    assert moments(both(a, b)) == moments(a) & moments(b)
    assert moments(without(a, b)) == moments(a) - moments(b)
    assert length(a) == len(moments(one))


@given(watched=SPANS, maintenance=SPANS, unknown=SPANS, down=SPANS, window=WINDOWS)
def test_uptime_is_the_integral(
    watched: list[tuple[int, int]],
    maintenance: list[tuple[int, int]],
    unknown: list[tuple[int, int]],
    down: list[tuple[int, int]],
    window: tuple[int, int],
) -> None:
    life = Life.of(watched=course(watched), excluded=[*maintenance, *unknown], down=down)
    counted = [
        moment
        for moment in range(*window)
        if moment in moments(watched) and moment not in moments(maintenance) | moments(unknown)
    ]
    expected = None if not counted else 1 - sum(moment in moments(down) for moment in counted) / len(counted)
    assert life.uptime(*window) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("down", "excluded", "uptime"),
    [
        ([], [], 1.0),
        ([(10, 20)], [], 0.9),
        ([(0, 100)], [], 0.0),
        ([(-50, 5), (95, 300)], [], 0.9),  # what lies outside the window is nothing to it
        ([(10, 20)], [(50, 100)], 0.8),  # of the fifty that count
        ([(10, 20)], [(10, 20)], 1.0),  # down in maintenance is no downtime
        ([(10, 20)], [(0, 100)], None),
    ],
)
def test_the_formula(down: list[tuple[int, int]], excluded: list[tuple[int, int]], uptime: float | None) -> None:
    life = Life.of(watched=[(-1000, 1000)], excluded=excluded, down=down)
    assert life.uptime(0, 100) == (None if uptime is None else pytest.approx(uptime))


DURATIONS = st.lists(st.floats(1e-4, 3600), min_size=1, max_size=60)
SHARES = st.sampled_from((0.0, 0.5, 0.95, 0.99, 1.0))


def counted(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for each in durations:
        histogram.add(each)
    return histogram


@given(st.lists(DURATIONS, min_size=1, max_size=5), SHARES)
def test_a_percentile_of_what_was_merged(parts: list[list[float]], share: float) -> None:
    merged = Histogram()
    for part in parts:
        merged.merge(counted(part))
    everything = sorted(itertools.chain.from_iterable(parts))
    assert merged == counted(everything)
    assert merged.total == len(everything)
    exact = everything[max(1, math.ceil(share * len(everything))) - 1]
    assert merged.percentile(share) == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)


@given(st.dictionaries(st.integers(0, 400), st.integers(1, 10**9)))
def test_a_histogram_survives_its_bytes(counts: dict[int, int]) -> None:
    assert Histogram.from_bytes(Histogram(counts).to_bytes()) == Histogram(counts)


@given(st.binary(max_size=20))
def test_bytes_that_are_no_histogram(encoded: bytes) -> None:
    try:
        Histogram.from_bytes(encoded).percentile(0.5)
    except ValueError as error:
        assert str(error) == "this is no histogram"  # noqa: PT017 - most bytes are one


def test_nothing_and_next_to_nothing() -> None:
    assert Histogram().percentile(0.5) is None
    assert counted([0.0, 0.00002]).percentile(0.5) == 0.0001


def test_a_rollup_counts_every_status_and_times_the_good() -> None:
    rollup = Rollup()
    rollup.add("up", 0.1, {"connect": 0.02, "tls": 0.05})
    rollup.add("degraded", 0.2, {"connect": 0.04})
    rollup.add("down", 5.0, {"connect": 4.0})
    rollup.add("unknown", 5.0, {})
    another = Rollup()
    another.add("up", 0.3, {})
    rollup.merge(another)

    assert (rollup.up, rollup.degraded, rollup.down, rollup.unknown, rollup.good) == (2, 1, 1, 1, 3)
    assert rollup.latency == counted([0.1, 0.2, 0.3])
    assert rollup.mean_phases() == {"connect": pytest.approx(0.02), "tls": pytest.approx(0.05 / 3)}
    assert Rollup().mean_phases() == {}
