"""`/api/v1/silences`: readers see them, admins make and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.errors import MonitorError, StoreError
from monitor.core.silences import LONGEST, LONGEST_TEXT
from monitor.core.targets import nameable, unknown_target
from monitor.web import asking
from monitor.web.answers import json_answer, problem

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.core.silences import Silence
    from monitor.web import Face
    from monitor.web.access import Caller


@attrs.frozen
class SilencesApi:
    """The answers."""

    face: Face

    async def every(self, request: Request, _caller: Caller) -> Response:
        """Those that are active; with `past=true` also those of the last 30 days."""
        past = asking.flag(request, "past")
        silences, now = self.face.silencer.silences, self.face.clock.wall()
        found = silences.every if past else silences.active(now)
        return json_answer({"silences": [self._json(each) for each in found]})

    async def add(self, request: Request, _caller: Caller) -> Response:
        """Silence a target, from now on for some time."""
        asked = await asking.table(request, target=str, duration=float, author=str, comment=str)
        target, duration = known_target(self.face, asked.get("target")), _duration(asked)
        author = asking.text(asked, "author", LONGEST_TEXT // 10)
        comment = asking.text(asked, "comment", LONGEST_TEXT)
        try:
            silence = await self.face.silencer.add(target, duration=duration, author=author, comment=comment)
        except StoreError as exc:
            return problem(503, f"The silence could not be kept: {exc}.")
        except MonitorError as exc:
            return problem(409, f"{exc}.")
        return json_answer(self._json(silence), 201)

    async def end(self, request: Request, _caller: Caller) -> Response:
        """End one now; one that has ended stays as it is."""
        try:
            silence = await self.face.silencer.end(request.path_params["id"])
        except StoreError as exc:
            return problem(503, f"The end could not be kept: {exc}.")
        if silence is None:
            return problem(404, "There is no silence with this id.")
        return json_answer(self._json(silence))

    def _json(self, silence: Silence) -> dict[str, Any]:
        return {**silence.to_json(), "active": silence.is_active(self.face.clock.wall())}


def known_target(face: Face, target: str | None) -> str:
    """What to silence. Raises AskingError for what is not there."""
    if target is None:
        raise asking.AskingError("target is missing: the name of an endpoint, group:NAME, or * for all.")
    endpoints = face.config.endpoints
    groups = {each.group for each in endpoints if each.group is not None}
    wrong = unknown_target(target, nameable(endpoints), groups)
    if wrong is not None:
        raise asking.AskingError(f"{wrong[0].upper()}{wrong[1:]}{'' if wrong.endswith('?') else '.'}")
    return target


def _duration(asked: dict[str, Any]) -> float:
    """Seconds, above zero and at most LONGEST."""
    if "duration" not in asked:
        raise asking.AskingError("duration is missing: for how many seconds to be silent.")
    seconds = asked["duration"]
    if not 0.001 <= seconds <= LONGEST:  # false for NaN, too
        raise asking.AskingError(f"duration must be a number of seconds from 0.001 to {LONGEST:.0f}.")
    return float(seconds)
