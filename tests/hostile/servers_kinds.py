"""What servers can do to the checks `tls`, `grpc` and `dns`: in the clear where the protocol allows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trustme
from support.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    STATUS_200,
    Http2Server,
    Says,
    Visitor,
    frame,
    goaway,
    says_no_more,
    sends,
)
from support.probes import answers, http

from hostile.rows import OK, Row, at_once, deaf, flood_at_once, mute
from hostile.servers_dns import GOOD
from hostile.servers_tls import (
    CONTEXT,
    EXPIRED,
    MANY_NAMES,
    OLD,
    TLS,
    after_hello,
    context,
    dripped,
    half,
    half_and_silence,
    handshake,
    record,
    secure,
)

if TYPE_CHECKING:
    import trio
    from support.http2 import Hostile

    from hostile.rows import Handler

PROCESSING, TRANSFER = "processing", "transfer"
HEAD = frame(HEADERS, STATUS_200, flags=END_HEADERS, stream=1)
SERVING = Says(200, b"\0\0\0\0\2\x08\1", {"content-type": "application/grpc"}, {"grpc-status": "0"})


def tls(name: str, serve: Handler, code: str, phase: str | None = TLS) -> Row:
    """A row of the check tls."""
    return Row(name=f"tls: {name}", serve=serve, code=code, phase=None if code == OK else phase, scheme="tls")


def grpc(name: str, handler: Hostile | Handler, code: str, phase: str | None = None, *, raw: bool = False) -> Row:
    """A row of the check grpc, in the clear; *raw*: of a server that knows nothing of HTTP/2."""

    async def visited(stream: trio.SocketStream) -> None:
        await handler(Visitor(stream))  # type: ignore[arg-type]

    serve: Handler = handler if raw else visited  # type: ignore[assignment]
    return Row(name=f"grpc: {name}", serve=serve, code=code, phase=phase, scheme="grpc")


def dns(name: str, mood: str, code: str = "dns") -> Row:
    """A row of the check dns, which asks the name server of all rows."""
    phase = None if code == OK else "request"
    return Row(name=f"dns check: {name}", serve=GOOD, code=code, phase=phase, scheme="dns", host=f"{mood}.test")


ROWS = [
    tls("well", secure(CONTEXT, mute), OK),
    tls("expired", secure(EXPIRED, mute), "tls"),
    tls("from nowhere", secure(context(ca=trustme.CA), mute), "tls"),
    tls("for another host", secure(context("other.example"), mute), "tls"),
    tls("4,000 names", secure(MANY_NAMES, mute), "tls"),
    tls("TLS 1.1", secure(OLD, mute), "tls"),
    tls("plain HTTP", after_hello(http(400)), "tls"),
    tls("silence", mute, "timeout"),
    tls("reads nothing", deaf, "timeout"),
    tls("dripped handshake", handshake(dripped), "timeout"),
    tls("handshake stalled half-way", handshake(half_and_silence), "timeout"),
    tls("FIN half-way through the handshake", handshake(half), "tls"),
    tls("flood of empty records", flood_at_once(record(22, b"") * 9999), "tls"),
    grpc("serving", Http2Server(SERVING), OK),
    grpc("HTTP/1", answers(http(400)), "protocol", PROCESSING, raw=True),
    grpc("silence", mute, "timeout", PROCESSING, raw=True),
    grpc("reads nothing", deaf, "timeout", PROCESSING, raw=True),
    grpc("RST at once", at_once(then="reset"), "connect/protocol", None, raw=True),
    grpc("SSH", at_once(b"SSH-2.0-OpenSSH_9.2p1\r\n", then="hold"), "protocol", PROCESSING, raw=True),
    grpc("flood of zeros", flood_at_once(bytes(65536)), "protocol/limit", PROCESSING, raw=True),
    grpc("GOAWAY", sends(goaway(0, 11)), "protocol", PROCESSING),
    grpc("RST_STREAM", sends(frame(RST_STREAM, b"\0\0\0\7", stream=1)), "protocol", PROCESSING),
    grpc("a head and silence", sends(HEAD), "timeout", TRANSFER),
    grpc("a head and FIN", says_no_more(HEAD), "protocol", TRANSFER),
    grpc("no status at the end", Http2Server(Says(200, b"x", {"content-type": "application/grpc"})), "protocol"),
    grpc("flood of PING", sends(flood=frame(PING, bytes(8))), "limit", PROCESSING),
    grpc("flood of SETTINGS", sends(flood=frame(SETTINGS)), "limit", PROCESSING),
    grpc("endless body", sends(HEAD, flood=frame(DATA, b"x" * 1000, stream=1)), "limit", TRANSFER),
    grpc("endless headers",
         sends(frame(HEADERS, STATUS_200, stream=1), flood=frame(CONTINUATION, b"x" * 8000, stream=1)), "limit",
         PROCESSING),
    dns("well", "zone", OK),
    dns("NXDOMAIN", "nxdomain"),
    dns("SERVFAIL", "servfail"),
    dns("REFUSED", "refused"),
    dns("no record", "nodata"),
    dns("mute", "mute", "timeout"),
    dns("a wrong id", "wrong-id", "timeout"),
    dns("flood of wrong ids", "flood", "timeout"),
    dns("an answer from somebody else first", "spoofed", OK),
    dns("garbage", "garbage", "protocol"),
    dns("a compression pointer to itself", "pointing-at-itself", "protocol"),
    dns("60,000 records announced, none there", "liar", "protocol"),
    dns("truncated, then 64 KiB", "tc-huge", "limit"),
    dns("truncated, then a drip", "tc-drip", "timeout"),
    dns("truncated, by TCP as well", "tc-again", "protocol"),
]  # fmt: skip
