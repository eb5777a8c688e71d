"""The ASGI application: every request and WebSocket passes one gate, then the table of routes answers it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from monitor.core.errors import StoreError
from monitor.core.links import Links
from monitor.web import asking
from monitor.web.access import Audience
from monitor.web.answers import LINKS, Secured, failure, missing, revalidated
from monitor.web.asking import AskingError
from monitor.web.gate import Gate, GuessingError
from monitor.web.openapi import parameters
from monitor.web.routes import table

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.routes import Resource, Way

# Answers made side by side. Each takes the loop some milliseconds; a hundred in one round would make probes late.
MOST_AT_ONCE = 4


def create_app(face: Face) -> ASGIApp:
    """Make the ASGI application that shows *face*."""
    gate, turns = Gate(face), trio.CapacityLimiter(MOST_AT_ONCE)
    routes: list[BaseRoute] = []
    for resource in table(face, gate):
        guarded = _Guarded(gate, resource, turns)
        routes.append(Route(resource.path, guarded))
        if resource.socket is not None:
            routes.append(WebSocketRoute(resource.path, guarded))
    app = Starlette(routes=routes, exception_handlers={Exception: _broken})
    app.router.redirect_slashes = False  # a redirect would tell that the other path exists
    app.router.default = _not_found
    return Secured(_Prefixed(face, app))


class _Prefixed:
    """Serves *app* below the path of `external_url` as well, for proxies that leave it in the request."""

    def __init__(self, face: Face, app: ASGIApp) -> None:
        self._face = face
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        external = self._face.config.external_url
        prefix = "" if external is None else urlsplit(external).path.rstrip("/")
        scope = {**scope, LINKS: Links("/") if external is None else Links.external(external)}
        if prefix and scope["path"] == prefix and scope["type"] == "http":
            # Links on the page are relative to what ends with a slash, and so is this one.
            await RedirectResponse(f"{prefix.rpartition('/')[2]}/", 308)(scope, receive, send)
            return
        if prefix and scope["path"].startswith(f"{prefix}/"):
            scope["path"] = scope["path"][len(prefix) :]
        await self._app(scope, receive, send)


class _Guarded:
    """One resource: asks who is there before anything else. A class, so that starlette leaves methods to it."""

    def __init__(self, gate: Gate, resource: Resource, turns: trio.CapacityLimiter) -> None:
        self._gate = gate
        self._resource = resource
        self._turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._converse(WebSocket(scope, receive, send))
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request, self._gate.admit(scope))
        except GuessingError as exc:
            response = _guesses(request, exc)
        await response(scope, receive, send)

    async def _respond(self, request: Request, caller: Caller) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        # A reader sees everything, so may know what an admin may do; to a visitor it is not there.
        ways = self._resource.ways
        there = [name for name, way in ways.items() if caller.reads or caller.belongs_to(way.audience)]
        if not there:
            return missing(request)
        if method not in there:
            methods = [each for name in there for each in (("GET", "HEAD") if name == "GET" else (name,))]
            *others, last = methods
            only = f"{', '.join(others)} and {last} work" if others else f"{last} works"
            return failure(request, 405, f"Only {only} here.", {"allow": ", ".join(methods)})
        way = ways[method]
        if not caller.belongs_to(way.audience):
            return failure(request, 403, "Only an admin may do this: send the admin_token of [monitor.access].")
        try:
            if (known := parameters(method, self._resource.path)) is not None:
                asking.only(request, known)
            answer = await self._in_turn(way, method, request, caller)
        except AskingError as exc:
            return failure(request, exc.status, str(exc))
        except StoreError as exc:
            cause = f": {exc}" if caller.reads else ""
            return failure(request, 503, f"The history cannot be read now{cause}.")
        as_json = answer.status_code == 200 and answer.media_type == "application/json"
        return revalidated(request, answer) if as_json and method == "GET" else answer

    async def _in_turn(self, way: Way, method: str, request: Request, caller: Caller) -> Response:
        """Answer; what takes long, and does not wait for the rest of a request, one after the other."""
        if method != "GET" or way.audience is Audience.EVERYBODY:
            return await way.answer(request, caller)
        async with self._turns:
            return await way.answer(request, caller)

    async def _converse(self, socket: WebSocket) -> None:
        refusal = None
        try:
            caller = self._gate.admit(socket.scope)
            if not caller.belongs_to(self._resource.ways["GET"].audience):
                refusal = missing(socket)
        except GuessingError as exc:
            refusal = _guesses(socket, exc)
        if refusal is not None:
            await socket.send_denial_response(refusal)
        elif self._resource.socket is not None:
            await self._resource.socket(socket, caller)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.send_denial_response(missing(socket))
    else:
        await missing(HTTPConnection(scope))(scope, receive, send)


def _guesses(asked: HTTPConnection, exc: GuessingError) -> Response:
    wait = math.ceil(exc.wait)
    return failure(asked, 429, "Too many wrong tokens came from where you are.", {"retry-after": str(wait)})


async def _broken(request: Request, _: Exception) -> Response:
    """Answer for a bug of ours: starlette raises it again, and the server logs it."""
    return failure(request, 500, "The monitor failed to answer; its log says why.")
