"""From an observation to everything that follows: state, incident, alerts, in one transaction.

The records kept here are a copy of what the store holds, so that a decision never waits for a read; the store is
written first, and a decision that could not be written has not been made.
"""

from __future__ import annotations

import collections
import logging
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.alerting import Situation, decide, described, leave
from monitor.core.errors import StoreError
from monitor.core.health import Health, advance
from monitor.core.model import State
from monitor.live import LiveFeed, Moved, Observed
from monitor.store import Entry, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from monitor.core.alerting import Decision
    from monitor.core.model import Endpoint, Observation, Thresholds
    from monitor.core.ports import Clock, Rand
    from monitor.store import Store

log = logging.getLogger(__name__)


class Recorder:
    """Takes observations in; hands alerts to the outbox by *ring*, and news to *feed*."""

    def __init__(self, store: Store, *, clock: Clock, rand: Rand, feed: LiveFeed, ring: Callable[[], None]) -> None:
        """Begin empty; `load` comes next."""
        self.external_url: str | None = None
        self._store = store
        self._clock = clock
        self._rand = rand
        self._feed = feed
        self._ring = ring
        self._records: dict[str, Record] = {}
        self._locks: collections.defaultdict[str, trio.Lock] = collections.defaultdict(trio.Lock)

    @property
    def records(self) -> Mapping[str, Record]:
        """Every endpoint ever kept, by name."""
        return self._records

    async def load(self) -> None:
        """Read what is kept: go on as if there had been no stop."""
        self._records = await self._store.records()

    async def record(self, endpoint: Endpoint, observation: Observation) -> bool:
        """Take *observation* of *endpoint*; say whether a change of state is under way, unconfirmed."""
        lock = self._locks[endpoint.name]
        try:
            lock.acquire_nowait()  # nearly always free; waiting in turn would cost a round of the loop
        except trio.WouldBlock:
            await lock.acquire()
        try:
            after = await self._take(endpoint, observation)
        finally:
            lock.release()
        self._feed.publish(Observed(endpoint, after))
        return after.health.unconfirmed

    async def _take(self, endpoint: Endpoint, observation: Observation) -> Record:
        """Decide and write; return how the endpoint stands after that. One at a time for each endpoint."""
        before = self._records.get(endpoint.name) or Record(name=endpoint.name)
        thresholds = endpoint.thresholds
        health, change = advance(before.health, observation, thresholds)
        decision = None
        if change is not None:
            decision = decide(change, observation.reason, self._situation(endpoint, before))
        after = attrs.evolve(
            _decided(before, decision),
            health=health,
            last=observation,
            watched=True,
            described=described(endpoint, self.external_url),
        )
        entry = Entry(record=after, observation=observation, decision=decision)
        if decision is None and not health.unconfirmed:  # part of no streak, it may wait for others
            self._store.append(entry)
            self._records[endpoint.name] = after
        else:
            await self._write(entry, before)
        _say_what_is_shown(endpoint.name, thresholds, before.health, health, observation)
        return self._records[endpoint.name]

    async def _write(self, entry: Entry, before: Record) -> None:
        """Write *entry* now, to its end: the copy here and the store must not part."""
        with trio.CancelScope(shield=True):
            await self._commit(entry, before)

    async def _commit(self, entry: Entry, before: Record) -> None:
        name = entry.record.name
        try:
            transition = await self._store.commit(entry)
        except StoreError as exc:
            # The streak stands, the state stays: the next observation decides again.
            log.error("%s: could not be written, will be decided again: %s", name, exc)  # noqa: TRY400 - one sentence
            health = attrs.evolve(entry.record.health, state=before.health.state)
            self._records[name] = attrs.evolve(before, health=health, last=entry.record.last)
            return
        self._records[name] = entry.record
        if entry.decision is not None and entry.decision.alerts:
            self._ring()
        if transition is not None:
            after = transition.after or "gone"
            log.info("%s: %s -> %s: %s", name, transition.before, after, transition.reason.message or "ok")
            self._feed.publish(Moved(transition))

    async def forget_all_but(self, names: Collection[str]) -> None:
        """Stop to watch every endpoint not in *names*: close its open incident, keep its sequence."""
        for name, record in tuple(self._records.items()):
            if record.watched and name not in names:
                await self._forget(name)

    async def _forget(self, name: str) -> None:
        async with self._locks[name]:
            before = self._records[name]
            decision = leave(before.health.state, self._left_behind(before))
            gone = attrs.evolve(
                _decided(before, decision), health=Health(), since=None, incident=None, last=None, watched=False
            )
            await self._write(Entry(record=gone, decision=decision), before)

    def _situation(self, endpoint: Endpoint, record: Record) -> Situation:
        return Situation(
            endpoint=endpoint.name,
            described=described(endpoint, self.external_url),
            sinks=endpoint.sinks,
            incident=record.incident,
            sequence=record.sequence,
            now=self._clock.wall(),
            rand=self._rand,
        )

    def _left_behind(self, record: Record) -> Situation:
        """The situation of an endpoint that the config no longer knows: what was said of it last."""
        return Situation(
            endpoint=record.name,
            described=record.described or {"name": record.name},
            sinks=(),
            incident=record.incident,
            sequence=record.sequence,
            now=self._clock.wall(),
            rand=self._rand,
        )


def _say_what_is_shown(
    name: str, thresholds: Thresholds, before: Health, after: Health, observation: Observation
) -> None:
    """Log when `unknown` begins to cover the state, and when it ends: no transition, and not to be silent about."""
    if before.unknowns == after.unknowns:
        return
    was, now = (health.shown(thresholds) is State.UNKNOWN for health in (before, after))
    if now and not was:
        log.warning("%s: cannot tell, shown as unknown: %s", name, observation.reason.message)
    elif was and not now:
        log.info("%s: can tell again: %s", name, after.state)


def _decided(before: Record, decision: Decision | None) -> Record:
    """*before* with what *decision* changes."""
    if decision is None:
        return before
    incident = decision.incident
    return attrs.evolve(
        before,
        since=decision.transition.at,
        sequence=decision.sequence,
        incident=None if incident is None or incident.resolved_at is not None else incident,
    )
