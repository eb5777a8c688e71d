"""The udp check: an answer, a refusal, and silence, which may mean anything."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from support.probes import look_calmly as look

from checks.udp import Udp
from monitor.core.quantities import Duration
from monitor.declaring import OptionError
from monitor.testing import look as look_without_network

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.core.model import Observation


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


async def serve(nursery: trio.Nursery, answers: Callable[[bytes], list[bytes]], host: str = "127.0.0.1") -> int:
    """Answer each datagram as *answers* says; returns the port."""
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    datagrams = trio.socket.socket(family, trio.socket.SOCK_DGRAM)
    await datagrams.bind((host, 0))

    async def run() -> None:
        with datagrams:
            while True:
                data, client = await datagrams.recvfrom(65535)
                for each in answers(data):
                    await datagrams.sendto(each, client)

    nursery.start_soon(run)
    return int(datagrams.getsockname()[1])


def told(seen: Observation) -> tuple[str, str, str]:
    return str(seen.status), str(seen.reason.code), seen.reason.message


async def test_an_answer(nursery: trio.Nursery) -> None:
    port = await serve(nursery, lambda data: [b"pong \xff" if data == b"ping" else b"what?"])
    check = Udp(url=f"udp://127.0.0.1:{port}", send="ping")
    seen = await look(check, expect=("text.startsWith('pong')", "hex == '706f6e6720ff'", "size == 6", "answered"))
    assert told(seen) == ("up", "ok", "")
    assert seen.facts == {"ip": "127.0.0.1", "answered": True, "size": 6}
    assert list(seen.phases) == ["resolve", "setup", "processing"]
    wrong = await look(Udp(url=f"udp://127.0.0.1:{port}", send_hex="70 6f"), expect=("text == 'pong'",))
    assert told(wrong) == ("down", "expectation", "expected text == 'pong', got text = \"what?\"")


@needs_ipv6
async def test_by_ipv6_and_by_name(nursery: trio.Nursery) -> None:
    port = await serve(nursery, lambda _: [b"x" * 60_000], "::1")
    seen = await look(Udp(url=f"udp://[::1]:{port}", send="x"))
    assert (seen.status, seen.facts["ip"], seen.facts["size"]) == ("up", "::1", 60_000)
    named = await look(Udp(url=f"udp://example.test:{port}", send="x", address="::1"))
    assert named.status == "up", named.reason


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("[::1]", marks=needs_ipv6)])
async def test_nobody_listens_there(host: str) -> None:
    seen = await look(Udp(url=f"udp://{host}:1"))
    assert told(seen) == ("down", "connect", f"connection refused ({host}:1)")
    silent_is_right = await look(Udp(url=f"udp://{host}:1", quiet=Duration(3)))
    assert silent_is_right.reason.code == "connect"


async def test_what_silence_means(nursery: trio.Nursery) -> None:
    url = f"udp://127.0.0.1:{await serve(nursery, lambda _: [])}"
    asked = await look(Udp(url=url, send="ping"), timeout=0.3)
    assert told(asked)[:2] == ("down", "timeout")
    assert asked.reason.message.startswith("expected an answer, nothing came within ")
    nothing_said = await look(Udp(url=url), timeout=0.3)
    assert told(nothing_said)[:2] == ("unknown", "internal")
    assert "which says nothing of UDP" in nothing_said.reason.message
    right = await look(Udp(url=url, quiet=Duration(0.1)))
    assert told(right) == ("up", "ok", "")
    loud = await look(Udp(url=url, quiet=Duration(0.1)), expect=("answered",))
    assert told(loud)[:2] == ("down", "expectation")


async def test_the_socket_is_closed_whatever_comes(nursery: trio.Nursery) -> None:
    url = f"udp://127.0.0.1:{await serve(nursery, lambda _: [])}"
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        assert (await look(Udp(url=url, send="x"), timeout=0.1)).reason.code == "timeout"
        assert (await look(Udp(url="udp://127.0.0.1:1"), timeout=5)).reason.code == "connect"
    assert len(list(Path("/dev/fd").iterdir())) == before


async def test_a_stranger_is_not_heard(nursery: trio.Nursery) -> None:
    stranger = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    datagrams = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    await datagrams.bind(("127.0.0.1", 0))

    async def run() -> None:
        with datagrams, stranger:
            _, client = await datagrams.recvfrom(100)
            await stranger.sendto(b"lie", client)
            await datagrams.sendto(b"truth", client)

    nursery.start_soon(run)
    check = Udp(url=f"udp://127.0.0.1:{datagrams.getsockname()[1]}", send="?")
    assert (await look(check, expect=("text == 'truth'",))).status == "up"


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"url": "udp://127.0.0.1"}, "url"),
        ({"url": "udp://127.0.0.1:9/x"}, "url"),
        ({"url": "tcp://127.0.0.1:9"}, "url"),
        ({"url": "udp://127.0.0.1:9", "send_hex": "abc"}, "send_hex"),
        ({"url": "udp://127.0.0.1:9", "send_hex": "00", "send": "x"}, "send_hex"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        Udp(**options)
    assert caught.value.option == option


def test_the_test_kit_has_streams_alone() -> None:
    assert look_without_network(Udp(url="udp://example.test:9")).reason.code == "connect"
