"""The sign-in form: a session for a token, kept from scripts, other sites and guessers, and over when it should be."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest
import trio
from support.face import PlainFace, shop, start

from monitor.config import Access
from monitor.web.gate import GUESSES, MOST_GUESSERS, MOST_SESSIONS, ONE_MORE, SESSION, Gate, GuessingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

ACCESS = Access(read_token="r3ad-tökén", admin_token="4dm1n")
SITE = "https://status.example.org"


@pytest.fixture
def face() -> PlainFace:
    return PlainFace([shop("shop")], access=ACCESS)


async def client(nursery: trio.Nursery, face: PlainFace) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{await start(nursery, face)}")


def origin(http: httpx.AsyncClient) -> dict[str, str]:
    return {"origin": str(http.base_url).rstrip("/")}


async def sign_in(http: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    return await http.post("/login", data={"token": token}, headers={**origin(http), **headers})


async def test_a_token_makes_a_session(nursery: trio.Nursery, face: PlainFace) -> None:
    async with await client(nursery, face) as http:
        assert (await http.get("/")).status_code == 404
        answer = await sign_in(http, " r3ad-tökén ")
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        name, _, rest = answer.headers["set-cookie"].partition("=")
        assert name == f"monitor_{http.base_url.port}"
        assert rest.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", f"Max-Age={SESSION:.0f}"]
        assert "r3ad" not in answer.headers["set-cookie"]
        assert ">Signed in as reader</a>" in (await http.get("/")).text
        assert "signed in as reader" in (await http.get("/login")).text
        refused = await http.post("/-/reload", headers=origin(http))
        assert refused.status_code == 403


async def test_signing_out_ends_it_wherever_the_cookie_is_kept(nursery: trio.Nursery, face: PlainFace) -> None:
    async with await client(nursery, face) as http:
        await sign_in(http, "4dm1n")
        kept = dict(http.cookies)
        answer = await http.post("/logout", headers=origin(http))
        assert (answer.status_code, answer.headers["location"]) == (303, "login")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        http.cookies.update(kept)
        assert (await http.get("/")).status_code == 404


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {}])
async def test_a_session_is_of_no_use_to_other_sites(
    nursery: trio.Nursery, face: PlainFace, headers: Mapping[str, str]
) -> None:
    async with await client(nursery, face) as http:
        await sign_in(http, "4dm1n")
        assert (await http.post("/-/reload", headers=headers)).status_code == 404
        assert (await http.post("/-/reload", headers=origin(http))).status_code == 200


async def test_other_sites_can_sign_nobody_in_or_out(nursery: trio.Nursery, face: PlainFace) -> None:
    async with await client(nursery, face) as http:
        assert (await sign_in(http, "4dm1n", origin="https://evil.example")).status_code == 403
        await sign_in(http, "4dm1n")
        assert (await http.post("/logout", headers={"origin": "https://evil.example"})).status_code == 403
        assert (await http.get("/")).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "r3ad", "4dm1n4dm1n", "\x00", "\ud800"])
async def test_a_wrong_token(nursery: trio.Nursery, face: PlainFace, token: str) -> None:
    async with await client(nursery, face) as http:
        answer = await http.post("/login", data={"token": token.encode("utf-8", "surrogatepass")})
        assert answer.status_code == 401
        assert "not one of the tokens" in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 401), (b"token", 401), (b"&=&=" * 200, 400), (b"token=" + b"x" * 70_000, 413), (b"\xff\xfe%zz", 401)],
)
async def test_what_is_no_form(nursery: trio.Nursery, face: PlainFace, body: bytes, status: int) -> None:
    async with await client(nursery, face) as http:
        assert (await http.post("/login", content=body)).status_code == status


async def test_a_token_that_changed_ends_the_sessions_of_the_old_one(nursery: trio.Nursery, face: PlainFace) -> None:
    async with await client(nursery, face) as http:
        await sign_in(http, "4dm1n")
        face.config = attrs.evolve(face.config, access=attrs.evolve(ACCESS, admin_token="new"))
        assert (await http.get("/")).status_code == 404
        face.config = attrs.evolve(face.config, access=ACCESS)
        assert (await http.get("/")).status_code == 404, "over is over"


async def test_others_cookies_do_not_disturb(nursery: trio.Nursery, face: PlainFace) -> None:
    async with await client(nursery, face) as http:
        ours = (await sign_in(http, "4dm1n")).headers["set-cookie"].partition(";")[0]
        http.cookies.clear()
        for cookie in (f'a={{"x":1}}; {ours}', f"{ours};b", f"=;; {ours} ;", f"a=b;{ours}"):
            assert (await http.get("/", headers={"cookie": cookie})).status_code == 200, cookie
        for cookie in (f"x{ours}", ours.replace("=", "=x"), ours.partition("=")[0], "", "\xff"):
            assert (await http.get("/", headers={"cookie": cookie.encode("latin-1")})).status_code == 404, cookie


async def test_without_a_token_there_is_nobody_to_sign_in_as(nursery: trio.Nursery) -> None:
    async with await client(nursery, PlainFace()) as http:
        page = await http.get("/login")
        assert "no token to sign in with" in page.text
        assert "<form" not in page.text
        assert (await sign_in(http, "")).status_code == 401


async def test_wrong_tokens_are_counted_in_the_form_and_in_headers(nursery: trio.Nursery, face: PlainFace) -> None:
    async with await client(nursery, face) as http:
        for number in range(GUESSES):
            if number % 2:
                assert (await sign_in(http, f"guess {number}")).status_code == 401
            else:
                wrong = {"authorization": f"Bearer guess-{number}"}
                assert (await http.get("/api/v1/endpoints", headers=wrong)).status_code == 404
        form = await sign_in(http, "4dm1n")
        assert (form.status_code, int(form.headers["retry-after"])) == (429, 2)
        assert "set-cookie" not in form.headers
        program = await http.get("/api/v1/endpoints", headers={"authorization": "Bearer 4dm1n"})
        assert (program.status_code, program.json()["status"]) == (429, 429)
        assert (await http.get("/healthz")).status_code == 200, "who sends no token is not a guesser"


# The gate itself, by a clock that tests can turn.


def asked(cookie: str = "", client: str = "192.0.2.1", **headers: str) -> dict[str, Any]:
    named = {"host": "status.example.org", "cookie": cookie, **headers}
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return {"method": "GET", "headers": pairs, "server": ("192.0.2.9", 8080), "client": (client, 4711)}


async def test_a_session_ends_after_its_time(face: PlainFace, autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate(face)
    session = gate.sign_in(asked(), "r3ad-tökén")
    mine = asked(cookie=f"monitor_8080={session}")
    await trio.sleep(SESSION - 1)
    assert gate.admit(mine).reads
    await trio.sleep(1)
    assert not gate.admit(mine).reads


async def test_of_too_many_sessions_the_oldest_end(face: PlainFace, autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate(face)
    sessions = [gate.sign_in(asked(), "4dm1n") for _ in range(MOST_SESSIONS + 1)]
    reads = [gate.admit(asked(cookie=f"monitor_8080={each}")).reads for each in sessions]
    assert reads == [False] + [True] * MOST_SESSIONS


async def test_a_guesser_gets_one_more_now_and_then(face: PlainFace, autojump_clock: trio.testing.MockClock) -> None:
    gate, looked_at = Gate(face), 0
    for _ in range(600):  # a minute of ten guesses a second
        try:
            assert gate.sign_in(asked(), "wrong") is None
            looked_at += 1
        except GuessingError:
            pass
        await trio.sleep(0.1)
    assert looked_at <= GUESSES + 60 / ONE_MORE
    assert looked_at > GUESSES + 50 / ONE_MORE
    with contextlib.suppress(GuessingError):
        gate.sign_in(asked(), "wrong")
    with pytest.raises(GuessingError):
        gate.sign_in(asked(), "4dm1n")
    assert gate.sign_in(asked(client="192.0.2.2"), "4dm1n") is not None, "another client is not held up"
    await trio.sleep(GUESSES * ONE_MORE)
    assert gate.sign_in(asked(), "4dm1n") is not None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"client": "2001:db8::1"}, {"client": "2001:db8::2"}, True),
        ({"client": "2001:db8::1"}, {"client": "2001:db8:0:1::1"}, False),
        ({"client": "127.0.0.1", "x_forwarded_for": "9.9.9.9, 192.0.2.1"}, {"client": "192.0.2.1"}, True),
        ({"client": "127.0.0.1", "x_forwarded_for": "192.0.2.1"}, {"client": "127.0.0.1"}, False),
        ({"client": "127.0.0.1", "x_forwarded_for": "nonsense"}, {"client": "127.0.0.1"}, True),
        ({"client": "192.0.2.3", "x_forwarded_for": "192.0.2.1"}, {"client": "192.0.2.3"}, True),  # no proxy of ours
    ],
)
async def test_who_is_one_client(
    face: PlainFace, autojump_clock: trio.testing.MockClock, one: dict[str, str], other: dict[str, str], *, same: bool
) -> None:
    gate = Gate(face)
    for _ in range(GUESSES):
        gate.sign_in(asked(**one), "wrong")
    if same:
        with pytest.raises(GuessingError):
            gate.sign_in(asked(**other), "4dm1n")
    else:
        assert gate.sign_in(asked(**other), "4dm1n") is not None


async def test_guessers_are_bounded(face: PlainFace, autojump_clock: trio.testing.MockClock) -> None:
    gate = Gate(face)
    for number in range(MOST_GUESSERS + 10):
        gate.sign_in(asked(client=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), "wrong")
    assert len(gate._guesses._full_until) == MOST_GUESSERS


@pytest.mark.parametrize(
    ("external", "sent_from", "path", "secure"),
    [
        (None, "http://127.0.0.1:8080", "/", False),
        (None, "https://status.example.org", "/", True),
        (SITE, SITE, "/", True),
        (f"{SITE}/", SITE, "/", True),
        (f"{SITE}/monitor", SITE, "/monitor/", True),
        (f"{SITE}/a/b/", SITE, "/a/b/", True),
        (f"{SITE}:443/monitor", SITE, "/monitor/", True),
        (f"{SITE}/monitor", "http://127.0.0.1:8080", "/", False),  # past the proxy
        ("http://status.example.org/monitor", "http://status.example.org", "/monitor/", False),
    ],
)
async def test_the_cookie_is_for_where_the_browser_sees_us(
    face: PlainFace, external: str | None, sent_from: str, path: str, *, secure: bool
) -> None:
    face.config = attrs.evolve(face.config, external_url=external)
    cookie = Gate(face).cookie(asked(origin=sent_from), "x").split("; ")
    assert f"Path={path}" in cookie
    assert ("Secure" in cookie) is secure
