"""Results as one JSON object: PRODUCT's `check --format json`. Durations are seconds, times RFC 3339 in UTC."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.core.model import timestamp
from monitor.core.text import visible_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.model import Endpoint, Observation, Status


def render(endpoints: Sequence[Endpoint], seen: Sequence[Observation], worst: Status, *, ascii_only: bool) -> str:
    """Render them in the order given; the text does without newline at its end."""
    document = {
        "status": str(worst),
        "endpoints": [_result(*each) for each in zip(endpoints, seen, strict=True)],
    }
    return visible_json(json.dumps(document, indent=2, ensure_ascii=ascii_only))


def _result(endpoint: Endpoint, seen: Observation) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "group": endpoint.group,
        "check": endpoint.kind,
        "target": endpoint.target,
        "status": str(seen.status),
        "reason": seen.reason.to_json(),
        "started_at": timestamp(seen.started_at),
        "duration": seen.duration,
        "phases": dict(seen.phases),
        "facts": dict(seen.facts),
    }
