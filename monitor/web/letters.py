"""The outbox over HTTP: what waits and what is dead, and dead ones put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.web import asking
from monitor.web.answers import json_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from monitor.web import Face
    from monitor.web.access import Caller

USUAL, MOST = 100, 1000
_STATES = ("pending", "dead")


@attrs.frozen
class Letters:
    """The answers."""

    face: Face

    async def list(self, request: Request, _caller: Caller) -> Response:
        """A page of deliveries, by id; `next` is the `after` of the following one, null when there is none."""
        query = request.query_params
        state = asking.word(request, "state", _STATES)
        limit = asking.number(request, "limit", USUAL, 1, MOST)
        after = asking.number(request, "after", 0, 0, asking.LARGEST_ID)
        states = _STATES if state is None else (state,)
        found = await self.face.store.letters(
            states=states, sink=query.get("sink") or None, after=after, limit=limit + 1
        )
        counts = await self.face.store.letter_counts()
        page = found[:limit]
        following = page[-1].delivery.id if len(found) > limit else None
        return json_answer({"deliveries": [each.to_json() for each in page], **counts, "next": following})

    async def retry(self, request: Request, _caller: Caller) -> Response:
        """Put dead deliveries back: `{"ids": […], "sink": …, "force": …}`, all of it optional."""
        ids, sink, force = _asked(await asking.table(request, ids=list, sink=str, force=bool))
        return json_answer(attrs.asdict(await self.face.put_back(ids, sink=sink, force=force)))


def _asked(table: dict[str, Any]) -> tuple[list[int] | None, str | None, bool]:
    ids = table.get("ids")
    if ids is not None and not all(type(each) is int and 0 < each <= asking.LARGEST_ID for each in ids):
        raise asking.AskingError("ids must be a list of deliveries' ids.")
    return ids, table.get("sink"), table.get("force", False)
