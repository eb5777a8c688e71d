"""What is kept how long, so that the database does not grow for ever.

It is removed a little at a time, as part of transactions that are made anyway: nothing ever waits long for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.store.moments import millis

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime

HISTORY = timedelta(hours=48)
DELIVERED = timedelta(days=30)
DEAD = TRANSITIONS = INCIDENTS = timedelta(days=400)  # a year, and what lies around its ends

# Rows of each kind at one go. History is pruned at each flush, at most ten times a second: ten thousand rows a
# second is far more than can come in.
CHUNK = 1000

_HISTORY = """
    DELETE FROM history WHERE id IN (SELECT id FROM history WHERE started_at < ? ORDER BY started_at LIMIT ?)
"""
_TRANSITIONS = """
    DELETE FROM transitions WHERE id IN (SELECT id FROM transitions WHERE at < ? ORDER BY at LIMIT ?)
"""
_INCIDENTS = """
    DELETE FROM incidents WHERE id IN (
        SELECT id FROM incidents WHERE resolved_at < ? ORDER BY resolved_at LIMIT ?
    )
"""
_SETTLED = "SELECT id, alert FROM deliveries WHERE state = ? AND settled_at < ? ORDER BY settled_at LIMIT ?"
_DELIVERY = "DELETE FROM deliveries WHERE id = ?"
_ALERT = "DELETE FROM alerts WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = alerts.id)"


def prune(db: sqlite3.Connection, now: datetime, *, chunk: int = CHUNK) -> None:
    """Remove what is too old at *now*, at most *chunk* rows of each kind; open and pending is never too old."""
    by_age = ((_HISTORY, HISTORY), (_TRANSITIONS, TRANSITIONS), (_INCIDENTS, INCIDENTS))
    for statement, age in by_age:
        db.execute(statement, (millis(now - age), chunk))
    for state, age in (("delivered", DELIVERED), ("dead", DEAD)):
        settled = db.execute(_SETTLED, (state, millis(now - age), chunk)).fetchall()
        db.executemany(_DELIVERY, [(ident,) for ident, _ in settled])
        db.executemany(_ALERT, [(alert,) for _, alert in settled])  # once its last delivery is gone
