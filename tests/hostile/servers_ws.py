"""What a WebSocket server can do to a client, before, during and after the conversation."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import trio
from support.probes import answers, http, read_request

from checks.websocket_steps import Step
from hostile.rows import FOR_EVER, OK, Row, at_once, deaf, ending, mute, reset, then_drip, then_flood
from monitor.core.quantities import Duration, Expression

if TYPE_CHECKING:
    from collections.abc import Callable

    from hostile.rows import Handler

HANDSHAKE, DIALOGUE, CLOSE = "handshake", "dialogue", "close"
CONTINUED, TEXT, BINARY, CLOSING, PING, PONG = 0, 1, 2, 8, 9, 10
NEVER = (Step(expect=Expression("text == 'never'")),)


def frame(kind: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = False) -> bytes:
    """A frame as RFC 6455 has it, or not: *reserved* are the bits RSV1-3."""
    first = kind | reserved << 4 | (0x80 if fin else 0)
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        length = bytes([mask | size])
    elif size < 65536:
        length = bytes([mask | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([mask | 127]) + size.to_bytes(8, "big")
    return bytes([first]) + length + (bytes(4) if masked else b"") + payload


async def accept(stream: trio.SocketStream, *headers: bytes, token: bytes | None = None) -> bool:
    """Shake hands; False when the client is gone."""
    request = await read_request(stream)
    keys = [line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")]
    if not keys:
        return False
    key = keys[0].partition(b":")[2].strip()
    right = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    lines = [b"HTTP/1.1 101 X", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: "]
    lines[-1] += right if token is None else token
    await stream.send_all(b"\r\n".join([*lines, *headers, b"", b""]))
    return True


def shaking(*headers: bytes, token: bytes | None = None) -> Handler:
    """Shake hands with these headers, and be silent."""

    async def handler(stream: trio.SocketStream) -> None:
        await accept(stream, *headers, token=token)
        await ending(stream, "hold")

    return handler


def accepted(*frames: bytes, then: str = "hold", times: int = 1) -> Handler:
    """Shake hands, send *frames* as they are, *times* times, and never answer."""

    async def handler(stream: trio.SocketStream) -> None:
        if await accept(stream):
            for _ in range(times):
                for each in frames:
                    await stream.send_all(each)
            await trio.sleep(0.05 if then == "reset" else 0)
            await ending(stream, then)

    return handler


def flood(*frames: bytes, first: bytes = b"") -> Handler:
    """Shake hands, send *first*, then *frames* without end; read nothing."""

    async def handler(stream: trio.SocketStream) -> None:
        if await accept(stream):
            await stream.send_all(first)
            while True:
                for each in frames:
                    await stream.send_all(each)

    return handler


def pong_then(goodbye: Callable[[trio.SocketStream], Any]) -> Handler:
    """Answer the ping, wait for the client's close frame, then say *goodbye*."""

    async def handler(stream: trio.SocketStream) -> None:
        if not await accept(stream):
            return
        payload = await read_frame(stream)
        await stream.send_all(frame(PONG, payload))
        await read_frame(stream)
        await goodbye(stream)

    return handler


async def read_frame(stream: trio.SocketStream) -> bytes:
    """The payload of a short masked frame that comes alone."""
    data = b""
    while len(data) < 2 or len(data) < 6 + (data[1] & 0x7F):
        more = await stream.receive_some()
        if not more:
            return b""
        data += more
    mask, payload = data[2:6], data[6:]
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def saying(*frames: bytes, then: str = "close", times: int = 1) -> Callable[[trio.SocketStream], Any]:
    """Send *frames*, *times* times, and end."""

    async def goodbye(stream: trio.SocketStream) -> None:
        for _ in range(times):
            for each in frames:
                await stream.send_all(each)
        await ending(stream, then)

    return goodbye


async def resets(stream: trio.SocketStream) -> None:
    reset(stream)


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSING, code.to_bytes(2, "big") + reason)


async def never_reads(stream: trio.SocketStream) -> None:
    """Shake hands, and read nothing more."""
    await accept(stream)
    await trio.sleep_forever()


def ws(name: str, serve: Handler, code: str, phase: str | None = None, *steps: Step) -> Row:
    """A row of this table."""
    return Row(name=f"ws: {name}", serve=serve, code=code, phase=phase, scheme="ws", options={"steps": steps})


SHAKING = [
    ws("no handshake", mute, "timeout", HANDSHAKE),
    ws("neither reads nor writes", deaf, "timeout", HANDSHAKE),
    ws("dripped handshake", then_drip(b"HTTP/1.1 101 X\r\n", b"a: b\r\n"), "timeout", HANDSHAKE),
    ws("dripped status line", then_drip(b"HTTP/1.1 ", b"1"), "timeout", HANDSHAKE),
    ws("endless handshake", then_flood(b"HTTP/1.1 101 X\r\n", b"a: b\r\n" * 999), "limit", HANDSHAKE),
    ws("endless header in the handshake", then_flood(b"HTTP/1.1 101 X\r\na: ", b"x" * 65536), "limit", HANDSHAKE),
    ws("flood of 1xx", then_flood(b"", b"HTTP/1.1 100 X\r\n\r\n" * 99), "protocol", HANDSHAKE),
    ws("refused", answers(http(403)), "protocol", HANDSHAKE),
    ws("refused with an endless body", then_flood(b"HTTP/1.1 403 X\r\n\r\n", bytes(65536)), "protocol", HANDSHAKE),
    ws("refused, kept open", answers(http(503), then="hold"), "protocol", HANDSHAKE),
    ws("an HTML page", answers(http(200, b"<html>")), "protocol", HANDSHAKE),
    ws("redirected", answers(http(302, b"", "Location: ws://127.0.0.1/")), "protocol", HANDSHAKE),
    ws("SSH banner", at_once(b"SSH-2.0-OpenSSH\r\n\r\n", then="hold"), "protocol", HANDSHAKE),
    ws("random bytes", at_once(bytes(range(255, -1, -1)) + b"\r\n\r\n", then="hold"), "protocol", HANDSHAKE),
    ws("FIN at once", at_once(), "protocol/connect", HANDSHAKE),
    ws("RST at once", answers(then="reset"), "protocol/connect", HANDSHAKE),
    ws("FIN in the handshake", answers(b"HTTP/1.1 101 X\r\n"), "protocol", HANDSHAKE),
    ws("bad accept", shaking(token=b"bm8="), "protocol", HANDSHAKE),
    ws("empty accept", shaking(token=b""), "protocol", HANDSHAKE),
    ws("no accept", answers(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", then="hold"),
       "protocol", HANDSHAKE),
    ws("no upgrade", answers(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n", then="hold"), "protocol", HANDSHAKE),
    ws("a subprotocol nobody offered", shaking(b"Sec-WebSocket-Protocol: evil"), "protocol", HANDSHAKE),
    ws("an extension nobody offered", shaking(b"Sec-WebSocket-Extensions: evil"), "protocol", HANDSHAKE),
    ws("NUL in the handshake", shaking(b"A: b\0c"), "protocol", HANDSHAKE),
]  # fmt: skip

TALKING = [
    ws("no pong", accepted(), "timeout", DIALOGUE),
    ws("a pong with other bytes", accepted(frame(PONG, b"what")), "timeout", DIALOGUE),
    ws("never reads", never_reads, "timeout", DIALOGUE, *(Step(send="x" * 500_000) for _ in range(20))),
    ws("flood of pings", flood(frame(PING) * 30_000), "timeout", DIALOGUE),
    ws("flood of long pings", flood(frame(PING, b"x" * 125) * 500), "timeout", DIALOGUE),
    ws("flood of pongs", flood(frame(PONG) * 30_000), "timeout", DIALOGUE),
    ws("flood of short messages", flood(frame(TEXT, b"x") * 20_000), "timeout", DIALOGUE),
    ws("flood of empty messages", flood(frame(TEXT) * 30_000), "timeout", DIALOGUE),
    ws("flood of long messages", flood(frame(TEXT, b"x" * 500_000)), "timeout", DIALOGUE),
    ws("flood of messages that are not the one", flood(frame(TEXT, b"x") * 20_000), "timeout/limit", DIALOGUE, *NEVER),
    ws("flood of JSON that is not the one", flood(frame(TEXT, b"[" + b"1," * 9000 + b"1]")), "timeout/limit", DIALOGUE,
       Step(expect=Expression("json.a == 1"))),
    ws("flood unread behind a ping", flood(frame(TEXT, b"x" * 500_000)), "limit/timeout", DIALOGUE,
       Step(ping=True), *NEVER),
    ws("flood of messages unread behind a ping", flood(frame(TEXT, b"x") * 20_000), "limit/timeout", DIALOGUE,
       Step(ping=True), *NEVER),
    ws("endless fragments", flood(frame(CONTINUED, b"x" * 1000, fin=False), first=frame(TEXT, b"x", fin=False)),
       "limit/timeout", DIALOGUE),
    ws("endless empty fragments", flood(frame(CONTINUED, fin=False) * 30_000, first=frame(TEXT, fin=False)),
       "timeout/limit", DIALOGUE),
    ws("endless empty fragments of bytes", flood(frame(CONTINUED, fin=False) * 30_000, first=frame(BINARY, fin=False)),
       "timeout/limit", DIALOGUE),
    ws("giant frame, announced", accepted(b"\x81\x7f\x00\x00\x00\x7f\xff\xff\xff\xff"), "timeout/limit", DIALOGUE),
    ws("giant frame, sent", flood(bytes(65536), first=b"\x82\x7f\x00\x00\x00\x7f\xff\xff\xff\xff"),
       "limit/timeout", DIALOGUE),
    ws("frame longer than 63 bits", accepted(b"\x82\x7f" + b"\xff" * 8), "protocol", DIALOGUE),
    ws("length in more bytes than it takes", accepted(b"\x82\x7e\x00\x01x"), "protocol", DIALOGUE),
    ws("masked frame", accepted(frame(TEXT, b"x", masked=True)), "protocol", DIALOGUE),
    ws("reserved bits", accepted(frame(TEXT, b"x", reserved=4)), "protocol", DIALOGUE),
    ws("reserved opcode", accepted(frame(3)), "protocol", DIALOGUE),
    ws("reserved control opcode", accepted(frame(15)), "protocol", DIALOGUE),
    ws("bad UTF-8", accepted(frame(TEXT, b"\xff\xfe")), "protocol", DIALOGUE),
    ws("UTF-8 cut off at the end", accepted(frame(TEXT, b"\xe2\x82")), "protocol", DIALOGUE),
    ws("continuation of nothing", accepted(frame(CONTINUED, b"x")), "protocol", DIALOGUE),
    ws("message inside a message", accepted(frame(TEXT, b"x", fin=False), frame(TEXT, b"x")), "protocol", DIALOGUE),
    ws("fragmented ping", accepted(frame(PING, fin=False)), "protocol", DIALOGUE),
    ws("ping of 126 bytes", accepted(frame(PING, b"x" * 126)), "protocol", DIALOGUE),
    ws("garbage in place of frames", accepted(bytes(range(255, -1, -1))), "protocol", DIALOGUE),
    ws("closes at once", accepted(closing(1000)), "protocol", DIALOGUE),
    ws("closes: going away", accepted(closing(1001, b"bye")), "protocol", DIALOGUE),
    ws("close code 999", accepted(closing(999)), "protocol", DIALOGUE),
    ws("close code 1005", accepted(closing(1005)), "protocol", DIALOGUE),
    ws("close code 65535", accepted(closing(65535)), "protocol", DIALOGUE),
    ws("close frame of one byte", accepted(frame(CLOSING, b"\x03")), "protocol", DIALOGUE),
    ws("close reason in bad UTF-8", accepted(closing(1000, b"\xff")), "protocol", DIALOGUE),
    ws("EOF", accepted(then="close"), "protocol", DIALOGUE),
    ws("EOF in a frame", accepted(b"\x81\x0ahalf", then="close"), "protocol", DIALOGUE),
    ws("RST in the dialogue", accepted(then="reset"), "protocol/connect", DIALOGUE),
    ws("a message, then EOF", accepted(frame(TEXT, b"x"), then="close"), "protocol", DIALOGUE, *NEVER),
    ws("silence where a message is due", accepted(), "timeout", DIALOGUE,
       Step(expect=Expression("text == 'x'"), within=Duration(0.2))),
]  # fmt: skip

GOODBYES = [
    ws("closes well", pong_then(saying(closing(1000))), OK),
    ws("closes without a code", pong_then(saying(frame(CLOSING))), OK),
    ws("never closes", pong_then(saying(then="hold")), "timeout", CLOSE),
    ws("closes without a frame", pong_then(saying()), "protocol", CLOSE),
    ws("resets in place of closing", pong_then(resets), "protocol/connect", CLOSE),
    ws("pings after our close", pong_then(saying(frame(PING, b"x"), then="hold")), "protocol/timeout", CLOSE),
    ws("flood of pings after our close", pong_then(saying(frame(PING) * 30_000, times=FOR_EVER)),
       "protocol/timeout", CLOSE),
    ws("flood of messages after our close", pong_then(saying(frame(TEXT, b"x") * 20_000, times=FOR_EVER)),
       "timeout", CLOSE),
    ws("bad close code after ours", pong_then(saying(closing(999))), "protocol", CLOSE),
    ws("garbage after our close", pong_then(saying(b"\xff" * 99, then="hold")), "protocol/timeout", CLOSE),
    ws("closes, and keeps the connection", pong_then(saying(closing(1000), then="hold")), OK),
]  # fmt: skip

ROWS = [*SHAKING, *TALKING, *GOODBYES]
