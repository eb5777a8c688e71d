"""`websocket` with `mode = "hold"` on real connections: what is on the wire, who is told, what is left."""

from __future__ import annotations

import contextlib
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio_websocket
from support.ports import TrioClock
from support.probes import endpoint, look, serve
from support.watching import Watch
from test_tls import CA, ca_file, context

from checks.websocket import WebSocket
from checks.websocket_steps import Step
from checks.wire import HeldStream
from monitor.core.quantities import Duration, Expression
from monitor.net.sockets import SocketNet
from monitor.net.stream import SocketStream

__all__ = ["ca_file"]  # a fixture
if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class Server:
    """Answers pings; the test may close or break the connections."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: list[trio_websocket.WebSocketConnection] = []
        self.closed: list[int | None] = []
        self.heard: list[str | bytes] = []
        self._over = trio.Event()

    async def start(self, nursery: trio.Nursery, made: ssl.SSLContext | None = None) -> Server:
        served = await nursery.start(
            partial(trio_websocket.serve_websocket, self._handle, "127.0.0.1", 0, made, disconnect_timeout=0.1)
        )
        self.port = int(served.port)
        return self

    async def _handle(self, request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=next(iter(request.proposed_subprotocols), None))
        self.connections.append(connection)
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            while True:
                message = await connection.get_message()
                self.heard.append(message)
                await connection.send_message(message)
        self.closed.append(None if connection.closed is None else connection.closed.code)
        self._over.set()

    async def one_is_over(self) -> None:
        with trio.fail_after(10):
            await self._over.wait()


def watch(nursery: trio.Nursery, check: WebSocket, *, clock: TrioClock | None = None, interval: float = 600) -> Watch:
    """Watch *check*; the first probe comes soon."""
    watching = Watch(nursery, net=SocketNet(), clock=clock)
    watching.supervisor.start(endpoint(check, interval=interval, retry_interval=0.2))
    watching.supervisor.probe_now("it")
    return watching


async def test_over_tls_the_certificate_is_looked_at_for_as_long_as_it_is_held(
    nursery: trio.Nursery, ca_file: Path
) -> None:
    server = await Server().start(nursery, context(CA.issue_cert("127.0.0.1")))
    check = WebSocket(
        url=f"wss://127.0.0.1:{server.port}/", ca_file=ca_file, mode="hold", subprotocols=("v1.json", "v2.json")
    )
    async with trio.open_nursery() as checkers:
        watching = watch(checkers, check)
        first = await watching.until(1)
        watching.supervisor.probe_now("it")
        second = await watching.until(2)
        assert (first.status, second.status) == ("up", "up"), (first.reason, second.reason)
        assert second.facts["tls_version"] == "1.3"
        assert second.facts["cert_expires_in"] <= first.facts["cert_expires_in"]
        assert (second.facts["subprotocol"], second.facts["connections"]) == ("v1.json", 1)
        assert second.facts["ip"] == "127.0.0.1"
        checkers.cancel_scope.cancel()
    assert len(server.connections) == 1


async def test_a_drop_is_told_at_once_and_the_next_connection_stays(nursery: trio.Nursery) -> None:
    server = await Server().start(nursery)
    async with trio.open_nursery() as checkers:
        watching = watch(checkers, WebSocket(url=f"ws://127.0.0.1:{server.port}/", mode="hold"))
        await watching.until(1)
        await server.connections[0].aclose(1012, "restart")
        with trio.fail_after(60):  # of an interval of ten minutes
            told, again = await watching.until(2), await watching.until(3)
        assert (told.status, told.reason.code, told.facts["close_code"]) == ("down", "protocol", 1012)
        assert told.reason.message.startswith("the server closed the connection with code 1012: restart after ")
        assert (again.status, again.facts["connections"]) == ("up", 2)
        checkers.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["stopped", "replaced"])
async def test_who_stops_to_watch_takes_leave_and_leaves_nothing(nursery: trio.Nursery, how: str) -> None:
    server = await Server().start(nursery)
    check = WebSocket(url=f"ws://127.0.0.1:{server.port}/", mode="hold")
    async with trio.open_nursery() as checkers:
        watching = watch(checkers, check)
        await watching.until(1)
        if how == "stopped":
            await watching.supervisor.stop("it").wait()
            assert watching.companions.staying == 0
        else:
            watching.supervisor.replace(endpoint(WebSocket(url=check.url, mode="hold", max_silence=Duration(99))))
        await server.one_is_over()
        checkers.cancel_scope.cancel()
    assert server.closed[0] == 1001


async def test_what_the_monitor_slept_through_is_its_own_trouble(nursery: trio.Nursery) -> None:
    class Slept(TrioClock):
        lost = 0.0

        def stalled(self) -> float:
            return self.lost

    server, clock = await Server().start(nursery), Slept()
    async with trio.open_nursery() as checkers:
        watching = watch(checkers, WebSocket(url=f"ws://127.0.0.1:{server.port}/", mode="hold"), clock=clock)
        await watching.until(1)
        clock.lost = 120.0  # a lid was closed, and the server gave up on us
        await server.connections[0].aclose(1001)
        told = await watching.until(2)
        assert (told.status, told.reason.code) == ("unknown", "internal")
        assert told.reason.message == "the monitor stood still for 2 min, and the connection did not outlast it"
        assert (await watching.until(3)).status == "up"
        checkers.cancel_scope.cancel()


async def test_where_nobody_stays_it_is_visited(nursery: trio.Nursery) -> None:
    server = await Server().start(nursery)
    check = WebSocket(url=f"ws://127.0.0.1:{server.port}/", mode="hold", steps=(Step(send="hello"),))
    mentioned = ("ping_rtt_p99 < duration('5s')", "connected_for < duration('5s')", "silence < duration('5s')")
    seen = await look(check, expect=(*mentioned, "connections == 1", "close_code == 1000"))
    assert seen.status == "up", seen.reason


async def test_messages_of_bytes_and_of_json(nursery: trio.Nursery) -> None:
    server = await Server().start(nursery)
    steps = (
        Step(send_hex="00 ff 10"),
        Step(expect=Expression("binary == b'\\x00\\xff\\x10' && size == 3")),
        Step(send_json={"op": "subscribe", "id": 7}),
        Step(expect=Expression("json.op == 'subscribe' && json.id == 7.0")),
        Step(silent_for=Duration(0.1)),
    )
    async with trio.open_nursery() as checkers:
        watching = watch(checkers, WebSocket(url=f"ws://127.0.0.1:{server.port}/", mode="hold", steps=steps))
        seen = await watching.until(1)
        assert (seen.status, seen.facts["messages"]) == ("up", 2), seen.reason
        checkers.cancel_scope.cancel()
    assert server.heard == [b"\x00\xff\x10", '{"op": "subscribe", "id": 7}']


async def test_two_that_send_at_once_to_who_does_not_read_wait_for_each_other(nursery: trio.Nursery) -> None:
    """Such as a pong and a goodbye, of which trio-websocket does not know."""
    size, came, reads = 4_000_000, bytearray(), trio.Event()  # more than there is room for

    async def late(stream: trio.SocketStream) -> None:
        await reads.wait()
        async for data in stream:
            came.extend(data)

    port = await serve(nursery, late)
    with socket.create_connection(("127.0.0.1", port)) as ours:
        ours.setblocking(False)
        held = HeldStream(SocketStream(ours, "127.0.0.1"))
        async with trio.open_nursery() as sending:
            for letter in (b"a", b"b"):
                sending.start_soon(held.send_all, letter * size)
            await trio.testing.wait_all_tasks_blocked()
            reads.set()
    await trio.testing.wait_all_tasks_blocked(0.1)
    assert bytes(came) in (b"a" * size + b"b" * size, b"b" * size + b"a" * size)
