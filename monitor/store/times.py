"""When an endpoint was watched, down and not to be seen, as far as the database is still to be told of it.

Of each kind the first change may end what the database has open, the last may begin what is not over; between them
stands what began and ended meanwhile. Where that is too much, the oldest of it is forgotten, and the time it lies in
counts as unknown: to leave out only an end would make downtime of all that follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.store import spans

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

    from monitor.store.spans import Change, Kind


@attrs.define
class Times:
    """Of one endpoint."""

    _kinds: dict[Kind, list[Change]] = attrs.field(factory=dict)
    _forgotten: tuple[datetime, datetime] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._kinds.values()))

    def add(self, change: Change) -> None:
        """*change* is the latest; what it begins may have begun, what it ends may have ended."""
        changes = self._kinds.setdefault(change.kind, [])
        last = changes[-1] if changes else None
        if last is not None and last.since is not None and last.until is None:
            if change.until is not None:
                changes[-1] = attrs.evolve(last, until=max(last.since, change.until))
        elif last is None or change.since is not None:
            changes.append(change)

    def forget(self) -> bool:
        """Let go of the oldest outage that began and ended, or `unknown`; False: there is none."""
        found = [
            (each.since, each.until, changes)
            for kind, changes in self._kinds.items()
            for each in changes[1:2]  # the first stays: it may end what is open
            if kind != "watched" and each.since is not None and each.until is not None
        ]
        if not found:
            return False
        since, until, changes = min(found, key=lambda span: span[0])
        del changes[1]
        if self._forgotten is not None:
            since, until = min(since, self._forgotten[0]), max(until, self._forgotten[1])
        self._forgotten = since, until
        return True

    def write(self, db: sqlite3.Connection, endpoint: str) -> None:
        """Write all that is kept."""
        if self._forgotten is not None:
            spans.leave_out(db, endpoint, since=self._forgotten[0], until=self._forgotten[1])
        for changes in self._kinds.values():
            spans.write(db, endpoint, changes)
