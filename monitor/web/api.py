"""Health, readiness and the API's resources (PRODUCT section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio
from starlette.responses import PlainTextResponse, Response

from monitor.core.errors import ConfigError, MonitorError
from monitor.core.model import State, Transition
from monitor.core.text import counted
from monitor.store import Record
from monitor.web import asking, objects
from monitor.web.answers import json_answer, missing, problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from monitor.core.model import Endpoint
    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.uptimes import Uptimes

MOST_ENDPOINTS = 1000
MOST_TRANSITIONS = 1000
AT_ONCE = 100  # objects made in one round of the loop: some milliseconds, which probes then wait
USUAL_TRANSITIONS = 100


@attrs.frozen
class Api:
    """The answers that are not pages."""

    face: Face
    uptimes: Uptimes

    async def healthz(self, _request: Request, _caller: Caller) -> Response:
        """200 while the process and its loop live."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request, caller: Caller) -> Response:
        """200 once everything runs, else 503, for readers with the cause."""
        cause = self.face.not_ready()
        if cause is not None:
            return PlainTextResponse(f"not ready: {cause}\n" if caller.reads else "not ready\n", 503)
        refused = [str(each) for each in self.face.reload_problems] if caller.reads else []
        head = ["ready", *(["the last reload was refused, the config before it is in force:"] if refused else [])]
        return PlainTextResponse("\n".join([*head, *refused, ""]))

    async def reload(self, _request: Request, _caller: Caller) -> Response:
        """Read the config again: 200 with what changed, or 422 with every mistake and nothing changed."""
        try:
            changed = await self.face.reload()
        except ConfigError as exc:
            mistakes = counted(len(exc.problems), "mistake")
            detail = f"The config has {mistakes}; everything stays as it was."
            return problem(422, detail, errors=[str(each) for each in exc.problems])
        except MonitorError as exc:
            return problem(503, f"Nothing was reloaded: {exc}.")
        return json_answer(attrs.asdict(changed))

    async def endpoints(self, request: Request, caller: Caller) -> Response:
        """Those that the caller may see and asks for, in the order of the config; `next` is the next page's `after`."""
        query = request.query_params
        limit = asking.number(request, "limit", 0, 1, MOST_ENDPOINTS)
        state = asking.word(request, "state", [str(each) for each in State])
        found = [
            (endpoint, record)
            for endpoint, record in _after(visible(self.face, caller), query.get("after"))
            if query.get("group") in (None, "", endpoint.group)
            and state in (None, objects.shown_state(endpoint, record))
            and (not query.get("label") or (caller.reads and _has(endpoint, query["label"])))
        ]
        page = found[:limit] if limit else found
        following = page[-1][0].name if len(page) < len(found) else None
        await self.uptimes.refresh()
        as_json = []
        for number, (endpoint, record) in enumerate(page, start=1):
            as_json.append(self._object(endpoint, record, caller))
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return json_answer({"endpoints": as_json, "next": following})

    async def endpoint(self, request: Request, caller: Caller) -> Response:
        """One, for readers with its last observation."""
        found = visible_one(self.face, caller, request.path_params["name"])
        if found is None:
            return missing(request)
        endpoint, record = found
        await self.uptimes.refresh()
        if not caller.reads:
            return json_answer(self._object(endpoint, record, caller))
        observation = None if record.last is None else objects.observation_json(record.last)
        return json_answer({**self._object(endpoint, record, caller), "observation": observation})

    async def transitions(self, request: Request, caller: Caller) -> Response:
        """A page of transitions; `next` is the `after` of the following one, null when there is none yet."""
        limit = asking.number(request, "limit", USUAL_TRANSITIONS, 1, MOST_TRANSITIONS)
        after = asking.number(request, "after", 0, 0, asking.LARGEST_ID)
        # One more than asked for says whether there is more.
        wanted = may_see(self.face, caller, request.query_params.get("endpoint") or None)
        store = self.face.store
        nothing = wanted is not None and not wanted
        found = () if nothing else await store.transitions(endpoints=wanted, after=after, limit=limit + 1)
        page = found[:limit]
        as_json = Transition.to_json if caller.reads else objects.public_transition_json
        following = page[-1].id if len(found) > limit else None
        return json_answer({"transitions": [as_json(each) for each in page], "next": following})

    async def no_upgrade(self, _request: Request, _caller: Caller) -> Response:
        """Tell those who ask for the live feed by plain HTTP."""
        headers = {"upgrade": "websocket", "connection": "upgrade"}
        return problem(426, "The live feed speaks WebSocket: connect with ws:// or wss://.", headers)

    def _object(self, endpoint: Endpoint, record: Record, caller: Caller) -> dict[str, Any]:
        now = self.face.clock.wall()
        uptime = {"uptime": self.uptimes.of(endpoint.name)}
        if not caller.reads:
            return objects.public_json(endpoint, record, now) | uptime
        external = self.face.config.external_url
        return objects.endpoint_json(endpoint, record, self.face.flags(endpoint), now, external) | uptime


def _after(found: list[tuple[Endpoint, Record]], name: str | None) -> list[tuple[Endpoint, Record]]:
    """What follows the endpoint *name*. Raises AskingError where it is not among them, as after a reload."""
    if not name:
        return found
    at = next((index for index, (endpoint, _) in enumerate(found) if endpoint.name == name), None)
    if at is None:
        raise asking.AskingError("after must be the name of an endpoint that there is.")
    return found[at + 1 :]


def _has(endpoint: Endpoint, label: str) -> bool:
    """Does *endpoint* have the *label* `KEY:VALUE`?"""
    key, _, value = label.partition(":")
    return endpoint.labels.get(key) == value


def visible(face: Face, caller: Caller) -> list[tuple[Endpoint, Record]]:
    """The endpoints *caller* may see, in the order of the config, each with how it stands."""
    records = face.records()
    return [
        (endpoint, records.get(endpoint.name) or Record(name=endpoint.name))
        for endpoint in face.config.enabled
        if caller.sees(endpoint)
    ]


def visible_one(face: Face, caller: Caller, name: str) -> tuple[Endpoint, Record] | None:
    """The endpoint *name* and how it stands, or None if there is none that *caller* may see."""
    return next((found for found in visible(face, caller) if found[0].name == name), None)


def may_see(face: Face, caller: Caller, name: str | None) -> set[str] | None:
    """The endpoints of which *caller* may see the past, only *name* if there is one; None: all.

    A reader may ask for an endpoint that has left the config, a visitor sees only what is there.
    """
    wanted = None if name is None else {name}
    if caller.reads:
        return wanted
    seen = {endpoint.name for endpoint, _ in visible(face, caller)}
    return seen if wanted is None else seen & wanted
