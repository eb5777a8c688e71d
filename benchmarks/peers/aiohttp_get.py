"""aiohttp: a GET with one session and no connection kept, on asyncio or uvloop."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import uvloop

from benchmarks.peers.common import ANSWER, Task, arguments, measured, on_asyncio


async def main(task: Task) -> None:
    """Probe and report."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0, ssl=ssl.create_default_context(cafile=task.ca_file))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def probe() -> bool:
            async with session.get(task.url) as answer:
                return answer.status == 200 and await answer.read() == ANSWER

        await measured(task, probe, on_asyncio())


if __name__ == "__main__":
    asked = arguments(__doc__)
    (uvloop.run if asked.loop == "uvloop" else asyncio.run)(main(asked))
