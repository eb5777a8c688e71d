"""A name server of the tests' own, on loopback: its mood is the first label of the name it is asked for.

`good.test` is 127.0.0.1; the rest is the tables below. UDP and TCP are on one port; TLS, where wanted, on another.
"""

from __future__ import annotations

import collections
import itertools
import random
import ssl
from typing import TYPE_CHECKING

import attrs
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dns.message import Message

    Mood = Callable[["NameServer", Message], AsyncIterator[bytes]]
    """Gives datagrams to send, whenever it likes."""

HOME, METADATA = "127.0.0.1", "169.254.169.254"


def answer(query: Message, *records: tuple[str, str, str], rcode: int = dns.rcode.NOERROR, ttl: int = 60) -> Message:
    """An answer with *records*: owner, type, value."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.Rcode(rcode))
    for owner, kind, value in records:
        response.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, value))
    return response


def asked(query: Message) -> tuple[str, str]:
    """The name and the type in question."""
    return query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)


def home(query: Message, *, ip: str = HOME, ttl: int = 60) -> Message:
    """The right answer: *ip*, and nothing of IPv6."""
    name, kind = asked(query)
    return answer(query, *([(name, "A", ip)] if kind == "A" else []), ttl=ttl)


def aliases(number: int, *, circular: bool = False) -> Callable[[Message], Message]:
    """So many aliases before the address; or back to the first."""

    def chained(query: Message) -> Message:
        name, kind = asked(query)
        owners = [name, *(f"alias-{each}.test." for each in range(number))]
        links = [(owner, "CNAME", target) for owner, target in itertools.pairwise(owners)]
        last = (owners[-1], "CNAME", name) if circular else (owners[-1], "A", HOME)
        return answer(query, *links, *([last] if circular or kind == "A" else []))

    return chained


def failing(rcode: int) -> Callable[[Message], Message]:
    """An answer that is none."""
    return lambda query: answer(query, rcode=rcode)


def only_a(otherwise: int) -> Callable[[Message], Message]:
    """Good for IPv4; *otherwise* for the rest."""
    return lambda query: home(query) if asked(query)[1] == "A" else answer(query, rcode=otherwise)


def many(query: Message) -> Message:
    """Two hundred addresses, one of which lives."""
    name, kind = asked(query)
    dead = [(name, "A", f"127.9.{number // 100}.{number % 100 + 1}") for number in range(200)]
    return answer(query, (name, "A", HOME), *dead) if kind == "A" else answer(query)


RECORDS = {
    "A": ["192.0.2.7", "192.0.2.8"],
    "AAAA": ["2001:db8::7"],
    "CAA": ['0 issue "ca.example"'],
    "MX": ["10 mail.example.", "20 backup.example."],
    "NS": ["ns1.example.", "ns2.example."],
    "SOA": ["ns1.example. admin.example. 2026010101 7200 3600 1209600 300"],
    "SRV": ["10 5 5060 sip.example."],
    "TXT": ['"v=spf1 " "-all"', '"plain"'],
}


def zone(query: Message) -> Message:
    """A name that has records of every type, in a zone of the server's own."""
    name, kind = asked(query)
    response = answer(query, *((name, kind, value) for value in RECORDS.get(kind, ())), ttl=300)
    response.flags |= dns.flags.AA
    response.authority.append(dns.rrset.from_text("example.", 60, "IN", "SOA", RECORDS["SOA"][0]))
    return response


PLAIN: dict[str, Callable[[Message], Message]] = {
    "good": home,
    "aliased": aliases(5),
    "circular": aliases(3, circular=True),
    "far": aliases(30),
    "nxdomain": failing(dns.rcode.NXDOMAIN),
    "servfail": failing(dns.rcode.SERVFAIL),
    "refused": failing(dns.rcode.REFUSED),
    "formerr": failing(dns.rcode.FORMERR),
    "notauth": failing(dns.rcode.NOTAUTH),
    "nodata": answer,
    "servfail-v6": only_a(dns.rcode.SERVFAIL),
    "metadata": lambda query: home(query, ip=METADATA),
    "short-lived": lambda query: home(query, ttl=0),
    "many": many,
    "zone": zone,
    "_sip": zone,
    "7": lambda query: answer(query, (asked(query)[0], "PTR", "seven.example.")),
}


def wire(message: Message, **changes: bytes) -> bytes:
    """*message* as bytes, its id replaced where *changes* say so."""
    data = message.to_wire(max_size=65535)
    return changes.get("id", data[:2]) + data[2:]


def other_id(message: Message) -> bytes:
    """An answer to a question that nobody asked."""
    return wire(message, id=((message.id + 1) % 65536).to_bytes(2, "big"))


def truncated(query: Message) -> bytes:
    """Ask again by TCP."""
    response = answer(query)
    response.flags |= dns.flags.TC
    return wire(response)


def head(query: Message, answers: int) -> bytes:
    """An answer's header and question that announce *answers* records."""
    data = wire(answer(query))
    end = data.index(b"\0", 12) + 5
    return data[:6] + answers.to_bytes(2, "big") + bytes(4) + data[12:end]


async def _mute(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    for never in ():
        yield never


async def _mute_v6(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    if asked(query)[1] == "A":
        yield wire(home(query))


async def _lost(server: NameServer, query: Message) -> AsyncIterator[bytes]:
    if server.asked[(*asked(query), query.id)] > 1:
        yield wire(home(query))


async def _wrong_id(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield other_id(home(query, ip=METADATA))


async def _wrong_id_first(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield other_id(home(query, ip=METADATA))
    await trio.sleep(0.02)
    yield wire(home(query))


async def _flood(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    lie = other_id(home(query, ip=METADATA))
    for _number in range(20_000):
        yield lie
        await trio.lowlevel.checkpoint()


async def _spoofed(server: NameServer, query: Message) -> AsyncIterator[bytes]:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as stranger:
        await stranger.bind((HOME, 0))
        await stranger.sendto(wire(home(query, ip=METADATA)), server.client)
    await trio.sleep(0.02)
    yield wire(home(query))


async def _other_question(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    other = dns.message.make_query("elsewhere.test.", "A", id=query.id)
    yield wire(home(other, ip=METADATA))
    await trio.sleep(0.02)
    yield wire(home(query))


async def _echo(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield wire(query)


async def _short(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield wire(query)[:5]
    yield b""


async def _garbage(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield wire(answer(query))[:12] + random.Random(7).randbytes(300)


async def _pointing_at_itself(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    data = head(query, 1)
    yield data + (0xC000 | len(data)).to_bytes(2, "big") + bytes(10)


async def _pointing_forward(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    data = head(query, 1)
    yield data + (0xC000 | len(data) + 2).to_bytes(2, "big") + b"\xc0\x0c" + bytes(10)


async def _liar(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield head(query, 60_000)


async def _truncated(_: NameServer, query: Message) -> AsyncIterator[bytes]:
    yield truncated(query)


async def _rebinding(server: NameServer, query: Message) -> AsyncIterator[bytes]:
    name, kind = asked(query)
    first = kind != "A" or server.asked[name, kind] % 2
    yield wire(home(query, ip=HOME if first else METADATA))


ODD: dict[str, Mood] = {
    "mute": _mute,
    "mute-v6": _mute_v6,
    "lost": _lost,
    "wrong-id": _wrong_id,
    "wrong-id-first": _wrong_id_first,
    "flood": _flood,
    "spoofed": _spoofed,
    "other-question": _other_question,
    "echo": _echo,
    "short": _short,
    "garbage": _garbage,
    "pointing-at-itself": _pointing_at_itself,
    "pointing-forward": _pointing_forward,
    "liar": _liar,
    "rebinding": _rebinding,
    **dict.fromkeys(("tc-good", "tc-many", "tc-closed", "tc-cut", "tc-drip", "tc-mute", "tc-huge"), _truncated),
    **dict.fromkeys(("tc-wrong-id", "tc-other-question", "tc-garbage", "tc-again"), _truncated),
}


async def by_stream(mood: str, query: Message, stream: trio.abc.Stream) -> None:
    """Answer *query* over TCP or TLS."""
    data = wire(home(query))
    match mood:
        case "tc-closed":
            return
        case "tc-mute" | "mute":
            await trio.sleep_forever()
        case "tc-cut":
            await stream.send_all(b"\0\x50" + data[:20])
        case "tc-drip":
            await stream.send_all((4000).to_bytes(2, "big"))
            while True:
                await stream.send_all(b"x")
                await trio.sleep(0.05)
        case "tc-huge":
            await stream.send_all(b"\xff\xff" + bytes(65535))
        case "tc-wrong-id":
            await _framed(stream, other_id(home(query)))
        case "tc-other-question":
            await _framed(stream, wire(home(dns.message.make_query("elsewhere.test.", "A", id=query.id))))
        case "tc-garbage":
            await _framed(stream, data[:12] + b"\xc0" * 200)
        case "tc-again":
            await _framed(stream, truncated(query))
        case "tc-many":
            await _framed(stream, wire(many(query)))
        case _:
            await _framed(stream, wire(PLAIN.get(mood, home)(query)))


async def _framed(stream: trio.abc.Stream, data: bytes) -> None:
    await stream.send_all(len(data).to_bytes(2, "big") + data)


async def _one_port() -> tuple[list[trio.SocketListener], trio.socket.SocketType]:
    """Listen for TCP and UDP on the same port: one that TCP has free is tried until UDP has it free, too."""
    while True:
        listeners = await trio.open_tcp_listeners(0, host=HOME)
        datagrams = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        try:
            await datagrams.bind((HOME, listeners[0].socket.getsockname()[1]))
        except OSError:
            datagrams.close()
            await listeners[0].aclose()
        else:
            return listeners, datagrams


@attrs.define(eq=False)
class NameServer:
    """Serves on *port* of loopback, by TLS on *tls_port*; `asked` counts questions."""

    port: int = 0
    tls_port: int = 0
    asked: collections.Counter[tuple[object, ...]] = attrs.field(factory=collections.Counter)
    client: tuple[str, int] = (HOME, 0)  # the last to ask by UDP

    async def start(self, nursery: trio.Nursery, *, tls: ssl.SSLContext | None = None) -> NameServer:
        """Serve in *nursery*."""
        listeners, datagrams = await _one_port()
        self.port = datagrams.getsockname()[1]
        nursery.start_soon(self._serve_datagrams, nursery, datagrams)
        nursery.start_soon(trio.serve_listeners, self._serve_stream, listeners)
        if tls is not None:
            secure = await trio.open_ssl_over_tcp_listeners(0, tls, host=HOME)
            self.tls_port = secure[0].transport_listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve_stream, secure)
        return self

    async def _serve_datagrams(self, nursery: trio.Nursery, datagrams: trio.socket.SocketType) -> None:
        with datagrams:
            while True:
                try:
                    data, client = await datagrams.recvfrom(4096)
                except ConnectionRefusedError:
                    continue  # who asked has gone
                nursery.start_soon(self._answer, datagrams, data, client)

    async def _answer(self, datagrams: trio.socket.SocketType, data: bytes, client: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name, kind = asked(query)
        self.client = client
        self.asked[name, kind] += 1
        self.asked[name, kind, query.id] += 1
        mood = mood_of(name)
        try:
            if mood in ODD:
                async for each in ODD[mood](self, query):
                    await datagrams.sendto(each, client)
            else:
                await datagrams.sendto(wire(PLAIN[mood](query)), client)
        except OSError:
            return

    async def _serve_stream(self, stream: trio.abc.Stream) -> None:
        try:
            async with stream:
                data = b""
                while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                    more = await stream.receive_some(4096)
                    if not more:
                        return
                    data += more
                query = dns.message.from_wire(data[2:])
                name, kind = asked(query)
                self.asked[name, kind, "stream"] += 1
                await by_stream(mood_of(name), query, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            return


def mood_of(name: str) -> str:
    """`tc-good` of `tc-good.test.`; what follows two dashes only makes names different."""
    return name.partition(".")[0].partition("--")[0]
