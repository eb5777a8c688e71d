"""`monitor backtest`: recorded results once more through the recorder and its review, with another config.

It is the recorder of the daemon that decides here too; only its clock stands where the recorded result came in, and
its store keeps nothing but what was decided. What is older than the single results is taken as it was: states, open
incidents, and what each sink had been told.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import trio

from monitor.core.alerting import Flapping, Word
from monitor.core.backtest import Alerted, paired, summed
from monitor.core.errors import StoreError
from monitor.core.health import Health
from monitor.core.model import Reason, State, timestamp
from monitor.core.silences import Silence, Silences
from monitor.holds import Holds
from monitor.live import LiveFeed
from monitor.recorder import Recorder
from monitor.silencer import NOTE
from monitor.store import Record
from monitor.store.archive import open_archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from monitor.config import Config
    from monitor.core.backtest import Row, Sum
    from monitor.core.model import Acknowledgement, Incident, Observation, Transition
    from monitor.store import Entry
    from monitor.store.archive import Archive, Sent


@attrs.frozen(kw_only=True)
class Comparison:
    """What came of it."""

    since: datetime  # from here on alerts are compared
    until: datetime
    results_since: datetime | None  # single results go back to here; None: there are none
    rolled_up_since: datetime | None  # and roll-ups to here
    rows: tuple[Row, ...]
    endpoints: Mapping[str, Sum]
    total: Sum
    without_results: tuple[str, ...]  # endpoints of the config
    not_in_config: tuple[str, ...]  # endpoints that were watched

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "since": timestamp(self.since),
            "until": timestamp(self.until),
            "results_since": None if self.results_since is None else timestamp(self.results_since),
            "rolled_up_since": None if self.rolled_up_since is None else timestamp(self.rolled_up_since),
            "alerts": [row.to_json() for row in self.rows],
            "endpoints": {name: each.to_json() for name, each in self.endpoints.items()},
            "total": self.total.to_json(),
            "without_results": list(self.without_results),
            "not_in_config": list(self.not_in_config),
        }


def backtest(config: Config, database: Path, *, since: datetime, now: datetime) -> Comparison:
    """Replay what *database* holds with *config*; compare the alerts from *since* to *now*. Raises StoreError."""
    with open_archive(database) as archive:
        return trio.run(compared, archive, config, since, now)


async def compared(archive: Archive, config: Config, asked: datetime, now: datetime) -> Comparison:
    """See `backtest`."""
    span = archive.span()
    sent = list(archive.alerts())
    transitions = list(archive.transitions())
    incidents = list(archive.incidents())
    first, until = span or (None, now)
    since = max(asked, first or now)
    replay = _Replay(config, _standing_at(first or until, transitions, incidents, sent), _silences(archive))
    if first is not None:
        await replay.run(archive, _happened(transitions, incidents, archive.runs(), first), first)
    rows = paired(
        (Alerted.of(each.document, each.at, each.sinks) for each in sent if each.at >= since),
        (each for each in replay.alerts if each.at >= since),
    )
    endpoints, total = summed(
        rows,
        Counter(each.endpoint for each in incidents if each.started_at >= since),
        Counter(each.endpoint for each in replay.incidents.values() if each.started_at >= since),
    )
    names = {each.name for each in config.enabled}
    return Comparison(
        since=since,
        until=max(until, replay.clock.now),
        results_since=first,
        rolled_up_since=archive.rolled_up_since(),
        rows=tuple(rows),
        endpoints=endpoints,
        total=total,
        without_results=tuple(each.name for each in config.enabled if each.name not in replay.seen),
        not_in_config=tuple(sorted(replay.strangers | {name for name in endpoints if name not in names})),
    )


@attrs.frozen
class Event:
    """Something that no result tells: an endpoint left the config, its incident was acknowledged, or a start."""

    at: datetime
    endpoint: str = ""
    acknowledged: datetime | None = None  # when the incident began
    stopped: datetime | None = None  # the monitor began to run then; the run before had ended here


class _Clock:
    """Stands where the replay says."""

    def __init__(self) -> None:
        self.now = datetime.min.replace(tzinfo=UTC)

    def wall(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return 0.0

    def stalled(self) -> float:
        return 0.0


class _Rand:
    """Identifiers that count."""

    def __init__(self) -> None:
        self._count = 0

    def id(self) -> str:
        self._count += 1
        return f"replayed-{self._count}"

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class _Replay:
    """A recorder without a store, and what it decides. It is its own `Ledger`."""

    def __init__(self, config: Config, records: dict[str, Record], silences: Silences) -> None:
        self.clock = _Clock()
        self.alerts: list[Alerted] = []
        self.incidents: dict[str, Incident] = {}
        self.seen: set[str] = set()
        self.strangers: set[str] = set()
        self._endpoints = {each.name: each for each in config.enabled}
        self._records = {name: record for name, record in records.items() if name in self._endpoints}
        self._silences = silences
        holds = Holds(self._silences_by_now)
        holds.configure(config.enabled, config.maintenance)
        # Whether a parent is found up once more matters to its children.
        self._parents = {parent for each in config.enabled for parent in each.depends_on}
        self._recorder = Recorder(
            self, clock=self.clock, rand=_Rand(), feed=LiveFeed(), ring=lambda: None, circumstances=holds
        )
        self._recorder.configure(config.enabled, {each.name: each.route for each in config.sinks}, config.external_url)

    async def run(self, archive: Archive, happened: list[Event], first: datetime) -> None:
        """Replay everything since *first*, and beside the results what else *happened*, in order."""
        self.clock.now = first
        await self._recorder.load()
        coming = happened[::-1]
        for observation in archive.results(self._is_quiet):
            if (endpoint := self._endpoints.get(observation.endpoint)) is None:
                self.strangers.add(observation.endpoint)
                continue
            now = _ended(observation)
            while coming and coming[-1].at <= now:
                await self._take(coming.pop())
            await self._until(now)
            self.clock.now = now  # which may lie back, where a run of results without consequence was skipped
            await self._recorder.record(endpoint, observation)
            await self._recorder.catch_up()
            self.seen.add(endpoint.name)
        for each in reversed(coming):
            await self._take(each)

    async def _until(self, now: datetime) -> None:
        """Say what time alone would have had said until *now*."""
        while (due := self._recorder.next_review) is not None and due <= now:
            self.clock.now = max(self.clock.now, due)
            await self._recorder.catch_up()

    async def _take(self, event: Event) -> None:
        """Somebody took the endpoint out of the config for a while, acknowledged its incident, or began anew."""
        name = event.endpoint
        await self._until(event.stopped or event.at)
        self.clock.now = event.at
        if event.stopped is not None:
            self._records = dict(self._recorder.records)
            await self._recorder.load()
            await self._recorder.catch_up()
            return
        record = self._recorder.records.get(name)
        if record is None or not record.watched:
            return
        if event.acknowledged is None:
            await self._recorder.forget(name)
        elif record.incident is not None and record.incident.started_at == event.acknowledged:
            await self._recorder.acknowledge(record.incident.id, by="", comment="")

    def _silences_by_now(self) -> Silences:
        now = self.clock.now
        return Silences(tuple(each for each in self._silences.every if each.created_at <= now))

    def _is_quiet(self, name: str) -> bool:
        record = self._recorder.records.get(name)
        return name not in self._endpoints or (
            name not in self._parents
            and record is not None
            and record.health.state is State.UP
            and record.incident is None
            and record.alerting.is_quiet
            and not record.alerting.unsaid
        )

    # What the recorder sees as its store.

    async def records(self) -> dict[str, Record]:
        return dict(self._records)

    def append(self, entry: Entry) -> None:
        pass

    async def commit(self, entry: Entry) -> Transition | None:
        if entry.decision is None:
            return None
        if (incident := entry.decision.incident) is not None:
            self.incidents[incident.id] = incident
        for alert in entry.decision.alerts:
            self.alerts.append(Alerted.of(json.loads(alert.body), alert.created_at, alert.sinks))
        return entry.decision.transition


def _silences(archive: Archive) -> Silences:
    """Everything that was silenced at run time, as far as that is still kept."""
    try:
        return Silences(tuple(Silence.from_json(each) for each in archive.noted(NOTE) or ()))
    except (LookupError, TypeError, ValueError) as exc:
        raise StoreError("the database holds unreadable silences") from exc


def _happened(
    transitions: Iterable[Transition],
    incidents: Iterable[Incident],
    runs: Iterable[tuple[datetime, datetime]],
    first: datetime,
) -> list[Event]:
    """What people did since *first*, in order."""
    left = [Event(each.at, each.endpoint) for each in transitions if each.after is None]
    known = [
        Event(each.acknowledged.at, each.endpoint, each.started_at)
        for each in incidents
        if each.acknowledged is not None
    ]
    starts = [Event(again, stopped=stopped) for (_, stopped), (again, _) in pairwise(runs)]
    return sorted((each for each in left + known + starts if each.at >= first), key=lambda event: event.at)


def _ended(observation: Observation) -> datetime:
    return observation.started_at + timedelta(milliseconds=int(observation.duration * 1000))


def _standing_at(
    moment: datetime,
    transitions: Iterable[Transition],
    incidents: Iterable[Incident],
    sent: Iterable[Sent],
) -> dict[str, Record]:
    """How every endpoint stood at *moment*, as far as it can be told from what was recorded before."""
    records: dict[str, Record] = {}
    for each in transitions:
        if each.at < moment:
            records[each.endpoint] = _moved(records.get(each.endpoint) or Record(name=each.endpoint), each)
    for incident in incidents:
        if incident.started_at < moment and (incident.resolved_at is None or incident.resolved_at >= moment):
            open_then = attrs.evolve(incident, resolved_at=None, acknowledged=_by(incident.acknowledged, moment))
            if incident.endpoint in records:
                records[incident.endpoint] = attrs.evolve(records[incident.endpoint], incident=open_then)
    for alert in sent:
        if alert.at < moment and (name := alert.document["data"]["endpoint"]["name"]) in records:
            records[name] = _told(records[name], alert)
    return records


def _by(acknowledged: Acknowledgement | None, moment: datetime) -> Acknowledgement | None:
    return acknowledged if acknowledged is not None and acknowledged.at < moment else None


def _moved(record: Record, transition: Transition) -> Record:
    if transition.after is None:
        return Record(name=record.name, watched=False)
    alerting = attrs.evolve(
        record.alerting,
        moments=(*record.alerting.moments, transition.at)[-20:],
        before=transition.before,
        reason=transition.reason,
        first=record.alerting.first or transition.before,
    )
    return attrs.evolve(
        record, health=Health(state=transition.after), since=transition.at, watched=True, alerting=alerting
    )


def _told(record: Record, alert: Sent) -> Record:
    """*record* with what the sinks of *alert* know since."""
    data, alerting = alert.document["data"], record.alerting
    words = dict(alerting.words)
    match alert.type:
        case "alert.firing":
            incident = data["incident"]
            word = Word(
                incident=incident["id"],
                started_at=datetime.fromisoformat(incident["started_at"]),
                reason=Reason.from_json(incident["reason"]),
                level=State(data["to"]),
                told_at=alert.at,
            )
            words |= dict.fromkeys(alert.sinks, word)
        case "alert.reminder":
            words |= {sink: attrs.evolve(words[sink], reminded_at=alert.at) for sink in alert.sinks if sink in words}
        case "alert.resolved":
            for sink in alert.sinks:
                words.pop(sink, None)
        case "alert.flapping":
            flapping = Flapping(since=alert.at, told=alert.sinks) if data.get("flapping") else None
            alerting = attrs.evolve(alerting, flapping=flapping)
    return attrs.evolve(record, alerting=attrs.evolve(alerting, words=words))
