"""Messages on a socket between two processes: four bytes of length, and JSON or whatever else was agreed upon."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    import trio

HEAD = struct.Struct("!I")


class FrameError(Exception):
    """What came is no frame, or one that is too long."""


def framed(body: bytes) -> bytes:
    """*body* as it goes over the wire."""
    return HEAD.pack(len(body)) + body


def receive(sock: socket.socket) -> bytes | None:
    """Wait for the next frame of a blocking socket; None at the end."""
    head = _exactly(sock, HEAD.size)
    return None if head is None else _exactly(sock, HEAD.unpack(head)[0])


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        more = sock.recv(min(size - len(data), 1 << 16))
        if not more:
            return None
        data += more
    return bytes(data)


async def next_frame(stream: trio.SocketStream, *, most: int) -> bytes | None:
    """Wait for the next frame; None at the end, also in the middle of one. Raises FrameError above *most* bytes."""
    head = await _some(stream, HEAD.size)
    if head is None:
        return None
    (size,) = HEAD.unpack(head)
    if size > most:
        raise FrameError(f"expected at most {most} bytes, got {size}")
    return await _some(stream, size)


async def _some(stream: trio.SocketStream, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        more = await stream.receive_some(min(size - len(data), 1 << 16))
        if not more:
            return None
        data += more
    return bytes(data)
