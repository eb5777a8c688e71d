"""What is kept in memory while the database cannot be written: little for each endpoint, however long that lasts.

The latest record, the latest few incidents and transitions, spans and results up to a bound; and an outbox, which is a
database in memory with the real one's schema and statements. Into it go the deliveries that were pending when the
trouble began, under their own ids, so that lanes keep their order; what is new gets ids from `NEW` up. What became
of the old ones is done again to the real database when it is back.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from monitor.store import coalesce, readers, rows, writer
from monitor.store.database import connect_to_memory, transaction
from monitor.store.schema import migrate
from monitor.store.times import Times

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from monitor.core.model import Alert, Delivery, Transition
    from monitor.store import Entry, Maintenance
    from monitor.store.seed import Seed
    from monitor.store.spans import Change

    Step = Callable[[sqlite3.Connection], object]

NEW = 2**62  # ids from here on are of deliveries that the database does not know yet
RESULTS = 10_000  # observations, of all endpoints
SPANS = 10_000  # of all endpoints; beyond them each keeps `EACH`
EACH = 20  # incidents, transitions of one endpoint, and spans in any case
FINISHED = 2  # delivered alerts of a lane

_LANE = """
    SELECT d.id, a.type, a.body FROM deliveries d JOIN alerts a ON a.id = d.alert
    WHERE d.state = 'pending' AND d.sink = ? AND d.endpoint = ? AND d.id >= ? ORDER BY d.id
"""
_PAST = """
    SELECT id FROM deliveries WHERE state != 'pending' AND sink = ? AND endpoint = ? AND id >= ? ORDER BY id DESC
    LIMIT -1 OFFSET ?
"""
_REMOVE = "DELETE FROM deliveries WHERE id = ? RETURNING alert"
_REMOVE_ALERT = "DELETE FROM alerts WHERE id = ? AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = alerts.id)"


@attrs.define
class Told:
    """What is to be written of one endpoint beside its record: the latest `EACH`, and when it was down."""

    incidents: dict[str, rows.Row] = attrs.field(factory=dict)
    transitions: deque[rows.Row] = attrs.field(factory=lambda: deque(maxlen=EACH))
    times: Times = attrs.field(factory=Times)
    late: bool = False  # the latest transition in the database turns out to be alerted


class Kept:
    """See above. Everything here is done at once: nothing in memory makes anybody wait."""

    def __init__(self, seed: Seed, next_id: int) -> None:
        """Begin with *seed*; new deliveries get ids from *next_id* on."""
        self.dropped = 0  # results
        self.coalesced = 0  # deliveries that say nothing any more
        self.seed = seed
        self.told: dict[str, Told] = {}
        self._spans = 0  # in all of them
        self.results: deque[rows.Row] = deque()
        self.notes: dict[str, str] = {}
        self.marks: dict[tuple[str, datetime], Maintenance] = {}
        self.again: dict[int, Step] = {}  # what became of a delivery of the database's, to be done to it
        self.bundles: dict[int, Step] = {}
        self.given: set[int] = set()  # may be on its way
        self.db = connect_to_memory()
        migrate(self.db, 0)
        self.db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('deliveries', ?)", (next_id - 1,))
        with transaction(self.db):
            seed.write(self.db)

    # What the recorder writes.

    def commit(self, entry: Entry, now: datetime) -> Transition | None:
        """Keep *entry*; its transition has no id yet."""
        self.append(entry, now)
        decision = entry.decision
        if decision is None:
            return None
        ready = writer.EntryRows.of(entry, now)
        told = self.told[entry.record.name]
        for incident in ready.incidents:
            told.incidents.pop(str(incident[0]), None)
            told.incidents[str(incident[0])] = incident
        while len(told.incidents) > EACH:
            del told.incidents[list(told.incidents)[1]]  # the first stays: it may be open in the database
        if ready.late and told.transitions:
            told.transitions[-1] = (*told.transitions[-1][:-1], "alerted")
        elif ready.late:
            told.late = True
        if ready.transition is not None:
            told.transitions.append(ready.transition)
        self._send(decision.alerts)
        return decision.transition

    def append(self, entry: Entry, now: datetime | None = None) -> None:
        """Keep that *entry* is how the endpoint stands, and its result while there is room."""
        ready = writer.EntryRows.of(entry, now)
        told = self.told.setdefault(entry.record.name, Told())
        self._span(told.times, ready.spans)
        if ready.history is None:
            return
        if len(self.results) >= RESULTS:
            self.dropped += 1
        else:
            self.results.append(ready.history)

    def _span(self, times: Times, changes: Iterable[Change]) -> None:
        self._spans -= len(times)
        for change in changes:
            times.add(change)
            while self._spans + len(times) > SPANS and len(times) > EACH and times.forget():
                pass
        self._spans += len(times)

    def note(self, key: str, value: Any, alerts: Sequence[Alert]) -> None:
        """Keep *value* under *key*, and send *alerts*."""
        self.notes[key] = rows.note_text(value)
        self._send(alerts)

    def noted(self, key: str) -> Any:
        """What `note` kept under *key*; KeyError if it was not asked to."""
        return rows.note_from_text(key, self.notes[key])

    def mark(self, marks: Collection[Maintenance]) -> None:
        """Keep when endpoints are in maintenance."""
        self.marks.update({(each.endpoint, each.started_at): each for each in marks})

    def _send(self, alerts: Sequence[Alert]) -> None:
        with transaction(self.db):
            for alert in alerts:
                writer.write_alerts(self.db, writer.alert_rows((alert,)))
                for sink in dict.fromkeys(alert.sinks):
                    self._coalesce(rows.lane(sink, alert.endpoint))

    def _coalesce(self, lane: tuple[str, str]) -> None:
        waiting = [
            coalesce.Waiting(ident, kind, _incident_of(body))
            for ident, kind, body in self.db.execute(_LANE, (*lane, NEW))
            if ident not in self.given
        ]
        for ident in coalesce.superfluous(waiting):
            self._remove(ident)
            self.coalesced += 1
        writer.elect(self.db, lane)

    def _remove(self, ident: int) -> None:
        for (alert,) in self.db.execute(_REMOVE, (ident,)).fetchall():
            self.db.execute(_REMOVE_ALERT, (alert,))

    # What the outbox asks and writes.

    def due(self, now: datetime, *, room: dict[str, int], busy: Collection[int]) -> list[Delivery]:
        """See `Store.due`."""
        found = readers.due(self.db, now, room=room, busy=busy)
        self.given.update(each.id for each in found)
        return found

    def behind(self, delivery: int, *, limit: int) -> list[Delivery]:
        """See `Store.behind`."""
        found = readers.behind(self.db, delivery=delivery, limit=limit)
        self.given.update(each.id for each in found)
        return found

    def bundle(self, deliveries: Collection[int], *, digest: str) -> None:
        """See `Store.bundle`."""
        for each in deliveries:
            if each < NEW:
                self.bundles[each] = lambda db, each=each: writer.bundle(db, (each,), digest=digest)  # type: ignore[misc]
        with transaction(self.db):
            writer.bundle(self.db, deliveries, digest=digest)

    def settle(
        self, deliveries: Collection[int], step: Callable[[sqlite3.Connection, Collection[int]], object]
    ) -> None:
        """Do *step* to *deliveries*: they were delivered, or are dead, or are tried again later."""
        with transaction(self.db):
            lanes = [lane for each in deliveries for lane in self.db.execute(writer.LANE_OF, (each,)).fetchall()]
            step(self.db, deliveries)
            for each in deliveries:
                self.given.discard(each)
                if each < NEW:
                    self.again[each] = lambda db, each=each: step(db, (each,))  # type: ignore[misc]
            for lane in lanes:
                for (ident,) in self.db.execute(_PAST, (*lane, NEW, FINISHED)).fetchall():
                    self._remove(ident)

    def close(self) -> None:
        """Let go of the memory."""
        self.db.close()


def _incident_of(body: bytes) -> str | None:
    incident = json.loads(body).get("data", {}).get("incident")
    return incident["id"] if incident else None
