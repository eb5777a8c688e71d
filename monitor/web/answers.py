"""The shapes of an answer: JSON, a problem, "not found"; and the headers that every answer carries."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from markupsafe import escape
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, Response

from monitor.core.text import printable
from monitor.web.objects import encode

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FOR_PROGRAMS = ("/api/", "/-/")
NOTHING = "There is nothing at this address, or nothing that you may see."

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    # Not no-referrer: a browser would then name the origin of our own forms as null, as it does those of strangers.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

# What is hidden must look like what is not there: nothing in it depends on the path.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Nursery Monitor</title>
{style}<main class="narrow">
<header><div><h1>{title}</h1><p>{detail}</p></div></header>
{ways}</main>
"""
_STYLE = '<link rel="stylesheet" href="{url}">\n'
_WAYS = '<nav aria-label="Back"><a href="{overview}">← Overview</a> · <a href="{login}">Sign in</a></nav>\n'

LINKS = "monitor.links"
"""Under this key a request's scope holds its `Links` for those who may be anywhere."""


def json_answer(value: object, status: int = 200) -> Response:
    """*value* as JSON."""
    return Response(encode(value), status, media_type="application/json")


def revalidated(asked: Request, answer: Response) -> Response:
    """*answer* with an ETag of its content, or 304 where the caller has it already; kept by the caller alone."""
    tag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", "vary": "Authorization, Cookie"}
    # A proxy that compresses makes the tag a weak one: the content is the same all the same.
    known = {each.strip().removeprefix("W/") for each in asked.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    answer.headers.update(headers)
    return answer


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> Response:
    """An error of the API as a problem document (RFC 9457), with *more* members; *detail* is for a person."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(encode(document), status, headers, media_type="application/problem+json")


_REFUSALS = {
    408: "The request did not come in time.",
    431: "The request's line and headers are longer than this server takes.",
}


def refusal(status: int) -> bytes:
    """A whole answer to what is no request that HTTP knows, a problem; the connection ends with it."""
    answer = problem(status, _REFUSALS.get(status, "This is not a request of HTTP/1.1."))
    headers = {**answer.headers, **_HEADERS, "cache-control": "no-store", "connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {each}" for name, each in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + bytes(answer.body)


def failure(
    asked: HTTPConnection, status: int, detail: str, headers: dict[str, str] | None = None, **more: object
) -> Response:
    """An error in the form that whoever *asked* can read: a page where a browser asked for one, else a problem."""
    if asked.scope["path"].startswith(_FOR_PROGRAMS) or "text/html" not in asked.headers.get("accept", ""):
        return problem(status, detail, headers, **more)
    title, links = HTTPStatus(status).phrase.capitalize(), asked.scope.get(LINKS)
    style = _STYLE.format(url=escape(links.to("static/page.css"))) if links else ""
    ways = _WAYS.format(overview=escape(links.overview), login=escape(links.login)) if links else ""
    page = _PAGE.format(title=escape(title), detail=escape(printable(detail)), style=style, ways=ways)
    return HTMLResponse(page, status, headers)


def missing(asked: HTTPConnection) -> Response:
    """What does not exist, and what the caller may not see: the same bytes for both."""
    return failure(asked, 404, NOTHING)


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
                    headers.setdefault(name, value)
                # What is shown depends on who asks and is old in a second.
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_secured)
