"""The real clock and the real dice: the only module that reads them."""

from __future__ import annotations

import functools
import random
import time
import uuid
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio

NOTICEABLE = 0.1  # seconds; a loop that comes later than this was held up


class SystemClock:
    """Trio's clock for spans of time, the machine's UTC clock for records; for one run of the loop."""

    def __init__(self) -> None:
        """Begin; `monotonic` and `stalled` work inside the loop only."""
        self._held_up: HeldUp | None = None

    @cached_property
    def monotonic(self) -> Callable[[], float]:
        """The clock of the loop itself: it is read eight times a probe, and `trio.current_time` looks it up anew."""
        import trio  # noqa: PLC0415 - commands that never run a loop must not pay for it

        return trio.lowlevel.current_clock().current_time

    def wall(self) -> datetime:
        """Now, aware UTC, cut to whole milliseconds."""
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)

    def stalled(self) -> float:
        """Seconds since the first call that the process stood still or its own work held up the loop; never falls."""
        if self._held_up is None:
            import trio  # noqa: PLC0415 - as above

            self._held_up = HeldUp(_time_with_sleep())
            # Trio asks an instrument for its hooks by name; a base class would load trio for everybody.
            trio.lowlevel.add_instrument(cast("trio.abc.Instrument", self._held_up))
        return self._held_up.so_far()

    def round_due(self) -> float:
        """When the loop is to come round, another number after each round; for any thread, once `stalled` was asked."""
        return 0.0 if self._held_up is None else self._held_up.due

    def overdue(self) -> float:
        """Seconds since then, negative before; for any thread."""
        return -1.0 if self._held_up is None else self._held_up.overdue()


class HeldUp:
    """A Trio instrument that adds up how long the loop did not come round: a task that blocks, SIGSTOP, a suspend.

    A stop that ends before the loop meant to wake up anyway does not show, and has made nobody late.
    """

    def __init__(self, read: Callable[[], float]) -> None:
        """Measure with the clock *read*, in seconds."""
        self.seconds = 0.0
        self._read = read
        self.due = read()

    def before_io_wait(self, timeout: float) -> None:
        """The loop has done what there was to do, and sleeps for *timeout* seconds at most."""
        self.due = self._noted() + timeout

    def after_io_wait(self, _: float) -> None:
        """Something came, or the time is over."""
        self.due = self._noted()

    def so_far(self) -> float:
        """Seconds in all, the step under way included."""
        self._noted()
        return self.seconds

    def overdue(self) -> float:
        """Seconds since the loop was to come round; negative before. Unlike the others for any thread."""
        return self._read() - self.due

    def _noted(self) -> float:
        now = self._read()
        if now - self.due > NOTICEABLE:
            self.seconds += now - self.due
            self.due = now
        return now


def _time_with_sleep() -> Callable[[], float]:
    """A clock that goes on while the machine sleeps, where there is one."""
    if (number := getattr(time, "CLOCK_BOOTTIME", None)) is not None:
        return functools.partial(time.clock_gettime, number)  # twice for each round of the loop
    return time.monotonic


class SystemRand:
    """The operating system's randomness for identifiers, a plain generator for jitter."""

    def id(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

    def uniform(self, low: float, high: float) -> float:
        """A float between *low* and *high*."""
        return random.uniform(low, high)  # noqa: S311 - jitter, not a secret
