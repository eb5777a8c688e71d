"""From a confirmed change to what is said about it: incident, policy, alerts.

`decide` is the whole policy. It answers with everything that must be committed together: the transition with
its recorded outcome, the incident as it stands afterwards, and the alerts, each with the sinks it is owed to.
An alert's body is rendered here, once, and never again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs

from monitor.core.alerting.circumstances import Hold
from monitor.core.model import (
    Alert,
    Code,
    Incident,
    Outcome,
    Reason,
    State,
    Transition,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.health import Change
    from monitor.core.model import Endpoint
    from monitor.core.ports import Rand


@attrs.frozen(kw_only=True)
class Decision:
    """What a change leads to; one transaction writes all of it."""

    transition: Transition
    incident: Incident | None  # as it stands now: opened, or closed with `resolved_at`; None: none concerned
    sequence: int
    alerts: tuple[Alert, ...] = ()


@attrs.frozen(kw_only=True)
class Situation:
    """What `decide` needs beside the change."""

    endpoint: str
    described: Mapping[str, Any]  # the endpoint as alerts show it, see `described`
    sinks: tuple[str, ...]  # whom the endpoint alerts to
    incident: Incident | None  # the open one
    sequence: int  # of the endpoint's latest alert
    now: datetime
    rand: Rand


@attrs.frozen
class Tell:
    """These sinks are told, now."""

    sinks: tuple[str, ...]


def policy(situation: Situation) -> Tell | Hold:
    """Who is told that an incident begins. Whatever may hold an alert back has its place here.

    It holds back a beginning and nothing else: the end goes to whom the beginning went (PRODUCT section 4).
    """
    return Tell(situation.sinks) if situation.sinks else Hold(why=Outcome.POLICY)


def decide(change: Change, reason: Reason, situation: Situation) -> Decision:
    """Decide what *change* leads to; *reason* is that of the observation that confirmed it."""
    incident = situation.incident
    if incident is None and change.after is State.DOWN:
        return _open(change, reason, situation)
    if incident is not None and change.after in (State.UP, State.DEGRADED):
        resolved_at = change.streak.since or situation.now
        closed = attrs.evolve(incident, resolved_at=max(resolved_at, incident.started_at))
        return _close(closed, change.before, change.after, reason, situation)
    return Decision(
        transition=_transition(situation, change.before, change.after, reason, incident, Outcome.POLICY),
        incident=incident,
        sequence=situation.sequence,
    )


def leave(state: State, situation: Situation) -> Decision | None:
    """Decide what it leads to that the endpoint is no longer watched: an open incident is closed."""
    incident = situation.incident
    if incident is None:
        return None
    closed = attrs.evolve(incident, resolved_at=max(situation.now, incident.started_at))
    return _close(closed, state, None, Reason(Code.OK, None, "no longer watched"), situation)


def _open(change: Change, reason: Reason, situation: Situation) -> Decision:
    match policy(situation):
        case Tell(sinks):
            owed, outcome = sinks, Outcome.ALERTED
        case Hold(why=why):
            owed, outcome = (), why
    incident = Incident(
        id=situation.rand.id(),
        endpoint=situation.endpoint,
        started_at=change.streak.since or situation.now,
        reason=change.streak.reason,
        owed=owed,
    )
    transition = _transition(situation, change.before, change.after, reason, incident, outcome)
    return _announced("alert.firing", transition, incident, situation)


def _close(incident: Incident, before: State, after: State | None, reason: Reason, situation: Situation) -> Decision:
    # The end is told to exactly those who were told of the beginning; an incident nobody heard of ends silently.
    outcome = Outcome.ALERTED if incident.owed else Outcome.POLICY
    transition = _transition(situation, before, after, reason, incident, outcome)
    return _announced("alert.resolved", transition, incident, situation)


def _announced(kind: str, transition: Transition, incident: Incident, situation: Situation) -> Decision:
    """Make the alert, if it is owed to anybody; only alerts really made count in the sequence."""
    if not incident.owed:
        return Decision(transition=transition, incident=incident, sequence=situation.sequence)
    sequence = situation.sequence + 1
    alert = Alert(
        id=situation.rand.id(),
        type=kind,
        endpoint=situation.endpoint,
        created_at=situation.now,
        body=b"",
        sinks=incident.owed,
    )
    alert = attrs.evolve(alert, body=render(alert, transition, incident, sequence, situation))
    return Decision(transition=transition, incident=incident, sequence=sequence, alerts=(alert,))


def _transition(
    situation: Situation,
    before: State,
    after: State | None,
    reason: Reason,
    incident: Incident | None,
    outcome: Outcome,
) -> Transition:
    return Transition(
        endpoint=situation.endpoint,
        before=before,
        after=after,
        at=situation.now,
        reason=reason,
        incident=None if incident is None else incident.id,
        outcome=outcome,
    )


def render(alert: Alert, transition: Transition, incident: Incident, sequence: int, situation: Situation) -> bytes:
    """Render the `standard` document (PRODUCT section 4) as compact UTF-8 JSON."""
    document = {
        "type": alert.type,
        "timestamp": timestamp(alert.created_at),
        "data": {
            "id": alert.id,
            "sequence": sequence,
            "endpoint": dict(situation.described),
            "incident": incident_json(incident, alert.created_at),
            "from": str(transition.before),
            "to": None if transition.after is None else str(transition.after),
            "reason": transition.reason.to_json(),
            "suppressed": [],
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def described(endpoint: Endpoint, external_url: str | None) -> dict[str, Any]:
    """Describe the endpoint as alerts show it; kept with it, for the day the config no longer knows it."""
    return {
        "name": endpoint.name,
        "group": endpoint.group,
        "check": endpoint.kind,
        "target": endpoint.target,
        "labels": dict(endpoint.labels),
        "description": endpoint.description,
        "runbook": endpoint.runbook,
        "url": None
        if external_url is None
        else f"{external_url.rstrip('/')}/endpoints/{quote(endpoint.name, safe='')}",
    }


def incident_json(incident: Incident, now: datetime) -> dict[str, Any]:
    """The incident as alerts and the API show it; while open its duration runs to *now*."""
    end = incident.resolved_at or now
    return {
        "id": incident.id,
        "started_at": timestamp(incident.started_at),
        "resolved_at": None if incident.resolved_at is None else timestamp(incident.resolved_at),
        "duration": max(0.0, round((end - incident.started_at).total_seconds(), 3)),
        "reason": incident.reason.to_json(),
    }
