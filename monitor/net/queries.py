"""Names to addresses by a name server of the config's choice: dnspython writes and reads, our sockets carry.

The server is expected to be recursive: what it does not say in one answer is not looked for elsewhere. A look-up
ends a little before the probe's deadline, so that a mute name server is told as one.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code
from monitor.core.quantities import seconds_text
from monitor.net import ANY_ADDRESS, TLS
from monitor.net.reasons import from_name_server, from_tls, own_trouble, probe_error, reason_of
from monitor.net.resolve import Address, Resolver, numeric, of_version
from monitor.net.sockets import connect_any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.net import Addressing, Trace
    from monitor.net.nameservers import NameServer
    from monitor.net.stream import SocketStream
    from monitor.net.tls import Contexts

_LONGEST = 10.0  # seconds for a look-up,
_SHARE = 0.9  # and how much of what is left of a deadline it may take
_PAUSES = (1.0, 2.0, 4.0, float("inf"))  # seconds until a question goes out again by UDP
_OTHER_FAMILY = 0.05  # seconds to wait for addresses of one family when there are some of the other (RFC 8305)
_LARGEST = 4096  # bytes of an answer: a spiteful one of twice as many takes 0.1 s to read
_PAYLOAD = 1232  # bytes by UDP, which no network has to break up
_HEADER = 12
_MOST_KEPT = 4096
_TYPES = {4: (dns.rdatatype.A,), 6: (dns.rdatatype.AAAA,), None: (dns.rdatatype.A, dns.rdatatype.AAAA)}
_RCODES = {
    dns.rcode.NXDOMAIN: "no such host (NXDOMAIN)",
    dns.rcode.SERVFAIL: "the name server failed (SERVFAIL)",
    dns.rcode.REFUSED: "the name server refused to answer (REFUSED)",
    dns.rcode.FORMERR: "the name server did not understand the question (FORMERR)",
    dns.rcode.NOTIMP: "the name server does not know such questions (NOTIMP)",
}


@attrs.frozen
class _Found:
    addresses: Sequence[Address]
    ttl: float  # seconds; what the name server says


class NameServers:
    """Asks whom it is told to; keeps answers for as long as both the asker and the server allow."""

    def __init__(self, system: Resolver, contexts: Contexts) -> None:
        """Find a name server that is given by name through *system*."""
        self._system = system
        self._contexts = contexts
        self._kept: dict[tuple[NameServer, str, int | None], tuple[float, Sequence[Address]]] = {}

    async def addresses(self, host: str, addressing: Addressing, trace: Trace) -> Sequence[Address]:
        """Every address of *host* that *addressing* allows, best first, by its `dns_resolver`. Raises ProbeError."""
        server = addressing.dns_resolver
        assert server is not None  # noqa: S101 - without one the system is asked
        host, version = addressing.address or host, addressing.ip_version
        if literal := numeric(host):
            return (literal,) if version is None else of_version(version, (literal,), host)
        key = (server, host, version)
        if (kept := self._kept.get(key)) is not None and trio.current_time() < kept[0]:
            return kept[1]
        asked = trio.current_time()
        left = max(0.0, min(_LONGEST, (trio.current_effective_deadline() - asked) * _SHARE))
        look_up = _LookUp(host, server, self._contexts)
        with trio.move_on_after(left) as patience:
            where = await self._system.addresses(server.host, ANY_ADDRESS, trace)
            found = await look_up.ask(where, _TYPES[version])
        if patience.cancelled_caught:
            if trace.own_trouble is not None:
                raise probe_error(Code.INTERNAL, trace.own_trouble, "resolve")
            raise look_up.failure(f"the name server did not answer within {seconds_text(left)}")
        if addressing.dns_ttl:
            self._keep(key, asked + min(addressing.dns_ttl, found.ttl), found.addresses)
        return found.addresses

    def _keep(self, key: tuple[NameServer, str, int | None], until: float, found: Sequence[Address]) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (until, found)


class _LookUp:
    """One name, one name server, a question for each family."""

    def __init__(self, host: str, server: NameServer, contexts: Contexts) -> None:
        self._host = host
        self._server = server
        self._contexts = contexts
        self._failures: list[ProbeError] = []

    def failure(self, otherwise: str) -> ProbeError:
        """Why there is no address: what a name server said already, or *otherwise*."""
        return next(iter(self._failures), None) or self._error(otherwise)

    def _error(self, text: str, code: Code = Code.DNS) -> ProbeError:
        return probe_error(code, f"{text}: {self._host}, asked {self._server}", "resolve")

    async def ask(self, where: Sequence[Address], types: Sequence[dns.rdatatype.RdataType]) -> _Found:
        """Ask for each of *types*; the name server is at *where*."""
        found: list[_Found] = []

        async def one(kind: dns.rdatatype.RdataType) -> None:
            try:
                answer = await self._ask(where, kind)
            except ProbeError as exc:
                self._failures.append(exc)
                return
            if answer is None:
                questions.cancel_scope.cancel()
            elif answer.addresses:
                found.append(answer)
                questions.cancel_scope.deadline = trio.current_time() + _OTHER_FAMILY

        async with trio.open_nursery() as questions:
            for kind in types:
                questions.start_soon(one, kind)
        if not found:
            family = "" if len(types) > 1 else " IPv4" if types[0] is dns.rdatatype.A else " IPv6"
            raise self.failure(f"the name has no{family} address")
        addresses = [address for each in found for address in each.addresses]
        return _Found(_preferred(addresses), min(each.ttl for each in found))

    async def _ask(self, where: Sequence[Address], kind: dns.rdatatype.RdataType) -> _Found | None:
        """What the name server says of *kind*; None where it says that there is no such name, which is for all."""
        try:
            name = dns.name.from_text(self._host, dns.name.root)
            query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
            wire = query.to_wire()
        except (dns.exception.DNSException, UnicodeError) as exc:
            raise self._error("not a valid host name") from exc
        response = None
        if self._server.transport == "udp":
            response = await self._by_udp(where[0], query, wire)
        if response is None:
            response = await self._by_stream(where, query, wire)
        return self._judged(response)

    def _judged(self, response: dns.message.QueryMessage) -> _Found | None:
        code = response.rcode()
        if code != dns.rcode.NOERROR:
            text = _RCODES.get(code) or f"the name server answered {dns.rcode.to_text(code)}"
            if code != dns.rcode.NXDOMAIN:
                raise self._error(text)
            self._failures.insert(0, self._error(text))
            return None
        try:
            chain = response.resolve_chaining()
        except dns.exception.DNSException as exc:
            raise self._error("the aliases (CNAME) of the name lead in circles, or too far") from exc
        addresses = [numeric(each.address) for each in chain.answer or ()]
        return _Found([each for each in addresses if each is not None], float(chain.minimum_ttl))

    async def _by_udp(
        self, where: Address, query: dns.message.QueryMessage, wire: bytes
    ) -> dns.message.QueryMessage | None:
        """Ask by UDP, again and again; None for an answer that is too large for it."""
        try:
            connection = socket.socket(where.family, socket.SOCK_DGRAM)
        except OSError as exc:
            raise own_trouble(exc) or from_name_server(exc, str(self._server), at_once=True) from exc
        with connection:
            connection.setblocking(False)
            try:
                connection.connect(where.sockaddr(self._server.port))  # from now on nobody else is heard
                connection.send(wire)
            except OSError as exc:
                raise from_name_server(exc, str(self._server), at_once=True) from exc
            try:
                return await self._heard(connection, query, wire)
            except OSError as exc:
                raise from_name_server(exc, str(self._server), at_once=False) from exc

    async def _heard(
        self, connection: socket.socket, query: dns.message.QueryMessage, wire: bytes
    ) -> dns.message.QueryMessage | None:
        for pause in _PAUSES:
            with trio.move_on_after(pause):
                while True:
                    await trio.lowlevel.wait_readable(connection)
                    try:
                        data = connection.recv(_LARGEST)
                    except BlockingIOError:
                        continue
                    if not _answers(data, query):
                        continue  # somebody tries to guess, or it is late
                    if data[2] << 8 & dns.flags.TC:
                        return None
                    response = self._read(data)
                    if query.is_response(response):
                        return response
            connection.send(wire)
        raise AssertionError("the last pause does not end")

    async def _by_stream(
        self, where: Sequence[Address], query: dns.message.QueryMessage, wire: bytes
    ) -> dns.message.QueryMessage:
        try:
            stream = await connect_any(where, self._server.port)
        except ProbeError as exc:
            raise self._not_reached(exc) from exc
        try:
            if self._server.transport == "tls":
                await self._secure(stream)
            await stream.send_all(len(wire).to_bytes(2, "big") + wire)
            size = int.from_bytes(await self._exactly(stream, 2), "big")
            if size > _LARGEST:
                text = f"the name server's answer is larger than {_LARGEST >> 10} KiB"
                raise self._error(text, Code.LIMIT)
            data = await self._exactly(stream, size)
        except trio.BrokenResourceError as exc:
            raise self._not_reached(exc) from exc
        finally:
            stream.close()
        response = self._read(data) if _answers(data, query) else None
        if response is None or not query.is_response(response):
            raise self._error("the name server answered another question")
        if response.flags & dns.flags.TC:
            raise self._error("the name server cut its answer off, by TCP as well")
        return response

    async def _secure(self, stream: SocketStream) -> None:
        context = await self._contexts.get(TLS(alpn=()))
        name = self._server.server_name or self._server.host
        try:
            await stream.handshake(context, name)
        except (OSError, ValueError) as exc:
            raise self._not_reached(from_tls(exc, name)) from exc

    async def _exactly(self, stream: SocketStream, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            if not more:
                raise self._error("the name server closed the connection in the middle of its answer")
            data += more
        return data

    def _read(self, data: bytes) -> dns.message.QueryMessage:
        try:
            response = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError) as exc:
            raise self._error("the name server's answer cannot be read") from exc
        assert isinstance(response, dns.message.QueryMessage)  # noqa: S101 - `_answers` lets no other kind through
        return response

    def _not_reached(self, exc: BaseException) -> ProbeError:
        """Say of the name server what *exc* says of any server."""
        reason = reason_of(exc)
        assert reason is not None  # noqa: S101 - the net raises nothing without
        if reason.code is Code.INTERNAL:
            return probe_error(reason.code, reason.message, "resolve")
        return self._error(f"the name server cannot be asked: {reason.message}")


def _answers(data: bytes, query: dns.message.QueryMessage) -> bool:
    """Does *data* look like an answer to *query*: its id, a response, an ordinary question?"""
    return len(data) >= _HEADER and data[:2] == query.id.to_bytes(2, "big") and data[2] & 0xF8 == 0x80


def _preferred(addresses: Sequence[Address]) -> Sequence[Address]:
    """IPv6 first, but a family last to which this machine has no way (RFC 6724, rules 1 and 6)."""
    ways = {each.family: each for each in addresses}
    if len(ways) == 1:
        return addresses
    reached = {family: _has_way_to(address) for family, address in ways.items()}
    return sorted(addresses, key=lambda each: (not reached[each.family], each.family != socket.AF_INET6))


def _has_way_to(address: Address) -> bool:
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as connection:
            connection.connect(address.sockaddr(53))  # sends nothing
    except OSError:
        return False
    return True
