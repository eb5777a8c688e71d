"""`monitor import` as a process: what it prints is a config, and what it leaves out is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.cli import monitor

if TYPE_CHECKING:
    from pathlib import Path

GATUS = """
alerting:
  slack: {webhook-url: "${SLACK_URL}"}
endpoints:
  - name: website
    url: https://example.org/health
    conditions: ["[STATUS] == 200", "[BODY].status == UP", "[CERTIFICATE_EXPIRATION] > 48h"]
    alerts: [{type: slack}]
  - name: resolver
    url: "192.0.2.53"
    dns: {query-name: example.org, query-type: A}
    conditions: ["[DNS_RCODE] == NOERROR"]
"""


async def test_the_result_is_a_config(tmp_path: Path) -> None:
    (tmp_path / "gatus.yaml").write_text(GATUS)
    done = await monitor("import", "gatus", "gatus.yaml", cwd=tmp_path)
    assert done.code == 0
    assert "imported 1 endpoint\n" in done.err
    (tmp_path / "config.toml").write_text(done.out)
    validated = await monitor("validate", cwd=tmp_path, SLACK_URL="https://hooks.example/x")
    assert validated.code == 0, validated.err
    assert "1 endpoint" in validated.out
    assert '# - of "resolver": the condition [DNS_RCODE] == NOERROR\n' in done.out
    assert 'left out: the endpoint "resolver": ' in done.err


async def test_uptime_kuma(tmp_path: Path) -> None:
    backup = {"monitorList": [{"type": "http", "name": "a", "url": "https://example.org/"}], "notificationList": []}
    (tmp_path / "backup.json").write_text(json.dumps(backup))
    done = await monitor("import", "uptime-kuma", "backup.json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "imported 1 endpoint\n")
    assert 'url = "https://example.org/"' in done.out


async def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for content, error in ((b"a: [", "while parsing"), (b"\xff", "expected UTF-8"), (b"- 1", "expected a table")):
        (tmp_path / "gatus.yaml").write_bytes(content)
        done = await monitor("import", "gatus", "gatus.yaml", cwd=tmp_path)
        assert (done.code, done.out) == (3, "")
        assert done.err.startswith("error: gatus.yaml: ")
        assert error in done.err
        assert len(done.err.splitlines()) == 1
    done = await monitor("import", "gatus", "missing.yaml", cwd=tmp_path)
    assert done.err == "error: cannot read missing.yaml: No such file or directory\n"
