"""The page of one endpoint: why it is as it is, how fast it answers, how it was lately, what its probes saw."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from monitor.core.errors import StoreError
from monitor.core.facts import declared
from monitor.core.quantities import seconds_text
from monitor.core.silences import LONGEST_TEXT
from monitor.web import asking, drawing, objects
from monitor.web.answers import missing
from monitor.web.api import visible_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.core.model import Endpoint, Incident, Observation, Transition
    from monitor.core.rollup import Series
    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.assets import Looks
    from monitor.web.page import Overview
    from monitor.web.recents import Recents
    from monitor.web.uptimes import Uptimes

MOST_TRANSITIONS = 20
MOST_INCIDENTS = 10
WINDOWS = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
USUAL = "24h"
DAYS = 90  # of the bar of days
_NEARLY = 0.99  # of a day: less uptime than that counts as `down` in the bar


@attrs.frozen(kw_only=True)
class Past:
    """What the store has of one endpoint; None: for this caller there is none, or it cannot be read."""

    chart: drawing.Chart | None = None
    percentiles: Mapping[str, float] = attrs.field(factory=dict)  # seconds
    days: Markup | None = None
    incidents: Sequence[Incident] = ()
    transitions: Sequence[Transition] = ()


@attrs.frozen
class Probed:
    """What one probe saw."""

    observation: Observation
    facts: Sequence[tuple[str, str]]

    @property
    def certificate(self) -> float | None:
        """Seconds from the probe until the certificate expires; negative: it has."""
        found = self.observation.facts.get("cert_expires_in")
        return float(found) if isinstance(found, int | float) else None


@attrs.frozen
class Detail:
    """The answer."""

    face: Face
    overview: Overview
    uptimes: Uptimes
    recents: Recents
    looks: Looks

    async def page(self, request: Request, caller: Caller) -> Response:
        """For readers everything; for visitors state, uptime and when it changed."""
        found = visible_one(self.face, caller, request.path_params["name"])
        if found is None:
            return missing(request)
        endpoint, record = found
        window = asking.word(request, "window", WINDOWS) or USUAL
        await self.uptimes.refresh()
        await self.recents.refresh()
        try:
            past = await self._past(endpoint, WINDOWS[window], caller)
        except StoreError:
            past = None  # the page must live when the database does not
        last, failed = (record.last, record.failed) if caller.reads else (None, None)
        return await self.looks.page(
            "endpoint.html",
            request,
            caller,
            row=self.overview.row(endpoint, record, caller),
            endpoint=endpoint if caller.reads else None,
            last=None if last is None else _probed(endpoint, last),
            failed=None if failed is None or failed == last else _probed(endpoint, failed),
            past=past,
            window=window,
            windows=WINDOWS,
            day_count=DAYS,
            longest=LONGEST_TEXT,
        )

    async def _past(self, endpoint: Endpoint, window: timedelta, caller: Caller) -> Past:
        store, now = self.face.store, self.face.clock.wall()
        days = await store.series(endpoint.name, window=timedelta(days=DAYS - 1), now=now)
        past = Past(
            days=None if days is None else _days(days, now.toordinal()),
            transitions=await store.latest(endpoint.name, limit=MOST_TRANSITIONS),
            incidents=await store.latest_incidents(
                endpoints=(endpoint.name,), before=asking.LARGEST_ID, limit=MOST_INCIDENTS
            ),
        )
        series = await store.series(endpoint.name, window=window, now=now) if caller.reads else None
        if series is None:
            return past
        found = {name: series.latency.percentile(share) for name, share in objects.PERCENTILES.items()}
        return attrs.evolve(
            past,
            chart=drawing.chart(series, (now - window, now)),
            percentiles={name: seconds for name, seconds in found.items() if seconds is not None},
        )


def _days(series: Series, today: int) -> Markup:
    """How each of the last days was, the latest at the end."""
    found = {point.at.toordinal(): point.uptime for point in series.points}
    return drawing.bar("".join([_day(found.get(today - ago)) for ago in reversed(range(DAYS))]), DAYS)


def _day(uptime: float | None) -> str:
    """The letter of a day."""
    if uptime is None:
        return drawing.LETTERS["none"]
    return drawing.LETTERS["up" if uptime >= 1 else "degraded" if uptime >= _NEARLY else "down"]


def _probed(endpoint: Endpoint, observation: Observation) -> Probed:
    spans = {name for name, fact in declared(endpoint.check).items() if isinstance(fact.sample, timedelta)}
    return Probed(observation, [(name, _fact(name in spans, value)) for name, value in observation.facts.items()])


def _fact(is_span: bool, value: object) -> str:
    """A fact as text: a span in its unit, JSON, but a plain string without its quotes."""
    if is_span and isinstance(value, int | float):
        return f"{'-' if value < 0 else ''}{seconds_text(abs(value))}"
    return value if isinstance(value, str) else objects.encode(value).decode()
