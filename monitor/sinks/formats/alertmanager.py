"""`alertmanager`: the document of Alertmanager's webhook receiver, version 4; several alerts go in one.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.api import Manner
from monitor.sinks.formats.alerts import alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.sinks.formats.alerts import Alert
    from monitor.sinks.formats.words import Document

MANNER = Manner(groups=True)

_NOT_ENDED = "0001-01-01T00:00:00Z"


def render(documents: Sequence[Document], receiver: str) -> dict[str, Any]:
    """The notification of one group: all that the sink is told at once."""
    alerts = [alert(each) for each in documents]
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing" if any(each.ends_at is None for each in alerts) else "resolved",
        "receiver": receiver,
        "groupLabels": {},
        "commonLabels": _common([each.labels for each in alerts]),
        "commonAnnotations": _common([each.annotations for each in alerts]),
        "externalURL": _external_url(alerts),
        "alerts": [_alert(each) for each in alerts],
    }


def _alert(each: Alert) -> dict[str, Any]:
    return {
        "status": "firing" if each.ends_at is None else "resolved",
        "labels": dict(each.labels),
        "annotations": dict(each.annotations),
        "startsAt": each.starts_at,
        "endsAt": each.ends_at or _NOT_ENDED,
        "generatorURL": each.link,
        "fingerprint": each.fingerprint,
    }


def _common(maps: Sequence[Any]) -> dict[str, str]:
    first, *others = maps
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}


def _external_url(alerts: Sequence[Alert]) -> str:
    """The address of the monitor itself, as far as the alerts know it."""
    return next((each.link.rpartition("/endpoints/")[0] for each in alerts if each.link), "")
