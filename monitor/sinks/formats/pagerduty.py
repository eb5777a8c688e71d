"""`pagerduty`: an event of PagerDuty's Events API v2 (https://developer.pagerduty.com/docs/send-alert-event).

One incident is one alert there: `dedup_key` is the incident's id. A `firing` and its reminders trigger it, a `resolved`
resolves it. Flapping and the monitor's own trouble are alerts of their own, which end when those do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.api import Manner
from monitor.sinks.formats.words import Mood, cut, news

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.sinks.formats.words import Document, News

MANNER = Manner()
URL = "https://events.pagerduty.com/v2/enqueue"

_SEVERITY = {Mood.BAD: "critical", Mood.WARNING: "warning", Mood.GOOD: "info", Mood.NOTICE: "info"}
_LONGEST_SUMMARY = 1024
_LONGEST_KEY = 255
_LONGEST_VALUE = 1000


def render(documents: Sequence[Document], routing_key: str) -> dict[str, Any]:
    """The event."""
    document = documents[-1]
    data = document["data"]
    event = {
        "routing_key": routing_key,
        "event_action": "resolve" if _is_over(document) else "trigger",
        "dedup_key": cut(_key(document), _LONGEST_KEY),
    }
    if event["event_action"] == "resolve":
        return event
    told = news(documents)
    endpoint = data["endpoint"] or {}
    payload: dict[str, Any] = {
        "summary": cut(f"{told.title}: {told.text}" if told.text else told.title, _LONGEST_SUMMARY),
        "source": endpoint.get("target") or endpoint.get("name") or "nursery-monitor",
        "severity": _SEVERITY[told.mood],
        "timestamp": told.at,
        "class": data["reason"]["code"],
        "custom_details": {name: cut(value, _LONGEST_VALUE) for name, value in told.facts},
    }
    payload |= {key: endpoint[name] for key, name in (("component", "name"), ("group", "group")) if endpoint.get(name)}
    return event | {"payload": payload, "client": "Nursery Monitor"} | _links(told)


def _links(told: News) -> dict[str, Any]:
    links = [{"href": told.link, "text": "The endpoint's page"}] if told.link else []
    if told.runbook_link:
        links.append({"href": told.runbook_link, "text": "Runbook"})
    return ({"links": links} if links else {}) | ({"client_url": told.link} if told.link else {})


def _is_over(document: Document) -> bool:
    data = document["data"]
    match document["type"]:
        case "alert.resolved":
            return True
        case "alert.flapping":
            return not data.get("flapping", True)
        case "alert.self":
            return not data.get("trouble", True)
        case _:
            return False


def _key(document: Document) -> str:
    data = document["data"]
    match document["type"]:
        case "alert.flapping":
            return f"nursery-monitor/flapping/{data['endpoint']['name']}"
        case "alert.self":
            return "nursery-monitor/self"
        case "alert.test":
            return "nursery-monitor/test"
        case _:
            return str(data["incident"]["id"])
