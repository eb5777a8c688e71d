"""Connections that are held: what 1,000 of them cost, and what happens when all are dropped in one instant.

    python -m benchmarks.held [--connections 1000] [--seconds 30]

A real `monitor run` on the prober's core; the server of the connections and this program on the other. Fifty ordinary
endpoints, probed every second, tell how late others are meanwhile (the daemon's own figure, read once a second).
When each drop was told is the moment of the endpoint's transition, when each came back what the server saw.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import trio
import trio_websocket

from benchmarks.daemon import SETTLING, running
from benchmarks.harness import pinned, server_core
from monitor.limits import raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

INTERVAL, OTHERS = 10, 50
_CONFIG = """[monitor]
listen = "127.0.0.1:0"
data_dir = "data"
[defaults]
interval = "{interval}s"
failure_threshold = 1
"""
_HELD = '[[endpoint]]\nname = "held-{number}"\nurl = "ws://127.0.0.1:{port}/"\nmode = "hold"\n'
_OTHER = '[[endpoint]]\nname = "other-{number}"\nurl = "tcp://127.0.0.1:{port}"\ninterval = "1s"\n'
_LAG = re.compile(r'^monitor_schedule_lag_seconds\{endpoint="other-.*\} (\S+)$', re.MULTILINE)


class Server:
    """Accepts, answers pings, and drops everybody when told to."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.open: set[trio.SocketStream] = set()
        self.came: list[float] = []  # Unix seconds

    async def serve(self, stream: trio.SocketStream) -> None:
        """Hold one connection until either side closes it."""
        try:
            async with trio.open_nursery() as own:
                connection = await (await trio_websocket.wrap_server_stream(own, stream)).accept()
                self.came.append(time.time())
                self.open.add(stream)
                with suppress(trio_websocket.ConnectionClosed):
                    await connection.get_message()
                own.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio_websocket.HandshakeError):
            pass
        finally:
            self.open.discard(stream)

    async def drop_all(self) -> None:
        """Close every connection without a word."""
        for stream in tuple(self.open):
            await trio.aclose_forcefully(stream)


async def _hang_up(stream: trio.SocketStream) -> None:
    await trio.aclose_forcefully(stream)


async def _listen(nursery: trio.Nursery, handler: Callable[[trio.SocketStream], Awaitable[None]]) -> int:
    listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1", backlog=4096))
    return int(listeners[0].socket.getsockname()[1])


def _said(name: str, seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    median, most = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return f"{name:34} median {median * 1000:6.0f} ms, p99 {most * 1000:6.0f} ms, at worst {ordered[-1] * 1000:6.0f} ms"


async def _lags(url: str, seconds: float) -> list[float]:
    found: list[float] = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        with trio.move_on_after(seconds):
            while True:
                found += map(float, _LAG.findall((await client.get("/metrics")).text))
                await trio.sleep(1)
    return found


async def _told(url: str, since: float) -> list[float]:
    """When each endpoint was seen to be down, in seconds after *since*."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        found: list[float] = []
        after: int | None = 0
        while after is not None:
            page = (await client.get(f"/api/v1/transitions?after={after}&limit=1000")).json()
            found += [
                datetime.fromisoformat(each["at"]).timestamp() - since
                for each in page["transitions"]
                if each["to"] == "down"
            ]
            after = page["next"]
        return found


async def measure(directory: Path, connections: int, seconds: float) -> None:
    """Hold so many for so many seconds, drop them, and print what came of it."""
    server = Server()
    async with trio.open_nursery() as nursery:
        port, other = await _listen(nursery, server.serve), await _listen(nursery, _hang_up)
        config = directory / "config.toml"
        lines = [_HELD.format(number=number, port=port) for number in range(connections)]
        lines += [_OTHER.format(number=number, port=other) for number in range(OTHERS)]
        config.write_text(_CONFIG.format(interval=INTERVAL) + "".join(lines), encoding="ascii")
        with running(config) as monitor:
            await trio.sleep(SETTLING)
            before = monitor.cpu()
            print(_said("others, while all are held", await _lags(monitor.url, seconds)), flush=True)
            spent = (monitor.cpu() - before) / seconds
            print(f"{len(server.open)} held: {monitor.resident():.0f} MiB, {spent:.0%} of a core", flush=True)
            dropped_at = time.time()
            server.came.clear()
            await server.drop_all()
            print(_said("others, when all are dropped", await _lags(monitor.url, INTERVAL)), flush=True)
            told = await _told(monitor.url, dropped_at)
            print(_said(f"told of {len(told)} drops", told))
            back = [moment - dropped_at for moment in server.came]
            print(_said(f"{len(back)} came back", back))
            busiest = max(sum(begin <= each < begin + 0.1 for each in back) for begin in back)
            print(f"at most {busiest} came back within a tenth of a second")
            nursery.cancel_scope.cancel()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30)
    asked = parser.parse_args()
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory() as name, pinned(server_core()):
        trio.run(measure, Path(name), asked.connections, asked.seconds)


if __name__ == "__main__":
    main()
