"""`ntfy`: published as JSON (https://docs.ntfy.sh/publish/#publish-as-json).

The configured URL is the topic's, as one sees it in a browser; JSON goes to the server's root, with the topic in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from monitor.api import Manner
from monitor.sinks.formats.words import Mood, news

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.sinks.formats.words import Document

MANNER = Manner(merges=True, per_minute=20)

_TAG = {Mood.BAD: "rotating_light", Mood.WARNING: "warning", Mood.GOOD: "white_check_mark", Mood.NOTICE: "bell"}
_PRIORITY = {Mood.BAD: 5, Mood.WARNING: 4, Mood.GOOD: 3, Mood.NOTICE: 3}
_LONGEST_TITLE = 200
_LONGEST_MESSAGE = 3800  # bytes, of 4096: what is longer becomes an attachment
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")


def place(url: str) -> tuple[str, str]:
    """The URL to post to and the topic that the topic's *url* means. ValueError where there is none."""
    parts = urlsplit(url)
    path, _, topic = parts.path.rstrip("/").rpartition("/")
    if not _TOPIC.fullmatch(topic):
        raise ValueError('expected the URL of a topic such as "https://ntfy.sh/mytopic", got one without a topic')
    return urlunsplit((parts.scheme, parts.netloc, path + "/", parts.query, "")), topic


def render(documents: Sequence[Document], topic: str) -> dict[str, Any]:
    """The message."""
    told = news(documents)
    lines = told.lines[:-1] if told.link else told.lines
    message = {
        "topic": topic,
        "title": _cut(told.title, _LONGEST_TITLE),
        "message": _cut("\n".join(lines), _LONGEST_MESSAGE) or told.title,
        "tags": [_TAG[told.mood]],
        "priority": _PRIORITY[told.mood],
    }
    if told.link:
        message["click"] = told.link
    if told.runbook_link:
        message["actions"] = [{"action": "view", "label": "Runbook", "url": told.runbook_link}]
    return message


def _cut(text: str, most: int) -> str:
    """*text* in at most *most* bytes."""
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= most else encoded[: most - 3].decode("utf-8", "ignore") + "…"
