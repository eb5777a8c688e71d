"""What the real daemon keeps between probes: a connection and an access token, until the endpoint changes or goes."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from support.daemon import daemon, until
from support.loopback import serve

if TYPE_CHECKING:
    from pathlib import Path

    import trio

CONFIG = """
[monitor]
listen = "127.0.0.1:0"
watch = false

[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{port}/"
interval = "200ms"
timeout = "{timeout}"
keepalive = true

[endpoint.auth.oauth2]
token_url = "http://127.0.0.1:{port}/token"
client_id = "m"
client_secret = "hunter2hunter2"
"""
TOKEN = b'{"access_token": "the-token-of-the-shop", "token_type": "Bearer"}'


class Shop:
    """Keeps connections open, and counts."""

    def __init__(self) -> None:
        self.tokens = 0
        self.asked: list[int] = []  # for each connection, how often
        self.open = 0

    async def __call__(self, stream: trio.SocketStream) -> None:
        number, self.open = len(self.asked), self.open + 1
        self.asked.append(0)
        try:
            while request := await stream.receive_some():
                body = b"in" if b"the-token-of-the-shop" in request else TOKEN
                self.tokens += body is TOKEN
                self.asked[number] += body is not TOKEN
                await stream.send_all(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        finally:
            self.open -= 1


async def test_kept_until_the_endpoint_changes_or_the_daemon_stops(tmp_path: Path, nursery: trio.Nursery) -> None:
    shop, config = Shop(), tmp_path / "config.toml"
    port = await nursery.start(serve, shop)
    config.write_text(CONFIG.format(port=port, timeout="5s"))
    async with daemon(tmp_path, "--log-level", "debug") as running:

        async def asked(connections: int, times: int) -> bool:
            used = [each for each in shop.asked if each]
            return len(used) == connections and used[-1] >= times

        await until(partial(asked, 1, 3), "three probes on one connection")
        assert (shop.tokens, shop.open) == (1, 1)
        running.process.send_signal(signal.SIGHUP)
        await until(partial(asked, 1, shop.asked[-1] + 3), "a reload that changes nothing keeps it")
        config.write_text(CONFIG.format(port=port, timeout="6s"))
        running.process.send_signal(signal.SIGHUP)
        await until(partial(asked, 2, 3), "a change begins anew")
        assert (shop.tokens, shop.open) == (2, 1)
        assert await running.state("shop") == "up"
        assert await running.stop() == 0
        written = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())

    async def is_closed() -> bool:
        return shop.open == 0

    await until(is_closed, "it goes with the daemon")
    assert b"the-token-of-the-shop" not in written + running.log.encode()
    assert b"hunter2" not in written + running.log.encode()
