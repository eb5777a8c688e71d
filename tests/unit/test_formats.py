"""Every format, for every kind of alert: as golden files in tests/formats, and as rules that hold for all.

The golden files are there to be read: they are what people see. `GOLDEN=write` writes them anew; look at the diff.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from support.documents import DEGRADED, FIRING, FLAPPING, NASTY, REMINDER, RESOLVED, STEADY, STORIES, TEST, WORSE

from monitor.core.pacing import MOST_AT_ONCE
from monitor.sinks.formats import MANNERS, NAMES, as_json
from monitor.sinks.formats.alerts import fingerprint

GOLDEN = Path(__file__).parent.parent / "formats"
OF_JSON = [name for name in NAMES if name not in ("standard", "template")]
CHAT = ("slack", "discord", "ntfy")
SETTINGS = {"receiver": "ops", "routing_key": "R0UTING", "topic": "alerts"}


def rendered(name, *documents):
    return json.loads(as_json(name, documents, **SETTINGS))


def texts(value):
    """Every string in *value*."""
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield key
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)


@pytest.mark.parametrize("name", OF_JSON)
def test_every_kind_of_alert_looks_as_it_should(name):
    seen = {story: rendered(name, *documents) for story, documents in STORIES.items()}
    file = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(json.dumps(seen, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert seen == json.loads(file.read_text("utf-8"))


@pytest.mark.parametrize("name", OF_JSON)
@pytest.mark.parametrize("story", STORIES)
def test_the_same_documents_give_the_same_bytes(name, story):
    assert as_json(name, STORIES[story], **SETTINGS) == as_json(name, STORIES[story], **SETTINGS)


@pytest.mark.parametrize("name", OF_JSON)
def test_an_alert_of_another_time_is_told_somehow(name):
    """What an older or newer version wrote may lack keys, or have others."""
    document = json.loads(json.dumps(FIRING)) | {"type": "alert.unheard-of"}
    del document["data"]["endpoint"]["runbook"]
    document["data"]["more"] = {"a": 1}
    assert rendered(name, document)


def test_only_digests_wait_and_only_chat_is_limited():
    assert {name for name, manner in MANNERS.items() if manner.groups} == {"alertmanager"}
    assert {name for name, manner in MANNERS.items() if manner.merges} == set(CHAT)
    limits = {name: manner.per_minute for name, manner in MANNERS.items()}
    assert {name for name, limit in limits.items() if limit is None} == {
        "standard",
        "alertmanager",
        "alertmanager-api",
        "pagerduty",
    }
    assert {limit for limit in limits.values() if limit is not None} == {20}
    assert MOST_AT_ONCE < 20


class TestSlack:
    """https://docs.slack.dev/reference/block-kit/blocks: the limits of its blocks."""

    def test_it_keeps_to_the_limits(self):
        message = rendered("slack", NASTY)
        blocks = message["attachments"][0]["blocks"]
        assert len(blocks) <= 50
        for block in blocks:
            if "text" in block:
                assert 1 <= len(block["text"]["text"]) <= 3000
            assert len(block.get("fields", ())) <= 10
            assert all(1 <= len(field["text"]) <= 2000 for field in block.get("fields", ()))

    def test_nobody_is_mentioned_and_nothing_is_a_link(self):
        message = rendered("slack", NASTY)
        for text in texts(message):
            inner = text.removeprefix("*<https://status.example.org/").removesuffix(">*")
            assert "<" not in inner or inner.startswith("https://")
            assert "<!" not in text
            assert "<@" not in text
        assert "link_names" not in message

    def test_what_a_server_said_is_plain_text(self):
        blocks = rendered("slack", FIRING)["attachments"][0]["blocks"]
        for block in blocks[1:]:
            for text in [block["text"]] if "text" in block else block["fields"]:
                assert text["type"] == "plain_text"


class TestDiscord:
    """https://docs.discord.com/developers/resources/message#embed-object-embed-limits."""

    def test_it_keeps_to_the_limits(self):
        [embed] = rendered("discord", NASTY)["embeds"]
        assert len(embed["title"]) <= 256
        assert len(embed["description"]) <= 4096
        assert len(embed["fields"]) <= 25
        for field in embed["fields"]:
            assert 1 <= len(field["name"]) <= 256
            assert 1 <= len(field["value"]) <= 1024
        pieces = [embed["title"], embed["description"], *(f["name"] + f["value"] for f in embed["fields"])]
        assert sum(map(len, pieces)) <= 6000

    def test_nobody_is_mentioned_and_markup_is_text(self):
        message = rendered("discord", NASTY)
        assert message["allowed_mentions"] == {"parse": []}
        for text in texts(message["embeds"][0]["description"]):
            assert not re.search(r"(?<!\\)(?:\\\\)*[*_~`|]", text)

    def test_a_cut_leaves_no_lone_backslash(self):
        text = rendered("discord", NASTY)["embeds"][0]["description"].removesuffix("…")
        assert (len(text) - len(text.rstrip("\\"))) % 2 == 0


class TestPagerDuty:
    """https://developer.pagerduty.com/docs/send-alert-event: the schema of an event."""

    @pytest.mark.parametrize("story", STORIES)
    def test_it_has_the_shape_of_an_event(self, story):
        event = rendered("pagerduty", *STORIES[story])
        assert event["routing_key"] == "R0UTING"
        assert event["event_action"] in ("trigger", "resolve")
        assert 1 <= len(event["dedup_key"]) <= 255
        if event["event_action"] == "resolve":
            assert set(event) == {"routing_key", "event_action", "dedup_key"}
            return
        payload = event["payload"]
        assert 1 <= len(payload["summary"]) <= 1024
        assert payload["severity"] in ("critical", "error", "warning", "info")
        assert payload["source"]
        assert set(payload) <= {
            "summary",
            "source",
            "severity",
            "timestamp",
            "component",
            "group",
            "class",
            "custom_details",
        }
        assert all(set(link) == {"href", "text"} for link in event.get("links", ()))
        assert set(event) <= {
            "routing_key",
            "event_action",
            "dedup_key",
            "payload",
            "client",
            "client_url",
            "links",
            "images",
        }

    def test_an_incident_is_one_alert_from_its_firing_to_its_resolved(self):
        keys = {rendered("pagerduty", each)["dedup_key"] for each in (DEGRADED, WORSE, FIRING, REMINDER, RESOLVED)}
        assert keys == {FIRING["data"]["incident"]["id"]}
        actions = [rendered("pagerduty", each)["event_action"] for each in (FIRING, REMINDER, RESOLVED)]
        assert actions == ["trigger", "trigger", "resolve"]

    def test_flapping_is_another_that_ends_when_it_is_steady(self):
        began, ended = rendered("pagerduty", FLAPPING), rendered("pagerduty", STEADY)
        assert (began["event_action"], ended["event_action"]) == ("trigger", "resolve")
        assert began["dedup_key"] == ended["dedup_key"] != FIRING["data"]["incident"]["id"]

    def test_a_long_message_fits(self):
        assert len(rendered("pagerduty", NASTY)["payload"]["summary"]) == 1024


class TestNtfy:
    """https://docs.ntfy.sh/publish/#publish-as-json."""

    @pytest.mark.parametrize("story", STORIES)
    def test_it_has_the_shape_of_a_message(self, story):
        message = rendered("ntfy", *STORIES[story])
        assert message["topic"] == "alerts"
        assert message["message"]
        assert 1 <= message["priority"] <= 5
        assert all(re.fullmatch(r"[a-z_]+", tag) for tag in message["tags"])
        assert set(message) <= {"topic", "title", "message", "tags", "priority", "click", "actions"}

    def test_a_long_message_is_cut_in_bytes(self):
        document = json.loads(json.dumps(FIRING))
        document["data"]["reason"]["message"] = "💥" * 3000
        message = rendered("ntfy", document)["message"]
        assert len(message.encode()) <= 4096
        assert message.endswith("💥…")


class TestAlertmanager:
    """https://prometheus.io/docs/alerting/latest/configuration/#webhook_config, and Grafana's, which is a superset."""

    KEYS = (
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
        *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
    )

    @pytest.mark.parametrize("story", STORIES)
    def test_it_has_the_shape_of_version_4(self, story):
        group = rendered("alertmanager", *STORIES[story])
        assert tuple(sorted(group)) == tuple(sorted(self.KEYS))
        assert (group["version"], group["receiver"], group["truncatedAlerts"]) == ("4", "ops", 0)
        assert group["status"] in ("firing", "resolved")
        for alert in group["alerts"]:
            assert set(alert) == {
                *("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"),
            }
            assert re.fullmatch(r"[0-9a-f]{16}", alert["fingerprint"])
            assert alert["labels"]["alertname"]
            for name, value in [*alert["labels"].items(), *alert["annotations"].items()]:
                assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
                assert isinstance(value, str)
                assert value
            assert (alert["endsAt"] == "0001-01-01T00:00:00Z") == (alert["status"] == "firing")

    def test_several_are_one_group_that_fires_while_any_does(self):
        other = json.loads(json.dumps(FIRING))
        other["data"]["endpoint"]["name"] = "feed"
        group = rendered("alertmanager", other, RESOLVED)
        assert group["status"] == "firing"
        assert [alert["status"] for alert in group["alerts"]] == ["firing", "resolved"]
        assert group["commonLabels"] == {
            "alertname": "EndpointTrouble",
            "check": "http",
            "group": "web",
            "team": "shop",
        }
        assert rendered("alertmanager", RESOLVED)["status"] == "resolved"

    @pytest.mark.parametrize("name", ["alertmanager", "alertmanager-api"])
    def test_the_labels_are_the_same_from_firing_to_resolved(self, name):
        groups = [rendered(name, each) for each in (DEGRADED, WORSE, FIRING, REMINDER, RESOLVED)]
        alerts = [group["alerts"][0] if name == "alertmanager" else group[0] for group in groups]
        assert len({json.dumps(alert["labels"]) for alert in alerts}) == 1
        assert len({alert["startsAt"] for alert in alerts}) == 1

    def test_the_fingerprint_is_the_endpoints_whatever_its_labels(self):
        changed = json.loads(json.dumps(RESOLVED))
        changed["data"]["endpoint"] |= {"group": "other", "labels": {"team": "else"}}
        prints = {rendered("alertmanager", each)["alerts"][0]["fingerprint"] for each in (FIRING, REMINDER, changed)}
        assert len(prints) == 1
        assert prints != {rendered("alertmanager", TEST)["alerts"][0]["fingerprint"]}

    def test_the_fingerprint_is_computed_as_prometheus_does(self):
        # From the tests of github.com/prometheus/common/model.
        assert fingerprint({}) == f"{0xCBF29CE484222325:016x}"
        assert fingerprint({"name": "garland, briggs", "fear": "love is not enough"}) == f"{5799056148416392346:016x}"

    def test_label_names_are_made_to_fit(self):
        labels = rendered("alertmanager", NASTY)["alerts"][0]["labels"]
        assert labels["the_team"] == "<@U1> & co"
        assert labels["_9"] == "x"
