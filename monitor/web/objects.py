"""Values as the JSON objects of the API and the live feed (PRODUCT section 5): pure functions.

What a visitor gets is built on its own, field by field, never by taking away from what a reader gets: a field
added later is not public by accident.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from monitor.core import alerting
from monitor.core.links import Links
from monitor.core.model import State, Status, timestamp
from monitor.core.text import visible_json
from monitor.live import Moved, Observed
from monitor.plugin import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from monitor.core.model import Endpoint, Incident, Observation, Transition
    from monitor.live import Event
    from monitor.store import Record

UPTIME_WINDOWS = ("24h", "7d", "30d", "90d")
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def shown_state(endpoint: Endpoint, record: Record) -> State:
    """The state for people."""
    return record.health.shown(endpoint.thresholds)


def shown_since(endpoint: Endpoint, record: Record) -> datetime | None:
    """When the state shown began; None while it is not known, as of `unknown`, which only covers another."""
    return record.since if shown_state(endpoint, record) is record.health.state else None


def latency(endpoint: Endpoint, record: Record) -> float | None:
    """Seconds the last probe took, if it was a good one; for who is heard and not asked what it said of itself."""
    last = record.last
    if last is None or last.status not in (Status.UP, Status.DEGRADED):
        return None
    return last.facts.get("ping") if is_heard(endpoint) else last.duration


def is_heard(endpoint: Endpoint) -> bool:
    """Does *endpoint* tell how it is, in place of being asked?"""
    return isinstance(endpoint.check, Check) and endpoint.check.push_token is not None


def endpoint_json(
    endpoint: Endpoint, record: Record, flags: Sequence[str], now: datetime, external_url: str | None
) -> dict[str, Any]:
    """An endpoint as readers see it; `status`, `reason` and `observed_at` are null before the first probe."""
    last, since, seconds = record.last, shown_since(endpoint, record), latency(endpoint, record)
    return {
        "name": endpoint.name,
        "group": endpoint.group,
        "check": endpoint.kind,
        "target": endpoint.target,
        "url": None if external_url is None else Links.external(external_url).endpoint(endpoint.name),
        "state": str(shown_state(endpoint, record)),
        "since": None if since is None else timestamp(since),
        "status": None if last is None else str(last.status),
        "reason": None if last is None else last.reason.to_json(),
        "latency": None if seconds is None else round(seconds, 6),
        "observed_at": None if last is None else timestamp(last.started_at),
        "uptime": uptime_json(),
        "flags": list(flags),
        "labels": dict(endpoint.labels),
        "description": endpoint.description,
        "public": endpoint.public,
        "depends_on": list(endpoint.depends_on),
        "incident": None if record.incident is None else incident_json(record.incident, now),
    }


def detailed_json(
    endpoint: Endpoint, record: Record, flags: Sequence[str], now: datetime, external_url: str | None
) -> dict[str, Any]:
    """An endpoint as readers see it, with its last `observation` (null before the first)."""
    observation = None if record.last is None else observation_json(record.last)
    return {**endpoint_json(endpoint, record, flags, now, external_url), "observation": observation}


def public_json(endpoint: Endpoint, record: Record, now: datetime) -> dict[str, Any]:
    """An endpoint as visitors see it: no address, no reason, no label."""
    incident = None
    if record.incident is not None:
        incident = public_incident_json(record.incident, now)
        del incident["endpoint"]
    return {
        "name": endpoint.name,
        "group": endpoint.group,
        "state": str(shown_state(endpoint, record)),
        "uptime": uptime_json(),
        "incident": incident,
    }


def incident_json(incident: Incident, now: datetime) -> dict[str, Any]:
    """An incident as readers see it; while open its duration runs to *now*."""
    known = incident.acknowledged
    return {
        **alerting.incident_json(incident, now),
        "endpoint": incident.endpoint,
        "acknowledged": None if known is None else known.to_json(),
    }


def public_incident_json(incident: Incident, now: datetime) -> dict[str, Any]:
    """An incident as visitors see it: of which endpoint, and when."""
    full = incident_json(incident, now)
    return {key: full[key] for key in ("endpoint", "started_at", "resolved_at", "duration")}


def uptime_json() -> dict[str, float | None]:
    """The fractions of time an endpoint was up; null: not known."""
    return dict.fromkeys(UPTIME_WINDOWS)


def observation_json(observation: Observation) -> dict[str, Any]:
    """What one probe found; durations in seconds."""
    return {
        "status": str(observation.status),
        "reason": observation.reason.to_json(),
        "started_at": timestamp(observation.started_at),
        "duration": round(observation.duration, 6),
        "phases": {name: round(seconds, 6) for name, seconds in observation.phases.items()},
        "facts": dict(observation.facts),
    }


def public_transition_json(transition: Transition) -> dict[str, Any]:
    """A transition as visitors see it: which state, when."""
    full = transition.to_json()
    return {key: full[key] for key in ("id", "endpoint", "from", "to", "at")}


def live_json(
    event: Event, flags: Callable[[Endpoint], Sequence[str]], now: datetime, external_url: str | None
) -> dict[str, Any]:
    """A message of the live feed."""
    match event:
        case Observed(endpoint, record):
            return {"type": "observation", "data": detailed_json(endpoint, record, flags(endpoint), now, external_url)}
        case Moved(transition):
            return {"type": "transition", "data": transition.to_json()}


def encode(value: object) -> bytes:
    """JSON as UTF-8, whatever a server or a plugin put into a fact: no NaN, no lone surrogate, nothing unprintable."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))
    return visible_json(text.encode("utf-8", "replace").decode()).encode()


def _finite(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case _:
            return value
