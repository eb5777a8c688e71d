"""What writes: each function is one part of an open transaction.

The invariant of the outbox is kept here: a lane with pending deliveries has exactly one head, the one with the
smallest id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.store import rows, spans
from monitor.store.moments import millis

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from monitor.core.model import Alert
    from monitor.store import Entry

ENDPOINT = """
    INSERT INTO endpoints (name, health, since, sequence, last, failed, watched, described, alerting)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        health = excluded.health, since = excluded.since, sequence = excluded.sequence,
        last = excluded.last, failed = excluded.failed, watched = excluded.watched, described = excluded.described,
        alerting = coalesce(excluded.alerting, alerting)
"""
INCIDENT = """
    INSERT INTO incidents (id, endpoint, started_at, reason, acknowledged, resolved_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        started_at = excluded.started_at, reason = excluded.reason, resolved_at = excluded.resolved_at,
        acknowledged = excluded.acknowledged
"""
HISTORY = """
    INSERT INTO history (endpoint, started_at, status, reason, duration, phases)
    VALUES ((SELECT id FROM endpoints WHERE name = ?), ?, ?, ?, ?, ?)
"""
TRANSITION = """
    INSERT INTO transitions (endpoint, before, after, at, reason, incident, outcome)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
LATE = """
    UPDATE transitions SET outcome = 'alerted' WHERE id = (SELECT max(id) FROM transitions WHERE endpoint = ?)
"""
ALERT = "INSERT INTO alerts (id, type, endpoint, created_at, body) VALUES (?, ?, ?, ?, ?)"
_DELIVERY = """
    INSERT INTO deliveries (alert, sink, endpoint, state, head, not_before)
    VALUES (:alert, :sink, :endpoint, 'pending', NOT EXISTS (
        SELECT 1 FROM deliveries WHERE state = 'pending' AND sink = :sink AND endpoint = :endpoint
    ), :not_before)
"""
NOTE = "INSERT INTO notes (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_POSTPONE = """
    UPDATE deliveries SET attempts = ?, first_try_at = ?, not_before = ?, last_error = ?
    WHERE id = ? AND state = 'pending'
"""
_BUNDLE = "UPDATE deliveries SET digest = ? WHERE id = ? AND state = 'pending'"
LANE_OF = "SELECT sink, endpoint FROM deliveries WHERE id = ? AND state = 'pending'"
_FINISH = """
    UPDATE deliveries
        SET state = ?, head = 0, attempts = coalesce(?, attempts), settled_at = ?, last_error = coalesce(?, last_error)
    WHERE id = ?
"""
# Only what was put back while a later one was under way can stand before one that was delivered.
_OVERTAKE = """
    UPDATE deliveries SET state = 'dead', head = 0, settled_at = ?, last_error = 'a later alert was delivered meanwhile'
    WHERE state = 'pending' AND sink = ? AND endpoint = ? AND id < ?
"""
_TO_SINK = "SELECT id FROM deliveries WHERE state = 'pending' AND sink = ? ORDER BY endpoint, id LIMIT ?"
_DEMOTE = "UPDATE deliveries SET head = 0 WHERE sink = ? AND endpoint = ? AND head = 1"
_ELECT = """
    UPDATE deliveries SET head = 1 WHERE id = (
        SELECT min(id) FROM deliveries WHERE state = 'pending' AND sink = ? AND endpoint = ?
    )
"""


AlertRows = tuple[tuple[rows.Row, tuple[dict[str, str | int], ...]], ...]
"""Each alert with its deliveries."""


@attrs.frozen(kw_only=True)
class EntryRows:
    """An Entry made ready to be written: where it is made, a value that is not JSON is its maker's error."""

    name: str  # of the endpoint
    endpoint: rows.Row | None  # None: it may stay as it is
    incidents: tuple[rows.Row, ...]
    history: rows.Row | None
    transition: rows.Row | None
    late: bool  # the endpoint's latest transition turns out to be alerted
    alerts: AlertRows
    spans: tuple[spans.Change, ...] = ()

    @classmethod
    def of(cls, entry: Entry, now: datetime | None = None, *, refresh: bool = True) -> EntryRows:
        """Freeze *entry*; TypeError or ValueError when a fact is not a JSON value.

        *now* is for one that leaves; without *refresh* the endpoint's row is not written.
        """
        record, decision = entry.record, entry.decision
        concerned = (record.incident, decision.incident if decision else None)
        return cls(
            name=record.name,
            endpoint=rows.endpoint_row(record, decided=decision is not None) if refresh else None,
            incidents=tuple({i.id: rows.incident_row(i) for i in concerned if i is not None}.values()),
            history=rows.history_row(record.name, entry.observation) if entry.observation else None,
            transition=rows.transition_row(decision.transition) if decision and decision.transition else None,
            late=decision is not None and decision.late,
            alerts=alert_rows(decision.alerts) if decision else (),
            spans=spans.changes(entry, now),
        )


def alert_rows(alerts: Iterable[Alert]) -> AlertRows:
    """Freeze *alerts* and their deliveries."""
    return tuple((rows.alert_row(each), _deliveries(each)) for each in alerts)


def _deliveries(alert: Alert) -> tuple[dict[str, str | int], ...]:
    at_once = millis(alert.created_at)
    return tuple(
        {"alert": alert.id, "sink": sink, "endpoint": endpoint, "not_before": at_once}
        for sink, endpoint in (rows.lane(sink, alert.endpoint) for sink in dict.fromkeys(alert.sinks))
    )


def write_entry(db: sqlite3.Connection, entry: EntryRows) -> int | None:
    """Write all of *entry*; returns the id of its transition."""
    if entry.endpoint is not None:
        db.execute(ENDPOINT, entry.endpoint)
    if entry.incidents:
        db.executemany(INCIDENT, entry.incidents)
    if entry.history is not None:
        db.execute(HISTORY, entry.history)
    if entry.spans:
        spans.write(db, entry.name, entry.spans)
    write_alerts(db, entry.alerts)
    if entry.late:
        db.execute(LATE, (entry.name,))
    return None if entry.transition is None else db.execute(TRANSITION, entry.transition).lastrowid


def write_endpoints(db: sqlite3.Connection, endpoints: Collection[rows.Row]) -> None:
    """Write how endpoints stand, and nothing else."""
    db.executemany(ENDPOINT, endpoints)


def write_note(db: sqlite3.Connection, *, key: str, value: str, alerts: AlertRows) -> None:
    """Keep *value* under *key* in place of what was there, and write *alerts*."""
    db.execute(NOTE, (key, value))
    write_alerts(db, alerts)


def write_alerts(db: sqlite3.Connection, alerts: AlertRows) -> None:
    """Write *alerts* with their deliveries, due at once."""
    for alert, deliveries in alerts:
        db.execute(ALERT, alert)
        db.executemany(_DELIVERY, deliveries)


def bundle(db: sqlite3.Connection, deliveries: Collection[int], *, digest: str) -> None:
    """Give them the name of the message they go out in."""
    db.executemany(_BUNDLE, [(digest, each) for each in deliveries])


def postpone(
    db: sqlite3.Connection,
    deliveries: Collection[int],
    *,
    attempts: int,
    first_try_at: datetime,
    not_before: datetime,
    error: str,
) -> None:
    """Keep them where they are in their lanes, to be tried again."""
    moments = millis(first_try_at), millis(not_before)
    db.executemany(_POSTPONE, [(attempts, *moments, rows.text(error), each) for each in deliveries])


def finish_all(
    db: sqlite3.Connection, deliveries: Collection[int], *, state: str, attempts: int, at: datetime, error: str | None
) -> None:
    """Do `finish` for each of them."""
    for each in deliveries:
        finish(db, each, state=state, attempts=attempts, at=at, error=error)


def finish(
    db: sqlite3.Connection,
    delivery: int,
    *,
    state: str,
    attempts: int | None = None,
    at: datetime,
    error: str | None = None,
) -> None:
    """Take a pending delivery out of its lane, as `delivered` or `dead`; the next becomes the head."""
    lane = db.execute(LANE_OF, (delivery,)).fetchone()
    if lane is None:  # finished before: what a crash or a retry repeats changes nothing
        return
    db.execute(_FINISH, (state, attempts, millis(at), error and rows.text(error), delivery))
    if state == "delivered":
        db.execute(_OVERTAKE, (millis(at), *lane, delivery))
    db.execute(_ELECT, lane)


def elect(db: sqlite3.Connection, lane: tuple[str, str]) -> None:
    """Make the first that waits in *lane* its head, if there is any."""
    db.execute(_ELECT, lane)


def elect_anew(db: sqlite3.Connection, lane: tuple[str, str]) -> None:
    """Do `elect` in a *lane* that may have a head already, and something that stands before it."""
    db.execute(_DEMOTE, lane)
    db.execute(_ELECT, lane)


def abandon(db: sqlite3.Connection, sink: str, *, busy: Collection[int], error: str, at: datetime, limit: int) -> int:
    """Bury pending deliveries to *sink* that are not *busy*, at most *limit*; how many there were."""
    found = db.execute(_TO_SINK, (sink, limit + len(busy))).fetchall()
    free = [ident for (ident,) in found if ident not in busy][:limit]
    for ident in free:
        finish(db, ident, state="dead", at=at, error=error)
    return len(free)
