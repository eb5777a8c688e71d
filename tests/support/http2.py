"""An HTTP/2 server on the library h2, over TLS on loopback, and the moves of one that means harm."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, WindowUpdated
from h2.exceptions import H2Error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Headers = list[tuple[bytes, bytes]]
    Hostile = Callable[["Visitor"], Awaitable[None]]


@attrs.frozen
class Asked:
    """One request, whole."""

    headers: dict[bytes, bytes]
    body: bytes


@attrs.frozen
class Says:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    trailers: Mapping[str, str] = attrs.field(factory=dict)
    before: tuple[Mapping[str, str], ...] = ()  # 103s
    chunk: int = 16_384


class Visitor:
    """One connection, from the server's side."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.bodies: dict[int, bytearray] = {}
        self.heads: dict[int, dict[bytes, bytes]] = {}

    async def flush(self) -> None:
        await self.stream.send_all(self.h2.data_to_send())

    async def hear(self) -> list[tuple[int, Asked]]:
        """The requests that are whole by what comes next; raises EOFError at the end."""
        data = await self.stream.receive_some(65_536)
        if not data:
            raise EOFError
        whole = []
        for event in self.h2.receive_data(data):
            match event:
                case RequestReceived():
                    self.heads[event.stream_id], self.bodies[event.stream_id] = dict(event.headers), bytearray()
                case DataReceived():
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case StreamEnded():
                    number = event.stream_id
                    whole.append((number, Asked(self.heads[number], bytes(self.bodies[number]))))
                case WindowUpdated():
                    pass
        await self.flush()
        return whole

    async def request(self) -> tuple[int, Asked]:
        """The first request."""
        while not (whole := await self.hear()):
            pass
        return whole[0]

    async def answer(self, number: int, says: Says) -> None:
        for early in says.before:
            self.h2.send_headers(number, [(":status", "103"), *early.items()])
        headers = [(":status", str(says.status)), *says.headers.items()]
        self.h2.send_headers(number, headers, end_stream=not says.body and not says.trailers)
        rest = says.body
        while rest:
            room = min(self.h2.local_flow_control_window(number), says.chunk)
            if room <= 0:
                await self.hear()
                continue
            piece, rest = rest[:room], rest[room:]
            self.h2.send_data(number, piece, end_stream=not rest and not says.trailers)
            await self.flush()
        if says.trailers:
            self.h2.send_headers(number, list(says.trailers.items()), end_stream=True)
        await self.flush()


class Http2Server:
    """Answers by *says*; remembers what it was asked, and how many connections there were."""

    def __init__(self, says: Says | Callable[[Asked], Says] | None = None) -> None:
        self.says = says or Says()
        self.heard: list[Asked] = []
        self.connections = 0

    async def __call__(self, visitor: Visitor) -> None:
        self.connections += 1
        await visitor.flush()
        while True:
            for number, asked in await visitor.hear():
                self.heard.append(asked)
                await visitor.answer(number, self.says(asked) if callable(self.says) else self.says)


async def serve_http2(
    nursery: trio.Nursery, made: ssl.SSLContext, handler: Hostile, protocols: tuple[str, ...] = ("h2", "http/1.1")
) -> int:
    """Serve connections with *handler* on a free port of loopback; returns the port."""
    made.set_alpn_protocols(protocols)

    async def contained(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await handler(Visitor(stream))
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError, H2Error, ssl.SSLError):
            pass  # the client went away
        finally:
            await trio.aclose_forcefully(stream)

    listeners: Any = await nursery.start(partial(trio.serve_ssl_over_tcp, contained, 0, made, host="127.0.0.1"))
    return int(listeners[0].transport_listener.socket.getsockname()[1])


# Raw frames (RFC 9113, 6)

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
STATUS_200 = b"\x88"  # `:status: 200`, from the static table (RFC 7541, Appendix A)


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def goaway(last: int, error: int = 0, text: bytes = b"") -> bytes:
    """GOAWAY: streams up to *last* are still answered."""
    return frame(GOAWAY, last.to_bytes(4, "big") + error.to_bytes(4, "big") + text)


def says_no_more(*pieces: bytes) -> Hostile:
    """In the clear: wait for the request, send *pieces*, end the stream, and read on until the client leaves."""

    async def handler(visitor: Visitor) -> None:
        await visitor.flush()
        await visitor.request()
        for piece in pieces:
            await visitor.stream.send_all(piece)
        await visitor.stream.send_eof()  # type: ignore[attr-defined] # TLS has no such thing
        while await visitor.stream.receive_some():
            pass

    return handler


def sends(*pieces: bytes, flood: bytes = b"", then: str = "hold") -> Hostile:
    """Wait for the request, send *pieces* as they are, then *flood* again and again; `close` or `hold` at the end."""

    async def handler(visitor: Visitor) -> None:
        await visitor.flush()
        await visitor.request()
        for piece in pieces:
            await visitor.stream.send_all(piece)
        while flood:
            await visitor.stream.send_all(flood * max(1, 4096 // len(flood)))
        await visitor.hear()  # what is left unread would make a close a reset
        while then == "hold":
            await visitor.hear()

    return handler
