"""Configs of other monitors: their conditions as CEL, their documents as our tables."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from monitor.config.load import load
from monitor.core.errors import MonitorError
from monitor.imports import blackbox, gatus, uptime_kuma
from monitor.imports.conditions import UnknownConditionError, as_cel
from monitor.imports.tables import Names, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("condition", "expression"),
    [
        ("[STATUS] == 200", "status == 200"),
        ("[STATUS] < 300", "status < 300"),
        ("[STATUS]==any(200, 429)", "status in [200, 429]"),
        ("[STATUS] != any(500, 502)", "!(status in [500, 502])"),
        ("[RESPONSE_TIME] < 500", "latency < duration('500ms')"),
        ("[CERTIFICATE_EXPIRATION] > 48h", "cert_expires_in > duration('48h')"),
        ("[BODY] == pong", "body == 'pong'"),
        ("[BODY].status == UP", "json.status == 'UP'"),
        ("[BODY].user.name == john's", "json.user.name == 'john\\'s'"),
        ("[BODY].data[0].id == 1", "json.data[0].id == 1"),
        ("[BODY][0].id == 1", "json[0].id == 1"),
        ("[BODY].ok == true", "json.ok == true"),
        ("len([BODY].items) > 3", "size(json.items) > 3"),
        ("len([BODY]) >= 10", "size(body) >= 10"),
        ("has([BODY].errors) == false", "!has(json.errors)"),
        ("has([BODY].data) == true", "has(json.data)"),
        ("has([BODY].data) != true", "!has(json.data)"),
        ("[BODY] == pat(*<h1>Hi.</h1>*)", "body.matches('(?s)^.*<h1>Hi\\\\.</h1>.*$')"),
        ("[BODY].name != pat(john*)", "!(json.name.matches('(?s)^john.*$'))"),
        ("[IP] == 127.0.0.1", "ip == '127.0.0.1'"),
        ("[CONNECTED] == true", None),
    ],
)
def test_a_condition_as_cel(condition: str, expression: str | None) -> None:
    assert as_cel(condition) == expression


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "[STATUS]",
        "[DOMAIN_EXPIRATION] > 720h",
        "[CONNECTED] == false",
        "[CERTIFICATE_EXPIRATION] > 30d",
        "[STATUS] < any(1, 2)",
        "has([BODY].a[0]) == true",
        "len([STATUS]x) == 1",
        "pat(x) == [BODY]",
    ],
)
def test_a_condition_without_counterpart(condition: str) -> None:
    with pytest.raises(UnknownConditionError):
        as_cel(condition)


def test_gatus() -> None:
    result = gatus.imported(
        {
            "alerting": {"slack": {"webhook-url": "https://hooks.example/$TOKEN"}, "opsgenie": {"api-key": "x"}},
            "storage": {"type": "sqlite"},
            "endpoints": [
                {
                    "name": "front/end",
                    "group": "core",
                    "url": "https://example.org/$PATH",
                    "interval": "5m",
                    "conditions": ["[STATUS] == 200", "[DOMAIN_EXPIRATION] > 1h"],
                    "client": {"insecure": True, "timeout": "3s", "dns-resolver": "tcp://192.0.2.1:53"},
                    "alerts": [{"type": "slack", "failure-threshold": 5}, {"type": "opsgenie"}],
                },
                {"name": "front/end", "group": "other", "url": "https://example.net", "ui": {"hide-url": True}},
            ],
        }
    )
    first, second = result.endpoints
    assert first == {
        "name": "front-end",
        "group": "core",
        "url": "https://example.org/${PATH}",
        "interval": "5m",
        "timeout": "3s",
        "verify": False,
        "dns_resolver": "tcp://192.0.2.1:53",
        "expect": ["status == 200"],
        "sinks": ["slack"],
        "failure_threshold": 5,
        "success_threshold": 2,
    }
    assert second["name"] == "other front-end"
    assert second["interval"], second["timeout"] == ("60s", "10s")
    assert result.sinks == [
        {"name": "slack", "type": "webhook", "url": "https://hooks.example/${TOKEN}", "format": "slack"}
    ]
    assert result.left_out == [
        "alerting by opsgenie",
        'of "front-end": the condition [DOMAIN_EXPIRATION] > 1h',
        'of "other front-end": ui',
        "the settings storage",
    ]


GATUS = [
    ("icmp://example.org", {}, ["[CONNECTED] == true"], {"url": "icmp://example.org"}),
    ("tcp://example.org:25", {}, ["[RESPONSE_TIME] < 300"],
     {"url": "tcp://example.org:25", "expect": ["latency < duration('300ms')"]}),
    ("udp://example.org:53", {}, [], {"url": "udp://example.org:53", "quiet": "1s"}),
    ("tls://example.org:636", {}, ["[CERTIFICATE_EXPIRATION] > 48h"],
     {"url": "tls://example.org:636", "expect": ["cert_expires_in > duration('48h')"]}),
    ("starttls://example.org:587", {"client": {"insecure": True}}, [],
     {"url": "tls://example.org:587", "starttls": "smtp", "verify": False}),
    ("ssh://example.org", {"ssh": {"username": "", "password": ""}}, ["[CONNECTED] == true"],
     {"url": "tcp://example.org:22", "expect": ["received.startsWith('SSH-2.0-')"]}),
    ("wss://example.org/x", {"body": '{"a": 1}'}, ["[CONNECTED] == true"],
     {"url": "wss://example.org/x", "steps": [{"send": '{"a": 1}'}]}),
    ("ws://example.org/y", {"body": "status"}, ["[BODY].id == 1", "len([BODY]) > 3", "[RESPONSE_TIME] < 300"],
     {"url": "ws://example.org/y", "expect": ["latency < duration('300ms')"],
      "steps": [{"send": "status"}, {"expect": "json.id == 1 && size(text) > 3", "next": True}]}),
    ("grpc://example.org:50051", {}, [], {"url": "grpc://example.org:50051"}),
    ("192.0.2.1", {"dns": {"query-name": "example.org.", "query-type": "a"}},
     ["[DNS_RCODE] == NOERROR", "[BODY] == pat(192.0.*)", "[BODY] != any(192.0.2.8, 192.0.2.9)"],
     {"url": "dns://192.0.2.1", "query": "example.org", "type": "A", "expect": [
         "rcode == 'NOERROR'",
         "answers.exists(each, each.matches('(?s)^192\\\\.0\\\\..*$'))",
         "!('192.0.2.8' in answers || '192.0.2.9' in answers)",
     ]}),
    ("192.0.2.1:5353", {"dns": {"query-name": "example.org", "query-type": "MX"}}, ["[BODY] == mail.example.org."],
     {"url": "dns://192.0.2.1:5353", "query": "example.org", "type": "MX",
      "expect": ["answers.exists(each, each.endsWith(' mail.example.org'))"]}),
]  # fmt: skip


@pytest.mark.parametrize(("url", "more", "conditions", "expected"), GATUS, ids=[each[0] for each in GATUS])
def test_every_kind_of_gatus(
    url: str, more: dict[str, Any], conditions: list[str], expected: dict[str, Any], tmp_path: Path
) -> None:
    each = {"name": "x", "url": url, "conditions": conditions, **more}
    result = gatus.imported({"endpoints": [each]})
    (ours,) = result.endpoints
    assert result.left_out == []
    assert {
        key: value for key, value in ours.items() if key not in ("name", "interval", "timeout", "sinks")
    } == expected
    path = tmp_path / "config.toml"
    path.write_text(text(result, "gatus"))
    assert load(path, environ={}).endpoints[0].name == "x"


def test_what_gatus_knows_and_we_do_not() -> None:
    result = gatus.imported(
        {
            "endpoints": [
                {"name": "old", "url": "sctp://example.org:38412"},
                {"name": "shell", "url": "ssh://example.org:2222", "ssh": {"username": "me", "password": "x"}},
                {"name": "port", "url": "tcp://example.org:25", "conditions": ["[STATUS] == 0", "[BODY] == x"]},
            ]
        }
    )
    assert [each["url"] for each in result.endpoints] == ["tcp://example.org:2222", "tcp://example.org:25"]
    assert result.left_out == [
        'the endpoint "old": there is no check for sctp://',
        'of "shell": ssh.username and ssh.password: only the server\'s greeting is looked at',
        'of "port": the condition [STATUS] == 0',
        'of "port": the condition [BODY] == x',
    ]


def test_pings_and_look_ups_of_uptime_kuma(tmp_path: Path) -> None:
    monitors = [
        {"type": "ping", "name": "gateway", "hostname": "192.0.2.1", "packetSize": 56},
        {"type": "dns", "name": "mx", "hostname": "example.org", "dns_resolve_type": "MX", "port": 53,
         "dns_resolve_server": "192.0.2.53, 192.0.2.54"},
        {"type": "dns", "name": "own", "hostname": "example.org"},
        {"type": "websocket-upgrade", "name": "feed", "url": "wss://example.org/"},
    ]  # fmt: skip
    result = uptime_kuma.imported({"monitorList": monitors})
    gateway, mx, own, feed = result.endpoints
    assert (gateway["url"], gateway["count"], gateway["size"]) == ("icmp://192.0.2.1", 1, 56)
    assert (mx["url"], mx["query"], mx["type"]) == ("dns://192.0.2.53:53", "example.org", "MX")
    assert (own["url"], own["type"], feed["url"]) == ("dns:///example.org", "A", "wss://example.org/")
    path = tmp_path / "config.toml"
    path.write_text(text(result, "uptime-kuma"))
    assert len(load(path, environ={}).endpoints) == 4


BLACKBOX = {
    "dns_soa": (
        {"prober": "dns", "dns": {"query_name": "example.org", "query_type": "SOA", "transport_protocol": "tcp"}},
        {"check": "dns", "query": "example.org", "type": "SOA", "transport": "tcp", "expect": ["rcode in ['NOERROR']"]},
    ),
    "dns_gone": (
        {"prober": "dns", "dns": {"query_name": "old.example.org", "query_type": "A", "valid_rcodes": ["NXDOMAIN"],
                                  "recursion_desired": False, "dns_over_tls": True}},
        {"check": "dns", "query": "old.example.org", "type": "A", "transport": "tls", "recursion": False,
         "expect": ["rcode in ['NXDOMAIN']"]},
    ),
    "icmp": ({"prober": "icmp", "icmp": {"payload_size": 100}}, {"check": "icmp", "count": 1, "size": 100}),
    "grpc": (
        {"prober": "grpc", "grpc": {"service": "a.B", "tls": True, "tls_config": {"insecure_skip_verify": True}}},
        {"check": "grpc", "service": "a.B", "tls": True, "verify": False},
    ),
    "smtp_starttls": (
        {"prober": "tcp", "tcp": {"query_response": [
            {"expect": "^220"}, {"send": "EHLO prober\r"}, {"expect": "^250-STARTTLS"}, {"send": "STARTTLS\r"},
            {"expect": "^220"}, {"starttls": True}, {"send": "QUIT\r"}]}},
        {"check": "tcp", "starttls": "smtp", "steps": [{"send": "QUIT\r\n"}]},
    ),
    "imap_starttls": (
        {"prober": "tcp", "tcp": {"query_response": [{"expect": "OK"}, {"send": ". STARTTLS"}, {"starttls": True}]}},
        {"check": "tcp", "starttls": "imap"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BLACKBOX)
def test_every_prober_of_blackbox_exporter(name: str, tmp_path: Path) -> None:
    theirs, ours = BLACKBOX[name]
    result = blackbox.imported({"modules": {name: copy.deepcopy(theirs)}})
    assert result.left_out == []
    assert result.modules[name] == {**ours, "timeout": "120s"}
    path = tmp_path / "config.toml"
    path.write_text(text(result, "blackbox"))
    assert load(path, environ={}).modules[name].kind == ours["check"]


def test_what_of_blackbox_exporter_has_no_counterpart() -> None:
    odd = {
        "any": {"prober": "dns",
                "dns": {"query_name": "x.org", "validate_answer_rrs": {"fail_if_matches_regexp": ["x"]}}},
        "icmp": {"prober": "icmp", "icmp": {"ttl": 3, "dont_fragment": True}},
        "chat": {"prober": "tcp", "tcp": {"query_response": [{"send": "hello"}, {"starttls": True}]}},
    }  # fmt: skip
    assert blackbox.imported({"modules": odd}).left_out == [
        'of the module "any": dns.query_type ANY; A stands for that',
        'of the module "any": dns.validate_answer_rrs',
        'of the module "icmp": icmp.dont_fragment and icmp.ttl',
        'of the module "chat": tcp.query_response, for its starttls',
    ]


def test_uptime_kuma() -> None:
    shop = {
        "type": "keyword",
        "name": "shop",
        "parent": 7,
        "url": "https://shop.example/?a=$b",
        "keyword": "it's up",
        "accepted_statuscodes": ["200-299", "401"],
        "interval": 30,
        "retryInterval": 60,
        "maxretries": 2,
        "resendInterval": 4,
        "timeout": 10,
        "headers": '{"X-A": "1"}',
        "tags": [{"name": "team", "value": "web"}],
        "notificationIDList": {"1": True, "2": True},
    }
    backup = {
        "monitorList": [
            {"type": "group", "id": 7, "name": "web"},
            shop,
            {"type": "push", "name": "backup", "pushToken": "abc", "interval": 3600, "active": False},
            {"type": "steam", "name": "game"},
            {"type": "http", "name": "broken"},
        ],
        "notificationList": [
            {"id": 1, "name": "Chat", "config": '{"type": "slack", "slackwebhookURL": "https://hooks.example/x"}'},
            {"id": 2, "name": "Phone", "config": '{"type": "pushover"}'},
        ],
    }
    result = uptime_kuma.imported(backup)
    found, pushed = result.endpoints
    assert found == {
        "name": "shop",
        "group": "web",
        "url": "https://shop.example/?a=$$b",
        "method": "GET",
        "interval": "30s",
        "timeout": "10s",
        "retry_interval": "30s",
        "failure_threshold": 3,
        "success_threshold": 1,
        "reminder_interval": "120s",
        "sinks": ["Chat"],
        "labels": {"team": "web"},
        "headers": {"X-A": "1"},
        "expect": ["status >= 200 && status <= 299 || status == 401", "body.contains('it\\'s up')"],
    }
    assert (pushed["check"], pushed["token"], pushed["enabled"]) == ("heartbeat", "abc", False)
    assert result.left_out == [
        'the notification "Phone" by pushover',
        '"game": monitors of type steam',
        "\"broken\": it cannot be read ('url')",
    ]


@pytest.mark.parametrize("document", [None, [], 3, {"monitorList": 3}, {"monitorList": ["x"]}, {}])
def test_what_is_no_backup_is_refused(document: object) -> None:
    with pytest.raises(MonitorError, match="expected"):
        uptime_kuma.imported(document)


def test_names_are_possible_and_different() -> None:
    names = Names()
    taken = [names.take("a/b"), names.take("a/b", "g"), names.take("a/b", "g"), names.take(None), names.take("group:x")]
    assert taken == ["a-b", "g a-b", "a-b 2", "unnamed", "x"]


WAYS_OF_GATUS = [
    ({"proxy-url": "socks5://proxy.example:1080"}, {"proxy": "socks5h://proxy.example:1080"}),
    ({"proxy-url": "http://me:$SECRET@proxy.example:3128"}, {"proxy": "http://me:${SECRET}@proxy.example:3128"}),
    ({"oauth2": {"token-url": "https://login.example/t", "client-id": "m", "client-secret": "$S", "scopes": ["a"]}},
     {"auth": {"oauth2": {"token_url": "https://login.example/t", "client_id": "m", "client_secret": "${S}",
                          "scopes": ["a"]}}}),
    ({"tls": {"certificate-file": "c.pem", "private-key-file": "k.pem"}},
     {"client_cert": "c.pem", "client_key": "k.pem"}),
]  # fmt: skip


@pytest.mark.parametrize(("client", "expected"), WAYS_OF_GATUS)
def test_by_which_way_gatus_goes(client: dict[str, Any], expected: dict[str, Any]) -> None:
    result = gatus.imported({"endpoints": [{"name": "x", "url": "https://x.example/", "client": client}]})
    assert result.left_out == []
    assert expected.items() <= result.endpoints[0].items()


def test_ways_of_gatus_without_counterpart() -> None:
    client = {"proxy-url": "ftp://p", "tls": {"renegotiation": "once"}, "network": "ip6"}
    result = gatus.imported({"endpoints": [{"name": "x", "url": "https://x.example/", "client": client}]})
    assert result.left_out == ['of "x": client.network, client.proxy-url and client.tls']


def test_ways_of_blackbox_exporter() -> None:
    oauth2 = {
        "token_url": "https://login.example/t", "client_id": "m$", "client_secret_file": "/run/s", "scopes": ["a", "b"],
        "endpoint_params": {"audience": "x"}, "proxy_url": "http://p",
    }  # fmt: skip
    http = {"proxy_url": "http://proxy.example:3128", "skip_resolve_phase_with_proxy": True, "oauth2": oauth2}
    result = blackbox.imported({"modules": {"m": {"prober": "http", "http": http}}})
    assert result.modules["m"] | {"timeout": "", "check": "", "max_redirects": 0} == {
        "timeout": "", "check": "", "max_redirects": 0, "http2": True, "proxy": "http://proxy.example:3128",
        "auth": {"oauth2": {"token_url": "https://login.example/t", "client_id": "m$$", "client_secret":
                 {"file": "/run/s"}, "scopes": ["a", "b"], "parameters": {"audience": "x"}}},
    }  # fmt: skip
    assert result.left_out == ['of the module "m": http.oauth2.proxy_url']
    old = blackbox.imported({"modules": {"m": {"prober": "http", "http": {"enable_http2": False}}}})
    assert "http2" not in old.modules["m"]


def test_ways_of_uptime_kuma(tmp_path: Path) -> None:
    monitors = [
        {"proxyId": 1}, {"proxyId": 2}, {"proxyId": 3}, {"proxyId": 4},
        {"authMethod": "oauth2-cc", "oauth_token_url": "https://login.example/t", "oauth_client_id": "m",
         "oauth_client_secret": "a$b", "oauth_scopes": "x y", "oauth_auth_method": "client_secret_post"},
        {"authMethod": "mtls"}, {"authMethod": "ntlm", "basic_auth_user": "me"},
        {"authMethod": "basic", "basic_auth_user": "me"},
    ]  # fmt: skip
    proxies = [
        {"id": 1, "protocol": "https", "host": "p.example", "port": 8443, "auth": True, "username": "me",
         "password": "a@b$"},
        {"id": 2, "protocol": "socks", "host": "2001:db8::1", "port": "1080"},
        {"id": 3, "protocol": "socks4", "host": "p.example", "port": 1080},
        {"id": 4, "protocol": "http", "host": "p.example", "port": 1, "active": False},
    ]  # fmt: skip
    backup = {
        "monitorList": [
            {"type": "http", "name": str(number), "url": "https://x.example/", **each}
            for number, each in enumerate(monitors)
        ],
        "proxyList": proxies,
    }
    result = uptime_kuma.imported(backup)
    ways = [{key: each[key] for key in ("proxy", "auth") if key in each} for each in result.endpoints]
    oauth2 = {"token_url": "https://login.example/t", "client_id": "m", "client_secret": "a$$b", "scopes": ["x", "y"]}
    assert ways == [
        {"proxy": "https://me:a%40b%24@p.example:8443"}, {"proxy": "socks5h://[2001:db8::1]:1080"}, {}, {},
        {"auth": {"oauth2": {**oauth2, "credentials_in": "body"}}}, {}, {},
        {"auth": {"basic": {"username": "me", "password": ""}}},
    ]  # fmt: skip
    assert result.left_out == [
        'of "2": the proxy, by socks4',
        'of "5": its certificate: save it as a file, for client_cert and client_key',
        'of "6": signing in by ntlm',
    ]
    path = tmp_path / "config.toml"
    path.write_text(text(result, "uptime-kuma"))
    assert len(load(path, environ={}).endpoints) == 8
