"""A probe is forgotten as it ends, whatever came of it: it leaves nothing for the garbage collector."""

from __future__ import annotations

import gc
import socket
import struct
from typing import TYPE_CHECKING

import pytest
import trio
from support.probes import answers, endpoint, http, serve

from checks.http import Http
from checks.websocket import WebSocket
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from monitor.api import Check

PROBES = 10


async def mute(_: trio.SocketStream) -> None:
    await trio.sleep(0.2)


async def says_junk(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"junk, and no hello")


async def resets(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("scheme", "server", "code"),
    [
        ("http", answers(http(200)), "ok"),
        ("http", answers(b"junk\r\n\r\n"), "protocol"),
        ("http", answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), "protocol"),
        ("http", mute, "timeout"),
        ("http", resets, "connect"),
        ("http", None, "connect"),
        ("https", says_junk, "tls"),
        ("ws", answers(b"junk\r\n\r\n"), "protocol"),
        ("ws", mute, "timeout"),
        ("ws", None, "connect"),
    ],
)
async def test_nothing_is_left_for_the_garbage_collector(
    nursery: trio.Nursery, scheme: str, server: object, code: str
) -> None:
    port = 1 if server is None else await serve(nursery, server)  # type: ignore[arg-type] # nobody listens at port 1
    url = f"{scheme}://127.0.0.1:{port}/"
    check: Check = WebSocket(url=url) if scheme == "ws" else Http(url=url)
    watched, net, clock = endpoint(check, timeout=0.1 if server is mute else 5), SocketNet(), SystemClock()
    for _ in range(2):  # what is made once stays
        assert (await probe_once(watched, net=net, clock=clock, mask=None)).reason.code == code
    await trio.sleep(0.3)
    gc.collect()
    gc.disable()
    try:
        for _ in range(PROBES):
            await probe_once(watched, net=net, clock=clock, mask=None)
        await trio.sleep(0.3)  # the server's side, too
        assert gc.collect() < PROBES
    finally:
        gc.enable()
