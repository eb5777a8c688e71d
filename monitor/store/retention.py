"""What is kept how long, so that the database does not grow for ever.

It is removed a little at a time, as part of transactions that are made anyway: nothing ever waits long for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.store.moments import millis
from monitor.store.rollups import MINUTES

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

HISTORY = timedelta(hours=48)
DELIVERED = timedelta(days=30)
DEAD = TRANSITIONS = INCIDENTS = SPANS = timedelta(days=400)  # a year, and what lies around its ends
# Minutes, hours and days: see `rollups`, which removes old hours and days where it makes new ones.

# Rows of each kind at one go. History is pruned at each flush, at most ten times a second: ten thousand rows a
# second is far more than can come in.
CHUNK = 1000

# Not before it was rolled up, which may be late after a long stop or an upgrade.
_HISTORY = """
    DELETE FROM history WHERE id IN (
        SELECT id FROM history
        WHERE started_at < min(?1, coalesce((SELECT until FROM progress WHERE of = 'minutes'), ?1))
        ORDER BY started_at LIMIT ?2
    )
"""
_MINUTES = """
    DELETE FROM minutes WHERE (at, endpoint) IN (SELECT at, endpoint FROM minutes WHERE at < ? ORDER BY at LIMIT ?)
"""
_SPANS = """
    DELETE FROM spans WHERE (endpoint, kind, started_at) IN (
        SELECT endpoint, kind, started_at FROM spans WHERE ended_at < ? ORDER BY ended_at LIMIT ?
    )
"""
_RUNS = "DELETE FROM runs WHERE started_at IN (SELECT started_at FROM runs WHERE ended_at < ? LIMIT ?)"
_TRANSITIONS = """
    DELETE FROM transitions WHERE id IN (SELECT id FROM transitions WHERE at < ? ORDER BY at LIMIT ?)
"""
_INCIDENTS = """
    DELETE FROM incidents WHERE id IN (
        SELECT id FROM incidents WHERE resolved_at < ? ORDER BY resolved_at LIMIT ?
    )
"""
# What was said of an incident that is open still: some sinks are told of it again and again, from these.
_SETTLED = """
    SELECT id, alert FROM deliveries
    WHERE state = ? AND settled_at < ? AND NOT EXISTS (
        SELECT 1 FROM incidents WHERE incidents.endpoint = deliveries.endpoint AND resolved_at IS NULL
    )
    ORDER BY settled_at LIMIT ?
"""
_DELIVERY = "DELETE FROM deliveries WHERE id = ?"
_ALERT = "DELETE FROM alerts WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = alerts.id)"


def prune(db: sqlite3.Connection, now: datetime, *, chunk: int = CHUNK) -> None:
    """Remove what is too old at *now*, at most *chunk* rows of each kind; open and pending is never too old."""
    by_age = (
        (_HISTORY, HISTORY),
        (_MINUTES, timedelta(milliseconds=MINUTES.kept)),
        (_SPANS, SPANS),
        (_RUNS, SPANS),
        (_TRANSITIONS, TRANSITIONS),
        (_INCIDENTS, INCIDENTS),
    )
    for statement, age in by_age:
        db.execute(statement, (millis(now - age), chunk))
    for state, age in (("delivered", DELIVERED), ("dead", DEAD)):
        settled = db.execute(_SETTLED, (state, millis(now - age), chunk)).fetchall()
        db.executemany(_DELIVERY, [(ident,) for ident, _ in settled])
        db.executemany(_ALERT, [(alert,) for _, alert in settled])  # once its last delivery is gone
