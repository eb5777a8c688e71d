"""The API's objects, queries and errors, through the real server."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trio.testing
from support.entries import NOW
from support.face import REFUSED, PlainFace, down, record, saw, shop, start, transition

from monitor.core.alerting import Alerting, Flapping
from monitor.core.health import Health
from monitor.core.model import Code, Reason, State, Status
from monitor.store import Record
from monitor.web.objects import encode

SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Client:
    """Speaks to a running server."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str, status: int = 200) -> Any:
        """The JSON at *path*, and that the answer carries what every answer must."""
        answer = await self.http.get(f"/api/v1{path}")
        assert answer.status_code == status, answer.text
        for name, value in SECURITY.items():
            assert answer.headers[name] == value
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == ("private, no-cache" if status == 200 else "no-store")
        assert "server" not in answer.headers
        kind = "application/json" if status == 200 else "application/problem+json"
        assert answer.headers["content-type"] == kind
        return answer.json()


@pytest.fixture
async def face() -> PlainFace:
    return PlainFace([shop("shop"), shop("feed", group=None)])


@pytest.fixture
async def client(nursery: trio.Nursery, face: PlainFace) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}") as http:
        yield Client(http)


async def test_an_endpoint_that_is_up(client: Client, face: PlainFace) -> None:
    face.knows(record("shop"))
    shown, waiting = (await client.get("/endpoints"))["endpoints"]
    assert shown == {
        "name": "shop",
        "group": "web",
        "check": "plain",
        "target": "https://shop.example.org/health",
        "url": None,
        "state": "up",
        "since": "2026-11-22T15:00:00.123Z",
        "status": "up",
        "reason": {"code": "ok", "phase": None, "message": ""},
        "latency": 0.084,
        "observed_at": "2026-11-22T15:00:00.123Z",
        "uptime": {"24h": None, "7d": None, "30d": None, "90d": None},
        "flags": [],
        "labels": {"team": "shop"},
        "description": "The shop.",
        "public": False,
        "depends_on": [],
        "incident": None,
    }
    assert (waiting["name"], waiting["state"]) == ("feed", "pending")
    assert {waiting[key] for key in ("since", "status", "reason", "latency", "observed_at", "incident")} == {None}


async def test_what_is_to_be_known_beside_the_state_are_flags(client: Client, face: PlainFace) -> None:
    face.knows(record("shop", alerting=Alerting(flapping=Flapping(since=NOW))))
    face.flagged["feed"] = ["maintenance", "silenced"]
    assert [each["flags"] for each in (await client.get("/endpoints"))["endpoints"]] == [
        ["flapping"],
        ["maintenance", "silenced"],
    ]


async def test_an_endpoint_that_is_down(client: Client, face: PlainFace) -> None:
    face.knows(down("shop"))
    face.clock.advance(seconds=190)
    shown = await client.get("/endpoints/shop")
    assert (shown["state"], shown["status"], shown["latency"]) == ("down", "down", None)
    assert shown["incident"] == {
        "id": "i-shop",
        "endpoint": "shop",
        "acknowledged": None,
        "started_at": "2026-11-22T15:00:00.123Z",
        "resolved_at": None,
        "duration": 190.0,
        "reason": REFUSED.to_json(),
    }
    assert shown["observation"] == {
        "status": "down",
        "reason": REFUSED.to_json(),
        "started_at": "2026-11-22T15:00:00.123Z",
        "duration": 0.084,
        "phases": {"connect": 0.002},
        "facts": {"ip": "192.0.2.7"},
    }


async def test_unknown_covers_the_state_underneath_and_its_time(client: Client, face: PlainFace) -> None:
    last = saw("shop", Status.UNKNOWN, Reason(Code.CRASH, None, "KeyError: 'x'"))
    face.knows(Record(name="shop", health=Health(state=State.UP, unknowns=3), since=NOW, last=last))
    shown = await client.get("/endpoints/shop")
    assert (shown["state"], shown["since"], shown["latency"]) == ("unknown", None, None)


async def test_one_that_was_never_probed_has_no_observation(client: Client) -> None:
    assert (await client.get("/endpoints/feed"))["observation"] is None


@pytest.mark.parametrize("name", ["a b", "ä", "50%", "a?b#c", "x%2Fy", "日本", "<img>", '"', "a+b", "…", ":"])
async def test_names_are_percent_encoded_in_paths(nursery: trio.Nursery, name: str) -> None:
    port = await start(nursery, PlainFace([shop(name)]))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = await http.get(f"/api/v1/endpoints/{quote(name, safe='')}")
        assert answer.json()["name"] == name
        assert (await http.get(f"/endpoints/{quote(name, safe='')}")).status_code == 200


async def test_a_slash_in_a_path_is_no_name(client: Client) -> None:
    document = await client.get("/endpoints/a%2Fb", 404)
    assert document == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address, or nothing that you may see.",
    }


async def test_facts_that_json_does_not_know(client: Client, face: PlainFace) -> None:
    facts = {"nan": math.nan, "deep": [{"inf": -math.inf}], "half": "\ud800", "control": "\x1b\x00"}
    face.knows(record("shop", last=saw("shop", facts=facts)))
    shown = await client.get("/endpoints/shop")
    assert shown["observation"]["facts"] == {"nan": None, "deep": [{"inf": None}], "half": "?", "control": "\x1b\x00"}


async def test_what_a_terminal_would_obey_is_escaped(client: Client, face: PlainFace) -> None:
    evil = "\x00\x1b[2J\x7f\x9b31m\u200b\u202e\u2028\u2066\xa0\U000e0041\n"
    face.knows(record("shop", last=saw("shop", facts={evil: evil})))
    answer = await client.http.get("/api/v1/endpoints/shop")
    assert answer.text.isprintable()
    assert answer.json()["observation"]["facts"] == {evil: evil}, "and it is the same JSON"
    refused = await client.http.get("/api/v1/endpoints", params={evil: "x"})
    assert (refused.status_code, refused.text.isprintable()) == (400, True)


def test_encode_is_compact_and_utf8() -> None:
    assert encode({"a": [1, "ä"]}) == '{"a":[1,"ä"]}'.encode()


async def test_transitions_page_by_page(client: Client, face: PlainFace) -> None:
    for _ in range(3):
        await face.move(transition("shop"))
        await face.move(transition("feed"))

    first = await client.get("/transitions?limit=4")
    assert [each["id"] for each in first["transitions"]] == [1, 2, 3, 4]
    assert first["transitions"][0] == {
        "id": 1,
        "endpoint": "shop",
        "from": "up",
        "to": "down",
        "at": "2026-11-22T15:00:00.123Z",
        "reason": REFUSED.to_json(),
        "incident": "i-shop",
        "alert": "alerted",
    }
    rest = await client.get(f"/transitions?limit=4&after={first['next']}")
    assert [each["id"] for each in rest["transitions"]] == [5, 6]
    assert rest["next"] is None

    feed = await client.get("/transitions?endpoint=feed&limit=3")
    assert [each["id"] for each in feed["transitions"]] == [2, 4, 6]
    assert feed["next"] is None, "exactly as many as asked for: there is no more"
    assert await client.get("/transitions?after=99") == {"transitions": [], "next": None}
    assert len((await client.get("/transitions?endpoint=&after=&limit="))["transitions"]) == 6


async def test_a_reader_finds_what_is_no_longer_watched(client: Client, face: PlainFace) -> None:
    await face.move(transition("gone"))
    assert len((await client.get("/transitions?endpoint=gone"))["transitions"]) == 1


async def test_limit_is_100_unless_said_and_1000_at_most(client: Client, face: PlainFace) -> None:
    for _ in range(1002):
        await face.move(transition("shop"))
    usual = await client.get("/transitions")
    assert (len(usual["transitions"]), usual["next"]) == (100, 100)
    most = await client.get("/transitions?limit=1000")
    assert (len(most["transitions"]), most["next"]) == (1000, 1000)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=1e3",
        "limit=1_0",
        "limit=%201",
        "limit=%D9%A1",  # a digit to Python, not to us
        "limit=ten",
        "limit=" + "9" * 5000,
        "after=-1",
        "after=9223372036854775808",
        "after=x",
    ],
)
async def test_queries_that_make_no_sense(client: Client, query: str) -> None:
    document = await client.get(f"/transitions?{query}", 400)
    assert (document["status"], document["title"]) == (400, "Bad Request")
    assert document["detail"].startswith(query.partition("=")[0])


async def test_a_store_that_cannot_be_read(client: Client, face: PlainFace) -> None:
    face.store.broken = True
    document = await client.get("/transitions", 503)
    assert document["detail"] == "The history cannot be read now: the database is full."
    await client.get("/endpoints")


async def test_other_methods(client: Client) -> None:
    answer = await client.http.delete("/api/v1/endpoints")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_live_feed_by_plain_http(client: Client) -> None:
    answer = await client.http.get("/api/v1/live")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")


async def test_a_bug_of_ours_is_a_problem_and_is_logged(
    client: Client, face: PlainFace, caplog: pytest.LogCaptureFixture
) -> None:
    face.known = _Exploding()
    document = await client.get("/endpoints", 500)
    assert document["detail"] == "The monitor failed to answer; its log says why."
    assert (await client.http.get("/healthz")).status_code == 200
    await trio.testing.wait_all_tasks_blocked()  # it is logged after the answer
    assert "ZeroDivisionError" in caplog.text


class _Exploding(dict[str, Record]):
    def get(self, *_: object) -> Any:
        return 1 / 0
