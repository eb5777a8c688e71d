"""Who is to be reviewed when: one task for all endpoints, asleep until the earliest moment or until it is asked.

Moments are on the wall clock, which may jump; so nobody sleeps longer than a minute without a look at it.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from monitor.core.ports import Clock

LONGEST_SLEEP = 60.0  # seconds
_VOID = 1000  # void entries that may stand, beside as many as there are moments
AT_ONCE = 256  # reviews under way together: what they write shares its transactions


class Agenda:
    """Moments by name, at most one each."""

    def __init__(self, clock: Clock) -> None:
        """Begin empty."""
        self._clock = clock
        self._moments: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []  # an entry that `_moments` does not confirm is void
        self._soon: dict[str, None] = {}
        self._changed = trio.Event()

    def put(self, name: str, moment: datetime | None) -> None:
        """Review *name* at *moment*, and not when it was to be before; None: not at all."""
        if moment is None:
            self._moments.pop(name, None)
        elif self._moments.get(name) != moment:
            self._moments[name] = moment
            heapq.heappush(self._heap, (moment, name))
            if len(self._heap) > 2 * len(self._moments) + _VOID:
                self._heap = [(each, of) for of, each in self._moments.items()]
                heapq.heapify(self._heap)
            if self._heap[0][1] == name:
                self._changed.set()

    def soon(self, names: Iterable[str]) -> None:
        """Review each of *names* as soon as may be."""
        self._soon.update(dict.fromkeys(names))
        if self._soon:
            self._changed.set()

    @property
    def next_at(self) -> datetime | None:
        """The earliest moment, if there is any."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    async def run(self, review: Callable[[str], Awaitable[None]]) -> None:
        """Have *review* called for whoever is due, for ever."""
        while True:
            self._changed = trio.Event()
            await self.catch_up(review)
            with trio.move_on_after(self._pause()):
                await self._changed.wait()

    async def catch_up(self, review: Callable[[str], Awaitable[None]]) -> None:
        """Have *review* called for whoever is due by now."""
        self._take_due()
        while self._soon:
            names = tuple(islice(self._soon, AT_ONCE))
            for name in names:
                del self._soon[name]
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(review, name)
            self._take_due()

    def _take_due(self) -> None:
        """Move those whose moment has come to those to be reviewed soon."""
        now = self._clock.wall()
        while self._heap and (self._heap[0][0] <= now or self._moments.get(self._heap[0][1]) != self._heap[0][0]):
            moment, name = heapq.heappop(self._heap)
            if self._moments.get(name) == moment:
                del self._moments[name]
                self._soon[name] = None

    def _pause(self) -> float:
        if not self._heap:
            return float("inf")
        # It may have come since it was looked at, and nobody sleeps for less than nothing.
        return max(0.0, min(LONGEST_SLEEP, (self._heap[0][0] - self._clock.wall()).total_seconds()))
