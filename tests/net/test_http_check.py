"""The http check against real servers on loopback, good and bad: what it says, and where the fault was seen.

Each server is a few raw bytes; the tests close first. No test waits longer than its probe's timeout.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

import pytest
import trio
import trio.lowlevel
from support.probes import answers, http, look, read_request, serve

from checks.auth import Auth, Basic
from checks.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.probes import Handler

CHUNKED = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"


def encoded(body: bytes, coding: str) -> bytes:
    return http(200, body, f"Content-Encoding: {coding}")


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


async def mute(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


def endless(head: bytes, piece: bytes) -> Handler:
    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(head)
        while True:
            await stream.send_all(piece)

    return handler


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(answers(http(200, b"ok")), id="content-length"),
        pytest.param(answers(http(204)), id="204"),
        pytest.param(answers(CHUNKED + b"2\r\nok\r\n0\r\n\r\n"), id="chunked"),
        pytest.param(answers(b"HTTP/1.1 200 X\r\n\r\nok"), id="until close"),
        pytest.param(answers(b"HTTP/1.0 200 X\r\n\r\nok"), id="HTTP/1.0"),
        pytest.param(answers(*(bytes([byte]) for byte in http(200, b"ok")), pause=0.001), id="byte by byte"),
        pytest.param(answers(b"HTTP/1.1 103 Early\r\n\r\n" + http(200, b"ok")), id="early hints"),
        pytest.param(answers(http(200, b"ok"), then="hold"), id="keeps the connection open"),
        pytest.param(answers(encoded(gzip.compress(b"ok"), "gzip")), id="gzip"),
        pytest.param(answers(encoded(gzip.compress(b"o") + gzip.compress(b"k"), "gzip")), id="gzip in two members"),
        pytest.param(answers(encoded(zlib.compress(b"ok"), "deflate")), id="deflate"),
        pytest.param(answers(encoded(raw_deflate(b"ok"), "deflate")), id="bare deflate"),
    ],
)
async def test_up(nursery: trio.Nursery, handler: Handler) -> None:
    port = await serve(nursery, handler)
    seen = await look(Http(url=f"http://127.0.0.1:{port}/"))
    assert (seen.status, seen.reason.code, seen.reason.message) == ("up", "ok", "")
    assert seen.facts["ip"] == "127.0.0.1"
    assert list(seen.phases) == ["resolve", "connect", "processing", "transfer"]
    assert seen.duration >= max(seen.phases.values())
    assert seen.facts["body_size"] in (0, 2)


TOO_BIG = "body is larger than 1 MiB"
TIMEOUT = "no answer within 300 ms"


@pytest.mark.parametrize(
    ("handler", "code", "phase", "message"),
    [
        pytest.param(answers(http(503)), "expectation", "processing", "expected status 200-299, got 503", id="503"),
        pytest.param(answers(http(304)), "expectation", "processing", "expected status 200-299, got 304", id="304"),
        pytest.param(mute, "timeout", "processing", f"{TIMEOUT} (during processing)", id="mute"),
        pytest.param(
            answers(b"HTTP/1.1 200 X\r\nA: ", then="hold"), "timeout", "transfer", f"{TIMEOUT} (during transfer)",
            id="stalls in the headers",
        ),
        pytest.param(
            answers(http(200, b"x" * 9)[:-1], then="hold"), "timeout", "transfer", f"{TIMEOUT} (during transfer)",
            id="stalls in the body",
        ),
        pytest.param(
            answers(*([b"x"] * 10_000), pause=0.01), "protocol", "processing",
            "not a valid HTTP answer: Expected HTTP/, RTSP/ or ICE/", id="drips garbage",
        ),
        pytest.param(
            answers(b"HTTP/1.1 200 X\r\n", *([b"a: b\r\n"] * 10_000), pause=0.01), "timeout", "transfer",
            f"{TIMEOUT} (during transfer)", id="drips headers",
        ),
        pytest.param(
            answers(), "protocol", "processing", "the server closed the connection without an answer", id="hangs up"
        ),
        pytest.param(
            answers(then="reset"), "connect", "processing", "connection reset by the server", id="resets"
        ),
        pytest.param(
            answers(b"HTTP/1.1 200 X\r\nA"), "protocol", "processing",
            "the server closed the connection in the middle of the headers", id="cut off headers",
        ),
        pytest.param(
            answers(http(200, b"x" * 9)[:-7]), "protocol", "transfer", "the body ended after 2 of 9 bytes",
            id="short body",
        ),
        pytest.param(
            answers(CHUNKED + b"2\r\nok\r\n"), "protocol", "transfer", "the body ended after 2 bytes",
            id="chunks without end",
        ),
        pytest.param(
            answers(encoded(gzip.compress(bytes(range(256)) * 9)[:-12], "gzip")), "protocol", "transfer",
            "the gzip stream in the body is cut off", id="cut off gzip",
        ),
        pytest.param(
            answers(encoded(b"not gzip", "gzip")), "protocol", "transfer", "the body is not valid gzip", id="no gzip"
        ),
        pytest.param(
            answers(encoded(b"x", "br")), "limit", "processing",
            "cannot look into a body with content-encoding br; gzip and deflate are read", id="brotli",
        ),
        pytest.param(
            answers(encoded(b"x", "gzip, gzip")), "limit", "processing",
            "cannot look into a body with content-encoding gzip, gzip; gzip and deflate are read", id="nested",
        ),
        pytest.param(endless(b"HTTP/1.1 200 X\r\n\r\n", b"x" * 65536), "limit", "transfer", TOO_BIG, id="endless body"),
        pytest.param(endless(CHUNKED, b"1\r\nx\r\n" * 999), "limit", "transfer", TOO_BIG, id="endless chunks"),
        pytest.param(
            answers(encoded(gzip.compress(bytes(50_000_000)), "gzip")), "limit", "transfer", TOO_BIG, id="bomb"
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 X\r\n", b"a: b\r\n" * 999), "limit", "processing",
            "headers are larger than 64 KiB", id="endless headers",
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 X\r\na: ", b"x" * 9999), "limit", "processing",
            "headers are larger than 64 KiB", id="one endless header",
        ),
        pytest.param(
            endless(b"", b"HTTP/1.1 103 X\r\n\r\n"), "limit", "processing",
            "more than 8 informational answers before the real one", id="endless 1xx",
        ),
        pytest.param(
            answers(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol", "processing",
            "not a valid HTTP answer: Expected HTTP/, RTSP/ or ICE/", id="ssh",
        ),
        pytest.param(
            answers(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), "protocol", "processing",
            "the server switched protocols unasked", id="101",
        ),
        pytest.param(
            answers(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "protocol", "processing",
            "not a valid HTTP answer: Transfer-Encoding can't be present with Content-Length", id="smuggling",
        ),
    ],
)  # fmt: skip
async def test_down(nursery: trio.Nursery, handler: Handler, code: str, phase: str, message: str) -> None:
    port = await serve(nursery, handler)
    seen = await look(Http(url=f"http://127.0.0.1:{port}/"), timeout=0.3 if code == "timeout" else 5)
    assert (seen.status, seen.reason.code, seen.reason.phase, seen.reason.message) == ("down", code, phase, message)
    assert seen.facts["ip"] == "127.0.0.1"
    assert "processing" in seen.phases


async def test_refused_and_unknown_hosts(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http()))
    nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await trio.lowlevel.checkpoint()
        seen = await look(Http(url="http://127.0.0.1:1/"))
        assert (seen.reason.code, seen.reason.message) == ("connect", "connection refused (127.0.0.1:1)")
        seen = await look(Http(url=f"http://name.invalid:{port}/"))
        assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "dns", "resolve")
        assert "name.invalid" in seen.reason.message


async def asked(nursery: trio.Nursery, make: Callable[[int], Http]) -> bytes:
    """The request that a check sends."""
    heard = b""

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal heard
        heard = await read_request(stream)
        length = next((line for line in heard.split(b"\r\n") if line.lower().startswith(b"content-length")), b":0")
        while len(heard.partition(b"\r\n\r\n")[2]) < int(length.partition(b":")[2]):
            heard += await stream.receive_some()
        await stream.send_all(http(200))

    port = await serve(nursery, handler)
    seen = await look(make(port))
    assert seen.status == "up", seen.reason
    return heard


async def test_the_request_says_what_the_options_say(nursery: trio.Nursery) -> None:
    heard = await asked(
        nursery,
        lambda port: Http(
            url=f"http://127.0.0.1:{port}/a%20b?q=1#part",
            method="PUT",
            headers={"X-Team": "kaffee ☕", "user-agent": "me"},
            json={"a": [1, "ü"]},
            auth=Auth(bearer="token"),
        ),
    )
    head, _, body = heard.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"PUT /a%20b?q=1 HTTP/1.1"
    assert {b"X-Team: kaffee \xe2\x98\x95", b"user-agent: me", b"Authorization: Bearer token"} <= set(lines)
    assert b"Connection: close" in lines
    assert b"Content-Type: application/json" in lines
    assert not any(b"nursery-monitor" in line for line in lines)
    assert json.loads(body) == {"a": [1, "ü"]}


async def test_basic_auth_comes_from_the_option_or_the_url(nursery: trio.Nursery) -> None:
    for make in (
        lambda port: Http(url=f"http://u:p%40ss@127.0.0.1:{port}/"),
        lambda port: Http(url=f"http://127.0.0.1:{port}/", auth=Auth(basic=Basic(username="u", password="p@ss"))),
    ):
        heard = await asked(nursery, make)
        assert b"Authorization: Basic dTpwQHNz\r\n" in heard
        assert b"p%40ss" not in heard


async def test_the_address_is_pinned_and_the_host_kept(nursery: trio.Nursery) -> None:
    heard = await asked(nursery, lambda port: Http(url=f"http://shop.invalid:{port}/", address="127.0.0.1"))
    assert b"Host: shop.invalid:" in heard


async def test_a_head_request_has_no_body(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n", then="hold"))
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", method="HEAD"))
    assert seen.status == "up"
    assert seen.facts["body_size"] == 0


async def test_body_limit_holds_on_the_wire_and_decoded(nursery: trio.Nursery) -> None:
    for body in (http(200, b"x" * 101), encoded(gzip.compress(b"x" * 101), "gzip")):
        port = await serve(nursery, answers(body))
        within = await look(Http(url=f"http://127.0.0.1:{port}/", body_limit=101))
        above = await look(Http(url=f"http://127.0.0.1:{port}/", body_limit=100))
        assert (within.status, above.status, above.reason.code) == ("up", "down", "limit")


@pytest.mark.parametrize(
    ("expect", "status", "message"),
    [
        ("status == 503", "up", ""),
        ("json.db == 'ok' && json.jobs < 9", "up", ""),
        ("headers['content-type'].startsWith('application/')", "up", ""),
        ("body.contains('jobs') && body_size > 5 && http_version == '1.1'", "up", ""),
        ("status == 200", "down", "expected status == 200, got status = 503"),
        ("json.db == 'failed'", "down", "expected json.db == 'failed', got json.db = \"ok\""),
        ("json.nope == 1", "down", "expected json.nope == 1, but json.nope is absent"),
        ("cert_expires_in > duration('1h')", "down",
         "expected cert_expires_in > duration('1h'), but cert_expires_in is absent"),
    ],
)  # fmt: skip
async def test_expectations_see_the_facts(nursery: trio.Nursery, expect: str, status: str, message: str) -> None:
    port = await serve(nursery, answers(http(503, b'{"db": "ok", "jobs": 3}', "Content-Type: application/json")))
    mention_status = () if "status" in expect else ("status == 503",)
    seen = await look(Http(url=f"http://127.0.0.1:{port}/"), expect=(*mention_status, expect))
    assert (seen.status, seen.reason.message) == (status, message)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * 65 + b"]" * 65, b"[" + b"1," * 10_001 + b"1]"], ids=["bomb", "deep", "wide"]
)
async def test_json_too_large_to_look_into_is_refused(nursery: trio.Nursery, body: bytes) -> None:
    port = await serve(nursery, answers(http(200, body)))
    seen = await look(Http(url=f"http://127.0.0.1:{port}/"), expect=("json == 1",))
    assert (seen.status, seen.reason.code) == ("down", "limit")
    unread = await look(Http(url=f"http://127.0.0.1:{port}/"), expect=("status == 200",))
    assert unread.status == "up"


async def test_the_body_is_text_in_harmless_charsets_only(nursery: trio.Nursery) -> None:
    for kind, body in (("text/plain; charset=iso-8859-1", b"\xfc"), ("text/plain; charset=utf-7", "ü".encode())):
        port = await serve(nursery, answers(http(200, body, f"Content-Type: {kind}")))
        seen = await look(Http(url=f"http://127.0.0.1:{port}/"), expect=("body == 'ü'",))
        assert seen.status == "up", seen.reason
