"""An alert in words that people read: what every format that is not for machines is made of."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import attrs

from monitor.api import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Document = Mapping[str, Any]

_MOST_NAMED = 10  # endpoints in a list


class Mood(enum.Enum):
    """What kind of news it is."""

    BAD = "bad"
    WARNING = "warning"
    GOOD = "good"
    NOTICE = "notice"


@attrs.frozen(kw_only=True)
class News:
    """What happened."""

    mood: Mood
    title: str  # `shop is down`
    text: str  # one sentence or two
    facts: tuple[tuple[str, str], ...]  # `("Since", "2026-11-22 15:00:00 UTC")`
    at: str  # RFC 3339
    link: str | None  # the endpoint's page
    runbook: str | None

    @property
    def runbook_link(self) -> str | None:
        """The runbook, where it is an address and not a text."""
        is_link = self.runbook is not None and self.runbook.startswith(("https://", "http://"))
        return self.runbook if is_link else None

    @property
    def lines(self) -> list[str]:
        """All of it but the title, as lines of plain text."""
        lines = [self.text] if self.text else []
        lines += [f"{name}: {value}" for name, value in self.facts]
        lines += [f"Runbook: {self.runbook}"] if self.runbook else []
        return lines + ([self.link] if self.link else [])


def news(documents: Sequence[Document]) -> News:
    """Put one alert in words, or those of one incident, oldest first, as one story."""
    document = documents[-1]
    data = document["data"]
    endpoint = data["endpoint"] or {}
    story = len(documents) > 1 and document["type"] == "alert.resolved"
    mood, title, text = _told(document["type"], endpoint.get("name") or "the monitor", data, story=story)
    return News(
        mood=mood,
        title=title,
        text=text,
        facts=tuple(_facts(document["type"], endpoint, data)),
        at=document["timestamp"],
        link=endpoint.get("url"),
        runbook=endpoint.get("runbook"),
    )


def _told(kind: str, name: str, data: Mapping[str, Any], *, story: bool) -> tuple[Mood, str, str]:
    message, before, after = data["reason"]["message"], data["from"], data["to"]
    match kind:
        case "alert.firing" if before in ("down", "degraded") and before != after:
            return _bad(after), f"{name} is {after} now, before it was {before}", message
        case "alert.firing":
            return _bad(after), f"{name} is {after}", message
        case "alert.reminder":
            return _bad(after), f"{name} is still {after}", message
        case "alert.resolved":
            return _resolved(name, data, story=story)
        case _:
            return _told_otherwise(kind, name, data)


def _told_otherwise(kind: str, name: str, data: Mapping[str, Any]) -> tuple[Mood, str, str]:
    message, after = data["reason"]["message"], data["to"]
    match kind:
        case "alert.flapping" if data.get("flapping", True):
            return Mood.WARNING, f"{name} is flapping", "It changes too often; its alerts wait until it is steady."
        case "alert.flapping":
            return Mood.NOTICE, f"{name} is steady again", f"It is {after}." if after else ""
        case "alert.self" if data.get("trouble", True):
            return Mood.BAD, "The monitor itself has trouble", message
        case "alert.self":
            return Mood.GOOD, "The monitor itself is well again", message
        case "alert.test":
            return Mood.NOTICE, "A test alert", message or "Alerts of this monitor arrive here."
        case _:
            return Mood.NOTICE, f"{kind.removeprefix('alert.')}: {name}", message


def _bad(state: str | None) -> Mood:
    return Mood.WARNING if state == "degraded" else Mood.BAD


def _resolved(name: str, data: Mapping[str, Any], *, story: bool) -> tuple[Mood, str, str]:
    incident, before, after = data["incident"], data["from"], data["to"]
    lasted = seconds_text(incident["duration"])
    cause = incident["reason"]["message"]
    text = f"It was {before}: {cause}" if cause else f"It was {before}."
    if after is None:
        return Mood.NOTICE, f"{name} is no longer watched", f"It was {before} when it left, for {lasted}."
    if story:
        return Mood.GOOD, f"{name} was {before} for {lasted} and is {after} again", cause
    return Mood.GOOD, f"{name} is {after} again after {lasted}", text


def _facts(kind: str, endpoint: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if endpoint.get("description"):
        yield "What it is", endpoint["description"]
    if endpoint.get("target"):
        yield "Target", endpoint["target"]
    if endpoint.get("group"):
        yield "Group", endpoint["group"]
    incident = data["incident"]
    if incident is not None and kind != "alert.flapping":
        yield "Since" if incident["resolved_at"] is None else "From", _moment(incident["started_at"])
        if incident["resolved_at"] is not None:
            yield "Until", _moment(incident["resolved_at"])
        elif kind == "alert.reminder":
            yield "For", seconds_text(incident["duration"])
    yield from sorted((endpoint.get("labels") or {}).items())
    held = data.get("suppressed") or ()
    if held:
        more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
        yield "Held back because of it", ", ".join(held[:_MOST_NAMED]) + more


def _moment(text: str) -> str:
    """`2026-11-22T15:00:10.000Z` as people read it."""
    return f"{text[:10]} {text[11:19]} UTC"


def cut(text: str, most: int) -> str:
    """*text* in at most *most* characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
