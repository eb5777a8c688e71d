"""Connections through a proxy: to it, through it, and TLS with whom it leads to.

Phases: `resolve` and `connect` are those of the proxy itself, `proxy` is all that is said to it; then `tls` with the
target as ever. What goes wrong on the way is a `connect` failure whose message says that it was the proxy, but for
what is the monitor's own trouble. The fact `ip` is the proxy's.

    http, https   CONNECT (RFC 9110, 9.3.6), also for what is not encrypted, unless `tunnel` is off: then the
                  connection ends at the proxy, and the caller asks it for whole URLs
    socks5h       the proxy looks the name up
    socks5        we do, and tell the proxy an address (RFC 1928, 1929)

Who was redirected is vetted here, too: the addresses that we find for the name. Of a name that we cannot look up
nobody knows where it leads, so it is refused.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import trio
from socksio import ProtocolError
from socksio.socks5 import (
    SOCKS5AType,
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5AuthReply,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5Connection,
    SOCKS5Reply,
    SOCKS5ReplyCode,
    SOCKS5UsernamePasswordReply,
    SOCKS5UsernamePasswordRequest,
)

from monitor.core.errors import ProbeError, describe
from monitor.core.model import Code
from monitor.core.text import host_and_port
from monitor.net.http import HEAD_LIMIT, AnswerReader
from monitor.net.proxy import PHASE, Proxy
from monitor.net.reasons import probe_error, reason_of

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.net import Addressing, Secured, Stream, Trace, Vet
    from monitor.net.resolve import LookUp
    from monitor.net.sockets import SocketNet

_ALLOWED = SOCKS5ReplyCode.CONNECTION_NOT_ALLOWED_BY_RULESET
_LONGEST_NAME = 255  # bytes (RFC 1928, 5)
_SAID = {
    SOCKS5ReplyCode.GENERAL_SERVER_FAILURE: "it failed",
    SOCKS5ReplyCode.NETWORK_UNREACHABLE: "network unreachable",
    SOCKS5ReplyCode.HOST_UNREACHABLE: "host unreachable",
    SOCKS5ReplyCode.CONNECTION_REFUSED: "connection refused",
    SOCKS5ReplyCode.TTL_EXPIRED: "it is too far away",
    SOCKS5ReplyCode.COMMAND_NOT_SUPPORTED: "it does not know the command",
    SOCKS5ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED: "it does not know such addresses",
}


async def tunnel(
    net: SocketNet, look_up: LookUp, host: str, port: int, *, trace: Trace, addressing: Addressing, vet: Vet | None
) -> Stream:
    """Connect to *host* through the proxy that *addressing* names; the stream has no TLS with the host yet.

    Raises ProbeError.
    """
    proxy = addressing.proxy
    assert proxy is not None  # noqa: S101 - else nobody would come here
    target = addressing.address or host
    if vet is not None or proxy.scheme == "socks5":
        target = await _vetted(look_up, target, trace=trace, addressing=addressing, vet=vet)
    stream = await _reached(net, proxy, trace, attrs.evolve(addressing, address=None, proxy=None))
    if not proxy.tunnel:
        return stream
    trace.phase(PHASE)
    where = host_and_port(target, port)
    try:
        if proxy.speaks_http:
            await _connect_by_http(stream, proxy, where)
        else:
            await _connect_by_socks(stream, proxy, target, port, where)
    except (ProbeError, trio.BrokenResourceError) as exc:
        stream.close()
        raise _blamed(exc) from exc
    except BaseException:
        stream.close()
        raise
    return stream


async def _vetted(look_up: LookUp, target: str, *, trace: Trace, addressing: Addressing, vet: Vet | None) -> str:
    """What to tell the proxy in place of *target*: an address where that is ours to choose."""
    proxy = addressing.proxy
    assert proxy is not None  # noqa: S101 - as above
    trace.phase("resolve")
    try:
        found = await look_up(target, addressing, trace)
    except ProbeError as exc:
        if vet is None or exc.reason.code is not Code.DNS:
            raise
        text = f"redirect to {target}, which cannot be looked up here: nobody knows where the proxy would go"
        raise probe_error(Code.POLICY, text, "resolve") from exc
    if vet is not None:
        for each in found:
            vet(each.ip)
    return target if proxy.speaks_http else found[0].ip


async def _reached(net: SocketNet, proxy: Proxy, trace: Trace, addressing: Addressing) -> Stream:
    """A connection to the proxy itself."""
    own = _Aside(trace)
    try:
        stream = await net.connect(
            proxy.host, proxy.port, trace=own, tls=proxy.tls if proxy.scheme == "https" else None, addressing=addressing
        )
    except ProbeError as exc:
        if exc.reason.code is Code.INTERNAL:
            raise
        phase = PHASE if exc.reason.phase == "tls" else exc.reason.phase
        raise probe_error(exc.reason.code, f"the proxy cannot be reached: {exc.reason.message}", phase) from exc
    trace.facts["ip"] = stream.ip
    return stream


class _Aside:
    """See `monitor.net.Trace`: what is found out about the proxy is no fact of the target, its TLS no phase of it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.facts: dict[str, Any] = {}
        self.started_at: datetime = trace.started_at
        self.certificate_expires: datetime | None = None
        self.secured: Secured | None = None

    @property
    def own_trouble(self) -> str | None:
        return self._trace.own_trouble

    @own_trouble.setter
    def own_trouble(self, why: str | None) -> None:
        self._trace.own_trouble = why

    def phase(self, name: str | None) -> None:
        self._trace.phase(PHASE if name == "tls" else name)


def _blamed(exc: ProbeError | trio.BrokenResourceError) -> ProbeError:
    """*exc* as a failure of the proxy."""
    reason = reason_of(exc)
    if reason is None:
        return probe_error(Code.CONNECT, f"the proxy failed: {describe(exc)}", PHASE)
    if reason.phase == PHASE or reason.code is Code.INTERNAL:
        return ProbeError(reason)
    return probe_error(reason.code, f"the proxy failed: {reason.message.replace('the server', 'it')}", PHASE)


def _refuse(message: str) -> NoReturn:
    raise probe_error(Code.CONNECT, message, PHASE)


# HTTP


async def _connect_by_http(stream: Stream, proxy: Proxy, where: str) -> None:
    head = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n".encode("ascii")
    if authorization := proxy.authorization:
        head += b"Proxy-Authorization: " + authorization + b"\r\n"
    await stream.send_all(head + b"\r\n")
    reader = AnswerReader(body_limit=HEAD_LIMIT, without_body=True)
    tail = b""
    while reader.head is None:
        data = await stream.receive_some()
        if data:
            reader.feed(data)
        else:
            reader.end(ragged=stream.ragged)
        tail = (tail + data)[-4:]
    status = reader.head.status
    reader.let_go()
    if not 200 <= status < 300:
        _refuse(proxy.refusal(status, where))
    if tail != b"\r\n\r\n":
        raise probe_error(Code.PROTOCOL, "the proxy sent something before the connection was used", PHASE)


# SOCKS5


async def _connect_by_socks(stream: Stream, proxy: Proxy, target: str, port: int, where: str) -> None:
    socks = SOCKS5Connection()
    try:
        await _sign_in(stream, socks, proxy)
        kind, address = _socks_address(target)
        socks.send(SOCKS5CommandRequest(SOCKS5Command.CONNECT, kind, address, port))
        await stream.send_all(socks.data_to_send())
        reply = socks.receive_data(await _reply(stream))
    except (ProtocolError, ValueError) as exc:
        raise probe_error(Code.PROTOCOL, "the proxy does not speak SOCKS5", PHASE) from exc
    assert isinstance(reply, SOCKS5Reply)  # noqa: S101 - the library goes by what was sent
    if reply.reply_code is _ALLOWED:
        _refuse(f"the proxy does not allow {where}")
    if reply.reply_code is not SOCKS5ReplyCode.SUCCEEDED:
        _refuse(f"the proxy cannot connect to {where}: {_SAID[reply.reply_code]}")


async def _sign_in(stream: Stream, socks: SOCKS5Connection, proxy: Proxy) -> None:
    methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
    if proxy.username is not None:
        methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
    socks.send(SOCKS5AuthMethodsRequest(methods))
    await stream.send_all(socks.data_to_send())
    chosen = socks.receive_data(_of_version(5, await _exactly(stream, 2)))
    assert isinstance(chosen, SOCKS5AuthReply)  # noqa: S101 - the library goes by what was sent
    if chosen.method not in methods:
        _refuse(f"the proxy {proxy.wish}")
    if chosen.method is SOCKS5AuthMethod.USERNAME_PASSWORD:
        assert proxy.username is not None  # noqa: S101 - else it was not offered
        socks.send(SOCKS5UsernamePasswordRequest(proxy.username.encode(), proxy.password.encode()))
        await stream.send_all(socks.data_to_send())
        said = socks.receive_data(_of_version(1, await _exactly(stream, 2)))
        if not isinstance(said, SOCKS5UsernamePasswordReply) or not said.success:
            _refuse(f"the proxy {proxy.wish}")


def _socks_address(target: str) -> tuple[SOCKS5AType, bytes]:
    try:
        address = ipaddress.ip_address(target)
    except ValueError:
        if len(target) > _LONGEST_NAME:
            raise probe_error(Code.DNS, f"not a valid host name: {target[:60]}…", PHASE) from None
        return SOCKS5AType.DOMAIN_NAME, target.encode("ascii")
    return SOCKS5AType.IPV4_ADDRESS if address.version == 4 else SOCKS5AType.IPV6_ADDRESS, address.packed


async def _reply(stream: Stream) -> bytes:
    """The answer to a command, whole: its length depends on the kind of address in it."""
    head = _of_version(5, await _exactly(stream, 4))
    if head[1] != 0:
        return head[:3] + b"\1" + bytes(6)  # what else it says of a failure is of no use, and often not even sent
    more = {1: 4, 4: 16}.get(head[3])
    if more is None:
        if head[3] != 3:
            raise ValueError("an address of an unknown kind")
        length = await _exactly(stream, 1)
        await _exactly(stream, length[0] + 2)
        return head[:3] + b"\1" + bytes(6)  # where it connected from, by a name: nobody wants to know
    return head + await _exactly(stream, more + 2)


def _of_version(version: int, data: bytes) -> bytes:
    if data[0] != version:
        raise ValueError("another version")
    return data


async def _exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise probe_error(Code.PROTOCOL, "the server closed the connection in the middle of an answer", None)
        data += more
    return data
