"""What an admin does from a page: silences and acknowledgements, by forms that need no JavaScript.

A form that was good is answered 303, so that to reload the page sends nothing twice; one that was not is shown again
with what was wrong and what was written. Who may send one, and from where, is decided before (access.py, gate.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from starlette.responses import RedirectResponse

from monitor.core.errors import MonitorError, StoreError
from monitor.core.links import Links
from monitor.core.quantities import Duration
from monitor.core.silences import LONGEST, LONGEST_TEXT
from monitor.web import asking
from monitor.web.answers import failure
from monitor.web.silences import known_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.assets import Looks

_EMPTY = {"target": "", "duration": "2h", "comment": "", "author": ""}


@attrs.frozen
class Quieting:
    """The answers."""

    face: Face
    looks: Looks

    async def silences(self, request: Request, caller: Caller) -> Response:
        """Show those that are active, and to an admin the form for one more; `target` of the query is filled in."""
        return await self._page(request, caller, {"target": request.query_params.get("target", "")})

    async def silence(self, request: Request, caller: Caller) -> Response:
        """Silence a target, from now on for some time."""
        asked = await asking.form(request, *_EMPTY)
        try:
            target, duration = known_target(self.face, asked.get("target", "").strip()), _duration(asked)
            author = asking.text(asked, "author", LONGEST_TEXT // 10)
            comment = asking.text(asked, "comment", LONGEST_TEXT)
            await self.face.silencer.add(target, duration=duration, author=author, comment=comment)
        except asking.AskingError as exc:
            return await self._page(request, caller, asked, exc.status, str(exc))
        except StoreError as exc:
            return await self._page(request, caller, asked, 503, f"The silence could not be kept: {exc}.")
        except MonitorError as exc:
            return await self._page(request, caller, asked, 409, f"{exc}.")
        return RedirectResponse(_links(request).silences, 303)

    async def end(self, request: Request, caller: Caller) -> Response:
        """End one now; one that has ended stays as it is."""
        try:
            silence = await self.face.silencer.end(request.path_params["id"])
        except StoreError as exc:
            return await self._page(request, caller, {}, 503, f"The end could not be kept: {exc}.")
        if silence is None:
            return await self._page(request, caller, {}, 404, "There is no such silence any more.")
        return RedirectResponse(_links(request).silences, 303)

    async def acknowledge(self, request: Request, _caller: Caller) -> Response:
        """Stop the reminders of an open incident."""
        asked = await asking.form(request, "author", "comment")
        author = asking.text(asked, "author", LONGEST_TEXT // 10)
        comment = asking.text(asked, "comment", LONGEST_TEXT)
        try:
            incident = await self.face.acknowledge(request.path_params["id"], by=author, comment=comment)
        except StoreError as exc:
            return failure(request, 503, f"The acknowledgement could not be kept: {exc}.")
        if incident is None:
            return failure(request, 404, "There is no such open incident any more.")
        return RedirectResponse(_links(request).endpoint(incident.endpoint), 303)

    async def _page(
        self, request: Request, caller: Caller, asked: Mapping[str, str], status: int = 200, wrong: str | None = None
    ) -> Response:
        endpoints = self.face.config.endpoints
        families = dict.fromkeys(each.family for each in endpoints if each.family is not None)
        groups = {f"group:{each.group}": None for each in endpoints if each.group is not None}
        return await self.looks.page(
            "silences.html",
            request,
            caller,
            status,
            silences=self.face.silencer.silences.active(self.face.clock.wall()),
            targets=[*(each.name for each in endpoints), *families, *groups, "*"],
            asked={**_EMPTY, **asked},
            longest=LONGEST_TEXT,
            wrong=wrong,
        )


def _links(request: Request) -> Links:
    return Links.within(request.scope["path"])


def _duration(asked: Mapping[str, str]) -> float:
    try:
        seconds = float(Duration.parse(asked.get("duration", "").strip()))
    except (ValueError, OverflowError):
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise asking.AskingError('For how long must be a duration such as "30m", "2h" or "1d", at most 10 years.')
    return seconds
