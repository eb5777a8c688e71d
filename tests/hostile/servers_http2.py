"""What a server that agrees to HTTP/2 can do to the http check.

Decided here, where RFC 9113 leaves room: a server that goes away may end what it has begun; one that breaks off a
stream, or the connection, before the answer is whole has not answered.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio
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
    WINDOW_UPDATE,
    Http2Server,
    Says,
    Visitor,
    frame,
    goaway,
    sends,
)

from hostile.rows import OK, Row, row
from hostile.servers_tls import CONTEXT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from hostile.rows import Handler

PROCESSING, TRANSFER = "processing", "transfer"
CROWDED = "limit/timeout"  # a flood that shares the loop with others may meet its deadline before its limit
HEAD = frame(HEADERS, STATUS_200, flags=END_HEADERS, stream=1)
LAST = frame(DATA, b"ok", flags=END_STREAM, stream=1)
# Each byte at the end says again what the table holds: a header of 4,000 bytes.
BOMB = STATUS_200 + b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 12_000


@functools.cache
def agreeing() -> ssl.SSLContext:
    """The right certificate, and h2."""
    made: ssl.SSLContext = CONTEXT.__wrapped__()  # type: ignore[attr-defined] # what functools.cache wraps
    made.set_alpn_protocols(["h2"])
    return made


def over_tls(handler: Callable[[Visitor], Awaitable[None]]) -> Handler:
    """Agree to HTTP/2, then do as *handler* does."""

    async def secured(stream: trio.SocketStream) -> None:
        await handler(Visitor(trio.SSLStream(stream, agreeing(), server_side=True)))

    return secured


async def deaf(visitor: Visitor) -> None:
    """Let the client open its connection, with no room for a body, and read nothing any more."""
    await visitor.flush()
    await trio.sleep_forever()


async def trickles(visitor: Visitor) -> None:
    """A frame that is not over, a byte at a time."""
    await visitor.flush()
    await visitor.request()
    for byte in frame(HEADERS, b"x" * 10_000, flags=END_HEADERS, stream=1):
        await visitor.stream.send_all(bytes([byte]))
        await trio.sleep(0.05)


def h2(name: str, handler: Callable[[Visitor], Awaitable[None]], code: str, phase: str | None, **more: Any) -> Row:
    """A row of HTTP/2."""
    options = {"http2": True, **more.pop("options", {})}
    return row(f"h2 {name}", over_tls(handler), code, phase, scheme="https", options=options, **more)


ROWS: list[Row] = [
    h2("a byte in each frame", Http2Server(Says(200, b"x" * 500, chunk=1)), OK, None),
    h2("never a word", sends(), "timeout", PROCESSING),
    h2("trickles a frame", trickles, "timeout", PROCESSING),
    h2("takes no body", deaf, "timeout", PROCESSING, options={"method": "POST", "body": "x" * 500_000}),
    h2("stops in the body", sends(HEAD), "timeout", TRANSFER),
    h2("speaks HTTP/1.1", sends(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok"), "protocol", PROCESSING),
    h2("goes away and ends", sends(HEAD, goaway(1), LAST), OK, None),
    h2("goes away at once", sends(goaway(0)), "protocol", PROCESSING),
    h2("is not calm", sends(HEAD, goaway(1, 11)), "protocol", TRANSFER),
    h2("refuses the stream", sends(frame(RST_STREAM, b"\0\0\0\7", stream=1)), "protocol", PROCESSING),
    h2("breaks off the body", sends(HEAD, frame(RST_STREAM, b"\0\0\0\2", stream=1)), "protocol", TRANSFER),
    h2("pushes", sends(frame(PUSH_PROMISE, b"\0\0\0\2" + STATUS_200, flags=END_HEADERS, stream=1)), "protocol",
       PROCESSING),
    h2("rubbish for headers", sends(frame(HEADERS, b"\xff" * 99, flags=END_HEADERS, stream=1)), "protocol", PROCESSING),
    h2("two heads", sends(HEAD, HEAD), "protocol", TRANSFER),
    h2("a frame of 16 MB", sends(b"\xff\xff\xff\0\0\0\0\0\1" + bytes(9000)), "protocol", PROCESSING),
    h2("bomb of headers", sends(frame(HEADERS, BOMB, flags=END_HEADERS, stream=1)), "limit", PROCESSING),
    h2("endless CONTINUATION", sends(frame(HEADERS, STATUS_200, stream=1),
                                     flood=frame(CONTINUATION, b"x" * 9000, stream=1)), "limit", PROCESSING),
    h2("empty CONTINUATION for ever", sends(frame(HEADERS, STATUS_200, stream=1),
                                            flood=frame(CONTINUATION, stream=1)), "protocol/limit", PROCESSING),
    h2("endless 1xx", sends(flood=frame(HEADERS, b"\x08\x03103", flags=END_HEADERS, stream=1)), "limit", PROCESSING),
    h2("flood of PING", sends(flood=frame(PING, bytes(8))), CROWDED, PROCESSING),
    h2("flood of PING in the body", sends(HEAD, flood=frame(PING, bytes(8))), CROWDED, TRANSFER),
    h2("flood of SETTINGS", sends(flood=frame(SETTINGS, b"\0\3\0\0\0\x64")), CROWDED, PROCESSING),
    h2("flood of empty DATA", sends(HEAD, flood=frame(DATA, stream=1)), CROWDED, TRANSFER),
    h2("flood of bytes in DATA", sends(HEAD, flood=frame(DATA, b"x", stream=1)), CROWDED, TRANSFER),
    h2("flood of RST", sends(HEAD, flood=frame(RST_STREAM, bytes(4), stream=3)), "limit/timeout/protocol", TRANSFER),
    h2("flood of PRIORITY", sends(HEAD, flood=frame(PRIORITY, b"\0\0\0\0\1", stream=5)), CROWDED, TRANSFER),
    h2("flood of WINDOW_UPDATE", sends(HEAD, flood=frame(WINDOW_UPDATE, b"\0\0\0\1")), CROWDED, TRANSFER),
    h2("flood of unknown frames", sends(HEAD, flood=frame(0x77, b"what")), CROWDED, TRANSFER),
    h2("endless body", sends(HEAD, flood=frame(DATA, b"x" * 1000, stream=1)), "limit/timeout/protocol", TRANSFER),
    h2("endless trailers", sends(HEAD, flood=frame(HEADERS, b"\x00\x01a\x01b", flags=END_HEADERS, stream=1)),
       "protocol", TRANSFER),
]  # fmt: skip
