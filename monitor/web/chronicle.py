"""Incidents for people: a page of all that ever were, newest first, and the same as an RSS feed."""

from __future__ import annotations

import hashlib
from email.utils import format_datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs
from starlette.responses import Response

from monitor.core.links import Links
from monitor.core.quantities import seconds_text
from monitor.core.text import printable
from monitor.web import asking
from monitor.web.api import may_see

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from starlette.requests import Request

    from monitor.core.model import Incident
    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.assets import Looks

PAGE = 50  # incidents on a page, and in the feed


@attrs.frozen
class Line:
    """An incident as the page shows it; what is None is not for this caller, or not so."""

    endpoint: str
    watched: bool  # there is a page about it
    started_at: datetime
    resolved_at: datetime | None
    seconds: float  # until its end, or until now
    reason: str | None
    acknowledged: str | None


@attrs.frozen
class Chronicle:
    """The answers."""

    face: Face
    looks: Looks

    async def page(self, request: Request, caller: Caller) -> Response:
        """Newest first; `before` is the number before which the page begins."""
        before = asking.number(request, "before", asking.LARGEST_ID, 1, asking.LARGEST_ID)
        found = await self._incidents(caller, before, PAGE + 1)
        shown, now = found[:PAGE], self.face.clock.wall()
        watched = {each.name for each in self.face.config.enabled}
        lines = [
            Line(
                endpoint=each.endpoint,
                watched=each.endpoint in watched,
                started_at=each.started_at,
                resolved_at=each.resolved_at,
                seconds=max(0.0, ((each.resolved_at or now) - each.started_at).total_seconds()),
                reason=each.reason.message if caller.reads else None,
                acknowledged=each.acknowledged.by if caller.reads and each.acknowledged else None,
            )
            for each in shown
        ]
        older = shown[-1].number if len(found) > PAGE else None
        going_on = sum(each.resolved_at is None for each in lines)
        return await self.looks.page(
            "incidents.html", request, caller, lines=lines, older=older, first=not request.url.query, open=going_on
        )

    async def rss(self, request: Request, caller: Caller) -> Response:
        """RSS 2.0: an item for each begin and each end."""
        external = self.face.config.external_url
        links = Links.external(external or f"{request.url.scheme}://{request.url.netloc}")
        root = ET.Element("rss", version="2.0")
        channel = ET.SubElement(root, "channel")
        _say(channel, title="Incidents", link=links.to("incidents"), description="What went down, and came back.")
        items = [item for each in await self._incidents(caller, asking.LARGEST_ID, PAGE) for item in _items(each)]
        for item in sorted(items, key=lambda each: each.at, reverse=True)[:PAGE]:
            element = ET.SubElement(channel, "item")
            link = links.endpoint(item.incident.endpoint)
            _say(element, title=item.title, link=link, pubDate=format_datetime(item.at))
            ET.SubElement(element, "guid", isPermaLink="false").text = item.guid
            if caller.reads and item.is_begin:
                _say(element, description=item.incident.reason.message)
        body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return Response(body, media_type="application/rss+xml", headers={"cache-control": "private, max-age=60"})

    async def _incidents(self, caller: Caller, before: int, limit: int) -> Sequence[Incident]:
        wanted = may_see(self.face, caller, None)
        if wanted is not None and not wanted:
            return ()
        return await self.face.store.latest_incidents(endpoints=wanted, before=before, limit=limit)


@attrs.frozen
class _Item:
    incident: Incident
    is_begin: bool
    at: datetime
    title: str

    @property
    def guid(self) -> str:
        """The same for ever, and nothing to visitors: ids of incidents are for readers."""
        kind = "begin" if self.is_begin else "end"
        return hashlib.sha256(f"{self.incident.id} {kind}".encode()).hexdigest()[:32]


def _items(incident: Incident) -> Iterator[_Item]:
    name = incident.endpoint
    yield _Item(incident, is_begin=True, at=incident.started_at, title=f"{name} has a problem")
    if incident.resolved_at is not None:
        lasted = seconds_text((incident.resolved_at - incident.started_at).total_seconds())
        title = f"{name} is well again, after {lasted}"
        yield _Item(incident, is_begin=False, at=incident.resolved_at, title=title)


def _say(element: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(element, name).text = printable(text)  # what XML cannot hold is shown as an escape
