"""`addresses = "all"`: one verdict about all addresses of a name; loopback has plenty of them."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trio
from support.probes import answers, http, look
from test_tls import CA, ca_file, context

from checks.http import Http
from monitor.core.errors import ProbeError
from monitor.core.model import Code, Reason
from monitor.declaring import OptionError
from monitor.net.resolve import Address, Resolver, numeric
from monitor.net.sockets import SocketNet

__all__ = ["ca_file"]  # a fixture
if TYPE_CHECKING:
    from pathlib import Path

    from support.probes import Handler

    from monitor.api import Probe, Verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loopback has one address")

OK = answers(http(200, b'{"db": "ok"}'))
BAD = answers(http(503))


async def serve_at(nursery: trio.Nursery, *handlers: Handler | None) -> tuple[int, list[str]]:
    """Each of *handlers* at an address of its own, all on one port; None: nobody is there. The port and addresses."""
    ips = [f"127.0.1.{number}" for number in range(1, len(handlers) + 1)]
    port = 0
    for ip, handler in zip(ips, handlers, strict=True):
        if handler is not None:
            listeners = await trio.open_tcp_listeners(port, host=ip)
            port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(partial(trio.serve_listeners, contained(handler), listeners))
    return port, ips


def contained(handler: Handler) -> Handler:
    async def serve(stream: trio.SocketStream) -> None:
        try:
            async with stream:
                await handler(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    return serve


def net(ips: list[str]) -> SocketNet:
    def look_up(host: str) -> list[Address]:
        return [address for ip in ips if (address := numeric(ip)) is not None]

    return SocketNet(Resolver(look_up))


async def seen(nursery: trio.Nursery, *handlers: Handler | None, **settings: Any) -> Any:
    port, ips = await serve_at(nursery, *handlers)
    return await look(Http(url=f"http://shop.test:{port}/", addresses="all"), net=net(ips), **settings)


async def test_all_are_well(nursery: trio.Nursery) -> None:
    found = await seen(nursery, OK, OK, OK, expect=("json.db == 'ok'", "failing == 0", "size(addresses) == 3"))
    assert found.status == "up", found.reason
    assert found.facts["addresses"] == {"127.0.1.1": "ok", "127.0.1.2": "ok", "127.0.1.3": "ok"}
    assert list(found.phases) == ["resolve", "connect", "processing", "transfer"]
    assert found.facts["ip"] in found.facts["addresses"]
    assert found.duration >= sum(found.phases.values()) * 0.9


async def test_which_fail_and_why(nursery: trio.Nursery) -> None:
    found = await seen(nursery, OK, BAD, None, BAD, OK)
    assert (found.status, found.reason.code, found.reason.phase) == ("down", "expectation", "processing")
    assert found.reason.message.startswith(
        "3 of 5 addresses fail: 127.0.1.2, 127.0.1.4: expected status 200-299, got 503; "
        "127.0.1.3: connection refused (127.0.1.3:"
    )
    assert found.facts["failing"] == 3
    assert found.facts["addresses"]["127.0.1.4"] == "expected status 200-299, got 503"
    assert found.facts["status"] == 200


async def test_one_that_is_mute_hides_none_of_the_others(nursery: trio.Nursery) -> None:
    found = await seen(nursery, OK, answers(then="hold"), BAD, timeout=2.0)
    assert (found.status, found.reason.code, found.reason.phase) == ("down", "timeout", "processing")
    assert re.fullmatch(
        r"2 of 3 addresses fail: 127.0.1.2: no answer within 1(.\d)? s \(during processing\); "
        r"127.0.1.3: expected status 200-299, got 503",
        found.reason.message,
    )


async def test_what_is_expected_is_expected_of_each(nursery: trio.Nursery) -> None:
    stale = answers(http(200, b'{"db": "stale"}'))
    found = await seen(nursery, OK, stale, expect=("json.db == 'ok'", "latency < duration('1h')"))
    assert (found.status, found.reason.code) == ("down", "expectation")
    assert found.reason.message == (
        "1 of 2 addresses fails: 127.0.1.2: expected json.db == 'ok', got json.db = \"stale\""
    )


async def test_how_many_may_fail_is_for_the_config_to_say(nursery: trio.Nursery) -> None:
    enough = {"expect": ("failing < 2", "status == 200"), "degraded": ("failing == 0",)}
    assert (await seen(nursery, OK, OK, **enough)).status == "up"
    some = await seen(nursery, OK, None, **enough)
    assert (some.status, some.reason.message) == ("degraded", "expected failing == 0, got failing = 1")
    many = await seen(nursery, OK, None, None, **enough)
    assert (many.status, many.reason.message) == ("down", "expected failing < 2, got failing = 2")


async def test_certificates_differ_from_one_to_the_other(nursery: trio.Nursery, ca_file: Path) -> None:
    good, bad = (context(CA.issue_cert(name)) for name in ("shop.test", "other.test"))
    port, ips = 0, ["127.0.1.1", "127.0.1.2"]
    for ip, made in zip(ips, (good, bad), strict=True):
        listeners = await trio.open_ssl_over_tcp_listeners(port, made, host=ip)
        port = listeners[0].transport_listener.socket.getsockname()[1]

        async def handler(stream: trio.SSLStream[trio.SocketStream]) -> None:
            try:
                await OK(stream)  # type: ignore[arg-type] # it takes any stream
            except trio.BrokenResourceError:
                pass
            finally:
                await trio.aclose_forcefully(stream)

        nursery.start_soon(partial(trio.serve_listeners, handler, listeners))
    check = Http(url=f"https://shop.test:{port}/", addresses="all", ca_file=ca_file)
    found = await look(check, net=net(ips))
    assert (found.status, found.reason.code, found.reason.phase) == ("down", "tls", "tls")
    assert found.reason.message == (
        "1 of 2 addresses fails: 127.0.1.2: certificate is for another host name (shop.test)"
    )


async def test_more_than_can_be_looked_at(nursery: trio.Nursery) -> None:
    found = await look(
        Http(url="http://shop.test/", addresses="all"), net=net([f"127.0.2.{number}" for number in range(1, 34)])
    )
    assert (found.reason.code, found.reason.message) == ("limit", "expected a name with at most 32 addresses, got 33")


class NoDescriptors(SocketNet):
    """A net of a machine in trouble, at one address."""

    async def connect(self, host: str, port: int, *, addressing: Any, **more: Any) -> Any:
        if addressing.address == "127.0.1.2":
            raise ProbeError(Reason(Code.INTERNAL, "connect", "the monitor has no free file descriptor"))
        return await super().connect(host, port, addressing=addressing, **more)


async def test_the_monitors_own_trouble_makes_none_fail(nursery: trio.Nursery) -> None:
    def look_up(host: str) -> list[Address]:
        return [address for ip in ips if (address := numeric(ip)) is not None]

    port, ips = await serve_at(nursery, OK, OK)
    found = await look(Http(url=f"http://shop.test:{port}/", addresses="all"), net=NoDescriptors(Resolver(look_up)))
    assert (found.status, found.reason.code) == ("unknown", "internal")
    assert found.facts["failing"] == 0


def test_a_proxy_connects_by_itself() -> None:
    with pytest.raises(OptionError, match="expected no proxy beside addresses"):
        Http(url="http://shop.test/", addresses="all", proxy="http://proxy.test:3128")


class Counted(Http):
    """Somebody's own: it does more than `http` around each probe."""

    probes: ClassVar[int] = 0

    async def probe(self, probe: Probe) -> Verdict:
        type(self).probes += 1
        return await super().probe(probe)


async def test_a_class_that_somebody_derives_probes_once_for_all(nursery: trio.Nursery) -> None:
    port, ips = await serve_at(nursery, OK, OK)
    found = await look(Counted(url=f"http://shop.test:{port}/", addresses="all"), net=net(ips))
    assert (found.status, len(found.facts["addresses"]), Counted.probes) == ("up", 2, 1)
