"""The table of routes: which path, for whom, answered by what. Everything else is not found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from monitor.core.errors import StoreError
from monitor.web.access import Audience, Caller, identify
from monitor.web.answers import Secured, failure, missing
from monitor.web.api import Api
from monitor.web.assets import Static
from monitor.web.feed import Live
from monitor.web.history import History
from monitor.web.incidents import IncidentsApi
from monitor.web.letters import Letters
from monitor.web.metrics import Metrics
from monitor.web.page import Pages
from monitor.web.silences import SilencesApi
from monitor.web.uptimes import Uptimes

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from monitor.web import Face

Answer = Callable[[Request, Caller], Awaitable[Response]]

Ways = Mapping[str, tuple[Audience, Answer]]
"""Whom each method of a route is for, and what answers it; HEAD goes with GET."""


def create_app(face: Face) -> ASGIApp:
    """Make the ASGI application that shows *face*."""
    uptimes = Uptimes(face)
    api, pages, live = Api(face, uptimes), Pages(face, uptimes), Live(face, uptimes)
    static, metrics, history = Static(), Metrics(face), History(face)
    incidents, silences, letters = IncidentsApi(face), SilencesApi(face), Letters(face)

    def route(path: str, audience: Audience, answer: Answer) -> Route:
        return ways(path, {"GET": (audience, answer)})

    def ways(path: str, ways: Ways) -> Route:
        return Route(path, _Guarded(face, ways))

    app = Starlette(
        routes=[
            route("/healthz", Audience.EVERYBODY, api.healthz),
            route("/readyz", Audience.EVERYBODY, api.readyz),
            route("/metrics", Audience.READERS, metrics.scrape),
            route("/api/v1/endpoints", Audience.PUBLIC, api.endpoints),
            route("/api/v1/endpoints/{name}", Audience.PUBLIC, api.endpoint),
            route("/api/v1/endpoints/{name}/history", Audience.PUBLIC, history.of),
            route("/api/v1/transitions", Audience.PUBLIC, api.transitions),
            route("/api/v1/incidents", Audience.PUBLIC, incidents.every),
            ways("/api/v1/incidents/{id}/ack", {"POST": (Audience.ADMINS, incidents.acknowledge)}),
            ways(
                "/api/v1/silences", {"GET": (Audience.READERS, silences.every), "POST": (Audience.ADMINS, silences.add)}
            ),
            ways("/api/v1/silences/{id}", {"DELETE": (Audience.ADMINS, silences.end)}),
            route("/api/v1/live", live.audience, api.no_upgrade),
            WebSocketRoute("/api/v1/live", live.serve),
            route("/api/v1/outbox", Audience.READERS, letters.list),
            ways("/api/v1/outbox/retry", {"POST": (Audience.ADMINS, letters.retry)}),
            ways("/-/reload", {"POST": (Audience.ADMINS, api.reload)}),
            route("/", Audience.PUBLIC, pages.overview),
            route("/endpoints/{name}", Audience.PUBLIC, pages.endpoint),
            route("/static/{name}", Audience.PUBLIC, static.file),
        ],
        exception_handlers={Exception: _broken},
    )
    app.router.redirect_slashes = False  # a redirect would tell that the other path exists
    app.router.default = _not_found
    return Secured(app)


class _Guarded:
    """One route: asks who is there before anything else. A class, so that starlette leaves methods to it."""

    def __init__(self, face: Face, ways: Ways) -> None:
        self._face = face
        self._ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        local, _ = scope["server"] or (None, None)
        caller = identify(self._face.config, scope["headers"], local)
        response = await self._respond(Request(scope, receive), caller)
        await response(scope, receive, send)

    async def _respond(self, request: Request, caller: Caller) -> Response:
        path, method = request.scope["path"], "GET" if request.method == "HEAD" else request.method
        # A reader sees everything, so may know what an admin may do; to a visitor it is not there.
        there = [name for name, (audience, _) in self._ways.items() if caller.reads or caller.belongs_to(audience)]
        if not there:
            return missing(path)
        if method not in there:
            methods = [each for name in there for each in (("GET", "HEAD") if name == "GET" else (name,))]
            only = f"{' and '.join(methods)} {'works' if len(methods) == 1 else 'work'}"
            return failure(path, 405, f"Only {only} here.", {"allow": ", ".join(methods)})
        audience, answer = self._ways[method]
        if not caller.belongs_to(audience):
            return failure(path, 403, "Only an admin may do this: send the admin_token of [monitor.access].")
        try:
            return await answer(request, caller)
        except StoreError as exc:
            cause = f": {exc}" if caller.reads else ""
            return failure(path, 503, f"The history cannot be read now{cause}.")


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    response = missing(scope["path"])
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


async def _broken(request: Request, _: Exception) -> Response:
    """Answer for a bug of ours: starlette raises it again, and the server logs it."""
    return failure(request.scope["path"], 500, "The monitor failed to answer; its log says why.")
