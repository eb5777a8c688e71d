"""Names, addresses and connections: look-ups shared and bounded, every address tried, each vetted."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.probes import answers, endpoint, http, serve

from checks.http import Http
from monitor.core.model import Code, Reason
from monitor.core.quantities import Lifetime
from monitor.net.resolve import Address, Resolver
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.core.model import Observation


def v4(*ips: str) -> list[Address]:
    return [Address(socket.AF_INET, ip) for ip in ips]


async def look_by(
    look_up: Callable[[str], list[Address]] | Resolver, url: str, timeout: float = 5, **options: Any
) -> Observation:
    resolver = look_up if isinstance(look_up, Resolver) else Resolver(look_up)
    return await probe_once(
        endpoint(Http(url=url, **options), timeout=timeout), net=SocketNet(resolver), clock=SystemClock(), mask=None
    )


async def test_a_dead_address_beside_one_that_lives(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200)))
    seen = await look_by(lambda _: v4("127.9.9.9", "127.0.0.1"), f"http://two.example:{port}/")
    assert (seen.status, seen.facts["ip"]) == ("up", "127.0.0.1")


async def test_a_mute_address_does_not_hold_up_the_next(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200)))
    with socket.socket() as full:
        # A listener whose backlog is full answers no further attempt: the kernel drops them.
        full.bind(("127.0.0.2", port))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(("127.0.0.2", port))
        seen = await look_by(lambda _: v4("127.0.0.2", "127.0.0.1"), f"http://two.example:{port}/")
        for each in fillers:
            each.close()
    assert (seen.status, seen.facts["ip"]) == ("up", "127.0.0.1")
    assert seen.phases["connect"] >= 0.2


async def test_when_every_address_fails_the_first_is_named() -> None:
    seen = await look_by(lambda _: v4("127.0.0.3", "127.0.0.4"), "http://two.example:1/")
    assert (seen.reason.code, seen.reason.message) == ("connect", "connection refused (127.0.0.3:1)")


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "down", "dns", "no such host: it.example"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "down", "dns",
         "the name server did not answer or failed for now: it.example"),
        (socket.gaierror(socket.EAI_MEMORY, "x"), "unknown", "internal", "the machine has no free memory"),
        (OSError(24, "x"), "unknown", "internal", "the monitor has no free file descriptor"),
        (UnicodeError("label too long"), "down", "dns", "not a valid host name: it.example"),
    ],
)  # fmt: skip
async def test_what_the_resolver_says(error: Exception, status: str, code: str, message: str) -> None:
    def fail(_: str) -> list[Address]:
        raise error

    seen = await look_by(fail, "http://it.example/")
    assert (seen.status, seen.reason.code, seen.reason.phase) == (status, code, "resolve")
    assert seen.reason.message == message


async def test_one_look_up_serves_all_who_ask_and_outlives_who_gives_up(nursery: trio.Nursery) -> None:
    asked: list[str] = []
    go = threading.Event()

    def slow(host: str) -> list[Address]:
        asked.append(host)
        go.wait(5)
        return v4("127.0.0.1")

    resolver = Resolver(slow, workers=1)
    port = await serve(nursery, answers(http(200)))
    url = f"http://slow.example:{port}/"
    hasty = await look_by(resolver, url, timeout=0.1)
    assert hasty.reason.message == "no answer within 100 ms (during resolve)"
    seen: list[Observation] = []

    async def patient() -> None:
        seen.append(await look_by(resolver, url))

    async with trio.open_nursery() as asking:
        for _ in range(3):
            asking.start_soon(patient)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert [each.status for each in seen] == ["up"] * 3
    assert asked == ["slow.example"]


async def test_no_free_dns_worker_is_the_monitors_own_trouble(nursery: trio.Nursery) -> None:
    go = threading.Event()

    def stuck(_: str) -> list[Address]:
        go.wait(5)
        return []

    impossible = "x" * 64  # no config may say so, but a server
    port = await serve(nursery, answers(http(302, b"", f"Location: http://{impossible}/")))
    resolver = Resolver(stuck, workers=2)
    results: dict[str, Observation] = {}

    async def look_at(url: str) -> None:
        results[url] = await look_by(resolver, url, timeout=0.2)

    urls = "http://a.example/", "http://b.example/", "http://c.example/", f"http://127.0.0.1:{port}/"
    async with trio.open_nursery() as looking:
        for url in urls:
            looking.start_soon(look_at, url)
            await trio.testing.wait_all_tasks_blocked()
    go.set()
    assert [results[url].status for url in urls] == ["down", "down", "unknown", "down"]
    assert results[urls[2]].reason.message == "no DNS worker was free in time"
    assert results[urls[3]].reason == Reason(Code.DNS, "resolve", f"not a valid host name: {impossible}")


async def test_a_redirect_is_vetted_on_the_addresses_it_resolves_to(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(302, b"", "Location: http://inside.example/")))
    hosts = {"out.example": "127.0.0.1", "inside.example": "169.254.169.254"}
    seen = await look_by(lambda host: v4(hosts[host]), f"http://out.example:{port}/")
    assert (seen.reason.code, seen.reason.message) == (
        "policy",
        "redirect to the link-local or metadata address 169.254.169.254",
    )


async def test_a_look_up_is_kept_as_long_as_dns_ttl_says_and_not_at_all_by_default(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200)))
    asked: list[str] = []

    def look_up(host: str) -> list[Address]:
        asked.append(host)
        return v4("127.0.0.1")

    net, clock = SocketNet(Resolver(look_up)), SystemClock()
    url = f"http://it.example:{port}/"
    for ttl, look_ups in ((Lifetime(0), 3), (Lifetime(60), 1), (Lifetime(1e-6), 3)):
        asked.clear()
        for _ in range(3):
            seen = await probe_once(endpoint(Http(url=url, dns_ttl=ttl)), net=net, clock=clock, mask=None)
            assert seen.status == "up"
        assert len(asked) == look_ups, ttl


async def test_only_the_ip_version_that_is_wanted_is_connected_to(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200)))
    url = f"http://it.example:{port}/"
    resolver = Resolver(lambda _: [Address(socket.AF_INET6, "::2"), *v4("127.0.0.1")])
    net, clock = SocketNet(resolver), SystemClock()
    four = await probe_once(endpoint(Http(url=url, ip_version=4)), net=net, clock=clock, mask=None)
    assert (four.status, four.facts["ip"]) == ("up", "127.0.0.1")
    six = await probe_once(endpoint(Http(url=url, ip_version=6)), net=net, clock=clock, mask=None)
    assert six.reason.message.endswith(f"([::2]:{port})"), six.reason
    none = await look_by(lambda _: v4("127.0.0.1"), url, ip_version=6)
    assert (none.status, none.reason.code, none.reason.phase) == ("down", "dns", "resolve")
    assert none.reason.message == "expected an IPv6 address, there is none: it.example"
