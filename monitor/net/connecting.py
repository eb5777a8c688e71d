"""Connections by TCP: to the first of several addresses that answers."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

import trio

from monitor.core.errors import ProbeError
from monitor.core.text import host_and_port
from monitor.net.driven import by_trio, writable
from monitor.net.reasons import from_connect, from_stream, own_trouble
from monitor.net.records import Connection
from monitor.net.resolve import interleaved
from monitor.net.stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from monitor.net.resolve import Address

_HEAD_START = 0.25  # seconds an address gets before the next is tried beside it (RFC 8305)
# Linux makes a socket non-blocking as it is made; elsewhere it takes a second call.
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_STREAM = socket.SOCK_STREAM | _NONBLOCK | getattr(socket, "SOCK_CLOEXEC", 0)
_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})
_UNDER_WAY = _IN_PROGRESS | {errno.EALREADY}
_TELLS_WHEN_ASKED = sys.platform == "linux"  # what a second `connect` does there is documented; elsewhere it varies


def connect_any(addresses: Sequence[Address], port: int) -> Coroutine[Any, Any, SocketStream]:
    """Connect to the first of *addresses* that answers, each with a head start over the next (RFC 8305).

    Raises ProbeError: that of the first address, as the one that was preferred.
    """
    if len(addresses) == 1:
        return _connect(addresses[0], port)
    return by_trio(_race, addresses, port)


async def _race(addresses: Sequence[Address], port: int) -> SocketStream:
    winner: SocketStream | None = None
    errors: dict[int, ProbeError] = {}

    async def attempt(index: int, failed: trio.Event) -> None:
        nonlocal winner
        try:
            stream = await _connect(ordered[index], port)
        except ProbeError as exc:
            errors[index] = exc
            failed.set()
            return
        if winner is None:
            winner = stream
            attempts.cancel_scope.cancel()
        else:
            stream.close()

    ordered = interleaved(addresses)
    try:
        async with trio.open_nursery() as attempts:
            for index in range(len(ordered)):
                failed = trio.Event()
                attempts.start_soon(attempt, index, failed)
                with trio.move_on_after(_HEAD_START):
                    await failed.wait()
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    if winner is None:
        raise errors[min(errors)]
    return winner


async def _connect(address: Address, port: int) -> SocketStream:
    try:
        connection = Connection(address.family, _STREAM)
    except OSError as exc:
        raise own_trouble(exc) or from_connect(exc.errno or 0, host_and_port(address.ip, port), at_once=True) from exc
    if not _NONBLOCK:
        connection.setblocking(False)
    stream = SocketStream(connection, address.ip)
    try:
        where = address.sockaddr(port)
        number = connection.connect_ex(where)
        at_once = number != 0
        if number in _IN_PROGRESS:
            at_once = False
            if _TELLS_WHEN_ASKED:
                # Over loopback it is there by now, and to ask again costs less than to wait for what has happened.
                number = connection.connect_ex(where)
            if number in _UNDER_WAY:
                await writable(connection)
                number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number != 0:
            raise from_connect(number, host_and_port(address.ip, port), at_once=at_once)
    except OSError as exc:
        stream.close()
        raise from_stream(exc, "connect") from exc
    except BaseException:
        stream.close()
        raise
    return stream
