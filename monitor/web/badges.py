"""Badges for READMEs and wikis: state, uptime or latency of one endpoint, as SVG or as shields.io's endpoint JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from markupsafe import escape
from starlette.responses import Response

from monitor.core.model import State
from monitor.core.quantities import seconds_text
from monitor.core.text import percent, printable
from monitor.web import asking, objects
from monitor.web.answers import json_answer, missing
from monitor.web.api import visible_one
from monitor.web.objects import UPTIME_WINDOWS

if TYPE_CHECKING:
    from starlette.requests import Request

    from monitor.core.model import Endpoint
    from monitor.store import Record
    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.uptimes import Uptimes

KINDS = ("state", "uptime", "latency")
_LONGEST = 80  # characters of a label
_CACHE = 60  # seconds that a badge may be kept
_GREY = "#666a71"
_COLOURS = {State.UP: "#26794f", State.DEGRADED: "#96610f", State.DOWN: "#c8372d"}
_GOOD, _FAIR = 0.999, 0.99  # uptime from which on it is green, and amber
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"
 aria-label="{label}: {message}">
<title>{label}: {message}</title>
<rect width="{width}" height="20" rx="3" fill="#444a50"/>
<rect x="{split}" width="{rest}" height="20" rx="3" fill="{colour}"/>
<rect x="{split}" width="4" height="20" fill="{colour}"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">
<text x="{label_at}" y="14" textLength="{label_width}">{label}</text>
<text x="{message_at}" y="14" textLength="{message_width}">{message}</text></g>
</svg>
"""


@attrs.frozen
class Badge:
    """What one says."""

    label: str
    message: str
    colour: str
    bad: bool = False


@attrs.frozen
class Badges:
    """The answers."""

    face: Face
    uptimes: Uptimes

    async def svg(self, request: Request, caller: Caller) -> Response:
        """A picture, like those of shields.io."""
        badge = await self._badge(request, caller)
        if badge is None:
            return missing(request)
        headers = {
            "cache-control": f"private, max-age={_CACHE}",
            "cross-origin-resource-policy": "cross-origin",  # to be embedded elsewhere is what it is for
            "vary": "Authorization, Cookie",
        }
        return Response(_drawn(badge), headers=headers, media_type="image/svg+xml")

    async def json(self, request: Request, caller: Caller) -> Response:
        """What shields.io draws a badge of: https://shields.io/badges/endpoint-badge."""
        badge = await self._badge(request, caller)
        if badge is None:
            return missing(request)
        document = {"schemaVersion": 1, "label": badge.label, "message": badge.message, "color": badge.colour}
        return json_answer({**document, "isError": badge.bad, "cacheSeconds": _CACHE})

    async def _badge(self, request: Request, caller: Caller) -> Badge | None:
        kind = asking.word(request, "kind", KINDS) or "state"
        window = asking.word(request, "window", UPTIME_WINDOWS) or "24h"
        found = visible_one(self.face, caller, request.path_params["name"])
        if found is None or (kind == "latency" and not caller.reads):  # visitors see how it is, not how fast
            return None
        endpoint, record = found
        label = asking.text(request.query_params, "label", _LONGEST) or printable(endpoint.name)
        if kind == "uptime":
            await self.uptimes.refresh()
            return _uptime(label, self.uptimes.of(endpoint.name)[window], window)
        return _latency(label, endpoint, record) if kind == "latency" else _state(label, endpoint, record)


def _state(label: str, endpoint: Endpoint, record: Record) -> Badge:
    state = objects.shown_state(endpoint, record)
    return Badge(label, str(state), _COLOURS.get(state, _GREY), bad=state is State.DOWN)


def _latency(label: str, endpoint: Endpoint, record: Record) -> Badge:
    seconds = objects.latency(endpoint, record)
    if seconds is None:
        return attrs.evolve(_state(label, endpoint, record), message="no latency")
    return attrs.evolve(_state(label, endpoint, record), message=seconds_text(seconds))


def _uptime(label: str, share: float | None, window: str) -> Badge:
    if share is None:
        return Badge(label, f"unknown ({window})", _GREY)
    good, fair = _COLOURS[State.UP], _COLOURS[State.DEGRADED]
    colour = good if share >= _GOOD else fair if share >= _FAIR else _COLOURS[State.DOWN]
    return Badge(label, f"{percent(share)} ({window})", colour)


def _drawn(badge: Badge) -> str:
    label_width, message_width = _width(badge.label), _width(badge.message)
    split, rest = label_width + 10, message_width + 10
    return _SVG.format(
        label=escape(badge.label),
        message=escape(badge.message),
        colour=badge.colour,
        width=split + rest,
        split=split,
        rest=rest,
        label_at=split / 2,
        message_at=split + rest / 2,
        label_width=label_width,
        message_width=message_width,
    )


def _width(text: str) -> int:
    """About how wide *text* is in Verdana at 11 px; `textLength` makes it exact."""
    return max(1, round(sum(map(_wide, text))))


def _wide(character: str) -> float:
    if character in "iljft.,:;!'|()[]I /-":
        return 4.2
    if ord(character) > 0x2E80:  # a square
        return 12
    return 10 if character in "MWmw@%" else 8 if character.isupper() else 7
