"""`monitor check` for machines: each format as its readers read it; and trying again until all are up."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.cli import monitor
from support.loopback import serve_http

if TYPE_CHECKING:
    from pathlib import Path

    import trio

CHECKS = """
import attrs
from monitor.api import Check, Probe, Verdict, check_option

@attrs.frozen(kw_only=True)
class Says(Check):
    target = "somewhere"
    status: str = check_option(default="up", doc="what it says")

    async def probe(self, probe: Probe) -> Verdict:
        probe.phase("look")
        match self.status:
            case "up":
                return Verdict.up()
            case "degraded":
                return Verdict.degraded("slow | slower\\n# and <slower> & 'slowest'")
            case "down":
                return Verdict.down("gone: \\x1b[31m")
            case _:
                return Verdict.unknown("cannot tell")
"""
NAMES = {"up": "good", "degraded": "a 'slow' one #1", "down": "b=d", "unknown": "odd"}
CODES = {"up": 0, "degraded": 1, "down": 2, "unknown": 3}
WORDS = {"up": "OK", "degraded": "WARNING", "down": "CRITICAL", "unknown": "UNKNOWN"}


def write_config(directory: Path, *statuses: str) -> None:
    (directory / "says.py").write_text(CHECKS)
    endpoints = "".join(
        f'[[endpoint]]\nname = "{NAMES[each]}"\ncheck = "says"\nstatus = "{each}"\n' for each in statuses
    )
    (directory / "config.toml").write_text(f'[plugins.checks]\nsays = "says.py:Says"\n{endpoints}')


@pytest.mark.parametrize("status", NAMES)
async def test_nagios_reads_one_endpoint(status: str, tmp_path: Path) -> None:
    write_config(tmp_path, status)
    done = await monitor("check", "--format", "nagios", cwd=tmp_path)
    assert done.code == CODES[status]
    (line,) = done.lines
    said, data = line.split(" | ")
    assert said.startswith(f"MONITOR {WORDS[status]} - {NAMES[status]}: ")
    assert re.fullmatch(r"time=\d+\.\d+s;;;0;5 look=\d+\.\d+s;;;0", data)


async def test_nagios_reads_many(tmp_path: Path) -> None:
    write_config(tmp_path, *NAMES)
    done = await monitor("check", "--format", "nagios", cwd=tmp_path)
    assert done.code == 2
    first, *rest = done.lines
    said, data = first.split(" | ")
    assert said == "MONITOR CRITICAL - 4 endpoints: 1 up, 1 degraded, 1 down, 1 unknown"
    labels = re.findall(r"('(?:[^']|'')+'|\S+)=\d+\.\d+s;;;0(?:;5)?(?: |$)", data)
    assert labels[:4] == ["good", "good::look", "'a ''slow'' one #1'", "'a ''slow'' one #1::look'"]
    assert labels[4:] == ["b_d", "b_d::look", "odd", "odd::look"]
    assert [line.partition("]")[0] for line in rest] == ["[OK", "[WARNING", "[CRITICAL", "[UNKNOWN"]
    assert "|" not in "".join(rest)


async def test_tap_counts_degraded_as_ok(tmp_path: Path) -> None:
    write_config(tmp_path, *NAMES)
    done = await monitor("check", "--format", "tap", cwd=tmp_path)
    assert done.code == 2
    assert done.lines[:2] == ["TAP version 13", "1..4"]
    assert [line for line in done.lines if "ok " in line.partition(" - ")[0]] == [
        "ok 1 - good",
        "ok 2 - a 'slow' one \\#1",
        "not ok 3 - b=d",
        "not ok 4 - odd",
    ]
    assert sum(line == "  ---" for line in done.lines) == sum(line == "  ..." for line in done.lines) == 3
    assert '  message: "cannot tell"' in done.lines


async def test_junit_has_failures_and_errors(tmp_path: Path) -> None:
    write_config(tmp_path, *NAMES)
    done = await monitor("check", "--format", "junit", cwd=tmp_path)
    assert done.code == 2
    (suite,) = ElementTree.fromstring(done.out)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    cases = list(suite)
    assert [case.get("name") for case in cases] == list(NAMES.values())
    assert [[child.tag for child in case] for case in cases] == [
        ["system-out"],
        ["system-out"],
        ["failure", "system-out"],
        ["error", "system-out"],
    ]
    assert cases[2][0].get("message") == "gone: \\x1b[31m"
    output = json.loads(cases[1][0].text or "")
    assert output["status"] == "degraded"
    assert "<slower> & 'slowest'" in output["reason"]["message"]


async def test_prometheus_reads_what_metrics_would_show(tmp_path: Path) -> None:
    write_config(tmp_path, *NAMES)
    done = await monitor("check", "--format", "prometheus", cwd=tmp_path)
    assert done.code == 2
    families = {family.name: family for family in text_string_to_metric_families(done.out)}
    success = {sample.labels["endpoint"]: sample.value for sample in families["probe_success"].samples}
    assert success == {NAMES["up"]: 1, NAMES["degraded"]: 1, NAMES["down"]: 0}
    assert {sample.labels["phase"] for sample in families["probe_phase_duration_seconds"].samples} == {"look"}


async def test_one_target_twice_has_one_sample(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await nursery.start(serve_http, lambda _: (200, b""))
    url = f"http://127.0.0.1:{port}/"
    done = await monitor("check", url, url, "--format", "prometheus", cwd=tmp_path)
    assert sum(line.startswith("probe_success{") for line in done.lines) == 1


async def test_it_tries_until_all_are_up(nursery: trio.Nursery, tmp_path: Path) -> None:
    asked = []

    def recovering(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return (200 if path == "/good" or asked.count(path) > 2 else 503), b""

    port = await nursery.start(serve_http, recovering)
    urls = [f"http://127.0.0.1:{port}/{path}" for path in ("good", "late")]
    done = await monitor("check", *urls, "--retry-until", "30s", cwd=tmp_path)
    assert done.code == 0
    assert done.lines[-1] == "2 endpoints: 2 up"
    assert sorted(asked) == ["/good", "/late", "/late", "/late"]


async def test_it_gives_up_in_time(nursery: trio.Nursery, tmp_path: Path) -> None:
    asked = []

    def down(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return 503, b""

    port = await nursery.start(serve_http, down)
    done = await monitor("check", f"http://127.0.0.1:{port}/", "--retry-until", "1500ms", cwd=tmp_path)
    assert done.code == 2
    assert len(asked) >= 2
    assert "expected status 200-299, got 503" in done.out
