"""What one row cannot show: addresses dressed up as others, and evidence that does not come."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.probes import answers, http, look, serve

from checks.http import Http
from hostile.rows import ending
from hostile.servers_tls import EXPIRED, secure
from monitor.net.reactor import drive
from monitor.net.sockets import SocketNet

if TYPE_CHECKING:
    from monitor.net import Stream, Trace, Vet


class Elsewhere:
    """A net in which each host of the table has that address, and is served from loopback all the same."""

    drive = staticmethod(drive)

    def __init__(self, **hosts: str) -> None:
        self._hosts = hosts
        self._net = SocketNet()

    async def connect(self, host: str, port: int, *, trace: Trace, vet: Vet | None = None, **more: Any) -> Stream:
        ip = self._hosts[host.removesuffix(".test")]
        if vet is not None:
            vet(ip)
        stream = await self._net.connect("127.0.0.1", port, trace=trace, **more)
        trace.facts["ip"] = ip
        return stream


async def redirected(nursery: trio.Nursery, origin: str, ip: str, *, allow_private: bool) -> tuple[str, str]:
    """What becomes of a redirect from the address *origin* to *ip*."""
    inside = await serve(nursery, answers(http(200)))
    outside = await serve(nursery, answers(http(302, b"", f"Location: http://inside.test:{inside}/")))
    check = Http(url=f"http://outside.test:{outside}/", allow_private=allow_private)
    seen = await look(check, net=Elsewhere(outside=origin, inside=ip))
    return str(seen.reason.code), seen.reason.message


@pytest.mark.parametrize(
    "ip",
    [
        "10.0.0.1", "172.16.0.1", "192.168.1.1", "127.0.0.1", "100.64.0.1", "0.0.0.0", "::1", "fd00::1", "::",
        "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "2002:a00:1::1",
        "2001:0:808:808::f5ff:fffe", "2a00:1450::5efe:a00:1",
    ],
)  # fmt: skip
async def test_no_redirect_from_public_to_private_in_whatever_clothes(nursery: trio.Nursery, ip: str) -> None:
    message = f"redirect from a public to the private address {ip}, which allow_private does not allow"
    assert await redirected(nursery, "93.184.215.14", ip, allow_private=False) == ("policy", message)
    assert await redirected(nursery, "93.184.215.14", ip, allow_private=True) == ("ok", "")
    assert await redirected(nursery, "10.9.9.9", ip, allow_private=False) == ("ok", "")


@pytest.mark.parametrize("ip", ["8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
async def test_a_redirect_to_a_public_address_is_followed(nursery: trio.Nursery, ip: str) -> None:
    assert await redirected(nursery, "93.184.215.14", ip, allow_private=False) == ("ok", "")


@pytest.mark.parametrize("ip", ["169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"])
async def test_metadata_stays_out_of_reach_even_where_private_is_allowed(nursery: trio.Nursery, ip: str) -> None:
    for origin in ("93.184.215.14", "10.9.9.9"):
        code, message = await redirected(nursery, origin, ip, allow_private=True)
        assert (code, message) == ("policy", f"redirect to the link-local or metadata address {ip}")


async def test_a_second_look_that_hangs_does_not_hide_the_first(nursery: trio.Nursery) -> None:
    visits = 0

    async def handler(stream: trio.SocketStream) -> None:
        nonlocal visits
        visits += 1
        if visits > 1:
            await ending(stream, "hold")
        else:
            with pytest.raises((trio.BrokenResourceError, ssl.SSLError)):
                await secure(EXPIRED, answers(http(200)))(stream)

    port = await serve(nursery, handler)
    seen = await look(Http(url=f"https://127.0.0.1:{port}/"), timeout=0.5)
    assert (seen.reason.code, seen.reason.phase) == ("tls", "tls"), seen.reason
    assert visits == 2
