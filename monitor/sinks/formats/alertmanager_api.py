"""`alertmanager-api`: what a client of a real Alertmanager sends to its `/api/v2/alerts`.

An alert that fires has no end there: Alertmanager gives it one after its `resolve_timeout` (5 minutes), so it is sent
again every minute while it fires; a `resolved` ends it at once. Grouping is Alertmanager's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from monitor.api import Manner
from monitor.sinks.formats.alerts import alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.sinks.formats.words import Document

MANNER = Manner(resend=60.0)
PATH = "/api/v2/alerts"


def place(url: str) -> str:
    """Where to post to: *url* is Alertmanager's own, or that of its API."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(PATH) else path + PATH))


def render(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """The alerts, in order."""
    return [_alert(each) for each in documents]


def _alert(document: Document) -> dict[str, Any]:
    each = alert(document)
    posted: dict[str, Any] = {
        "labels": dict(each.labels),
        "annotations": dict(each.annotations),
        "startsAt": each.starts_at,
        "generatorURL": each.link,
    }
    return posted | ({} if each.ends_at is None else {"endsAt": each.ends_at})
