"""Who may see what: the rule as tables, and every route against every caller, through the real server."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
from support.face import PlainFace, down, shop, start, transition

from monitor.config import Access, Listen
from monitor.web.access import Role, bind_problem, identify

if TYPE_CHECKING:
    import trio

TOKENS = Access(read_token="r3ad-tökén", admin_token="4dm1n")
OPEN = Access()


def basic(password: str, user: str = "me") -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


@pytest.mark.parametrize(
    ("access", "headers", "role"),
    [
        # without a read_token, this machine is a reader
        (OPEN, {"host": b"127.0.0.1:8080"}, Role.READER),
        (OPEN, {"host": b"127.0.0.1"}, Role.READER),
        (OPEN, {"host": b"127.9.9.9:8080"}, Role.READER),
        (OPEN, {"host": b"localhost:8080"}, Role.READER),
        (OPEN, {"host": b"LocalHost"}, Role.READER),
        (OPEN, {"host": b"[::1]:8080"}, Role.READER),
        (OPEN, {"host": b"[::1]"}, Role.READER),
        (OPEN, {"host": b"localhost", "authorization": b"Bearer wrong"}, Role.READER),
        (attrs.evolve(OPEN, admin_token="4dm1n"), {"host": b"localhost"}, Role.READER),
        # … but not what only resolves to it, nor what is no host at all
        (OPEN, {}, Role.VISITOR),
        (OPEN, {"host": b""}, Role.VISITOR),
        (OPEN, {"host": b"evil.example"}, Role.VISITOR),
        (OPEN, {"host": b"evil.example:8080"}, Role.VISITOR),
        (OPEN, {"host": b"127.0.0.1.evil.example"}, Role.VISITOR),
        (OPEN, {"host": b"localhost.evil.example"}, Role.VISITOR),
        (OPEN, {"host": b"evil.example@localhost"}, Role.VISITOR),
        (OPEN, {"host": b"localhost, evil.example"}, Role.VISITOR),
        (OPEN, {"host": b"localhost:80:80"}, Role.VISITOR),
        (OPEN, {"host": b"192.168.1.5"}, Role.VISITOR),
        (OPEN, {"host": b"0.0.0.0"}, Role.VISITOR),
        (OPEN, {"host": b"::1"}, Role.VISITOR),
        (OPEN, {"host": b"[::1"}, Role.VISITOR),
        (OPEN, {"host": b"\xff\xfe"}, Role.VISITOR),
        # with one, only the token counts
        (TOKENS, {"host": b"localhost"}, Role.VISITOR),
        (TOKENS, {"host": b"evil.example", "authorization": b"Bearer " + "r3ad-tökén".encode()}, Role.READER),
        (TOKENS, {"host": b"localhost", "authorization": b"bearer   4dm1n "}, Role.ADMIN),
        (TOKENS, {"authorization": basic("r3ad-tökén")}, Role.READER),
        (TOKENS, {"authorization": basic("4dm1n", user="")}, Role.ADMIN),
        (TOKENS, {"host": b"localhost", "authorization": b"Bearer 4dm1"}, Role.VISITOR),
        (TOKENS, {"host": b"localhost", "authorization": b"Bearer 4dm1n4dm1n"}, Role.VISITOR),
        (TOKENS, {"host": b"localhost", "authorization": b"Bearer"}, Role.VISITOR),
        (TOKENS, {"host": b"localhost", "authorization": b"4dm1n"}, Role.VISITOR),
        (TOKENS, {"host": b"localhost", "authorization": b"Basic 4dm1n"}, Role.VISITOR),
        (TOKENS, {"host": b"localhost", "authorization": b"Basic \xff\xff=="}, Role.VISITOR),
        (TOKENS, {"host": b"localhost", "authorization": basic("")}, Role.VISITOR),
        # an empty token is no token
        (OPEN, {"host": b"evil.example", "authorization": b"Bearer "}, Role.VISITOR),
        (OPEN, {"host": b"evil.example", "authorization": basic("")}, Role.VISITOR),
        # what a browser sends for a page of another site is a stranger's, whatever it carries
        (OPEN, {"host": b"localhost:8080", "origin": b"http://localhost:8080"}, Role.READER),
        (OPEN, {"host": b"localhost:8080", "origin": b"http://localhost:9090"}, Role.VISITOR),
        (OPEN, {"host": b"localhost:8080", "origin": b"https://evil.example"}, Role.VISITOR),
        (OPEN, {"host": b"localhost:8080", "origin": b"null"}, Role.VISITOR),
        (OPEN, {"host": b"localhost:8080", "origin": b""}, Role.VISITOR),
        (OPEN, {"origin": b"http://"}, Role.VISITOR),
        (TOKENS, {"host": b"x", "origin": b"http://evil", "authorization": b"Bearer 4dm1n"}, Role.VISITOR),
        (TOKENS, {"host": b"x", "origin": b"https://status.example", "authorization": b"Bearer 4dm1n"}, Role.ADMIN),
    ],
)
def test_the_role_of_a_request(access: Access, headers: dict[str, bytes], role: Role) -> None:
    config = attrs.evolve(PlainFace(access=access).config, external_url="https://Status.example/monitor")
    pairs = [(name.encode(), value) for name, value in headers.items()]
    assert identify(config, pairs, "127.0.0.1").role is role


@pytest.mark.parametrize(
    "twice", [("host", b"localhost", b"evil.example"), ("origin", b"http://localhost", b"http://evil.example")]
)
def test_of_two_headers_none_is_believed(twice: tuple[str, bytes, bytes]) -> None:
    name, first, second = twice
    headers = [(b"host", b"localhost")] if name != "host" else []
    headers += [(name.encode(), first), (name.encode(), second)]
    assert identify(PlainFace().config, headers, "127.0.0.1").role is Role.VISITOR


def test_of_two_tokens_none_is_believed() -> None:
    headers = [(b"authorization", b"Bearer 4dm1n"), (b"authorization", b"Bearer 4dm1n")]
    assert identify(PlainFace(access=TOKENS).config, headers, "127.0.0.1").role is Role.VISITOR


@pytest.mark.parametrize(
    ("listen", "local"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "127.0.0.1"), ("localhost", "192.0.2.1")],
)
def test_only_a_listener_on_loopback_trusts_this_machine(listen: str, local: str) -> None:
    config = PlainFace(listen=Listen(listen, 8080)).config
    assert identify(config, [(b"host", b"localhost")], local).role is Role.VISITOR


@pytest.mark.parametrize(
    ("host", "access", "allowed"),
    [
        ("127.0.0.1", OPEN, True),
        ("127.8.8.8", OPEN, True),
        ("localhost", OPEN, True),
        ("::1", OPEN, True),
        ("0.0.0.0", OPEN, False),
        ("::", OPEN, False),
        ("192.0.2.1", OPEN, False),
        ("", OPEN, False),
        ("status.example.org", OPEN, False),
        ("0.0.0.0", Access(admin_token="x"), False),  # nobody could look, so somebody forgot something
        ("0.0.0.0", Access(read_token="x"), True),
        ("0.0.0.0", Access(public=True), True),
    ],
)
def test_the_bind_rule(host: str, access: Access, *, allowed: bool) -> None:
    problem = bind_problem(Listen(host, 8080), access)
    assert problem is None if allowed else problem is not None and "read_token" in problem


# Every route, by what a stranger (a visitor where nothing is public), a visitor and a reader get.
ROUTES = {
    "/healthz": (200, 200, 200),
    "/readyz": (200, 200, 200),
    "/metrics": (404, 404, 200),
    "/": (404, 200, 200),
    "/endpoints/shown": (404, 200, 200),
    "/endpoints/concealed": (404, 404, 200),
    "/endpoints/missing": (404, 404, 404),
    "/endpoints/off": (404, 404, 404),
    "/api/v1/endpoints": (404, 200, 200),
    "/api/v1/endpoints/shown": (404, 200, 200),
    "/api/v1/endpoints/concealed": (404, 404, 200),
    "/api/v1/endpoints/missing": (404, 404, 404),
    "/api/v1/endpoints/off": (404, 404, 404),
    "/api/v1/transitions": (404, 200, 200),
    "/api/v1/transitions?limit=0": (404, 400, 400),
    "/api/v1/incidents": (404, 200, 200),
    "/api/v1/incidents?limit=1001": (404, 400, 400),
    "/api/v1/incidents/i-shown": (404, 404, 404),
    "/api/v1/incidents/i-shown/ack": (404, 404, 405),
    "/api/v1/silences": (404, 404, 200),
    "/api/v1/silences?past=maybe": (404, 404, 400),
    "/api/v1/silences/id-1": (404, 404, 405),
    "/api/v1/silences/": (404, 404, 404),
    "/api/v1/live": (404, 404, 426),
    "/login": (200, 200, 200),  # whose POST is for everybody, too
    "/logout": (405, 405, 405),
    "/static/page.css": (200, 200, 200),
    "/static/page.js": (200, 200, 200),
    "/static/icon.svg": (200, 200, 200),
    "/static/missing.css": (404, 404, 404),
    "/static/..%2fapp.py": (404, 404, 404),
    "/static/": (404, 404, 404),
    "/healthz/": (404, 404, 404),
    "/-/reload": (404, 404, 405),
    "/-/reload/": (404, 404, 404),
    "/-/": (404, 404, 404),
    "/api/v1": (404, 404, 404),
    "/favicon.ico": (404, 404, 404),
}

# What changes something, by method: what a visitor, a reader and an admin get.
CHANGES = {
    "/-/reload": {"POST": (404, 403, 200), "PUT": (404, 405, 405), "DELETE": (404, 405, 405)},
    "/api/v1/silences": {"POST": (404, 403, 400), "PUT": (404, 405, 405), "DELETE": (404, 405, 405)},
    "/api/v1/silences?past=maybe": {"POST": (404, 403, 400)},
    "/api/v1/silences/none": {"DELETE": (404, 403, 404), "POST": (404, 405, 405)},
    "/api/v1/incidents/i-shown/ack": {"POST": (404, 403, 200), "DELETE": (404, 405, 405)},
    "/api/v1/incidents/none/ack": {"POST": (404, 403, 404)},
}

PUBLIC = attrs.evolve(TOKENS, public=True)
EVIL = {"host": "evil.example"}

CALLERS = {
    "nobody, tokens": (TOKENS, {}, 0),
    "nobody, tokens, evil host": (TOKENS, EVIL, 0),
    "a wrong token": (TOKENS, {"authorization": "Bearer wrong"}, 0),
    "the read token": (TOKENS, {"authorization": b"Bearer " + "r3ad-tökén".encode()}, 2),
    "the read token, evil host": (TOKENS, {"authorization": basic("r3ad-tökén"), **EVIL}, 2),
    "the admin token": (TOKENS, {"authorization": "Bearer 4dm1n"}, 2),
    "loopback": (OPEN, {}, 2),
    "loopback, evil host": (OPEN, EVIL, 0),
    "loopback, evil origin": (OPEN, {"origin": "http://evil.example"}, 0),
    "nobody, public": (PUBLIC, {}, 1),
    "nobody, public, evil host": (PUBLIC, EVIL, 1),
    "a wrong token, public": (PUBLIC, {"authorization": basic("wrong")}, 1),
    "the read token, public": (PUBLIC, {"authorization": basic("r3ad-tökén")}, 2),
    "loopback, public": (Access(public=True), {}, 2),
    "loopback, evil host, public": (Access(public=True), EVIL, 1),
}


def asking(url: str, headers: Any) -> httpx.AsyncClient:
    """A client that sends *headers*, each time from another address: a proxy says so."""
    addresses = itertools.count()

    async def elsewhere(request: httpx.Request) -> None:
        request.headers["x-forwarded-for"] = f"10.0.{next(addresses)}.1"

    return httpx.AsyncClient(base_url=url, headers=headers, event_hooks={"request": [elsewhere]})


async def serve(nursery: trio.Nursery, access: Access) -> str:
    face = PlainFace(
        [shop("shown", public=True), shop("concealed"), shop("off", public=True, enabled=False)], access=access
    )
    face.knows(down("shown"), down("concealed"), down("off"))
    for name in ("shown", "concealed", "off"):
        await face.move(transition(name))
    return f"http://127.0.0.1:{await start(nursery, face)}"


@pytest.mark.parametrize("who", CALLERS)
async def test_every_route_for_every_caller(nursery: trio.Nursery, who: str) -> None:
    access, headers, rank = CALLERS[who]
    async with asking(await serve(nursery, access), headers) as client:
        for path, expected in ROUTES.items():
            answer = await client.get(path)
            assert answer.status_code == expected[rank], path
            head = await client.head(path)
            assert (head.status_code, head.content) == (expected[rank], b""), path
            if path != "/metrics":  # which shows what has changed since
                assert head.headers["content-length"] == answer.headers["content-length"]
            if expected[rank] != 404 and path not in CHANGES and path not in ("/login", "/logout"):
                posted = await client.post(path, content=b"x")
                assert posted.status_code == 405, path


@pytest.mark.parametrize("who", CALLERS)
async def test_every_change_for_every_caller(nursery: trio.Nursery, who: str) -> None:
    access, headers, rank = CALLERS[who]
    role = 2 if who == "the admin token" else min(rank, 2) // 2
    async with asking(await serve(nursery, access), headers) as client:
        for path, methods in CHANGES.items():
            for method, expected in methods.items():
                answer = await client.request(method, path)
                assert answer.status_code == expected[role], (method, path)
                if role == 0:
                    nothing = "/api/v1/nothing" if path.startswith("/api/") else "/nothing"
                    same(answer, await client.request(method, nothing))


@pytest.mark.parametrize("who", [who for who, (_, _, rank) in CALLERS.items() if rank < 2])
async def test_what_a_visitor_may_not_see_is_answered_like_what_is_not_there(nursery: trio.Nursery, who: str) -> None:
    access, headers, rank = CALLERS[who]
    async with asking(await serve(nursery, access), headers) as client:
        nothing = {"/api/": await client.get("/api/v1/nothing"), "/": await client.get("/nothing")}
        page = {"accept": "text/html"}
        for path in (path for path, expected in ROUTES.items() if expected[rank] == 404):
            same(await client.get(path), nothing["/api/" if path.startswith("/api/") else "/"])
            if not path.startswith(("/api/", "/-/")):
                same(await client.get(path, headers=page), await client.get("/nothing", headers=page))
        for method in ("POST", "OPTIONS", "BREW"):
            for path in ("/endpoints/", "/api/v1/endpoints/"):
                hidden, nothing_there = [await client.request(method, path + name) for name in ("concealed", "missing")]
                same(hidden, nothing_there)


def same(one: httpx.Response, other: httpx.Response) -> None:
    """To whoever asked, these are the same answer."""
    assert one.status_code == other.status_code, one.url
    assert one.content == other.content, one.url
    assert _without_date(one) == _without_date(other), one.url


def _without_date(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.headers.multi_items() if name != "date"]


async def test_a_visitor_learns_nothing_but_names_groups_states_and_times(nursery: trio.Nursery) -> None:
    async with httpx.AsyncClient(base_url=await serve(nursery, PUBLIC)) as client:
        everything = [await client.get(path) for path in ROUTES]
        everything += [await client.get(f"/api/v1/transitions?endpoint={name}") for name in ("concealed", "off", "x")]
        for answer in everything:
            for secret in ("concealed", "192.0.2.7", "example.org", "team", "The shop", "refused", "plain", "i-shown"):
                assert secret not in answer.text, answer.url

        (shown,) = (await client.get("/api/v1/endpoints")).json()["endpoints"]
        assert shown == (await client.get("/api/v1/endpoints/shown")).json()
        assert shown == {
            "name": "shown",
            "group": "web",
            "state": "down",
            "uptime": {"24h": None, "7d": None, "30d": None, "90d": None},
            "incident": {"started_at": "2026-11-22T15:00:00.123Z", "resolved_at": None, "duration": 0.0},
        }
        (only,) = (await client.get("/api/v1/transitions")).json()["transitions"]
        assert only == {
            "id": 1,
            "endpoint": "shown",
            "from": "up",
            "to": "down",
            "at": "2026-11-22T15:00:00.123Z",
        }
        for name in ("concealed", "off", "x"):
            assert (await client.get(f"/api/v1/transitions?endpoint={name}")).json() == {
                "transitions": [],
                "next": None,
            }


async def test_the_cause_of_not_being_ready_is_for_readers(nursery: trio.Nursery) -> None:
    face = PlainFace(access=TOKENS)
    face.cause = "no progress for too long: shop"
    url = f"http://127.0.0.1:{await start(nursery, face)}/readyz"
    async with httpx.AsyncClient() as client:
        visitors = await client.get(url)
        readers = await client.get(url, headers={"authorization": "Bearer 4dm1n"})
        healthy = await client.get(url.replace("readyz", "healthz"))
    assert (visitors.status_code, visitors.text) == (503, "not ready\n")
    assert (readers.status_code, readers.text) == (503, "not ready: no progress for too long: shop\n")
    assert healthy.status_code == 200


async def test_a_reload_changes_who_may_see(nursery: trio.Nursery) -> None:
    face = PlainFace(access=OPEN)
    url = f"http://127.0.0.1:{await start(nursery, face)}/"
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 200
        face.config = attrs.evolve(face.config, access=TOKENS)
        assert (await client.get(url)).status_code == 404
