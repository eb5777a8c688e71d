"""What was kept in memory goes into the database that is back: in one transaction, under the same ids.

An endpoint whose values contradict what the database holds (which would be a bug, or somebody else's hand) is left
out and told of: the others shall not suffer for it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from monitor.core.model import State
from monitor.store import rows, spans, writer
from monitor.store.kept import NEW
from monitor.store.spans import Change
from monitor.violations import violated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from monitor.store import Record
    from monitor.store.kept import Kept, Told

_NEW_ALERTS = """
    SELECT id, type, endpoint, created_at, body FROM alerts
    WHERE id IN (SELECT alert FROM deliveries WHERE id >= ?)
    ORDER BY (SELECT min(id) FROM deliveries WHERE alert = alerts.id)
"""
_NEW = """
    SELECT id, alert, sink, endpoint, state, attempts, first_try_at, not_before, digest, last_error, settled_at
    FROM deliveries WHERE id >= ? ORDER BY id
"""
_SEEDED_ALERTS = """
    SELECT id, type, endpoint, created_at, body FROM alerts WHERE id IN (SELECT alert FROM deliveries WHERE id < ?)
"""
_SEEDED = """
    SELECT id, alert, sink, endpoint, state, attempts, first_try_at, not_before, digest, last_error, settled_at
    FROM deliveries WHERE id < ? ORDER BY id
"""
_INSERT_SEEDED = """
    INSERT INTO deliveries
        (id, alert, sink, endpoint, state, head, attempts, first_try_at, not_before, digest, last_error, settled_at)
    VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_INSERT = """
    INSERT INTO deliveries
        (alert, sink, endpoint, state, head, attempts, first_try_at, not_before, digest, last_error, settled_at)
    VALUES (?1, ?2, ?3, ?4, ?4 = 'pending' AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE state = 'pending' AND sink = ?2 AND endpoint = ?3
    ), ?5, ?6, ?7, ?8, ?9, ?10)
"""
_OVERTAKEN = "SELECT id FROM deliveries WHERE state = 'pending' AND sink = ? AND endpoint = ? ORDER BY id"
_DELIVERED_LANES = "SELECT DISTINCT sink, endpoint FROM deliveries WHERE id >= ? AND state = 'delivered'"


def merge(
    db: sqlite3.Connection, *, kept: Kept, records: Mapping[str, Record], fresh: bool, now: datetime
) -> dict[int, int]:
    """Write all of *kept*, and *records* as they stand; *fresh*: the database is a new one, and knows nothing.

    Returns which id each new delivery has now.
    """
    for step in (*kept.bundles.values(), *kept.again.values()):
        step(db)
    for name in records if fresh else kept.told:
        _apart(db, name, lambda name=name: _endpoint(db, records[name], kept.told.get(name), fresh, now))  # type: ignore[misc]
    for result in kept.results:
        _apart(db, str(result[0]), lambda result=result: db.execute(writer.HISTORY, result))  # type: ignore[misc]
    for key, value in kept.notes.items():
        db.execute(writer.NOTE, (key, value))
    spans.mark(db, tuple(kept.marks.values()))
    if fresh:
        _seeded(db, kept)
    return _outbox(db, kept, now)


def _apart(db: sqlite3.Connection, name: str, write: Callable[[], object]) -> None:
    """Do *write*, or nothing of it where it contradicts what is there."""
    db.execute("SAVEPOINT apart")
    try:
        write()
    except sqlite3.IntegrityError as error:
        db.execute("ROLLBACK TO apart")
        violated("kept_contradicts", f"{name}: what was kept in memory contradicts the database and is lost: {error}")
    db.execute("RELEASE apart")


def _endpoint(db: sqlite3.Connection, record: Record, told: Told | None, fresh: bool, now: datetime) -> None:
    db.execute(writer.ENDPOINT, rows.endpoint_row(record))
    if told is not None:
        closed_first = sorted(told.incidents.values(), key=lambda row: row[-1] is None)
        db.executemany(writer.INCIDENT, closed_first)
    if record.incident is not None:
        db.execute(writer.INCIDENT, rows.incident_row(record.incident))
    if fresh and record.watched:
        begun = [Change("watched", since=now)]
        if record.health.state is State.DOWN:
            begun.append(Change("down", since=record.incident.started_at if record.incident else record.since or now))
        spans.write(db, record.name, begun)
    if told is not None:
        told.times.write(db, record.name)
        if told.late:
            db.execute(writer.LATE, (record.name,))
        db.executemany(writer.TRANSITION, told.transitions)


def _seeded(db: sqlite3.Connection, kept: Kept) -> None:
    """What waited before goes into a database that may not know it; under its own ids, since it may be on its way."""
    for alert in kept.db.execute(_SEEDED_ALERTS, (NEW,)):
        db.execute(f"{writer.ALERT} ON CONFLICT DO NOTHING", alert)
    lanes = set()
    for delivery in kept.db.execute(_SEEDED, (NEW,)):
        db.execute(_INSERT_SEEDED, delivery)
        lanes.add(delivery[2:4])
    for lane in lanes:
        writer.elect_anew(db, lane)


def _outbox(db: sqlite3.Connection, kept: Kept, now: datetime) -> dict[int, int]:
    if not kept.seed.whole:
        # What could not be read then was overtaken: sent now, it would be the last word, and no longer true.
        seeded = {row[0] for row in kept.seed.deliveries}
        why = "overtaken while the database could not be read"
        for lane in kept.db.execute(_DELIVERED_LANES, (NEW,)).fetchall():
            for (ident,) in db.execute(_OVERTAKEN, lane).fetchall():
                if ident not in seeded:
                    writer.finish(db, ident, state="dead", at=now, error=why)
    for alert in kept.db.execute(_NEW_ALERTS, (NEW,)):
        db.execute(writer.ALERT, alert)
    moved: dict[int, int] = {}
    for ident, *delivery in kept.db.execute(_NEW, (NEW,)):
        moved[ident] = db.execute(_INSERT, delivery).lastrowid or 0
    return moved
