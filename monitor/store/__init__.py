"""What must outlive the process. `Store` is an interface; SQLite (monitor.store.sqlite) is the default.

Nothing outside this package knows SQL. A write is one transaction: it never began, or it finished; it is
never abandoned when its caller is cancelled. Whatever goes wrong is a `StoreError` of one sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import attrs

from monitor.core.alerting.words import NOTHING, Alerting
from monitor.core.health import Health

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from monitor.core.alerting.situation import Decision
    from monitor.core.model import Alert, Delivery, Incident, Letter, Observation, PutBack, Transition
    from monitor.core.rollup import Series


@attrs.frozen(kw_only=True)
class Record:
    """All that is known of one endpoint: enough to go on after a restart as if there had been none."""

    name: str
    health: Health = attrs.field(factory=Health)
    since: datetime | None = None  # when the state underneath began
    sequence: int = 0  # of its latest alert; kept when the endpoint leaves, for a return
    incident: Incident | None = None  # the open one
    last: Observation | None = None
    failed: Observation | None = None  # the latest that was `down`
    watched: bool = True  # False: it left the config; only its sequence matters
    described: Mapping[str, Any] | None = None  # as alerts show it, see `core.alerting.described`; JSON
    alerting: Alerting = NOTHING


@attrs.frozen(kw_only=True)
class Entry:
    """One write: the endpoint as it stands now, the observation that made it so, and what was decided."""

    record: Record
    observation: Observation | None = None  # goes to the history
    decision: Decision | None = None  # its transition, incident, alerts and their deliveries


@attrs.frozen(kw_only=True)
class Maintenance:
    """A time in which an endpoint is worked on: it does not count for uptime. *ended_at* may be to come."""

    endpoint: str
    started_at: datetime
    ended_at: datetime


class Result(NamedTuple):
    """One observation as the history has it, in short."""

    id: int  # rises over all endpoints
    endpoint: str
    started_at: datetime
    status: str
    duration: float  # seconds


class Ledger(Protocol):
    """What the recorder needs of a `Store`."""

    async def records(self) -> dict[str, Record]:
        """Every endpoint ever kept, by name."""

    async def commit(self, entry: Entry) -> Transition | None:
        """Write *entry*, and all that was appended before it, now; returns the transition, if any, with its id.

        Durable when this returns; after a StoreError nothing of *entry* was written. Once called it runs to its
        end, like every write here, also when the caller is cancelled. *Deliveries* are made here: one per alert
        and sink, due at once.
        """

    def append(self, entry: Entry) -> None:
        """Write *entry* soon: within 100 ms or 256 entries, together with others. For what loses little.

        An entry with a decision is refused (ValueError): that wants `commit`. Never blocks and never raises
        StoreError: what cannot be written waits for the next try, up to a bound; what is beyond is counted
        and logged.
        """


class Store(Ledger, Protocol):
    """The way to what is kept."""

    @property
    def trouble(self) -> str | None:
        """Why what is written now is only kept in memory, if it is; one sentence."""

    @property
    def dropped(self) -> int:
        """How many results were never written."""

    async def transitions(
        self, *, endpoints: Collection[str] | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[Transition]:
        """Transitions in order of id, those with a larger id than *after*; *endpoints* None: of all."""

    async def latest(self, endpoint: str, *, limit: int) -> Sequence[Transition]:
        """The last transitions of *endpoint*, newest first, at most *limit*."""

    async def uptime(
        self, *, endpoints: Collection[str] | None = None, windows: Mapping[str, timedelta], now: datetime
    ) -> dict[str, dict[str, float | None]]:
        """For each endpoint, for each of *windows* up to *now*, the fraction of uptime; None: nothing of it counts.

        *endpoints* None: all of which anything is kept for the longest window.
        """

    async def series(self, endpoint: str, *, window: timedelta, now: datetime) -> Series | None:
        """What a chart of the *window* before *now* shows; None where nothing was ever kept of *endpoint*."""

    async def results(self, *, after: int, before: int, limit: int) -> Sequence[Result]:
        """Results of all endpoints with an id between the two, both excluded, newest first, at most *limit*."""

    async def mark(self, marks: Collection[Maintenance]) -> None:
        """Keep when endpoints are in maintenance; one with the same beginning is replaced, its end may be to come."""

    async def marked(self, now: datetime) -> Sequence[Maintenance]:
        """What `mark` kept of maintenance that is not over *now*."""

    async def incidents(
        self,
        *,
        endpoints: Collection[str] | None = None,
        after: int = 0,
        limit: int = 100,
        only_open: bool = False,
    ) -> Sequence[Incident]:
        """Incidents in order of their number, those with a larger one than *after*; *endpoints* None: of all."""

    async def latest_incidents(
        self, *, endpoints: Collection[str] | None = None, before: int, limit: int
    ) -> Sequence[Incident]:
        """Incidents, newest first, those with a smaller number than *before*; *endpoints* None: of all."""

    async def due(self, now: datetime, *, room: Mapping[str, int], busy: Collection[int] = ()) -> Sequence[Delivery]:
        """Deliveries to try now: the first pending of each lane (sink, endpoint), unless its id is in *busy*.

        *room* says which sinks to look at and how many to give for each, those due longest first: a sink with
        thousands due takes no place from another.
        """

    async def next_due(self, *, sinks: Collection[str], busy: Collection[int] = ()) -> datetime | None:
        """When the earliest first-of-its-lane of *sinks*, not in *busy*, is due; None: nothing waits."""

    async def sent(self, sink: str, *, since: datetime, limit: int) -> Sequence[datetime]:
        """When *sink* took its latest messages, at most *limit*, newest first, those after *since*."""

    async def behind(self, delivery: int, *, limit: int) -> Sequence[Delivery]:
        """The pending deliveries that follow *delivery* in its lane, in order, at most *limit*."""

    async def members(self, delivery: int) -> Sequence[Delivery]:
        """The pending deliveries of the digest that *delivery* is part of, in order of id; empty without a digest."""

    async def bundle(self, deliveries: Collection[int], *, digest: str) -> None:
        """Fix *deliveries*, all to one sink, as one message called *digest*: what goes out together, for good."""

    async def settle(self, *deliveries: int, attempts: int, at: datetime) -> None:
        """They were delivered, all of them in one message."""

    async def postpone(
        self, *deliveries: int, attempts: int, first_try_at: datetime, not_before: datetime, error: str
    ) -> None:
        """They failed and are to be tried again."""

    async def bury(self, *deliveries: int, attempts: int, error: str, at: datetime) -> None:
        """They are dead: kept, listed, no longer in the way of the next."""

    async def abandon(self, *, keep: Collection[str], busy: Collection[int] = (), error: str, at: datetime) -> int:
        """Bury every pending delivery, not in *busy*, to a sink not in *keep*; how many there were."""

    async def pending(self) -> int:
        """How many deliveries wait."""

    async def letters(
        self, *, states: Collection[str] = ("pending", "dead"), sink: str | None = None, after: int = 0, limit: int
    ) -> Sequence[Letter]:
        """Deliveries that wait or are dead, in order of id: those with a larger id than *after*, to *sink* if given."""

    async def letter_counts(self) -> Mapping[str, int]:
        """How many are `pending`, and how many `dead`."""

    async def last_words(self, sink: str) -> Sequence[Delivery]:
        """What *sink* was told last of each endpoint, of its incidents and of its flapping.

        Of several that were delivered or given up only the latest counts, and only if it was delivered.
        """

    async def put_back(
        self, ids: Collection[int] | None, *, sink: str | None, sinks: Collection[str], force: bool, at: datetime
    ) -> PutBack:
        """Make dead deliveries pending again, in their places in their lanes and as if never tried.

        *ids* None: all, or all to *sink*. Those to none of *sinks* stay dead, and without *force* the obsolete ones.
        """

    async def note(self, key: str, value: Any, alerts: Sequence[Alert] = ()) -> None:
        """Keep *value*, which JSON can hold, under *key*, and write *alerts* with their deliveries, in one transaction.

        For what is no endpoint's: what was said of the monitor's own trouble. Durable as `commit` is.
        """

    async def noted(self, key: str) -> Any:
        """What `note` kept last under *key*, or None."""
