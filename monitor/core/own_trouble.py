"""The monitor's own trouble: when it is told, and how (`alert.self`).

A trouble has a key: `network`, `store`, `damage`, `stall`, or `endpoint:NAME` for one that is shown as unknown. It is
told once it has lasted, and its end once that has lasted, too; but never more often than the pauses allow, and always
all of it in one message. So a thousand checks that crash at once are one message, and a check that begins to crash
later waits for the next one, not for ever. A trouble that is over before it can be told (the database could not be
written) is told all the same.

Moments are those of a monotonic clock, in seconds; `since` is for people.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.alerting.render import render
from monitor.core.model import Alert, Code, Reason, timestamp
from monitor.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitor.core.ports import Rand

LASTS = 30.0  # a trouble stands that long before it is told
ENDS = 60.0  # … and is gone that long before its end is
PAUSE = 300.0  # from one message to the next
LAST_PAUSE = 60.0  # … where the next says that all is over
_MOST_SHOWN = 20  # of those that stand, and of those that are over, in one message
_MOST_NAMED = 3  # in its sentence
_LONGEST_KEPT = 200  # characters of a message
_NETWORK = "no reference answers"


@attrs.frozen(kw_only=True)
class Trouble:
    """One trouble, as it stands."""

    key: str
    message: str
    since: datetime
    began: float
    gone: float | None = None  # since when it is over
    told: bool = False
    momentary: bool = False  # it never stood: it was over when it was noticed

    @property
    def endpoint(self) -> str | None:
        """The endpoint that it is about."""
        return self.key.removeprefix("endpoint:") if self.key.startswith("endpoint:") else None

    def to_json(self) -> dict[str, Any]:
        """As alerts show it."""
        kind = self.key.partition(":")[0]
        return {"kind": kind, "endpoint": self.endpoint, "since": timestamp(self.since), "message": self.message}


@attrs.frozen(kw_only=True)
class News:
    """What one message says."""

    standing: tuple[Trouble, ...]
    over: tuple[Trouble, ...]


def news(troubles: Iterable[Trouble], *, now: float, spoke: float | None) -> tuple[News | None, float | None]:
    """What is to be said now, if anything; else when that may change without anything new, if ever.

    *spoke* is when something was said last.
    """
    found = list(troubles)
    began = [each.began + LASTS for each in found if not each.told and each.gone is None]
    ended = [now if not each.told else each.gone + ENDS for each in found if each.gone is not None]
    if not began and not ended:
        return None, None
    is_over = min(ended, default=now + 1) <= now  # then so are those that have ended since: one message for all
    over = tuple(each for each in found if each.gone is not None and (is_over or not each.told))
    standing = tuple(each for each in found if each not in over)
    due = min(began + ended)
    if spoke is not None:
        due = max(due, spoke + (PAUSE if standing else LAST_PAUSE))
    return (None, due) if due > now else (News(standing=standing, over=over), None)


def alert(news: News, *, sinks: Sequence[str], now: datetime, rand: Rand) -> Alert:
    """The `alert.self` that tells *news* to *sinks*."""
    ident = rand.id()
    standing = bool(news.standing)
    body = render(
        "alert.self",
        ident=ident,
        now=now,
        reason=Reason(Code.INTERNAL if standing else Code.OK, None, sentence(news)),
        more={
            "trouble": standing,
            "standing": [each.to_json() for each in news.standing[:_MOST_SHOWN]],
            "standing_total": len(news.standing),
            "over": [each.to_json() for each in news.over[:_MOST_SHOWN]],
            "over_total": len(news.over),
        },
    )
    return Alert(id=ident, type="alert.self", endpoint=None, created_at=now, body=body, sinks=tuple(sinks))


def sentence(news: News) -> str:
    """All of *news* for a person."""
    parts = [each.message for each in news.standing if each.endpoint is None]
    unknown = [each for each in news.standing if each.endpoint is not None]
    if unknown:
        parts.append(f"cannot tell how {_named(unknown)}: {unknown[0].message}")
    parts += [each.message if each.momentary else f"over: {each.message}" for each in news.over if not each.endpoint]
    known = [each for each in news.over if each.endpoint is not None]
    if known:
        parts.append(f"over: could not tell how {_named(known)}: {known[0].message}")
    return "; ".join(parts)


def _named(troubles: Sequence[Trouble]) -> str:
    names = [str(each.endpoint) for each in troubles[:_MOST_NAMED]]
    if len(troubles) == 1:
        return f"{names[0]} is"
    more = ", …" if len(troubles) > _MOST_NAMED else ""
    return f"{counted(len(troubles), 'endpoint')} are ({', '.join(names)}{more})"


def to_note(news: News, spoke_at: datetime) -> dict[str, Any]:
    """What outlives a restart: who was told what, and when, as JSON."""
    told = {each.key: [timestamp(each.since), each.message[:_LONGEST_KEPT]] for each in news.standing}
    return {"told": told, "spoke_at": timestamp(spoke_at)}


def from_note(note: Mapping[str, Any], *, now: float) -> tuple[list[Trouble], datetime]:
    """What `to_note` kept: troubles told, and gone since *now* as long as nobody says otherwise; and when.

    ValueError, TypeError, LookupError or AttributeError for what `to_note` did not write.
    """
    told = [
        Trouble(key=key, message=str(message), since=datetime.fromisoformat(since), began=now, gone=now, told=True)
        for key, (since, message) in note["told"].items()
    ]
    return told, datetime.fromisoformat(note["spoke_at"])


def no_reference_answers(failures: Sequence[str]) -> str:
    """The sentence for that; *failures* says why, for each."""
    return f"{_NETWORK}, the monitor's own network may be gone: {'; '.join(failures)}"


def is_network(reason: Reason) -> bool:
    """Is an endpoint unknown because no reference answered? That is told once, and not for each endpoint."""
    return reason.code is Code.INTERNAL and reason.message.startswith(_NETWORK)
