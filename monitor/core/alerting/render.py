"""The alert document (PRODUCT section 4): rendered once, when it is decided, and never again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.core.links import Links
from monitor.core.model import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from monitor.core.model import Endpoint, Incident, Reason, State


def render(
    kind: str,
    *,
    ident: str,
    now: datetime,
    reason: Reason,
    sequence: int | None = None,
    endpoint: Mapping[str, Any] | None = None,
    incident: Incident | None = None,
    before: State | None = None,
    after: State | None = None,
    suppressed: Iterable[str] = (),
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """Render the `standard` document as compact UTF-8 JSON; *more* are further keys of `data`."""
    document = {
        "type": kind,
        "timestamp": timestamp(now),
        "data": {
            "id": ident,
            "sequence": sequence,
            "endpoint": None if endpoint is None else dict(endpoint),
            "incident": None if incident is None else incident_json(incident, now),
            "from": None if before is None else str(before),
            "to": None if after is None else str(after),
            "reason": reason.to_json(),
            "suppressed": list(suppressed),
            **(more or {}),
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
        "url": None if external_url is None else Links.external(external_url).endpoint(endpoint.name),
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
