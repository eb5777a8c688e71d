"""What reads: plain functions of the connection. `tests/store/test_cost.py` holds what they cost."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from monitor.store import Result, rows
from monitor.store.moments import millis, moment

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from monitor.core.model import Delivery, Incident, Transition
    from monitor.store import Record

_LARGEST = 2**63 - 1  # what SQLite can compare with

_RECORDS = """
    SELECT e.name, e.health, e.since, e.sequence, e.last, e.failed, e.watched, e.described, e.alerting,
           i.id, i.endpoint, i.started_at, i.reason, i.acknowledged, i.resolved_at, i.number
    FROM endpoints e LEFT JOIN incidents i ON i.endpoint = e.name AND i.resolved_at IS NULL
"""
_TRANSITIONS = """
    SELECT id, endpoint, before, after, at, reason, incident, outcome
    FROM transitions WHERE id > ? ORDER BY id LIMIT ?
"""
_TRANSITIONS_OF_ONE = """
    SELECT id, endpoint, before, after, at, reason, incident, outcome
    FROM transitions WHERE id > ? AND endpoint = ? ORDER BY id LIMIT ?
"""
_TRANSITIONS_OF = """
    SELECT id, endpoint, before, after, at, reason, incident, outcome
    FROM transitions WHERE id > ? AND endpoint IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?
"""
_INCIDENTS = """
    SELECT id, endpoint, started_at, reason, acknowledged, resolved_at, number FROM incidents WHERE {}
"""
# CROSS JOIN: first the results, in the order of their ids.
_RESULTS = """
    SELECT h.id, e.name, h.started_at, h.status, h.duration FROM history h CROSS JOIN endpoints e ON e.id = h.endpoint
    WHERE h.id > ? AND h.id < ? ORDER BY h.id DESC LIMIT ?
"""
_LATEST = """
    SELECT id, endpoint, before, after, at, reason, incident, outcome
    FROM transitions WHERE endpoint = ? ORDER BY id DESC LIMIT ?
"""
# CROSS JOIN: first the deliveries, in the order of their index, then the alert of each.
_DUE = """
    SELECT d.id, d.alert, a.type, d.endpoint, d.sink, a.body, a.created_at,
           d.attempts, d.first_try_at, d.digest
    FROM deliveries d CROSS JOIN alerts a ON a.id = d.alert
    WHERE d.head = 1 AND d.sink = ? AND d.not_before <= ? ORDER BY d.not_before, d.id LIMIT ?
"""
_BEHIND = """
    SELECT d.id, d.alert, a.type, d.endpoint, d.sink, a.body, a.created_at,
           d.attempts, d.first_try_at, d.digest
    FROM deliveries lane CROSS JOIN deliveries d CROSS JOIN alerts a ON a.id = d.alert
    WHERE lane.id = ? AND d.state = 'pending' AND d.sink = lane.sink AND d.endpoint = lane.endpoint AND d.id > lane.id
    ORDER BY d.id LIMIT ?
"""
_SENT = """
    SELECT max(settled_at) FROM deliveries WHERE state = 'delivered' AND settled_at > ? AND sink = ?
    GROUP BY coalesce(digest, id) ORDER BY 1 DESC LIMIT ?
"""
_MEMBERS = """
    SELECT d.id, d.alert, a.type, d.endpoint, d.sink, a.body, a.created_at,
           d.attempts, d.first_try_at, d.digest
    FROM deliveries one CROSS JOIN deliveries d CROSS JOIN alerts a ON a.id = d.alert
    WHERE one.id = ? AND d.digest = one.digest AND d.sink = one.sink AND d.state = 'pending' ORDER BY d.id
"""
_NEXT_DUE = "SELECT id, not_before FROM deliveries WHERE head = 1 AND sink = ? ORDER BY not_before, id LIMIT ?"
# From one sink to the next, without a look at what lies between.
_WAITING_SINKS = """
    WITH RECURSIVE waiting (sink) AS (
        SELECT min(sink) FROM deliveries WHERE state = 'pending'
        UNION ALL
        SELECT (SELECT min(sink) FROM deliveries WHERE state = 'pending' AND sink > waiting.sink)
        FROM waiting WHERE waiting.sink IS NOT NULL
    )
    SELECT sink FROM waiting WHERE sink IS NOT NULL
"""
_NOTED = "SELECT value FROM notes WHERE key = ?"
_PENDING = "SELECT count(*) FROM deliveries WHERE state = 'pending'"


def records(db: sqlite3.Connection) -> dict[str, Record]:
    """Every endpoint, by name."""
    return {row[0]: rows.record_from_row(row) for row in db.execute(_RECORDS)}


def transitions(
    db: sqlite3.Connection, *, endpoints: Collection[str] | None, after: int | None, limit: int
) -> list[Transition]:
    """Ascending by id; at most *limit*."""
    start = -1 if after is None else max(-1, min(after, _LARGEST))
    most = max(0, limit)  # to SQLite, a negative limit is none
    if endpoints is None:
        found = db.execute(_TRANSITIONS, (start, most))
    elif len(endpoints) == 1:  # it may be a quiet one among many that are not
        found = db.execute(_TRANSITIONS_OF_ONE, (start, *endpoints, most))
    else:
        found = db.execute(_TRANSITIONS_OF, (start, json.dumps(list(endpoints)), most))
    return [rows.transition_from_row(row) for row in found]


def latest(db: sqlite3.Connection, *, endpoint: str, limit: int) -> list[Transition]:
    """Those of *endpoint*, newest first; at most *limit*."""
    return [rows.transition_from_row(row) for row in db.execute(_LATEST, (endpoint, max(0, limit)))]


def incidents(
    db: sqlite3.Connection, *, endpoints: Collection[str] | None, after: int, limit: int, only_open: bool
) -> list[Incident]:
    """Ascending by number; at most *limit*."""
    statement, values = _of(endpoints, _INCIDENTS.format("number > ?"), max(-1, min(after, _LARGEST)))
    if only_open:
        statement += " AND resolved_at IS NULL"
    found = db.execute(f"{statement} ORDER BY number LIMIT ?", (*values, max(0, limit)))
    return [rows.incident_from_row(row) for row in found]


def latest_incidents(
    db: sqlite3.Connection, *, endpoints: Collection[str] | None, before: int, limit: int
) -> list[Incident]:
    """Descending by number; at most *limit*."""
    statement, values = _of(endpoints, _INCIDENTS.format("number < ?"), min(before, _LARGEST))
    found = db.execute(f"{statement} ORDER BY number DESC LIMIT ?", (*values, max(0, limit)))
    return [rows.incident_from_row(row) for row in found]


def results(db: sqlite3.Connection, *, after: int, before: int, limit: int) -> list[Result]:
    """Descending by id; at most *limit*."""
    found = db.execute(_RESULTS, (after, min(before, _LARGEST), max(0, limit)))
    return [Result(ident, name, moment(at), *rest) for ident, name, at, *rest in found]


def _of(endpoints: Collection[str] | None, statement: str, value: int) -> tuple[str, list[int | str]]:
    """*statement* with its *value*, of *endpoints* only."""
    values: list[int | str] = [value]
    if endpoints is not None and len(endpoints) == 1:
        statement += " AND endpoint = ?"
        values += endpoints
    elif endpoints is not None:
        statement += " AND endpoint IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(list(endpoints)))
    return statement, values


def due(db: sqlite3.Connection, now: datetime, *, room: Mapping[str, int], busy: Collection[int]) -> list[Delivery]:
    """For each sink as many heads as it has *room*, those due longest first; a *busy* head keeps its lane."""
    found: list[Delivery] = []
    for sink, most in room.items():
        heads = db.execute(_DUE, (sink, millis(now), max(0, most) + len(busy))).fetchall()
        free = (rows.delivery_from_row(row) for row in heads if row[0] not in busy)
        found += itertools.islice(free, max(0, most))
    return found


def behind(db: sqlite3.Connection, *, delivery: int, limit: int) -> list[Delivery]:
    """What waits in the lane of *delivery*, after it."""
    return [rows.delivery_from_row(row) for row in db.execute(_BEHIND, (delivery, max(0, limit)))]


def members(db: sqlite3.Connection, *, delivery: int) -> list[Delivery]:
    """All that still waits of the digest of *delivery*."""
    return [rows.delivery_from_row(row) for row in db.execute(_MEMBERS, (delivery,))]


def next_due(db: sqlite3.Connection, *, sinks: Collection[str], busy: Collection[int]) -> datetime | None:
    """When the first head of *sinks* that is not *busy* may be tried."""
    moments = [
        not_before
        for sink in sinks
        for ident, not_before in db.execute(_NEXT_DUE, (sink, len(busy) + 1))
        if ident not in busy
    ]
    return moment(min(moments)) if moments else None


def sent(db: sqlite3.Connection, *, sink: str, since: datetime, limit: int) -> list[datetime]:
    """When *sink* took its latest messages, at most *limit*, newest first, those after *since*."""
    return [moment(at) for (at,) in db.execute(_SENT, (millis(since), sink, limit))]


def waiting_sinks(db: sqlite3.Connection) -> list[str]:
    """The sinks to which deliveries are pending."""
    return [sink for (sink,) in db.execute(_WAITING_SINKS)]


def pending(db: sqlite3.Connection) -> int:
    """How many deliveries wait, heads and those behind them."""
    (count,) = db.execute(_PENDING).fetchone()
    return int(count)


def noted(db: sqlite3.Connection, *, key: str) -> Any:
    """What is kept under *key*, or None."""
    row = db.execute(_NOTED, (key,)).fetchone()
    return None if row is None else rows.note_from_text(key, row[0])
