"""Wall time that is never set back, for what was put off until a moment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.core.ports import Clock


class SteadyClock:
    """Follows the wall clock; when that is set back, goes on by the monotonic one until the wall has caught up.

    Set forward, it follows: what is written down by the wall clock meanwhile must not seem to lie in the future.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with the wall clock, as soon as it is first asked; *clock* may need a running loop."""
        self._clock = clock
        self._last: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Aware UTC, never earlier than before."""
        wall, moment = self._clock.wall(), self._clock.monotonic()
        if self._last is not None:
            then, last = self._last
            wall = max(wall, then + timedelta(milliseconds=int((moment - last) * 1000)))
            if wall < then + timedelta(milliseconds=1):
                return then  # so that what is cut off above cannot add up
        self._last = wall, moment
        return wall

    def catch_up(self, moment: datetime) -> None:
        """Go on from *moment*, if that is later than now: it was written down before the clock was set back."""
        if moment > self.now():
            self._last = moment, self._clock.monotonic()
