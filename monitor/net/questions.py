"""One question to one name server: dnspython writes and reads, our sockets carry.

Answers are taken from whom was asked, to what was asked, and from nobody else; they are bounded. What goes wrong
is told by whoever asks, through `Teller`: of a look-up it is another reason than of a check.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import attrs
import dns.exception
import dns.flags
import dns.message
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code
from monitor.net.connecting import connect_any
from monitor.net.reasons import from_datagrams, from_tls, reason_of
from monitor.net.tls import note_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.net import TLS, Trace
    from monitor.net.nameservers import NameServer
    from monitor.net.resolve import Address
    from monitor.net.stream import SocketStream
    from monitor.net.tls import Contexts

    Teller = Callable[[str, Code], ProbeError]
    """Makes an error of a text and of the code it would have by itself: connect, tls, protocol, limit, internal."""

PAYLOAD = 1232  # bytes by UDP, which no network has to break up
_PAUSES = (1.0, 2.0, 4.0, float("inf"))  # seconds until a question goes out again by UDP
_HEADER = 12


@attrs.frozen(kw_only=True)
class Question:
    """A query, and whom it is for; *most* is how many bytes of an answer are read.

    *trace* is told of the server's certificate, where that is of interest.
    """

    query: dns.message.QueryMessage
    server: NameServer
    tls: TLS
    contexts: Contexts
    tell: Teller
    most: int
    trace: Trace | None = None

    async def ask(self, where: Sequence[Address]) -> dns.message.QueryMessage:
        """The answer of the name server, which is at *where*. Raises what `tell` makes; waits as long as it takes."""
        wire = self.query.to_wire()
        response = await self._by_udp(where[0], wire) if self.server.transport == "udp" else None
        return response or await self._by_stream(where, wire)

    async def _by_udp(self, where: Address, wire: bytes) -> dns.message.QueryMessage | None:
        """Ask by UDP, again and again; None for an answer that is too large for it."""
        try:
            connection = socket.socket(where.family, socket.SOCK_DGRAM)
        except OSError as exc:
            raise self._unreachable(exc, at_once=True) from exc
        with connection:
            connection.setblocking(False)
            try:
                connection.connect(where.sockaddr(self.server.port))  # from now on nobody else is heard
                connection.send(wire)
            except OSError as exc:
                raise self._unreachable(exc, at_once=True) from exc
            try:
                return await self._heard(connection, wire)
            except OSError as exc:
                raise self._unreachable(exc, at_once=False) from exc

    async def _heard(self, connection: socket.socket, wire: bytes) -> dns.message.QueryMessage | None:
        for pause in _PAUSES:
            with trio.move_on_after(pause):
                while True:
                    await trio.lowlevel.wait_readable(connection)
                    try:
                        data = connection.recv(self.most)
                    except BlockingIOError:
                        continue
                    if not self._answered_by(data):
                        continue  # somebody tries to guess, or it is late
                    if data[2] << 8 & dns.flags.TC:
                        return None
                    response = self._read(data)
                    if self.query.is_response(response):
                        return response
            connection.send(wire)
        raise AssertionError("the last pause does not end")

    async def _by_stream(self, where: Sequence[Address], wire: bytes) -> dns.message.QueryMessage:
        try:
            stream = await connect_any(where, self.server.port)
        except ProbeError as exc:
            raise self._not_reached(exc) from exc
        try:
            if self.server.transport == "tls":
                await self._secure(stream)
            await stream.send_all(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await self._exactly(stream, 2), "big")
            if size > self.most:
                raise self.tell(f"the name server's answer is larger than {self.most >> 10} KiB", Code.LIMIT)
            data = await self._exactly(stream, size)
        except trio.BrokenResourceError as exc:
            raise self._not_reached(exc) from exc
        finally:
            stream.close()
        response = self._read(data) if self._answered_by(data) else None
        if response is None or not self.query.is_response(response):
            raise self.tell("the name server answered another question", Code.PROTOCOL)
        if response.flags & dns.flags.TC:
            raise self.tell("the name server cut its answer off, by TCP as well", Code.PROTOCOL)
        return response

    async def _secure(self, stream: SocketStream) -> None:
        context = await self.contexts.get(self.tls)
        name = self.tls.server_name or self.server.server_name or self.server.host
        try:
            connection = await stream.handshake(context, name)
        except (OSError, ValueError) as exc:
            raise self._not_reached(from_tls(exc, name)) from exc
        if self.trace is not None:
            note_certificate(connection, self.trace)

    async def _exactly(self, stream: SocketStream, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            if not more:
                text = "the name server closed the connection in the middle of its answer"
                raise self.tell(text, Code.PROTOCOL)
            data += more
        return data

    def _answered_by(self, data: bytes) -> bool:
        """Does *data* look like an answer to the query: its id, a response, an ordinary question?"""
        return len(data) >= _HEADER and data[:2] == self.query.id.to_bytes(2, "big") and data[2] & 0xF8 == 0x80

    def _read(self, data: bytes) -> dns.message.QueryMessage:
        try:
            response = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError) as exc:
            raise self.tell("the name server's answer cannot be read", Code.PROTOCOL) from exc
        assert isinstance(response, dns.message.QueryMessage)  # noqa: S101 - `_answered_by` lets no other kind through
        return response

    def _unreachable(self, exc: OSError, *, at_once: bool) -> ProbeError:
        return self._not_reached(from_datagrams(exc, str(self.server), at_once=at_once))

    def _not_reached(self, exc: BaseException) -> ProbeError:
        """Say of the name server what *exc* says of any server."""
        reason = reason_of(exc)
        assert reason is not None  # noqa: S101 - the net raises nothing without
        if reason.code is Code.INTERNAL:
            return self.tell(reason.message, reason.code)
        return self.tell(f"the name server cannot be asked: {reason.message}", reason.code)
