"""The overview: every endpoint, rendered here, kept up to date by static/page.js.

A visitor's page is built from what visitors may see; the templates leave out what is None. Of a thousand endpoints few
show something else than on the page before, so the text of a row is kept until its `Row` is another.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.announcements import current
from monitor.core.links import Links
from monitor.core.model import Code
from monitor.web import objects, words
from monitor.web.api import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.core.model import Acknowledgement, Endpoint, Incident, State
    from monitor.store import Record
    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.assets import Looks
    from monitor.web.recents import Drawn, Recents
    from monitor.web.uptimes import Uptimes

MOST_INCIDENTS = 5  # shown at the top of the overview
_AT_ONCE = 25  # rows: one or two milliseconds


@attrs.frozen(kw_only=True)
class Row:
    """An endpoint as a page shows it; what is None is not known, or not for this caller.

    Everything that is shown is in here, as a value: rows that are equal look alike.
    """

    name: str
    group: str | None
    state: State
    since: datetime | None
    incident: Incident | None
    kind: str | None = None
    target: str | None = None
    message: str | None = None
    latency: float | None = None
    flags: tuple[str, ...] = ()
    acknowledged: Acknowledgement | None = None
    uptime: Mapping[str, float | None] = attrs.field(factory=dict)
    recent: Drawn | None = None
    heard: bool = False  # it is not asked, so there is no course of its latency


@attrs.frozen
class Shown:
    """All that the text of a row is made of; *today*, as a moment of another day is shown with that day."""

    row: Row
    links: Links
    today: date


Texts = dict[str, tuple[Shown, "Markup"]]  # by name of the endpoint


@attrs.frozen
class Group:
    """Endpoints under one heading."""

    name: str | None
    rows: tuple[Row, ...]

    @property
    def up(self) -> int:
        """How many are up."""
        return sum(row.state == "up" for row in self.rows)


class Overview:
    """The answer."""

    def __init__(self, face: Face, uptimes: Uptimes, recents: Recents, looks: Looks) -> None:
        """Show *face*."""
        self._face = face
        self._uptimes = uptimes
        self._recents = recents
        self._looks = looks
        self._text = looks.macro("row.html", "row")
        self._kept: dict[bool, Texts] = {False: {}, True: {}}  # of the page before: for visitors, for readers

    async def page(self, request: Request, caller: Caller) -> Response:
        """Every endpoint the caller may see, the worst news first in words."""
        await self._uptimes.refresh()
        if caller.reads:
            await self._recents.refresh()
        rows, texts = await self._rows(Links.within(request.scope["path"]), caller)
        states = [row.state for row in rows]
        incidents = sorted((row for row in rows if row.incident is not None), key=_worst_first)
        return await self._looks.page(
            "overview.html",
            request,
            caller,
            state=words.worst(states),
            headline=words.headline([(row.name, row.state) for row in rows]),
            counts=words.counts(states, [flag for row in rows for flag in row.flags]),
            groups=_grouped(rows),
            texts=texts,
            incidents=incidents[:MOST_INCIDENTS],
            more_incidents=len(incidents[MOST_INCIDENTS:]),
            windows=objects.UPTIME_WINDOWS,
            announcements=current(self._face.config.announcements, self._face.clock.wall(), all_of_them=caller.reads),
        )

    async def _rows(self, links: Links, caller: Caller) -> tuple[list[Row], dict[str, Markup]]:
        """What *caller* may see, and the text of each row by its name; piece by piece, so that no probe is late."""
        rows: list[Row] = []
        before, texts = self._kept[caller.reads], Texts()
        now = self._face.clock.wall()
        for number, (endpoint, record) in enumerate(visible(self._face, caller), start=1):
            row = self.row(endpoint, record, caller)
            shown = Shown(row, links, now.date())
            known = before.get(row.name)
            if known is None or known[0] != shown:
                known = shown, self._text(row=row, links=links, live=caller.reads, now=now)
            texts[row.name] = known
            rows.append(row)
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        self._kept[caller.reads] = texts
        return rows, {name: text for name, (_, text) in texts.items()}

    def row(self, endpoint: Endpoint, record: Record, caller: Caller) -> Row:
        """How *endpoint* is shown to *caller*, by what was refreshed last."""
        incident, last = record.incident, record.last
        if not caller.reads:
            return Row(
                name=endpoint.name,
                group=endpoint.group,
                state=objects.shown_state(endpoint, record),
                since=None if incident is None else incident.started_at,
                incident=incident,
                uptime=self._uptimes.of(endpoint.name),
            )
        return Row(
            name=endpoint.name,
            group=endpoint.group,
            state=objects.shown_state(endpoint, record),
            since=objects.shown_since(endpoint, record),
            incident=incident,
            kind=endpoint.kind,
            target=endpoint.target,
            message=None if last is None or last.reason.code is Code.OK else last.reason.message,
            latency=objects.latency(endpoint, record),
            flags=tuple(self._face.flags(endpoint)),
            acknowledged=None if incident is None else incident.acknowledged,
            uptime=self._uptimes.of(endpoint.name),
            recent=self._recents.of(endpoint.name).drawn,
            heard=objects.is_heard(endpoint),
        )


def _worst_first(row: Row) -> tuple[int, float]:
    """What is worst first; of what is alike the latest."""
    since = 0.0 if row.incident is None else row.incident.started_at.timestamp()
    return words.WORST_FIRST.index(row.state), -since


def _grouped(rows: Sequence[Row]) -> list[Group]:
    """The groups in the order in which the config first names them, those without a group as one of their own."""
    order = {name: number for number, name in reversed(list(enumerate(row.group for row in rows)))}
    together = sorted(rows, key=lambda row: order[row.group])
    return [Group(name, tuple(each)) for name, each in groupby(together, key=lambda row: row.group)]
