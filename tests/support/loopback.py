"""Servers on loopback for tests of the whole process: each runs in the test's nursery, on a free port."""

from __future__ import annotations

import contextlib
import random
import socket
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def may_ping() -> bool:
    """May we send ICMP, one way or the other?"""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except OSError:
            continue
        return True
    return False


def free_port() -> int:
    """A port for a program that cannot choose one itself: below those that the system gives, lest somebody get it."""
    while True:
        port = random.randrange(10_000, 32_768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def serve(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve connections with *handler*; started with the port. A client that goes away harms nobody."""

    async def contained(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await handler(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(contained, listeners)


async def serve_http(
    answer: Callable[[str], tuple[int, bytes]],
    *,
    delay: Callable[[str], float] = lambda _: 0.0,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer each request with the status and body that *answer* gives for its path, after *delay* seconds."""

    async def exchange(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = await stream.receive_some()
            if not more:
                return
            head += more
        path = head.split(b" ")[1].decode("latin-1")
        await trio.sleep(delay(path))
        status, body = answer(path)
        await stream.send_all(
            b"HTTP/1.1 %d Test\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (status, len(body), body)
        )

    await serve(exchange, task_status=task_status)
