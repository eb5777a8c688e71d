"""`/probe`, as Prometheus asks it: real targets on loopback, the modules of a real config."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

import attrs
import httpx
import pytest
import trio
import trustme
from prometheus_client.parser import text_string_to_metric_families
from support.entries import NOW
from support.face import PlainFace, start
from support.http2 import Http2Server, Says, Visitor
from support.loopback import may_ping
from support.nameserver import NameServer
from support.probes import answers, http, read_request, serve

from monitor.config import Access
from monitor.config.load import load
from monitor.core.model import Code, Observation, Reason, Status

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client.samples import Sample

TOKEN = "a-token-of-a-reader"
CONFIG = """
[monitor]
probe_api = true

[module.http_2xx]
check = "http"
headers = { X-Secret = "hush-hush" }

[module.picky]
check = "http"
timeout = "1s"
expect = ["status == 200", "body == 'ok'"]
degraded = ["headers['x-age'] == 'young'"]

[module.named]
check = "http"
headers = { Host = "shop.example.org" }

[module.tcp_connect]
check = "tcp"

[module.tcp_closed]
check = "tcp"
invert = true

[module.dns_mx]
check = "dns"
query = "zone.test"
type = "SOA"

[module.icmp]
check = "icmp"

[module.grpc]
check = "grpc"

[module.tls]
check = "tls"
"""


@pytest.fixture
def face(tmp_path: Path) -> PlainFace:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    face = PlainFace(access=Access(public=True, read_token=TOKEN))
    config = load(path, environ={})
    face.config = attrs.evolve(face.config, probe_api=True, modules=config.modules)
    return face


async def ask(
    face: PlainFace, nursery: trio.Nursery, headers: dict[str, str] | None = None, **query: str
) -> httpx.Response:
    url = f"http://127.0.0.1:{await start(nursery, face)}/probe"
    sent = {"authorization": f"Bearer {TOKEN}", **(headers or {})}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url, params=query, headers=sent)


def samples(answer: httpx.Response) -> dict[str, float]:
    """Every sample, by name and labels."""
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {_called(each): each.value for family in families for each in family.samples}


def _called(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else str(sample.name)


async def test_a_good_target_in_the_names_of_blackbox_exporter(face: PlainFace, nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200, b"ok")))
    found = samples(await ask(face, nursery, target=f"http://127.0.0.1:{port}/health", module="picky"))
    assert found["probe_success"] == 1, "degraded is no failure"
    assert found["probe_http_status_code"] == 200
    assert found["probe_http_redirects"] == 0
    assert found["probe_http_ssl"] == 0
    assert 0 < found["probe_duration_seconds"] < 1
    for phase in ("resolve", "connect", "processing", "transfer"):
        assert f"probe_http_duration_seconds{{phase={phase}}}" in found


async def test_a_bad_target_leaves_its_evidence(face: PlainFace, nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(503, b"no")))
    found = samples(await ask(face, nursery, target=f"127.0.0.1:{port}"))
    assert found["probe_success"] == 0
    assert found["probe_http_status_code"] == 503


async def test_a_target_of_tcp_is_a_host_and_a_port(face: PlainFace, nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(b""))
    assert samples(await ask(face, nursery, target=f"127.0.0.1:{port}", module="tcp_connect"))["probe_success"] == 1
    assert samples(await ask(face, nursery, target="127.0.0.1:1", module="tcp_connect"))["probe_success"] == 0


async def test_a_module_may_want_that_it_fails(face: PlainFace, nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(b""))
    assert samples(await ask(face, nursery, target=f"127.0.0.1:{port}", module="tcp_closed"))["probe_success"] == 0
    assert samples(await ask(face, nursery, target="127.0.0.1:1", module="tcp_closed"))["probe_success"] == 1


async def test_a_name_server(face: PlainFace, nursery: trio.Nursery) -> None:
    names = await NameServer().start(nursery)
    found = samples(await ask(face, nursery, target=f"127.0.0.1:{names.port}", module="dns_mx"))
    assert found["probe_success"] == found["probe_dns_query_succeeded"] == 1
    assert found["probe_dns_serial"] == 2026010101
    rrs = [found[f"probe_dns_{section}_rrs"] for section in ("answer", "authority", "additional")]
    assert rrs == [1, 1, 0]
    assert found["probe_dns_rcode_info{rcode=NOERROR}"] == 1
    assert {"probe_dns_duration_seconds{phase=resolve}", "probe_dns_duration_seconds{phase=request}"} <= found.keys()
    nobody = samples(await ask(face, nursery, target="127.0.0.1:1", module="dns_mx"))
    assert (nobody["probe_success"], nobody["probe_dns_query_succeeded"], nobody["probe_dns_answer_rrs"]) == (0, 0, 0)


@pytest.mark.skipif(not may_ping(), reason="nobody may send ICMP here")
async def test_a_ping(face: PlainFace, nursery: trio.Nursery) -> None:
    found = samples(await ask(face, nursery, target="127.0.0.1", module="icmp"))
    assert (found["probe_success"], found["probe_ip_protocol"]) == (1, 4)
    assert {f"probe_icmp_duration_seconds{{phase={phase}}}" for phase in ("resolve", "setup", "rtt")} <= found.keys()


async def test_the_health_of_grpc(face: PlainFace, nursery: trio.Nursery) -> None:
    ended = Says(200, b"\0\0\0\0\2\x08\2", {"content-type": "application/grpc"}, {"grpc-status": "0"})

    async def handler(stream: trio.SocketStream) -> None:
        with contextlib.suppress(EOFError):
            await Http2Server(ended)(Visitor(stream))

    found = samples(await ask(face, nursery, target=f"127.0.0.1:{await serve(nursery, handler)}", module="grpc"))
    assert (found["probe_success"], found["probe_grpc_status_code"], found["probe_grpc_ssl"]) == (0, 0, 0)
    assert found["probe_grpc_healthcheck_response{serving_status=NOT_SERVING}"] == 1
    assert "probe_grpc_duration_seconds{phase=connect}" in found


async def test_a_certificate_that_is_not_trusted(face: PlainFace, nursery: trio.Nursery) -> None:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(made)

    async def handler(stream: trio.SocketStream) -> None:
        channel = trio.SSLStream(stream, made, server_side=True)
        with contextlib.suppress(trio.BrokenResourceError):
            await channel.receive_some(1)

    found = samples(await ask(face, nursery, target=f"127.0.0.1:{await serve(nursery, handler)}", module="tls"))
    assert found["probe_success"] == 0
    assert found["probe_ssl_earliest_cert_expiry"] > NOW.timestamp()
    assert found["probe_tls_version_info{version=TLS 1.3}"] == 1
    assert any(name.startswith("probe_tls_cipher_info{") for name in found)


async def test_the_patience_of_prometheus_is_the_deadline(face: PlainFace, nursery: trio.Nursery) -> None:
    async def mute(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    port = await serve(nursery, mute)
    patience = {"x-prometheus-scrape-timeout-seconds": "0.75"}
    found = samples(await ask(face, nursery, patience, target=f"http://127.0.0.1:{port}/"))
    assert found["probe_success"] == 0
    assert 0.25 <= found["probe_duration_seconds"] < 5
    said = await ask(face, nursery, {**patience, "accept": "*/*"}, target=f"http://127.0.0.1:{port}/", debug="true")
    assert "ms of 250 ms\n" in said.text


async def test_a_hostname_is_what_the_target_is_asked_for(face: PlainFace, nursery: trio.Nursery) -> None:
    requests: list[bytes] = []

    async def keep(stream: trio.SocketStream) -> None:
        requests.append(await read_request(stream))
        await stream.send_all(http(200, b"ok"))

    port = await serve(nursery, keep)
    target = f"http://127.0.0.1:{port}/"
    assert samples(await ask(face, nursery, target=target, hostname="www.example.org"))["probe_success"] == 1
    assert samples(await ask(face, nursery, target=target, module="named"))["probe_success"] == 1
    assert b"host: www.example.org\r\n" in requests[0].lower()
    assert b"x-secret: hush-hush\r\n" in requests[0].lower()
    assert b"host: shop.example.org\r\n" in requests[1].lower()
    both = await ask(face, nursery, target=target, module="named", hostname="www.example.org")
    assert both.status_code == 400
    assert "shop.example.org" in both.text


async def test_debug_tells_a_person_and_no_secret(face: PlainFace, nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(503, b"no")))
    text = (await ask(face, nursery, target=f"http://me:pw-1234@127.0.0.1:{port}/", debug="true")).text
    for expected in (
        "expected status 200-299, got 503",
        "phase connect: ",
        "fact status: 503",
        "probe_success 0.0",
        "[module.http_2xx]",
        'check = "http"',
        "headers = …",
    ):
        assert expected in text
    assert "hush-hush" not in text
    assert "pw-1234" not in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"target": "http://127.0.0.1/", "module": "nope"}, 'There is no module \\"nope\\"'),
        ({"module": "picky"}, "target is missing"),
        ({"target": "ftp://127.0.0.1/"}, "expected a target with the scheme http or https"),
        ({"target": "http://"}, "target: "),
        ({"target": "http://a b/"}, "target: "),
        ({"target": "tcp://127.0.0.1", "module": "tcp_connect"}, "target: "),
        ({"target": "x:1", "module": "tcp_connect", "hostname": "a\nb"}, "target: "),
        ({"target": "http://127.0.0.1/", "debug": "yes"}, "debug must be true or false"),
    ],
)
async def test_what_cannot_be_asked(face: PlainFace, nursery: trio.Nursery, query: dict[str, str], said: str) -> None:
    answer = await ask(face, nursery, **query)
    assert answer.status_code == 400
    assert said in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("patience", ["soon", "0", "-3", "nan"])
async def test_a_patience_that_is_none(face: PlainFace, nursery: trio.Nursery, patience: str) -> None:
    answer = await ask(face, nursery, {"x-prometheus-scrape-timeout-seconds": patience}, target="http://127.0.0.1:1/")
    assert answer.status_code == 400


async def test_what_the_monitor_could_not_tell_is_nobodys_failure(face: PlainFace, nursery: trio.Nursery) -> None:
    async def could_not(_: object) -> Observation:
        reason = Reason(Code.INTERNAL, "connect", "no file descriptor was free")
        return Observation(endpoint="x", status=Status.UNKNOWN, reason=reason, started_at=NOW, duration=0.1)

    face.probe = could_not  # type: ignore[method-assign, assignment]
    answer = await ask(face, nursery, target="http://127.0.0.1:1/")
    assert answer.status_code == 503
    assert "no file descriptor was free" in answer.text


async def test_too_many_at_once(face: PlainFace, nursery: trio.Nursery) -> None:
    face.guests = 0
    assert (await ask(face, nursery, target="http://127.0.0.1:1/")).status_code == 503


async def test_only_for_readers_and_only_where_it_is_switched_on(face: PlainFace, nursery: trio.Nursery) -> None:
    no_token = {"authorization": "Bearer wrong"}
    assert (await ask(face, nursery, no_token, target="http://127.0.0.1:1/")).status_code in (401, 404)
    face.config = attrs.evolve(face.config, probe_api=False)
    assert (await ask(face, nursery, target="http://127.0.0.1:1/")).status_code == 404
