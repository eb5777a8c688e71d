"""The websocket check against trio-websocket's own server and against raw bad ones.

Rejections, hang-ups and silence must give their reason within the deadline, and never end anything but the probe.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio_websocket
from support.probes import answers, http, look, read_request, serve

from checks.websocket import WebSocket
from checks.websocket_steps import Step
from monitor.core.quantities import Duration, Expression

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.probes import Handler

    Talk = Callable[[trio_websocket.WebSocketConnection], Awaitable[None]]


async def echo(connection: trio_websocket.WebSocketConnection) -> None:
    while True:
        await connection.send_message(await connection.get_message())


async def ticker(connection: trio_websocket.WebSocketConnection) -> None:
    """Chat before the answer."""
    await connection.get_message()
    for number in range(3):
        await connection.send_message(f'{{"type": "tick", "number": {number}}}')
    await connection.send_message('{"type": "subscribed"}')
    await connection.send_message('{"type": "tick", "number": 9}')
    await connection.get_message()


async def serve_ws(nursery: trio.Nursery, talk: Talk, *, subprotocol: str | None = None) -> int:
    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=subprotocol)
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await talk(connection)

    server = await nursery.start(
        partial(trio_websocket.serve_websocket, handler, "127.0.0.1", 0, None, disconnect_timeout=0.1)
    )
    return int(server.port)


def accepted(*frames: bytes, then: str = "hold", read: bool = False) -> Handler:
    """Shake hands properly, send *frames* as they are, then `hold` or `close`; *read*: take what comes meanwhile."""

    async def handler(stream: trio.SocketStream) -> None:
        request = await read_request(stream)
        key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        key = key.partition(b":")[2].strip()
        token = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        await stream.send_all(
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + token
            + b"\r\n\r\n"
        )
        for frame in frames:
            await stream.send_all(frame)
        if then == "hold":
            while not read or await stream.receive_some():
                if not read:
                    await trio.sleep_forever()

    return handler


async def test_up_without_steps(nursery: trio.Nursery) -> None:
    port = await serve_ws(nursery, echo, subprotocol="v1.json")
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/v1?x=1", subprotocols=("v1.json", "v2")))
    assert (seen.status, seen.reason.message) == ("up", "")
    assert list(seen.phases) == ["resolve", "connect", "handshake", "dialogue", "close"]
    assert seen.facts["subprotocol"] == "v1.json"
    assert (seen.facts["close_code"], seen.facts["messages"]) == (1000, 0)
    assert 0 < seen.facts["ping_rtt"] < 5
    assert 0 < seen.facts["close_latency"] < 5


async def test_steps_skip_what_others_say(nursery: trio.Nursery) -> None:
    port = await serve_ws(nursery, ticker)
    steps = (
        Step(send='{"op": "subscribe"}'),
        Step(expect=Expression("json.type == 'subscribed'"), within=Duration(2)),
        Step(expect=Expression("json.number == 9 && size < 100"), next=True),
        Step(ping=True, within=Duration(2)),
    )
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=steps), expect=("messages == 5",))
    assert seen.status == "up", seen.reason


async def test_the_last_message_counts_even_if_the_server_closes_after_it(nursery: trio.Nursery) -> None:
    async def once(connection: trio_websocket.WebSocketConnection) -> None:
        await connection.send_message("bye")
        await connection.aclose()

    port = await serve_ws(nursery, once)
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=(Step(expect=Expression("text == 'bye'")),)))
    assert (seen.status, seen.facts["close_code"]) == ("up", 1000)


async def test_a_flood_of_messages_does_not_hide_the_pong(nursery: trio.Nursery) -> None:
    async def flood(connection: trio_websocket.WebSocketConnection) -> None:
        while True:
            await connection.send_message("x" * 100)

    port = await serve_ws(nursery, flood)
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/"))
    assert seen.status == "up", seen.reason


NEVER = Expression("text == 'never'")


@pytest.mark.parametrize(
    ("steps", "code", "message"),
    [
        ((Step(send="x"), Step(expect=NEVER, within=Duration(0.2))), "timeout",
         "no message with text == 'never' within 200 ms, 1 other came"),
        ((Step(send="x"), Step(expect=NEVER, next=True)), "expectation", "expected text == 'never', got text = \"x\""),
        ((Step(send="x"), Step(expect=NEVER)), "timeout", "no answer within 500 ms (during dialogue)"),
    ],
)  # fmt: skip
async def test_what_does_not_come(nursery: trio.Nursery, steps: tuple[Step, ...], code: str, message: str) -> None:
    port = await serve_ws(nursery, echo)
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=steps), timeout=0.5)
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", code, "dialogue")
    assert seen.reason.message == message


async def mute(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def endless_headers(stream: trio.SocketStream) -> None:
    await read_request(stream)
    await stream.send_all(b"HTTP/1.1 101 X\r\n")
    while True:
        await stream.send_all(b"a: b\r\n" * 999)


HUNG_UP = "the server closed the connection during the handshake"


@pytest.mark.parametrize(
    ("handler", "code", "phase", "message"),
    [
        pytest.param(mute, "timeout", "handshake", "no answer within 300 ms (during handshake)", id="mute"),
        pytest.param(answers(), "protocol", "handshake", HUNG_UP, id="hangs up"),
        pytest.param(answers(then="reset"), "protocol", "handshake", HUNG_UP, id="resets"),
        pytest.param(answers(b"HTTP/1.1 101"), "protocol", "handshake", HUNG_UP, id="cut off"),
        pytest.param(answers(http(200, b"html")), "protocol", "handshake", "expected status 101, got 200", id="200"),
        pytest.param(answers(http(403), then="hold"), "protocol", "handshake", "expected status 101, got 403",
                     id="403"),
        pytest.param(
            answers(http(302, b"", "Location: /")), "protocol", "handshake", "expected status 101, got 302",
            id="redirect",
        ),
        pytest.param(
            answers(b"SSH-2.0-OpenSSH\r\n\r\n"), "protocol", "handshake", "not a valid HTTP answer to the handshake",
            id="ssh",
        ),
        pytest.param(
            endless_headers, "limit", "handshake", "headers are larger than 16 KiB", id="endless headers"
        ),
        pytest.param(
            answers(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n"),
            "protocol", "handshake", "the server broke the protocol: Bad accept token", id="bad accept",
        ),
        pytest.param(accepted(then="close"), "protocol", "dialogue", "the server dropped the connection", id="EOF"),
        pytest.param(
            accepted(b"\x88\x0a\x03\xf0too busy"), "protocol", "dialogue",
            "the server closed the connection with code 1008: too busy", id="close frame",
        ),
        pytest.param(accepted(), "timeout", "dialogue", "no answer within 300 ms (during dialogue)", id="no pong"),
        pytest.param(
            accepted(b"\x83\x00"), "protocol", "dialogue", None, id="reserved opcode",
        ),
        pytest.param(accepted(b"\x81\x02\xff\xfe"), "protocol", "dialogue", None, id="bad UTF-8"),
        pytest.param(
            accepted(b"\x81\x7f\x00\x00\x00\x7f\xff\xff\xff\xff", read=True), "timeout", "dialogue", None,
            id="giant frame announced",
        ),
    ],
)  # fmt: skip
async def test_down(nursery: trio.Nursery, handler: Handler, code: str, phase: str, message: str | None) -> None:
    port = await serve(nursery, handler)
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/"), timeout=0.3 if code == "timeout" else 5)
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", code, phase), seen.reason
    assert message is None or seen.reason.message == message


PONG = b"\x8a"


async def pong_then(stream: trio.SocketStream, *after: bytes) -> None:
    """Answer the ping, then never close properly."""
    frame = b""
    while len(frame) < 10:
        frame += await stream.receive_some()
    mask, payload = frame[2:6], frame[6:10]
    plain = bytes(byte ^ mask[index] for index, byte in enumerate(payload))
    await stream.send_all(PONG + b"\x04" + plain)
    for piece in after:
        await stream.receive_some()
        await stream.send_all(piece)


@pytest.mark.parametrize(
    ("after", "code"),
    [((), "timeout"), ((b"\x89\x01x",), "protocol")],
    ids=["never closes", "pings after our close"],
)
async def test_a_bad_goodbye(nursery: trio.Nursery, after: tuple[bytes, ...], code: str) -> None:
    shake = accepted(then="close")

    async def handler(stream: trio.SocketStream) -> None:
        await shake(stream)
        await pong_then(stream, *after)
        await trio.sleep_forever()

    port = await serve(nursery, handler)
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/"), timeout=0.3)
    assert (seen.status, seen.reason.phase) == ("down", "close"), seen.reason
    assert seen.reason.code in (code, "timeout")


async def test_unread_messages_are_bounded(nursery: trio.Nursery) -> None:
    async def flood(connection: trio_websocket.WebSocketConnection) -> None:
        while True:
            await connection.send_message("x" * 500_000)

    port = await serve_ws(nursery, flood)
    steps = (Step(ping=True), Step(expect=NEVER, within=Duration(2)))
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=steps))
    assert (seen.status, seen.reason.code in ("limit", "timeout")) == ("down", True), seen.reason


@pytest.mark.parametrize("steps", [(), (Step(expect=NEVER),)], ids=["no steps", "a step"])
async def test_a_message_too_large_is_beyond_the_limit(nursery: trio.Nursery, steps: tuple[Step, ...]) -> None:
    fragment = b"\x01\x7f" + (600_000).to_bytes(8) + b"x" * 600_000
    more = b"\x00" + fragment[1:]
    port = await serve(nursery, accepted(fragment, more, read=True))
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=steps))
    assert (seen.reason.code, seen.reason.phase) == ("limit", "dialogue")
    assert seen.reason.message.startswith("a message is larger than 1 MiB")


async def test_credentials_and_host_go_into_the_handshake(nursery: trio.Nursery) -> None:
    heard: list[bytes] = []

    async def handler(stream: trio.SocketStream) -> None:
        heard.append(await read_request(stream))

    port = await serve(nursery, handler)
    await look(WebSocket(url=f"ws://u:p@127.0.0.1:{port}/a?b=c", headers={"Host": "shop.example", "X-A": "1"}))
    lines = heard[0].split(b"\r\n")
    assert lines[0] == b"GET /a?b=c HTTP/1.1"
    assert {b"Authorization: Basic dTpw", b"X-A: 1", b"Host: shop.example"} <= set(lines)
    assert sum(line.lower().startswith(b"host:") for line in lines) == 1


@pytest.mark.parametrize(
    ("pause", "status", "message"),
    [(30.0, "up", ""), (0.02, "down", "expected silence for 300 ms, a message of 4 bytes came after ")],
)
async def test_silence_is_asked_for(nursery: trio.Nursery, pause: float, status: str, message: str) -> None:
    async def chat(connection: trio_websocket.WebSocketConnection) -> None:
        await connection.get_message()
        await connection.send_message("heard")
        await connection.send_message("before")
        await connection.get_message()
        await trio.sleep(pause)
        await connection.send_message("late")
        await connection.get_message()

    port = await serve_ws(nursery, chat)
    # The ping is sent when the server speaks already, so the pong comes after what it says.
    heard = Step(expect="text == 'heard'")
    steps = (Step(send="x"), heard, Step(ping=True), Step(send="y"), Step(silent_for=Duration(0.3)))
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=steps))
    assert seen.status == status
    assert seen.reason.message.startswith(message)
    assert seen.reason.code == ("ok" if status == "up" else "expectation")


async def test_percentiles_of_pings(nursery: trio.Nursery) -> None:
    port = await serve_ws(nursery, echo)
    steps = tuple(Step(ping=True) for _ in range(20))
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", steps=steps))
    half, most, all_but_one = (seen.facts[f"ping_rtt_p{percent}"] for percent in (50, 95, 99))
    assert 0 < half <= most <= all_but_one < 5


async def test_a_subprotocol_that_was_not_offered_is_a_breach(nursery: trio.Nursery) -> None:
    async def handler(stream: trio.SocketStream) -> None:
        request = await read_request(stream)
        key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        token = base64.b64encode(
            hashlib.sha1(key.partition(b":")[2].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        )
        lines = [b"HTTP/1.1 101 X", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + token]
        await stream.send_all(b"\r\n".join([*lines, b"Sec-WebSocket-Protocol: v9.json", b"", b""]))
        await trio.sleep_forever()

    port = await serve(nursery, handler)
    seen = await look(WebSocket(url=f"ws://127.0.0.1:{port}/", subprotocols=("v1.json",)))
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "protocol", "handshake")
