"""The shapes of an answer: JSON, a problem, "not found"; and the headers that every answer carries."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from monitor.web.objects import encode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/"
_FOR_PROGRAMS = (API, "/-/")

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

# Without a stylesheet, as visitors may not get one; and the same for everybody, as it must not tell who asks.
_MISSING = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Not found</title>
<h1>Not found</h1>
<p>There is nothing at this address, or nothing that you may see.</p>
"""


def json_answer(value: object, status: int = 200) -> Response:
    """*value* as JSON."""
    return Response(encode(value), status, media_type="application/json")


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> Response:
    """An error of the API as a problem document (RFC 9457), with *more* members; *detail* is for a person."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(encode(document), status, headers, media_type="application/problem+json")


def failure(path: str, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An error in the form that whoever asks for *path* can read."""
    if path.startswith(_FOR_PROGRAMS):
        return problem(status, detail, headers)
    return PlainTextResponse(detail + "\n", status, headers)


def missing(path: str) -> Response:
    """What does not exist, and what the caller may not see: the same bytes for both."""
    if path.startswith(API):
        return problem(404, "There is nothing at this address, or nothing that you may see.")
    return HTMLResponse(_MISSING, 404)


class Secured:
    """Adds the security headers to every answer of *app*, and `no-store` where nothing else was said."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""

        async def send_secured(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # What is shown depends on who asks and is old in a second.
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_secured)
