"""HTTP/2 for the http check: against a server on the library h2, good and bad; HTTP/1.1 where that is agreed upon.

The server holds connections open until the client leaves; the tests close first.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STATUS_200,
    Http2Server,
    Says,
    frame,
    goaway,
    sends,
    serve_http2,
)
from support.probes import http, look, serve
from support.proxies import HttpProxy
from test_tls import ca_file, context, serve_tls

from checks.http import Auth, Http
from monitor.core.errors import ProbeError
from monitor.core.quantities import ByteSize
from monitor.net.http2 import Http2Reader, Session, prepare

if TYPE_CHECKING:
    from pathlib import Path

    import trio
    from support.http2 import Hostile

__all__ = ["ca_file"]  # a fixture

HEAD = frame(HEADERS, STATUS_200, flags=END_HEADERS, stream=1)
LAST = frame(DATA, b"ok", flags=END_STREAM, stream=1)


async def test_an_answer_and_what_it_was_asked(nursery: trio.Nursery, ca_file: Path) -> None:
    server = Http2Server(Says(201, b'{"db": "ok"}', {"content-type": "application/json", "x": "1"}, {"trailer": "t"}))
    port = await serve_http2(nursery, context(), server)
    check = Http(
        url=f"https://127.0.0.1:{port}/a?b=c", ca_file=ca_file, http2=True, method="PUT", body="x" * 200_000,
        headers={"X-Own": "1", "Host": "shop.example"}, auth=Auth(bearer="t"),
    )  # fmt: skip
    seen = await look(check, expect=("status == 201", "http_version == '2'", "json.db == 'ok'", "headers['x'] == '1'"))
    assert seen.status == "up", seen.reason
    assert list(seen.phases) == ["resolve", "connect", "tls", "processing", "transfer"]
    (asked,) = server.heard
    assert len(asked.body) == 200_000
    assert {b":method": b"PUT", b":path": b"/a?b=c", b":authority": b"shop.example", b":scheme": b"https"}.items() <= (
        asked.headers.items()
    )
    assert (asked.headers[b"x-own"], asked.headers[b"authorization"]) == (b"1", b"Bearer t")
    assert not {b"host", b"connection"} & asked.headers.keys()


@pytest.mark.parametrize(
    "says",
    [
        Says(200, b"x" * 900_000),
        Says(200, b"x" * 5_000, chunk=1),
        Says(204),
        Says(200, gzip.compress(b"x" * 100_000), {"content-encoding": "gzip"}),
        Says(200, b"ok", before=({"link": "</a>"}, {"link": "</b>"})),
        Says(200, b"ok", {"content-length": "2"}),
    ],
    ids=["large", "a byte at a time", "none", "gzip", "early hints", "with its length"],
)
async def test_up(nursery: trio.Nursery, ca_file: Path, says: Says) -> None:
    port = await serve_http2(nursery, context(), Http2Server(says))
    seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, http2=True), timeout=20)
    assert (seen.status, seen.reason.message, seen.facts["http_version"]) == ("up", "", "2")


async def test_head_has_no_body(nursery: trio.Nursery, ca_file: Path) -> None:
    port = await serve_http2(nursery, context(), Http2Server(Says(200, b"", {"content-length": "5"})))
    seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, http2=True, method="HEAD"))
    assert seen.status == "up", seen.reason


async def test_it_is_offered_and_not_imposed(nursery: trio.Nursery, ca_file: Path) -> None:
    old = await serve_tls(nursery, context())
    clear = await serve(nursery, HttpProxy())
    seen = await look(Http(url=f"https://127.0.0.1:{old}/", ca_file=ca_file, http2=True))
    assert (seen.status, seen.facts["http_version"]) == ("up", "1.1")
    wanted = await look(
        Http(url=f"https://127.0.0.1:{old}/", ca_file=ca_file, http2=True), expect=("http_version == '2'",)
    )
    assert wanted.reason.message == "expected http_version == '2', got http_version = \"1.1\""
    new = await serve_http2(nursery, context(), Http2Server(Says(200, b"ok")))
    through = await look(
        Http(url=f"https://127.0.0.1:{new}/", ca_file=ca_file, http2=True, proxy=f"http://127.0.0.1:{clear}")
    )
    assert (through.status, through.facts["http_version"]) == ("up", "2"), through.reason


async def test_redirects_lead_from_one_version_to_the_other(nursery: trio.Nursery, ca_file: Path) -> None:
    old = await serve_tls(nursery, context(), http(200, b"there"))
    new = await serve_http2(nursery, context(), Http2Server(Says(302, b"", {"location": f"https://127.0.0.1:{old}/"})))
    seen = await look(Http(url=f"https://127.0.0.1:{new}/", ca_file=ca_file, http2=True, headers={"X-Own": "1"}))
    assert (seen.status, seen.facts["http_version"], seen.facts["redirects"]) == ("up", "1.1", 1), seen.reason


@pytest.mark.parametrize(
    ("handler", "code", "phase", "message"),
    [
        (sends(then="close"), "protocol", "processing", "the server closed the connection without an answer"),
        (sends(HEAD, then="close"), "protocol", "transfer", "the body ended after 0 bytes"),
        (sends(HEAD, frame(DATA, b"part", stream=1), then="close"), "protocol", "transfer", "the body ended after 4"),
        (sends(b"HTTP/1.1 200 X\r\n\r\n"), "protocol", "processing", "not a valid HTTP/2 answer: it is HTTP/1"),
        (sends(frame(RST_STREAM, b"\0\0\0\7", stream=1)), "protocol", "processing",
         "the server broke off the stream (REFUSED_STREAM)"),
        (sends(HEAD, frame(RST_STREAM, b"\0\0\0\2", stream=1)), "protocol", "transfer",
         "the server broke off the stream (INTERNAL_ERROR)"),
        (sends(goaway(0)), "protocol", "processing", "the server does not go on with the connection (NO_ERROR)"),
        (sends(HEAD, goaway(1, 11, b"calm")), "protocol", "transfer",
         "the server does not go on with the connection (ENHANCE_YOUR_CALM)"),
        (sends(goaway(1, 99)), "protocol", "processing", "the server does not go on with the connection (error 99)"),
        (sends(goaway(0), then="close"), "protocol", "processing", "the server does not go on with the connection"),
        (sends(flood=frame(PING, bytes(8))), "limit", "processing", "too many frames for so little of an answer: 1,"),
        (sends(HEAD, flood=frame(PING, bytes(8))), "limit", "transfer", "too many frames for so little of an"),
        (sends(flood=frame(SETTINGS)), "limit", "processing", "too many frames for so little of an answer: 1,"),
        (sends(HEAD, flood=frame(DATA, stream=1)), "limit", "transfer", "too many frames for so little of an"),
        (sends(HEAD, flood=frame(DATA, b"x", stream=1)), "limit", "transfer", "too many frames for so little of an"),
        (sends(HEAD, flood=frame(PRIORITY, b"\0\0\0\0\1", stream=3)), "limit", "transfer", "too many frames for"),
        (sends(HEAD, flood=frame(0x77, b"what")), "limit", "transfer", "too many frames for so little of an answer"),
        (sends(flood=frame(HEADERS, b"\x08\x03103", flags=END_HEADERS, stream=1)), "limit", "processing",
         "more than 8 informational answers before the real one"),
        (sends(frame(HEADERS, STATUS_200, stream=1), flood=frame(CONTINUATION, stream=1)), "protocol", "processing",
         "not a valid HTTP/2 answer: Too many continuation frames"),
        (sends(frame(HEADERS, STATUS_200, stream=1), flood=frame(CONTINUATION, b"x" * 8000, stream=1)), "limit",
         "processing", "headers are larger than 64 KiB"),
        # Each byte of the block says again what stands in the table: 4,000 bytes, by one.
        (sends(frame(HEADERS, STATUS_200 + b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 9000,
                     flags=END_HEADERS, stream=1)),
         "limit", "processing", "headers are larger than 64 KiB"),
        (sends(frame(HEADERS, b"\xff\xff\xff", flags=END_HEADERS, stream=1)), "protocol", "processing",
         "not a valid HTTP/2 answer: Error decoding header block"),
        (sends(frame(HEADERS, b"\x00\x01a\x01b", flags=END_HEADERS, stream=1)), "protocol", "processing",
         "not a valid HTTP/2 answer"),
        (sends(frame(PUSH_PROMISE, b"\0\0\0\2" + STATUS_200, flags=END_HEADERS, stream=1)), "protocol", "processing",
         "not a valid HTTP/2 answer"),
        (sends(frame(DATA, b"x", stream=1)), "protocol", "processing", "not a valid HTTP/2 answer"),
        (sends(frame(HEADERS, STATUS_200 + b"\x0f\x0d\x0210", flags=END_HEADERS, stream=1), LAST), "protocol",
         "transfer", "not a valid HTTP/2 answer: InvalidBodyLengthError"),
        (sends(HEAD, flood=frame(DATA, b"x" * 1000, stream=1)), "limit", "transfer", "body is larger than 16 KiB"),
        (sends(HEAD, frame(HEADERS, STATUS_200, flags=END_HEADERS, stream=1)), "protocol", "transfer", "not a valid"),
        (sends(), "timeout", "processing", "no answer within 300 ms (during processing)"),
        (sends(HEAD), "timeout", "transfer", "no answer within 300 ms (during transfer)"),
    ],
)  # fmt: skip
async def test_down(
    nursery: trio.Nursery, ca_file: Path, handler: Hostile, code: str, phase: str, message: str
) -> None:
    port = await serve_http2(nursery, context(), handler)
    check = Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, http2=True, body_limit=ByteSize(16 * 1024))
    seen = await look(check, timeout=0.3 if code == "timeout" else 20)
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", code, phase), seen.reason
    assert seen.reason.message.startswith(message)


async def test_a_server_that_goes_away_may_end_what_it_has_begun(nursery: trio.Nursery, ca_file: Path) -> None:
    for handler in (sends(goaway(1), HEAD, LAST), sends(HEAD, goaway(2**31 - 1), LAST, then="close")):
        port = await serve_http2(nursery, context(), handler)
        seen = await look(Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, http2=True), expect=("body == 'ok'",))
        assert seen.status == "up", seen.reason


async def test_who_has_heard_enough_of_the_request_answers_all_the_same(nursery: trio.Nursery, ca_file: Path) -> None:
    async def brusque(visitor: Any) -> None:
        await visitor.flush()
        while not visitor.heads:
            await visitor.hear()
        await visitor.stream.send_all(HEAD + LAST + frame(RST_STREAM, bytes(4), stream=1))
        await visitor.hear()

    port = await serve_http2(nursery, context(), brusque)
    check = Http(url=f"https://127.0.0.1:{port}/", ca_file=ca_file, http2=True, method="POST", body="x" * 900_000)
    seen = await look(check)
    assert seen.status == "up", seen.reason


FRAMES = st.builds(
    frame,
    st.integers(0, 12),
    st.binary(max_size=40) | st.just(STATUS_200),
    flags=st.sampled_from((0, END_STREAM, END_HEADERS, END_STREAM | END_HEADERS)) | st.integers(0, 255),
    stream=st.sampled_from((0, 1, 2, 3, 2**31 + 1)),
)


@given(st.lists(FRAMES | st.binary(max_size=60), max_size=6).map(b"".join), st.integers(1, 50))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_an_answer_or_a_reason(data: bytes, mouthful: int) -> None:
    session, asked = Session(), prepare("GET", b"shop.test", b"/", [], b"")
    reader = Http2Reader(session, asked.headers, asked.body, body_limit=1000)
    failure = None
    try:
        for start in range(0, len(data), mouthful):
            reader.feed(data[start : start + mouthful])
            reader.take()
        reader.end(ragged=False)
    except ProbeError as exc:
        failure = exc
    assert failure is None or failure.reason.code in ("protocol", "limit")
