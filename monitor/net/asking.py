"""A question that a check asks a name server: one of its choice, or those of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
import dns.reversename
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code
from monitor.net.nameservers import NameServer
from monitor.net.questions import PAYLOAD, Question
from monitor.net.reasons import probe_error
from monitor.net.resolve import numeric

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from monitor.net import TLS, Trace
    from monitor.net.resolve import Address
    from monitor.net.tls import Contexts

_LARGEST = 8192  # bytes of an answer: a spiteful one takes 0.1 s to read
_PHASE = "request"


def system_name_servers() -> list[NameServer]:
    """Those of /etc/resolv.conf or its like. Raises ProbeError (`internal`) where there are none."""
    try:
        system = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError) as exc:
        raise probe_error(Code.INTERNAL, "the monitor's own machine has no name server", None) from exc
    return [NameServer("udp", str(each), system.port) for each in system.nameservers]


def query_for(name: str, kind: str, *, recursion: bool) -> dns.message.QueryMessage:
    """The question for *kind* of *name*; of an address, the PTR is that of its name. Raises ProbeError."""
    try:
        if kind == "PTR" and numeric(name):
            owner = dns.reversename.from_address(name)
        else:
            owner = dns.name.from_text(name, dns.name.root, dns.name.IDNA_2008_UTS_46)
        query = dns.message.make_query(owner, kind, use_edns=0, payload=PAYLOAD)
    except (dns.exception.DNSException, UnicodeError) as exc:
        raise probe_error(Code.DNS, f"not a name, or not a type, that can be asked for: {name} {kind}", None) from exc
    query.flags |= dns.flags.AD  # tell whether it is authentic (RFC 6840, 5.7)
    if not recursion:
        query.flags &= ~dns.flags.RD
    return query


async def ask(
    query: dns.message.QueryMessage,
    servers: Sequence[NameServer],
    *,
    addresses: Callable[[str], Awaitable[Sequence[Address]]],
    contexts: Contexts,
    tls: TLS,
    trace: Trace,
) -> dns.message.QueryMessage:
    """The first answer of one of *servers*, whose *addresses* are looked up. Raises ProbeError.

    One that is mute or cannot be asked is given up for the next, and the last has the rest of the deadline.
    """
    failures: list[ProbeError] = []
    for number, server in enumerate(servers, 1):
        where = await addresses(server.host)
        trace.phase(_PHASE)
        trace.facts["ip"] = where[0].ip
        question = Question(
            query=query,
            server=server,
            tls=tls,
            contexts=contexts,
            tell=_teller(query, server),
            most=_LARGEST,
            trace=trace,
        )
        with trio.move_on_after(_patience(len(servers) - number)):
            try:
                return await question.ask(where)
            except ProbeError as exc:
                failures.append(exc)
    raise failures[0]


def _patience(others: int) -> float:
    """Seconds for a server after which *others* may be asked; all there is for the last."""
    if not others:
        return float("inf")
    return max(0.0, trio.current_effective_deadline() - trio.current_time()) / (others + 1)


def _teller(query: dns.message.QueryMessage, server: NameServer) -> Callable[[str, Code], ProbeError]:
    asked = f"{query.question[0].name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(query.question[0].rdtype)}"

    def tell(text: str, code: Code) -> ProbeError:
        ending = "" if code is Code.INTERNAL else f": {asked}, asked {server}"
        return probe_error(code, f"{text}{ending}", _PHASE)

    return tell
