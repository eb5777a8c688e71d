"""trio-websocket as it comes: connect, one ping and its pong, close."""

from __future__ import annotations

import trio
from trio_websocket import open_websocket_url

from benchmarks.peers.common import Task, arguments, measured, on_trio


async def main(task: Task) -> None:
    """Probe and report."""

    async def probe() -> bool:
        async with open_websocket_url(task.url) as connection:
            await connection.ping(b"it")
        return connection.closed is not None and connection.closed.code == 1000

    await measured(task, probe, on_trio())


if __name__ == "__main__":
    trio.run(main, arguments(__doc__))
