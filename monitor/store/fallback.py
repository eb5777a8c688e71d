"""A store that goes on when its database does not: probing and alerting never wait for a disk.

Theory of operation. All goes to the database as long as that works. The first write that fails because the database
is *unavailable* (full, locked, gone, damaged) begins a time in which everything is kept in memory (`kept`), and alerts
are delivered from there. Every second the database is tried again: one transaction writes all that was kept
(`merge`), and all is as before. Until then nothing else is written to it, so a crash finds it as it was when the
trouble began, and what happened since is seen and told again.

A database whose file is gone is made again from what the open connection still holds; one that is damaged is set
aside and an empty one begun, into which all that is known is written. A full disk at the start: what is there is
read, and the rest is as above.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from monitor.core.errors import DamagedError, StoreError, UnavailableError
from monitor.store import letters, readers, writer
from monitor.store.kept import NEW, Kept
from monitor.store.merge import merge
from monitor.store.seed import Seed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from monitor.core.model import Alert, Delivery, Incident, Letter, PutBack, Transition
    from monitor.core.ports import Clock
    from monitor.core.rollup import Series
    from monitor.store import Entry, Maintenance, Record, Result
    from monitor.store.listener import Listener
    from monitor.store.sqlite import SqliteStore

T = TypeVar("T")


PAUSE = 1.0  # seconds until the database is tried again
MOST_SEEDED = 10_000  # deliveries that waited when the trouble began and are delivered meanwhile

log = logging.getLogger(__name__)


class SteadyStore:
    """A `Store`; none of its writes raises UnavailableError."""

    def __init__(self, main: SqliteStore, clock: Clock) -> None:
        """Go to *main* as long as that works."""
        self.coalesced = 0  # deliveries that were not made, because what they said was no longer true
        self._main = main
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._kept: Kept | None = None
        self._damaged = False
        self._dropped = 0
        self._next_id = NEW
        self._moved: dict[int, int] = {}  # a delivery's id in memory -> in the database
        self._listener: Listener | None = None
        self._why: str | None = None  # it is away
        self._trouble = trio.Event()
        self._turn = trio.Lock()  # to begin, to end, and to use what is in memory

    # What keeps it going.

    async def run(self) -> None:
        """Write what is appended, and bring the database back when it is away; `opening` runs this."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._main.flush_for_ever)
            nursery.start_soon(self._watch_results)
            while True:
                await self._trouble.wait()
                while self._kept is not None:
                    await trio.sleep(PAUSE)
                    with trio.CancelScope(shield=True):
                        await self._try_again()

    async def _watch_results(self) -> None:
        """Notice trouble when nothing but results is written, too."""
        while True:
            error = await self._main.failure()
            if self._kept is None and isinstance(error, UnavailableError):
                await self._begin(error)
            await trio.sleep(PAUSE)

    async def close(self) -> None:
        """Write what can be written, and close; `opening` calls this."""
        if self._kept is not None:
            await self._try_again()
        if self._kept is not None:
            lost = readers.pending(self._kept.db)
            log.error("the database cannot be written at the end: what was kept in memory is lost, %d alerts too", lost)
        await self._main.close()

    @property
    def trouble(self) -> str | None:
        """Why the database is away, if it is; one sentence."""
        return self._why

    @property
    def loss(self) -> str | None:
        """Why the database was begun anew, if it was damaged; one sentence."""
        return self._main.loss

    def report_to(self, listener: Listener) -> None:
        """Tell *listener* of all trouble, that of before included."""
        self._listener = listener
        if self.loss is not None:
            listener.happened("damage", self.loss)
        if self._why is not None:
            listener.begins("store", self._why)

    @property
    def dropped(self) -> int:
        """How many results were never written."""
        return self._main.dropped + self._dropped + (self._kept.dropped if self._kept else 0)

    def begin_without(
        self, error: StoreError, records: dict[str, Record], seed: Seed, notes: Mapping[str, str]
    ) -> None:
        """Begin with a database that could be read, and no more."""
        self._records = dict(records)
        self._keep(error, seed)
        assert self._kept is not None  # noqa: S101
        self._kept.notes.update(notes)

    async def _begin(self, error: UnavailableError) -> None:
        async with self._turn:
            if self._kept is not None:
                return
            self._damaged = isinstance(error, DamagedError)
            try:
                seed = await self._main.seed(MOST_SEEDED)
            except StoreError:
                seed = Seed()
            self._keep(error, seed)

    def _keep(self, error: StoreError, seed: Seed) -> None:
        self._why = f"alerts and results are kept in memory until the database can be written: {error}"
        log.error("%s", self._why)
        self._kept = Kept(seed, self._next_id)
        if self._listener is not None:
            self._listener.begins("store", self._why)
        self._trouble.set()

    async def _try_again(self) -> None:
        async with self._turn:
            kept, now, loss = self._kept, self._clock.wall(), self.loss
            assert kept is not None  # noqa: S101 - nobody else ends it
            try:
                fresh = await self._main.revive(damaged=self._damaged, now=now)
                self._damaged = False
                work = partial(merge, kept=kept, records=self._records, fresh=fresh, now=now)
                self._moved = await self._main.apply(work)
            except StoreError as error:  # also one that is no longer ours: all goes on as it does without a database
                self._damaged = isinstance(error, DamagedError)
                return
            self._next_id = max(self._next_id, *self._moved, NEW) + 1
            self._dropped += kept.dropped
            self.coalesced += kept.coalesced
            self._kept = None
            self._trouble = trio.Event()
            kept.close()
            self._why = None
            log.info("the database can be written again; all that was kept is in it")
            if self._listener is not None:
                self._listener.ends("store")
                if self.loss not in (None, loss):
                    self._listener.happened("damage", self.loss or "")

    async def _do(self, on_main: Callable[[], Awaitable[T]], on_kept: Callable[[Kept], T]) -> T:
        """Do the one, or where the database is away, the other."""
        our_turn = False
        while True:
            # Else somebody is about to begin. Once it has been our turn, who holds the lock is no matter: several
            # who wait would hand it round among them for ever.
            if self._kept is None and (our_turn or not self._turn.locked()):
                try:
                    return await on_main()
                except UnavailableError as error:
                    await self._begin(error)
            async with self._turn:
                if self._kept is not None:
                    return on_kept(self._kept)
            our_turn = True

    def _now(self, deliveries: Collection[int]) -> tuple[int, ...]:
        """Their ids in the database, or in memory where it does not have them yet."""
        return tuple(self._moved.get(each, each) for each in deliveries)

    # What is known.

    async def records(self) -> dict[str, Record]:
        """Every endpoint ever kept, by name."""
        if self._kept is None:
            self._records = await self._main.records()
        return dict(self._records)

    async def commit(self, entry: Entry) -> Transition | None:
        """Write *entry* now, or keep it; a transition that is only kept has no id yet."""
        done = await self._do(partial(self._main.commit, entry), lambda kept: kept.commit(entry, self._clock.wall()))
        self._records[entry.record.name] = entry.record
        return done

    def append(self, entry: Entry) -> None:
        """Write *entry* soon, or keep it."""
        if self._kept is None:
            self._main.append(entry)
        elif entry.decision is not None:
            raise ValueError("an entry with a decision wants commit()")
        else:
            self._kept.append(entry)
        self._records[entry.record.name] = entry.record

    async def transitions(
        self, *, endpoints: Collection[str] | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[Transition]:
        """Transitions in order of id, those with a larger id than *after*; what is only kept is not among them."""
        return await self._main.transitions(endpoints=endpoints, after=after, limit=limit)

    async def latest(self, endpoint: str, *, limit: int) -> Sequence[Transition]:
        """The last transitions of *endpoint*, newest first, at most *limit*."""
        return await self._main.latest(endpoint, limit=limit)

    async def uptime(
        self, *, endpoints: Collection[str] | None = None, windows: Mapping[str, timedelta], now: datetime
    ) -> dict[str, dict[str, float | None]]:
        """See `Store.uptime`."""
        return await self._main.uptime(endpoints=endpoints, windows=windows, now=now)

    async def series(self, endpoint: str, *, window: timedelta, now: datetime) -> Series | None:
        """See `Store.series`."""
        return await self._main.series(endpoint, window=window, now=now)

    async def results(self, *, after: int, before: int, limit: int) -> Sequence[Result]:
        """See `Store.results`; what is only kept is not among them."""
        return await self._main.results(after=after, before=before, limit=limit)

    async def mark(self, marks: Collection[Maintenance]) -> None:
        """Keep when endpoints are in maintenance."""
        await self._do(partial(self._main.mark, marks), lambda kept: kept.mark(marks))

    async def marked(self, now: datetime) -> Sequence[Maintenance]:
        """See `Store.marked`; what is only kept is not among them."""
        return await self._main.marked(now)

    async def incidents(
        self,
        *,
        endpoints: Collection[str] | None = None,
        after: int = 0,
        limit: int = 100,
        only_open: bool = False,
    ) -> Sequence[Incident]:
        """See `Store.incidents`; what is only kept is not among them."""
        return await self._main.incidents(endpoints=endpoints, after=after, limit=limit, only_open=only_open)

    async def latest_incidents(
        self, *, endpoints: Collection[str] | None = None, before: int, limit: int
    ) -> Sequence[Incident]:
        """See `Store.latest_incidents`; what is only kept is not among them."""
        return await self._main.latest_incidents(endpoints=endpoints, before=before, limit=limit)

    async def note(self, key: str, value: Any, alerts: Sequence[Alert] = ()) -> None:
        """Keep *value* under *key*, and write *alerts* with their deliveries."""
        await self._do(partial(self._main.note, key, value, alerts), lambda kept: kept.note(key, value, alerts))

    async def noted(self, key: str) -> Any:
        """What `note` kept last under *key*, or None."""
        if self._kept is not None and key in self._kept.notes:
            return self._kept.noted(key)
        return await self._main.noted(key)

    # The outbox.

    async def due(self, now: datetime, *, room: Mapping[str, int], busy: Collection[int] = ()) -> Sequence[Delivery]:
        """Deliveries to try now; see `Store.due`."""
        return await self._do(
            lambda: self._main.due(now, room=room, busy=self._now(busy)),
            lambda kept: kept.due(now, room=dict(room), busy=frozenset(self._now(busy))),
        )

    async def next_due(self, *, sinks: Collection[str], busy: Collection[int] = ()) -> datetime | None:
        """When the earliest first-of-its-lane is due; see `Store.next_due`."""
        return await self._do(
            lambda: self._main.next_due(sinks=sinks, busy=self._now(busy)),
            lambda kept: readers.next_due(kept.db, sinks=frozenset(sinks), busy=frozenset(self._now(busy))),
        )

    async def sent(self, sink: str, *, since: datetime, limit: int) -> Sequence[datetime]:
        """See `Store.sent`; what was sent since the trouble began is not among it."""
        return await self._do(partial(self._main.sent, sink, since=since, limit=limit), lambda _: ())

    async def behind(self, delivery: int, *, limit: int) -> Sequence[Delivery]:
        """The pending deliveries that follow *delivery* in its lane, in order, at most *limit*."""
        return await self._do(
            lambda: self._main.behind(*self._now((delivery,)), limit=limit),
            lambda kept: kept.behind(*self._now((delivery,)), limit=limit),
        )

    async def members(self, delivery: int) -> Sequence[Delivery]:
        """The pending deliveries of the digest that *delivery* is part of, in order of id; empty without a digest."""
        return await self._do(
            lambda: self._main.members(*self._now((delivery,))),
            lambda kept: readers.members(kept.db, delivery=self._now((delivery,))[0]),
        )

    async def bundle(self, deliveries: Collection[int], *, digest: str) -> None:
        """Fix *deliveries* as one message."""
        await self._do(
            lambda: self._main.bundle(self._now(deliveries), digest=digest),
            lambda kept: kept.bundle(self._now(deliveries), digest=digest),
        )

    async def settle(self, *deliveries: int, attempts: int, at: datetime) -> None:
        """They were delivered, all of them in one message."""
        step = partial(writer.finish_all, state="delivered", attempts=attempts, at=at, error=None)
        await self._do(
            lambda: self._main.settle(*self._now(deliveries), attempts=attempts, at=at),
            lambda kept: kept.settle(self._now(deliveries), step),
        )

    async def postpone(
        self, *deliveries: int, attempts: int, first_try_at: datetime, not_before: datetime, error: str
    ) -> None:
        """They failed and are to be tried again."""
        how = {"attempts": attempts, "first_try_at": first_try_at, "not_before": not_before, "error": error}
        await self._do(
            lambda: self._main.postpone(*self._now(deliveries), **how),  # type: ignore[arg-type]
            lambda kept: kept.settle(self._now(deliveries), partial(writer.postpone, **how)),  # type: ignore[arg-type]
        )

    async def bury(self, *deliveries: int, attempts: int, error: str, at: datetime) -> None:
        """They are dead: kept, listed, no longer in the way of the next."""
        step = partial(writer.finish_all, state="dead", attempts=attempts, at=at, error=error)
        await self._do(
            lambda: self._main.bury(*self._now(deliveries), attempts=attempts, error=error, at=at),
            lambda kept: kept.settle(self._now(deliveries), step),
        )

    async def abandon(self, *, keep: Collection[str], busy: Collection[int] = (), error: str, at: datetime) -> int:
        """Bury every pending delivery to a sink not in *keep*; where the database is away, when it is back."""
        return await self._do(
            lambda: self._main.abandon(keep=keep, busy=self._now(busy), error=error, at=at), lambda _: 0
        )

    async def pending(self) -> int:
        """How many deliveries wait."""
        return await self._do(self._main.pending, lambda kept: readers.pending(kept.db))

    async def letters(self, **asked: Any) -> Sequence[Letter]:
        """Deliveries that wait or are dead, see `Store.letters`; meanwhile those that are known in memory."""
        return await self._do(lambda: self._main.letters(**asked), lambda kept: letters.letters(kept.db, **asked))

    async def letter_counts(self) -> Mapping[str, int]:
        """How many are `pending`, and how many `dead`."""
        return await self._do(self._main.letter_counts, lambda kept: letters.counts(kept.db))

    async def last_words(self, sink: str) -> Sequence[Delivery]:
        """What *sink* was told last; StoreError while the database, which knows, is away."""
        return await self._do(lambda: self._main.last_words(sink), _not_now)

    async def put_back(self, ids: Collection[int] | None, **asked: Any) -> PutBack:
        """Make dead deliveries pending again, see `Store.put_back`; StoreError while the database is away."""
        wanted = None if ids is None else self._now(ids)
        return await self._do(lambda: self._main.put_back(wanted, **asked), _not_now)


def _not_now(_: Kept) -> Any:
    raise StoreError("that is known once the database can be used again")
