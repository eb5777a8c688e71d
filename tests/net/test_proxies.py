"""Through proxies: HTTP by whole URLs and by CONNECT, over TLS, SOCKS5; whose fault it was when it goes wrong.

The proxies are real ones on loopback, which alone know the name `shop.test`; the hostile ones are a few raw bytes.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio_websocket
from support.probes import answers, http, look, serve
from support.proxies import HttpProxy, Socks5Proxy
from test_redirects import Site, to
from test_tls import CA, ca_file, context, serve_tls

from checks.http import Auth, Http
from checks.http_steps import Request
from checks.websocket import WebSocket
from checks.websocket_steps import Step
from monitor.core.quantities import Expression
from monitor.net.proxy import Proxy
from monitor.net.resolve import Address, Resolver, system_look_up
from monitor.net.sockets import SocketNet

__all__ = ["ca_file"]  # a fixture
if TYPE_CHECKING:
    from pathlib import Path

    from support.probes import Handler

NAMES = {"shop.test": "127.0.0.1", "other.test": "127.0.0.1"}
SHOP = "shop.test"


async def serve_over_tls(nursery: trio.Nursery, handler: Any) -> int:
    """A server of *handler* that speaks TLS, as 127.0.0.1."""

    async def contained(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    made = context(CA.issue_cert("127.0.0.1"))
    listeners = await nursery.start(partial(trio.serve_ssl_over_tcp, contained, 0, made, host="127.0.0.1"))
    return int(listeners[0].transport_listener.socket.getsockname()[1])


async def test_what_is_not_encrypted_is_asked_for_by_its_whole_url(nursery: trio.Nursery) -> None:
    site = Site(home=http(200, b"ok"))
    port, proxy = await serve(nursery, site), HttpProxy(NAMES)
    check = Http(
        url=f"http://{SHOP}:{port}/?a=b", auth=Auth(bearer="t"), proxy=f"http://127.0.0.1:{await serve(nursery, proxy)}"
    )
    seen = await look(check)
    assert seen.status == "up", seen.reason
    assert proxy.requests[0].startswith(f"GET http://{SHOP}:{port}/?a=b HTTP/1.1\r\n".encode())
    assert f"Host: {SHOP}:{port}".encode() in site.heard[0]
    assert b"Authorization: Bearer t" in site.heard[0]
    assert list(seen.phases) == ["resolve", "connect", "processing", "transfer"]
    assert seen.facts["ip"] == "127.0.0.1"


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
async def test_tls_is_spoken_with_the_target(nursery: trio.Nursery, ca_file: Path, scheme: str) -> None:
    port = await serve_tls(nursery, context(CA.issue_cert(SHOP)))
    proxy: Any = HttpProxy(NAMES) if scheme.startswith("http") else Socks5Proxy(NAMES)
    at = await (serve_over_tls if scheme == "https" else serve)(nursery, proxy)
    net = SocketNet(Resolver(lambda host: system_look_up(NAMES.get(host, host)) if scheme == "socks5" else []))
    check = Http(url=f"https://{SHOP}:{port}/", ca_file=ca_file, proxy=f"{scheme}://127.0.0.1:{at}")
    seen = await look(check, net=net, expect=("body == 'ok'",))
    assert seen.status == "up", seen.reason
    assert list(seen.phases) == ["resolve", "connect", "proxy", "tls", "processing", "transfer"]
    assert seen.facts["tls_version"] == "1.3"
    assert seen.facts["cert_expires_in"] > 0
    assert proxy.asked == [f"{'127.0.0.1' if scheme == 'socks5' else SHOP}:{port}"]


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_credentials_go_to_the_proxy_alone(nursery: trio.Nursery, ca_file: Path, scheme: str) -> None:
    site = Site(home=http(200, b"ok"))
    port = await serve(nursery, site)
    proxy: Any = (HttpProxy if scheme == "http" else Socks5Proxy)(NAMES, "me", "p@ss:word")
    at = await serve(nursery, proxy)
    good = await look(Http(url=f"http://{SHOP}:{port}/", proxy=f"{scheme}://me:p%40ss%3Aword@127.0.0.1:{at}"))
    assert good.status == "up", good.reason
    assert b"proxy-auth" not in site.heard[0].lower()
    bad = await look(Http(url=f"http://{SHOP}:{port}/", proxy=f"{scheme}://me:wrong-one@127.0.0.1:{at}"))
    assert (bad.status, bad.reason.code, bad.reason.phase) == ("down", "connect", "proxy")
    assert bad.reason.message.removesuffix(" (407)") == "the proxy refused the user name or the password"
    none = await look(Http(url=f"https://{SHOP}:{port}/", proxy=f"{scheme}://127.0.0.1:{at}"))
    assert none.reason.message.removesuffix(" (407)") == "the proxy wants a user name and a password"
    assert len(site.heard) == 1


async def test_a_certificate_that_is_refused_is_the_targets_and_that_of_a_proxy_the_proxys(
    nursery: trio.Nursery, ca_file: Path
) -> None:
    port = await serve_tls(nursery, context(CA.issue_cert("other.example")))
    plain, secure = await serve(nursery, HttpProxy(NAMES)), await serve_over_tls(nursery, HttpProxy(NAMES))
    url = f"https://{SHOP}:{port}/"
    for proxy in (f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"):
        seen = await look(Http(url=url, ca_file=ca_file, proxy=proxy))
        assert (seen.reason.code, seen.reason.phase) == ("tls", "tls")
        assert seen.reason.message.startswith("certificate is for another host name (shop.test)")
    seen = await look(Http(url=url, proxy=f"https://127.0.0.1:{secure}"))
    assert (seen.reason.code, seen.reason.phase) == ("tls", "proxy")
    assert seen.reason.message.startswith("the proxy cannot be reached: certificate")
    assert not {"tls_version", "cert_expires_in"} & seen.facts.keys()


async def test_another_address_is_tunnelled_to_as_no_url_could_say_it(nursery: trio.Nursery) -> None:
    site = Site(home=http(200, b"ok"))
    port, proxy = await serve(nursery, site), HttpProxy()
    way = {"proxy": f"http://127.0.0.1:{await serve(nursery, proxy)}", "address": "127.0.0.1"}
    seen = await look(Http(url=f"http://{SHOP}:{port}/", **way))
    assert seen.status == "up", seen.reason
    assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{port} ".encode())
    assert f"Host: {SHOP}:{port}".encode() in site.heard[0]


async def test_an_empty_proxy_is_none(nursery: trio.Nursery) -> None:
    port = await serve(nursery, Site(home=to("/again"), again=http(200)))
    assert (await look(Http(url=f"http://127.0.0.1:{port}/", proxy="", addresses="all"))).status == "up"


async def test_a_name_that_fits_into_no_socks(nursery: trio.Nursery) -> None:
    at = await serve(nursery, Socks5Proxy())  # type: ignore[arg-type] # it takes any stream
    step = Request(url=f"http://{'a.' * 150}test/")
    seen = await look(Http(url="http://shop.test/", steps=(step,), proxy=f"socks5h://127.0.0.1:{at}"))
    assert (seen.status, seen.reason.code) == ("down", "dns")


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_a_websocket_goes_through_a_tunnel(nursery: trio.Nursery, scheme: str) -> None:
    async def echo(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await connection.send_message(await connection.get_message())
            await connection.get_message()

    server = await nursery.start(partial(trio_websocket.serve_websocket, echo, "127.0.0.1", 0, None))
    proxy: Any = (HttpProxy if scheme == "http" else Socks5Proxy)(NAMES)
    at = await serve(nursery, proxy)
    steps = (Step(send="hello"), Step(expect=Expression("text == 'hello'")))
    seen = await look(WebSocket(url=f"ws://{SHOP}:{server.port}/", steps=steps, proxy=f"{scheme}://127.0.0.1:{at}"))
    assert seen.status == "up", seen.reason
    assert list(seen.phases)[:4] == ["resolve", "connect", "proxy", "handshake"]
    assert proxy.asked == [f"{SHOP}:{server.port}"]


async def test_whose_fault_it_is_that_nothing_answers(nursery: trio.Nursery) -> None:
    for scheme, proxy in (("http", HttpProxy(NAMES)), ("socks5h", Socks5Proxy(NAMES))):
        at = await serve(nursery, proxy)  # type: ignore[arg-type] # it takes any stream
        seen = await look(Http(url="https://shop.test:1/", proxy=f"{scheme}://127.0.0.1:{at}"))
        assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "connect", "proxy")
        why = {"http": " (502)", "socks5h": ": host unreachable"}[scheme]
        assert seen.reason.message == f"the proxy cannot connect to shop.test:1{why}"
    seen = await look(Http(url="http://shop.test/", proxy="http://127.0.0.1:1"))
    assert (seen.reason.code, seen.reason.phase) == ("connect", "connect")
    assert seen.reason.message == "the proxy cannot be reached: connection refused (127.0.0.1:1)"
    seen = await look(Http(url="http://shop.test/", proxy="socks5://proxy.invalid"))
    assert (seen.reason.code, seen.reason.phase) == ("dns", "resolve")  # we look the target up first
    seen = await look(Http(url="http://shop.test/", proxy="socks5h://proxy.invalid"))
    assert seen.reason.message.startswith("the proxy cannot be reached: ")


@pytest.mark.parametrize(
    ("scheme", "handler", "code", "message"),
    [
        ("http", answers(http(403)), "connect", "the proxy does not allow shop.test:443 (403)"),
        ("http", answers(), "protocol", "the proxy failed: it closed the connection without an answer"),
        ("http", answers(b"SSH-2.0-x\r\n"), "protocol", "the proxy failed: not a valid HTTP answer: "),
        ("http", answers(b"HTTP/1.1 200 X\r\n" + b"a: b\r\n" * 20_000), "limit", "the proxy failed: headers are"),
        ("http", answers(b"HTTP/1.1 200 X\r\n\r\nhello"), "protocol", "the proxy sent something before the connection"),
        ("http", answers(then="reset"), "connect", "the proxy failed: connection reset by it"),
        ("http", answers(b"HTTP/1.1 200 X\r\n", then="hold"), "timeout", "no answer within 300 ms (during proxy)"),
        ("socks5h", answers(b"HTTP/1.1 400 Bad\r\n\r\n"), "protocol", "the proxy does not speak SOCKS5"),
        ("socks5h", answers(b"\5\0\5"), "protocol", "the proxy failed: it closed the connection in the middle"),
        ("socks5h", answers(b"\5\0\5\2\0\1"), "connect", "the proxy does not allow shop.test:443"),
        ("socks5h", answers(b"\5\0\5\5\0\1"), "connect", "the proxy cannot connect to shop.test:443: conn"),
        ("socks5h", answers(b"\5\0\5\x63\0\1"), "protocol", "the proxy does not speak SOCKS5"),
        ("socks5h", answers(b"\5\0\5\0\0\7"), "protocol", "the proxy does not speak SOCKS5"),
        ("socks5h", answers(b"\5\2"), "connect", "the proxy wants a user name and a password"),
        ("socks5h", answers(b"\5\1"), "connect", "the proxy wants a user name and a password"),
        ("socks5h", answers(b"\5\0\5\0\0\3\xff", then="hold"), "timeout", "no answer within 300 ms (during proxy)"),
    ],
)  # fmt: skip
async def test_a_bad_proxy_is_told_from_a_bad_target(
    nursery: trio.Nursery, scheme: str, handler: Handler, code: str, message: str
) -> None:
    async def speaks_first(stream: trio.SocketStream) -> None:
        await stream.receive_some(64)

        class Rest:
            """SOCKS has no blank line to wait for."""

            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

            async def receive_some(self, _: int = 0) -> bytes:
                return b"\r\n\r\n"

        await handler(Rest())  # type: ignore[arg-type]
        await stream.receive_some()  # what is left unread would make the close a reset

    at = await serve(nursery, handler if scheme == "http" else speaks_first)
    seen = await look(
        Http(url="https://shop.test/", proxy=f"{scheme}://127.0.0.1:{at}"), timeout=0.3 if code == "timeout" else 5
    )
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", code, "proxy")
    assert seen.reason.message.startswith(message)


def resolver(**names: str) -> SocketNet:
    """A net that knows *names*, and fails for all others as a name server does."""

    def look_up(host: str) -> list[Address]:
        return system_look_up(names.get(host.removesuffix(".test"), "name.invalid"))

    return SocketNet(Resolver(look_up))


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_redirects_are_vetted_though_the_proxy_connects(nursery: trio.Nursery, scheme: str) -> None:
    there = Site(home=http(200, b"there"))
    away = await serve(nursery, there)
    here = Site(
        home=to(f"http://other.test:{away}/"), literal=to(f"http://127.0.0.1:{away}/"), own=to("/again"), again=http()
    )
    port = await serve(nursery, here)
    at = await serve(nursery, (HttpProxy if scheme == "http" else Socks5Proxy)(NAMES))  # type: ignore[arg-type]

    async def seen(path: str, net: SocketNet, **options: Any) -> tuple[str, str | None, str]:
        url = f"http://{SHOP}:{port}/{path}"
        found = await look(Http(url=url, proxy=f"{scheme}://127.0.0.1:{at}", **options), net=net)
        return str(found.reason.code), found.reason.phase, found.reason.message

    assert (await seen("own", resolver()))[0] == "ok"  # to the same host: nothing new is trusted
    unknown = await seen("", resolver())
    assert unknown == (
        "policy",
        "resolve",
        "redirect to other.test, which cannot be looked up here: nobody knows where the proxy would go",
    )
    private = "redirect from a public to the private address 127.0.0.1, which allow_private does not allow"
    assert await seen("", resolver(other="127.0.0.1")) == ("policy", "processing", private)
    assert await seen("literal", resolver()) == ("policy", "processing", private)
    assert there.heard == []
    assert (await seen("", resolver(other="127.0.0.1"), allow_private=True))[0] == "ok"
    assert (await seen("", resolver(other="169.254.169.254"), allow_private=True))[0] == "policy"
    assert len(there.heard) == 1


@pytest.mark.parametrize(
    ("text", "host", "port", "username", "password"),
    [
        ("http://proxy", "proxy", 80, None, ""),
        ("https://proxy:8443/", "proxy", 8443, None, ""),
        ("socks5://[2001:db8::1]", "2001:db8::1", 1080, None, ""),
        ("socks5h://me:p%40ss@proxy:9050", "proxy", 9050, "me", "p@ss"),
    ],
)
def test_how_a_proxy_is_written(text: str, host: str, port: int, username: str | None, password: str) -> None:
    proxy = Proxy.parse(text)
    assert (proxy.host, proxy.port, proxy.username, proxy.password) == (host, port, username, password)
    assert "p@ss" not in repr(proxy)


@pytest.mark.parametrize(
    "text",
    ["proxy:3128", "ftp://proxy", "http://", "http://proxy:0", "http://proxy/path", "http://proxy?x", "http://a b",
     f"socks5://me:{'secret' * 50}@proxy", "http://a%3Ab:secret@proxy", "http://me:secret@proxy:x"],
)  # fmt: skip
def test_what_no_proxy_is(text: str) -> None:
    with pytest.raises(ValueError, match="expected a") as caught:
        Proxy.parse(text)
    assert "secret" not in str(caught.value)
