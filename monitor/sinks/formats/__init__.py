"""What a webhook's document looks like, one file per format: pure functions of frozen `standard` documents.

words      an alert in words that people read
slack, discord, ntfy             chat: a `resolved` whose `firing` still waits goes in the same message
pagerduty                        one alert there for each incident
alerts, alertmanager, alertmanager_api   as Prometheus' Alertmanager sends them, and as it takes them
template, rendering              a user's own, rendered in a process of its own
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args

from monitor.api import Manner
from monitor.sinks.formats import alertmanager, alertmanager_api, discord, ntfy, pagerduty, slack, template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.sinks.formats.words import Document

Format = Literal["standard", "alertmanager", "alertmanager-api", "slack", "discord", "pagerduty", "ntfy", "template"]
NAMES: tuple[str, ...] = get_args(Format)

MANNERS: Mapping[str, Manner] = {
    "standard": Manner(),
    "alertmanager": alertmanager.MANNER,
    "alertmanager-api": alertmanager_api.MANNER,
    "slack": slack.MANNER,
    "discord": discord.MANNER,
    "pagerduty": pagerduty.MANNER,
    "ntfy": ntfy.MANNER,
    "template": template.MANNER,
}


def as_json(
    name: str, documents: Sequence[Document], *, receiver: str, routing_key: str = "", topic: str = ""
) -> bytes:
    """The body of format *name* that tells *documents*, oldest first; *receiver* is the sink's name."""
    return json.dumps(
        _value(name, documents, receiver, routing_key, topic), ensure_ascii=False, separators=(",", ":")
    ).encode("utf-8", "replace")


def _value(name: str, documents: Sequence[Document], receiver: str, routing_key: str, topic: str) -> Any:
    match name:
        case "alertmanager":
            return alertmanager.render(documents, receiver)
        case "alertmanager-api":
            return alertmanager_api.render(documents)
        case "slack":
            return slack.render(documents)
        case "discord":
            return discord.render(documents)
        case "pagerduty":
            return pagerduty.render(documents, routing_key)
        case "ntfy":
            return ntfy.render(documents, topic)
        case _:
            raise ValueError(f"{name} is no format that is made of JSON values")
