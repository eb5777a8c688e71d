"""The outbox as people see it: what waits and what is dead, and the way back for what is dead.

A delivery is obsolete once a later one of its lane was delivered: sent now, it would take back what its sink knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.core.model import Letter, PutBack
from monitor.store import rows, writer
from monitor.store.moments import millis, moment

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection
    from datetime import datetime

    from monitor.core.model import Delivery

_OBSOLETE = """
    EXISTS (
        SELECT 1 FROM deliveries later
        WHERE later.state = 'delivered' AND later.sink = d.sink AND later.endpoint = d.endpoint AND later.id > d.id
    )
"""
# Each state by its index: most deliveries are in neither. `+` keeps SQLite from walking all of them in order of id.
_STATES = {"pending": "d.state = 'pending'", "dead": "d.state = 'dead' AND d.settled_at IS NOT NULL"}
_LETTERS = {
    state: f"""
    SELECT d.id, d.alert, a.type, d.endpoint, d.sink, a.body, a.created_at, d.attempts, d.first_try_at, d.digest,
           d.state, d.not_before, d.settled_at, d.last_error, d.state = 'dead' AND {_OBSOLETE}
    FROM deliveries d JOIN alerts a ON a.id = d.alert
    WHERE {condition} AND +d.id > ? AND (? IS NULL OR d.sink = ?) ORDER BY +d.id LIMIT ?
"""  # noqa: S608 - of constants
    for state, condition in _STATES.items()
}
_COUNTS = """
    SELECT 'pending', count(*) FROM deliveries WHERE state = 'pending'
    UNION ALL
    SELECT 'dead', count(*) FROM deliveries WHERE state = 'dead' AND settled_at IS NOT NULL
"""
_DEAD = "SELECT id FROM deliveries WHERE state = 'dead' AND (? IS NULL OR sink = ?) ORDER BY id"
_ONE = f"SELECT d.sink, d.endpoint, {_OBSOLETE} FROM deliveries d WHERE d.id = ? AND d.state = 'dead'"  # noqa: S608
_LAST_WORDS = """
    SELECT d.id, d.alert, a.type, d.endpoint, d.sink, a.body, a.created_at, d.attempts, d.first_try_at, d.digest,
           d.state
    FROM deliveries d JOIN alerts a ON a.id = d.alert
    WHERE d.id IN (
        SELECT max(d.id) FROM deliveries d JOIN alerts a ON a.id = d.alert
        WHERE d.sink = ? AND d.state IN ('delivered', 'dead')
        GROUP BY d.endpoint, CASE WHEN a.type IN ('alert.flapping', 'alert.self', 'alert.test') THEN a.type END
    ) ORDER BY d.id
"""
_PUT_BACK = """
    UPDATE deliveries SET state = 'pending', head = 0, attempts = 0, first_try_at = NULL, not_before = ?, digest = NULL,
        settled_at = NULL
    WHERE id = ?
"""


def letters(
    db: sqlite3.Connection,
    *,
    states: Collection[str] = ("pending", "dead"),
    sink: str | None = None,
    after: int = 0,
    limit: int,
) -> list[Letter]:
    """Deliveries that are `pending` or `dead`, in order of id; at most *limit*."""
    found: list[Any] = []
    for state in states:
        found += db.execute(_LETTERS[state], (after, sink, sink, max(0, limit)))
    return [_letter(row) for row in sorted(found)[: max(0, limit)]]


def _letter(row: tuple[Any, ...]) -> Letter:
    delivery, (state, not_before, settled_at, error, obsolete) = rows.delivery_from_row(row[:10]), row[10:]
    return Letter(
        delivery=delivery,
        state=state,
        obsolete=bool(obsolete),
        next_try_at=moment(not_before) if state == "pending" else None,
        given_up_at=None if settled_at is None else moment(settled_at),
        error=error,
    )


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """How many are pending, and how many dead."""
    return dict(db.execute(_COUNTS))


def last_words(db: sqlite3.Connection, *, sink: str) -> list[Delivery]:
    """What *sink* was told last of each endpoint and subject; nothing of those of which it missed the last word."""
    found = db.execute(_LAST_WORDS, (sink,))
    return [rows.delivery_from_row(row[:10]) for row in found if row[10] == "delivered"]


def put_back(
    db: sqlite3.Connection,
    ids: Collection[int] | None,
    *,
    sink: str | None,
    sinks: Collection[str],
    force: bool,
    at: datetime,
) -> PutBack:
    """Make dead deliveries pending again, each in its place in its lane, as if never tried; None: all there are.

    Those to a sink that is not in *sinks* stay dead, and without *force* those that are obsolete.
    """
    wanted = sorted(set(ids)) if ids is not None else [each for (each,) in db.execute(_DEAD, (sink, sink)).fetchall()]
    outcome: dict[str, list[int]] = {"put_back": [], "obsolete": [], "gone": [], "unknown": []}
    lanes = set()
    for each in wanted:
        found = db.execute(_ONE, (each,)).fetchone()
        if found is None or (sink is not None and found[0] != sink):
            outcome["unknown"].append(each)
        elif found[0] not in sinks:
            outcome["gone"].append(each)
        elif found[2] and not force:
            outcome["obsolete"].append(each)
        else:
            db.execute(_PUT_BACK, (millis(at), each))
            lanes.add(found[:2])
            outcome["put_back"].append(each)
    for lane in lanes:
        writer.elect_anew(db, lane)
    return PutBack(**{name: tuple(found) for name, found in outcome.items()})
