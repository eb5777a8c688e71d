"""One request, one answer: on a connection of its own, phases measured, the body read as far as it is wanted.

Phases: those of `connect`, then `processing` until the first byte of the answer and `transfer` to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from monitor.net.driven import by_trio
from monitor.net.http import AnswerReader, decoder_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from monitor.net import Stream, Trace
    from monitor.net.http import Decoder, Head, Headers

_SMALL = 1024  # bytes of a request that a server reads whole before it answers


class Side(Protocol):
    """What an answer is read from: a stream, or what of it a reader must see to itself."""

    @property
    def ragged(self) -> bool:
        """See `monitor.net.Stream`."""

    async def receive_some(self) -> bytes:
        """See `monitor.net.Stream`."""

    def close(self) -> None:
        """See `monitor.net.Stream`."""


class Reader(Protocol):
    """Understands one answer: see `AnswerReader`."""

    complete: bool
    trailers: Headers

    def feed(self, data: bytes) -> None:
        """Take *data*."""

    def end(self, *, ragged: bool) -> None:
        """The server closed the connection."""

    def take(self) -> list[bytes]:
        """The pieces of the body that have come since the last call."""

    @property
    def can_go_on(self) -> bool:
        """Is the answer over, and the connection good for another one?"""

    def let_go(self) -> None:
        """Feed no more."""


@attrs.frozen(kw_only=True)
class Prepared:
    """A request, ready to go: rendered once for a check that sends the same at every probe."""

    raw: bytes
    host: str
    port: int
    encrypted: bool
    without_body: bool  # is the answer's head all of it? (HEAD)
    by_proxy: bool  # is it a proxy that is asked, for a whole URL?


class WholeAnswer:
    """See `monitor.net.Answer`."""

    __slots__ = ("_head", "_let_go", "_limit", "_reader", "_stream", "headers", "status", "version")

    def __init__(self, head: Head, reader: Reader, stream: Side, limit: int) -> None:
        """Take over *stream*; the body, decoded, may have *limit* bytes."""
        self.status: int = head.status
        self.version: str = head.version  # `1.1`
        self.headers: Headers = head.headers  # names as the server wrote them, in its order
        self._head = head
        self._reader = reader
        self._stream = stream
        self._limit = limit
        self._let_go: Callable[[], None] | None = None

    @property
    def trailers(self) -> Headers:
        """What came after the body, once it is read; of HTTP/2 alone."""
        return self._reader.trailers

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the body, decoded, as it comes. Raises ProbeError, or BrokenResourceError caused by one."""
        reader, decoder = self._reader, None
        while True:
            for data in reader.take():
                decoder = decoder or decoder_for(self._head, self._limit)
                if decoder is None:
                    yield data
                    continue
                for piece in decoder.decode(data):
                    yield piece
                    await by_trio(trio.lowlevel.checkpoint)  # a bomb gives others their turn
            if reader.complete:
                break
            await take_more(self._stream, reader)
        _end(decoder)

    async def read(self) -> bytes:
        """Read the whole body."""
        reader = self._reader
        if self._head.all(b"content-encoding"):
            return b"".join([piece async for piece in self.pieces()])
        whole = reader.take()  # as it is, which nearly every body is: a generator would cost more than all of this
        while not reader.complete:
            await take_more(self._stream, reader)
            whole += reader.take()
        return b"".join(whole)

    def keep(self, let_go: Callable[[], None]) -> None:
        """Leave the connection open in the end, if it is good for another answer; else call *let_go*."""
        self._let_go = let_go

    def close(self) -> None:
        """Close the connection; what was not read is lost."""
        if self._let_go is None:
            self._stream.close()
        elif not self._reader.can_go_on:
            self._let_go()
        self._reader.let_go()


async def exchange(prepared: Prepared, stream: Stream, trace: Trace, *, body_limit: int) -> WholeAnswer:
    """Send the request on *stream* and read the answer's head. Raises as `WholeAnswer.pieces` does."""
    trace.phase("processing")
    reader = AnswerReader(body_limit=body_limit, without_body=prepared.without_body)
    try:
        await stream.send_all(prepared.raw)
    except trio.BrokenResourceError:
        if len(prepared.raw) < _SMALL:
            raise
        # A server may answer and close before it has read all of it; then its answer counts.
    try:
        data = await stream.receive_some()
        if data:
            trace.phase("transfer")
        _take(stream, reader, data)
        while reader.head is None:
            await take_more(stream, reader)
    except BaseException:
        reader.let_go()
        raise
    return WholeAnswer(reader.head, reader, stream, body_limit)


async def take_more(stream: Side, reader: Reader) -> None:
    """Have *reader* take what comes next. Raises as it does."""
    _take(stream, reader, await stream.receive_some())


def _take(stream: Side, reader: Reader, data: bytes) -> None:
    if data:
        reader.feed(data)
    else:
        reader.end(ragged=stream.ragged)


def _end(decoder: Decoder | None) -> None:
    if decoder is not None:
        decoder.end()
