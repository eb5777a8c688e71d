"""`monitor.store.Store` in memory: no thread, no file, so that clock tests may jump.

The same order and the same moments as the real one, and every call is a checkpoint as there. `broken` makes it
fail as a full disk does. What the protocol does not have (`owe`, `rows`) is for tests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import attrs
import trio

from monitor.core.errors import StoreError
from monitor.core.model import Alert, Delivery, Letter, Outcome, PutBack
from monitor.store import Result

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from monitor.core.model import Incident, Transition
    from monitor.core.rollup import Series
    from monitor.store import Entry, Maintenance, Record


@attrs.define
class Row:
    """A delivery and what became of it."""

    delivery: Delivery
    not_before: datetime
    state: Literal["pending", "delivered", "dead"] = "pending"
    error: str | None = None
    at: datetime | None = None


class MemoryStore:
    """See `monitor.store.Store`."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.notes: dict[str, str] = {}
        self.broken = False
        self.trouble: str | None = None
        self.dropped = 0
        self.uptimes: dict[str, float] = {}
        self.charts: dict[tuple[str, timedelta], Series] = {}
        self.marks: list[Maintenance] = []
        self._records: dict[str, Record] = {}
        self._results: list[Result] = []
        self._transitions: list[Transition] = []
        self._incidents: dict[str, Incident] = {}

    async def records(self) -> dict[str, Record]:
        await self._access()
        return dict(self._records)

    async def commit(self, entry: Entry) -> Transition | None:
        await self._access()
        self._keep(entry)
        for incident in (entry.record.incident, entry.decision and entry.decision.incident):
            if incident is not None:
                number = self._incidents[incident.id].number if incident.id in self._incidents else 0
                self._incidents[incident.id] = attrs.evolve(incident, number=number or len(self._incidents) + 1)
        if entry.decision is None:
            return None
        for alert in entry.decision.alerts:
            self.owe(alert)
        if entry.decision.late:
            self._alerted(entry.record.name)
        if entry.decision.transition is None:
            return None
        transition = attrs.evolve(entry.decision.transition, id=len(self._transitions) + 1)
        self._transitions.append(transition)
        return transition

    def _alerted(self, endpoint: str) -> None:
        for index, each in reversed(tuple(enumerate(self._transitions))):
            if each.endpoint == endpoint:
                self._transitions[index] = attrs.evolve(each, outcome=Outcome.ALERTED)
                return

    def append(self, entry: Entry) -> None:
        if entry.decision is not None:
            raise ValueError("an entry with a decision wants commit")
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._records[entry.record.name] = entry.record
        if (found := entry.observation) is not None:
            result = Result(len(self._results) + 1, found.endpoint, found.started_at, str(found.status), found.duration)
            self._results.append(result)

    async def results(self, *, after: int, before: int, limit: int) -> Sequence[Result]:
        await self._access()
        return [each for each in reversed(self._results) if after < each.id < before][:limit]

    async def transitions(
        self, *, endpoints: Collection[str] | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[Transition]:
        await self._access()
        wanted = (each for each in self._transitions if endpoints is None or each.endpoint in endpoints)
        return [each for each in wanted if each.id > (after or 0)][:limit]

    async def latest(self, endpoint: str, *, limit: int) -> Sequence[Transition]:
        await self._access()
        return [each for each in reversed(self._transitions) if each.endpoint == endpoint][:limit]

    async def uptime(
        self, *, endpoints: Collection[str] | None = None, windows: Mapping[str, timedelta], now: datetime
    ) -> dict[str, dict[str, float | None]]:
        await self._access()
        wanted = self.uptimes if endpoints is None else endpoints
        return {name: dict.fromkeys(windows, self.uptimes.get(name)) for name in wanted}

    async def series(self, endpoint: str, *, window: timedelta, now: datetime) -> Series | None:
        await self._access()
        return self.charts.get((endpoint, window))

    async def mark(self, marks: Collection[Maintenance]) -> None:
        await self._access()
        self.marks.extend(marks)

    async def marked(self, now: datetime) -> Sequence[Maintenance]:
        await self._access()
        latest = {(each.endpoint, each.started_at): each for each in self.marks}
        return [each for each in latest.values() if each.ended_at > now]

    async def incidents(
        self,
        *,
        endpoints: Collection[str] | None = None,
        after: int = 0,
        limit: int = 100,
        only_open: bool = False,
    ) -> Sequence[Incident]:
        await self._access()
        wanted = (each for each in self._incidents.values() if endpoints is None or each.endpoint in endpoints)
        found = [each for each in wanted if each.number > after and not (only_open and each.resolved_at)]
        return found[:limit]

    async def latest_incidents(
        self, *, endpoints: Collection[str] | None = None, before: int, limit: int
    ) -> Sequence[Incident]:
        await self._access()
        wanted = (each for each in self._incidents.values() if endpoints is None or each.endpoint in endpoints)
        return sorted((each for each in wanted if each.number < before), key=lambda each: -each.number)[:limit]

    async def due(self, now: datetime, *, room: Mapping[str, int], busy: Collection[int] = ()) -> Sequence[Delivery]:
        await self._access()
        heads = sorted(self._heads(busy), key=lambda row: (row.not_before, row.delivery.id))
        given: list[Delivery] = []
        left = dict(room)
        for row in heads:
            if row.not_before <= now and left.get(row.delivery.sink, 0) > 0:
                left[row.delivery.sink] -= 1
                given.append(row.delivery)
        return given

    async def next_due(self, *, sinks: Collection[str], busy: Collection[int] = ()) -> datetime | None:
        await self._access()
        return min((row.not_before for row in self._heads(busy) if row.delivery.sink in sinks), default=None)

    async def sent(self, sink: str, *, since: datetime, limit: int) -> Sequence[datetime]:
        await self._access()
        rows = [row for row in self.rows.values() if row.state == "delivered" and row.delivery.sink == sink]
        moments = sorted((row.at for row in rows if row.at is not None and row.at > since), reverse=True)
        return moments[:limit]

    async def behind(self, delivery: int, *, limit: int) -> Sequence[Delivery]:
        await self._access()
        head = self.rows[delivery].delivery
        return [
            row.delivery
            for row in self.rows.values()
            if row.state == "pending"
            and (row.delivery.sink, row.delivery.endpoint) == (head.sink, head.endpoint)
            and row.delivery.id > delivery
        ][:limit]

    async def members(self, delivery: int) -> Sequence[Delivery]:
        await self._access()
        one = self.rows[delivery].delivery
        return [
            row.delivery
            for row in self.rows.values()
            if row.state == "pending"
            and one.digest is not None
            and (row.delivery.sink, row.delivery.digest) == (one.sink, one.digest)
        ]

    async def bundle(self, deliveries: Collection[int], *, digest: str) -> None:
        await self._access()
        for each in deliveries:
            self.rows[each].delivery = attrs.evolve(self.rows[each].delivery, digest=digest)

    async def settle(self, *deliveries: int, attempts: int, at: datetime) -> None:
        await self._end(deliveries, "delivered", attempts=attempts, at=at)

    async def postpone(
        self, *deliveries: int, attempts: int, first_try_at: datetime, not_before: datetime, error: str
    ) -> None:
        await self._access()
        for each in deliveries:
            row = self.rows[each]
            row.delivery = attrs.evolve(row.delivery, attempts=attempts, first_try_at=first_try_at)
            row.not_before, row.error = not_before, error

    async def bury(self, *deliveries: int, attempts: int, error: str, at: datetime) -> None:
        await self._end(deliveries, "dead", attempts=attempts, at=at, error=error)

    async def abandon(self, *, keep: Collection[str], busy: Collection[int] = (), error: str, at: datetime) -> int:
        await self._access()
        gone = [
            row
            for row in self.rows.values()
            if row.state == "pending" and row.delivery.sink not in keep and row.delivery.id not in busy
        ]
        for row in gone:
            row.state, row.error, row.at = "dead", error, at
        return len(gone)

    async def pending(self) -> int:
        await self._access()
        return sum(row.state == "pending" for row in self.rows.values())

    async def letters(
        self, *, states: Collection[str] = ("pending", "dead"), sink: str | None = None, after: int = 0, limit: int
    ) -> Sequence[Letter]:
        await self._access()
        return [
            Letter(
                delivery=row.delivery,
                state=row.state,
                obsolete=row.state == "dead" and self._is_obsolete(row),
                next_try_at=row.not_before if row.state == "pending" else None,
                given_up_at=row.at,
                error=row.error,
            )
            for number, row in self.rows.items()
            if row.state in states and number > after and sink in (None, row.delivery.sink)
        ][:limit]

    async def letter_counts(self) -> Mapping[str, int]:
        await self._access()
        return {state: sum(row.state == state for row in self.rows.values()) for state in ("pending", "dead")}

    async def last_words(self, sink: str) -> Sequence[Delivery]:
        await self._access()
        last: dict[tuple[str | None, str | None], Row] = {}
        for row in self.rows.values():
            if row.delivery.sink == sink and row.state != "pending":
                kind = (
                    row.delivery.type if row.delivery.type in ("alert.flapping", "alert.self", "alert.test") else None
                )
                last[row.delivery.endpoint, kind] = row
        return [row.delivery for row in last.values() if row.state == "delivered"]

    async def put_back(
        self, ids: Collection[int] | None, *, sink: str | None, sinks: Collection[str], force: bool, at: datetime
    ) -> PutBack:
        await self._access()
        dead = {
            number for number, row in self.rows.items() if row.state == "dead" and sink in (None, row.delivery.sink)
        }
        wanted = dead if ids is None else dead & set(ids)
        gone = {number for number in wanted if self.rows[number].delivery.sink not in sinks}
        obsolete = {number for number in wanted - gone if self._is_obsolete(self.rows[number]) and not force}
        for number in wanted - gone - obsolete:
            row = self.rows[number]
            row.delivery = attrs.evolve(row.delivery, attempts=0, first_try_at=None, digest=None)
            row.state, row.not_before, row.at = "pending", at, None
        return PutBack(
            put_back=tuple(sorted(wanted - gone - obsolete)),
            obsolete=tuple(sorted(obsolete)),
            gone=tuple(sorted(gone)),
            unknown=tuple(sorted(set(ids or ()) - dead)),
        )

    def _is_obsolete(self, row: Row) -> bool:
        lane = (row.delivery.sink, row.delivery.endpoint)
        return any(
            each.state == "delivered"
            and (each.delivery.sink, each.delivery.endpoint) == lane
            and each.delivery.id > row.delivery.id
            for each in self.rows.values()
        )

    async def note(self, key: str, value: Any, alerts: Sequence[Alert] = ()) -> None:
        await self._access()
        self.notes[key] = json.dumps(value)
        for alert in alerts:
            self.owe(alert)

    async def noted(self, key: str) -> Any:
        await self._access()
        return json.loads(self.notes.get(key, "null"))

    def owe(self, alert: Alert) -> list[int]:
        """Make the deliveries of *alert*, due at once; their ids."""
        ids = []
        for sink in alert.sinks:
            number = len(self.rows) + 1
            delivery = Delivery(
                id=number,
                alert=alert.id,
                type=alert.type,
                endpoint=alert.endpoint,
                sink=sink,
                body=alert.body,
                created_at=alert.created_at,
            )
            self.rows[number] = Row(delivery, not_before=alert.created_at)
            ids.append(number)
        return ids

    def _heads(self, busy: Collection[int]) -> list[Row]:
        """The first pending of each lane, unless it is busy."""
        heads: dict[tuple[str, str | None], Row] = {}
        for row in self.rows.values():  # in order of id
            if row.state == "pending":
                heads.setdefault((row.delivery.sink, row.delivery.endpoint), row)
        return [row for row in heads.values() if row.delivery.id not in busy]

    async def _end(
        self,
        deliveries: Collection[int],
        state: Literal["delivered", "dead"],
        *,
        attempts: int,
        at: datetime,
        error: str | None = None,
    ) -> None:
        await self._access()
        for each in deliveries:
            row = self.rows[each]
            if row.state != "pending":
                raise AssertionError(f"delivery {each} is {row.state} already")
            row.delivery = attrs.evolve(row.delivery, attempts=attempts)
            row.state, row.error, row.at = state, error, at

    async def _access(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise StoreError("the database is full")
