"""One row of the matrix, and the few moves its servers are made of."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import attrs
import trio
from support.probes import read_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[[trio.SocketStream], Awaitable[None]]

OK = "ok"
FOR_EVER = 10**9
NAME_SERVER = "the name server"  # what is no row, among the ports


@attrs.frozen(kw_only=True)
class Row:
    """A behaviour and the verdict it deserves.

    *code* is the reason's, `ok` for a server that is odd and yet up. *phase* is where it is seen; None for `ok`.
    A server that breaks the connection while we send is seen at either end, so *code* may name two: "connect/tls".
    """

    name: str
    serve: Handler
    code: str
    phase: str | None = None
    scheme: str = "http"
    host: str = "127.0.0.1"
    path: str = "/"
    expect: tuple[str, ...] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def codes(self) -> tuple[str, ...]:
        """The reasons that are right."""
        return tuple(self.code.split("/"))


def row(name: str, serve: Handler, code: str, phase: str | None = None, **more: Any) -> Row:
    """A row of the http table; *more* are its other fields."""
    return Row(name=name, serve=serve, code=code, phase=phase, **more)


def then_flood(head: bytes, piece: bytes, *, times: int = FOR_EVER) -> Handler:
    """Send *head*, then *piece* as often and as fast as the client takes it."""

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(head)
        for _ in range(times):
            await stream.send_all(piece)

    return handler


def then_drip(head: bytes, piece: bytes, *, pause: float = 0.05) -> Handler:
    """Send *head*, then *piece* again and again, slowly."""

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(head)
        while True:
            await stream.send_all(piece)
            await trio.sleep(pause)

    return handler


def flood_at_once(piece: bytes) -> Handler:
    """Send *piece* without end and without waiting for a word; read nothing."""

    async def handler(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(piece)

    return handler


def at_once(*pieces: bytes, then: str = "close") -> Handler:
    """Speak before the client has said a word, then `close`, `reset` or `hold`."""

    async def handler(stream: trio.SocketStream) -> None:
        for piece in pieces:
            await stream.send_all(piece)
        await ending(stream, then)

    return handler


async def ending(stream: trio.SocketStream, then: str) -> None:
    """End as *then* says: return so that the stream is closed, reset it, or keep it until the client leaves."""
    if then == "hold":
        while await stream.receive_some():
            pass
    if then == "reset":
        reset(stream)


def reset(stream: trio.SocketStream) -> None:
    """Make the close that follows send RST."""
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))


async def mute(stream: trio.SocketStream) -> None:
    """Accept, read, and never say anything."""
    await ending(stream, "hold")


async def deaf(_: trio.SocketStream) -> None:
    """Accept, and neither read nor write."""
    await trio.sleep_forever()
