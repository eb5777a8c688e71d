"""Entries for the store, short to write: one endpoint that goes down, comes back, or is just looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from monitor.core.alerting import Alerting, Decision, Word
from monitor.core.model import (
    OK,
    Alert,
    Code,
    Incident,
    Observation,
    Outcome,
    Reason,
    State,
    Status,
    Transition,
)
from monitor.store import Entry, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 11, 22, 15, 0, 0, 123000, tzinfo=UTC)
REFUSED = Reason(Code.CONNECT, "connect", "connection refused")


class StandingClock:
    """A wall clock that moves only when it is told to."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def monotonic(self) -> float:
        return 0.0

    def stalled(self) -> float:
        return 0.0

    def wall(self) -> datetime:
        return self.now

    def advance(self, **spans: float) -> None:
        self.now += timedelta(**spans)


def observed(name: str, *, at: datetime = NOW, reason: Reason = OK) -> Observation:
    """One observation; its status is the one that *reason* gives."""
    return Observation(
        endpoint=name,
        status=reason.code.status,
        reason=reason,
        started_at=at,
        duration=0.0123,
        phases={"resolve": 0.001, "connect": 0.002},
        facts={"ip": "127.0.0.1"},
    )


def looked_at(name: str, *, at: datetime = NOW, sequence: int = 0) -> Entry:
    """An observation that changes nothing."""
    observation = observed(name, at=at)
    return Entry(record=Record(name=name, last=observation, sequence=sequence), observation=observation)


def went_down(name: str, ident: str, *, sinks: Sequence[str] = ("ops",), at: datetime = NOW) -> Entry:
    """The observation with which an incident begins; its alert is called *ident*, its incident `i-`*ident*."""
    incident = Incident(id=f"i-{ident}", endpoint=name, started_at=at, reason=REFUSED)
    return _changed(name, ident, incident, sinks, State.UP, State.DOWN, at)


def came_back(down: Entry, ident: str, *, at: datetime = NOW + timedelta(minutes=5)) -> Entry:
    """The observation with which the incident of *down* ends."""
    begun = down.record.incident
    assert begun is not None
    ended = attrs.evolve(begun, resolved_at=at)
    return _changed(down.record.name, ident, ended, tuple(down.record.alerting.words), State.DOWN, State.UP, at)


def _changed(
    name: str, ident: str, incident: Incident, sinks: Sequence[str], before: State, after: State, at: datetime
) -> Entry:
    observation = observed(name, at=at, reason=REFUSED if after is State.DOWN else OK)
    assert observation.status is (Status.DOWN if after is State.DOWN else Status.UP)
    alert = Alert(
        id=ident,
        type="alert.firing" if after is State.DOWN else "alert.resolved",
        endpoint=name,
        created_at=at,
        body=f'{{"id":"{ident}"}}'.encode(),
        sinks=tuple(sinks),
    )
    transition = Transition(
        endpoint=name,
        before=before,
        after=after,
        at=at,
        reason=observation.reason,
        incident=incident.id,
        outcome=Outcome.ALERTED,
    )
    word = Word(incident=incident.id, started_at=at, reason=REFUSED, level=State.DOWN, told_at=at)
    alerting = Alerting(
        words=dict.fromkeys(sinks, word) if incident.resolved_at is None else {},
        before=before,
        reason=transition.reason,
    )
    return Entry(
        record=Record(
            name=name,
            last=observation,
            incident=incident if incident.resolved_at is None else None,
            sequence=1,
            alerting=alerting,
        ),
        observation=observation,
        decision=Decision(transition=transition, incident=incident, sequence=1, alerting=alerting, alerts=(alert,)),
    )
