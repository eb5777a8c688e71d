"""httpx as it comes, on Trio: a GET with one client and no connection kept."""

from __future__ import annotations

import ssl

import httpx
import trio

from benchmarks.peers.common import ANSWER, Task, arguments, measured, on_trio


async def main(task: Task) -> None:
    """Probe and report."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    context = ssl.create_default_context(cafile=task.ca_file)
    async with httpx.AsyncClient(limits=limits, verify=context, trust_env=False) as client:

        async def probe() -> bool:
            answer = await client.get(task.url)
            return answer.status_code == 200 and answer.content == ANSWER

        await measured(task, probe, on_trio())


if __name__ == "__main__":
    trio.run(main, arguments(__doc__))
