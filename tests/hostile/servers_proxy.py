"""What a proxy can do to a client that goes through it: by CONNECT, by whole URLs, by SOCKS5.

The row's server is the proxy; what it leads to does not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from support.probes import answers, http, read_request

from hostile.rows import Row, at_once, flood_at_once, mute, row, then_drip, then_flood

if TYPE_CHECKING:
    from hostile.rows import Handler

PROXY, TLS, TRANSFER = "proxy", "tls", "transfer"
CROWDED = "limit/timeout"
HEAD = b"HTTP/1.1 200 X\r\n"
LET_IN = b"\5\0"
CONNECTED = LET_IN + b"\5\0\0\1" + bytes(6)


def after_greeting(*pieces: bytes, pause: float = 0, then_flood: bytes = b"") -> Handler:
    """Wait for the first word, send *pieces* with a *pause* after each, then *then_flood* for ever or nothing more."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(pause)
        while then_flood:
            await stream.send_all(then_flood)
        await trio.sleep_forever()

    return handler


def opens_and(piece: bytes) -> Handler:
    """Answer CONNECT, and be the target: for ever *piece*, once it is spoken to."""

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(HEAD + b"\r\n")
        await stream.receive_some()
        while True:
            await stream.send_all(piece)

    return handler


def by(way: str, name: str, serve: Handler, code: str, phase: str | None = PROXY, **more: Any) -> Row:
    """A row of a proxy that is spoken to by *way*: `http` or `socks5h`."""
    options = {"proxy": way}
    return row(f"proxy {name}", serve, code, phase, host="shop.test", options=options, **{"scheme": "https", **more})


ROWS: list[Row] = [
    by("http", "mute", mute, "timeout"),
    by("http", "that hangs up", answers(), "protocol"),
    by("http", "that resets", answers(then="reset"), "connect"),
    by("http", "that wants credentials", answers(http(407)), "connect"),
    by("http", "that answers before it is asked", flood_at_once(b"\0" * 65_536), "protocol/connect"),
    by("http", "with endless headers", then_flood(HEAD, b"a: b\r\n" * 1000), CROWDED),
    by("http", "with one endless header", then_flood(HEAD + b"a: ", b"x" * 65_536), CROWDED),
    by("http", "with endless 1xx", then_flood(b"", b"HTTP/1.1 103 X\r\n\r\n" * 100), CROWDED),
    by("http", "that drips headers", then_drip(HEAD, b"a: b\r\n"), "timeout"),
    by("http", "that speaks first for the target", then_flood(HEAD + b"\r\n", b"x" * 65_536),
       "protocol/tls", None),
    by("http", "that leads to a flood", opens_and(b"x" * 65_536), "tls/timeout", TLS),
    by("http", "that leads nowhere", after_greeting(HEAD + b"\r\n"), "timeout", TLS),
    by("http", "that switches protocols", answers(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
       "protocol"),
    by("http", "of whole URLs that wants credentials", answers(http(407)), "connect", scheme="http"),
    by("http", "of whole URLs with an endless body", then_flood(HEAD + b"\r\n", b"x" * 65_536), CROWDED, TRANSFER,
       scheme="http"),
    by("socks5h", "of SOCKS mute", mute, "timeout"),
    by("socks5h", "of SOCKS that hangs up", at_once(), "protocol/connect"),
    by("socks5h", "of SOCKS that speaks HTTP", after_greeting(http(400)), "protocol"),
    by("socks5h", "of SOCKS that floods", flood_at_once(b"\5" * 65_536), "protocol/connect"),
    by("socks5h", "of SOCKS that wants credentials", after_greeting(b"\5\xff"), "connect"),
    by("socks5h", "of SOCKS that drips", after_greeting(*(bytes([each]) for each in LET_IN + b"\5\0\0\3\xff"),
                                                        pause=0.05), "timeout"),
    by("socks5h", "of SOCKS that is not allowed to", after_greeting(LET_IN + b"\5\2\0\1"), "connect"),
    by("socks5h", "of SOCKS that leads to a flood", after_greeting(CONNECTED, then_flood=b"x" * 65_536),
       "tls/timeout", TLS),
]  # fmt: skip
