"""The WebSocket server that is visited: `websockets` on uvloop, which answers pings and closes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def listen(connection: ServerConnection) -> None:
    """Read until the visitor leaves, politely or not."""
    with contextlib.suppress(ConnectionClosed):
        async for _ in connection:
            pass


async def main(port: int) -> None:
    """Serve on *port* of loopback until stopped."""
    async with serve(listen, "127.0.0.1", port, compression=None, backlog=1024):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
