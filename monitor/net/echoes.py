"""ICMP echoes (RFC 792, RFC 4443): requests that nobody can guess, and only their own replies taken for replies.

Linux lets members of the groups in `net.ipv4.ping_group_range` have sockets for echoes alone; raw sockets, which hear
all ICMP of an address, take a privilege. The first way that is allowed is taken.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from monitor.core.model import Code
from monitor.net import Echo
from monitor.net.datagrams import DatagramSocket, open_datagrams
from monitor.net.reasons import probe_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.net.resolve import Address

_PROTOCOLS: dict[int, int] = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_REQUEST_AND_REPLY = {4: (8, 0), 6: (128, 129)}
_HEADER = 8
_TOKEN = 16  # bytes at the beginning of the payload that nobody can guess
_FORBIDDEN = (
    "the monitor may send no ICMP: put its group into the sysctl net.ipv4.ping_group_range, or give it CAP_NET_RAW"
)


class EchoSocket:
    """See `monitor.net.Echoes`."""

    def __init__(self, datagrams: DatagramSocket, *, raw: bool, size: int) -> None:
        """Own *datagrams*; requests have *size* bytes of payload, 16 at least."""
        self.ip = datagrams.ip
        self._datagrams = datagrams
        self._raw = raw
        self._version = 6 if ":" in self.ip else 4
        self._id = os.urandom(2)  # of a socket for echoes alone the system chooses another
        token = os.urandom(_TOKEN)
        self._payload = token + bytes(number & 0xFF for number in range(_TOKEN, size))

    async def send(self, sequence: int) -> None:
        """Send request number *sequence*."""
        kind, _ = _REQUEST_AND_REPLY[self._version]
        rest = self._id + sequence.to_bytes(2, "big") + self._payload
        checksum = _checksum(bytes([kind, 0, 0, 0]) + rest)
        await self._datagrams.send(bytes([kind, 0]) + checksum + rest)

    async def receive(self) -> Echo:
        """The next reply to a request of ours."""
        while True:
            data, hops = await self._datagrams.receive_with_hops()
            if self._version == 4 and data[:1] and data[0] >> 4 == 4:  # a raw socket gives the IP header, too
                data = data[(data[0] & 0x0F) * 4 :]
            if (sequence := self._sequence(data)) is not None:
                return Echo(sequence=sequence, hops=hops)

    def _sequence(self, data: bytes) -> int | None:
        """Which request the message *data* answers; None: none of ours, or not whole."""
        _, reply = _REQUEST_AND_REPLY[self._version]
        if data[:2] != bytes([reply, 0]) or data[_HEADER:] != self._payload:
            return None
        if self._raw and data[4:6] != self._id:
            return None
        return int.from_bytes(data[6:8], "big")

    def close(self) -> None:
        """Close; never blocks."""
        self._datagrams.close()


def open_echoes(addresses: Sequence[Address], size: int) -> EchoSocket:
    """A way to send echoes to the first of *addresses* to which there is one. Raises ProbeError."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            datagrams = open_datagrams(addresses, 0, kind=kind, protocols=_PROTOCOLS)
        except PermissionError:
            continue
        return EchoSocket(datagrams, raw=kind == socket.SOCK_RAW, size=size)
    raise probe_error(Code.INTERNAL, _FORBIDDEN, None)


def _checksum(message: bytes) -> bytes:
    """The Internet's checksum (RFC 1071) of *message*."""
    padded = message + bytes(len(message) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
