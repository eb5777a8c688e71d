"""websockets: connect, one ping and its pong, close."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import connect

from benchmarks.peers.common import Task, arguments, measured, on_asyncio


async def main(task: Task) -> None:
    """Probe and report."""

    async def probe() -> bool:
        async with connect(task.url) as connection:
            await (await connection.ping(b"it"))
        return connection.close_code == 1000

    await measured(task, probe, on_asyncio())


if __name__ == "__main__":
    asyncio.run(main(arguments(__doc__)))
