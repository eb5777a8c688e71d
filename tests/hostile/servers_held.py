"""What a WebSocket server can do to a connection that is held: at first it is well, or looks so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hostile.rows import FOR_EVER, Row, ending
from hostile.servers_ws import CONTINUED, PING, PONG, TEXT, accept, closing, frame, read_frame

if TYPE_CHECKING:
    from hostile.rows import Handler

AT_ONCE = 20_000


def pong_then(*frames: bytes, times: int = 1, then: str = "hold", pause: float = 0.0) -> Handler:
    """Answer the first ping, so that the connection is held; then send *frames*, and never answer again."""

    async def handler(stream: trio.SocketStream) -> None:
        if not await accept(stream):
            return
        await stream.send_all(frame(PONG, await read_frame(stream)))
        for _ in range(times):
            for each in frames:
                await stream.send_all(each)
            await trio.sleep(pause)
        await ending(stream, then)

    return handler


async def deaf(stream: trio.SocketStream) -> None:
    """Answer the first ping, then neither read nor write."""
    if await accept(stream):
        await stream.send_all(frame(PONG, await read_frame(stream)))
        await trio.sleep_forever()


def held(name: str, serve: Handler, code: str, **options: object) -> Row:
    """A row of this table; what opens is up, so *code* names what it is later."""
    return Row(name=f"held: {name}", serve=serve, code=f"ok/{code}", scheme="ws", options={"mode": "hold", **options})


MUTE = "timeout/protocol"  # of the connection; after two in a row, that it never lasts

ROWS = [
    held("goes mute", pong_then(), MUTE),
    held("goes deaf", deaf, MUTE),
    held("closes at once again and again", pong_then(closing(1000), then="close"), "protocol"),
    held("hangs up again and again", pong_then(then="close"), "protocol"),
    held("resets again and again", pong_then(then="reset"), "protocol/connect"),
    held("closes, and keeps the connection", pong_then(closing(1001)), "protocol"),
    held("garbage", pong_then(b"\xff" * 999), "protocol"),
    held("flood of messages", pong_then(frame(TEXT, b"x") * AT_ONCE, times=FOR_EVER), "timeout/limit/protocol"),
    held("flood of pings", pong_then(frame(PING) * AT_ONCE, times=FOR_EVER), "timeout/limit/protocol"),
    held(
        "endless empty fragments",
        pong_then(frame(TEXT, fin=False) + frame(CONTINUED, fin=False) * AT_ONCE, times=FOR_EVER),
        "timeout/limit/protocol",
    ),
    held("pings now and then, and never answers ours", pong_then(frame(PING), times=FOR_EVER, pause=0.1), MUTE),
    held("pongs to nobody", pong_then(frame(PONG, b"none"), times=FOR_EVER, pause=0.1), MUTE),
]
