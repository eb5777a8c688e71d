"""`monitor import` as a process: what it prints is a config, and what it leaves out is said."""

from __future__ import annotations

import json
import tomllib
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
    dns: {query-name: "a b", query-type: A}
    conditions: ["[DNS_RCODE] == NOERROR", "[DOMAIN_EXPIRATION] > 720h"]
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
    assert '# - of "resolver": the condition [DOMAIN_EXPIRATION] > 720h\n' in done.out
    assert 'left out: the endpoint "resolver": ' in done.err


BLACKBOX = r"""
modules:
  http_2xx:
    prober: http
    http: {preferred_ip_protocol: ip4}
  picky:
    prober: http
    timeout: 3s
    http:
      method: POST
      headers: {Content-Type: application/json, X-Price: "$5"}
      valid_status_codes: [200, 201]
      valid_http_versions: ["HTTP/1.1", "HTTP/2.0"]
      no_follow_redirects: true
      fail_if_not_ssl: true
      fail_if_body_matches_regexp: ["Could not connect to 'db'"]
      fail_if_body_not_matches_regexp: ['^ok\b']
      fail_if_header_matches: [{header: Set-Cookie, regexp: '.*', allow_missing: true}]
      fail_if_header_not_matches: [{header: Server, regexp: 'nginx'}]
      tls_config: {insecure_skip_verify: true, ca_file: /nowhere/ca.pem, min_version: TLS12, max_version: TLS13}
      basic_auth: {username: me, password_file: /run/secret}
      oauth2: {client_id: x}
      preferred_ip_protocol: ip6
      ip_protocol_fallback: false
  broken: {prober: http, http: {fail_if_body_matches_regexp: ["("]}}
  ssh_banner:
    prober: tcp
    tcp: {query_response: [{expect: "^SSH-2.0-"}, {send: "SSH-2.0-check"}, {expect: "(.*)", send: "PONG ${1}"}]}
  ping: {prober: icmp}
  socket: {prober: unix}
"""


async def test_blackbox_exporter(tmp_path: Path) -> None:
    (tmp_path / "blackbox.yml").write_text(BLACKBOX)
    done = await monitor("import", "blackbox", "blackbox.yml", cwd=tmp_path)
    assert done.code == 0
    assert set(done.err.splitlines()) == {
        'left out: of the module "http_2xx": preferred_ip_protocol, as either is tried here',
        'left out: of the module "picky": http.oauth2 and http.tls_config.max_version',
        "left out: the module \"broken\": '(' is not a regular expression: unclosed group",
        'left out: of the module "ssh_banner": what `PONG ${1}` takes of the answer before, in tcp',
        'left out: the module "socket": there is no counterpart to the prober unix',
        "imported 4 modules",
    }
    modules = tomllib.loads(done.out)["module"]
    assert modules["http_2xx"] == {"check": "http", "timeout": "120s", "max_redirects": 10, "http2": True}
    assert modules["ssh_banner"]["steps"][0] == {"expect": "text.matches('(?m)^SSH-2.0-')"}
    assert modules["picky"] == {
        "check": "http",
        "timeout": "3s",
        "method": "POST",
        "headers": {"Content-Type": "application/json", "X-Price": "$$5"},
        "follow_redirects": False,
        "http2": True,
        "verify": False,
        "ca_file": "/nowhere/ca.pem",
        "min_tls": "1.2",
        "ip_version": 6,
        "auth": {"basic": {"username": "me", "password": {"file": "/run/secret"}}},
        "expect": [
            "status in [200, 201]",
            "http_version in ['1.1', '2']",
            "url.startsWith('https:')",
            r"!body.matches('Could not connect to \'db\'')",
            r"body.matches('^ok\\b')",
            "!('set-cookie' in headers) || !headers['set-cookie'].matches('.*')",
            "'server' in headers && headers['server'].matches('nginx')",
        ],
    }
    (tmp_path / "config.toml").write_text(
        done.out.replace('ca_file = "/nowhere/ca.pem"', "").replace("/run/secret", "pw")
    )
    (tmp_path / "pw").write_text("secret")
    validated = await monitor("validate", cwd=tmp_path)
    assert validated.code == 0, validated.err


async def test_what_gatus_is_told_is_a_heartbeat(tmp_path: Path) -> None:
    gatus = """
external-endpoints:
  - {name: backup, group: nightly, token: 0123456789abcdef0123, heartbeat: {interval: 25h}}
"""
    (tmp_path / "gatus.yaml").write_text(gatus)
    done = await monitor("import", "gatus", "gatus.yaml", cwd=tmp_path)
    assert tomllib.loads(done.out)["endpoint"] == [
        {
            "name": "backup",
            "check": "heartbeat",
            "token": "0123456789abcdef0123",
            "group": "nightly",
            "interval": "25h",
            "sinks": [],
        }
    ]
    assert 'of "backup": the URL of its caller' in done.err


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


async def test_a_dash_is_stdin(tmp_path: Path) -> None:
    done = await monitor("import", "gatus", "-", cwd=tmp_path, given=GATUS.encode())
    assert (done.code, done.lines[0]) == (0, "# Imported from stdin (gatus) by `monitor import`.")
