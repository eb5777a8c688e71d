"""`discord`: a webhook of Discord; one embed a message.

https://docs.discord.com/developers/resources/webhook#execute-webhook, with the limits of embeds. Nobody is mentioned
whatever an alert says, and its text is shown as it is: markup is escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from monitor.api import Manner
from monitor.sinks.formats.words import Mood, cut, news

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.sinks.formats.words import Document

MANNER = Manner(merges=True, per_minute=20)

_COLOUR = {Mood.BAD: 0xD92D20, Mood.WARNING: 0xF79009, Mood.GOOD: 0x12B76A, Mood.NOTICE: 0x667085}
_LONGEST_TITLE = 256
_LONGEST_TEXT = 2000  # of 4096: with all fields at most 6000
_MOST_FIELDS = 12
_LONGEST_NAME = 100
_LONGEST_VALUE = 200
_LONGEST_LINK = 2000
_MARKUP = re.compile(r"([\\*_~`|>#\[\]()<@:])")


def render(documents: Sequence[Document]) -> dict[str, Any]:
    """The message."""
    told = news(documents)
    fields = [
        {"name": _escaped(name, _LONGEST_NAME), "value": _escaped(value, _LONGEST_VALUE), "inline": len(value) <= 40}
        for name, value in told.facts[:_MOST_FIELDS]
    ]
    if told.runbook:
        runbook = told.runbook_link or _escaped(told.runbook, 2 * _LONGEST_VALUE)
        fields.append({"name": "Runbook", "value": cut(runbook, 5 * _LONGEST_VALUE), "inline": False})
    embed: dict[str, Any] = {
        "title": _escaped(told.title, _LONGEST_TITLE),
        "description": _escaped(told.text, _LONGEST_TEXT),
        "color": _COLOUR[told.mood],
        "fields": fields,
        "timestamp": told.at,
    }
    if told.link and len(told.link) <= _LONGEST_LINK:
        embed["url"] = told.link
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _escaped(text: str, most: int) -> str:
    """*text* without markup, in at most *most* characters; what is cut leaves no lone backslash."""
    escaped = _MARKUP.sub(r"\\\1", text)
    if len(escaped) <= most:
        return escaped
    kept = escaped[: most - 1]
    if (len(kept) - len(kept.rstrip("\\"))) % 2:
        kept = kept[:-1]
    return kept + "…"
