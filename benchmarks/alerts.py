"""From a confirmed transition to the first POST that tells of it, under load: 1,000 endpoints every 10 s.

    python -m benchmarks.alerts [--seconds 120]

A real `monitor run` on the prober's core; its targets and the receiver of its alerts are this program, on the other.
First endpoints fail and recover here and there, then all of them go down at once and come back. The time is that from
the alert's `timestamp`, the moment at which its transition was decided, to the moment at which the receiver has read
the request. What was received is held against the transitions of the API: none missing, none twice.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import trio

from benchmarks.daemon import SETTLING, running
from benchmarks.harness import pinned, server_core

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDPOINTS, INTERVAL = 1000, 10
LIMIT = 1.0  # seconds at the 99th percentile: promise P3
_A_SECOND = 5  # endpoints that change while it is calm
_PATIENCE = 60.0  # seconds that everything may take in the end
_CONFIG = """[monitor]
listen = "127.0.0.1:0"
data_dir = "data"

[defaults]
interval = "{interval}s"
retry_interval = "1s"
failure_threshold = 2
success_threshold = 2
flap_changes = 1000

[[sink]]
name = "ops"
type = "webhook"
url = "http://127.0.0.1:{port}/hook"

"""
_ENDPOINT = """[[endpoint]]
name = "{name}"
url = "http://127.0.0.1:{port}/{name}"
"""


@attrs.define(eq=False)
class Outside:
    """Targets and receiver."""

    port: int = 0
    broken: set[str] = attrs.field(factory=set)
    taken: list[float] = attrs.field(factory=list)  # seconds, of each alert
    told: Counter[tuple[str, str]] = attrs.field(factory=Counter)  # endpoint and id
    news: trio.Event = attrs.field(factory=trio.Event)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen, until cancelled."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._answer, [listener])

    async def _answer(self, stream: trio.SocketStream) -> None:
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await self._more(stream)
            head, _, body = request.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            if path == "/hook":
                await self._take(stream, head, body)
            failing = path.removeprefix("/") in self.broken
            status = b"503 Service Unavailable" if failing else b"200 OK"
            await stream.send_all(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        except (trio.BrokenResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _more(self, stream: trio.SocketStream) -> bytes:
        if chunk := await stream.receive_some(65536):
            return bytes(chunk)
        raise EOFError

    async def _take(self, stream: trio.SocketStream, head: bytes, body: bytes) -> None:
        lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
        length = int({name: value for name, _, value in lines}[b"content-length"])
        while len(body) < length:
            body += await self._more(stream)
        arrived, document = time.time(), json.loads(body)
        self.taken.append(arrived - datetime.fromisoformat(document["timestamp"]).timestamp())
        self.told[document["data"]["endpoint"]["name"], document["data"]["id"]] += 1
        self.news.set()

    async def until_told(self, count: int) -> None:
        """Wait until so many alerts have come."""
        with trio.move_on_after(_PATIENCE):
            while self.told.total() < count:
                self.news = trio.Event()
                await self.news.wait()


def figures(what: str, taken: Sequence[float]) -> str:
    """One line of the report."""
    ordered = sorted(taken)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    worst = ordered[-1] * 1000
    return f"{what:24} {len(ordered):5} alerts, p50 {p50:.0f} ms, p99 {p99:.0f} ms, at worst {worst:.0f} ms"


async def _transitions(url: str) -> list[dict[str, Any]]:
    """Every transition that has been alerted."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        while after is not None:
            answer = (await client.get("/api/v1/transitions", params={"after": after, "limit": 1000})).json()
            found += answer["transitions"]
            after = answer["next"]
    return [each for each in found if each["alert"] == "alerted"]


async def _calm(outside: Outside, names: Sequence[str], seconds: float, rand: random.Random) -> None:
    """Some fail each second, and recover later."""
    for _ in range(round(seconds)):
        outside.broken ^= set(rand.sample(names, _A_SECOND))
        await trio.sleep(1.0)
    outside.broken.clear()
    await trio.sleep(2.5 * INTERVAL)


async def _storm(outside: Outside, names: Sequence[str]) -> None:
    """All of them at once, and back."""
    outside.broken.update(names)
    await trio.sleep(2.5 * INTERVAL)
    outside.broken.clear()
    await trio.sleep(2.5 * INTERVAL)


async def measure(directory: Path, seconds: float) -> bool:
    """Print the figures; say whether all is as promised."""
    names = [f"e{number}" for number in range(ENDPOINTS)]
    outside, rand, good = Outside(), random.Random(7), True
    async with trio.open_nursery() as nursery:
        await nursery.start(outside.serve)
        config = directory / "config.toml"
        parts = [_CONFIG.format(interval=INTERVAL, port=outside.port)]
        config.write_text("\n".join(parts + [_ENDPOINT.format(name=name, port=outside.port) for name in names]))
        manager = running(config)
        monitor = await trio.to_thread.run_sync(manager.__enter__)
        try:
            with pinned(server_core()):
                await trio.sleep(SETTLING)
                for what, act in {
                    "here and there": partial(_calm, outside, names, seconds, rand),
                    "all down, and back": partial(_storm, outside, names),
                }.items():
                    before, cpu = len(outside.taken), monitor.cpu()
                    await act()
                    await outside.until_told(len(await _transitions(monitor.url)))
                    taken = outside.taken[before:]
                    print(f"{figures(what, taken)}; the daemon took {monitor.cpu() - cpu:.1f} s of CPU", flush=True)
                    good = good and sorted(taken)[int(len(taken) * 0.99)] <= LIMIT
                alerted = await _transitions(monitor.url)
        finally:
            await trio.to_thread.run_sync(manager.__exit__, None, None, None)
        nursery.cancel_scope.cancel()
    wanted, got = Counter(each["endpoint"] for each in alerted), Counter(name for name, _ in outside.told)
    missing, twice = (wanted - got).total(), outside.told.total() - len(outside.told)
    print(f"{len(alerted)} transitions were alerted: {missing} never told, {twice} told twice")
    return good and wanted == got and not twice


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="while endpoints fail here and there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if trio.run(measure, Path(name), asked.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
