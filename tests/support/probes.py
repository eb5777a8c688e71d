"""Probing in tests: endpoints with few words, raw servers on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from monitor.core.expectations import Expectations, compile_all
from monitor.core.model import Endpoint, Observation
from monitor.core.quantities import Duration
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock
from support import loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from monitor.plugin import Check

    Handler = Callable[[trio.SocketStream], Awaitable[None]]


def endpoint(
    check: Check, *, name: str = "it", expect: Iterable[str] = (), degraded: Iterable[str] = (), **settings: Any
) -> Endpoint:
    """An endpoint with the built-in defaults; durations in seconds."""
    wanted: dict[str, Any] = {"interval": 30.0, "timeout": 5.0, "retry_interval": 5.0} | settings
    for key in ("interval", "timeout", "retry_interval"):
        wanted[key] = Duration(wanted[key])
    expect, degraded = tuple(expect), tuple(degraded)
    return Endpoint(
        **{
            "name": name,
            "kind": type(check).__name__.lower(),
            "check": check,
            "target": check.target,
            "failure_threshold": 3,
            "success_threshold": 2,
            "expect": compile_all(expect, type(check).facts) if expect else Expectations(),
            "degraded": compile_all(degraded, type(check).facts) if degraded else Expectations(),
            **wanted,
        }
    )


async def look(check: Check, *, net: Any = None, **settings: Any) -> Observation:
    """Probe once over the real network, an `endpoint` with *settings*."""
    return await probe_once(endpoint(check, **settings), net=net or SocketNet(), clock=SystemClock(), mask=None)


async def look_calmly(check: Check, *, tries: int = 5, **settings: Any) -> Observation:
    """`look`, and again where the machine was too busy for the monitor to tell: for verdicts that take their time."""
    seen = await look(check, **settings)
    while "the monitor was held up" in seen.reason.message and (tries := tries - 1):
        seen = await look(check, **settings)
    return seen


async def serve(nursery: trio.Nursery, handler: Handler) -> int:
    """Serve *handler* on a free port of loopback; returns the port."""
    port: int = await nursery.start(loopback.serve, handler)
    return port


async def read_request(stream: trio.SocketStream) -> bytes:
    """Read up to the end of the request's head."""
    head = b""
    while b"\r\n\r\n" not in head and (data := await stream.receive_some(65536)):
        head += data
    return head


def answers(*pieces: bytes, pause: float = 0, then: str = "close") -> Handler:
    """Read a request, send *pieces* with a *pause* after each, then `close`, `reset` or `hold`."""

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(pause)
        if then == "hold":
            await trio.sleep_forever()
        if then == "reset":
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return handler


def http(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
