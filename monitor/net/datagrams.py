"""Datagrams: a socket that hears one address and nobody else, and says when that address cannot be reached."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from monitor.core.text import host_and_port
from monitor.net.reasons import from_datagrams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.core.errors import ProbeError
    from monitor.net.resolve import Address

_LARGEST = 65535
_AUXILIARY = 128  # bytes of what the system says beside a datagram
# Linux alone: have the system tell what routers say of our datagrams, and how far an answer may have gone still.
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_RECVHOPS = {socket.AF_INET: (socket.IPPROTO_IP, 12), socket.AF_INET6: (socket.IPPROTO_IPV6, 51)}
_ERRQUEUE = 0x2000
_HOPS = frozenset({(socket.IPPROTO_IP, 2), (socket.IPPROTO_IPV6, 52)})


class DatagramSocket:
    """See `monitor.net.Datagrams`."""

    def __init__(self, connection: socket.socket, ip: str, where: str) -> None:
        """Own *connection*, which is connected to *ip* and does not block; *where* it is, for people."""
        self.ip = ip
        self._socket = connection
        self._where = where
        self._waiting = 0

    async def send(self, data: bytes) -> None:
        """Send *data* as one datagram."""
        while True:
            try:
                self._socket.send(data)
            except BlockingIOError:
                await self._wait(trio.lowlevel.wait_writable)
            except PermissionError as exc:  # our own firewall
                raise from_datagrams(exc, self._where, at_once=True) from exc
            except OSError as exc:
                raise self._failure(exc) from exc
            else:
                await trio.lowlevel.checkpoint()
                return

    async def receive(self) -> bytes:
        """The next datagram."""
        return (await self.receive_with_hops())[0]

    async def receive_with_hops(self) -> tuple[bytes, int | None]:
        """The next datagram, and how many hops it could have gone further, where the system says so."""
        await trio.lowlevel.checkpoint()  # however fast they come, others have their turn
        while True:
            try:
                data, auxiliary, _, _ = self._socket.recvmsg(_LARGEST, _AUXILIARY)
            except BlockingIOError:
                await self._wait(trio.lowlevel.wait_readable)
            except OSError as exc:
                self._take_errors()
                raise self._failure(exc) from exc
            else:
                hops = [int.from_bytes(value[:1], "little") for *kind, value in auxiliary if tuple(kind) in _HOPS]
                return data, hops[0] if hops else None

    def _take_errors(self) -> None:
        """Take what the system keeps of each error, for which the socket would count as readable for ever."""
        with suppress(OSError):
            while True:
                self._socket.recvmsg(0, 0, _ERRQUEUE)

    async def _wait(self, readiness: Callable[[socket.socket], object]) -> None:
        self._waiting += 1
        try:
            await readiness(self._socket)  # type: ignore[misc]
        finally:
            self._waiting -= 1

    def _failure(self, exc: OSError) -> BaseException:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError()
        return from_datagrams(exc, self._where, at_once=False)

    def close(self) -> None:
        """Close; never blocks."""
        if self._socket.fileno() >= 0:
            if self._waiting:
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def open_datagrams(addresses: Sequence[Address], port: int, *, kind: int, protocols: dict[int, int]) -> DatagramSocket:
    """A socket for the first of *addresses* to which this machine has a way.

    *kind* and *protocols*, by address family, are what `socket.socket` takes. Raises ProbeError, that of the first
    address; and PermissionError where the system lets us have no such socket.
    """
    errors: list[ProbeError] = []
    for address in addresses:
        where = host_and_port(address.ip, port) if port else address.ip
        try:
            connection = socket.socket(address.family, kind, protocols.get(address.family, 0))
        except PermissionError:
            raise
        except OSError as exc:
            errors.append(from_datagrams(exc, where, at_once=True))
            continue
        try:
            connection.setblocking(False)
            for option in (_RECVERR, _RECVHOPS):
                with suppress(OSError):  # a system without them says less
                    connection.setsockopt(*option[address.family], 1)
            connection.connect(address.sockaddr(port))  # from now on nobody else is heard
        except OSError as exc:
            connection.close()
            errors.append(from_datagrams(exc, where, at_once=True))
        else:
            return DatagramSocket(connection, address.ip, where)
    raise errors[0]
