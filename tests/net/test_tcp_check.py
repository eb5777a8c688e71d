"""The tcp check: ports that answer and ports that do not, STARTTLS in seven protocols, steps; and servers that lie."""

from __future__ import annotations

import ssl
import struct
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.nameserver import NameServer
from support.probes import look, serve
from test_tls import CA, ca_file, context

from checks.tcp import Tcp, TcpStep
from monitor.core.quantities import Duration, Expression
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.probes import Handler

    Line = tuple[bytes, bytes]  # what the client must say (its beginning), what it is answered
__all__ = ["ca_file"]  # a fixture


def talks(greeting: bytes, *lines: Line, then: bytes = b"", tls: ssl.SSLContext | None = None) -> Handler:
    """Greet, answer each line; then TLS where given, then *then*; and wait for the client to go."""

    async def handler(stream: trio.SocketStream) -> None:
        if greeting:
            await stream.send_all(greeting)
        for said, answered in lines:
            heard = b""
            while len(heard) < len(said):
                more = await stream.receive_some()
                if not more:
                    return
                heard += more
            assert heard.startswith(said), heard
            await stream.send_all(answered)
        channel: Any = stream
        if tls is not None:
            channel = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            if tls is not None:
                await channel.do_handshake()
            if then:
                await channel.send_all(then)
            while await channel.receive_some():
                pass
        except (trio.BrokenResourceError, ssl.SSLError):
            return

    return handler


async def seen(
    nursery: trio.Nursery, handler: Handler, *, timeout: float = 5.0, **options: Any
) -> tuple[str, str, str]:
    """Status, code and message of a probe of *handler*."""
    port = await serve(nursery, handler)
    observation = await look(Tcp(url=f"tcp://127.0.0.1:{port}", **options), timeout=timeout)
    return str(observation.status), str(observation.reason.code), observation.reason.message


UP = ("up", "ok", "")
EHLO = b"EHLO nursery-monitor\r\n"
XMPP = b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
STARTTLS: dict[str, tuple[bytes, Sequence[Line]]] = {
    "smtp": (b"220-hello\r\n220 there\r\n",
             [(EHLO, b"250-me\r\n250-SIZE 1\r\n250 STARTTLS\r\n"), (b"STARTTLS\r\n", b"220 go\r\n")]),
    "imap": (b"* OK ready\r\n", [(b"m1 STARTTLS\r\n", b"* CAPABILITY IMAP4\r\nm1 OK begin\r\n")]),
    "pop3": (b"+OK ready\r\n", [(b"STLS\r\n", b"+OK begin\r\n")]),
    "ftp": (b"220-many\r\n words\r\n220 ready\r\n", [(b"AUTH TLS\r\n", b"234 go\r\n")]),
    "xmpp": (b"", [(b"<?xml version='1.0'?><stream:stream to='127.0.0.1'", b"<stream:stream>" + XMPP),
                   (b"<starttls ", b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")]),
    "postgres": (b"", [(struct.pack(">II", 8, 80877103), b"S")]),
    "ldap": (b"", [(LDAP, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")]),
}  # fmt: skip


async def test_a_port_that_answers_and_one_that_does_not(nursery: trio.Nursery) -> None:
    port = await serve(nursery, talks(b""))
    observation = await look(Tcp(url=f"tcp://127.0.0.1:{port}"))
    assert (observation.status, observation.facts) == ("up", {"ip": "127.0.0.1"})
    assert list(observation.phases) == ["resolve", "connect"]
    refused = await look(Tcp(url="tcp://127.0.0.1:1"))
    assert (refused.status, refused.reason.message) == ("down", "connection refused (127.0.0.1:1)")


async def test_by_a_name_server_of_its_own(nursery: trio.Nursery) -> None:
    names = await NameServer().start(nursery)
    port = await serve(nursery, talks(b""))
    observation = await look(Tcp(url=f"tcp://good.test:{port}", dns_resolver=f"udp://127.0.0.1:{names.port}"))
    assert (observation.status, observation.facts["ip"]) == ("up", "127.0.0.1")


async def test_tls_from_the_beginning(nursery: trio.Nursery, ca_file: Path) -> None:
    assert await seen(nursery, talks(b"", tls=context()), tls=True, ca_file=ca_file) == UP
    distrusted = await seen(nursery, talks(b"", tls=context()), tls=True)
    assert distrusted[:2] == ("down", "tls")
    soon = context(CA.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=3, minutes=5)))
    warned = await seen(nursery, talks(b"", tls=soon), tls=True, ca_file=ca_file)
    assert warned[:2] == ("degraded", "tls")
    assert warned[2].startswith("certificate expires in 3 days")


async def test_no_application_protocol_is_offered(nursery: trio.Nursery, ca_file: Path) -> None:
    made = context()
    made.set_alpn_protocols(["h2"])
    offered: list[Any] = []
    made.sni_callback = lambda connection, *_: offered.append(connection)  # type: ignore[assignment]
    assert await seen(nursery, talks(b"", tls=made), tls=True, ca_file=ca_file) == UP
    assert [each.selected_alpn_protocol() for each in offered] == [None]


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_starttls(nursery: trio.Nursery, ca_file: Path, protocol: str) -> None:
    greeting, lines = STARTTLS[protocol]
    port = await serve(nursery, talks(greeting, *lines, tls=context()))
    check = Tcp(url=f"tcp://127.0.0.1:{port}", starttls=protocol, ca_file=ca_file)  # type: ignore[arg-type]
    observation = await look(check)
    assert observation.status == "up", observation.reason
    assert list(observation.phases) == ["resolve", "connect", "starttls", "tls"]
    assert observation.facts["tls_version"] == "1.3"


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_starttls_with_a_certificate_that_is_refused(nursery: trio.Nursery, protocol: str) -> None:
    greeting, lines = STARTTLS[protocol]
    down = await seen(nursery, talks(greeting, *lines, tls=context()), starttls=protocol)
    assert down[:2] == ("down", "tls")
    assert "certificate" in down[2]


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_what_comes_before_tls_unasked_is_refused(nursery: trio.Nursery, ca_file: Path, protocol: str) -> None:
    greeting, lines = STARTTLS[protocol]
    *before, (said, answered) = lines
    slipped_in = talks(greeting, *before, (said, answered + b"evil\r\n"), tls=context())
    down = await seen(nursery, slipped_in, starttls=protocol, ca_file=ca_file)
    assert down == ("down", "protocol", "the server sent more than it was asked for before TLS began")


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_a_server_of_another_kind(nursery: trio.Nursery, protocol: str) -> None:
    async def ssh(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")
        await stream.receive_some()

    down = await seen(nursery, ssh, starttls=protocol)
    assert down[:2] == ("down", "protocol")


@pytest.mark.parametrize("protocol", STARTTLS)
async def test_a_server_that_drips_or_floods(nursery: trio.Nursery, protocol: str) -> None:
    async def drips(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"2")
            await trio.sleep(0.05)

    async def floods(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"* x 220-" * 1000)

    dripped = await seen(nursery, drips, starttls=protocol, timeout=0.5)
    assert dripped[1] in ("timeout", "protocol"), dripped
    flooded = await seen(nursery, floods, starttls=protocol)
    assert flooded[1] in ("limit", "protocol"), flooded


REFUSALS = [
    ("smtp", b"554 no\r\n", [], 'expected a line that begins with 220, got "554 no"'),
    ("smtp", b"220 x\r\n", [(EHLO, b"250 me\r\n")], "the server does not offer STARTTLS"),
    ("smtp", b"220 x\r\n", [(EHLO, b"250 STARTTLS\r\n"), (b"STARTTLS\r\n", b"454 later\r\n")],
     'expected a line that begins with 220, got "454 later"'),
    ("imap", b"* BYE\r\n", [], 'expected a line that begins with * OK, got "* BYE"'),
    ("imap", b"* OK\r\n", [(b"m1", b"m1 NO\r\n")], 'expected a line that begins with m1 OK, got "m1 NO"'),
    ("pop3", b"+OK\r\n", [(b"STLS", b"-ERR\r\n")], 'expected a line that begins with +OK, got "-ERR"'),
    ("ftp", b"220 x\r\n", [(b"AUTH", b"534 no\r\n")], 'expected a line that begins with 234, got "534 no"'),
    ("xmpp", b"", [(b"<?xml", b"<stream:features/>")], "the server does not offer STARTTLS"),
    ("xmpp", b"", [(b"<?xml", XMPP), (b"<starttls", b"<failure/>")], 'expected <proceed/>, got "<failure/>"'),
    ("postgres", b"", [(b"\0\0\0\x08", b"N")], "the server does not offer TLS"),
    ("postgres", b"", [(b"\0\0\0\x08", b"E")], "the server does not speak PostgreSQL"),
    ("ldap", b"", [(LDAP, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")],
     "the server refused StartTLS with the result code 52"),
    ("ldap", b"", [(LDAP, b"\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00")],
     "the server answered another request"),
    ("ldap", b"", [(LDAP, b"\x30\x05\x02\x01\x01\x78\x09")], "the server does not speak LDAP"),
    ("ldap", b"", [(LDAP, b"\x30\x00")], "the server does not speak LDAP"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "greeting", "lines", "message"), REFUSALS)
async def test_a_server_that_refuses(
    nursery: trio.Nursery, protocol: str, greeting: bytes, lines: Sequence[Line], message: str
) -> None:
    port = await serve(nursery, talks(greeting, *lines))
    check = Tcp(url=f"tcp://127.0.0.1:{port}", starttls=protocol)  # type: ignore[arg-type]
    observation = await look(check)
    reason = observation.reason
    assert (observation.status, reason.code, reason.phase) == ("down", "protocol", "starttls")
    assert reason.message == message


# Steps.


def expect(text: str, within: float | None = None) -> TcpStep:
    return TcpStep(expect=Expression(text), within=None if within is None else Duration(within))


REDIS = partial(talks, b"", (b"PING\r\n", b"+PONG\r\n"))
PING = TcpStep(send="PING\r\n")


async def test_steps(nursery: trio.Nursery) -> None:
    assert await seen(nursery, REDIS(), steps=(PING, expect("text.startsWith('+PONG')"))) == UP


async def test_what_comes_in_pieces_is_put_together(nursery: trio.Nursery) -> None:
    async def drips(stream: trio.SocketStream) -> None:
        for each in b"220 ready\r\n":
            await stream.send_all(bytes([each]))
            await trio.sleep(0.005)
        await stream.receive_some()

    assert await seen(nursery, drips, steps=(expect("text == '220 ready\\r\\n'"),)) == UP


async def test_an_expectation_that_is_never_met(nursery: trio.Nursery) -> None:
    wrong = "text.contains('OK')"
    told = await seen(nursery, REDIS(), steps=(PING, expect(wrong, 0.2)))
    assert told == ("down", "timeout", f"expected {wrong} within 200 ms, '+PONG\\r\\n' came")
    silent = await seen(nursery, talks(b""), steps=(expect(wrong, 0.2),))
    assert silent == ("down", "timeout", f"expected {wrong} within 200 ms, nothing came")
    late = await seen(nursery, talks(b""), steps=(expect(wrong),), timeout=0.3)
    assert late == ("down", "timeout", "no answer within 300 ms (during transfer)")


async def test_a_server_that_hangs_up_or_says_too_much(nursery: trio.Nursery) -> None:
    async def hangs_up(stream: trio.SocketStream) -> None:
        await stream.send_all(b"bye")

    async def babbles(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(b"bla" * 1000)

    wanted = "text.contains('OK')"
    gone = await seen(nursery, hangs_up, steps=(expect(wanted),))
    assert gone == ("down", "protocol", f"the server closed the connection before {wanted} was met")
    much = await seen(nursery, babbles, steps=(expect(wanted),))
    assert much == ("down", "limit", f"more than 16 KiB came before {wanted} was met")


async def test_the_first_word_is_waited_for_where_an_expectation_looks_at_it(nursery: trio.Nursery) -> None:
    port = await serve(nursery, talks(b"SSH-2.0-OpenSSH_9.2\r\n"))
    check = Tcp(url=f"tcp://127.0.0.1:{port}")
    assert (await look(check, expect=("received.startsWith('SSH-2.0-')",))).status == "up"
    other = await look(check, expect=("received.startsWith('220 ')",))
    assert (other.status, other.reason.code) == ("down", "expectation")
    silent = await serve(nursery, talks(b""))
    seen_silent = await look(Tcp(url=f"tcp://127.0.0.1:{silent}"), expect=("size(received) > 0",), timeout=0.3)
    assert seen_silent.reason.code == "timeout"


async def test_steps_under_starttls(nursery: trio.Nursery, ca_file: Path) -> None:
    greeting, lines = STARTTLS["smtp"]
    handler = talks(greeting, *lines, tls=context(), then=b"250 me\r\n")
    steps = (TcpStep(send="EHLO me\r\n"), expect("text.contains('250 ')"))
    assert await seen(nursery, handler, starttls="smtp", ca_file=ca_file, steps=steps) == UP


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"url": "tcp://127.0.0.1"}, "url"),
        ({"url": "tcp://127.0.0.1:22/path"}, "url"),
        ({"url": "http://127.0.0.1:22"}, "url"),
        ({"url": "tcp://me@127.0.0.1:22"}, "url"),
        ({"url": "tcp://127.0.0.1:25", "tls": True, "starttls": "smtp"}, "starttls"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        Tcp(**options)
    assert caught.value.option == option
