"""`/metrics`: what Prometheus reads, through the real server; names and units as blackbox_exporter's."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.entries import NOW
from support.face import Late, PlainFace, down, record, saw, shop, start
from support.probes import endpoint as endpoint_of

from checks.http import Http
from checks.websocket import WebSocket
from monitor.config import SinkSettings
from monitor.core.health import Health
from monitor.core.model import Code, Reason, State, Status
from monitor.core.quantities import Duration
from monitor.sinks.log import Log
from monitor.store import Record

if TYPE_CHECKING:
    import trio

    from monitor.core.model import Endpoint

FACTS = {
    "status": 200,
    "headers": {"content-length": "1256", "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
    "url": "https://shop.example.org/",
    "redirects": 1,
    "http_version": "1.1",
    "ip": "192.0.2.7",
    "tls_version": "1.3",
    "cert_expires_in": 86400.0,
    "body_size": 1256,
}
PHASES = {"resolve": 0.001, "connect": 0.002, "tls": 0.003, "processing": 0.004, "transfer": 0.005}


def website(name: str = "shop", **settings: Any) -> Endpoint:
    return endpoint_of(Http(url="https://shop.example.org/"), name=name, **settings)


async def scraped(nursery: trio.Nursery, face: PlainFace, **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{await start(nursery, face)}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url, headers=headers)
    assert answer.status_code == 200
    return answer


async def samples(nursery: trio.Nursery, face: PlainFace) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels, none twice."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families((await scraped(nursery, face)).text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def of(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float | None:
    """The sample *name* whose labels include *labels*; None: there is none."""
    fit = [value for (each, have), value in found.items() if each == name and labels.items() <= dict(have).items()]
    assert len(fit) <= 1, (name, labels)
    return fit[0] if fit else None


async def test_an_observation_in_the_words_of_blackbox_exporter(nursery: trio.Nursery) -> None:
    face = PlainFace([website(group="web")])
    face.knows(record("shop", last=saw("shop", duration=0.015, phases=PHASES, facts=FACTS)))
    found = await samples(nursery, face)
    labels = {"endpoint": "shop", "group": "web", "check": "http"}
    expected = {
        "probe_success": 1,
        "probe_duration_seconds": 0.015,
        "probe_dns_lookup_time_seconds": 0.001,
        "probe_http_status_code": 200,
        "probe_http_ssl": 1,
        "probe_http_redirects": 1,
        "probe_http_version": 1.1,
        "probe_http_uncompressed_body_length": 1256,
        "probe_http_content_length": 1256,
        "probe_http_last_modified_timestamp_seconds": 784111777,
        "probe_ip_protocol": 4,
        "probe_ssl_earliest_cert_expiry": (NOW + timedelta(days=1)).timestamp(),
    }
    assert {name: of(found, name, **labels) for name in expected} == expected
    assert of(found, "probe_tls_version_info", version="TLS 1.3", **labels) == 1
    assert {phase: of(found, "probe_http_duration_seconds", phase=phase, **labels) for phase in PHASES} == PHASES


@pytest.mark.parametrize(
    ("status", "success", "code"), [(Status.DEGRADED, 1, 0), (Status.DOWN, 0, 0), (Status.UNKNOWN, None, None)]
)
async def test_a_failure_has_no_answer_and_what_nobody_knows_is_no_failure(
    nursery: trio.Nursery, status: Status, success: int | None, code: int | None
) -> None:
    face = PlainFace([website()])
    reason = Reason(Code.CONNECT, "connect", "refused")
    face.knows(record("shop", last=saw("shop", status, reason, facts={})))
    found = await samples(nursery, face)
    assert of(found, "probe_success", endpoint="shop") == success
    assert of(found, "probe_http_status_code", endpoint="shop") == code
    assert of(found, "probe_ssl_earliest_cert_expiry", endpoint="shop") is None


@pytest.mark.parametrize(
    ("headers", "length", "modified"),
    [
        ({}, -1, None),
        ({"content-length": "0", "last-modified": "yesterday"}, 0, None),
        ({"content-length": "…", "last-modified": "Sun, 06 Nov 1994 08:49:37 -0000"}, None, 784111777),
    ],
)
async def test_what_the_headers_say(
    nursery: trio.Nursery, headers: dict[str, str], length: int | None, modified: int | None
) -> None:
    face = PlainFace([website()])
    face.knows(record("shop", last=saw("shop", facts=FACTS | {"headers": headers})))
    found = await samples(nursery, face)
    assert of(found, "probe_http_content_length", endpoint="shop") == length
    assert of(found, "probe_http_last_modified_timestamp_seconds", endpoint="shop") == modified


async def test_why_a_probe_failed_and_what_is_so_beside_the_state(nursery: trio.Nursery) -> None:
    face = PlainFace([website(), website("well")])
    face.knows(down("shop"), record("well"))
    face.flagged["shop"] = ["maintenance"]
    found = await samples(nursery, face)
    labels = {"endpoint": "shop", "group": "", "check": "http"}
    reasons = [dict(have) for name, have in found if name == "monitor_endpoint_reason"]
    flags = [dict(have) for name, have in found if name == "monitor_endpoint_flag"]
    assert reasons == [{**labels, "code": "connect", "phase": "connect"}]
    assert flags == [{**labels, "flag": "maintenance"}]


async def test_counters_begin_at_zero(nursery: trio.Nursery) -> None:
    """Prometheus sees no increase in a count that is there for the first time with 1."""
    face = PlainFace([website()])
    face.config = attrs.evolve(
        face.config, sinks=(SinkSettings(name="ops", kind="log", sink=Log(), give_up_after=Duration(60)),)
    )
    found = await samples(nursery, face)
    for status in Status:
        assert of(found, "monitor_probes_total", endpoint="shop", status=str(status)) == 0
    for result in ("delivered", "retry", "dead"):
        assert of(found, "monitor_deliveries_total", sink="ops", result=result) == 0


async def test_other_checks_have_phases_of_their_own(nursery: trio.Nursery) -> None:
    face = PlainFace([endpoint_of(WebSocket(url="wss://feed.example.org/"), name="feed"), shop("plain")])
    face.knows(record("feed", last=saw("feed", phases={"dialogue": 0.5}, facts={"cert_expires_in": 1.0})))
    face.knows(record("plain", last=saw("plain", phases={"look": 0.25})))
    found = await samples(nursery, face)
    assert of(found, "probe_phase_duration_seconds", endpoint="feed", phase="dialogue") == 0.5
    assert of(found, "probe_phase_duration_seconds", endpoint="plain", phase="look") == 0.25
    assert of(found, "probe_ssl_earliest_cert_expiry", endpoint="feed") == NOW.timestamp() + 1
    assert of(found, "probe_http_status_code", endpoint="feed") is None


async def test_one_never_probed_has_a_state_and_no_observation(nursery: trio.Nursery) -> None:
    found = await samples(nursery, PlainFace([website()]))
    assert of(found, "monitor_endpoint_state", endpoint="shop", state="pending") == 1
    assert of(found, "monitor_endpoint_state", endpoint="shop", state="up") == 0
    assert not [name for name, _ in found if name.startswith("probe_")]


async def test_the_state_is_the_one_shown(nursery: trio.Nursery) -> None:
    face = PlainFace([website()])
    face.knows(Record(name="shop", health=Health(state=State.UP, unknowns=1000)))
    found = await samples(nursery, face)
    assert of(found, "monitor_endpoint_state", endpoint="shop", state="unknown") == 1
    assert of(found, "monitor_endpoint_state", endpoint="shop", state="up") == 0


async def test_labels_of_the_config_become_labels(nursery: trio.Nursery) -> None:
    labels = {"team": "shop", "on-call": 'a\nb"c\\', "on.call": "second", "group": "mine", "2nd": "x", "__x": "y"}
    found = await samples(nursery, PlainFace([website(labels=labels, group="web")]))
    ((_, have),) = [key for key in found if key[0] == "monitor_endpoint_info"]
    assert dict(have) == {
        "endpoint": "shop",
        "group": "web",
        "check": "http",
        "team": "shop",
        "on_call": 'a\nb"c\\',
        "on_call_2": "second",
        "label_group": "mine",
        "label_2nd": "x",
        "label___x": "y",
    }


async def test_the_monitor_itself(nursery: trio.Nursery) -> None:
    face = PlainFace([website()])
    for status in (Status.UP, Status.UP, Status.DOWN):
        face.tally.probed("shop", status)
    face.tally.delivered("ops", "retry")
    face.late["shop"] = Late(lag=0.25, missed=7)
    found = await samples(nursery, face)
    assert of(found, "monitor_probes_total", endpoint="shop", status="up") == 2
    assert of(found, "monitor_probes_total", endpoint="shop", status="down") == 1
    assert of(found, "monitor_deliveries_total", sink="ops", result="retry") == 1
    assert of(found, "monitor_schedule_lag_seconds", endpoint="shop") == 0.25
    assert of(found, "monitor_ticks_missed_total", endpoint="shop") == 7
    assert of(found, "monitor_outbox_pending") == 0
    assert of(found, "monitor_outbox_dead") == 0
    assert of(found, "monitor_endpoints") == 1
    assert of(found, "monitor_ready") == 1
    assert of(found, "monitor_config_last_reload_successful") == 1
    assert of(found, "process_open_fds") is not None


async def test_every_metric_is_documented(nursery: trio.Nursery) -> None:
    face = PlainFace([website(), website("down"), endpoint_of(WebSocket(url="wss://feed.example.org/"), name="feed")])
    face.knows(record("shop", last=saw("shop", phases=PHASES, facts=FACTS)), down("down"), record("feed"))
    face.flagged["down"] = ["maintenance"]
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    names = {name for name, _ in await samples(nursery, face) if not name.startswith("process_")}
    assert [name for name in sorted(names) if f"`{name}" not in text] == []


async def test_openmetrics_for_those_who_ask(nursery: trio.Nursery) -> None:
    answer = await scraped(nursery, PlainFace([website()]), accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
async def test_promtool_finds_nothing_to_mend(nursery: trio.Nursery) -> None:
    face = PlainFace([website(labels={"team": "shop"})])
    face.knows(record("shop", last=saw("shop", phases=PHASES, facts=FACTS)))
    text = (await scraped(nursery, face)).text
    done = subprocess.run(["promtool", "check", "metrics"], check=False, input=text, text=True, capture_output=True)  # noqa: ASYNC221
    assert done.returncode == 0, done.stdout + done.stderr
