"""Redirects of the http check: followed, counted, and refused where they lead astray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.probes import answers, http, look, read_request, serve

from checks.http import Auth, Http

if TYPE_CHECKING:
    from support.probes import Handler


def redirect(location: str, status: int = 302) -> Handler:
    return answers(http(status, b"", f"Location: {location}"))


class Site:
    """A server with a path for each answer; remembers what it was asked."""

    def __init__(self, **pages: bytes) -> None:
        self.pages = pages
        self.heard: list[bytes] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        request = await read_request(stream)
        self.heard.append(request)
        path = request.split(b" ")[1].decode().strip("/").partition("?")[0]
        await stream.send_all(self.pages.get(path or "home", http(404)))


def to(location: str, status: int = 302) -> bytes:
    return http(status, b"never read", f"Location: {location}")


async def test_relative_and_absolute_redirects_are_followed(nursery: trio.Nursery) -> None:
    site = Site(home=to("/one"), one=to("two?x=1"), two=http(200, b"here"))
    port = await serve(nursery, site)
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", headers={"X-Own": "1"}), expect=("redirects == 2",))
    assert seen.status == "up", seen.reason
    assert seen.facts["url"] == f"http://127.0.0.1:{port}/two?x=1"
    assert [b"X-Own: 1" in request for request in site.heard] == [True, True, True]


async def test_other_origins_get_none_of_what_is_configured(nursery: trio.Nursery) -> None:
    there = Site(home=http(200))
    away = await serve(nursery, there)
    here = Site(home=to(f"http://127.0.0.1:{away}/"))
    port = await serve(nursery, here)
    seen = await look(
        Http(
            url=f"http://127.0.0.1:{port}/",
            headers={"X-Key": "secret", "Cookie": "a=b"},
            auth=Auth(bearer="secret"),
        )
    )
    assert seen.status == "up", seen.reason
    assert b"X-Key: secret" in here.heard[0]
    for word in (b"secret", b"X-Key", b"Cookie", b"Authorization"):
        assert word not in there.heard[0]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [(303, "POST", "GET"), (302, "POST", "GET"), (301, "POST", "GET"), (307, "POST", "POST"), (302, "PUT", "PUT"),
     (303, "HEAD", "HEAD")],
)  # fmt: skip
async def test_the_method_changes_as_the_rfc_says(nursery: trio.Nursery, status: int, method: str, then: str) -> None:
    site = Site(home=to("/next", status), next=http(200))
    port = await serve(nursery, site)
    body = None if method == "HEAD" else "text"
    await look(Http(url=f"http://127.0.0.1:{port}/", method=method, body=body))
    assert [request.split(b" ")[0].decode() for request in site.heard] == [method, then]


@pytest.mark.parametrize(
    ("location", "options", "code", "message"),
    [
        ("/", {}, "limit", "redirect loop after 1 redirect"),
        ("/next", {"max_redirects": 0}, "limit", "more than 0 redirects"),
        ("file:///etc/passwd", {}, "policy", "redirect to the scheme file, only http and https are followed"),
        ("data:text/plain,x", {}, "policy", "redirect to the scheme data, only http and https are followed"),
        ("http://169.254.169.254/latest", {}, "policy",
         "redirect to the link-local or metadata address 169.254.169.254"),
        ("http://[::ffff:169.254.169.254]/", {"allow_private": True}, "policy",
         "redirect to the link-local or metadata address ::ffff:169.254.169.254"),
        ("http://100.100.100.200/", {}, "policy", "redirect to the link-local or metadata address 100.100.100.200"),
        ("http://user:pass@127.0.0.1/", {}, "policy", "redirect to a URL with credentials in it"),
        ("http://127.0.0.1:99999/", {}, "protocol", "Location is not a valid URL"),
        ("http://127.0.0.1:0/", {}, "protocol", "Location has no host or no port"),
        ("/" + "x" * 9000, {}, "limit", "Location is longer than 8192 characters"),
        ("/a\tb", {}, "protocol", "Location holds control characters"),
    ],
)  # fmt: skip
async def test_refused(nursery: trio.Nursery, location: str, options: dict[str, Any], code: str, message: str) -> None:
    port = await serve(nursery, redirect(location))
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", **options))
    assert (seen.status, seen.reason.code, seen.reason.message) == ("down", code, message)


async def test_a_chain_ends_at_max_redirects(nursery: trio.Nursery) -> None:
    site = Site(home=to("/a"), a=to("/b"), b=to("/c"), c=http(200))
    port = await serve(nursery, site)
    assert (await look(Http(url=f"http://127.0.0.1:{port}/", max_redirects=3))).status == "up"
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", max_redirects=2))
    assert seen.reason.message == "more than 2 redirects"


async def test_not_followed_when_told_so(nursery: trio.Nursery) -> None:
    port = await serve(nursery, redirect("/next"))
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", follow_redirects=False), expect=("status == 302",))
    assert seen.status == "up", seen.reason


async def test_a_redirect_without_location_is_an_answer(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(302)))
    seen = await look(Http(url=f"http://127.0.0.1:{port}/"))
    assert seen.reason.message == "expected status 200-299, got 302"


async def test_the_body_of_a_redirect_is_not_read(nursery: trio.Nursery) -> None:
    async def endless(stream: trio.SocketStream) -> None:
        request = await read_request(stream)
        if b" /next " in request:
            await stream.send_all(http(200))
            return
        await stream.send_all(b"HTTP/1.1 302 X\r\nLocation: /next\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)

    port = await serve(nursery, endless)
    assert (await look(Http(url=f"http://127.0.0.1:{port}/"))).status == "up"


async def test_a_redirect_chain_shares_one_deadline(nursery: trio.Nursery) -> None:
    async def slow(stream: trio.SocketStream) -> None:
        request = await read_request(stream)
        await trio.sleep(0.1)
        number = int(request.split(b" ")[1].strip(b"/") or b"0") + 1
        await stream.send_all(to(f"/{number}"))

    port = await serve(nursery, slow)
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", max_redirects=100), timeout=0.35)
    assert (seen.reason.code, seen.duration >= 0.35) == ("timeout", True)
