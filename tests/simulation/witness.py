"""What was seen: probes from inside the checks, news from the live feed, rows from the database, receipts at the sinks.

The witness only collects and puts side by side; `invariants` judges.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs
import trio

from monitor.core.health import Health
from monitor.core.model import State, Status
from monitor.live import Moved, Observed
from monitor.store import readers, rows
from simulation.model import Standing
from simulation.network import Condition, Visit

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.config import Config
    from monitor.core.model import Endpoint, Observation, Transition
    from monitor.live import Event
    from monitor.store import Record
    from simulation.network import Receipt
    from simulation.uptime import Times, Told
    from simulation.world import World

_LONG = 600.0  # seconds
_SNAPSHOTS = 5000  # observations of an endpoint that a crash may undo


@attrs.frozen
class Seen:
    """An observation, with what the probe met and what had to follow."""

    endpoint: Endpoint
    observation: Observation
    visit: Visit
    before: State
    wanted: State
    moved: tuple[Transition, ...]
    excused: bool  # a write failed meanwhile
    ended: float  # its probe
    failing_since: float | None  # on the loop's clock
    answered_at: float  # by a reference, latest
    cannot_tell: bool  # the monitor may think that its network is gone


OVERTAKEN = "a later alert was delivered meanwhile"  # the `last_error` of what `outbox retry` came too late for


@attrs.define
class Row:
    """A delivery in the database."""

    id: int
    alert: str
    sink: str
    endpoint: str
    state: str


@attrs.frozen
class Birth:
    """When a delivery was committed, and how everything stood."""

    at: float
    wall: datetime
    set_back: int  # how often the wall clock had been set back
    before: Mapping[str, str | None]  # states of the endpoints when the delivery before it was committed
    after: Mapping[str, str | None]  # … and with this one
    unknown: frozenset[str]  # endpoints shown as unknown


@attrs.define
class Fresh:
    """What is new since the invariants were checked last."""

    seen: list[Seen] = attrs.field(factory=list)
    visits: list[Visit] = attrs.field(factory=list)
    starts: list[tuple[Visit, list[tuple[int, float]]]] = attrs.field(factory=list)  # of this probe and two before
    receipts: list[Receipt] = attrs.field(factory=list)
    transitions: list[Transition] = attrs.field(factory=list)
    alerts: list[dict[str, Any]] = attrs.field(factory=list)
    deliveries: list[Row] = attrs.field(factory=list)


class Witness:
    """See above."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fresh = Fresh()
        self.standing: defaultdict[str, Standing] = defaultdict(Standing)
        self.in_flight: defaultdict[str, int] = defaultdict(int)
        self._failing: set[str] = set()  # whose latest probe met a fault
        self.begins_to_fail = trio.Event()  # happens each time a probe is the first that does; then there is a new one
        self.told_its_end: dict[str, set[str]] = {}  # sinks that heard that an incident is over, by its id
        self.receipts: defaultdict[tuple[str, str], list[Receipt]] = defaultdict(list)  # by sink and alert
        self.heard: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # first receipts, by sink and endpoint
        self.in_doubt: set[tuple[str, str]] = set()  # taken, and not yet settled when a life ended
        self.alerts: dict[str, dict[str, Any]] = {}  # documents, by id
        self.bodies: dict[str, bytes] = {}
        self.documents: dict[str, dict[str, Any]] = {}  # of all that was received, by id
        self.rows: dict[int, Row] = {}
        self.numbers: dict[tuple[str, str], int] = {}  # of the delivery, by sink and alert
        self.pending: set[int] = set()
        self.born: dict[int, Birth] = {}  # deliveries
        self.set_back = 0
        self.unheard_of: list[Receipt] = []  # came, and are not in the database: it does without for a while
        self.failures = 0  # of the disk, in all lives
        self.failures_at: dict[str, int | None] = {}  # when the latest alert of an endpoint was written
        self.failed_lately = True
        self.lost: set[str] = set()  # delivered while the database did without, and never written
        self.spoke: dict[tuple[str, str], Birth] = {}  # the last firing or reminder, by sink and endpoint
        self.flaps_at: dict[str, set[str]] = {}  # endpoints that a sink was told flap, by sink
        self._born_until = 0
        self._states: Mapping[str, str | None] = {}
        self.incidents: dict[str, tuple[datetime, datetime | None]] = {}  # as they must be, by id
        self.transitions: dict[str, list[Transition]] = defaultdict(list)  # by incident
        self.problems: list[tuple[str, str]] = []  # seen where it happened: what kind, and a sentence
        self.sequences: dict[str, int] = {}  # of each endpoint's latest alert
        self.starts: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)  # of the last probes: life, when
        self.over = False
        self.uptimes: Told | None = None  # as the store told them last
        self.observed_at = -1e9
        self._left: dict[str, datetime] = {}  # those who were let go, and whether they are is still to be seen
        self._snapshots: defaultdict[str, deque[tuple[Any, Standing]]] = defaultdict(lambda: deque(maxlen=_SNAPSHOTS))
        self._under_way: set[Visit] = set()
        self._buried: set[tuple[str, str | None]] = set()  # sink and incident of dead letters
        self._ended: dict[str, Visit] = {}  # probes over whose observation is still to come
        self._moved: defaultdict[str, list[Transition]] = defaultdict(list)
        self._forgotten: dict[str, int] = {}  # no longer watched: failures of the disk at that time
        self._failures: dict[str, int] = {}
        self._told: set[tuple[Any, ...]] = set()  # transitions that the feed has told; their ids may change
        self._channel: trio.MemoryReceiveChannel[Event] | None = None
        self._last = {"transitions": 0, "deliveries": 0}

    # Probes.

    def begins(self, name: str) -> Visit:
        """A probe of *name* begins."""
        self.drain()
        if (failures := self._forgotten.pop(name, None)) is not None:
            self._begins_anew(name, sure=failures == self.world.disk.failures)
        endpoint = self.configured[name]
        stalled = self.world.clock.stalled_before_now()
        visit = Visit(name, endpoint, trio.current_time(), float(endpoint.timeout), stalled)
        self.starts[name] = [*self.starts[name][-2:], (self.world.life, visit.began)]
        self.fresh.starts.append((visit, self.starts[name]))
        self._under_way.add(visit)
        self.in_flight[name] += 1
        if self.in_flight[name] > 1:
            self._report("in flight", f"{name}: {self.in_flight[name]} probes in flight")
        return visit

    def stalls(self, seconds: float) -> None:
        """The loop is about to stand still."""
        for visit in self._under_way:
            visit.jumped += seconds

    def _begins_anew(self, name: str, *, sure: bool) -> None:
        """*name* is watched again; *sure*: nothing kept the daemon from writing down that it was not."""
        fresh = self.world.daemon.records()[name].health == Health()
        if fresh:
            self._leaves(name)
            return
        self._left.pop(name, None)
        if sure:
            self._report("state", f"{name}: came back to the config with the state it had when it left")

    def ends(self, visit: Visit) -> None:
        """It is over; its observation comes next, unless the daemon stops."""
        visit.ended = trio.current_time()
        self._under_way.discard(visit)
        self.in_flight[visit.endpoint] -= 1
        if not visit.faults:
            self._failing.discard(visit.endpoint)
        elif visit.endpoint not in self._failing:
            self._failing.add(visit.endpoint)
            self.begins_to_fail.set()
            self.begins_to_fail = trio.Event()
        self._ended[visit.endpoint] = visit
        self._failures[visit.endpoint] = self.world.disk.failures
        self.fresh.visits.append(visit)

    @property
    def configured(self) -> dict[str, Endpoint]:
        """The endpoints of the config in force."""
        config: Config = self.world.daemon.config
        return {each.name: each for each in config.endpoints}

    # News.

    def life_begins(self, channel: trio.MemoryReceiveChannel[Event], config: Config) -> None:
        """Listen to a new daemon."""
        self._channel = channel
        enabled = {each.name for each in config.enabled}
        for name in self.standing.keys() - enabled:
            self.forgets(name)

    def reloads(self, before: Config, after: Config) -> None:
        """The config *after* takes the place of *before*."""
        self.drain()
        for name in sorted({each.name for each in before.enabled} - {each.name for each in after.enabled}):
            self.forgets(name)

    def forgets(self, name: str) -> None:
        """*name* is watched no longer."""
        self._forgotten[name] = self.world.disk.failures
        self._left[name] = self.world.clock.wall()

    def _leaves(self, name: str) -> None:
        """*name* has been let go."""
        self.standing[name] = self.standing[name].left(self._left.pop(name, self.world.clock.wall()))

    def drain(self) -> None:
        """Take in what the feed has told."""
        while self._channel is not None:
            try:
                event = self._channel.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                return
            match event:
                case Moved(transition):
                    self._told.add((transition.endpoint, transition.at, transition.after))
                    if transition.after is None:  # it left; its incident ends with that, not with a good probe
                        self.incidents.pop(transition.incident or "", None)
                        self._leaves(transition.endpoint)
                    else:
                        self._moved[transition.endpoint].append(transition)
                    self.world.ledger.note("moved", f"{transition.endpoint} {transition.before} -> {transition.after}")
                case Observed(endpoint, record):
                    assert record.last is not None
                    self._take(endpoint, record.last)

    def _take(self, endpoint: Endpoint, observation: Observation) -> None:
        name = endpoint.name
        visit = self._ended.pop(name)
        visit.stalled = self.world.clock.stalled() - visit.stalled
        moved = tuple(self._moved.pop(name, ()))
        excused = self._failures.get(name) != self.world.disk.failures
        self.world.ledger.note("probe", f"{name} {observation.status} {observation.reason.message}")
        before = self.standing[name]
        standing = before.after(observation, endpoint, visit.began)
        wanted, since = before.state, None
        if observation.status is not Status.UNKNOWN:  # which moves nothing, also where a threshold is lower than it was
            wanted, since = standing.wanted(endpoint)
        self.observed_at = trio.current_time()
        itself = self.world.itself
        self.fresh.seen.append(
            Seen(
                endpoint,
                observation,
                visit,
                before.state,
                wanted,
                moved,
                excused,
                visit.ended or visit.began,
                standing.failing_since,
                itself.answered_at,
                itself.cannot_tell(visit.began),
            )
        )
        for transition in moved:
            standing = self._moved_to(standing, transition, since, endpoint)
        self.standing[name] = standing
        self._snapshots[name].append(((observation.started_at, observation.status), standing))

    def _moved_to(
        self, standing: Standing, transition: Transition, since: datetime | None, endpoint: Endpoint
    ) -> Standing:
        """Follow a change, and note the times that its incident must have: as long as the state is worth an alert."""
        began = standing.incident_since
        bad = transition.after in endpoint.alert_on
        if bad and began is None:
            began = since
        elif not bad and began is not None and since is not None:
            assert transition.incident is not None
            self.incidents[transition.incident] = (began, max(since, began))
            began = None
        if began is not None and transition.incident is not None:
            self.incidents[transition.incident] = (began, None)
        times = standing.times
        if since is not None and transition.after is not None:
            times = times.moved(transition.before, transition.after, since)
        return attrs.evolve(standing, state=transition.after, incident_since=began, times=times)

    # Commits.

    def committed(self, db: sqlite3.Connection) -> None:
        """Something may have been committed: note when, and what held then, for each new delivery."""
        (latest,) = db.execute("SELECT coalesce(max(id), 0) FROM deliveries").fetchone()
        if latest <= self._born_until:
            return
        transitions = dict(db.execute("SELECT endpoint, after FROM transitions GROUP BY endpoint HAVING max(id)"))
        wall, records = self.world.clock.wall(), self.records
        unknown = frozenset(name for name, record in records.items() if record.health.unknowns)
        for ident in range(self._born_until + 1, latest + 1):
            self.born[ident] = Birth(trio.current_time(), wall, self.set_back, self._states, transitions, unknown)
        self._born_until, self._states = latest, transitions

    # Receipts.

    def received(self, receipt: Receipt) -> None:
        """A message has arrived."""
        receipt.away = self.world.disk.failing
        before = self.receipts[receipt.sink, receipt.alert]
        kind = receipt.document["type"].removeprefix("alert.")
        data = receipt.document["data"]
        name = (data["endpoint"] or {}).get("name", "")
        again = f", number {len(before) + 1}" if before else ""
        self.world.ledger.note("received", f"{receipt.sink}: {kind} {name} {receipt.alert}{again}")
        if before and before[-1].settled and (receipt.sink, receipt.alert) not in self.in_doubt:
            self._report(
                "duplicate", f"{receipt.alert} came to {receipt.sink} again after its 2xx, with no crash in between"
            )
        self.in_doubt.discard((receipt.sink, receipt.alert))
        if not before:
            self.heard[receipt.sink, name].append(receipt.alert)
        if kind == "resolved":
            self.told_its_end.setdefault(data["incident"]["id"], set()).add(receipt.sink)
        before.append(receipt)
        self.documents[receipt.alert] = receipt.document
        self.fresh.receipts.append(receipt)

    # The database.

    def read(self) -> None:
        """Read what is new in the database."""
        with self.world.disk.reading() as db:
            if db is None:
                return
            latest = self._last["transitions"]
            for transition in readers.transitions(db, endpoints=None, after=latest, limit=1_000_000):
                self._last["transitions"] = transition.id
                self.fresh.transitions.append(transition)
                if transition.incident is not None:
                    self.transitions[transition.incident].append(transition)
            self._read_deliveries(db)

    def _read_deliveries(self, db: Any) -> None:
        for values in db.execute(
            "SELECT id, alert, sink, endpoint, state FROM deliveries WHERE id > ? ORDER BY id",
            (self._last["deliveries"],),
        ):
            row = Row(*values)
            self._last["deliveries"] = row.id
            self.rows[row.id] = row
            self.numbers[row.sink, row.alert] = row.id
            self.pending.add(row.id)
            if row.alert not in self.alerts:
                (body,) = db.execute("SELECT body FROM alerts WHERE id = ?", (row.alert,)).fetchone()
                self.bodies[row.alert] = body
                self.alerts[row.alert] = json.loads(body)
                self.fresh.alerts.append(self.alerts[row.alert])
            self.fresh.deliveries.append(row)
        for ident in sorted(self.pending):
            found = db.execute("SELECT state, last_error FROM deliveries WHERE id = ?", (ident,)).fetchone()
            self.rows[ident].state = found[0] if found else "gone"
            if found and found[0] == "dead" and found[1] == OVERTAKEN:
                self.problems.append(("sequence", f"delivery {ident} was overtaken, and nobody had put it back"))
            if self.rows[ident].state != "pending":
                self.pending.discard(ident)
            if self.rows[ident].state == "dead":
                self.world.messages.died(self.rows[ident].sink, self.rows[ident].alert, found[1] or "")
                incident = self.alerts[self.rows[ident].alert]["data"]["incident"] or {}
                self._buried.add((self.rows[ident].sink, incident.get("id")))

    def life_ended(self) -> None:
        """The process is gone, its files still open: what was not committed never happened."""
        self.drain()
        self._channel = None
        self.in_flight.clear()
        self._under_way.clear()
        self.read()
        self.lost |= {each.alert for each in (*self.unheard_of, *self.fresh.receipts)} - self.bodies.keys()
        self.unheard_of.clear()
        for transition in self.fresh.transitions:  # committed in the last moment, and nobody was told
            if (transition.endpoint, transition.at, transition.after) in self._told:
                continue
            if transition.after is None:  # it left, as in `drain`
                self.incidents.pop(transition.incident or "", None)
            else:
                self._moved[transition.endpoint].append(transition)
        with self.world.disk.reading() as db:
            records = {} if db is None else readers.records(db)
        for name in sorted(self.standing.keys() | records.keys()):
            record = records.get(name)
            if record is None or not record.watched or record.last is None:
                self._leaves(name)
                self._forgotten.pop(name, None)
            else:
                self._forgotten.pop(name, None)
                self._left.pop(name, None)
                self._restore(name, record)
        self._ended.clear()
        self._moved.clear()
        self.in_doubt = {
            (row.sink, row.alert)
            for row in (self.rows[ident] for ident in sorted(self.pending))
            if any(receipt.settled for receipt in self.receipts.get((row.sink, row.alert), ()))
        }

    def _restore(self, name: str, record: Record) -> None:
        """Go back to the observation that was committed last."""
        assert record.last is not None
        key = (record.last.started_at, record.last.status)
        snapshots = self._snapshots[name]
        if any(each == key for each, _ in snapshots):
            while snapshots[-1][0] != key:
                snapshots.pop()
            self.standing[name] = snapshots[-1][1]
        elif name in self._ended:
            self._take(self._ended[name].configured, record.last)
        else:
            self._report("state", f"{name}: the database holds an observation that was never made: {record.last}")

    # For the invariants.

    def _report(self, kind: str, text: str) -> None:
        self.problems.append((kind, text))

    def take_problems(self, kind: str) -> list[str]:
        """The problems of *kind* that were seen where they happened."""
        found = [text for each, text in self.problems if each == kind]
        self.problems = [each for each in self.problems if each[0] != kind]
        return found

    @property
    def records(self) -> Mapping[str, Record]:
        """As the daemon has them."""
        return self.world.daemon.records()

    def truth(self, endpoint: Endpoint) -> State:
        """What *endpoint* really is, by the condition of its host."""
        plan = next(each for each in self.world.scenario.endpoints if each.name == endpoint.name)
        match Condition.OK if plan.host is None else self.world.hosts[plan.host].condition:
            case Condition.OK:
                return State.UP
            case Condition.SLOW:
                return State.DEGRADED if endpoint.degraded.sources else State.UP
            case _:
                return State.DOWN

    def reminder_of(self, name: str) -> float | None:
        """The `reminder_interval` of the endpoint *name*."""
        plan = next((each for each in self.world.scenario.endpoints if each.name == name), None)
        return None if plan is None else plan.reminder

    @property
    def parents(self) -> set[str]:
        """What others depend on."""
        return {parent for each in self.world.scenario.endpoints for parent in each.parents}

    def parents_of(self, name: str) -> tuple[str, ...]:
        """What the endpoint *name* depends on, as far as it is watched: who is not holds nothing."""
        plans = {each.name: each for each in self.world.scenario.endpoints}
        return tuple(each for each in plans[name].parents if plans[each].enabled) if name in plans else ()

    def waits_for_parents(self, name: str) -> bool:
        """Is a parent of *name* really down, or waits for its own?"""
        return any(
            self.truth(self.configured[parent]) is State.DOWN or self.waits_for_parents(parent)
            for parent in self.parents_of(name)
        )

    def number_of(self, sink: str, alert: str) -> int:
        """The place of the delivery of *alert* to *sink* in the outbox; 0: it has none."""
        return self.numbers.get((sink, alert), 0)

    def times_of(self, name: str) -> Times:
        """When the endpoint *name* was watched, down and not to be seen."""
        times = self.standing[name].times
        return times.leaves(self._left[name]) if name in self._left else times

    def waits_long(self) -> set[int]:
        """The deliveries that wait for longer than a digest gathers, or than a few that stand before them take."""
        now = trio.current_time()
        return {ident for ident in self.pending if now - self.born[ident].at > _LONG}

    def still_stands(self, incident: str) -> bool:
        """Is *incident* what some sink knows of an endpoint that is bad again, or still?"""
        words = (word for record in self.records.values() for word in record.alerting.words.values())
        return any(word.incident == incident for word in words)

    def was_buried(self, sink: str, incident: str | None) -> bool:
        """Is an alert of *incident* a dead letter at *sink*?"""
        return (sink, incident) in self._buried

    def open_incident(self, name: str) -> str | None:
        """The id of the incident that is open at *name*."""
        record = self.records.get(name)
        return None if record is None or record.incident is None else record.incident.id

    def is_acknowledged(self, name: str) -> bool:
        """Has somebody said that the open incident of the endpoint *name* is known?"""
        record = self.records.get(name)
        return record is not None and record.incident is not None and record.incident.acknowledged is not None

    def alerts_without_delivery(self) -> int:
        """How many alerts are owed to nobody."""
        with self.world.disk.reading() as db:
            query = "SELECT count(*) FROM alerts WHERE id NOT IN (SELECT alert FROM deliveries)"
            return 0 if db is None else int(db.execute(query).fetchone()[0])

    def read_incidents(self) -> dict[str, tuple[datetime, datetime | None]]:
        """Begin and end of the incidents that changed lately."""
        concerned = {each.incident for each in self.fresh.transitions if each.incident is not None}
        found = {}
        with self.world.disk.reading() as db:
            for ident in sorted(concerned) if db is not None else ():
                query = "SELECT started_at, resolved_at FROM incidents WHERE id = ?"
                began, ended = db.execute(query, (ident,)).fetchone()
                found[ident] = rows.moment(began), None if ended is None else rows.moment(ended)
        return found
