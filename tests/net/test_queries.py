"""Names by a name server of the config's choice: what it does, and what is told of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trustme
from support.nameserver import ODD, PLAIN, NameServer
from support.probes import answers, endpoint, http, serve

from checks.http import Http
from checks.websocket import WebSocket
from monitor.core.quantities import Lifetime
from monitor.net.nameservers import NameServer as Chosen
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    import dns.message

    from monitor.core.model import Observation


@attrs.frozen
class Place:
    """A name server, a web server, and one net to reach them by."""

    names: NameServer
    web: int
    net: SocketNet = attrs.field(factory=SocketNet)

    async def look(
        self, mood: str, *, transport: str = "udp", timeout: float = 10, kind: Any = Http, **options: Any
    ) -> Observation:
        """Probe `mood.test`."""
        port = self.names.tls_port if transport == "tls" else self.names.port
        wanted = {"dns_resolver": f"{transport}://127.0.0.1:{port}", **options}
        scheme = "ws" if kind is WebSocket else "http"
        check = kind(url=f"{scheme}://{mood}.test:{self.web}/", **wanted)
        return await probe_once(endpoint(check, timeout=timeout), net=self.net, clock=SystemClock(), mask=None)

    async def told(self, mood: str, **more: Any) -> str:
        """What is wrong with `mood.test`, without what differs between two runs."""
        seen = await self.look(mood, **more)
        if seen.status != "up":
            assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "dns", "resolve"), seen.reason
        ending = f": {mood}.test, asked 127.0.0.1:{self.names.port}"
        assert seen.reason.message.endswith(ending) or seen.status == "up", seen.reason
        return re.sub(r" within [0-9.]+ m?s$", "", seen.reason.message.removesuffix(ending)) or "up"


@pytest.fixture
async def place(nursery: trio.Nursery) -> Place:
    return Place(await NameServer().start(nursery), await serve(nursery, answers(http(200))))


MUTE = "the name server did not answer"
CANNOT_READ = "the name server's answer cannot be read"
ANOTHER = "the name server answered another question"
FAR = "the aliases (CNAME) of the name lead in circles, or too far"
TOLD = {
    "good": "up",
    "aliased": "up",
    "circular": FAR,
    "far": FAR,
    "nxdomain": "no such host (NXDOMAIN)",
    "servfail": "the name server failed (SERVFAIL)",
    "refused": "the name server refused to answer (REFUSED)",
    "formerr": "the name server did not understand the question (FORMERR)",
    "notauth": "the name server answered NOTAUTH",
    "nodata": "the name has no address",
    "servfail-v6": "up",
    "short-lived": "up",
    "mute": MUTE,
    "mute-v6": "up",
    "wrong-id": MUTE,
    "wrong-id-first": "up",
    "flood": MUTE,
    "spoofed": "up",
    "other-question": "up",
    "echo": MUTE,
    "short": MUTE,
    "garbage": CANNOT_READ,
    "pointing-at-itself": CANNOT_READ,
    "pointing-forward": CANNOT_READ,
    "liar": CANNOT_READ,
    "tc-good": "up",
    "tc-many": "up",
    "tc-closed": "the name server closed the connection in the middle of its answer",
    "tc-cut": "the name server closed the connection in the middle of its answer",
    "tc-drip": MUTE,
    "tc-mute": MUTE,
    "tc-wrong-id": ANOTHER,
    "tc-other-question": ANOTHER,
    "tc-garbage": CANNOT_READ,
    "tc-again": "the name server cut its answer off, by TCP as well",
}


@pytest.mark.parametrize(("mood", "message"), TOLD.items(), ids=TOLD)
async def test_what_is_told(place: Place, mood: str, message: str) -> None:
    assert await place.told(mood, timeout=1 if message == MUTE else 10) == message


def test_every_mood_is_looked_at() -> None:
    # Those not in the table have a test of their own below, or among the hostile servers.
    assert (PLAIN.keys() | ODD.keys()) - TOLD.keys() == {
        *("metadata", "many", "lost", "rebinding", "tc-huge"),
        *("zone", "_sip", "7"),  # of tests of the dns check
    }


async def test_a_question_that_was_lost_is_asked_again(place: Place) -> None:
    assert (await place.look("lost", timeout=5)).status == "up"


async def test_what_is_too_large_is_not_read(place: Place) -> None:
    seen = await place.look("tc-huge")
    assert (seen.reason.code, seen.reason.phase) == ("limit", "resolve")
    assert seen.reason.message.startswith("the name server's answer is larger than 4 KiB: tc-huge.test")


async def test_by_tcp_alone(place: Place) -> None:
    assert (await place.look("good", transport="tcp")).status == "up"
    assert place.names.asked["good.test.", "A", "stream"] == 1
    assert place.names.asked["good.test.", "A"] == 0
    assert await place.told("servfail", transport="tcp") == "the name server failed (SERVFAIL)"


async def test_by_tls(nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    ca, made = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1", "dns.example.org").configure_cert(made)
    names = await NameServer().start(nursery, tls=made)
    web = await serve(nursery, answers(http(200)))
    distrusted = await Place(names, web).look("good", transport="tls")
    assert (distrusted.status, distrusted.reason.code, distrusted.reason.phase) == ("down", "dns", "resolve")
    assert "the name server cannot be asked: certificate" in distrusted.reason.message
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    place = Place(names, web)
    seen = await place.look("good", transport="tls")
    assert seen.status == "up", seen.reason
    assert list(seen.phases)[:2] == ["resolve", "connect"]
    assert "tls_version" not in seen.facts
    wanted = f"tls://127.0.0.1:{names.tls_port}#"
    assert (await place.look("good", dns_resolver=f"{wanted}dns.example.org")).status == "up"
    assert "another host name" in (await place.look("good", dns_resolver=f"{wanted}other.example")).reason.message


async def test_by_websocket_too(place: Place) -> None:
    seen = await place.look("good", kind=WebSocket)
    assert seen.reason.message == "expected status 101, got 200"


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_nobody_listens_there(transport: str) -> None:
    place = Place(NameServer(port=1, tls_port=1), 1)
    seen = await place.look("good", transport=transport)
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "dns", "resolve")
    assert seen.reason.message.startswith("the name server cannot be asked: connection refused")


async def test_answers_are_kept_as_long_as_both_sides_allow(place: Place) -> None:
    for mood, ttl, questions in (("good", 60, 1), ("good--b", 0, 3), ("short-lived", 60, 3), ("nxdomain", 60, 3)):
        for _ in range(3):
            await place.look(mood, dns_ttl=Lifetime(ttl))
        assert place.names.asked[f"{mood}.test.", "A"] == questions, mood


async def test_only_one_family_is_asked_for(place: Place) -> None:
    assert (await place.look("good", ip_version=4)).status == "up"
    assert await place.told("good", ip_version=6) == "the name has no IPv6 address"
    assert place.names.asked["good.test.", "A"] == place.names.asked["good.test.", "AAAA"] == 1


async def test_who_is_no_name_is_not_asked_for(place: Place) -> None:
    seen = await place.look("good", address="127.0.0.1")
    assert seen.status == "up"
    assert not place.names.asked
    elsewhere = await place.look("nxdomain", address="good.test")
    assert elsewhere.status == "up"


async def test_a_second_answer_that_differs_is_vetted(nursery: trio.Nursery) -> None:
    names = await NameServer().start(nursery)
    web = await serve(nursery, answers(http(302, b"", "Location: /next")))
    seen = await Place(names, web).look("rebinding")
    assert (seen.reason.code, seen.reason.message) == (
        "policy",
        "redirect to the link-local or metadata address 169.254.169.254",
    )


async def test_many_at_once_each_ask_for_themselves(place: Place) -> None:
    seen: list[Observation] = []

    async def one(number: int) -> None:
        seen.append(await place.look(f"good--{number}", timeout=10))

    async with trio.open_nursery() as together:
        for number in range(50):
            together.start_soon(one, number)
    assert [each.status for each in seen] == ["up"] * 50


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("udp://192.0.2.1", Chosen("udp", "192.0.2.1", 53)),
        ("tcp://[2001:db8::1]:5353", Chosen("tcp", "2001:db8::1", 5353)),
        ("tls://dns.example.org", Chosen("tls", "dns.example.org", 853)),
        ("tls://192.0.2.1#dns.example.org", Chosen("tls", "192.0.2.1", 853, "dns.example.org")),
    ],
)
def test_how_a_name_server_is_written(text: str, parsed: Chosen) -> None:
    assert Chosen.parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "192.0.2.1", "192.0.2.1:53", "https://192.0.2.1/dns-query", "udp://", "udp://192.0.2.1:0", "udp://192.0.2.1/x",
     "udp://me@192.0.2.1", "udp://192.0.2.1#name", "udp://192.0.2.1?x", "tls://a b", "udp://[::1", "udp://x:99999"],
)  # fmt: skip
def test_how_it_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="expected a name server such as"):
        Chosen.parse(text)


async def test_bytes_of_any_kind_are_an_answer_that_cannot_be_read_and_no_crash(nursery: trio.Nursery) -> None:
    import random

    dice = random.Random(11)
    moods = iter(range(10**9))

    async def wild(_: NameServer, query: dns.message.Message) -> Any:
        data = bytearray(PLAIN["aliased"](query).to_wire())
        for _change in range(dice.randint(1, 6)):
            data[dice.randrange(4, len(data))] = dice.randrange(256)
        yield bytes(data[: dice.randint(12, len(data))])

    ODD["wild"] = wild
    try:
        place = Place(await NameServer().start(nursery), await serve(nursery, answers(http(200))))
        for _ in range(150):
            seen = await place.look(f"wild--{next(moods)}", timeout=0.05)
            assert seen.reason.code in {"ok", "dns", "timeout", "connect", "internal"}, seen.reason
            assert "crash" not in seen.reason.message
    finally:
        del ODD["wild"]
