"""What a config of the simulation is made of: one class for each kind of table, and how it is written as TOML."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import attrs

from simulation.time import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHAT = 20  # messages a minute that a chat is sent by default


@attrs.define(eq=False)
class EndpointPlan:
    """One `[[endpoint]]`."""

    name: str
    host: str | None  # None: the check is odd
    interval: int
    timeout: int
    retry_interval: int
    failure_threshold: int
    success_threshold: int
    group: str | None = None
    degraded: bool = False
    enabled: bool = True
    alerts_on_degraded: bool = False
    reminder: int | None = None  # seconds
    flap_changes: int = 6
    flap_window: int = 1800
    parents: tuple[str, ...] = ()

    def toml(self) -> str:
        lines = [
            "[[endpoint]]",
            f"name = {json.dumps(self.name)}",
            f"watched = {json.dumps(self.name)}",
            f'interval = "{self.interval}s"',
            f'timeout = "{self.timeout}s"',
            f'retry_interval = "{self.retry_interval}s"',
            f"failure_threshold = {self.failure_threshold}",
            f"success_threshold = {self.success_threshold}",
            f"enabled = {json.dumps(self.enabled)}",
        ]
        lines.append(f'flap_changes = {self.flap_changes}\nflap_window = "{self.flap_window}s"')
        if self.group is not None:
            lines.append(f"group = {json.dumps(self.group)}")
        if self.alerts_on_degraded:
            lines.append('alert_on = ["down", "degraded"]')
        if self.reminder is not None:
            lines.append(f'reminder_interval = "{self.reminder}s"')
        if self.parents:
            lines.append(f"depends_on = {json.dumps(self.parents)}")
        if self.host is None:
            lines.append('check = "odd"')
        else:
            lines += ['check = "watched"', f'url = "http://{self.host}/health"']
        if self.degraded:
            lines.append("degraded = [\"latency < duration('500ms')\"]")
        return "\n".join(lines)

    def is_meant_by(self, target: str) -> bool:
        """Does a window or a silence for *target* mean this endpoint?"""
        return target in (self.name, "*") or (self.group is not None and target == f"group:{self.group}")


@attrs.define(eq=False)
class SinkPlan:
    """One `[[sink]]`."""

    name: str
    give_up_after: str
    configured: bool = True
    only_down: bool = False
    after: int | None = None  # seconds
    format: str = "standard"
    group_wait: int | None = None  # seconds
    max_per_minute: int | None = None

    def toml(self) -> str:
        lines = [
            "[[sink]]",
            f'name = "{self.name}"',
            'type = "webhook"',
            f'url = "http://{self.name}/hook"',
            f'give_up_after = "{self.give_up_after}"',
            f'format = "{self.format}"',
        ]
        if self.only_down:
            lines.append('alert_on = ["down"]')
        if self.after is not None:
            lines.append(f'after = "{self.after}s"')
        if self.group_wait is not None:
            lines.append(f'group_wait = "{self.group_wait}s"')
        if self.max_per_minute is not None:
            lines.append(f"max_per_minute = {self.max_per_minute}")
        return "\n".join(lines)

    @property
    def per_minute(self) -> int | None:
        """How many messages a minute it may be sent; None: any number."""
        return CHAT if self.max_per_minute is None and self.format == "slack" else self.max_per_minute


@attrs.frozen
class WindowPlan:
    """One `[[maintenance]]`: seconds from the beginning of the run, by the wall clock."""

    targets: tuple[str, ...]
    start: int
    duration: int

    def toml(self) -> str:
        start = (EPOCH + timedelta(seconds=self.start)).isoformat()
        return (
            f'[[maintenance]]\nendpoints = {json.dumps(self.targets)}\nstart = {start}\nduration = "{self.duration}s"'
        )

    def between(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """From when until when it is open, as far as that touches the time from *begin* to *end*."""
        opens = EPOCH + timedelta(seconds=self.start)
        closes = opens + timedelta(seconds=self.duration)
        if opens < end and closes > begin:
            yield opens, closes


@attrs.frozen
class WeeklyPlan:
    """One `[[maintenance]]` that comes every week, by the clock of a place."""

    targets: tuple[str, ...]
    days: tuple[str, ...]
    at: time
    duration: int
    timezone: str

    def toml(self) -> str:
        lines = [
            "[[maintenance]]",
            f"endpoints = {json.dumps(self.targets)}",
            f"days = {json.dumps(self.days)}",
            f'at = "{self.at:%H:%M}"',
            f'duration = "{self.duration}s"',
            f'timezone = "{self.timezone}"',
        ]
        return "\n".join(lines)

    def between(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """As for a `WindowPlan`."""
        zone, length = ZoneInfo(self.timezone), timedelta(seconds=self.duration)
        day = (begin - length - timedelta(days=2)).date()
        while day <= (end + timedelta(days=2)).date():
            if DAYS[day.weekday()] in self.days:
                opens = datetime.combine(day, self.at, zone).astimezone(UTC)
                if opens < end and opens + length > begin:
                    yield opens, opens + length
            day += timedelta(days=1)


def is_open(window: WindowPlan | WeeklyPlan, wall: datetime, margin: float) -> bool:
    """Has *window* been open for *margin* seconds, and is still?"""
    instant = timedelta(milliseconds=1)
    return any((wall - opens).total_seconds() >= margin for opens, _ in window.between(wall, wall + instant))
