"""How fast one sink may be tried: how many at once, with which pauses while it fails, how many a minute.

    works             as many at once as there is room for
    failed once       one at a time: it may be that one alert that it cannot take
    failed two lanes  one at a time, with a pause in between until it answers: it doubles up to half a minute, and is
                      at least as long as its `Retry-After` asks for

A receiver that reads an alert and refuses it works: that is between it and the alert. All of this is kept in memory
only; each delivery has its own back-off in the store, and from there a start learns what was sent in the last minute.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_AT_ONCE = 4  # tries in flight per sink
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
WINDOW = 60.0  # seconds


class Pace:
    """The pace of one sink; every moment is in seconds on the loop's clock."""

    def __init__(self, per_minute: int | None = None) -> None:
        """Begin with a sink that works; *per_minute* messages at most, None: any number."""
        self.in_flight = 0
        self._per_minute = per_minute
        self._begun: deque[float] = deque(maxlen=per_minute)  # the latest tries
        self._failed_lanes: set[str | None] = set()  # since it answered last
        self._pause = 0.0
        self._resume_at = float("-inf")

    @property
    def failing(self) -> bool:
        """Has it not answered since a try failed?"""
        return bool(self._failed_lanes)

    def limit(self, per_minute: int | None) -> None:
        """Let it be *per_minute* from now on; what was sent within the last minute counts."""
        self._per_minute = per_minute
        self._begun = deque(self._begun, maxlen=per_minute)

    def recall(self, moments: Iterable[float]) -> None:
        """So it was before this process began, when it was told of messages at *moments*."""
        self._begun.extend(sorted(moments))

    def began(self, now: float) -> None:
        """A try begins."""
        self.in_flight += 1
        if self._per_minute is not None:
            self._begun.append(now)

    def ended(self) -> None:
        """A try is over, however it went."""
        self.in_flight -= 1

    def answered(self) -> bool:
        """It took an alert, or read one and refused it; say whether that is news."""
        was_failing = self.failing
        self._failed_lanes.clear()
        self._pause = 0.0
        self._resume_at = float("-inf")
        return was_failing

    def failed(self, lane: str | None, now: float, *, asked: float = 0.0) -> bool:
        """A try of *lane* failed, and it *asked* for so many seconds of patience; say whether that is news."""
        is_news = not self.failing
        self._failed_lanes.add(lane)
        if len(self._failed_lanes) > 1:
            if now >= self._resume_at:
                self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
                self._resume_at = now + self._pause
            self._resume_at = max(self._resume_at, now + asked)
        return is_news

    def room(self, now: float) -> int:
        """How many more tries may begin now."""
        if now < self._opens_at(now):
            return 0
        room = (1 if self.failing else MOST_AT_ONCE) - self.in_flight
        if self._per_minute is not None:
            room = min(room, self._per_minute - sum(moment > now - WINDOW for moment in self._begun))
        return max(0, room)

    def opens_at(self, now: float) -> float | None:
        """When time alone will make room; None: there is some, or it takes the end of a try."""
        moment = self._opens_at(now)
        return moment if moment > now else None

    def _opens_at(self, now: float) -> float:
        full = self._per_minute is not None and len(self._begun) == self._per_minute
        return max(self._resume_at, self._begun[0] + WINDOW if full else now)
