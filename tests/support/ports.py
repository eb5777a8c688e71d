"""Clock and dice for tests: time is trio's (so autojump moves it), chance is what the test says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio

EPOCH = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


class TrioClock:
    """The wall clock begins at EPOCH with trio's clock at 0; `skew` sets it forward or back."""

    def __init__(self) -> None:
        self.skew = timedelta(0)

    def monotonic(self) -> float:
        return trio.current_time()

    def stalled(self) -> float:
        return 0.0

    def wall(self) -> datetime:
        now = EPOCH + timedelta(seconds=trio.current_time()) + self.skew
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


class PlainRand:
    """Identifiers that count, and `uniform` in the middle: no jitter."""

    def __init__(self) -> None:
        self._count = 0

    def id(self) -> str:
        self._count += 1
        return f"id-{self._count}"

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2
