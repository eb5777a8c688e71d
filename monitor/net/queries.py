"""Names to addresses by a name server of the config's choice.

The server is expected to be recursive: what it does not say in one answer is not looked for elsewhere. A look-up
ends a little before the probe's deadline, so that a mute name server is told as one.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import attrs
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code
from monitor.core.quantities import seconds_text
from monitor.net import ANY_ADDRESS, TLS
from monitor.net.questions import PAYLOAD, Question
from monitor.net.reasons import probe_error
from monitor.net.resolve import Address, Resolver, numeric, of_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.net import Addressing, Trace
    from monitor.net.nameservers import NameServer
    from monitor.net.tls import Contexts

_LONGEST = 10.0  # seconds for a look-up,
_SHARE = 0.9  # and how much of what is left of a deadline it may take
_OTHER_FAMILY = 0.05  # seconds to wait for addresses of one family when there are some of the other (RFC 8305)
_LARGEST = 4096  # bytes of an answer: a spiteful one of twice as many takes 0.1 s to read
_TLS = TLS(alpn=())
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
        """Whatever a name server does wrong is reason `dns`, except what is our own or too large."""
        if code is Code.INTERNAL:
            return probe_error(code, text, "resolve")
        code = code if code is Code.LIMIT else Code.DNS
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
            query = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD)
        except (dns.exception.DNSException, UnicodeError) as exc:
            raise self._error("not a valid host name") from exc
        question = Question(
            query=query, server=self._server, tls=_TLS, contexts=self._contexts, tell=self._error, most=_LARGEST
        )
        return self._judged(await question.ask(where))

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
