"""When a loop stands still by its own doing, as the thread that looks at it can tell."""

from __future__ import annotations

import pytest

from monitor.core.stalls import StallMeter

# A look: the span since the last, what the process worked meanwhile, when the loop is due, how long ago that was.
Look = tuple[float, float, float, float]
IDLE: list[Look] = [(0.25, 0.0, 10.0, -5.0), (0.25, 0.0, 10.0, -4.75)]


@pytest.mark.parametrize(
    ("looks", "stalled"),
    [
        (IDLE, 0.0),
        ([*IDLE, (0.25, 0.25, 6.0, 0.1), (0.25, 0.25, 6.0, 0.35), (0.25, 0.25, 6.0, 0.6)], 0.6),  # spins
        ([*IDLE, (0.25, 0.0, 6.0, 0.1), (0.25, 0.0, 6.0, 0.35)], 0.35),  # blocks
        ([*IDLE, (0.25, 0.2, 6.0, 0.2), (0.25, 0.2, 7.0, 0.1)], 0.1),  # one long step after another
        ([*IDLE, (0.25, 0.2, 6.0, 0.2), (0.25, 0.2, 9.0, -1.0)], 0.0),  # it came round
        ([*IDLE, (60.0, 0.0, 10.0, 55.0)], 0.0),  # the process was stopped, and the loop has not woken up yet
        ([*IDLE, (0.25, 0.0, 10.0, 3600.0)], 0.25),  # the machine was suspended, for which this clock stood still
        ([*IDLE, (5.0, 4.9, 6.0, 4.8)], 4.8),  # nobody could look: the interpreter's lock was held, and work done
        ([*IDLE, (5.0, 0.1, 6.0, 4.8)], 0.1),  # nobody could look, and nothing was done
    ],
)
def test_how_long_it_stands_still(looks: list[Look], stalled: float) -> None:
    meter, said = StallMeter(), 0.0
    for span, worked, due, overdue in looks:
        said = meter.look(span=span, worked=worked, due=due, overdue=overdue)
    assert said == pytest.approx(stalled)
