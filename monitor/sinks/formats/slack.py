"""`slack`: an incoming webhook of Slack, or of what speaks like it (Mattermost, Rocket.Chat).

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: the limits are those of its blocks. What a
server said stands in plain text objects, where nothing is markup; everywhere `&`, `<` and `>` are escaped, so that
nobody is mentioned by accident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.api import Manner
from monitor.sinks.formats.words import Mood, cut, news

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.sinks.formats.words import Document, News

MANNER = Manner(merges=True, per_minute=20)

_COLOUR = {Mood.BAD: "#d92d20", Mood.WARNING: "#f79009", Mood.GOOD: "#12b76a", Mood.NOTICE: "#667085"}
_MARK = {Mood.BAD: ":red_circle:", Mood.WARNING: ":large_orange_circle:", Mood.GOOD: ":large_green_circle:"}
_LONGEST_TITLE = 300
_LONGEST_TEXT = 2000  # of 3000: an escaped character takes up to five
_LONGEST_FACT = 400  # of 2000
_MOST_FACTS = 10
_LONGEST_LINK = 2000


def render(documents: Sequence[Document]) -> dict[str, Any]:
    """The message: a line of text for the notification, and blocks beside a coloured bar."""
    told = news(documents)
    title = _escaped(cut(told.title, _LONGEST_TITLE))
    mark = _MARK.get(told.mood)
    blocks: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": _headline(told)}}]
    if told.text:
        blocks.append({"type": "section", "text": _plain(told.text, _LONGEST_TEXT)})
    if told.facts:
        fields = [_plain(f"{name}\n{value}", _LONGEST_FACT) for name, value in told.facts[:_MOST_FACTS]]
        blocks.append({"type": "section", "fields": fields})
    if told.runbook:
        blocks.append({"type": "section", "text": _plain(f"Runbook: {told.runbook}", _LONGEST_TEXT)})
    return {
        "text": f"{mark} {title}" if mark else title,
        "attachments": [{"color": _COLOUR[told.mood], "fallback": title, "blocks": blocks}],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _headline(told: News) -> str:
    title = _escaped(cut(told.title, _LONGEST_TITLE).replace("*", ""))  # it would end the bold
    link = _escaped(told.link or "").replace("|", "%7C")
    return f"*<{link}|{title}>*" if link and len(link) < _LONGEST_LINK else f"*{title}*"


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _escaped(cut(text, most)), "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
