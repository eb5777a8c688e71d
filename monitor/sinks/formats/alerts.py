"""An alert as Prometheus' Alertmanager sees it: labels that say which, annotations that say what.

The labels of an endpoint's alert are the same from its `firing` to its `resolved`, whatever its level and reason:
`alertname`, `endpoint`, `group`, `check` and the endpoint's own. What changes are annotations.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from monitor.sinks.formats.words import news

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.sinks.formats.words import Document

_NAMES = {"alert.flapping": "EndpointFlapping", "alert.self": "MonitorTrouble", "alert.test": "MonitorTest"}
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]")
_OFFSET, _PRIME = 0xCBF29CE484222325, 0x100000001B3  # FNV-1a, 64 bits


@attrs.frozen(kw_only=True)
class Alert:
    """One alert; times are RFC 3339, *ends_at* is None while it fires."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    ends_at: str | None
    link: str  # the endpoint's page, or empty

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, as Alertmanager computes them, of what never changes: which endpoint, which alert."""
        return fingerprint({name: self.labels[name] for name in ("alertname", "endpoint") if name in self.labels})


def alert(document: Document) -> Alert:
    """*document* as an alert."""
    told, data = news([document]), document["data"]
    endpoint, incident = data["endpoint"] or {}, data["incident"]
    annotations = {
        "summary": told.title,
        "description": told.text,
        "runbook_url": told.runbook or "",
        "state": data["to"] or "",
        "reason": data["reason"]["code"],
        "target": endpoint.get("target") or "",
    }
    begun = incident is not None and document["type"] in ("alert.firing", "alert.reminder", "alert.resolved")
    starts_at = incident["started_at"] if begun else document["timestamp"]
    return Alert(
        labels=_labels(document["type"], endpoint),
        annotations={name: value for name, value in annotations.items() if value},
        starts_at=starts_at,
        ends_at=_ends_at(document, starts_at),
        link=told.link or "",
    )


def _labels(kind: str, endpoint: Mapping[str, Any]) -> dict[str, str]:
    labels = {_label(name): value for name, value in (endpoint.get("labels") or {}).items()}
    labels["alertname"] = _NAMES.get(kind, "EndpointTrouble")
    labels |= {ours: endpoint.get(name) or "" for ours, name in (("endpoint", "name"), ("group", "group"))}
    labels["check"] = endpoint.get("check") or ""
    return {name: value for name, value in sorted(labels.items()) if value}  # an empty label is none


def _label(name: str) -> str:
    """*name* as a label's may be."""
    cleaned = _NOT_IN_A_NAME.sub("_", name) or "_"
    return f"_{cleaned}" if cleaned[0].isdigit() else cleaned


def _ends_at(document: Document, starts_at: str) -> str | None:
    data = document["data"]
    match document["type"]:
        case "alert.resolved":
            return max(str(data["incident"]["resolved_at"] or document["timestamp"]), starts_at)
        case "alert.flapping" if not data.get("flapping", True):
            return str(document["timestamp"])
        case "alert.self" if not data.get("trouble", True):
            return str(document["timestamp"])
        case _:
            return None


def fingerprint(labels: Mapping[str, str]) -> str:
    """The hash of *labels* by which Prometheus and Alertmanager know an alert."""
    value = _OFFSET
    for name, text in sorted(labels.items()):
        for byte in name.encode() + b"\xff" + text.encode("utf-8", "replace") + b"\xff":
            value = ((value ^ byte) * _PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
