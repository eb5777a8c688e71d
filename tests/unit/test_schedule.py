"""The grid of slots: fixed, spread, never twice, never late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.schedule import Grid, first_probe, grid_for, longest_first_wait, next_probe, spread

moments = st.floats(min_value=0, max_value=1e10)
intervals = st.floats(min_value=0.001, max_value=1e7)
names = st.text(min_size=1, max_size=100)


@pytest.mark.parametrize(
    ("moment", "slot"),
    [(0.0, 3.0), (2.999, 3.0), (3.0, 13.0), (3.001, 13.0), (13.0, 23.0), (-100.0, -97.0), (1000.0, 1003.0)],
)
def test_the_next_slot_lies_on_the_grid(moment: float, slot: float) -> None:
    assert Grid(anchor=3.0, interval=10.0).after(moment) == slot


@given(anchor=moments, interval=intervals, moment=moments)
def test_the_next_slot_is_later_and_at_most_an_interval_away(anchor: float, interval: float, moment: float) -> None:
    slot = Grid(anchor=anchor, interval=interval).after(moment)
    rounding = 1e-6 + interval * 1e-6  # what floats lose at 1e10 seconds
    assert moment < slot <= moment + interval + rounding


@given(anchor=moments, interval=intervals, moment=moments)
def test_nobody_is_woken_twice_for_one_slot(anchor: float, interval: float, moment: float) -> None:
    grid = Grid(anchor=anchor, interval=interval)
    first = grid.after(moment)
    second = grid.after(first)
    assert second - first > interval * 0.5


@pytest.mark.parametrize(
    ("begin", "end", "slots"),
    [(0.0, 2.0, 0), (0.0, 3.0, 1), (3.0, 12.9, 0), (3.0, 13.0, 1), (0.0, 33.0, 4), (33.0, 0.0, 0)],
)
def test_slots_that_passed_are_counted(begin: float, end: float, slots: int) -> None:
    assert Grid(anchor=3.0, interval=10.0).between(begin, end) == slots


@pytest.mark.parametrize(
    ("name", "fraction"),
    [("shop", 0.328800585147), ("edge", 0.325232773852), ("ünïcode", 0.139138581511), ("", 0.893167516090)],
)
def test_the_spread_is_the_same_in_every_run_and_on_every_machine(name: str, fraction: float) -> None:
    assert spread(name) == pytest.approx(fraction, abs=1e-12)


@given(names)
def test_the_spread_is_a_fraction(name: str) -> None:
    assert 0 <= spread(name) < 1


def test_a_thousand_endpoints_are_spread_evenly() -> None:
    tenths = [0] * 10
    for number in range(1000):
        tenths[int(spread(f"endpoint-{number}") * 10)] += 1
    assert min(tenths) > 60
    assert max(tenths) < 140


@given(name=names, interval=intervals, now=moments)
def test_the_first_probe_comes_soon(name: str, interval: float, now: float) -> None:
    first = first_probe(name, interval, now)
    assert now <= first <= now + min(interval, 15.0) + 1e-5


@given(name=names, interval=intervals, among=st.integers(1, 12_000))
def test_up_to_twelve_thousand_wait_no_longer_than_one_does(name: str, interval: float, among: int) -> None:
    assert first_probe(name, interval, 0.0, among) == first_probe(name, interval, 0.0)


@pytest.mark.parametrize(
    ("interval", "among", "wait"),
    [
        (60, 12_000, 15),
        (60, 20_000, 25),
        (60, 24_000, 30),
        (60, 24_001, 60),  # the next slot would come before half the interval has passed: that one is the first
        (60, 50_000, 60),
        (300, 50_000, 62.5),
        (20, 50_000, 20),
        (20, 100, 15),
        (5, 50_000, 5),
    ],
)
def test_more_take_their_time(interval: float, among: int, wait: float) -> None:
    assert longest_first_wait(interval, among) == wait


@pytest.mark.parametrize("interval", [10, 30, 60, 300])
@pytest.mark.parametrize("among", [12_000, 20_000, 50_000, 100_000])
def test_no_second_of_the_start_is_much_worse_than_the_rest(interval: float, among: int) -> None:
    slots = [0] * 700
    for number in range(0, among, 10):  # a tenth of them, in units of a tenth of a second's probes
        name = f"e{number}"
        grid, due = grid_for(name, interval, 0.0), first_probe(name, interval, 0.0, among)
        while due < len(slots):
            slots[int(due)] += 10
            due = grid.after(due)
    steady = among / interval
    assert max(slots[2 * interval :]) < steady * 1.3 + 200
    assert max(slots) < steady * 1.3 + 1100


@given(name=names, interval=intervals, now=moments)
def test_the_grid_of_an_endpoint_begins_within_its_first_interval(name: str, interval: float, now: float) -> None:
    grid = grid_for(name, interval, now)
    assert now <= grid.anchor <= now + interval + 1e-5


GRID = Grid(anchor=0.0, interval=30.0)


@pytest.mark.parametrize(
    ("started", "now", "retry_interval", "expected"),
    [
        (30.0, 30.2, None, 60.0),
        (30.0, 60.0, None, 90.0),  # it took the whole interval: the slot that begins now is skipped
        (30.0, 95.0, None, 120.0),  # slots that passed are not made up for
        (30.0, 30.2, 5.0, 35.0),
        (30.0, 36.0, 5.0, 40.0),  # counted from the start of the probe, not from its end
        (55.0, 58.0, 5.0, 60.0),
        (56.0, 57.0, 5.0, 60.0),  # the regular slot comes first
        (30.0, 30.2, 300.0, 60.0),  # never longer than the interval
    ],
)
def test_when_to_probe_again(started: float, now: float, retry_interval: float | None, expected: float) -> None:
    assert next_probe(GRID, started=started, now=now, retry_interval=retry_interval) == expected


@given(now=moments, took=st.floats(0, 1000), interval=intervals, retry=intervals)
def test_a_retry_never_lengthens_the_interval(now: float, took: float, interval: float, retry: float) -> None:
    grid = Grid(anchor=1.0, interval=interval)
    regular = next_probe(grid, started=now - took, now=now, retry_interval=None)
    assert now < next_probe(grid, started=now - took, now=now, retry_interval=retry) <= regular
