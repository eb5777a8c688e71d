"""Proxies on loopback: HTTP (CONNECT and whole URLs) and SOCKS5, which know the names they are told.

They are handlers for `support.probes.serve`; each remembers what it was asked for.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from typing import TYPE_CHECKING

import trio

from support.probes import http, read_request

if TYPE_CHECKING:
    from collections.abc import Mapping


async def splice(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    """Pass on what either says, until one of them ends."""

    async def pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        try:
            while data := await source.receive_some():
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        both.cancel_scope.cancel()

    async with trio.open_nursery() as both:
        both.start_soon(pump, one, other)
        both.start_soon(pump, other, one)


class _Proxy:
    """What both kinds have: names they know, credentials they want, a memory."""

    def __init__(self, names: Mapping[str, str] | None = None, user: str = "", password: str = "") -> None:
        self.names = names or {}
        self.user = user
        self.password = password
        self.asked: list[str] = []  # host:port, in order

    async def dial(self, host: str, port: int) -> trio.SocketStream | None:
        self.asked.append(f"{host}:{port}")
        try:
            address = str(ipaddress.ip_address(host))
        except ValueError:
            if host not in self.names:
                return None
            address = self.names[host]
        try:
            return await trio.open_tcp_stream(address, port)
        except OSError:
            return None


class HttpProxy(_Proxy):
    """CONNECT, and requests with whole URLs."""

    def __init__(self, names: Mapping[str, str] | None = None, user: str = "", password: str = "") -> None:
        super().__init__(names, user, password)
        self.requests: list[bytes] = []

    async def __call__(self, stream: trio.abc.Stream) -> None:
        request = await read_request(stream)  # type: ignore[arg-type] # it reads any stream
        self.requests.append(request)
        method, target, _ = request.split(b"\r\n")[0].decode().split(" ")
        wanted = b64encode(f"{self.user}:{self.password}".encode())
        if self.user and b"Proxy-Authorization: Basic " + wanted + b"\r\n" not in request:
            await stream.send_all(http(407, b"", 'Proxy-Authenticate: Basic realm="it"'))
            return
        authority = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = authority.rpartition(":")
        onward = await self.dial(host.strip("[]"), int(port))
        if onward is None:
            await stream.send_all(http(502))
            return
        async with onward:
            if method == "CONNECT":
                await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                lines = [each for each in request.split(b"\r\n")[1:] if not each.lower().startswith(b"proxy-")]
                await onward.send_all(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines]))
            await splice(stream, onward)


class Socks5Proxy(_Proxy):
    """RFC 1928 and 1929: CONNECT, with or without a user name."""

    async def __call__(self, stream: trio.abc.Stream) -> None:
        _, count = await exactly(stream, 2)
        methods = await exactly(stream, count)
        if not self.user:
            await stream.send_all(b"\x05\x00")
        elif 2 not in methods:
            await stream.send_all(b"\x05\xff")
            return
        else:
            await stream.send_all(b"\x05\x02")
            _, size = await exactly(stream, 2)
            user = await exactly(stream, size)
            (size,) = await exactly(stream, 1)
            good = (user.decode(), (await exactly(stream, size)).decode()) == (self.user, self.password)
            await stream.send_all(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        _, _, _, kind = await exactly(stream, 4)
        if kind == 3:
            (size,) = await exactly(stream, 1)
            host = (await exactly(stream, size)).decode()
        else:
            host = str(ipaddress.ip_address(await exactly(stream, 4 if kind == 1 else 16)))
        port = int.from_bytes(await exactly(stream, 2), "big")
        onward = await self.dial(host, port)
        if onward is None:
            await stream.send_all(b"\x05\x04\x00\x01" + bytes(6))
            return
        async with onward:
            await stream.send_all(b"\x05\x00\x00\x01" + bytes(6))
            await splice(stream, onward)


async def exactly(stream: trio.abc.Stream, size: int) -> bytes:
    """Read *size* bytes."""
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError
        data += more
    return data
