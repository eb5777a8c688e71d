"""Configs of other monitors: their conditions as CEL, their documents as our tables."""

from __future__ import annotations

import pytest

from monitor.core.errors import MonitorError
from monitor.imports import gatus, uptime_kuma
from monitor.imports.conditions import UnknownConditionError, as_cel
from monitor.imports.tables import Names


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
        "[DNS_RCODE] == NOERROR",
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
        'of "front-end": client.dns-resolver',
        'of "other front-end": ui',
        "the settings storage",
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
