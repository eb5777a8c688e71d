"""`keepalive`: one connection from probe to probe, looked at before it is used, and left where it is no good any more.

The servers count their connections; they close first where the test is about that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.http2 import Http2Server, Says, goaway, serve_http2
from support.probes import http, look, serve
from support.proxies import HttpProxy
from test_signing import Watched, read_whole
from test_tls import ca_file, context

from checks.http import Http
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ca_file"]  # a fixture


class Server:
    """Answers *most* times on each connection, then hangs up: *after* it, *before* one more, or *saying* why."""

    def __init__(self, answer: bytes = http(200, b"ok"), *, most: int = 10**9, hangs_up: str = "after") -> None:
        self.answer = answer
        self.most = most
        self.hangs_up = hangs_up
        self.connections = 0
        self.heard: list[tuple[str, dict[str, str]]] = []
        self.is_late = trio.Event()  # it says so, and hangs up
        self.gone = trio.Event()  # it hung up
        self.ended = trio.Event()  # the client did

    async def __call__(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            await self.talk(stream)
        except trio.BrokenResourceError:
            self.ended.set()

    async def talk(self, stream: trio.SocketStream) -> None:
        for number in range(self.most + 1):
            if number == self.most and self.hangs_up != "before":
                break
            first, headers, _ = await read_whole(stream)
            self.heard.append((first, headers))
            if number == self.most:
                break
            await stream.send_all(self.answer)
        if self.hangs_up == "saying":
            await self.is_late.wait()
            await stream.send_all(http(408, b"too slow"))
        await stream.aclose()
        self.gone.set()


async def test_the_connection_stays(nursery: trio.Nursery) -> None:
    server = Server()
    watched = Watched(nursery, Http(url=f"http://127.0.0.1:{await serve(nursery, server)}/", keepalive=True))
    first, second, third = [await watched.look() for _ in "abc"]
    assert [each.status for each in (first, second, third)] == ["up"] * 3, first.reason
    assert server.connections == 1
    assert server.heard[0][1]["connection"] == "keep-alive"
    assert list(first.phases) == ["resolve", "connect", "processing", "transfer"]
    assert list(second.phases) == list(third.phases) == ["processing", "transfer"]
    assert [each.facts["reused"] for each in (first, second, third)] == [False, True, True]
    assert second.facts["ip"] == "127.0.0.1"


async def test_it_goes_with_the_endpoint(nursery: trio.Nursery) -> None:
    server = Server()
    port = await serve(nursery, server)
    async with trio.open_nursery() as life:
        watched = Watched(life, Http(url=f"http://127.0.0.1:{port}/", keepalive=True))
        assert (await watched.look()).status == "up"
        life.cancel_scope.cancel()
    with trio.fail_after(10):
        await server.ended.wait()


async def test_who_is_looked_at_once_keeps_nothing(nursery: trio.Nursery) -> None:
    server = Server()
    found = await look(Http(url=f"http://127.0.0.1:{await serve(nursery, server)}/", keepalive=True))
    assert (found.status, server.heard[0][1]["connection"]) == ("up", "close")


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_over_tls_its_certificate_is_told_of_each_time(
    nursery: trio.Nursery, ca_file: Path, version: str
) -> None:
    server = Http2Server(Says(200, b"ok"))
    plain = Server()

    async def either(visitor: Any) -> None:
        await (server(visitor) if version == "2" else plain(visitor.stream))

    port = await serve_http2(nursery, context(), either, ("h2", "http/1.1") if version == "2" else ("http/1.1",))
    watched = Watched(nursery, Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, keepalive=True, http2=True))
    first, second, third = [await watched.look() for _ in "abc"]
    assert [each.status for each in (first, second, third)] == ["up"] * 3, first.reason
    assert server.connections + plain.connections == 1
    assert [each.facts["http_version"] for each in (first, third)] == [version] * 2
    assert "tls" not in third.phases
    for fact in ("tls_version", "cert_issuer", "ip"):
        assert third.facts[fact] == first.facts[fact]
    assert 0 < third.facts["cert_expires_in"] <= first.facts["cert_expires_in"]


@pytest.mark.parametrize("hangs_up", ["after", "before", "saying"])
async def test_a_server_that_hangs_up_meanwhile_is_asked_afresh(nursery: trio.Nursery, hangs_up: str) -> None:
    server = Server(most=1, hangs_up=hangs_up)
    watched = Watched(nursery, Http(url=f"http://127.0.0.1:{await serve(nursery, server)}/", keepalive=True))
    assert (await watched.look()).status == "up"
    server.is_late.set()
    if hangs_up != "before":
        await server.gone.wait()
    found = await watched.look()
    assert (found.status, found.facts["reused"], server.connections) == ("up", False, 2), found.reason
    assert "connect" in found.phases


async def test_one_that_is_really_gone_is_down(nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as serving:
        server = Server(most=1)
        watched = Watched(nursery, Http(url=f"http://127.0.0.1:{await serve(serving, server)}/", keepalive=True))
        assert (await watched.look()).status == "up"
        await server.gone.wait()
        serving.cancel_scope.cancel()
    found = await watched.look()
    assert (found.status, found.reason.code) == ("down", "connect")
    assert found.reason.message.startswith("connection refused")


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"ok", "Connection: close"),
        b"HTTP/1.0 200 X\r\nContent-Length: 2\r\n\r\nok",
        http(200, b"ok") + b"more",
        http(200, b"x" * 300_000, "Content-Encoding: br"),
    ],
    ids=["close", "HTTP/1.0", "more than asked for", "not read to its end"],
)
async def test_what_is_no_good_for_another_answer_is_not_kept(nursery: trio.Nursery, answer: bytes) -> None:
    server = Server(answer)
    watched = Watched(nursery, Http(url=f"http://127.0.0.1:{await serve(nursery, server)}/", keepalive=True))
    found = [await watched.look() for _ in "ab"]
    assert (server.connections, found[1].facts["reused"]) == (2, False)


async def test_what_must_not_be_repeated_gets_a_fresh_connection(nursery: trio.Nursery) -> None:
    server = Server()
    check = Http(url=f"http://127.0.0.1:{await serve(nursery, server)}/", keepalive=True, method="POST", body="x")
    watched = Watched(nursery, check)
    assert [(await watched.look()).status for _ in "ab"] == ["up", "up"]
    assert (server.connections, len(server.heard)) == (2, 2)


async def test_a_deadline_ends_it(nursery: trio.Nursery) -> None:
    server = Server(http(200, b"12345")[:-1])
    watched = Watched(
        nursery, Http(url=f"http://127.0.0.1:{await serve(nursery, server)}/", keepalive=True), timeout=0.2
    )
    assert (await watched.look()).reason.code == "timeout"
    server.answer = http(200, b"ok")
    watched.endpoint = attrs.evolve(watched.endpoint, timeout=type(watched.endpoint.timeout)(5))
    found = await watched.look()
    assert (found.status, server.connections, found.facts["reused"]) == ("up", 2, False)


async def test_a_server_of_http2_that_goes_away_is_asked_afresh(nursery: trio.Nursery, ca_file: Path) -> None:
    connections = 0

    async def leaving(visitor: Any) -> None:
        nonlocal connections
        connections += 1
        await visitor.flush()
        number, _ = await visitor.request()
        await visitor.answer(number, Says(200, b"ok"))
        if connections == 1:
            await visitor.request()
            await visitor.stream.send_all(goaway(1))
        await visitor.hear()

    port = await serve_http2(nursery, context(), leaving)
    watched = Watched(nursery, Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, keepalive=True, http2=True))
    found = [await watched.look() for _ in "ab"]
    assert [each.status for each in found] == ["up", "up"], found[1].reason
    assert (connections, found[1].facts["reused"]) == (2, False)


async def test_it_leads_through_a_proxy_as_well(nursery: trio.Nursery, ca_file: Path) -> None:
    server, proxy = Server(), HttpProxy({"shop.test": "127.0.0.1"})
    port, at = await serve(nursery, server), await serve(nursery, proxy)
    watched = Watched(nursery, Http(url=f"http://shop.test:{port}/", keepalive=True, proxy=f"http://127.0.0.1:{at}"))
    assert [(await watched.look()).status for _ in "ab"] == ["up", "up"]
    assert (server.connections, len(proxy.asked)) == (1, 1)


async def test_who_cannot_be_connected_to_says_why(nursery: trio.Nursery) -> None:
    watched = Watched(nursery, Http(url="http://127.0.0.1:1/", keepalive=True))
    for _ in "ab":
        found = await watched.look()
        assert (found.reason.code, found.reason.phase) == ("connect", "connect")


def test_all_addresses_are_too_many_to_keep() -> None:
    with pytest.raises(OptionError, match="one connection is kept"):
        Http(url="http://shop.test/", addresses="all", keepalive=True)
