"""Silences, incidents and acknowledgements over HTTP, through the real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.face import PlainFace, down, shop, start, transition

from monitor.config import Access
from monitor.core.model import State
from monitor.core.silences import LONGEST, MOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

ADMIN = {"authorization": "Bearer 4dm1n"}
LONG_AUTHOR = b'{"target": "*", "duration": 5, "author": "%s"}' % (b"x" * 101)
TWO_HOURS = {"target": "shop", "duration": 7200, "author": "ada", "comment": "new disks"}


@pytest.fixture
def face() -> PlainFace:
    return PlainFace(
        [shop("shop"), shop("feed", group="core"), shop("off", enabled=False), shop("api:eu", family="api")],
        access=Access(admin_token="4dm1n"),
    )


@pytest.fixture
async def http(nursery: trio.Nursery, face: PlainFace) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{await start(nursery, face)}/api/v1"
    async with httpx.AsyncClient(base_url=url, headers=ADMIN) as client:
        yield client


async def listed(http: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get(f"/silences{query}")).json()["silences"]
    return found


async def test_a_silence_is_made_listed_and_ended(http: httpx.AsyncClient, face: PlainFace) -> None:
    answer = await http.post("/silences", json=TWO_HOURS)
    made = answer.json()
    assert answer.status_code == 201
    assert made == {
        "id": "id-1",
        "target": "shop",
        "created_at": "2026-11-22T15:00:00.123Z",
        "ends_at": "2026-11-22T17:00:00.123Z",
        "author": "ada",
        "comment": "new disks",
        "active": True,
    }
    assert await listed(http) == [made]
    face.clock.advance(minutes=10)
    ended = {**made, "ends_at": "2026-11-22T15:10:00.123Z", "active": False}
    assert (await http.delete("/silences/id-1")).json() == ended
    face.clock.advance(minutes=10)
    assert (await http.delete("/silences/id-1")).json() == ended
    assert (await listed(http), await listed(http, "?past=true")) == ([], [ended])


async def test_a_silence_ends_by_itself_and_is_forgotten_after_a_month(
    http: httpx.AsyncClient, face: PlainFace
) -> None:
    await http.post("/silences", json=TWO_HOURS)
    face.clock.advance(hours=2)
    assert await listed(http) == []
    face.clock.advance(days=31)
    await http.post("/silences", json={**TWO_HOURS, "target": "*"})
    assert [each["target"] for each in await listed(http, "?past=true")] == ["*"]


@pytest.mark.parametrize("target", ["shop", "off", "group:core", "group:web", "*", "api", "api:eu"])
async def test_what_can_be_silenced(http: httpx.AsyncClient, target: str) -> None:
    assert (await http.post("/silences", json={"target": target, "duration": 0.5})).status_code == 201


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "target is missing: the name of an endpoint, group:NAME, or * for all."),
        (b"{}", "target is missing: the name of an endpoint, group:NAME, or * for all."),
        (b"nonsense", "The body must be a JSON object."),
        (b"\xff", "The body must be a JSON object."),
        (b"[" * 60_000, "The body must be a JSON object."),
        (b"[1]", "The body must be a JSON object."),
        (b" " * 65_537, "The body is larger than 64 KiB."),
        (b'{"target": "shpo", "duration": 5}', 'There is no endpoint "shpo", did you mean "shop"?'),
        (b'{"target": "group:cor", "duration": 5}', 'There is no group "cor", did you mean "core"?'),
        (b'{"target": "core", "duration": 5}', 'There is no endpoint "core", did you mean "group:core"?'),
        (b'{"target": "zzzzz", "duration": 5}', 'There is no endpoint "zzzzz".'),
        (b'{"target": 5, "duration": 5}', "target must be a text."),
        (b'{"target": "shop"}', "duration is missing: for how many seconds to be silent."),
        (b'{"target": "shop", "duration": "2h"}', "duration must be a number."),
        (b'{"target": "shop", "duration": true}', "duration must be a number."),
        (b'{"target": "shop", "duration": 0}', "duration must be a number of seconds from 0.001 to 315360000."),
        (b'{"target": "shop", "duration": NaN}', "duration must be a number of seconds from 0.001 to 315360000."),
        (b'{"target": "shop", "duration": 1e999}', "duration must be a number of seconds from 0.001 to 315360000."),
        (b'{"for": "2h"}', '"for" is no key of this object; it has target, duration, author, comment.'),
        (LONG_AUTHOR, "author must be at most 100 characters long."),
    ],
)  # fmt: skip
async def test_a_mistake_is_one_sentence(http: httpx.AsyncClient, body: bytes, detail: str) -> None:
    answer = await http.post("/silences", content=body)
    status = 413 if "larger" in detail else 400
    assert (answer.status_code, answer.json()["status"], answer.json()["detail"]) == (status, status, detail)
    assert await listed(http) == []


async def test_what_people_write_is_made_printable(http: httpx.AsyncClient) -> None:
    body = json.dumps({**TWO_HOURS, "comment": " two\nlines \x1b[31m \ud800"})
    made = (await http.post("/silences", content=body)).json()
    assert made["comment"] == "two\\nlines \\x1b[31m \\ud800"


async def test_there_may_not_be_too_many(http: httpx.AsyncClient, face: PlainFace) -> None:
    for _ in range(MOST):
        await face.silencer.add("shop", duration=60, author="", comment="")
    answer = await http.post("/silences", json=TWO_HOURS)
    assert (answer.status_code, answer.json()["detail"][:30]) == (409, "there are 1000 silences already"[:30])
    face.clock.advance(seconds=60)
    assert (await http.post("/silences", json={**TWO_HOURS, "duration": LONGEST})).status_code == 201


async def test_one_that_cannot_be_kept_is_none(http: httpx.AsyncClient, face: PlainFace) -> None:
    made = (await http.post("/silences", json=TWO_HOURS)).json()
    face.store.broken = True
    answer = await http.post("/silences", json=TWO_HOURS)
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "The silence could not be kept: the database is full.",
    )
    assert (await http.delete("/silences/id-1")).status_code == 503
    assert await listed(http) == [made]


async def test_incidents_open_and_past_in_pages(http: httpx.AsyncClient, face: PlainFace) -> None:
    face.knows(down("shop"), down("feed"))
    for name in ("shop", "feed"):
        await face.move(transition(name))
    await face.resolve("shop")
    face.clock.advance(seconds=60)
    first = (await http.get("/incidents?limit=1")).json()
    assert first["incidents"] == [
        {
            "id": "i-shop",
            "endpoint": "shop",
            "started_at": "2026-11-22T15:00:00.123Z",
            "resolved_at": "2026-11-22T15:00:00.123Z",
            "duration": 0.0,
            "reason": {"code": "connect", "phase": "connect", "message": "192.0.2.7 refused the connection"},
            "acknowledged": None,
        }
    ]
    second = (await http.get(f"/incidents?limit=1&after={first['next']}")).json()
    assert ([each["id"] for each in second["incidents"]], second["next"]) == (["i-feed"], None)
    assert second["incidents"][0]["duration"] == 60.0
    for query, found in (("?open=true", ["i-feed"]), ("?endpoint=shop", ["i-shop"]), ("?endpoint=shop&open=true", [])):
        assert [each["id"] for each in (await http.get(f"/incidents{query}")).json()["incidents"]] == found


async def test_an_open_incident_is_acknowledged(http: httpx.AsyncClient, face: PlainFace) -> None:
    face.knows(down("shop"))
    answer = await http.post("/incidents/i-shop/ack", json={"author": "ada", "comment": "on it"})
    known = {"at": "2026-11-22T15:00:00.123Z", "by": "ada", "comment": "on it"}
    assert (answer.status_code, answer.json()["acknowledged"]) == (200, known)
    assert (await http.get("/endpoints/shop")).json()["incident"]["acknowledged"] == known
    assert (await http.post("/incidents/i-shop/ack")).json()["acknowledged"]["by"] == ""
    unknown = await http.post("/incidents/none/ack")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "There is no open incident with this id.")
    assert (await http.post("/incidents/i-shop/ack", json={"by": "ada"})).status_code == 400


async def test_a_visitor_sees_when_a_public_endpoint_was_down_and_no_more(nursery: trio.Nursery) -> None:
    face = PlainFace([shop("shown", public=True), shop("concealed")], access=Access(public=True, read_token="r"))
    face.knows(down("shown"), down("concealed"))
    for name in ("shown", "concealed"):
        await face.move(transition(name, after=State.DOWN))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}/api/v1") as http:
        assert (await http.get("/incidents")).json() == {
            "incidents": [
                {"endpoint": "shown", "started_at": "2026-11-22T15:00:00.123Z", "resolved_at": None, "duration": 0.0}
            ],
            "next": None,
        }
        assert (await http.get("/incidents?endpoint=concealed")).json() == {"incidents": [], "next": None}


@pytest.mark.parametrize("path", ["/", "/endpoints/shop"])
async def test_the_page_shows_what_is_quiet_and_who_knows_to_readers_alone(nursery: trio.Nursery, path: str) -> None:
    face = PlainFace([shop("shop", public=True)], access=Access(public=True, read_token="r"))
    face.knows(down("shop"))
    face.flagged["shop"] = ["maintenance", "suppressed", "silenced"]
    await face.acknowledge("i-shop", by="ada <b>", comment="on it")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}") as http:
        reader = (await http.get(path, headers={"authorization": "Bearer r"})).text
        visitor = (await http.get(path)).text
    for text in ("in maintenance", "held back", "silenced", "by ada &lt;b&gt;", ": on it"):
        assert text in reader
        assert text not in visitor
