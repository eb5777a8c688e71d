"""A connection that the real daemon holds: it stays through a reload, a drop is told, a stop takes leave."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import httpx
import trio_websocket
from support.daemon import daemon, until

if TYPE_CHECKING:
    from pathlib import Path

    import trio

CONFIG = """
[monitor]
listen = "127.0.0.1:0"

[defaults]
interval = "2s"
retry_interval = "200ms"

[[endpoint]]
name = "feed"
url = "ws://127.0.0.1:{port}/"
mode = "hold"
"""


async def test_held_through_reload_told_of_a_drop_gone_with_the_daemon(tmp_path: Path, nursery: trio.Nursery) -> None:
    connections: list[trio_websocket.WebSocketConnection] = []
    closed: list[int] = []

    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        connections.append(connection)
        try:
            await connection.get_message()
        except trio_websocket.ConnectionClosed:
            closed.append(0 if connection.closed is None else connection.closed.code)

    server = await nursery.start(
        partial(trio_websocket.serve_websocket, serve, "127.0.0.1", 0, None, disconnect_timeout=0.1)
    )
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(port=server.port))
    async with daemon(tmp_path) as running:

        async def shows(metric: str) -> bool:
            async with httpx.AsyncClient(trust_env=False) as client:
                return metric in (await client.get(running.url + "/metrics")).text

        await until(partial(shows, "monitor_held_connections 1.0"), "the first probe holds a connection")
        config.write_text(CONFIG.format(port=server.port) + '[[endpoint]]\nname = "new"\nurl = "ws://127.0.0.1:1/"\n')
        running.process.send_signal(signal.SIGHUP)

        async def is_reloaded() -> bool:
            return "reloaded: 1 new, 0 changed, 0 gone" in running.log

        await until(is_reloaded, "the reload")
        assert (len(connections), closed) == (1, [])

        await connections[0].aclose(1011, "out of order")

        async def is_back() -> bool:
            return len(connections) == 2

        await until(is_back, "a new connection")
        told = 'monitor_probes_total{endpoint="feed",status="down"} 1.0'
        await until(partial(shows, told), "one probe that told of the drop")
        assert await running.stop() == 0
    assert closed[-1] == 1001
