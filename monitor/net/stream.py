"""A connected socket as a stream, with TLS or without."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from monitor.net.driven import by_trio, readable, writable
from monitor.net.reasons import cut_off, from_stream
from monitor.net.records import CHUNK, Records

if TYPE_CHECKING:
    from monitor.net.driven import Wait, Work
    from monitor.net.records import Connection

_EAGER_READS = 8  # reads that found data waiting before other tasks get their turn
_HEAVY = 0.001  # seconds of work on one full buffer from which on a flood queues with its like


class SocketStream:
    """A connected socket, with TLS or without; see `monitor.net.Stream`."""

    __slots__ = (
        "_answer_due",
        "_eager",
        "_mouthful_at",
        "_records",
        "_sends",
        "_socket",
        "_swallowed",
        "_waiting",
        "ip",
        "ragged",
    )

    def __init__(self, connection: Connection, ip: str) -> None:
        """Own *connection*, which must be non-blocking."""
        self.ip = ip
        self.ragged = False
        self._socket = connection
        self._records: Records | None = None  # with TLS
        self._sends = 0
        self._answer_due = False
        self._eager = 0  # reads that found data waiting
        self._swallowed = 0  # bytes they gave since others had a turn
        self._mouthful_at = float("inf")  # when a full buffer of such bytes was handed out
        self._waiting = 0  # tasks that wait for the socket

    @property
    def is_encrypted(self) -> bool:
        """Does it speak TLS?"""
        return self._records is not None

    @property
    def alpn(self) -> str | None:
        """See `monitor.net.Stream`."""
        return None if self._records is None else self._records.session.selected_alpn_protocol()

    @property
    def is_quiet(self) -> bool:
        """See `monitor.net.Stream`."""
        try:
            if self._records is not None:
                self._records.opened(1)
            else:
                self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of *data*."""
        self._sends += 1
        if self._sends == 2:
            # The first goes out at once by itself; from the second on Nagle would hold back what is small.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._send(data if self._records is None else self._records.sealed(data))
        except OSError as exc:
            self._fail(exc)
        self._answer_due = True

    async def _send(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* as it is. Raises OSError."""
        sent, size = 0, len(data)
        while sent < size:
            try:
                sent += self._socket.send(memoryview(data)[sent:] if sent else data)
            except BlockingIOError:
                await writable(self._socket, self._waited)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until `send_all` might not block."""
        await writable(self._socket, self._waited)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there; `b""` at the end of the stream."""
        records = self._records
        if records is not None and records.owes:
            await self._pay(records)
        receive = functools.partial(self._socket.recv if records is None else records.opened, max_bytes or CHUNK)
        # After a request nothing can have come yet: a look would only cost a system call and an exception.
        look_first = not self._answer_due or (records is not None and records.holds_some)
        self._answer_due = False
        while True:
            try:
                data = receive() if look_first else await readable(self._socket, receive, self._waited)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._eager = self._swallowed = 0
                look_first = False
            except ssl.SSLZeroReturnError:
                return b""
            except OSError as exc:
                if not cut_off(exc):
                    self._fail(exc)
                self.ragged = True
                return b""
            else:
                self._eager += 1
                self._swallowed += len(data)
                if self._eager >= _EAGER_READS or self._swallowed >= (max_bytes or CHUNK):
                    await by_trio(self._give_way, max_bytes or CHUNK)
                return data

    async def _pay(self, records: Records) -> None:
        """Send the end of the handshake, where it is the server that speaks first."""
        try:
            await self._send(records.owed())
        except OSError as exc:
            self._fail(exc)

    async def _give_way(self, mouthful: int) -> None:
        """Let deadlines and others have their turn, however fast the peer sends."""
        self._eager = 0
        if self._swallowed < mouthful:
            await trio.lowlevel.checkpoint()
            return
        self._swallowed = 0
        if trio.current_time() - self._mouthful_at > _HEAVY:
            await _take_turn()
        else:
            await trio.lowlevel.checkpoint()
        self._mouthful_at = trio.current_time()

    async def _waited(self, wait: Wait, connection: Connection, work: Work) -> Any:
        """Wait, so that who closes it meanwhile tells us; then work."""
        self._waiting += 1
        try:
            await wait(connection)
        finally:
            self._waiting -= 1
        return work()

    def _fail(self, exc: OSError) -> NoReturn:
        """Raise what Trio's streams raise, with the reason as its cause."""
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError from exc
        raise trio.BrokenResourceError from from_stream(exc, None)

    async def handshake(self, context: ssl.SSLContext, host: str) -> ssl.SSLObject:
        """Speak TLS from now on. Raises OSError or ValueError, as `ssl` does."""
        records = Records(self._socket, context, host)
        try:
            is_done = records.shake()
            while not is_done:
                await self._send(records.owed())
                is_done = await readable(self._socket, records.shake_on, self._waited)
        except OSError:
            with contextlib.suppress(OSError):
                self._socket.send(records.owed())  # why, for the server's log
            raise
        self._records = records  # what it still owes goes with what is sent first
        return records.session

    def close(self) -> None:
        """Close; never blocks."""
        if self._socket.fileno() >= 0:
            if self._waiting:  # else there is nobody to tell, and telling costs a system call
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def aclose(self) -> None:
        """Close, and let others have their turn."""
        self.close()
        await by_trio(trio.lowlevel.checkpoint)


_turns: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("turns of floods")


async def _take_turn() -> None:
    """Wait until it is this flood's turn: however many there are, the loop comes round in the time that one takes.

    For what takes long to look at: tiny chunks, empty frames. The work comes after this, when what was read is
    handed out, so the lock is given on one round of the loop after it was taken.
    """
    try:
        turns = _turns.get()
    except LookupError:
        turns = trio.Lock()
        _turns.set(turns)
    async with turns:
        await trio.lowlevel.checkpoint()
