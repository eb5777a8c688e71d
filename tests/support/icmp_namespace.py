"""ICMP where nobody else answers: a network namespace whose kernel is silent, and a server with moods in its place.

    unshare --map-root-user --net python -m support.icmp_namespace WAY MOOD…

probes 127.0.0.1 once for each mood and prints the observations as one line of JSON, each with the CPU time it took. WAY
is `datagram`, `raw` or `none`.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from checks.icmp import Icmp
from support.probes import look_calmly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HOME = "127.0.0.1"
_SYSCTL = Path("/proc/sys/net/ipv4")


def with_checksum(message: bytes) -> bytes:
    """*message* with its checksum made right."""
    message = message[:2] + b"\0\0" + message[4:]
    words = struct.unpack(f">{len(message) // 2}H", message[: len(message) // 2 * 2])
    total = sum(words) + (message[-1] << 8 if len(message) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return message[:2] + struct.pack(">H", ~total & 0xFFFF) + message[4:]


def reply(request: bytes) -> bytes:
    return with_checksum(b"\0\0" + request[2:])


def unreachable(request: bytes) -> bytes:
    """What a router says, with the beginning of the datagram that it is about."""
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(request), 0, 0, 64, 1, 0, *[socket.inet_aton(_HOME)] * 2)
    return with_checksum(b"\3\1\0\0" + bytes(4) + header + request[:8])


def other(request: bytes, at: int, value: bytes) -> bytes:
    return with_checksum(request[:at] + value + request[at + len(value) :])


MOODS: dict[str, Callable[[bytes, int], Iterator[bytes]]] = {
    "good": lambda request, _: iter([reply(request)]),
    "mute": lambda request, _: iter([]),
    "twice": lambda request, _: iter([reply(request)] * 2),
    "truncated": lambda request, _: iter([with_checksum(reply(request)[:-8]), reply(request)[:6]]),
    "foreign id": lambda request, _: iter([other(reply(request), 4, b"\xff\xff")]),
    "foreign payload": lambda request, _: iter([other(reply(request), 8, b"\0\0\0\0")]),
    "foreign sequence": lambda request, _: iter([other(reply(request), 6, b"\x7f\x7f")]),
    "an echo of the request": lambda request, _: iter([request]),
    "first lost": lambda request, number: iter([reply(request)] if number else []),
    "unreachable": lambda request, _: iter([unreachable(request)]),
    "unreachable, then silence": lambda request, number: iter([] if number else [unreachable(request)]),
    "flood": lambda request, _: iter([*[other(reply(request), 8, b"\0\0\0\0")] * 100, reply(request)]),
}


async def serve(mood: str, ip: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Answer requests to *ip* in the kernel's place."""
    number = 0
    with trio.socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        await raw.bind((ip, 0))
        task_status.started()
        seen: set[bytes] = set()
        while True:
            packet, (client, _) = await raw.recvfrom(65535)
            request = packet[20:]
            if request[:1] != b"\x08" or request in seen:
                continue  # no request, or our own echo of one
            seen.add(request)
            for each in MOODS[mood](request, number):
                await raw.sendto(each, (client, 0))
            number += 1


def prepare(way: str) -> None:
    """Bring loopback up, silence the kernel, allow the *way*."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 0x1 | 0x40, b""))  # SIOCSIFFLAGS: up, running
    (_SYSCTL / "icmp_echo_ignore_all").write_text("1")
    if way == "datagram":  # else nobody is allowed to, as in every new namespace
        (_SYSCTL / "ping_group_range").write_text("0 0")


async def main(way: str, moods: list[str]) -> None:
    prepare(way)
    found: dict[str, Any] = {}

    async def one(mood: str, ip: str, timeout: float) -> None:
        async with trio.open_nursery() as nursery:
            if way != "none":
                await nursery.start(serve, mood, ip)
            began = time.process_time()
            seen = await look_calmly(Icmp(url=f"icmp://{ip}", count=2), timeout=timeout)
            spent = time.process_time() - began
            found[mood] = [str(seen.status), str(seen.reason.code), seen.reason.message, dict(seen.facts), spent]
            nursery.cancel_scope.cancel()

    for mood in moods:
        if mood not in IN_VAIN:
            await one(mood, _HOME, 2.0)
    async with trio.open_nursery() as together:
        for number, mood in enumerate(moods):
            if mood in IN_VAIN:
                together.start_soon(one, mood, f"127.0.0.{number + 2}", 2.0 if mood == "first lost" else 1.0)
    print(json.dumps(found))


# Moods in which something is waited for in vain; together, which takes no longer than one.
IN_VAIN = MOODS.keys() - {"good", "twice", "flood", "unreachable", "unreachable, then silence"}

if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2:])
