"""`GET /api/v1/endpoints/{name}/history`: the points of a chart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.model import timestamp
from monitor.core.quantities import Duration
from monitor.web import objects
from monitor.web.answers import json_answer, missing
from monitor.web.api import visible_one
from monitor.web.asking import AskingError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.core.rollup import Point
    from monitor.web import Face
    from monitor.web.access import Caller

USUAL = "24h"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=400)


@attrs.frozen
class History:
    """The answer."""

    face: Face

    async def of(self, request: Request, caller: Caller) -> Response:
        """The *window* until now: for visitors only when it was up."""
        found = visible_one(self.face, caller, request.path_params["name"])
        if found is None:
            return missing(request)
        text = request.query_params.get("window") or USUAL
        try:
            window = timedelta(seconds=Duration.parse(text))
        except (ValueError, OverflowError):
            window = timedelta()
        if not SHORTEST <= window <= LONGEST:
            raise AskingError('window must be a duration from "1m" to "400d", such as "24h".')
        endpoint, _ = found
        series = await self.face.store.series(endpoint.name, window=window, now=self.face.clock.wall())
        as_json = point_json if caller.reads else public_point_json
        return json_answer(
            {
                "endpoint": endpoint.name,
                "window": text,
                "step": None if series is None else series.step,
                "points": [] if series is None else [as_json(point) for point in series.points],
            }
        )


def point_json(point: Point) -> dict[str, Any]:
    """A point as readers see it; `latency` and `phases` are those of the good probes, in seconds."""
    rollup = point.rollup
    percentiles = {name: rollup.latency.percentile(share) for name, share in objects.PERCENTILES.items()}
    return {
        **public_point_json(point),
        "up": rollup.up,
        "degraded": rollup.degraded,
        "down": rollup.down,
        "unknown": rollup.unknown,
        "latency": {name: seconds if seconds is None else round(seconds, 6) for name, seconds in percentiles.items()}
        if rollup.good
        else None,
        "phases": {name: round(seconds, 6) for name, seconds in rollup.mean_phases().items()},
    }


def public_point_json(point: Point) -> dict[str, Any]:
    """A point as visitors see it."""
    return {"at": timestamp(point.at), "uptime": None if point.uptime is None else round(point.uptime, 6)}
