"""The steps of the http check: log in, then look. Cookies, what is saved, and what is told of it.

The shop is a real server on loopback with a login form, as browsers meet it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from support.probes import answers, http, look, serve
from test_signing import read_whole

from checks.auth import Auth
from checks.http import Http
from checks.http_steps import Between, Request
from monitor.core.quantities import Expression
from monitor.declaring import OptionError

if TYPE_CHECKING:
    import trio

FORM = b'<form><input type="hidden" name="csrf" value="t0ken/of the form"></form>'
SESSION = "the-session-of-the-visit"


class Shop:
    """A login form with a hidden field, a session by cookie, an account page, an API."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        first, headers, body = await read_whole(stream)
        self.heard.append((first, headers, body))
        method, path, _ = first.split(" ")
        await stream.send_all(self.answer(method, path, headers.get("cookie", ""), body))

    def answer(self, method: str, path: str, cookie: str, body: bytes) -> bytes:
        known = f"session={SESSION}" in cookie
        match method, path:
            case "GET", "/login":
                return http(200, FORM, "Set-Cookie: visitor=v1; Path=/")
            case "POST", "/login":
                good = parse_qs(body.decode()).get("csrf") == ["t0ken/of the form"] and "visitor=v1" in cookie
                cookies = (f"Set-Cookie: session={SESSION}; HttpOnly; Path=/", "Set-Cookie: admin=1; Path=/admin")
                return http(302, b"", "Location: /account", *cookies) if good else http(403)
            case "GET", "/account":
                return http(200, b"Welcome back") if known else http(401)
            case "POST", "/api/carts":
                return http(201, json.dumps({"id": 7, "key": "k/1 %"}).encode()) if known else http(401)
            case "DELETE", "/api/carts/7/k%2F1%20%25":
                return http(204, b"", "Set-Cookie: session=; Max-Age=0; Path=/")
        return http(404)


def e(*sources: str) -> tuple[Expression, ...]:
    return tuple(map(Expression, sources))


LOGIN = (
    Request(url="/login", save={"csrf": Between(after='name="csrf" value="', before='"')}),
    Request(name="log in", url="/login", form={"user": "monitor", "csrf": "{{csrf}}"}),
)


async def seen(nursery: trio.Nursery, *requests: Request, **settings: Any) -> tuple[Any, Shop]:
    shop = Shop()
    port = await serve(nursery, shop)
    options = settings.pop("options", {})
    return await look(Http(url=f"http://127.0.0.1:{port}/account", steps=requests, **options), **settings), shop


async def test_log_in_then_look(nursery: trio.Nursery) -> None:
    cart = Request(
        url="/api/carts", json={"items": [1, "{{csrf}}"]}, expect=e("status == 201", "json.id == 7"),
        save={"cart": Expression("json.id"), "key": Expression("json.key")},
    )  # fmt: skip
    gone = Request(url="/api/carts/{{cart}}/{{ key }}", method="DELETE", headers={"X-Cart": "{{cart}}"})
    last = Request(expect=e("status == 401", "!has(cookies.session)", "cookies.visitor == 'v1'"))
    found, shop = await seen(
        nursery,
        *LOGIN,
        Request(expect=e("body.contains('Welcome')")),
        cart,
        gone,
        last,
        expect=("step == 6", "status == 401"),
    )
    assert found.status == "up", found.reason
    asked = [first.removesuffix(" HTTP/1.1") for first, _, _ in shop.heard]
    assert asked == [
        "GET /login", "POST /login", "GET /account", "GET /account", "POST /api/carts",
        "DELETE /api/carts/7/k%2F1%20%25", "GET /account",
    ]  # fmt: skip
    assert json.loads(shop.heard[4][2]) == {"items": [1, "t0ken/of the form"]}
    assert shop.heard[5][1]["x-cart"] == "7"
    assert not any("admin=1" in headers.get("cookie", "") for _, headers, _ in shop.heard)
    assert found.facts["step"] == 6
    assert found.facts["redirects"] == 0


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (Request(url="/nowhere"), "expectation", "step 3: expected status 200-299, got 404"),
        (Request(name="look", expect=e("body == 'Bye'")), "expectation",
         "step 3 (look): expected body == 'Bye', got body = \"Welcome back\""),
        (Request(save={"x": Expression("json.token")}), "expectation",
         "step 3: expected json.token, but json is absent"),
        (Request(save={"x": Between(after="<", before=">")}), "expectation",
         "step 3: expected something to save as x, it is not there"),
        (Request(expect=e("latency > duration('1h')")), "expectation", "step 3: expected latency > duration('1h'),"),
        (Request(url="http://127.0.0.1:1/"), "connect", "step 3: connection refused (127.0.0.1:1)"),
    ],
)  # fmt: skip
async def test_which_step_failed_and_why(nursery: trio.Nursery, request_: Request, code: str, message: str) -> None:
    found, _ = await seen(nursery, *LOGIN, request_)
    assert (found.status, found.reason.code) == ("down", code)
    assert found.reason.message.startswith(message)
    assert found.facts["step"] == 3


async def test_a_step_that_gets_no_answer_is_the_one_that_is_shown(nursery: trio.Nursery) -> None:
    mute = await serve(nursery, answers(then="hold"))
    found, _ = await seen(nursery, *LOGIN, Request(url=f"http://127.0.0.1:{mute}/"), timeout=0.5)
    assert (found.reason.code, found.facts["step"]) == ("timeout", 3)


async def test_what_was_saved_and_the_session_are_told_to_nobody(nursery: trio.Nursery) -> None:
    redirect = Request(
        url="/login", form={"csrf": "{{csrf}}"}, follow_redirects=False, expect=e("status == 302", "url == 'x'")
    )
    found, _ = await seen(nursery, LOGIN[0], redirect)
    assert found.reason.message.startswith("step 2: expected url == 'x', got url = ")
    assert SESSION not in f"{found!r}"
    asks = Request(url="/login?again={{csrf}}", expect=e("url == 'x'", "status == 404"))
    found, _ = await seen(nursery, LOGIN[0], asks)
    assert found.reason.message.endswith('/login?again=***"')
    assert "of%20the%20form" not in f"{found!r}"


async def test_what_is_configured_goes_to_the_endpoints_own_origin_alone(nursery: trio.Nursery) -> None:
    other = Shop()
    away = await serve(nursery, other)
    found, shop = await seen(
        nursery, *LOGIN, Request(url=f"http://127.0.0.1:{away}/login", headers={"X-Own": "2"}), Request(),
        options={"headers": {"X-Key": "secret", "Cookie": "a=b"}, "auth": Auth(bearer="the-token")},
    )  # fmt: skip
    assert found.status == "up", found.reason
    ((_, headers, _),) = other.heard
    assert headers["x-own"] == "2"
    # Cookies know of hosts and not of ports (RFC 6265, 8.5).
    assert headers["cookie"] == f"visitor=v1; session={SESSION}"
    assert not {"x-key", "authorization"} & headers.keys()
    assert shop.heard[-1][1]["cookie"] == f"a=b; visitor=v1; session={SESSION}"
    assert shop.heard[-1][1]["authorization"] == "Bearer the-token"


async def test_cookies_go_along_without_steps_where_a_redirect_gives_them(nursery: trio.Nursery) -> None:
    async def wants_cookies(stream: trio.SocketStream) -> None:
        _, headers, _ = await read_whole(stream)
        known = "seen=1" in headers.get("cookie", "")
        await stream.send_all(http(200) if known else http(302, b"", "Location: /?", "Set-Cookie: seen=1"))

    found = await look(Http(url=f"http://127.0.0.1:{await serve(nursery, wants_cookies)}/"))
    assert found.status == "up", found.reason


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([f"Set-Cookie: c{number}=1" for number in range(50)], "ok"),
        ([f"Set-Cookie: c{number}=1" for number in range(51)], "limit"),
        ([f"Set-Cookie: big={'x' * 6000}", "Set-Cookie", "Set-Cookie: =;;=", "Set-Cookie: a=b; Domain=.test"], "ok"),
    ],
)
async def test_the_jar_is_bounded(nursery: trio.Nursery, given: list[str], code: str) -> None:
    port = await serve(nursery, answers(http(200, b"ok", *(each if ":" in each else f"{each}:" for each in given))))
    found = await look(Http(url=f"http://127.0.0.1:{port}/", steps=(Request(expect=e("!has(cookies.big)")),)))
    assert found.reason.code == code, found.reason


async def test_a_value_that_would_break_out_of_its_header_is_refused(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200, b'{"a": "x\\r\\nX-Evil: 1"}')))
    first = Request(save={"a": Expression("json.a")})
    found = await look(Http(url=f"http://127.0.0.1:{port}/", steps=(first, Request(headers={"X": "{{a}}"}))))
    assert (found.reason.code, found.reason.message) == (
        "expectation",
        "step 2: header X: expected one line of text, got a line break or control character",
    )


@pytest.mark.parametrize(
    ("requests", "more", "option", "message"),
    [
        ((Request(url="/{{a}}", save={"a": Expression("json.a")}),), {}, "steps[0].url",
         'no step before saves "a"'),
        ((Request(save={"a": Expression("json.a")}), Request(json={"x": ["{{b}}"]})), {}, "steps[1].json",
         'no step before saves "b"; saved are a'),
        ((Request(save={"a": Expression("headers")}),), {}, "steps[0].save.a",
         "headers is a map, expected a text or a number"),
        ((Request(expect=e("statsu == 200")),), {}, "steps[0].expect[0]", 'unknown fact "statsu"'),
        ((Request(),), {"method": "POST"}, "steps", "expected no method, body or json beside steps"),
        ((Request(),) * 21, {}, "steps", "expected at most 20 steps, got 21"),
    ],
)  # fmt: skip
def test_mistakes(requests: tuple[Request, ...], more: dict[str, Any], option: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Http(url="http://shop.test/", steps=requests, **more)
    assert caught.value.option == option
    assert str(caught.value).startswith(message)


def test_no_server_says_to_which_host_to_go_next() -> None:
    with pytest.raises(OptionError, match="in the host of a URL"):
        Request(url="https://{{host}}.example.org/x")
