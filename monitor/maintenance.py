"""Keeps when endpoints were in maintenance, as it happens: uptime goes by that, and not by what the config says later.

A window that opens is written down with its end to come. One that is taken out of the config while it is open ended
then; one that is put there while it would be open began then. So no change of the config touches the past.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import trio

from monitor.core.errors import StoreError
from monitor.core.maintenance import Interval, next_change, open_at, windows_by_endpoint
from monitor.store import Maintenance

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from datetime import datetime

    from monitor.core.maintenance import Window
    from monitor.core.model import Endpoint
    from monitor.core.ports import Clock
    from monitor.store import Store

log = logging.getLogger(__name__)

_LONGEST_SLEEP = timedelta(seconds=60)  # the wall clock may be set anew
_NOT_KNOWN_YET = timedelta(seconds=5)  # until the first results of those that are new are there
_AT_ONCE = 1000  # marks in one transaction: other writes come in between


class MaintenanceLedger:
    """Writes marks to the store. *known* are the endpoints that it has: a mark for another would be lost."""

    def __init__(self, store: Store, *, clock: Clock, known: Container[str]) -> None:
        """Go by no window; `configure` comes next, then `run`."""
        self._store = store
        self._clock = clock
        self._known = known
        self._windows: Mapping[str, tuple[Window, ...]] = {}
        self._every: tuple[Window, ...] = ()
        self._kept: dict[str, Interval] = {}  # what is written of those that are open
        self._waiting: dict[str, datetime] = {}  # since when those are in maintenance that the store does not have yet
        self._looked_at: datetime | None = None
        self._bell = trio.Event()

    def configure(self, endpoints: Iterable[Endpoint], windows: Iterable[Window]) -> None:
        """Go by *windows* of *endpoints*, those enabled, from now on."""
        self._every = tuple(windows)
        self._windows = windows_by_endpoint(endpoints, self._every)
        self._bell.set()

    async def run(self) -> None:
        """Keep the marks true, until cancelled. What the store cannot take is tried again."""
        while True:
            self._bell = trio.Event()
            try:
                await self._look()
            except StoreError as exc:
                log.error("maintenance could not be kept, will be tried again: %s", exc)  # noqa: TRY400 - says it all
            with trio.move_on_after(self._sleep()):
                await self._bell.wait()

    def _sleep(self) -> float:
        """Seconds until something may change."""
        if not self._every and not self._kept:
            return float("inf")
        now = self._clock.wall()
        change = next_change(self._every, now)
        longest = _NOT_KNOWN_YET if self._waiting else _LONGEST_SLEEP
        span = longest if change is None else min(change - now, longest)
        return max(span.total_seconds(), 0.001)

    async def _look(self) -> None:
        now = self._clock.wall()
        if self._looked_at is None:
            self._kept = {each.endpoint: _interval(each) for each in await self._store.marked(now)}
        opened = {window: interval for window in self._every if (interval := open_at([window], now)) is not None}
        names = sorted(self._kept.keys() | (self._windows.keys() if opened else set()))
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            changed = {name: mark for name in some if (mark := self._mark(name, opened, now)) is not None}
            if changed:
                await self._store.mark(changed.values())
                self._kept |= {name: Interval(mark.started_at, mark.ended_at) for name, mark in changed.items()}
            await trio.lowlevel.checkpoint()
        self._kept = {name: interval for name, interval in self._kept.items() if interval.end > now}
        self._waiting = {name: begin for name, begin in self._waiting.items() if opened and name in self._windows}
        self._looked_at = now

    def _mark(self, name: str, opened: Mapping[Window, Interval], now: datetime) -> Maintenance | None:
        """What is to be written of the endpoint *name*, where those windows are *opened*; None: nothing new."""
        own = [opened[window] for window in self._windows.get(name, ()) if window in opened]
        kept = self._kept.get(name)
        if kept is not None and kept.end <= now:
            kept = None
        if not own:
            self._waiting.pop(name, None)
            return None if kept is None else Maintenance(endpoint=name, started_at=kept.begin, ended_at=now)
        begin, end = min(each.begin for each in own), max(each.end for each in own)
        if kept is not None:
            begin = kept.begin
        elif self._looked_at is None or begin <= self._looked_at:  # it was not there when it opened
            begin = now
        if name not in self._known:
            self._waiting.setdefault(name, begin)
            return None
        begin = self._waiting.pop(name, begin)
        if kept == Interval(begin, end):
            return None
        return Maintenance(endpoint=name, started_at=begin, ended_at=end)


def _interval(mark: Maintenance) -> Interval:
    return Interval(mark.started_at, mark.ended_at)
