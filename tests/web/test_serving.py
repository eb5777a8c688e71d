"""The listening socket and the server: what cannot be listened on, who is bad to it, and that it stops."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from support.face import LOOPBACK, PlainFace, shop, start
from support.memory_store import MemoryStore

from monitor.config import Listen
from monitor.core.errors import MonitorError
from monitor.web.server import bound, listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.model import Transition

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_port_0_is_one_port() -> None:
    with listen(Listen("localhost", 0)) as listener:
        where = bound(listener)
        assert where.host in ("127.0.0.1", "::1")
        assert where.port > 0


def test_a_port_in_use() -> None:
    with listen(LOOPBACK) as listener:
        taken = bound(listener)
        with pytest.raises(MonitorError) as refused:
            listen(taken)
    assert str(refused.value) == f"cannot listen on {taken}: the port is in use; is another monitor running?"


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (Listen("192.0.2.1", 0), "this machine has no such address"),
        (Listen("not..a.name", 0), "the host name does not resolve"),
    ],
)
def test_where_one_cannot_listen(where: Listen, why: str) -> None:
    with pytest.raises(MonitorError, match=why) as refused:
        listen(where)
    assert str(refused.value).startswith(f"cannot listen on {where}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen on any port")
def test_a_privileged_port() -> None:
    with pytest.raises(MonitorError, match="needs a privilege"):
        listen(Listen("127.0.0.1", 1))


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_peers_that_vanish_are_given_up() -> None:
    with listen(LOOPBACK) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


async def ask(port: int, request: bytes = GET) -> bytes:
    """What the server answers to *request*, up to the first pause."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        return bytes(await stream.receive_some())


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"GET /%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/one\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\r\n\r\n\0\0\0",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: \xff\r\n\r\n",  # anycorn raises
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame at all",
        b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_bad_requests_harm_only_their_sender(nursery: trio.Nursery, request_: bytes) -> None:
    port = await start(nursery, PlainFace())
    for _ in range(3):
        answer = await ask(port, request_)
        assert not answer.startswith(b"HTTP/1.1 2"), answer
    assert (await ask(port)).startswith(b"HTTP/1.1 200")


async def test_headers_are_bounded(nursery: trio.Nursery) -> None:
    port = await start(nursery, PlainFace())
    answer = await ask(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")


async def test_a_connection_serves_many_requests(nursery: trio.Nursery) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", await start(nursery, PlainFace())) as stream:
        for _ in range(3):
            await stream.send_all(GET)
            answer = b""
            while not answer.endswith(b"\r\n\r\nok\n"):
                answer += await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 200")


async def is_closed(stream: trio.SocketStream) -> bool:
    """Does the server close this connection, without an answer?"""
    with trio.fail_after(2):  # less than it may take for its headers
        try:
            return await stream.receive_some() == b""
        except trio.BrokenResourceError:
            return True


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", GET, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx"],
    ids=["nothing", "a trickle of headers", "a request that was answered", "a trickle of a body"],
)
async def test_whoever_makes_us_wait_longest_loses_their_place_to_newcomers(nursery: trio.Nursery, sent: bytes) -> None:
    port = await start(nursery, PlainFace(), most_connections=2)
    async with await trio.open_tcp_stream("127.0.0.1", port) as first:
        await first.send_all(sent)
        await trio.testing.wait_all_tasks_blocked()
        if sent == GET:
            await first.receive_some()
        async with await trio.open_tcp_stream("127.0.0.1", port) as second:
            await trio.testing.wait_all_tasks_blocked()
            assert (await ask(port)).startswith(b"HTTP/1.1 200")
            assert await is_closed(first)
            await second.send_all(GET)
            assert (await second.receive_some()).startswith(b"HTTP/1.1 200"), "the others stay"


async def test_who_is_being_answered_keeps_their_place(nursery: trio.Nursery) -> None:
    face = PlainFace([shop()])
    face.store = store = SlowStore()
    port = await start(nursery, face, most_connections=1)
    answers = []

    async def request() -> None:
        answers.append(await ask(port, b"GET /api/v1/transitions HTTP/1.1\r\nHost: localhost\r\n\r\n"))

    async with trio.open_nursery() as clients:
        clients.start_soon(request)
        await store.asked.wait()
        assert await hangs_up(port), "no room"
        store.may_answer.set()
    assert answers[0].startswith(b"HTTP/1.1 200")
    with trio.fail_after(5):
        while await hangs_up(port):
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    "hello",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
    ],
    ids=["at once", "by upgrade"],
)
async def test_http_2_is_not_spoken(nursery: trio.Nursery, hello: bytes) -> None:
    port = await start(nursery, PlainFace())
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(hello)
        assert await is_closed(stream)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 64_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 64_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
    ],
)
async def test_what_is_no_request_is_refused_with_a_problem(
    nursery: trio.Nursery, request_: bytes, status: int
) -> None:
    port = await start(nursery, PlainFace())
    answer = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(request_)
            async for some in stream:
                answer += some
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    for header in (b"content-type: application/problem+json", b"connection: close", b"x-content-type-options: nosniff"):
        assert header in head
    assert json.loads(body)["status"] == status
    assert f"content-length: {len(body)}".encode() in head


async def test_a_body_that_trickles_is_given_up(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.web.asking.PATIENCE", 0.1)
    port = await start(nursery, PlainFace())
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\ntoken="
    with trio.fail_after(2):
        answer = await ask(port, head)
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_client_that_does_not_read_loses_its_place(nursery: trio.Nursery) -> None:
    face = PlainFace([shop(f"{number}-" + "x" * 90) for number in range(3000)])
    port = await start(nursery, face, most_connections=1, send_timeout=0.1)
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        for _ in range(10):
            await stream.send_all(b"GET /api/v1/endpoints HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with trio.fail_after(5):
            while await hangs_up(port):
                await trio.sleep(0.01)


async def hangs_up(port: int) -> bool:
    """Does the server close without an answer?"""
    try:
        return await ask(port) == b""
    except trio.BrokenResourceError:
        return True


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", GET, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx"]
)
async def test_a_stop_does_not_wait_for_clients_that_stay(sent: bytes) -> None:
    async with AsyncExitStack() as clients:
        with trio.fail_after(5):
            async with trio.open_nursery() as server:
                port = await start(server, PlainFace())
                client = await clients.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
                await client.send_all(sent)
                await trio.testing.wait_all_tasks_blocked()
                server.cancel_scope.cancel()


async def test_a_stop_does_not_wait_for_a_client_that_does_not_read_a_page() -> None:
    face = PlainFace([shop(f"{number}-" + "x" * 90) for number in range(3000)])
    async with AsyncExitStack() as clients:
        with trio.fail_after(5):  # the time a send may take is longer
            async with trio.open_nursery() as server:
                port = await start(server, face)
                client = await clients.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
                for _ in range(10):
                    await client.send_all(b"GET /api/v1/endpoints HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await client.receive_some(1)
                server.cancel_scope.cancel()


class SlowStore(MemoryStore):
    """A database that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = trio.Event(), trio.Event()

    async def transitions(self, **query: Any) -> Sequence[Transition]:
        self.asked.set()
        await self.may_answer.wait()
        return await super().transitions(**query)


async def test_a_request_that_is_being_answered_at_a_stop_is_answered() -> None:
    face = PlainFace([shop()])
    face.store = store = SlowStore()
    answers = []

    async def request() -> None:
        answers.append(await ask(port, b"GET /api/v1/transitions HTTP/1.1\r\nHost: localhost\r\n\r\n"))

    async with trio.open_nursery() as clients, trio.open_nursery() as server:
        port = await start(server, face)
        clients.start_soon(request)
        await store.asked.wait()
        server.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()  # the server is stopping now
        store.may_answer.set()
    assert answers[0].startswith(b"HTTP/1.1 200")
