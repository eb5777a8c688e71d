"""What is in deploy/ for Prometheus and Grafana: held against the metrics there are, by the real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
import trustme
import yaml
from support.daemon import Daemon, daemon, until
from support.loopback import serve
from support.probes import answers, http

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
RULES = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text("utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text("utf-8"))
NAME = re.compile(r"\b((?:probe|monitor|process)_[a-z0-9_]+)\b")
LABEL = re.compile(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)")
TOKEN = "a-token-of-a-reader"

real_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)
real_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian: prometheus)"
)


def expressions() -> Iterator[str]:
    """Every PromQL expression of the rules and the dashboard, Grafana's variables filled in."""
    for group in RULES["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")
            yield text.replace("$endpoint", ".*").replace("$group", ".*")


def config(good: int, bad: int, secure: int) -> str:
    return f"""
[monitor]
probe_api = true

[monitor.access]
read_token = "{TOKEN}"

[defaults]
interval = "1s"
failure_threshold = 1

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

[module.http_2xx]
check = "http"
"""


async def watching(nursery: trio.Nursery, directory: Path) -> str:
    """A config of targets that are up, down and behind TLS; the port of the one that is up is in it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    good = await nursery.start(serve, answers(http(200, b"ok")))
    bad = await nursery.start(serve, answers(http(503)))
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answers(http(200, b"ok")), [trio.SSLListener(listener, context)])
    secure = listener.socket.getsockname()[1]
    text = config(good, bad, secure)
    (directory / "config.toml").write_text(text)
    return f"127.0.0.1:{good}"


async def scraped(running: Daemon) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{running.url}/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    return answer.text


async def test_what_is_asked_for_is_there_and_documented(tmp_path: Path, nursery: trio.Nursery) -> None:
    await watching(nursery, tmp_path)
    asked = {name for each in expressions() for name in NAME.findall(each)}
    assert len(asked) > 15
    async with daemon(tmp_path) as running:
        text = ""

        async def all_probed() -> bool:
            nonlocal text
            text = await scraped(running)
            return text.count("\nprobe_success{") == 3 and "probe_ssl_earliest_cert_expiry{" in text

        await until(all_probed, "three endpoints are probed")
    there = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    labels = set(re.findall(r'[{,](\w+)="', text)) | {"job", "instance"}
    labels |= {name for each in re.findall(r"`monitor_\w+\{([\w,]+)\}`", DOCS) for name in each.split(",")}
    assert asked <= there
    assert {name for each in expressions() for name in LABEL.findall(each)} <= labels
    own = {name for name in there if not name.startswith("process_")}
    assert {name for name in own if f"`{name}" not in DOCS} == set()
    nursery.cancel_scope.cancel()


def test_the_dashboard_asks_the_source_that_is_chosen() -> None:
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "group", "endpoint"]
    panels = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
    assert len({each["id"] for each in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]


@real_promtool
def test_promtool_understands_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"check_{index}", "expr": each} for index, each in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    for command in (
        ["check", "rules", str(tmp_path / "rules.yml")],
        ["check", "rules", str(DEPLOY / "prometheus/rules.yml")],
        ["test", "rules", str(DEPLOY / "prometheus/rules-test.yml")],
    ):
        done = subprocess.run(["promtool", *command], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@real_prometheus
async def test_prometheus_scrapes_probes_and_alerts(tmp_path: Path, nursery: trio.Nursery) -> None:
    """The real one, with our scrape configs and rules; only addresses, the token's file and the intervals differ."""
    target = await watching(nursery, tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with daemon(tmp_path) as running:
        jobs = (DEPLOY / "prometheus/scrape.yml").read_text("utf-8")
        jobs = jobs.replace("127.0.0.1:8080", running.url.removeprefix("http://"))
        jobs = jobs.replace("/etc/prometheus/monitor-read-token", str(tmp_path / "token"))
        settings: dict[str, Any] = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(DEPLOY / "prometheus/rules.yml")],
            "scrape_configs": yaml.safe_load(jobs.replace("https://example.org", target)),
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
        command = [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (tmp_path / "log").open("wb") as log:
            process = await trio.lowlevel.open_process(command, stdout=log, stderr=log)
        try:
            await _hold(f"http://127.0.0.1:{port}/api/v1", target)
        finally:
            process.terminate()
            await process.wait()
    nursery.cancel_scope.cancel()


async def _hold(api: str, target: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:

        async def values(query: str) -> dict[str, float]:
            try:
                answer = await client.get(f"{api}/query", params={"query": query})
                found = answer.json()["data"]["result"]
            except (httpx.HTTPError, ValueError, KeyError):
                return {}
            return {
                each["metric"].get("endpoint", each["metric"].get("instance")): float(each["value"][1])
                for each in found
            }

        async def holds(query: str, expected: dict[str, float]) -> None:
            async def as_expected() -> bool:
                return await values(query) == expected

            await until(as_expected, query)

        await holds('probe_success{job="nursery-monitor"}', {"good": 1, "bad": 0, "secure": 1})
        await holds('probe_success{job="blackbox"}', {target: 1})
        await holds("probe_success == 0", {"bad": 0})
        await holds('up{job=~"nursery-monitor|blackbox"}  == 0', {})
        await holds('monitor_endpoint_info{team="shop"}', {"good": 1})
        await holds('ALERTS{alertname="EndpointDown",alertstate="firing"}', {"bad": 1})
        assert (await values("(probe_ssl_earliest_cert_expiry - time()) / 86400"))["secure"] > 0


def _whose(labels: dict[str, str]) -> str:
    return labels.get("endpoint") or labels["instance"]
