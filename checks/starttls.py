"""STARTTLS: what is said in the clear before TLS begins, for each protocol that has it.

A server that says more than it was asked for before TLS begins is refused: whoever sits in between could have said
it, and it would be taken for something that came under TLS (CVE-2011-0411).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NoReturn

from monitor.api import Code, ProbeError, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from monitor.api import Stream

Protocol = Literal["smtp", "imap", "pop3", "ftp", "xmpp", "postgres", "ldap"]

PHASE = "starttls"
_MOST = 16 * 1024  # bytes of all that a server says before TLS
_LONGEST_SHOWN = 60
_POSTGRES = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")  # SSLRequest
_LDAP_OID = b"1.3.6.1.4.1.1466.20037"
_LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + _LDAP_OID  # ExtendedRequest, message 1 (RFC 4511, 4.14)
_XMPP = (
    "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)


async def agree(protocol: Protocol, stream: Stream, host: str) -> None:
    """Bring the server *host* at the other end of *stream* to begin TLS next. Raises ProbeError."""
    heard = _Heard(stream)
    await _TALKS[protocol](heard, host)
    heard.nothing_more()


class _Heard:
    """What the server says, as far as it was not looked at yet."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._data = b""
        self._size = 0

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def until(self, end: bytes, *, also: bytes | None = None) -> bytes:
        """Everything up to *end* (or *also*) and with it."""
        while True:
            for each in (end, also):
                if each is not None and (at := self._data.find(each)) >= 0:
                    return self._cut(at + len(each))
            await self._more()

    async def exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            await self._more()
        return self._cut(size)

    async def line(self) -> str:
        return (await self.until(b"\n")).decode("utf-8", "replace").rstrip("\r\n")

    async def reply(self, code: str) -> list[str]:
        """A reply of SMTP or FTP, all of its lines, which must begin with *code*."""
        lines = [await self.line()]
        if lines[0][:3] != code:
            refuse(f"expected a line that begins with {code}, got {_shown(lines[0])}")
        # RFC 959, 4.2: "220-" begins more lines, "220 " is the last; what is between may be anything.
        while lines[0][3:4] == "-" and lines[-1][:4] != f"{code} ":
            lines.append(await self.line())
        return lines

    def nothing_more(self) -> None:
        if self._data:
            refuse("the server sent more than it was asked for before TLS began")

    def _cut(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            refuse("the server closed the connection before TLS began")
        self._data += data
        self._size += len(data)
        if self._size > _MOST:
            refuse(f"the server says more than {_MOST >> 10} KiB before TLS", Code.LIMIT)


async def _smtp(heard: _Heard, _: str) -> None:  # RFC 3207
    await heard.reply("220")
    await heard.say(b"EHLO nursery-monitor\r\n")
    offers = {line[4:].strip().upper() for line in await heard.reply("250")}
    if "STARTTLS" not in offers:
        refuse("the server does not offer STARTTLS")
    await heard.say(b"STARTTLS\r\n")
    await heard.reply("220")


async def _ftp(heard: _Heard, _: str) -> None:  # RFC 4217
    await heard.reply("220")
    await heard.say(b"AUTH TLS\r\n")
    await heard.reply("234")


async def _imap(heard: _Heard, _: str) -> None:  # RFC 3501, 6.2.1
    _begins(await heard.line(), "* OK")
    await heard.say(b"m1 STARTTLS\r\n")
    while (line := await heard.line()).startswith("* "):
        pass
    _begins(line, "m1 OK")


async def _pop3(heard: _Heard, _: str) -> None:  # RFC 2595, 4
    _begins(await heard.line(), "+OK")
    await heard.say(b"STLS\r\n")
    _begins(await heard.line(), "+OK")


async def _xmpp(heard: _Heard, host: str) -> None:  # RFC 6120, 5.4
    await heard.say(_XMPP.format(host=host).encode())
    features = await heard.until(b"</stream:features>", also=b"<stream:features/>")
    if b"urn:ietf:params:xml:ns:xmpp-tls" not in features:
        refuse("the server does not offer STARTTLS")
    await heard.say(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    answer = await heard.until(b">")
    if b"<proceed" not in answer:
        refuse(f"expected <proceed/>, got {_shown(answer.decode('utf-8', 'replace'))}")
    if not answer.endswith(b"/>"):
        await heard.until(b"</proceed>")


async def _postgres(heard: _Heard, _: str) -> None:
    await heard.say(_POSTGRES)
    answer = await heard.exactly(1)
    if answer == b"N":
        refuse("the server does not offer TLS")
    if answer != b"S":
        refuse("the server does not speak PostgreSQL")


async def _ldap(heard: _Heard, _: str) -> None:
    await heard.say(_LDAP)
    message = await _ber(heard, 0x30)
    number, rest = _cut_ber(message, 0x02)
    response, _controls = _cut_ber(rest, 0x78)
    result, _rest = _cut_ber(response, 0x0A)
    if number != b"\x01":
        refuse("the server answered another request")
    if result != b"\0":
        refuse(f"the server refused StartTLS with the result code {int.from_bytes(result, 'big')}")


async def _ber(heard: _Heard, tag: int) -> bytes:
    """The contents of the next BER element, which must have *tag*."""
    kind, length = await heard.exactly(2)
    if kind != tag:
        refuse("the server does not speak LDAP")
    if length & 0x80:
        length = int.from_bytes(await heard.exactly(length & 0x7F), "big")
    return await heard.exactly(min(length, _MOST + 1))


def _cut_ber(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The contents of the first BER element of *data*, which must have *tag*, and what comes after it."""
    if len(data) < 2 or data[0] != tag:
        refuse("the server does not speak LDAP")
    size, begin = data[1], 2
    if size & 0x80:
        begin += size & 0x7F
        size = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + size:
        refuse("the server does not speak LDAP")
    return data[begin : begin + size], data[begin + size :]


_TALKS: Mapping[Protocol, Callable[[_Heard, str], Awaitable[None]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "pop3": _pop3,
    "ftp": _ftp,
    "xmpp": _xmpp,
    "postgres": _postgres,
    "ldap": _ldap,
}


def _begins(line: str, expected: str) -> None:
    if not line.upper().startswith(expected.upper()):
        refuse(f"expected a line that begins with {expected}, got {_shown(line)}")


def _shown(text: str) -> str:
    return f'"{text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"}"'


def refuse(message: str, code: Code = Code.PROTOCOL) -> NoReturn:
    """Raise the ProbeError for what the server said before TLS."""
    raise ProbeError(Reason(code, PHASE, message))
