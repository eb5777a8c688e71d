"""What is kept of many results of one endpoint: how many of each status, how long the good ones took, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_GOOD = ("up", "degraded")


@attrs.define(kw_only=True)
class Rollup:
    """The results of one endpoint in a span of time; it grows by `add` and `merge`.

    *latency* and *phases* are those of the good ones (`up` and `degraded`): a time-out says nothing of how
    fast a service is. *phases* are microseconds in all, by name.
    """

    up: int = 0
    degraded: int = 0
    down: int = 0
    unknown: int = 0
    latency: Histogram = attrs.field(factory=Histogram)
    phases: dict[str, int] = attrs.field(factory=dict)

    def add(self, status: str, duration: float, phases: Mapping[str, float]) -> None:
        """Count one result; *duration* and *phases* in seconds."""
        setattr(self, status, getattr(self, status) + 1)
        if status in _GOOD:
            self.latency.add(duration)
            for name, seconds in phases.items():
                self.phases[name] = self.phases.get(name, 0) + round(seconds * 1_000_000)

    def merge(self, other: Rollup) -> None:
        """Count all that *other* has counted, too."""
        self.up += other.up
        self.degraded += other.degraded
        self.down += other.down
        self.unknown += other.unknown
        self.latency.merge(other.latency)
        for name, micros in other.phases.items():
            self.phases[name] = self.phases.get(name, 0) + micros

    @property
    def good(self) -> int:
        """How many results were good."""
        return self.up + self.degraded

    def mean_phases(self) -> dict[str, float]:
        """Seconds that a good probe spent in each phase, on average over all of them: the parts add up to the whole."""
        return {name: micros / self.good / 1_000_000 for name, micros in self.phases.items()} if self.good else {}


@attrs.frozen
class Point:
    """What happened in one step of a series: the results that began in it, and the share of its time without outage."""

    at: datetime  # its beginning
    rollup: Rollup
    uptime: float | None  # None: nothing of it counts


@attrs.frozen
class Series:
    """Points in order, each *step* seconds long; steps in which nothing happened and nothing counts are left out."""

    step: float
    points: tuple[Point, ...]

    @property
    def latency(self) -> Histogram:
        """That of all the points."""
        whole = Histogram()
        for point in self.points:
            whole.merge(point.rollup.latency)
        return whole
