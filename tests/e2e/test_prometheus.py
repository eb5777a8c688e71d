"""What is in deploy/ for Prometheus and Grafana: held against the metrics there are, by the real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio
import trustme
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.daemon import Daemon, daemon, until
from support.loopback import free_port, serve
from support.probes import answers, http
from support.promql import metrics_of, mistakes

from monitor.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
RULES = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text("utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text("utf-8"))
TOKEN = "a-token-of-a-reader"

real_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)
real_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian: prometheus)"
)


@attrs.frozen
class Asked:
    """A PromQL expression, and the words that are shown with what it finds."""

    expression: str
    words: str = ""


def of_rules() -> Iterator[Asked]:
    for rule in all_rules():
        yield Asked(rule["expr"], json.dumps(rule["annotations"]))


def all_rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def of_the_dashboard() -> Iterator[Asked]:
    """Grafana's variables filled in, as it does where all is chosen."""
    chosen = {"$__rate_interval": "5m", "$__range": "1h"}
    chosen |= {f"${each['name']}": each["allValue"] for each in DASHBOARD["templating"]["list"] if "allValue" in each}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in chosen.items():
                text = text.replace(name, value)
            assert "$" not in text, text
            yield Asked(text, target["legendFormat"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
            assert variable["query"]["query"] == variable["definition"]
            yield Asked(metric.replace("$group", chosen["$group"]), "{{" + label + "}}")


CONFIG = """
[monitor]
probe_api = true

[monitor.access]
read_token = "{token}"

[defaults]
interval = "1s"
failure_threshold = 1

[[sink]]
name = "ops"
type = "webhook"
url = "http://127.0.0.1:{good}/"

[[endpoint]]
name = "good"
group = "web"
url = "http://127.0.0.1:{good}/"
labels = {{ team = "shop" }}

[[endpoint]]
name = "bad"
url = "http://127.0.0.1:{bad}/"

[[endpoint]]
name = "secure"
url = "https://localhost:{secure}/"
ca_file = "ca.pem"

[[endpoint]]
name = "planned"
url = "tcp://127.0.0.1:{gone}"

[[maintenance]]
endpoints = ["planned"]
start = {start:%Y-%m-%dT%H:%M:%SZ}
duration = "1d"

[module.http_2xx]
check = "http"
"""


async def watching(nursery: trio.Nursery, directory: Path) -> str:
    """Write a config: what is up, down, in maintenance, behind TLS until the day after tomorrow. Where `good` is."""
    now = datetime.now(UTC)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", not_after=now + timedelta(days=2)).configure_cert(context)
    well = answers(http(200, b"ok", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"))
    good = await nursery.start(serve, well)
    bad = await nursery.start(serve, answers(http(503)))
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, well, [trio.SSLListener(listener, context)])
    secure = listener.socket.getsockname()[1]
    start = now - timedelta(hours=1)
    text = CONFIG.format(token=TOKEN, good=good, bad=bad, secure=secure, gone=1, start=start)
    (directory / "config.toml").write_text(text)
    return f"127.0.0.1:{good}"


async def probed(running: Daemon) -> str:
    """What /metrics says once every endpoint was probed and an alert was delivered."""
    text = ""

    async def all_there() -> bool:
        nonlocal text
        text = await scraped(running)
        delivered = 'monitor_deliveries_total{result="delivered",sink="ops"}'
        return text.count("\nprobe_success{") == 4 and bool(
            re.search(f"^{re.escape(delivered)} [1-9]", text, re.MULTILINE)
        )

    await until(all_there, "four endpoints are probed, and the alert about the one that is down is delivered")
    return text


async def scraped(running: Daemon) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{running.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    return answer.text


def documented() -> dict[str, set[str]]:
    """The metrics of the docs, each with the labels that are written with it."""
    section = DOCS.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    found = [each for row in rows for each in re.findall(r"`((?:probe|monitor)_\w+)(?:\{([^}]*)\})?`", row)]
    return {name: set(labels.split(",")) - {"", "…"} for name, labels in found}


def of_checks() -> set[str]:
    """The metrics that the installed checks declare: not every kind is probed here."""
    classes = [plugin.cls for plugin in Registry().checks.values()]
    facts = [fact for cls in classes for fact in (cls.facts or {}).values()]
    return {metric.name for fact in facts for metric in fact.metrics} | {cls.phases_metric for cls in classes}


async def test_what_is_asked_for_is_there_and_documented(tmp_path: Path, nursery: trio.Nursery) -> None:
    await watching(nursery, tmp_path)
    async with daemon(tmp_path) as running:
        text = await probed(running)
    there: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in ("gauge", "counter"), family.name
        name = f"{family.name}_total" if family.type == "counter" else family.name
        there[name] = {label for sample in family.samples for label in sample.labels}
    own = {name for name in there if not name.startswith("process_")}
    assert own | of_checks() == documented().keys()
    for name, labels in documented().items():
        # Those of observations have three more; what never happened has no labels yet.
        assert not there.get(name) or labels <= there[name] <= labels | {"endpoint", "group", "check", "team"}, name
    known = {name: labels | documented().get(name, set()) for name, labels in there.items()} | {"up": set()}
    asked = [*of_rules(), *of_the_dashboard()]
    assert [each for one in asked for each in mistakes(one.expression, known, one.words)] == []
    assert len({name for one in asked for name in metrics_of(one.expression)}) > 20
    nursery.cancel_scope.cancel()


@real_promtool
async def test_promtool_finds_nothing_to_mend_in_the_metrics(tmp_path: Path, nursery: trio.Nursery) -> None:
    await watching(nursery, tmp_path)
    async with daemon(tmp_path) as running:
        text = await probed(running)
    done = await trio.run_process(
        ["promtool", "check", "metrics"], stdin=text.encode(), capture_stdout=True, capture_stderr=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    nursery.cancel_scope.cancel()


def test_every_alert_is_tried() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus/rules-test.yml").read_text("utf-8"))["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in all_rules()}


def test_every_alert_is_documented() -> None:
    section = DOCS.partition("\n| alert | when |\n")[2].partition("\n\n")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines()]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {rule["alert"] for rule in all_rules()}


def promtool(*args: str) -> None:
    done = subprocess.run(["promtool", *args], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_asks_the_source_that_is_chosen() -> None:
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "group", "endpoint"]
    panels = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
    assert len({each["id"] for each in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        assert all(each["datasource"]["uid"] == "${datasource}" for each in panel["targets"])
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])


def test_no_panel_of_the_dashboard_covers_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


@real_promtool
def test_promtool_understands_every_expression(tmp_path: Path) -> None:
    snippets = re.findall(r"^```promql\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
    assert snippets
    expressions = [*snippets, *(each.expression for each in (*of_rules(), *of_the_dashboard()))]
    rules = [{"record": f"check_{index}", "expr": each} for index, each in enumerate(expressions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "rules.yml"))
    promtool("check", "rules", str(DEPLOY / "prometheus/rules.yml"))
    promtool("test", "rules", str(DEPLOY / "prometheus/rules-test.yml"))


# What people have who come from blackbox_exporter: alert expressions as its users pass them on, and for whom they fire.
USUAL = {
    "BlackboxProbeFailed": ("probe_success == 0", {"bad", "planned"}),
    "BlackboxProbeHttpFailure": ("probe_http_status_code <= 199 or probe_http_status_code >= 400", {"bad"}),
    "BlackboxSslCertificateWillExpireSoon": ("probe_ssl_earliest_cert_expiry - time() < 86400 * 3", {"secure"}),
    "BlackboxSslCertificateExpired": ("probe_ssl_earliest_cert_expiry - time() <= 0", set()),
    "BlackboxSlowHttp": ('sum by (endpoint) (probe_http_duration_seconds{phase="connect"}) > 60', set()),
}
OURS = {"EndpointDown": {"bad"}, "EndpointDegraded": set(), "CertificateExpires": {"secure"}}


@real_prometheus
async def test_prometheus_scrapes_probes_and_alerts(tmp_path: Path, nursery: trio.Nursery) -> None:
    """The real one, with our scrape configs and rules; only addresses, the token's file and the intervals differ."""
    target = await watching(nursery, tmp_path)
    async with daemon(tmp_path) as running:
        await probed(running)
        port = free_port()
        prepare(tmp_path, running.url.removeprefix("http://"), target)
        command = [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (tmp_path / "log").open("wb") as log:
            process = await trio.lowlevel.open_process(command, stdout=log, stderr=log)
        try:
            async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}/api/v1/") as client:
                await hold(client, target)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    nursery.cancel_scope.cancel()


def prepare(directory: Path, address: str, target: str) -> None:
    """Write the config of a Prometheus that scrapes the daemon at *address*, and has *target* probed by it."""
    (directory / "token").write_text(TOKEN)
    jobs = (DEPLOY / "prometheus/scrape.yml").read_text("utf-8")
    jobs = jobs.replace("127.0.0.1:8080", address).replace("https://example.org", target)
    jobs = jobs.replace("/etc/prometheus/monitor-read-token", str(directory / "token"))
    usual = [{"alert": name, "expr": expression} for name, (expression, _) in USUAL.items()]
    (directory / "usual.yml").write_text(yaml.safe_dump({"groups": [{"name": "usual", "rules": usual}]}))
    settings: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus/rules.yml"), str(directory / "usual.yml")],
        "scrape_configs": yaml.safe_load(jobs),
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings))


async def hold(client: httpx.AsyncClient, target: str) -> None:
    """Everything that must be so, in the end or at once."""

    async def found(query: str) -> list[dict[str, Any]]:
        answer = await client.get("query", params={"query": query})
        assert answer.status_code == 200, (query, answer.text)
        return list(answer.json()["data"]["result"])

    async def values(query: str) -> dict[str, float]:
        return {
            each["metric"].get("endpoint", each["metric"].get("instance")): float(each["value"][1])
            for each in await found(query)
        }

    async def ready() -> bool:
        try:
            return len(await values('up{job=~"nursery-monitor|blackbox"} == 1')) == 2
        except (httpx.TransportError, AssertionError):
            return False

    await until(ready, "Prometheus runs, and both of its jobs do")
    assert await values('probe_success{job="nursery-monitor"}') == {"good": 1, "bad": 0, "secure": 1, "planned": 0}
    assert await values('probe_success{job="blackbox"}') == {target: 1}
    assert await values('monitor_endpoint_info{team="shop"}') == {"good": 1}
    assert await values('monitor_endpoint_reason{code="expectation"}') == {"bad": 1}

    expected = OURS | {name: fire for name, (_, fire) in USUAL.items()}
    names = "|".join(expected)

    async def fire() -> bool:
        seen: dict[str, set[str]] = {name: set() for name in expected}
        for each in await found(f'ALERTS{{alertstate="firing",alertname=~"{names}"}}'):
            seen[each["metric"]["alertname"]].add(each["metric"]["endpoint"])
        return seen == expected

    await until(fire, "the alerts that should fire do, and no others")
    for group in (await client.get("rules")).json()["data"]["groups"]:
        assert [rule["name"] for rule in group["rules"] if rule["health"] != "ok"] == []

    async def no_empty_panel() -> bool:
        return all([await found(each.expression) for each in of_the_dashboard()])

    await until(no_empty_panel, "every panel of the dashboard shows something")
