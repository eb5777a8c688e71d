"""From an observation to everything that follows: state, incident, alerts, in one transaction.

The records kept here are a copy of what the store holds, so that a decision never waits for a read; the store is
written first, and a decision that could not be written has not been made. What is said is decided by the review
(core.alerting): after each observation that matters, and whenever the agenda says that something may have changed.
"""

from __future__ import annotations

import collections
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import trio

from monitor import invariants
from monitor.agenda import Agenda
from monitor.core.alerting import Decision, Situation, described, leave, review
from monitor.core.errors import StoreError
from monitor.core.health import Health, advance
from monitor.core.model import Acknowledgement, Code, State, Status
from monitor.holds import NothingHolds
from monitor.live import LiveFeed, Moved, Observed
from monitor.store import Entry, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from monitor.core.health import Change
    from monitor.core.model import Endpoint, Incident, Observation, Route, Thresholds
    from monitor.core.ports import Clock, Rand
    from monitor.holds import Circumstances
    from monitor.store import Ledger

log = logging.getLogger(__name__)

_AGAIN = timedelta(seconds=5)  # after a review that could not be written


class Recorder:
    """Takes observations in; hands alerts to the outbox by *ring*, and news to *feed*."""

    def __init__(
        self,
        store: Ledger,
        *,
        clock: Clock,
        rand: Rand,
        feed: LiveFeed,
        ring: Callable[[], None],
        circumstances: Circumstances | None = None,
    ) -> None:
        """Begin empty; `configure` and `load` come next, then `run` beside the checkers."""
        self.circumstances: Circumstances = circumstances or NothingHolds()
        self.probe_now: Callable[[str], None] = _nobody_probes
        self._store = store
        self._clock = clock
        self._rand = rand
        self._feed = feed
        self._ring = ring
        self._external_url: str | None = None
        self._endpoints: Mapping[str, Endpoint] = {}
        self._routes: Mapping[str, Route] = {}
        self._records: dict[str, Record] = {}
        self._described: dict[str, Mapping[str, Any]] = {}  # by name: the endpoint in the words of alerts
        self._stale: dict[str, datetime | None] = {}  # whose latest counted observation is of before a start or change
        self._children: dict[str, dict[str, None]] = {}  # by parent: those whose `firing` waits because of it
        self._agenda = Agenda(clock)
        self._locks: collections.defaultdict[str, trio.Lock] = collections.defaultdict(trio.Lock)

    @property
    def records(self) -> Mapping[str, Record]:
        """Every endpoint ever kept, by name."""
        return self._records

    def configure(self, endpoints: Iterable[Endpoint], routes: Mapping[str, Route], external_url: str | None) -> None:
        """Speak for *endpoints*, those enabled, from now on; *routes* is what each configured sink wants to hear."""
        before, self._endpoints = self._endpoints, {endpoint.name: endpoint for endpoint in endpoints}
        self._routes = dict(routes)
        self._external_url = external_url
        self._described.clear()
        for name, endpoint in self._endpoints.items():
            if self._is_open(name):
                if before.get(name, endpoint) != endpoint:  # what was found was found of another
                    self._stale[name] = self._records[name].health.counted_at
                self.review_soon((name,))

    async def load(self) -> None:
        """Read what is kept: go on as if there had been no stop."""
        self._records.update(await self._store.records())  # in place: others hold on to it
        for name, record in self._records.items():
            self._note_parents(name, (), record.alerting.parents)
            if self._is_open(name):
                self._stale[name] = record.health.counted_at
        self.review_soon(self._stale)

    async def run(self) -> None:
        """Review whoever is due, until cancelled."""
        await self._agenda.run(self._review)

    def review_open(self) -> None:
        """Hold everything that is not settled against the truth again: something about any of it may have changed."""
        self.review_soon(name for name in self._endpoints if self._is_open(name))

    @property
    def next_review(self) -> datetime | None:
        """When time alone may change what is to be said, if ever."""
        return self._agenda.next_at

    async def catch_up(self) -> None:
        """Review whoever is due by now; where time is not ours to wait for, in place of `run`."""
        await self._agenda.catch_up(self._review)

    def review_soon(self, names: Iterable[str]) -> None:
        """Hold the last words of *names* against the truth again: something about them may have changed."""
        self._agenda.soon(names)

    async def record(self, endpoint: Endpoint, observation: Observation) -> bool:
        """Take *observation* of *endpoint*; say whether a change of state is under way, unconfirmed."""
        lock = self._locks.get(endpoint.name)
        after = None if lock is not None and lock.locked() else self._take_in_passing(endpoint, observation)
        if after is None:
            async with self._locks[endpoint.name]:
                after = await self._take(endpoint, observation)
        self._feed.publish(Observed(endpoint, after))
        if self._children and endpoint.name in self._children:
            self._agenda.soon(self._children[endpoint.name])
        return after.health.unconfirmed

    def _take_in_passing(self, endpoint: Endpoint, observation: Observation) -> Record | None:
        """Take *observation* where nothing follows from it, as from nearly every one; None: something may.

        It is part of no streak, so that it may wait for others to be written, and needs no lock.
        """
        before = self._records.get(endpoint.name)
        if before is None or before.incident is not None or not before.alerting.is_quiet:
            return None
        thresholds = endpoint.thresholds
        health, change = advance(before.health, observation, thresholds)
        after = self._after(before, endpoint, observation, health)
        if change is not None or health.unconfirmed or _warns(after):
            return None
        self._store.append(Entry(record=after, observation=observation))
        self._records[endpoint.name] = after
        _say_what_is_shown(endpoint.name, thresholds, before.health, health, observation)
        return after

    def _after(self, before: Record, endpoint: Endpoint, observation: Observation, health: Health) -> Record:
        """How *endpoint* stands after *observation*, but for what is decided then."""
        words = self._described.get(endpoint.name)
        if words is None:
            words = self._described[endpoint.name] = described(endpoint, self._external_url)
        return attrs.evolve(
            before,
            health=health,
            last=observation,
            failed=observation if observation.status is Status.DOWN else before.failed,
            watched=True,
            described=words,
        )

    async def _take(self, endpoint: Endpoint, observation: Observation) -> Record:
        """Decide and write; return how the endpoint stands after that. One at a time for each endpoint."""
        before = self._records.get(endpoint.name) or Record(name=endpoint.name)
        thresholds = endpoint.thresholds
        health, change = advance(before.health, observation, thresholds)
        after = self._after(before, endpoint, observation, health)
        decision = None
        if change is not None or before.incident is not None or not before.alerting.is_quiet or _warns(after):
            decision = self._decide(endpoint, after, change)
        if decision is not None and _changes(before, decision):
            await self._write(
                Entry(record=_decided(after, decision), observation=observation, decision=decision), before
            )
        elif health.unconfirmed:
            await self._write(Entry(record=after, observation=observation), before)
        else:
            self._store.append(Entry(record=after, observation=observation))
            self._records[endpoint.name] = after
        _say_what_is_shown(endpoint.name, thresholds, before.health, health, observation)
        return self._records[endpoint.name]

    async def _review(self, name: str) -> None:
        """Say what is to be said by now of the endpoint *name*."""
        async with self._locks[name]:
            endpoint, before = self._endpoints.get(name), self._records.get(name)
            if endpoint is None or before is None or not before.watched:
                return
            decision = self._decide(endpoint, before, None)
            if _changes(before, decision):
                await self._write(Entry(record=_decided(before, decision), decision=decision), before)

    def _decide(self, endpoint: Endpoint, record: Record, change: Change | None) -> Decision:
        """Review *endpoint*, that stands as *record* says but for what the review changes."""
        name, health, now = endpoint.name, record.health, self._clock.wall()
        if name in self._stale and self._stale[name] != health.counted_at:
            del self._stale[name]
        hold = None
        if health.state in (State.DOWN, State.DEGRADED) or record.alerting.flapping is not None or change is not None:
            hold = self.circumstances.hold(endpoint, record, self._records, now)
        last = record.last
        decision = review(
            Situation(
                endpoint=endpoint,
                described=described(endpoint, self._external_url),
                routes=self._routes,
                health=health,
                reason=None if last is None or last.status is Status.UNKNOWN else last.reason,
                fresh=name not in self._stale,
                since=record.since,
                incident=record.incident,
                sequence=record.sequence,
                alerting=record.alerting,
                hold=hold,
                suppressed=self._children.get(name, ()),
                now=now,
                rand=self._rand,
            ),
            change,
        )
        self._agenda.put(name, decision.again_at)
        if hold is not None and decision.alerting.held is not None:
            for parent in hold.probe:
                self.probe_now(parent)
        return decision

    async def _write(self, entry: Entry, before: Record) -> None:
        """Write *entry* now, to its end: the copy here and the store must not part."""
        with trio.CancelScope(shield=True):
            await self._commit(entry, before)

    async def _commit(self, entry: Entry, before: Record) -> None:
        name = entry.record.name
        try:
            transition = await self._store.commit(entry)
        except StoreError as exc:
            # The streak stands, the state stays: it is decided again at the next observation, or soon.
            log.error("%s: could not be written, will be decided again: %s", name, exc)  # noqa: TRY400 - one sentence
            health = attrs.evolve(entry.record.health, state=before.health.state)
            self._records[name] = attrs.evolve(
                before, health=health, last=entry.record.last, failed=entry.record.failed
            )
            if entry.observation is None:
                self._agenda.put(name, self._clock.wall() + _AGAIN)
            return
        if entry.decision is not None:
            invariants.check(before, entry.record, entry.decision)
        self._records[name] = entry.record
        self._note_parents(name, before.alerting.parents, entry.record.alerting.parents)
        if entry.decision is not None and entry.decision.alerts:
            self._ring()
        if transition is not None:
            after = transition.after or "gone"
            log.info("%s: %s -> %s: %s", name, transition.before, after, transition.reason.message or "ok")
            self._feed.publish(Moved(transition))

    def _note_parents(self, name: str, before: Collection[str], after: Collection[str]) -> None:
        """Know whom the probes of each parent concern; have the parents name *name* as suppressed."""
        for parent in before:
            if parent not in after:
                self._children[parent].pop(name, None)
                if not self._children[parent]:
                    del self._children[parent]
        new = [parent for parent in after if parent not in before]
        for parent in new:
            self._children.setdefault(parent, {})[name] = None
        self.review_soon(new)

    async def acknowledge(self, incident: str, *, by: str, comment: str) -> Incident | None:
        """Stop the reminders of the open *incident*; None where there is none. Raises StoreError."""
        name = next(
            (name for name, each in self._records.items() if each.incident and each.incident.id == incident), None
        )
        if name is None:
            return None
        async with self._locks[name]:
            before = self._records[name]
            if before.incident is None or before.incident.id != incident:
                return None
            known = Acknowledgement(at=self._clock.wall(), by=by, comment=comment)
            after = attrs.evolve(before, incident=attrs.evolve(before.incident, acknowledged=known))
            with trio.CancelScope(shield=True):
                await self._store.commit(Entry(record=after))
                self._records[name] = after
        self.review_soon((name,))
        return after.incident

    async def forget_all_but(self, names: Collection[str]) -> None:
        """Stop to watch every endpoint not in *names*: close its open incident, keep its sequence."""
        for name, record in tuple(self._records.items()):
            if record.watched and name not in names:
                await self.forget(name)

    async def forget(self, name: str) -> None:
        """Stop to watch the endpoint *name*, which is known."""
        async with self._locks[name]:
            before = self._records[name]
            decision = leave(
                before.health.state,
                described=before.described or {"name": name},
                incident=before.incident,
                sequence=before.sequence,
                alerting=before.alerting,
                now=self._clock.wall(),
                rand=self._rand,
            )
            gone = Record(
                name=name,
                sequence=before.sequence if decision is None else decision.sequence,
                watched=False,
                described=before.described,
            )
            self._agenda.put(name, None)
            self._stale.pop(name, None)
            await self._write(Entry(record=gone, decision=decision), before)

    def _is_open(self, name: str) -> bool:
        """May a review of the endpoint *name* have anything to say without a new observation?"""
        record = self._records.get(name)
        if record is None or not record.watched:
            return False
        bad = record.health.state in (State.DOWN, State.DEGRADED)
        return bad or record.incident is not None or not record.alerting.is_quiet


def _nobody_probes(_name: str) -> None:
    """Stand in for the supervisor as long as there is none."""


def _warns(record: Record) -> bool:
    """Does a certificate begin to warn, of an endpoint that is degraded already?"""
    if record.health.state is not State.DEGRADED or record.alerting.certificate or record.last is None:
        return False
    return record.last.reason.code is Code.TLS


def _changes(before: Record, decision: Decision) -> bool:
    """Is there anything in *decision* that must be written?"""
    return (
        decision.transition is not None
        or bool(decision.alerts)
        or decision.alerting != before.alerting
        or decision.incident != before.incident
    )


def _decided(record: Record, decision: Decision) -> Record:
    """*record* with what *decision* changes."""
    incident = decision.incident
    return attrs.evolve(
        record,
        since=record.since if decision.transition is None else decision.transition.at,
        sequence=decision.sequence,
        incident=None if incident is None or incident.resolved_at is not None else incident,
        alerting=decision.alerting,
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
