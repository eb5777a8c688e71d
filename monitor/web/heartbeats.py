"""Heartbeats over HTTP, for callers of Uptime Kuma and of Healthchecks as they are; the token is the only ticket."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import attrs

from monitor.core.text import printable
from monitor.heartbeats import LONGEST
from monitor.web import asking
from monitor.web.answers import json_answer, missing, problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web import Face
    from monitor.web.access import Caller

_SIGNALS = {"start": "start", "fail": "down", "log": "log", "0": None}
_EXIT_CODE = re.compile(r"[0-9]{1,3}")
_LARGEST_EXIT_CODE = 255


@attrs.frozen
class HeartbeatApi:
    """The answers."""

    face: Face

    async def take(self, request: Request, _caller: Caller) -> Response:
        """`?status=up|down&msg=&ping=` (milliseconds), all optional; in place of msg the first line of a body."""
        query = request.query_params
        status = query.get("status") or "up"
        signal = "unheard of" if status not in ("up", "down") else "down" if status == "down" else None
        return await self._take(request, signal, "status must be up or down.", _milliseconds(query.get("ping", "")))

    async def signal(self, request: Request, _caller: Caller) -> Response:
        """`start`, `fail`, `log`, or the exit code of a command."""
        word = request.path_params["signal"]
        known = word in _SIGNALS or (_EXIT_CODE.fullmatch(word) and int(word) <= _LARGEST_EXIT_CODE)
        signal = _SIGNALS.get(word, "down") if known else "unheard of"
        return await self._take(request, signal, "A signal is start, fail, log or an exit code from 0 to 255.", None)

    async def _take(self, request: Request, signal: str | None, mistake: str, ping: float | None) -> Response:
        token = request.path_params["token"]
        message = request.query_params.get("msg") or await _first_line(request)
        if signal == "unheard of":  # whether anybody has the token must be asked first: only they are told more
            there = await self.face.heartbeat(token, signal="log", message="", ping=None)
            return problem(400, mistake) if there else missing(request)
        if not await self.face.heartbeat(token, signal=signal, message=printable(message)[:LONGEST], ping=ping):
            return missing(request)
        return json_answer({"ok": True})


async def _first_line(request: Request) -> str:
    if request.method != "POST":
        return ""
    lines = (await asking.body(request)).decode("utf-8", "replace").splitlines()
    return next((line.strip() for line in lines if line.strip()), "")


def _milliseconds(text: str) -> float | None:
    """Seconds, or None for what is no time: many callers leave it empty."""
    try:
        value = float(text) / 1000
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None
