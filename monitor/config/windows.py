"""`[[maintenance]]`: from a table to a window, its local times and its time zone understood."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

from monitor.config.fields import Mistakes
from monitor.config.schema import MaintenanceTable
from monitor.core.hints import did_you_mean
from monitor.core.maintenance import DAYS, LONGEST_WEEKLY, Once, Weekly, Window
from monitor.core.quantities import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from monitor.config.fields import Fields, Found
    from monitor.config.files import Source
    from monitor.config.problems import Problems
    from monitor.config.references import References

_WEEKLY = ("days", "at")


class Windows:
    """Reads the tables of the main file, once all endpoints are known."""

    def __init__(self, fields: Fields, references: References, problems: Problems) -> None:
        """Make ready; what is wrong goes to *problems*."""
        self._fields = fields
        self._references = references
        self._problems = problems

    def window(self, source: Source, index: int, table: dict[str, Any]) -> Window | None:
        """Read one `[[maintenance]]`; None where it is wrong."""
        place = ("maintenance", index)
        targets = self._fields.values(MaintenanceTable, table)[0].get("endpoints", ())
        self._references.hold_targets(source, (*place, "endpoints"), targets)
        with self._problems.at(source, *place):
            return _window(self._read(table))
        return None

    def _read(self, table: dict[str, Any]) -> MaintenanceTable:
        """The table; where part of it cannot be read, what is wrong with the rest is said as well. Raises Mistakes."""
        try:
            return self._fields.table(MaintenanceTable, table)
        except Mistakes as wrong:
            readable, _ = self._fields.values(MaintenanceTable, table)
            found: Found = []
            _zone(readable.get("timezone"), found)
            found += _named_twice(readable.get("days", ()))
            if "endpoints" in readable:
                found += _nobody(readable["endpoints"])
            raise Mistakes([*wrong.found, *found]) from wrong


def _window(table: MaintenanceTable) -> Window:
    """Make a window of *table*. Raises Mistakes."""
    found: Found = []
    found += _nobody(table.endpoints)
    zone = _zone(table.timezone, found)
    when: Once | Weekly | None
    if table.start is not None and (table.days or table.at is not None):
        surplus = next(name for name in _WEEKLY if getattr(table, name))
        raise Mistakes([*found, ((surplus,), "expected either start, or days and at, got both")])
    when = _once(table, zone, found) if table.start is not None else _weekly(table, zone, found)
    if found or when is None:
        raise Mistakes(found)
    return Window(table.endpoints, when)


def _once(table: MaintenanceTable, zone: tzinfo | None, found: Found) -> Once | None:
    start = table.start
    assert start is not None  # noqa: S101 - only then it is called
    if start.utcoffset() is not None and table.timezone is not None:
        found.append((("timezone",), "expected none where start has an offset of its own"))
        return None
    if start.utcoffset() is None:
        if table.timezone is None:
            text = f"expected an offset, as in {start.isoformat()}Z, or timezone beside it, got {start.isoformat()}"
            found.append((("start",), text))
        if zone is None or table.timezone is None:
            return None
        start = start.replace(tzinfo=zone)
    try:
        start = start.astimezone(UTC)
        start + timedelta(seconds=table.duration)
    except OverflowError:
        found.append((("start",), f"expected a moment within the calendar, got {start.isoformat()}"))
        return None
    return Once(start=start, duration=table.duration)


def _weekly(table: MaintenanceTable, zone: tzinfo | None, found: Found) -> Weekly | None:
    if not table.days and table.at is None:
        found.append((("start",), "is missing; or days and at, for a weekly window"))
        return None
    found += [((name,), "is missing") for name in _WEEKLY if not getattr(table, name)]
    found += _named_twice(table.days)
    if table.duration > LONGEST_WEEKLY:
        found.append((("duration",), f"expected at most 7d for a weekly window, got {shown(str(table.duration))}"))
    if found or zone is None or table.at is None:
        return None
    days = frozenset(DAYS.index(day) for day in table.days)
    return Weekly(days=days, at=table.at, duration=table.duration, zone=zone)


def _nobody(endpoints: Sequence[str]) -> Found:
    return [] if endpoints else [(("endpoints",), 'expected names, "group:NAME" or "*", got an empty array')]


def _named_twice(days: Sequence[str]) -> Found:
    return [(("days", index), f"{shown(day)} is named twice") for index, day in enumerate(days) if day in days[:index]]


def _zone(name: str | None, found: Found) -> tzinfo | None:
    if name in (None, "UTC"):
        return UTC
    import zoneinfo  # noqa: PLC0415 - for those who name one

    try:
        return zoneinfo.ZoneInfo(str(name))
    except (LookupError, ValueError, OSError):
        hint = did_you_mean(str(name), zoneinfo.available_timezones())
        found.append((("timezone",), f'expected a time zone such as "Europe/Berlin", got {shown(name)}{hint}'))
        return None
