"""The OpenAPI document against what the server really does: its routes, its parameters, its answers and its errors."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio
from jsonschema import Draft202012Validator
from support.entries import NOW, went_down
from support.face import PlainFace, down, record, shop, start, transition
from trio_websocket import wrap_client_stream

from monitor.config import Access
from monitor.config.changes import Changes, Names
from monitor.core.errors import ConfigError, Problem
from monitor.core.rollup import Point, Rollup, Series
from monitor.web.gate import Gate
from monitor.web.openapi import FORM, JSON, OPERATIONS, PROBLEM, document
from monitor.web.routes import table

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS = Access(read_token="r3ad", admin_token="4dm1n", public=True)
ADMIN = {"authorization": "Bearer 4dm1n"}
V1 = "/api/v1"

_NO_ANSWERS = ("SignIn", "SilenceForm", "Problem")  # objects of requests, and of errors

# What is asked of each way: a query or a body of the document, and the names in the path.
ASKED: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("GET", "/healthz"): [{}],
    ("GET", "/readyz"): [{}],
    ("GET", "/metrics"): [{}],
    ("GET", "/probe"): [{"params": {"target": "http://127.0.0.1:1/"}}],
    ("GET", f"{V1}/openapi.json"): [{}],
    ("GET", f"{V1}/endpoints"): [
        {},
        {"params": {"group": "web", "state": "down", "label": "team:shop", "limit": 1}},
        {"params": {"after": "shop"}},
    ],
    ("GET", f"{V1}/endpoints/{{name}}"): [{"name": "shop"}, {"name": "feed"}, {"name": "new"}, {"name": "missing"}],
    ("GET", f"{V1}/endpoints/{{name}}/history"): [{"name": "shop"}, {"name": "feed", "params": {"window": "90d"}}],
    ("GET", f"{V1}/transitions"): [{}, {"params": {"endpoint": "shop", "after": 0, "limit": 1}}],
    ("GET", f"{V1}/incidents"): [{}, {"params": {"endpoint": "shop", "open": "true", "after": 0, "limit": 1}}],
    ("POST", f"{V1}/incidents/{{id}}/ack"): [
        {"id": "i-shop", "json": {"author": "me", "comment": "known"}},
        {"id": "none"},
    ],
    ("GET", f"{V1}/silences"): [{}, {"params": {"past": "true"}}],
    ("POST", f"{V1}/silences"): [
        {"json": {"target": "shop", "duration": 7200, "author": "me", "comment": "a new disk"}},
        {"json": {}},
    ],
    ("DELETE", f"{V1}/silences/{{id}}"): [{"id": "none"}, {"id": "id-1"}],
    ("GET", f"{V1}/live"): [{}],
    ("GET", f"{V1}/outbox"): [{}, {"params": {"state": "dead", "sink": "ops", "after": 0, "limit": 1}}],
    ("POST", f"{V1}/outbox/retry"): [{"json": {"ids": [1, 99], "sink": "ops", "force": True}}, {}],
    **{
        (method, f"{V1}/heartbeat/{{token}}"): [
            {"token": "t0ken-of-public", "params": {"status": "down", "msg": "no", "ping": "1"}},
            {"token": "none"},
        ]
        for method in ("GET", "POST")
    },
    **{
        (method, f"{V1}/heartbeat/{{token}}/{{signal}}"): [
            {"token": "t0ken-of-public", "signal": "3", "params": {"msg": "no"}},
            {"token": "t0ken-of-public", "signal": "what"},
        ]
        for method in ("GET", "POST")
    },
    ("GET", "/badge/{name}.svg"): [
        {"name": "shop", "params": {"kind": "uptime", "window": "7d", "label": "ours"}},
        {"name": "missing"},
    ],
    ("GET", "/badge/{name}.json"): [{"name": "shop"}, {"name": "feed", "params": {"kind": "latency"}}],
    ("POST", "/-/reload"): [{}],
    ("GET", "/"): [{}],
    ("GET", "/endpoints/{name}"): [{"name": "shop"}, {"name": "missing"}],
    ("GET", "/silences"): [{}],
    ("POST", "/silences"): [{"data": {"target": "shop", "duration": "2h"}}, {}],
    ("POST", "/silences/{id}/end"): [{"id": "none"}],
    ("POST", "/incidents/{id}/ack"): [{"id": "i-shop", "data": {"comment": "known"}}, {"id": "none"}],
    ("GET", "/incidents"): [{}, {"params": {"before": "1"}}],
    ("GET", "/incidents.rss"): [{}],
    ("GET", "/login"): [{}],
    ("POST", "/login"): [{"data": {"token": "r3ad"}}, {"data": {"token": "wrong"}}],
    ("POST", "/logout"): [{}],
    ("GET", "/static/{name}"): [{"name": "page.css"}, {"name": "missing"}],
}


@pytest.fixture
async def face() -> PlainFace:
    face = PlainFace([shop("shop", public=True), shop("feed", group=None), shop("new")], access=ACCESS)
    face.config = attrs.evolve(face.config, external_url="https://status.example.org")
    busy = Rollup()
    busy.add("up", 0.1, {"connect": 0.02})
    points = (Point(NOW, busy, 0.5), Point(NOW + timedelta(minutes=5), Rollup(), None))
    face.store.charts["shop", timedelta(hours=24)] = Series(300.0, points)
    face.store.uptimes["shop"] = 0.99
    face.knows(record("feed"))
    await face.store.commit(went_down("shop", "shop"))
    face.knows(down("shop"))
    await face.move(transition("shop"))
    await face.store.bury(1, attempts=5, error="HTTP 400", at=NOW)
    face.reloaded = Changes(endpoints=Names(("a",), ("b",), ("c",)), settings=("access",))
    return face


@pytest.fixture
async def port(nursery: trio.Nursery, face: PlainFace) -> int:
    return await start(nursery, face)


@pytest.fixture
async def described(port: int) -> Any:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"http://127.0.0.1:{port}{V1}/openapi.json")).json()


def check(described: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    Draft202012Validator(
        {**schema, "components": described["components"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    ).validate(value)


def keys(described: dict[str, Any], schema: dict[str, Any], value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every key of an object of the document that *value* really has: the object's name, the key."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from keys(described, described["components"]["schemas"][name], value, name)
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if value is not None:
            yield from keys(described, each, value, name)
    if isinstance(value, dict):
        for key, of in schema.get("properties", {}).items():
            if key in value:
                yield name, key
                yield from keys(described, of, value[key], name)
    if isinstance(value, list):
        for each in value:
            yield from keys(described, schema.get("items", {}), each, name)


def test_the_document_has_every_way_of_the_table_and_no_other() -> None:
    face = PlainFace()
    ways = {(method, each.path) for each in table(face, Gate(face)) for method in each.ways}
    assert set(OPERATIONS) == ways
    assert set(ASKED) == ways


async def test_the_document_is_one(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    names = set(described["components"]["schemas"])
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert {each.partition('"')[0] for each in json.dumps(described).split("#/components/schemas/")[1:]} <= names
    for path, item in described["paths"].items():
        in_path = {each["name"] for each in item.get("parameters", ()) if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        for method, operation in item.items():
            if method != "parameters":
                assert operation["summary"]
                assert "default" in operation["responses"]


async def test_it_is_the_same_for_everybody_and_tells_nothing(port: int, described: dict[str, Any]) -> None:
    async with httpx.AsyncClient(headers=ADMIN) as http:
        assert (await http.get(f"http://127.0.0.1:{port}{V1}/openapi.json")).json() == described
    empty = PlainFace()
    assert json.loads(json.dumps(document(table(empty, Gate(empty))))) == described


@pytest.mark.parametrize("role", ["admin", "visitor"])
async def test_every_answer_is_as_the_document_says(port: int, described: dict[str, Any], role: str) -> None:
    seen = set[tuple[str, str]]()
    headers = ADMIN if role == "admin" else {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
        for (method, path), all_asked in ASKED.items():
            responses = described["paths"][path][method.lower()]["responses"]
            good = OPERATIONS[method, path].status
            for asked in all_asked:
                more = {key: value for key, value in asked.items() if key not in ("name", "id", "token", "signal")}
                answer = await http.request(method, path.format(**asked), **more)
                http.cookies.clear()
                media = answer.headers.get("content-type", "").partition(";")[0]
                if answer.status_code >= 400 and media != "text/html":
                    assert media == PROBLEM, (method, path)
                    assert answer.json()["status"] == answer.status_code
                    check(described, responses["default"]["content"][PROBLEM]["schema"], answer.json())
                    continue
                if media == "text/html":  # a form that is shown again, with what was wrong
                    assert answer.status_code in (good, 400, 401, 404), (method, path)
                    continue
                assert answer.status_code == good, (method, path, answer.text)
                if media == JSON:
                    schema = responses[str(good)]["content"][JSON]["schema"]
                    check(described, schema, answer.json())
                    seen |= set(keys(described, schema, answer.json()))
    components = described["components"]["schemas"]
    documented = {(name, key) for name, each in components.items() for key in each.get("properties", ())}
    asked_for = {each for each in documented if each[0].startswith("Asked") or each[0] in _NO_ANSWERS}
    if role == "admin":
        assert documented - asked_for <= seen, "nothing is documented that never comes"
    else:
        endpoint = {key for name, key in seen if name == "Endpoint"}
        assert endpoint == set(components["Endpoint"]["required"]), "what only readers get is not required"


@pytest.mark.parametrize(
    ("method", "path"), [way for way in ASKED if way[1].startswith(f"{V1}/") and "heartbeat" not in way[1]]
)
async def test_what_is_no_parameter_is_refused(port: int, method: str, path: str) -> None:
    url = f"http://127.0.0.1:{port}" + path.format(name="shop", id="x")
    async with httpx.AsyncClient(headers=ADMIN) as http:
        answer = await http.request(method, url, params={"limits": "5"})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith('"limits" is no parameter here; it has ')


async def test_the_messages_of_the_live_feed(nursery: trio.Nursery, face: PlainFace, described: dict[str, Any]) -> None:
    port = await start(nursery, face)
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as client:
        token = [(b"authorization", b"Bearer 4dm1n")]
        feed = await wrap_client_stream(client, stream, f"127.0.0.1:{port}", f"{V1}/live", extra_headers=token)
        face.observe(record("feed"))
        await face.move(transition("shop"))
        for _ in range(2):
            message = {"$ref": "#/components/schemas/LiveMessage"}
            check(described, message, json.loads(await feed.get_message()))
        await feed.aclose()


async def test_a_refused_reload_is_a_problem_with_every_mistake(
    port: int, face: PlainFace, described: dict[str, Any]
) -> None:
    face.reloaded = ConfigError([Problem("config.toml", 1, "endpoint", "unknown key")])
    async with httpx.AsyncClient(headers=ADMIN) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/-/reload")
    assert answer.status_code == 422
    check(described, {"$ref": "#/components/schemas/Problem"}, answer.json())
    assert len(answer.json()["errors"]) == 1


async def test_bodies_are_what_the_document_says(port: int, described: dict[str, Any]) -> None:
    """The schemas of bodies name the keys that the server takes, and take none that it refuses."""
    async with httpx.AsyncClient(headers=ADMIN) as http:
        for (method, path), operation in OPERATIONS.items():
            if operation.body is None or operation.body_media == FORM:
                continue
            known = described["components"]["schemas"][operation.body]["properties"]
            url = f"http://127.0.0.1:{port}" + path.format(id="i-shop")
            detail = (await http.request(method, url, json={"nonsense": 1})).json()["detail"]
            assert detail == f'"nonsense" is no key of this object; it has {", ".join(known)}.'


# Kept by the caller: ETag and 304.


async def test_what_a_caller_has_already_is_not_sent_again(port: int, face: PlainFace) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=ADMIN) as http:
        first = await http.get(f"{V1}/endpoints/feed")
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"
        assert first.headers["vary"] == "Authorization, Cookie"
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await http.get(f"{V1}/endpoints/feed", headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), known
        assert (await http.get(f"{V1}/endpoints/feed", headers={"if-none-match": '"x"'})).status_code == 200
        face.knows(down("feed"))
        changed = await http.get(f"{V1}/endpoints/feed", headers={"if-none-match": tag})
        assert changed.status_code == 200
        assert changed.headers["etag"] != tag
        visitors = await http.get(f"{V1}/endpoints/feed", headers={"if-none-match": "*", "authorization": "x"})
        assert visitors.status_code == 404, "who may not see it learns nothing by a tag"


# Endpoints by group, state and label, page by page.


@pytest.mark.parametrize(
    ("query", "names", "following"),
    [
        ("", ["shop", "feed", "new"], None),
        ("limit=2", ["shop", "feed"], "feed"),
        ("limit=2&after=feed", ["new"], None),
        ("limit=1000", ["shop", "feed", "new"], None),
        ("after=new", [], None),
        ("group=web", ["shop", "new"], None),
        ("group=web&limit=1", ["shop"], "shop"),
        ("group=none", [], None),
        ("state=down", ["shop"], None),
        ("state=pending", ["new"], None),
        ("state=up&group=web", [], None),
        ("label=team:shop", ["shop", "feed", "new"], None),
        ("label=team:other", [], None),
        ("label=team", [], None),
        ("group=&state=&label=&after=&limit=", ["shop", "feed", "new"], None),
    ],
)
async def test_filters(port: int, query: str, names: list[str], following: str | None) -> None:
    async with httpx.AsyncClient(headers=ADMIN) as http:
        found = (await http.get(f"http://127.0.0.1:{port}{V1}/endpoints?{query}")).json()
    assert ([each["name"] for each in found["endpoints"]], found["next"]) == (names, following)


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("state=broken", "state must be pending, up, degraded, down or unknown."),
        ("after=gone", "after must be the name of an endpoint that there is."),
        ("limit=0", "limit must be a whole number from 1 to 1000."),
        ("Group=web", '"Group" is no parameter here; it has after, group, label, limit, state.'),
    ],
)
async def test_filters_that_make_no_sense(port: int, query: str, detail: str) -> None:
    async with httpx.AsyncClient(headers=ADMIN) as http:
        answer = await http.get(f"http://127.0.0.1:{port}{V1}/endpoints?{query}")
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


async def test_visitors_cannot_find_out_a_label_or_a_name(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get(f"{V1}/endpoints?label=team:shop")).json() == {"endpoints": [], "next": None}
        private = await http.get(f"{V1}/endpoints?after=feed")
        missing = await http.get(f"{V1}/endpoints?after=gone")
        assert (private.status_code, private.content) == (missing.status_code, missing.content)
        assert private.status_code == 400


# Errors, in the form that whoever asks can read.


@pytest.mark.parametrize("path", ["/nothing", "/endpoints/missing", "/static/missing", "/metrics", "/logout"])
async def test_programs_get_problems_and_people_get_pages(port: int, path: str) -> None:
    url = f"http://127.0.0.1:{port}{path}"
    async with httpx.AsyncClient() as http:
        program = await http.get(url)
        person = await http.get(url, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert program.status_code == person.status_code == (405 if path == "/logout" else 404)
    assert program.headers["content-type"] == PROBLEM
    assert program.json()["status"] == program.status_code
    assert person.headers["content-type"] == "text/html; charset=utf-8"
    assert "no-store" in person.headers["cache-control"]
