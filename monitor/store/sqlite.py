"""The embedded store: SQLite behind the `Store` interface.

    async with open_store(data_dir, clock=clock) as store:
        ...

Leaving the block writes what was appended, closes the database and unlocks the directory. All of it happens on
one thread at a time, and there is one connection.
"""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
import trio

from monitor.core.errors import MonitorError, StoreError, UnavailableError
from monitor.core.uptime import NEVER
from monitor.store import database, letters, readers, rows, seed, series, spans, writer
from monitor.store.files import DataFiles
from monitor.store.group import GroupWriter
from monitor.store.moments import millis, moment
from monitor.store.refresh import Refresh
from monitor.store.upkeep import Upkeep

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from monitor.core.model import Alert, Delivery, Incident, Letter, PutBack, Transition
    from monitor.core.ports import Clock
    from monitor.core.rollup import Series
    from monitor.store import Entry, Maintenance, Record, Result
    from monitor.store.group import Work

T = TypeVar("T")

_FEW = 10  # endpoints whose uptime is read one by one
_ABANDON = 1000  # deliveries to bury in one transaction: other writes come in between

log = logging.getLogger(__name__)


class RunSync(Protocol):
    """Where blocking calls are made: `in_thread`, or `run_here`."""

    async def __call__(self, work: Callable[[], T], /, *, limiter: trio.CapacityLimiter) -> T:
        """Call *work* with a token of *limiter*; to cancel the caller does not abandon it."""


async def in_thread(work: Callable[[], T], /, *, limiter: trio.CapacityLimiter) -> T:
    """Call *work* in a thread, and wait for it whatever happens."""
    return await trio.to_thread.run_sync(work, limiter=limiter)


async def run_here(work: Callable[[], T], /, *, limiter: trio.CapacityLimiter) -> T:
    """Call *work* on the loop's own thread: for simulated time, which threads would outrun."""
    async with limiter:
        return work()


@contextlib.asynccontextmanager
async def open_store(
    data_dir: Path, *, clock: Clock, run_sync: RunSync = in_thread, mend: bool = True
) -> AsyncIterator[SqliteStore]:
    """Open the store in *data_dir*, which is made if missing and is ours alone until the block is left.

    StoreError when another daemon has it, it cannot be written, or its database is foreign or newer. A damaged
    one is set aside: `SqliteStore.loss` says so; where we are not to *mend*, it is left and a StoreError.
    A MonitorError that the block raises passes as it is; anything else arrives in a group, as from a nursery.
    """
    one = trio.CapacityLimiter(1)
    files = await run_sync(partial(DataFiles.open, data_dir, now=clock.wall(), mend=mend), limiter=one)
    store = SqliteStore(data_dir, files, clock, run_sync, one)
    refused: MonitorError | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.flush_for_ever)
            try:
                yield store
            except MonitorError as error:  # what is meant for the user shall not need to be unwrapped
                refused = error
            finally:
                nursery.cancel_scope.cancel()
    finally:
        # Bounded by what one write may wait for a lock: a call that has begun is never abandoned.
        with trio.CancelScope(shield=True):
            await store.close()
    if refused is not None:
        raise refused


class SqliteStore:
    """A `Store` in one file. Make it with `open_store`, or with `open_steady_store`, which goes on without it."""

    def __init__(
        self,
        data_dir: Path,
        files: DataFiles | None,
        clock: Clock,
        run_sync: RunSync,
        limiter: trio.CapacityLimiter,
    ) -> None:
        """Own *files* in *data_dir*, None: not open yet; every call to them goes through *run_sync* with *limiter*."""
        self._data_dir = data_dir
        self._files = files
        self._run_sync = run_sync
        self._limiter = limiter
        self._upkeep = Upkeep(clock)
        self._clock = clock
        self._refresh = Refresh()
        self._writes = GroupWriter(self._run_write, self._upkeep)

    async def _run(self, work: Work[T]) -> T:
        """Call *work* with the connection, where it may block."""
        if (files := self._files) is None:
            raise UnavailableError(f"the database in {self._data_dir} is not open")

        def blocking() -> T:
            with database.explained(files.path):
                return work(files.db)

        return await self._run_sync(blocking, limiter=self._limiter)

    async def _run_write(self, work: Work[T]) -> T:
        """Call *work* as `_run` does, unless what it writes would be gone with a file that is no longer there."""
        files = self._files

        def there(db: sqlite3.Connection) -> T:
            assert files is not None  # noqa: S101 - `_run` has seen to that
            files.check_there()
            return work(db)

        return await self._run(there)

    # For `fallback`, which goes on without the database and brings it back.

    async def seed(self, most: int) -> seed.Seed:
        """The deliveries that wait, at most *most*; from now on how endpoints stand is kept elsewhere.

        Writes under way come first: one that is done after all must be part of it.
        """
        await self._writes.idle()
        self._refresh.owed()
        return await self._run(partial(seed.read, most=most))

    async def revive(self, *, damaged: bool, now: datetime) -> bool:
        """Open the database again where that is needed; say whether it is another than before."""
        if self._files is None:
            self._files = await self._run_sync(partial(DataFiles.open, self._data_dir, now=now), limiter=self._limiter)
            return False
        return await self._run_sync(partial(self._files.revive, damaged=damaged, now=now), limiter=self._limiter)

    async def failure(self) -> StoreError:
        """Wait until something appended could not be written; why."""
        while self._writes.failure is None:
            await self._writes.failed.wait()
        return self._writes.failure

    async def apply(self, work: Work[T]) -> T:
        """Do *work* in a transaction."""
        return await self._writes.write(work)

    @property
    def trouble(self) -> None:
        """Nothing is only kept in memory: what cannot be written is an error here."""
        return

    @property
    def dropped(self) -> int:
        """How many appended entries were never written."""
        return self._writes.dropped

    @property
    def loss(self) -> str | None:
        """Why the database began empty, if it was damaged; one sentence."""
        return None if self._files is None else self._files.loss

    async def flush_for_ever(self) -> None:
        """Write what is appended, soon after; `open_store` runs this."""
        await self._writes.flush_for_ever()

    async def close(self) -> None:
        """Write what was appended, and close; `open_store` calls this. Failures are logged."""
        if owed := [rows.endpoint_row(record, decided=False) for record in self._refresh.owed()]:
            self._writes.lay_down(partial(writer.write_endpoints, endpoints=owed))
        await self._writes.close()
        if self._files is None:
            return
        try:
            await self._run_sync(self._files.close, limiter=self._limiter)
        except StoreError as error:
            log.error("the database was not closed cleanly: %s", error)  # noqa: TRY400 - says it all

    async def records(self) -> dict[str, Record]:
        """Every endpoint ever kept, by name."""
        return await self._run(readers.records)

    async def commit(self, entry: Entry) -> Transition | None:
        """Write *entry*, and all that was appended before it, now; returns the transition with its id."""
        rows_of = writer.EntryRows.of(entry, self._upkeep.presence.look())
        ident = await self._writes.write(partial(writer.write_entry, entry=rows_of))
        self._refresh.done(entry.record, self._clock.monotonic())
        if entry.decision is None or entry.decision.transition is None or ident is None:
            return None
        return attrs.evolve(entry.decision.transition, id=ident)

    def append(self, entry: Entry) -> None:
        """Write *entry* soon: within 100 ms or 256 entries, together with others."""
        if entry.decision is not None:
            raise ValueError("an entry with a decision wants commit()")
        refresh = entry.observation is None or self._refresh.is_due(entry.record, self._clock.monotonic())
        self._writes.lay_down(partial(writer.write_entry, entry=writer.EntryRows.of(entry, refresh=refresh)))

    async def transitions(
        self, *, endpoints: Collection[str] | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[Transition]:
        """Transitions in order of id, those with a larger id than *after*; *endpoints* None: of all."""
        return await self._run(partial(readers.transitions, endpoints=endpoints, after=after, limit=limit))

    async def latest(self, endpoint: str, *, limit: int) -> Sequence[Transition]:
        """The last transitions of *endpoint*, newest first, at most *limit*."""
        return await self._run(partial(readers.latest, endpoint=endpoint, limit=limit))

    async def uptime(
        self, *, endpoints: Collection[str] | None = None, windows: Mapping[str, timedelta], now: datetime
    ) -> dict[str, dict[str, float | None]]:
        """For each endpoint, for each of *windows* up to *now*, the fraction of uptime; None: nothing of it counts."""
        self._upkeep.presence.look()
        read = partial(spans.uptime, windows=windows, now=now, here_since=self._upkeep.presence.since)
        few = endpoints is not None and len(endpoints) < _FEW
        found: dict[str, dict[str, float | None]] = {}
        for some in endpoints if endpoints is not None and few else await self._run(spans.slices):
            found |= await self._run(partial(read, endpoints=some))  # others write in between
        if endpoints is None:
            return found
        return {name: found.get(name) or dict.fromkeys(windows) for name in endpoints}

    async def series(self, endpoint: str, *, window: timedelta, now: datetime) -> Series | None:
        """What a chart of the *window* before *now* shows; None where nothing was ever kept of *endpoint*."""
        self._upkeep.presence.look()
        since = self._upkeep.presence.since
        plan = await self._run(partial(series.plan, endpoint=endpoint, window=window, now=millis(now)))
        if plan is None:
            return None
        for piece in plan.pieces:  # others write in between
            await self._run(partial(plan.read, piece=piece))
        lives = partial(spans.lives, endpoints=endpoint, since=moment(plan.start), now=now, here_since=since)
        return plan.series((await self._run(lives)).get(endpoint, NEVER))

    async def results(self, *, after: int, before: int, limit: int) -> Sequence[Result]:
        """Results of all endpoints with an id between the two, both excluded, newest first, at most *limit*."""
        return await self._run(partial(readers.results, after=after, before=before, limit=limit))

    async def mark(self, marks: Collection[Maintenance]) -> None:
        """Keep when endpoints are in maintenance; one with the same beginning is replaced, its end may be to come."""
        await self._writes.write(partial(spans.mark, marks=tuple(marks)))

    async def marked(self, now: datetime) -> Sequence[Maintenance]:
        """What `mark` kept of maintenance that is not over *now*."""
        return await self._run(partial(spans.marked, now=now))

    async def incidents(
        self,
        *,
        endpoints: Collection[str] | None = None,
        after: int = 0,
        limit: int = 100,
        only_open: bool = False,
    ) -> Sequence[Incident]:
        """Incidents in order of their number, those with a larger one than *after*; *endpoints* None: of all."""
        asked = partial(readers.incidents, endpoints=endpoints, after=after, limit=limit, only_open=only_open)
        return await self._run(asked)

    async def latest_incidents(
        self, *, endpoints: Collection[str] | None = None, before: int, limit: int
    ) -> Sequence[Incident]:
        """Incidents, newest first, those with a smaller number than *before*; *endpoints* None: of all."""
        asked = partial(readers.latest_incidents, endpoints=endpoints, before=before, limit=limit)
        return await self._run(asked)

    async def due(self, now: datetime, *, room: Mapping[str, int], busy: Collection[int] = ()) -> Sequence[Delivery]:
        """Deliveries to try now: the first pending of each lane, unless its id is in *busy*; *room* for each sink."""
        return await self._run(partial(readers.due, now=now, room=dict(room), busy=frozenset(busy)))

    async def next_due(self, *, sinks: Collection[str], busy: Collection[int] = ()) -> datetime | None:
        """When the earliest first-of-its-lane of *sinks*, not in *busy*, is due; None: nothing waits."""
        return await self._run(partial(readers.next_due, sinks=frozenset(sinks), busy=frozenset(busy)))

    async def sent(self, sink: str, *, since: datetime, limit: int) -> Sequence[datetime]:
        """When *sink* took its latest messages, at most *limit*, newest first, those after *since*."""
        return await self._run(partial(readers.sent, sink=sink, since=since, limit=limit))

    async def behind(self, delivery: int, *, limit: int) -> Sequence[Delivery]:
        """The pending deliveries that follow *delivery* in its lane, in order, at most *limit*."""
        return await self._run(partial(readers.behind, delivery=delivery, limit=limit))

    async def members(self, delivery: int) -> Sequence[Delivery]:
        """The pending deliveries of the digest that *delivery* is part of, in order of id; empty without a digest."""
        return await self._run(partial(readers.members, delivery=delivery))

    async def bundle(self, deliveries: Collection[int], *, digest: str) -> None:
        """Fix *deliveries*, all to one sink, as one message called *digest*: what goes out together, for good."""
        await self._writes.write(partial(writer.bundle, deliveries=tuple(deliveries), digest=digest))

    async def settle(self, *deliveries: int, attempts: int, at: datetime) -> None:
        """They were delivered, all of them in one message."""
        await self._finish(deliveries, state="delivered", attempts=attempts, at=at, error=None)

    async def postpone(
        self, *deliveries: int, attempts: int, first_try_at: datetime, not_before: datetime, error: str
    ) -> None:
        """They failed and are to be tried again."""
        await self._writes.write(
            partial(
                writer.postpone,
                deliveries=deliveries,
                attempts=attempts,
                first_try_at=first_try_at,
                not_before=not_before,
                error=error,
            )
        )

    async def bury(self, *deliveries: int, attempts: int, error: str, at: datetime) -> None:
        """They are dead: kept, listed, no longer in the way of the next."""
        await self._finish(deliveries, state="dead", attempts=attempts, at=at, error=error)

    async def _finish(
        self, deliveries: Collection[int], *, state: str, attempts: int, at: datetime, error: str | None
    ) -> None:
        done = partial(writer.finish_all, deliveries=deliveries, state=state, attempts=attempts, at=at, error=error)
        await self._writes.write(done)

    async def abandon(self, *, keep: Collection[str], busy: Collection[int] = (), error: str, at: datetime) -> int:
        """Bury every pending delivery, not in *busy*, to a sink not in *keep*; how many there were."""
        count = 0
        for sink in await self._run(readers.waiting_sinks):  # asked often, and nearly always there is none to bury
            while sink not in keep:
                some = partial(writer.abandon, sink=sink, busy=frozenset(busy), error=error, at=at, limit=_ABANDON)
                done = await self._writes.write(some)
                count += done
                if done < _ABANDON:
                    break
        return count

    async def pending(self) -> int:
        """How many deliveries wait."""
        return await self._run(readers.pending)

    async def letters(
        self, *, states: Collection[str] = ("pending", "dead"), sink: str | None = None, after: int = 0, limit: int
    ) -> Sequence[Letter]:
        """Deliveries that wait or are dead, in order of id: those with a larger id than *after*, to *sink* if given."""
        return await self._run(
            partial(letters.letters, states=tuple(states), sink=sink, after=min(after, 2**63 - 1), limit=limit)
        )

    async def letter_counts(self) -> Mapping[str, int]:
        """How many are `pending`, and how many `dead`."""
        return await self._run(letters.counts)

    async def last_words(self, sink: str) -> Sequence[Delivery]:
        """What *sink* was told last of each endpoint, of its incidents and of its flapping."""
        return await self._run(partial(letters.last_words, sink=sink))

    async def put_back(
        self, ids: Collection[int] | None, *, sink: str | None, sinks: Collection[str], force: bool, at: datetime
    ) -> PutBack:
        """Make dead deliveries pending again, in their places in their lanes and as if never tried."""
        wanted = None if ids is None else tuple(ids)
        return await self._writes.write(
            partial(letters.put_back, ids=wanted, sink=sink, sinks=frozenset(sinks), force=force, at=at)
        )

    async def note(self, key: str, value: Any, alerts: Sequence[Alert] = ()) -> None:
        """Keep *value* under *key*, and write *alerts* with their deliveries, in one transaction."""
        text = rows.note_text(value)
        await self._writes.write(partial(writer.write_note, key=key, value=text, alerts=writer.alert_rows(alerts)))

    async def noted(self, key: str) -> Any:
        """What `note` kept last under *key*, or None."""
        return await self._run(partial(readers.noted, key=key))
