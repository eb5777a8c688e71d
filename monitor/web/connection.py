"""One connection as anycorn wants it, with limits on how long it waits for its client and how much it takes at once."""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import trio

from monitor.web.answers import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

READ_AT_ONCE = 16 * 1024  # bytes; a request's line and headers are refused (431) when they are as much again
LINGERING = 1.0  # seconds to answer a client that has stopped sending


class Connection(anyio.abc.ByteStream):
    """A connection as anycorn wants it, with limits on how long it may wait."""

    def __init__(self, stream: trio.SocketStream, send_timeout: float) -> None:
        """Take *stream*; one write may take *send_timeout* seconds."""
        self.scope = trio.CancelScope(shield=True)  # `_Connections.end` says when it is over
        self.waiting_since = trio.current_time()  # for its client; infinite: it is being served
        self._stream = stream
        self._send_timeout = send_timeout

    def timed(self, app: ASGIApp) -> ASGIApp:
        """*app*, and with it how long this connection waits for its client: for a request, or the rest of one."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            begun = trio.current_time()

            async def rest() -> Message:
                self.waiting_since = begun
                try:
                    return await receive()
                finally:
                    self.waiting_since = math.inf

            self.waiting_since = math.inf
            try:
                # Of a live feed nothing is expected.
                await app(scope, receive if scope["type"] == "websocket" else rest, send)
            finally:
                self.waiting_since = trio.current_time()

        return serve

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The socket, of which anycorn asks the addresses."""
        return {anyio.abc.SocketAttribute.raw_socket: lambda: self._stream.socket}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Some bytes; EndOfStream: there are no more."""
        data = b""
        try:
            with _as_anyio():
                data = bytes(await self._stream.receive_some(min(max_bytes, READ_AT_ONCE)))
        finally:
            if not data:
                # It may still read an answer, but anycorn's timers would keep the descriptor for many seconds.
                self.scope.deadline = trio.current_time() + LINGERING
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Send *item*, or break the connection: where that takes too long, and before HTTP/2 is spoken."""
        if _HTTP_2.match(item):
            self.scope.cancel()
            raise anyio.BrokenResourceError
        if refused := _REFUSED.match(item):
            item = refusal(int(refused[1]))
        before, self.waiting_since = self.waiting_since, min(self.waiting_since, trio.current_time())
        try:
            with _as_anyio(), trio.fail_after(self._send_timeout):
                await self._stream.send_all(item)
        except anyio.BrokenResourceError:
            self.scope.cancel()  # anycorn would go on reading
            raise
        finally:
            self.waiting_since = before

    async def send_eof(self) -> None:
        """Say that nothing more is sent."""
        with _as_anyio():
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    def abort(self) -> None:
        """Break it: a send under anycorn's shield notices, too."""
        with contextlib.suppress(OSError):
            self._stream.socket.shutdown(trio.socket.SHUT_RDWR)


# What anycorn itself answers to what is no request: without a body, and it closes.
_REFUSED = re.compile(rb"\AHTTP/1\.1 (4\d\d) [^\r\n]*\r\ncontent-length: 0\r\nconnection: close\r\n")
# Its first bytes as a server of HTTP/2, after an upgrade and without one: a frame of settings.
_HTTP_2 = re.compile(rb"\AHTTP/1\.1 101 .*\r\nupgrade: h2c\r\n|\A...\x04\x00{5}", re.DOTALL)


@contextlib.contextmanager
def _as_anyio() -> Iterator[None]:
    """Raise anyio's errors for trio's."""
    try:
        yield
    except (trio.BrokenResourceError, trio.TooSlowError) as exc:
        raise anyio.BrokenResourceError from exc
    except trio.ClosedResourceError as exc:
        raise anyio.ClosedResourceError from exc
    except trio.BusyResourceError as exc:
        raise anyio.BusyResourceError("using") from exc
