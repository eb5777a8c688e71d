"""What a server can do to a client that wants TLS. The authority is the child process's; it writes `ca.pem`."""

from __future__ import annotations

import functools
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import trio
import trustme
from support.probes import answers, http, read_request

from hostile.rows import OK, Row, at_once, ending, flood_at_once, mute, reset, then_flood
from hostile.servers_http import CHUNKED, HEAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from hostile.rows import Handler

    Making = Callable[[], ssl.SSLContext]

TLS, PROCESSING, TRANSFER = "tls", "processing", "transfer"
GOOD = http(200, b"ok")


@functools.cache
def authority() -> trustme.CA:
    """The one the clients trust."""
    return trustme.CA()


def context(*names: str, ca: Callable[[], trustme.CA] = authority, **dates: Any) -> Making:
    """A server's context with a certificate for *names*, by default the right one."""

    @functools.cache
    def make() -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca().issue_cert(*(names or ("127.0.0.1",)), **dates).configure_cert(made)
        return made

    return make


def changed(make: Making, **settings: Any) -> Making:
    """The same context with other *settings*, `ciphers` among them."""

    @functools.cache
    def other() -> ssl.SSLContext:
        made = make.__wrapped__()  # type: ignore[attr-defined] # what functools.cache wraps
        if ciphers := settings.pop("ciphers", None):
            made.set_ciphers(ciphers)
        for name, value in settings.items():
            setattr(made, name, value)
        return made  # type: ignore[no-any-return] # see above

    return other


def days(number: int) -> datetime:
    """So many days from now."""
    return datetime.now(UTC) + timedelta(days=number)


def secure(make: Making, handler: Handler, *, polite: bool = True) -> Handler:
    """Speak TLS, then do as *handler* does; *polite*: with a close_notify at the end."""

    async def secured(stream: trio.SocketStream) -> None:
        wrapped = trio.SSLStream(stream, make(), server_side=True, https_compatible=not polite)
        await handler(wrapped)  # type: ignore[arg-type] # it reads and writes any stream
        if polite:
            await wrapped.aclose()

    return secured


def handshake(send: Callable[[trio.SocketStream, bytes], Any]) -> Handler:
    """Answer the ClientHello properly, but let *send* put the answer on the wire."""

    async def handler(stream: trio.SocketStream) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = CONTEXT().wrap_bio(incoming, outgoing, server_side=True)
        while outgoing.pending == 0:
            incoming.write(await stream.receive_some())
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                continue
        await send(stream, outgoing.read())

    return handler


async def dripped(stream: trio.SocketStream, flight: bytes) -> None:
    for index in range(len(flight)):
        await stream.send_all(flight[index : index + 1])
        await trio.sleep(0.05)


async def half(stream: trio.SocketStream, flight: bytes) -> None:
    await stream.send_all(flight[: len(flight) // 2])


async def half_and_silence(stream: trio.SocketStream, flight: bytes) -> None:
    await half(stream, flight)
    await ending(stream, "hold")


async def half_and_reset(stream: trio.SocketStream, flight: bytes) -> None:
    await half(stream, flight)
    await trio.sleep(0.05)
    reset(stream)


async def damaged(stream: trio.SocketStream, flight: bytes) -> None:
    await stream.send_all(flight[:-1] + bytes([flight[-1] ^ 1]))
    await ending(stream, "hold")


def refused_then(second: Handler) -> Handler:
    """An expired certificate for the first connection, *second* for the look at the evidence, in turns."""
    turn = 0
    first = secure(EXPIRED, answers(GOOD))

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal turn
        turn += 1
        await (first if turn % 2 else second)(stream)

    return handler


def after_hello(answer: bytes) -> Handler:
    """Take the ClientHello for a request, and answer it in plain."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    return handler


def garbage_inside(stream_bytes: bytes) -> Handler:
    """Shake hands, read the request, and go on with bytes that are no TLS record."""

    async def handler(stream: trio.SocketStream) -> None:
        wrapped = trio.SSLStream(stream, CONTEXT(), server_side=True)
        await read_request(wrapped)  # type: ignore[arg-type] # any stream
        await stream.send_all(stream_bytes)
        await ending(stream, "hold")

    return handler


CONTEXT = context()
EXPIRED = context(not_before=days(-9), not_after=days(-3))
MANY_NAMES = context("127.0.0.1", *(f"host-{number}.a-rather-long-name.example" for number in range(4000)))
OLD = changed(
    context(),
    ciphers="ALL:@SECLEVEL=0",
    minimum_version=ssl.TLSVersion.MINIMUM_SUPPORTED,
    maximum_version=ssl.TLSVersion.TLSv1_1,
)
ONLY_1_2 = changed(context(), maximum_version=ssl.TLSVersion.TLSv1_2)
WANTS_CERTIFICATE = changed(context(), verify_mode=ssl.CERT_REQUIRED)
MANY_TICKETS = changed(context(), num_tickets=1000)


def record(kind: int, body: bytes) -> bytes:
    """A TLS record."""
    return bytes([kind]) + b"\x03\x03" + len(body).to_bytes(2, "big") + body


def tls(name: str, serve: Handler, code: str, phase: str | None = None, **more: Any) -> Row:
    """A row of this table."""
    return Row(name=name, serve=serve, code=code, phase=phase, scheme="https", **more)


ROWS = [
    tls("TLS that is well", secure(CONTEXT, answers(GOOD)), OK),
    tls("certificate expired", secure(EXPIRED, answers(GOOD)), "tls", TLS),
    tls("certificate expired, mute when looked at again", refused_then(mute), "tls", TLS),
    tls("certificate expired, a flood when looked at again", refused_then(flood_at_once(bytes(65536))), "tls", TLS),
    tls("certificate not yet valid", secure(context(not_before=days(3), not_after=days(9)), answers(GOOD)), "tls", TLS),
    tls("certificate for another host", secure(context("other.example"), answers(GOOD)), "tls", TLS),
    tls("certificate from nowhere", secure(context(ca=trustme.CA), answers(GOOD)), "tls", TLS),
    tls("certificate expired, not verified", secure(EXPIRED, answers(GOOD)), OK,
        options={"verify": False, "cert_warning": "never"}),
    tls("certificate with 4,000 names", secure(MANY_NAMES, answers(GOOD)), "tls", TLS),
    tls("TLS 1.1", secure(OLD, answers(GOOD)), "tls", TLS),
    tls("TLS 1.2 where 1.3 is asked for", secure(ONLY_1_2, answers(GOOD)), "tls", TLS, options={"min_tls": "1.3"}),
    tls("TLS 1.2", secure(ONLY_1_2, answers(GOOD)), OK),
    tls("wants a client certificate", secure(WANTS_CERTIFICATE, answers(GOOD)), "tls/protocol/connect", PROCESSING),
    tls("1,000 session tickets", secure(MANY_TICKETS, answers(GOOD)), OK),
    tls("plain HTTP on the TLS port", after_hello(http(400)), "tls", TLS),
    tls("speaks plain HTTP first", at_once(http(400), then="hold"), "tls", TLS),
    tls("SSH on the TLS port", at_once(b"SSH-2.0-OpenSSH_9.2p1\r\n", then="hold"), "tls", TLS),
    tls("silence in place of the handshake", mute, "timeout", TLS),
    tls("dripped handshake", handshake(dripped), "timeout", TLS),
    tls("handshake stalled half-way", handshake(half_and_silence), "timeout", TLS),
    tls("FIN in place of the handshake", at_once(), "tls", TLS),
    tls("FIN half-way through the handshake", handshake(half), "tls", TLS),
    tls("RST half-way through the handshake", handshake(half_and_reset), "tls", TLS),
    tls("damaged handshake", handshake(damaged), "tls", TLS),
    tls("alert: handshake failure", at_once(record(21, b"\x02\x28"), then="hold"), "tls", TLS),
    tls("alert: unknown", at_once(record(21, b"\x02\xee"), then="hold"), "tls", TLS),
    tls("flood of warnings", flood_at_once(record(21, b"\x01\x5a") * 999), "tls", TLS),
    tls("flood of empty records", flood_at_once(record(22, b"") * 9999), "tls", TLS),
    tls("flood of ChangeCipherSpec", flood_at_once(record(20, b"\x01") * 9999), "tls", TLS),
    tls("endless handshake message", flood_at_once(record(22, b"\x0b\xff\xff\xff" + bytes(9999))), "tls", TLS),
    tls("record longer than allowed", at_once(b"\x16\x03\x03\xff\xff" + bytes(65535), then="hold"), "tls", TLS),
    tls("garbage after the handshake", garbage_inside(b"not a record at all"), "tls", PROCESSING),
    tls("forged record after the handshake", garbage_inside(record(23, bytes(64))), "tls", PROCESSING),
    tls("plain alert after the handshake", garbage_inside(record(21, b"\x02\x28")), "tls", PROCESSING),
    tls("no close_notify, body with a length", secure(CONTEXT, answers(GOOD), polite=False), OK),
    tls("no close_notify, body without a length",
        secure(CONTEXT, answers(HEAD + b"\r\nhalf of"), polite=False), "protocol", TRANSFER),
    tls("no close_notify, chunks without an end",
        secure(CONTEXT, answers(CHUNKED + b"1\r\nx\r\n"), polite=False), "protocol", TRANSFER),
    tls("body without a length, properly closed", secure(CONTEXT, answers(HEAD + b"\r\nall of it")), OK),
    tls("silence after the handshake", secure(CONTEXT, mute), "timeout", PROCESSING),
    tls("endless body over TLS", secure(CONTEXT, then_flood(HEAD + b"\r\n", bytes(65536))), "limit", TRANSFER),
    tls("one-byte records", secure(CONTEXT, then_flood(HEAD + b"\r\n", b"x", times=100)), OK),
    tls("redirect from https to http",
        secure(CONTEXT, answers(http(302, b"", "Location: http://127.0.0.1:1/"))), "policy", PROCESSING),
]  # fmt: skip
