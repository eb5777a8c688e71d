"""Servers that misbehave, for the soak: HTTP_PORT TLS_PORT; each path of the first is a way to go wrong.

Only what may leave something behind in a prober matters here; whether each gets the right verdict is for the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

import uvloop

Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNK = b"x" * 65536
BOMB = gzip.compress(b"\0" * (64 * 1024 * 1024))


def sends(*pieces: bytes, pause: float = 0.0) -> Handler:
    """Send *pieces*, a *pause* after each, and close."""

    async def handler(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)

    return handler


async def silence(_: asyncio.StreamWriter) -> None:
    """Say nothing for longer than anybody waits."""
    await asyncio.sleep(5)


async def endless(writer: asyncio.StreamWriter) -> None:
    """Send a body without an end."""
    writer.write(OK + b"\r\n")
    while True:
        writer.write(CHUNK)
        await writer.drain()


async def reset(writer: asyncio.StreamWriter) -> None:
    """Begin an answer and reset the connection."""
    writer.write(OK)
    await writer.drain()
    own: socket.socket = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


BEHAVIOURS: dict[str, Handler] = {
    "silence": silence,
    "endless": endless,
    "reset": reset,
    "hang-up": sends(),
    "error": sends(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
    "garbage": sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "truncated": sends(OK + b"Content-Length: 100\r\n\r\nshort"),
    "dripped": sends(OK, *([b"X: y\r\n"] * 100), pause=0.02),
    "many-headers": sends(OK, b"X-Header: value\r\n" * 8000),
    "bomb": sends(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB),
    "loop": sends(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n"),
    "elsewhere": sends(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "switched": sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
}


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request and treat it as its path asks."""
    with _whoever_leaves():
        head = await reader.readuntil(b"\r\n\r\n")
        await BEHAVIOURS[head.split(b" ")[1].decode().lstrip("/").split("/")[0]](writer)
    await _closed(writer)


async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a TLS greeting with plain text."""
    with _whoever_leaves():
        await reader.read(65536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await _closed(writer)


def _whoever_leaves() -> contextlib.AbstractContextManager[None]:
    """Ignore that the other side is gone; uvloop says so by a RuntimeError when one writes all the same."""
    return contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def main(http: int, tls: int) -> None:
    """Serve on both ports of loopback until stopped."""
    await asyncio.start_server(answer, "127.0.0.1", http, backlog=1024)
    await asyncio.start_server(no_tls, "127.0.0.1", tls, backlog=1024)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
