"""The face under load: 1,000 endpoints every 10 s, and how long a page takes while others stay open.

    python -m benchmarks.face [--pages 20] [--seconds 60]

A real `monitor run` on the prober's core, its targets, the visitors and this program on the other. First nobody looks;
then so many live pages are open as the browser has them (a WebSocket each, every message read), and one more visitor
asks for pages, metrics and a chart again and again. Lateness is the daemon's own figure for each endpoint, read once an
interval.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from benchmarks.daemon import SETTLING, running, written
from benchmarks.harness import pinned, server_core
from benchmarks.servers import servers

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDPOINTS, INTERVAL = 1000, 10
ASKED = {
    "overview": "/",
    "page of one endpoint": "/endpoints/e7",
    "endpoints, 100 of them": "/api/v1/endpoints?limit=100",
    "chart, 24 h": "/api/v1/endpoints/e7/history?window=24h",
    "metrics": "/metrics",
}
_LAG = re.compile(r"^monitor_schedule_lag_seconds\{.*\} (\S+)$", re.MULTILINE)


class Face:
    """A daemon, seen by its visitors."""

    def __init__(self, url: str) -> None:
        """Visit the one at *url*."""
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, timeout=30)
        self.messages = 0

    async def lags(self, seconds: float) -> list[float]:
        """How late each probe of the next *seconds* began, in seconds, sorted."""
        found: list[float] = []
        for _ in range(max(1, round(seconds / INTERVAL))):
            await trio.sleep(INTERVAL)
            found += map(float, _LAG.findall((await self.http.get("/metrics")).text))
        return sorted(found)

    async def page(self) -> None:
        """Keep one live page open."""
        await self.http.get("/")
        async with open_websocket_url(self.url.replace("http", "ws", 1) + "/api/v1/live") as feed:
            try:
                while True:
                    await feed.get_message()
                    self.messages += 1
            except ConnectionClosed as closed:
                raise RuntimeError(f"a live page was closed: {closed.reason}") from None

    async def ask(self, found: dict[str, list[float]], pause: float) -> None:
        """Ask for everything in turn, for ever."""
        while True:
            for name, path in ASKED.items():
                began = time.perf_counter()
                answer = await self.http.get(path)
                answer.raise_for_status()
                found.setdefault(name, []).append(time.perf_counter() - began)
                await trio.sleep(pause)


def _lateness(what: str, lags: Sequence[float]) -> str:
    p50, p99 = (lags[int(len(lags) * share)] * 1000 for share in (0.5, 0.99))
    return f"{what:32} late by p50 {p50:.2f} ms, p99 {p99:.2f} ms, at worst {lags[-1] * 1000:.1f} ms"


async def visit(url: str, pages: int, seconds: float) -> None:
    """Print the figures."""
    face = Face(url)
    async with face.http:
        print(_lateness("nobody looks", await face.lags(seconds)), flush=True)
        found: dict[str, list[float]] = {}
        async with trio.open_nursery() as nursery:
            for _ in range(pages):
                nursery.start_soon(face.page)
            await trio.sleep(INTERVAL / 2)
            before = face.messages
            print(_lateness(f"{pages} live pages", await face.lags(seconds)), flush=True)
            print(f"{'':32} {(face.messages - before) / seconds:.0f} messages a second were read", flush=True)
            nursery.start_soon(face.ask, found, 0.5)
            print(_lateness("and one who asks", await face.lags(seconds)), flush=True)
            nursery.cancel_scope.cancel()
    for name, taken in found.items():
        worst = max(taken) * 1000
        print(f"{name:32} median {statistics.median(taken) * 1000:.0f} ms, at worst {worst:.0f} ms, of {len(taken)}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, servers(Path(name)) as those:
        config = written(Path(name), f"http://127.0.0.1:{those.http}/", endpoints=ENDPOINTS, interval=INTERVAL)
        with running(config) as monitor, pinned(server_core()):
            time.sleep(SETTLING)
            trio.run(visit, monitor.url, asked.pages, asked.seconds)


if __name__ == "__main__":
    main()
