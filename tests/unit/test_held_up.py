"""How long the event loop did not come round, added up from what a clock says at its two hooks."""

from __future__ import annotations

import pytest

from monitor.system import HeldUp


@pytest.mark.parametrize(
    ("rounds", "lost"),
    [
        # each round: seconds of work, then how long the loop may sleep, then how long it slept
        ([(0.01, 5.0, 5.0), (0.09, 1.0, 0.2)], 0.0),  # on time, or woken early
        ([(0.01, 1.0, 1.09)], 0.0),  # nobody notices
        ([(0.01, 1.0, 3.5)], 2.5),  # stopped, or starved
        ([(1.5, 1.0, 1.0)], 1.5),  # a task blocked
        ([(1.5, 1.0, 3.0), (0.0, 0.0, 0.25)], 3.75),  # all of it, and nothing twice
        ([(0.0, 10.0, 8.0)], 0.0),  # stopped, but awake before anything was due
    ],
)
def test_what_was_lost(rounds: list[tuple[float, float, float]], lost: float) -> None:
    now = 100.0
    held_up = HeldUp(lambda: now)
    for work, limit, slept in rounds:
        now += work
        held_up.before_io_wait(limit)
        now += slept
        held_up.after_io_wait(limit)
    assert held_up.so_far() == pytest.approx(lost)
    assert held_up.so_far() == pytest.approx(lost)


def test_the_step_under_way_counts_once() -> None:
    now = 100.0
    held_up = HeldUp(lambda: now)
    now += 2.0
    assert held_up.so_far() == pytest.approx(2.0)
    held_up.before_io_wait(1.0)
    assert held_up.so_far() == pytest.approx(2.0)
