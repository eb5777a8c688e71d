"""The deliveries that wait when the database goes away: what goes on to be delivered from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from monitor.store.rows import Row

_DELIVERIES = """
    SELECT id, alert, sink, endpoint, state, head, attempts, first_try_at, not_before, digest, last_error, settled_at
    FROM deliveries WHERE state = 'pending' ORDER BY id LIMIT ?
"""
_ALERT = "SELECT id, type, endpoint, created_at, body FROM alerts WHERE id = ?"
_WRITE_DELIVERY = """
    INSERT INTO deliveries
        (id, alert, sink, endpoint, state, head, attempts, first_try_at, not_before, digest, last_error, settled_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_WRITE_ALERT = "INSERT INTO alerts (id, type, endpoint, created_at, body) VALUES (?, ?, ?, ?, ?)"


@attrs.frozen
class Seed:
    """Rows of alerts and deliveries; *whole*: these are all that wait."""

    alerts: Sequence[Row] = ()
    deliveries: Sequence[Row] = ()
    whole: bool = False

    def write(self, db: sqlite3.Connection) -> None:
        """Write them into an empty database."""
        db.executemany(_WRITE_ALERT, self.alerts)
        db.executemany(_WRITE_DELIVERY, self.deliveries)


def read(db: sqlite3.Connection, *, most: int) -> Seed:
    """The oldest *most* that wait."""
    deliveries = db.execute(_DELIVERIES, (most + 1,)).fetchall()
    whole = len(deliveries) <= most
    deliveries = deliveries[:most]
    wanted = dict.fromkeys(alert for _, alert, *_ in deliveries)
    alerts = [row for alert in wanted for row in db.execute(_ALERT, (alert,))]
    return Seed(alerts, deliveries, whole)
