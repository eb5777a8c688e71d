"""`[[announcement]]`: from a table to an announcement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from monitor.config.fields import Mistakes
from monitor.config.schema import AnnouncementTable
from monitor.core.announcements import Announcement

if TYPE_CHECKING:
    from monitor.config.fields import Fields, Found
    from monitor.config.files import Source
    from monitor.config.problems import Problems


class Announcing:
    """Reads the tables of the main file."""

    def __init__(self, fields: Fields, problems: Problems) -> None:
        """Make ready; what is wrong goes to *problems*."""
        self._fields = fields
        self._problems = problems

    def announcement(self, source: Source, index: int, table: dict[str, Any]) -> Announcement | None:
        """Read one `[[announcement]]`; None where it is wrong."""
        with self._problems.at(source, "announcement", index):
            return _announcement(self._fields.table(AnnouncementTable, table))
        return None


def _announcement(table: AnnouncementTable) -> Announcement:
    """Make an announcement of *table*. Raises Mistakes."""
    found: Found = []
    start, end = _moment("start", table.start, found), _moment("end", table.end, found)
    if start is not None and end is not None and end <= start:
        found.append((("end",), "expected a moment after start"))
    if found:
        raise Mistakes(found)
    return Announcement(
        title=table.title, text=table.text, level=table.level, start=start, end=end, public=table.public
    )


def _moment(key: str, moment: datetime | None, found: Found) -> datetime | None:
    if moment is None:
        return None
    if moment.utcoffset() is None:
        found.append(((key,), f"expected an offset, as in {moment.isoformat()}Z, got {moment.isoformat()}"))
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        found.append(((key,), f"expected a moment within the calendar, got {moment.isoformat()}"))
        return None
