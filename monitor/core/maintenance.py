"""Maintenance windows: when an endpoint is worked on. Probes go on then, alerts do not, and it is no downtime.

A window is once or weekly. A duration is time that really passes: two hours are two hours, also on the night when the
clocks change. A local time on such a night is read as RFC 5545 (section 3.3.5) says: one that exists twice is the
first of the two; one that does not exist is what the clock would have shown without the change, so "02:30" of a night
that goes from 02:00 to 03:00 is 03:30.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import attrs

from monitor.core.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

    from monitor.core.model import Endpoint

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_WEEKLY = 7 * 86400.0  # seconds; a longer one would be always

_DAY = timedelta(days=1)


@attrs.frozen
class Interval:
    """From *begin* up to, not including, *end*."""

    begin: datetime
    end: datetime


@attrs.frozen(kw_only=True)
class Once:
    """One window."""

    start: datetime  # aware
    duration: float  # seconds

    def between(self, begin: datetime, end: datetime) -> Iterator[Interval]:
        """The window, if part of it lies between *begin* and *end*."""
        interval = Interval(self.start.astimezone(UTC), self.start.astimezone(UTC) + timedelta(seconds=self.duration))
        if interval.begin < end and interval.end > begin:
            yield interval


@attrs.frozen(kw_only=True)
class Weekly:
    """A window on each of *days*, at the same local time."""

    days: frozenset[int]  # 0 is Monday
    at: time  # naive
    duration: float  # seconds, at most LONGEST_WEEKLY
    zone: tzinfo

    def between(self, begin: datetime, end: datetime) -> Iterator[Interval]:
        """Those windows of which a part lies between *begin* and *end*, in order."""
        length = timedelta(seconds=self.duration)
        # A day more on either side: the local date may be another one, and clocks may change in between.
        day = _date_of(begin, -length - _DAY, self.zone)
        last = _date_of(end, _DAY, self.zone)
        while day <= last:
            if day.weekday() in self.days:
                start = datetime.combine(day, self.at, self.zone).astimezone(UTC)
                if start < end and start + length > begin:
                    yield Interval(start, start + length)
            day += _DAY


@attrs.frozen
class Window:
    """When, and for what: *targets* as `core.targets` reads them."""

    targets: tuple[str, ...]
    when: Once | Weekly


def windows_by_endpoint(endpoints: Iterable[Endpoint], windows: Iterable[Window]) -> dict[str, tuple[Window, ...]]:
    """Those of *windows* that are for each of *endpoints*, by its name; one without any is left out."""
    by_target: dict[str, list[Window]] = {}
    for window in windows:
        for target in dict.fromkeys(window.targets):
            by_target.setdefault(target, []).append(window)
    found = {}
    for endpoint in endpoints:
        own = [window for target in targets_of(endpoint) for window in by_target.get(target, ())]
        if own:
            found[endpoint.name] = tuple(dict.fromkeys(own))
    return found


def next_change(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the next of *windows* opens or closes, if that is within a week."""
    found = (each for window in windows for each in window.when.between(now, now + 7 * _DAY))
    return min((moment for each in found for moment in (each.begin, each.end) if moment > now), default=None)


def open_at(windows: Iterable[Window], now: datetime) -> Interval | None:
    """From when the first of the *windows* that are open *now* is, until when the last is; None: none is open."""
    instant = timedelta(microseconds=1)
    found = [each for window in windows for each in window.when.between(now, now + instant)]
    return Interval(min(each.begin for each in found), max(each.end for each in found)) if found else None


def until(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the latest of the *windows* that are open *now* closes; None: none is open."""
    interval = open_at(windows, now)
    return None if interval is None else interval.end


def intervals(windows: Iterable[Window], begin: datetime, end: datetime) -> tuple[Interval, ...]:
    """The time between *begin* and *end* that any of *windows* covers: in order, none touching another."""
    found: list[Interval] = []
    every = (each for window in windows for each in window.when.between(begin, end))
    for each in sorted(every, key=lambda interval: interval.begin):
        clipped = Interval(max(each.begin, begin), min(each.end, end))
        if found and clipped.begin <= found[-1].end:
            found[-1] = Interval(found[-1].begin, max(found[-1].end, clipped.end))
        else:
            found.append(clipped)
    return tuple(found)


def _date_of(moment: datetime, shift: timedelta, zone: tzinfo) -> date:
    return (moment.astimezone(zone) + shift).date()
