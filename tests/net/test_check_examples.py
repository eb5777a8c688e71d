"""docs/checks.md: every kind of check has its section, and each of its examples is up against a server that fits."""

from __future__ import annotations

import contextlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio_websocket
from support.http2 import Http2Server, Says, Visitor
from support.loopback import may_ping
from support.nameserver import NameServer
from support.probes import answers, http, serve
from test_http_steps import Shop
from test_tcp_check import STARTTLS, talks
from test_tls import CA, ca_file, context
from test_udp_check import serve as datagrams

from monitor.config.load import load
from monitor.core.heartbeats import Beat, Push
from monitor.core.model import Status
from monitor.net.sockets import SocketNet
from monitor.plugins import OURS, Registry
from monitor.probing import probe_once
from monitor.processes.starter import Processes
from monitor.system import SystemClock

__all__ = ["ca_file"]  # a fixture
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

PAGE = (Path(__file__).parents[2] / "docs/checks.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## `(.*?)`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
EXAMPLES = [
    pytest.param(kind, snippet, id=snippet.split('"')[1])
    for kind, section in SECTIONS.items()
    for snippet in re.findall(r"^```toml\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
]


async def shop(nursery: trio.Nursery) -> int:
    return await serve(nursery, answers(http(200, b'{"db": "ok", "queue": 7}', "Content-Type: application/json")))


async def feed(nursery: trio.Nursery) -> int:
    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            await connection.get_message()
            await connection.send_message('{"type": "tick"}')
            await connection.send_message('{"type": "subscribed"}')
            await connection.get_message()

    server = await nursery.start(partial(trio_websocket.serve_websocket, handler, "127.0.0.1", 0, None))
    return int(server.port)


async def cache(nursery: trio.Nursery) -> int:
    return await serve(nursery, talks(b"", (b"PING\r\n", b"+PONG\r\n")))


async def mail(nursery: trio.Nursery) -> int:
    greeting, lines = STARTTLS["smtp"]
    return await serve(nursery, talks(greeting, *lines, tls=context(CA.issue_cert("127.0.0.1")), then=b"250 me\r\n"))


async def ssh(nursery: trio.Nursery) -> int:
    return await serve(nursery, talks(b"SSH-2.0-OpenSSH_9.2\r\n"))


async def secure(nursery: trio.Nursery) -> int:
    return await serve(nursery, talks(b"", tls=context(CA.issue_cert("127.0.0.1"))))


async def names(nursery: trio.Nursery) -> int:
    return (await NameServer().start(nursery)).port


async def gateway(nursery: trio.Nursery) -> int:
    return 0  # this machine is one


async def game(nursery: trio.Nursery) -> int:
    return await datagrams(nursery, lambda _: [b"pong"])


async def logs(nursery: trio.Nursery) -> int:
    return await datagrams(nursery, lambda _: [])


async def orders(nursery: trio.Nursery) -> int:
    serving = Says(200, b"\0\0\0\0\2\x08\1", {"content-type": "application/grpc"}, {"grpc-status": "0"})

    async def handler(stream: trio.SocketStream) -> None:
        with contextlib.suppress(EOFError):
            await Http2Server(serving)(Visitor(stream))

    return await serve(nursery, handler)


async def account(nursery: trio.Nursery) -> int:
    return await serve(nursery, Shop())


SERVERS: dict[str, Callable[[trio.Nursery], Awaitable[int]]] = {
    "shop": shop,
    "account": account,
    "feed": feed,
    "cache": cache,
    "mail": mail,
    "ssh": ssh,
    "secure": secure,
    "names": names,
    "gateway": gateway,
    "game": game,
    "logs": logs,
    "orders": orders,
}


def test_every_check_has_an_example() -> None:
    ours = {kind for kind, plugin in Registry().checks.items() if plugin.origin == OURS}
    assert {example.values[0] for example in EXAMPLES} == ours == SECTIONS.keys()


@pytest.mark.parametrize(("kind", "snippet"), EXAMPLES)
async def test_an_example_is_up(nursery: trio.Nursery, tmp_path: Path, ca_file: Path, kind: str, snippet: str) -> None:
    host = re.findall(r"://(\w+)\.example\.org", snippet)
    port = await SERVERS[host[0]](nursery) if host else 0
    path = tmp_path / "config.toml"
    if kind == "icmp" and not may_ping():
        pytest.skip("nobody may send ICMP here")
    local = re.sub(r"://\w+\.example\.org(:\d+)?", f"://127.0.0.1:{port}" if port else "://127.0.0.1", snippet)
    (tmp_path / "backup.json").write_text('{"errors": 0}', "utf-8")
    path.write_text(local.replace("/etc/ssl/internal.pem", str(ca_file)), "utf-8")
    (endpoint,) = load(path, environ={}).endpoints
    assert endpoint.kind == kind
    clock = SystemClock()
    push = Push(at=clock.wall(), status=Status.UP)  # for who is heard, and not asked
    beat = None if host else Beat(push=push, silence=0.0, interval=endpoint.interval, late=False)
    async with Processes() as processes:
        seen = await probe_once(endpoint, net=SocketNet(), clock=clock, mask=None, beat=beat, programs=processes)
    assert seen.status == "up", seen.reason
