"""`/api/v1/incidents`: open and past ones; an admin says that an open one is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.errors import StoreError
from monitor.core.silences import LONGEST_TEXT
from monitor.web import asking, objects
from monitor.web.answers import json_answer, problem
from monitor.web.api import MOST_TRANSITIONS, USUAL_TRANSITIONS, may_see

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.core.model import Incident
    from monitor.web import Face
    from monitor.web.access import Caller


@attrs.frozen
class IncidentsApi:
    """The answers."""

    face: Face

    async def every(self, request: Request, caller: Caller) -> Response:
        """A page of incidents, those that began first first; `next` as of transitions."""
        limit = asking.number(request, "limit", USUAL_TRANSITIONS, 1, MOST_TRANSITIONS)
        after = asking.number(request, "after", 0, 0, asking.LARGEST_ID)
        only_open = asking.flag(request, "open")
        wanted = may_see(self.face, caller, request.query_params.get("endpoint") or None)
        found: Sequence[Incident] = ()
        if wanted is None or wanted:
            store = self.face.store
            found = await store.incidents(endpoints=wanted, after=after, limit=limit + 1, only_open=only_open)
        page, now = found[:limit], self.face.clock.wall()
        as_json = objects.incident_json if caller.reads else objects.public_incident_json
        following = page[-1].number if len(found) > limit else None
        return json_answer({"incidents": [as_json(each, now) for each in page], "next": following})

    async def acknowledge(self, request: Request, _caller: Caller) -> Response:
        """Stop the reminders of one that is open."""
        asked = await asking.table(request, author=str, comment=str)
        author = asking.text(asked, "author", LONGEST_TEXT // 10)
        comment = asking.text(asked, "comment", LONGEST_TEXT)
        try:
            incident = await self.face.acknowledge(request.path_params["id"], by=author, comment=comment)
        except StoreError as exc:
            return problem(503, f"The acknowledgement could not be kept: {exc}.")
        if incident is None:
            return problem(404, "There is no open incident with this id.")
        return json_answer(objects.incident_json(incident, self.face.clock.wall()))
