"""What was recorded, for who wants to look back: read only, beside a daemon that writes or without one.

Results are given in the order in which they were written. Blocking.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from monitor.core.errors import StoreError
from monitor.core.model import Observation, Status
from monitor.store import database, readers, rows, schema
from monitor.store.files import NAME
from monitor.store.moments import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from monitor.core.model import Incident, Transition

_RESULTS = "SELECT endpoint, started_at, status, reason, duration FROM history ORDER BY id"
_TRANSITIONS = """
    SELECT id, endpoint, before, after, at, reason, incident, outcome FROM transitions ORDER BY id
"""
_ALERTS = """
    SELECT a.type, a.created_at, a.body, (SELECT json_group_array(sink) FROM deliveries WHERE alert = a.id)
    FROM alerts a WHERE a.endpoint IS NOT NULL AND a.endpoint <> '' ORDER BY a.created_at, a.rowid
"""
_INCIDENTS = """
    SELECT id, endpoint, started_at, reason, acknowledged, resolved_at, number FROM incidents ORDER BY started_at
"""


@attrs.frozen
class Sent:
    """An alert about an endpoint, and the sinks it was made for."""

    type: str
    at: datetime
    document: dict[str, Any]
    sinks: tuple[str, ...]


class Archive:
    """An open database of the monitor's."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Read *db*, which is the file *path*."""
        self.path = path
        self._db = db

    def results(self, quiet: Callable[[str], bool]) -> Iterator[Observation]:
        """Every single result that is still kept, without phases and facts.

        *quiet* says of an endpoint whether nothing comes of it that it is found up once more: then only the last of
        a run of these is given, right before what follows on it.
        """
        names = dict(self._read("SELECT id, name FROM endpoints"))
        skipped: dict[str, tuple[Any, ...]] = {}
        for endpoint, *row in self._read(_RESULTS):
            name = names[endpoint]
            if row[1] == "up" and quiet(name):
                skipped[name] = tuple(row)
                continue
            if name in skipped:
                yield _observation(name, *skipped.pop(name))
            yield _observation(name, *row)

    def span(self) -> tuple[datetime, datetime] | None:
        """When the first and the last of `results` began; None: there are none."""
        ((first, last),) = self._read("SELECT min(started_at), max(started_at) FROM history")
        return None if first is None else (moment(first), moment(last))

    def rolled_up_since(self) -> datetime | None:
        """How far the roll-ups go back."""
        ((first,),) = self._read("SELECT min(at) FROM days")
        return None if first is None else moment(first)

    def transitions(self) -> Iterator[Transition]:
        """Every transition that is still kept."""
        return map(rows.transition_from_row, self._read(_TRANSITIONS))

    def alerts(self) -> Iterator[Sent]:
        """Every alert about an endpoint that is still kept."""
        for kind, created_at, body, sinks in self._read(_ALERTS):
            yield Sent(kind, moment(created_at), json.loads(body), tuple(json.loads(sinks)))

    def incidents(self) -> Iterator[Incident]:
        """Every incident that is still kept, by when it began."""
        return map(rows.incident_from_row, self._read(_INCIDENTS))

    def runs(self) -> Iterator[tuple[datetime, datetime]]:
        """From when to when the monitor itself ran, in order."""
        for started_at, ended_at in self._read("SELECT started_at, ended_at FROM runs ORDER BY started_at"):
            yield moment(started_at), moment(ended_at)

    def noted(self, key: str) -> Any:
        """What is kept under *key*, or None."""
        with database.explained(self.path):
            return readers.noted(self._db, key=key)

    def _read(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with database.explained(self.path):
            yield from self._db.execute(statement)


def _observation(name: str, started_at: int, status: str, reason: str | None, duration: float) -> Observation:
    return Observation(
        endpoint=name,
        status=Status(status),
        reason=rows.reason_from_text(reason),
        started_at=moment(started_at),
        duration=duration,
    )


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the database *path*, or the one in the directory *path*, as it is now; StoreError if it is not ours.

    Nothing is written: where no daemon has left its log beside it, the file is read as one that nobody changes.
    """
    if path.is_dir():
        path /= NAME
    if not path.is_file():
        raise StoreError(f"there is no database {path}")
    with database.explained(path):
        # Without a log the file is all there is; opened like any other, SQLite would make one.
        log = path.with_name(path.name + "-wal")
        how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True, isolation_level=None)
        ) as db:
            version = schema.check(db, path)
            if version < len(schema.MIGRATIONS):
                raise StoreError(
                    f"{path} was written by an older version of the monitor (its schema is {version}, this version "
                    f"reads {len(schema.MIGRATIONS)}): start the daemon once, which brings it up to date"
                )
            db.execute("BEGIN")  # one moment for all that is read
            yield Archive(db, path)
