"""TLS inside TLS: with a target that is reached through a proxy which itself speaks TLS.

Rare enough for Trio's own TLS over our stream; whatever it raises is what `monitor.net.Stream` promises.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NoReturn, cast

import trio

from monitor.net.reasons import cut_off, from_stream

if TYPE_CHECKING:
    from monitor.net import Stream


class NestedStream:
    """TLS on *outer*; see `monitor.net.Stream`. Call `handshake` first."""

    def __init__(self, outer: Stream, context: ssl.SSLContext, host: str) -> None:
        """Begin without a handshake. Raises ValueError for a name that cannot be."""
        self.ip = outer.ip
        self.ragged = False
        self._outer = outer
        self._inner = trio.SSLStream(cast("trio.SocketStream", outer), context, server_hostname=host)

    @property
    def alpn(self) -> str | None:
        """See `monitor.net.Stream`."""
        return cast("str | None", self._inner.selected_alpn_protocol())

    @property
    def is_quiet(self) -> bool:
        """It cannot be seen from here."""
        return False

    async def handshake(self) -> ssl.SSLObject:
        """Shake hands. Raises OSError, as `ssl` does, or BrokenResourceError for the connection below."""
        try:
            await self._inner.do_handshake()
        except trio.BrokenResourceError as exc:
            if isinstance(exc.__cause__, ssl.SSLError):
                raise exc.__cause__ from exc
            raise
        return cast("ssl.SSLObject", self._inner)  # which passes on what is asked of it

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of *data*."""
        try:
            await self._inner.send_all(data)
        except trio.BrokenResourceError as exc:
            self._fail(exc)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until `send_all` might not block."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there; `b""` at the end of the stream."""
        try:
            return bytes(await self._inner.receive_some(max_bytes))
        except trio.BrokenResourceError as exc:
            if not isinstance(exc.__cause__, ssl.SSLError) or not cut_off(exc.__cause__):
                self._fail(exc)
            self.ragged = True
            return b""

    def _fail(self, exc: trio.BrokenResourceError) -> NoReturn:
        if isinstance(exc.__cause__, OSError):
            raise trio.BrokenResourceError from from_stream(exc.__cause__, None)
        raise exc

    async def aclose(self) -> None:
        """Close, at once and without ceremony."""
        await self._outer.aclose()

    def close(self) -> None:
        """Close; never blocks."""
        self._outer.close()
