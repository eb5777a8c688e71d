"""The dns check: every type of record, every way to ask, and each way to fail told apart."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from support.nameserver import NameServer
from support.probes import endpoint
from support.probes import look_calmly as look
from test_tls import CA, ca_file

from checks.dns import Dns
from monitor.declaring import OptionError
from monitor.net.nameservers import NameServer as Chosen
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock
from monitor.testing import look as look_without_network

if TYPE_CHECKING:
    from pathlib import Path

    import trio

    from monitor.core.model import Observation
__all__ = ["ca_file"]  # a fixture


@pytest.fixture
async def names(nursery: trio.Nursery) -> NameServer:
    return await NameServer().start(nursery)


async def asked(names: NameServer, name: str, kind: str = "A", **more: Any) -> Observation:
    settings = {key: more.pop(key) for key in ("timeout", "expect", "degraded") if key in more}
    return await look(Dns(url=f"dns://127.0.0.1:{names.port}/{name}?type={kind}", **more), **settings)


def told(seen: Observation) -> tuple[str, str, str | None, str]:
    return str(seen.status), str(seen.reason.code), seen.reason.phase, seen.reason.message


ANSWERS = [
    ("zone.test", "A", ["192.0.2.7", "192.0.2.8"]),
    ("zone.test", "AAAA", ["2001:db8::7"]),
    ("zone.test", "CAA", ['0 issue "ca.example"']),
    ("zone.test", "MX", ["10 mail.example", "20 backup.example"]),
    ("zone.test", "NS", ["ns1.example", "ns2.example"]),
    ("_sip._tcp.zone.test", "SRV", ["10 5 5060 sip.example"]),
    ("zone.test", "TXT", ["plain", "v=spf1 -all"]),
    ("192.0.2.7", "PTR", ["seven.example"]),
    ("zone.test", "SOA", ["ns1.example. admin.example. 2026010101 7200 3600 1209600 300"]),
]


@pytest.mark.parametrize(("name", "kind", "answers"), ANSWERS, ids=[each[1] for each in ANSWERS])
async def test_every_type_of_record(names: NameServer, name: str, kind: str, answers: list[str]) -> None:
    seen = await asked(names, name, kind)
    assert told(seen) == ("up", "ok", None, "")
    assert seen.facts["answers"] == answers
    assert list(seen.phases) == ["resolve", "request"]


async def test_what_else_an_answer_says(names: NameServer) -> None:
    seen = await asked(names, "zone.test", "MX", degraded=("ttl >= duration('5m')", "serial > 2026000000"))
    assert seen.status == "up"
    facts = {"ip": "127.0.0.1", "rcode": "NOERROR", "authoritative": True, "authenticated": False, "aliases": []}
    assert facts.items() <= seen.facts.items()
    assert (seen.facts["ttl"], seen.facts["serial"]) == (300, 2026010101)
    assert [seen.facts[f"{each}_rrs"] for each in ("answer", "authority", "additional")] == [2, 1, 0]
    aliased = await asked(names, "aliased.test")
    assert (aliased.facts["answers"], len(aliased.facts["aliases"])) == (["127.0.0.1"], 5)
    assert aliased.facts["aliases"][0] == "alias-0.test"


FAILURES = [
    ("nxdomain", "dns", "no such name (NXDOMAIN): nxdomain.test A, asked HERE"),
    ("servfail", "dns", "the name server failed (SERVFAIL): servfail.test A, asked HERE"),
    ("refused", "dns", "the name server refused to answer (REFUSED): refused.test A, asked HERE"),
    ("formerr", "dns", "the name server did not understand the question (FORMERR): formerr.test A, asked HERE"),
    ("notauth", "dns", "the name server answered NOTAUTH: notauth.test A, asked HERE"),
    ("nodata", "dns", "the name has no record of this type: nodata.test A, asked HERE"),
    ("mute", "timeout", "no answer within 300 ms (during request)"),
    ("wrong-id", "timeout", "no answer within 300 ms (during request)"),
    ("echo", "timeout", "no answer within 300 ms (during request)"),
    ("garbage", "protocol", "the name server's answer cannot be read: garbage.test A, asked HERE"),
    ("liar", "protocol", "the name server's answer cannot be read: liar.test A, asked HERE"),
    ("tc-closed", "protocol",
     "the name server closed the connection in the middle of its answer: tc-closed.test A, asked HERE"),
    ("tc-other-question", "protocol",
     "the name server answered another question: tc-other-question.test A, asked HERE"),
    ("tc-huge", "limit", "the name server's answer is larger than 8 KiB: tc-huge.test A, asked HERE"),
]  # fmt: skip


@pytest.mark.parametrize(("mood", "code", "message"), FAILURES, ids=[each[0] for each in FAILURES])
async def test_failures_are_told_apart(names: NameServer, mood: str, code: str, message: str) -> None:
    seen = await asked(names, f"{mood}.test", timeout=0.3 if code == "timeout" else 5.0)
    assert told(seen) == ("down", code, "request", message.replace("HERE", f"127.0.0.1:{names.port}"))


@pytest.mark.parametrize("mood", ["spoofed", "wrong-id-first", "other-question", "tc-good", "good"])
async def test_only_the_right_answer_counts(names: NameServer, mood: str) -> None:
    seen = await asked(names, f"{mood}.test")
    assert (seen.status, seen.facts["answers"]) == ("up", ["127.0.0.1"])


async def test_an_expectation_about_the_rcode_or_the_answers_judges_instead(names: NameServer) -> None:
    gone = "rcode == 'NXDOMAIN'"
    assert (await asked(names, "nxdomain.test", expect=(gone,))).status == "up"
    there = await asked(names, "good.test", expect=(gone,))
    assert told(there)[1:] == ("expectation", None, f'expected {gone}, got rcode = "NOERROR"')
    assert (await asked(names, "nodata.test", expect=("size(answers) == 0",))).status == "up"
    assert (await asked(names, "servfail.test", expect=("size(answers) == 0",))).reason.code == "dns"
    wrong = await asked(names, "good.test", expect=("'192.0.2.1' in answers",))
    assert wrong.reason.code == "expectation"


async def test_nobody_listens_there() -> None:
    where = "127.0.0.1:1"
    for transport in ("udp", "tcp"):
        seen = await look(Dns(url=f"dns://{where}/example.org", transport=transport))  # type: ignore[arg-type]
        refused = f"the name server cannot be asked: connection refused ({where}): example.org A, asked {where}"
        assert told(seen) == ("down", "connect", "request", refused)


async def test_by_tcp_and_by_tls(nursery: trio.Nursery, ca_file: Path) -> None:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert("127.0.0.1").configure_cert(made)
    names = await NameServer().start(nursery, tls=made)
    assert (await asked(names, "zone.test", transport="tcp")).status == "up"
    assert names.asked["zone.test.", "A", "stream"] == 1
    url = f"dns://127.0.0.1:{names.tls_port}/zone.test"
    seen = await look(Dns(url=url, transport="tls", ca_file=ca_file))
    assert (seen.status, seen.facts["tls_version"]) == ("up", "1.3")
    assert "cert_expires_in" in seen.facts
    distrusted = await look(Dns(url=url, transport="tls"))
    assert told(distrusted)[:3] == ("down", "tls", "request")
    assert "certificate" in distrusted.reason.message
    assert (await look(Dns(url=url, transport="tls", verify=False))).status == "up"


async def test_the_machines_own_name_servers_one_after_another(names: NameServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        dead = Chosen("udp", "127.0.0.1", mute.getsockname()[1])
        good = Chosen("udp", "127.0.0.1", names.port)
        refusing = Chosen("udp", "127.0.0.1", 1)
        several = (
            ([good], "up"),
            ([dead, good], "up"),
            ([refusing, good], "up"),
            ([dead], "down"),
            ([refusing], "down"),
        )
        for servers, status in several:
            net = SocketNet(name_servers=lambda servers=servers: servers)  # type: ignore[misc]
            watched = endpoint(Dns(url="dns:///zone.test?type=MX"), timeout=0.6)
            seen = await probe_once(watched, net=net, clock=SystemClock(), mask=None)
            assert seen.status == status, seen.reason


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"url": "dns:///example.org"}, "dns:///example.org?type=A"),
        ({"url": "dns://example.org"}, "dns:///example.org?type=A"),
        ({"url": "dns://example.org?type=txt"}, "dns:///example.org?type=TXT"),
        ({"url": "dns://192.0.2.1:5353/example.org?type=MX"}, "dns://192.0.2.1:5353/example.org?type=MX"),
        ({"url": "dns://192.0.2.1", "query": "example.org", "type": "NS"}, "dns://192.0.2.1/example.org?type=NS"),
        ({"url": "dns://192.0.2.7?type=PTR"}, "dns:///192.0.2.7?type=PTR"),
        ({"url": "dns://[2001:db8::1]/."}, "dns://[2001:db8::1]/.?type=A"),
    ],
)
def test_how_it_is_written(options: dict[str, Any], target: str) -> None:
    assert Dns(**options).target == target


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"url": "dns://"}, "url"),
        ({"url": "dns:///"}, "url"),
        ({"url": "http://192.0.2.1/x"}, "url"),
        ({"url": "dns://192.0.2.1/a b"}, "url"),
        ({"url": "dns://192.0.2.1/x?type=NONE"}, "url"),
        ({"url": "dns://192.0.2.1/x?class=IN"}, "url"),
        ({"url": f"dns://192.0.2.1/{'x' * 64}.org"}, "url"),
        ({"url": "dns://192.0.2.1/x", "query": "y"}, "query"),
        ({"url": "dns://192.0.2.1", "query": "a..b"}, "query"),
        ({"url": "dns://192.0.2.1/x?type=MX", "type": "A"}, "type"),
        ({"url": "dns:///x", "transport": "tls"}, "transport"),
        ({"url": "dns://192.0.2.1"}, "url"),
        ({"url": "dns:///192.0.2.1?type=MX"}, "url"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        Dns(**options)
    assert caught.value.option == option


def test_the_test_kit_has_no_name_servers() -> None:
    seen = look_without_network(Dns(url="dns://192.0.2.1/example.org"))
    assert told(seen)[:2] == ("down", "connect")
