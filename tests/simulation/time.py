"""Simulated time: it jumps to whatever happens next, and the wall clock follows it, more or less."""

from __future__ import annotations

import contextlib
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trio._core import _run as scheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio.testing

EPOCH = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
NOTICEABLE = 0.1  # seconds the loop must stand still for the monitor to see it, see `monitor.system.HeldUp`


class SimulatedClock:
    """`monitor.core.ports.Clock`: the wall clock may be set, the machine may sleep, the process may stand still."""

    def __init__(self, virtual: trio.testing.MockClock) -> None:
        """Follow *virtual*, which the loop runs on."""
        self.monotonic = virtual.current_time
        self.skew = 0.0  # seconds that the wall clock is ahead of where it began
        self._virtual = virtual
        self._stalled = 0.0
        self._stood_still = (-1.0, 0.0)  # when the last stall ended, and how long it was

    def wall(self) -> datetime:
        """Now, cut to whole milliseconds."""
        now = EPOCH + timedelta(seconds=self.monotonic() + self.skew)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def stalled(self) -> float:
        """Seconds that the process stood still."""
        return self._stalled

    def stalled_before_now(self) -> float:
        """The same without a stall that ends just now: what begins in this moment was made to wait by it."""
        ended, seconds = self._stood_still
        return self._stalled - (seconds if ended == self.monotonic() else 0.0)

    def stall(self, seconds: float) -> None:
        """The loop does not come round for so long: every deadline in between passes at once."""
        self._virtual.jump(seconds)
        if seconds > NOTICEABLE:
            self._stalled += seconds
            self._stood_still = self.monotonic(), seconds

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: the wall clock goes on, that of the loop does not."""
        self.skew += seconds
        self._stalled += seconds


class SeededRand:
    """`monitor.core.ports.Rand` from a seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


@contextlib.contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Have Trio's scheduler, which shuffles on purpose, shuffle the same way in every run: what Hypothesis does."""
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    state = scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before
        scheduler._r.setstate(state)
