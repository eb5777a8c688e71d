"""The live feed: real server, real WebSocket clients, and some that are neither polite nor quick."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.lowlevel
import trio.testing
from support.face import REFUSED, PlainFace, down, record, saw, shop, start, transition
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from monitor.config import Access
from monitor.web.app import create_app
from monitor.web.feed import MOST_CLIENTS
from monitor.web.server import listen, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LIVE = "/api/v1/live"


def handshake(path: str = LIVE, **headers: str) -> bytes:
    """The bytes of a WebSocket handshake."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def refusal(port: int, path: str = LIVE, **headers: str) -> str:
    """The whole answer to a handshake, but for its date."""
    with trio.fail_after(5):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(handshake(path, **headers))
            answer = b"".join([data async for data in stream])
    return re.sub(r"date: .*\r\n", "", answer.decode())


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until what the kernel has to tell has been told."""
    with trio.fail_after(5):
        while not holds():
            await trio.sleep(0.01)


@pytest.fixture
def face() -> PlainFace:
    return PlainFace([shop("shop"), shop("feed")])


@asynccontextmanager
async def watch(port: int, face: PlainFace, **headers: str) -> AsyncIterator[WebSocketConnection]:
    """A client of the live feed that the server listens for already."""
    before = face.feed.listeners
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    # On a stream of our own: trio-websocket leaves its own open when the server closes first.
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
        client = await wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", LIVE, extra_headers=extra)
        assert face.feed.listeners == before + 1
        try:
            yield client
        finally:
            await client.aclose()


async def read(client: WebSocketConnection) -> Any:
    return json.loads(await client.get_message())


async def test_observations_and_transitions_as_they_happen(nursery: trio.Nursery, face: PlainFace) -> None:
    port = await start(nursery, face)
    async with watch(port, face) as one, watch(port, face) as other:
        face.observe(record("shop"))
        face.observe(down("feed"))
        await face.move(transition("feed"))
        for client in (one, other):
            first, second, third = [await read(client) for _ in range(3)]
            assert (first["type"], first["data"]["name"], first["data"]["state"]) == ("observation", "shop", "up")
            assert first["data"]["observation"]["phases"] == {"connect": 0.002}
            assert second["data"]["incident"]["id"] == "i-feed"
            assert second["data"]["reason"] == REFUSED.to_json()
            assert third == {
                "type": "transition",
                "data": {
                    "id": 1,
                    "endpoint": "feed",
                    "from": "up",
                    "to": "down",
                    "at": "2026-11-22T15:00:00.123Z",
                    "reason": REFUSED.to_json(),
                    "incident": "i-feed",
                    "alert": "alerted",
                },
            }


async def test_what_a_client_says_is_ignored_and_its_leaving_noticed(nursery: trio.Nursery, face: PlainFace) -> None:
    async with watch(await start(nursery, face), face) as client:
        for _ in range(50):
            await client.send_message("hello")
        face.observe(record("shop"))
        assert (await read(client))["type"] == "observation"
    await eventually(lambda: face.feed.listeners == 0)


async def test_a_client_that_vanishes_is_noticed(nursery: trio.Nursery, face: PlainFace) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", await start(nursery, face))
    await stream.send_all(handshake())
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
    assert face.feed.listeners == 1
    await stream.aclose()
    await eventually(lambda: face.feed.listeners == 0)


@pytest.mark.parametrize(
    ("access", "headers", "allowed"),
    [
        (Access(), {}, True),
        (Access(), {"origin": "http://127.0.0.1:PORT"}, True),
        (Access(), {"origin": "http://evil.example"}, False),
        (Access(), {"origin": "http://127.0.0.1:1"}, False),
        (Access(), {"origin": "null"}, False),
        (Access(read_token="r"), {}, False),
        (Access(public=True, read_token="r"), {}, False),
        (Access(read_token="r"), {"authorization": "Bearer wrong"}, False),
        (Access(read_token="r"), {"authorization": "Bearer r"}, True),
        (Access(read_token="r"), {"authorization": "Bearer r", "origin": "http://evil.example"}, False),
    ],
)
async def test_the_feed_is_for_readers_on_our_own_pages(
    nursery: trio.Nursery, access: Access, headers: dict[str, str], *, allowed: bool
) -> None:
    face = PlainFace([shop()], access=access)
    port = await start(nursery, face)
    headers = {name: value.replace("PORT", str(port)) for name, value in headers.items()}
    if allowed:
        async with watch(port, face, **headers) as client:
            face.observe(record("shop"))
            assert (await read(client))["type"] == "observation"
        return
    refused = await refusal(port, **headers)
    assert refused.startswith("HTTP/1.1 404")
    assert refused == await refusal(port, "/api/v1/nothing", **headers), "denied and missing look the same"
    assert face.feed.listeners == 0


async def test_a_new_token_ends_what_the_old_one_opened(nursery: trio.Nursery, face: PlainFace) -> None:
    async with watch(await start(nursery, face), face) as client:
        face.config = attrs.evolve(face.config, access=Access(read_token="new"))
        face.observe(record("shop"))
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()
    assert closed.value.reason.code == 1008


async def test_the_number_of_clients_is_bounded(nursery: trio.Nursery, face: PlainFace) -> None:
    port = await start(nursery, face)
    async with AsyncExitStack() as clients:
        for _ in range(MOST_CLIENTS):
            client = await clients.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            await client.send_all(handshake())
            assert (await client.receive_some()).startswith(b"HTTP/1.1 101")
        assert (await refusal(port)).startswith("HTTP/1.1 503")
        await client.aclose()
        await eventually(lambda: face.feed.listeners < MOST_CLIENTS)
        async with watch(port, face) as another:
            face.observe(record("shop"))
            assert (await read(another))["type"] == "observation"


def bulky() -> Any:
    return record("shop", last=saw("shop", facts={f"fact{number}": "x" * 500 for number in range(50)}))


async def mute_client(port: int) -> trio.SocketStream:
    """A client that asks for the feed and then does not read; its kernel takes little in."""
    socket = trio.socket.socket()
    socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
    await socket.connect(("127.0.0.1", port))
    stream = trio.SocketStream(socket)
    await stream.send_all(handshake())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    return stream


async def flood(face: PlainFace) -> None:
    """Publish far more than the buffers of a connection hold, until a listener is dropped."""
    listeners = face.feed.listeners
    for _ in range(2000):
        face.observe(bulky())
        await trio.lowlevel.checkpoint()
        if face.feed.listeners < listeners:
            return
    raise AssertionError("nobody was dropped")


async def test_a_client_that_falls_behind_is_closed_with_1013(nursery: trio.Nursery, face: PlainFace) -> None:
    port = await start(nursery, face)
    async with watch(port, face) as quick:
        mute = await mute_client(port)
        nursery.start_soon(partial(_read_all, quick))
        await flood(face)
        assert face.feed.listeners == 1, "the quick one stays"

        received = b""
        with trio.fail_after(10):
            while data := await mute.receive_some():
                received = (received + data)[-200:]
        assert b"\x03\xf5fell behind" in received  # 1013
        await mute.aclose()


async def _read_all(client: WebSocketConnection) -> None:
    while True:
        try:
            await client.get_message()
        except ConnectionClosed:
            return


async def test_a_stop_tells_clients_that_we_go(face: PlainFace) -> None:
    async def until_told(*, task_status: trio.TaskStatus[None]) -> None:
        async with watch(port, face) as client:
            task_status.started()
            with pytest.raises(ConnectionClosed) as closed:
                await client.get_message()
        assert closed.value.reason.code == 1001

    async with trio.open_nursery() as clients:
        with trio.fail_after(5):
            async with trio.open_nursery() as server:
                port = await start(server, face)
                await clients.start(until_told)
                server.cancel_scope.cancel()


async def test_a_stop_does_not_wait_for_clients_that_do_not_read(face: PlainFace) -> None:
    async with AsyncExitStack() as clients:
        with trio.fail_after(5):  # the time a send may take is longer
            async with trio.open_nursery() as server:
                port = await start(server, face)
                for _ in range(2):
                    await clients.enter_async_context(await mute_client(port))
                await flood(face)
                server.cancel_scope.cancel()


GARBAGE = [
    b"x",
    b"\x00" * 100,
    b"\xff" * 100,
    b"\x81\x05hello",
    b"\x81\x82\0\0\0\0\xff\xfe",
    b"\x88\x81\0\0\0\0\0",
    b"GET / HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("at_once", [True, False])
async def test_garbage_after_the_upgrade_harms_only_its_sender(
    nursery: trio.Nursery, face: PlainFace, garbage: bytes, *, at_once: bool
) -> None:
    port = await start(nursery, face)
    async with watch(port, face) as bystander:
        for _ in range(3):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(handshake() + garbage if at_once else handshake())
            await stream.receive_some()
            if not at_once:
                await stream.send_all(garbage)
            await trio.testing.wait_all_tasks_blocked()
            await stream.aclose()
        face.observe(record("shop"))
        assert (await read(bystander))["type"] == "observation"


async def test_too_long_a_message_ends_the_conversation(nursery: trio.Nursery, face: PlainFace) -> None:
    async with watch(await start(nursery, face), face) as client:
        await client.send_message("x" * 5000)
        with pytest.raises(ConnectionClosed) as closed:
            await client.get_message()
    assert closed.value.reason.code == 1009


async def test_an_open_feed_is_no_obstacle_to_another_server(face: PlainFace) -> None:
    """The address is free again at once after a stop."""
    async with trio.open_nursery() as server:
        port = await start(server, face)
        async with await mute_client(port):
            server.cancel_scope.cancel()
    again = attrs.evolve(face.config.listen, port=port)
    async with trio.open_nursery() as server:
        await server.start(serve, create_app(face), listen(again))
        server.cancel_scope.cancel()
