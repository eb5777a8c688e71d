"""The table of routes: which path, for whom, answered by what. Everything else is not found.

Whoever adds a row adds one to openapi.py and to the access matrix of the tests as well: both are held to this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from monitor.web.access import Audience, Caller
from monitor.web.answers import json_answer
from monitor.web.api import Api
from monitor.web.assets import Looks, Static
from monitor.web.badges import Badges
from monitor.web.blackbox import Blackbox
from monitor.web.chronicle import Chronicle
from monitor.web.detail import Detail
from monitor.web.feed import Live
from monitor.web.heartbeats import HeartbeatApi
from monitor.web.history import History
from monitor.web.incidents import IncidentsApi
from monitor.web.letters import Letters
from monitor.web.metrics import Metrics
from monitor.web.openapi import document
from monitor.web.page import Overview
from monitor.web.quieting import Quieting
from monitor.web.recents import Recents
from monitor.web.signin import SignIn
from monitor.web.silences import SilencesApi
from monitor.web.uptimes import Uptimes

if TYPE_CHECKING:
    from monitor.web import Face
    from monitor.web.gate import Gate

Answer = Callable[[Request, Caller], Awaitable[Response]]
Conversation = Callable[[WebSocket, Caller], Awaitable[None]]


@attrs.frozen
class Way:
    """What one method of a resource does: for whom, and what answers it."""

    audience: Audience
    answer: Answer


@attrs.frozen
class Resource:
    """One path, with its methods; HEAD goes with GET. A WebSocket is for whom GET is."""

    path: str
    ways: Mapping[str, Way]
    socket: Conversation | None = None


def table(face: Face, gate: Gate) -> tuple[Resource, ...]:
    """Every resource there is."""
    uptimes, looks = Uptimes(face), Looks(face.clock)
    recents = Recents(face)
    overview = Overview(face, uptimes, recents, looks)
    detail = Detail(face, overview, uptimes, recents, looks)
    api, live = Api(face, uptimes), Live(face, uptimes, gate)
    static, metrics, history = Static(), Metrics(face), History(face)
    incidents, silences, letters = IncidentsApi(face), SilencesApi(face), Letters(face)
    chronicle = Chronicle(face, looks)
    badges, heartbeats = Badges(face, uptimes), HeartbeatApi(face)
    signin, quieting = SignIn(face, gate, looks), Quieting(face, looks)
    everybody, public, readers, admins = Audience.EVERYBODY, Audience.PUBLIC, Audience.READERS, Audience.ADMINS

    def ways(path: str, **by_method: tuple[Audience, Answer]) -> Resource:
        return Resource(path, {method: Way(*way) for method, way in by_method.items()})

    rows = (
        ways("/healthz", GET=(everybody, api.healthz)),
        ways("/readyz", GET=(everybody, api.readyz)),
        ways("/metrics", GET=(readers, metrics.scrape)),
        ways("/probe", GET=(readers, Blackbox(face).probe)),
        ways("/api/v1/endpoints", GET=(public, api.endpoints)),
        ways("/api/v1/endpoints/{name}", GET=(public, api.endpoint)),
        ways("/api/v1/endpoints/{name}/history", GET=(public, history.of)),
        ways("/api/v1/transitions", GET=(public, api.transitions)),
        ways("/api/v1/incidents", GET=(public, incidents.every)),
        ways("/api/v1/incidents/{id}/ack", POST=(admins, incidents.acknowledge)),
        ways("/api/v1/silences", GET=(readers, silences.every), POST=(admins, silences.add)),
        ways("/api/v1/silences/{id}", DELETE=(admins, silences.end)),
        Resource("/api/v1/live", {"GET": Way(readers, api.no_upgrade)}, live.serve),
        ways("/api/v1/outbox", GET=(readers, letters.list)),
        ways("/api/v1/outbox/retry", POST=(admins, letters.retry)),
        ways("/api/v1/heartbeat/{token}", GET=(everybody, heartbeats.take), POST=(everybody, heartbeats.take)),
        ways(
            "/api/v1/heartbeat/{token}/{signal}",
            GET=(everybody, heartbeats.signal),
            POST=(everybody, heartbeats.signal),
        ),
        ways("/badge/{name}.svg", GET=(public, badges.svg)),
        ways("/badge/{name}.json", GET=(public, badges.json)),
        ways("/-/reload", POST=(admins, api.reload)),
        ways("/", GET=(public, overview.page)),
        ways("/endpoints/{name}", GET=(public, detail.page)),
        ways("/silences", GET=(readers, quieting.silences), POST=(admins, quieting.silence)),
        ways("/silences/{id}/end", POST=(admins, quieting.end)),
        ways("/incidents", GET=(public, chronicle.page)),
        ways("/incidents.rss", GET=(public, chronicle.rss)),
        ways("/incidents/{id}/ack", POST=(admins, quieting.acknowledge)),
        ways("/login", GET=(everybody, signin.form), POST=(everybody, signin.sign_in)),
        ways("/logout", POST=(everybody, signin.sign_out)),
        ways("/static/{name}", GET=(everybody, static.file)),  # the sign-in form needs them; they are no secret
    )
    described = Described(rows)
    return (*rows, ways(described.path, GET=(everybody, described.answer)))


class Described:
    """The OpenAPI document of the other *resources* and of itself, made once."""

    path = "/api/v1/openapi.json"

    def __init__(self, resources: Sequence[Resource]) -> None:
        """Write it."""
        itself = Resource(self.path, {"GET": Way(Audience.EVERYBODY, self.answer)})
        self._document = document([*resources, itself])

    async def answer(self, _request: Request, _caller: Caller) -> Response:
        """The document; it is the same for everybody."""
        return json_answer(self._document)
