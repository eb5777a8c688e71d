"""Which alerts were sent, beside those that another config would have sent: paired, and summed up.

Two alerts are the same one, perhaps at another time or to other sinks, when they say the same of the same incident: an
incident is known by its first bad probe, which no threshold moves.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import attrs

from monitor.core.model import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SAME_TIME = 1.0  # seconds: the time from the end of a probe to the decision is not recorded

Difference = Literal["same", "later", "earlier", "other sinks", "gone", "new"]


@attrs.frozen(kw_only=True)
class Alerted:
    """An alert, as far as it matters here."""

    endpoint: str
    type: str  # `firing`
    at: datetime
    before: str | None
    after: str | None
    incident: datetime | None  # its first bad probe
    flapping: bool | None
    sinks: tuple[str, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any], at: datetime, sinks: Iterable[str]) -> Alerted:
        """Read it from its `standard` document."""
        data = document["data"]
        incident = data["incident"]
        return cls(
            endpoint=data["endpoint"]["name"],
            type=document["type"].removeprefix("alert."),
            at=at,
            before=data["from"],
            after=data["to"],
            incident=None if incident is None else datetime.fromisoformat(incident["started_at"]),
            flapping=data.get("flapping"),
            sinks=tuple(sorted(sinks)),
        )

    @property
    def words(self) -> str:
        """What it says, in short."""
        match self.type:
            case "reminder":
                return f"reminder {self.after}"
            case "flapping":
                return "flapping begins" if self.flapping else "flapping ends"
            case _:
                return f"{self.type} {self.before} > {self.after or 'gone'}"


@attrs.frozen
class Row:
    """One alert, as it was sent and as it would be; one of the two may be missing."""

    sent: Alerted | None
    would: Alerted | None

    @property
    def one(self) -> Alerted:
        """Either of them."""
        found = self.sent or self.would
        assert found is not None  # noqa: S101 - there is no row without
        return found

    @property
    def at(self) -> datetime:
        """When the first of the two was sent."""
        return min(each.at for each in (self.sent, self.would) if each is not None)

    @property
    def seconds(self) -> float:
        """By how much it would be sent later; below zero: earlier."""
        if self.sent is None or self.would is None:
            return 0.0
        return (self.would.at - self.sent.at).total_seconds()

    @property
    def difference(self) -> Difference:
        """What another config would change about it."""
        if self.would is None:
            return "gone"
        if self.sent is None:
            return "new"
        if abs(self.seconds) >= SAME_TIME:
            return "later" if self.seconds > 0 else "earlier"
        return "same" if self.sent.sinks == self.would.sinks else "other sinks"

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "endpoint": self.one.endpoint,
            "type": f"alert.{self.one.type}",
            "from": self.one.before,
            "to": self.one.after,
            "incident_started_at": None if self.one.incident is None else timestamp(self.one.incident),
            "sent": _json(self.sent),
            "would_be_sent": _json(self.would),
            "difference": self.difference,
            "seconds_later": round(self.seconds, 3),
        }


def _json(alerted: Alerted | None) -> dict[str, Any] | None:
    return None if alerted is None else {"at": timestamp(alerted.at), "sinks": list(alerted.sinks)}


@attrs.frozen(kw_only=True)
class Sum:
    """What it comes to: of one endpoint, or of all."""

    sent: int = 0
    would: int = 0
    incidents: int = 0
    would_incidents: int = 0
    differences: Mapping[Difference, int] = attrs.field(factory=dict)
    seconds_later: float = 0.0  # of all that would be sent later, together
    seconds_earlier: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "alerts": {"sent": self.sent, "would_be_sent": self.would},
            "incidents": {"were": self.incidents, "would_be": self.would_incidents},
            "differences": dict(self.differences),
            "seconds_later": round(self.seconds_later, 3),
            "seconds_earlier": round(self.seconds_earlier, 3),
        }


def paired(sent: Iterable[Alerted], would: Iterable[Alerted]) -> list[Row]:
    """Each alert beside the one that takes its place, in the order of time."""
    sides: defaultdict[object, tuple[list[Alerted], list[Alerted]]] = defaultdict(lambda: ([], []))
    for side, alerts in enumerate((sent, would)):
        for each in sorted(alerts, key=lambda alerted: alerted.at):
            key = (each.endpoint, each.type, each.incident, each.before, each.after, each.flapping)
            sides[key][side].append(each)
    found = [Row(*pair) for each in sides.values() for pair in zip_longest(*each)]
    return sorted(found, key=lambda row: (row.at, row.one.endpoint, row.one.type))


def summed(
    rows: Iterable[Row], incidents: Mapping[str, int], would_incidents: Mapping[str, int]
) -> tuple[dict[str, Sum], Sum]:
    """The sums of every endpoint with an alert or an incident, by name, and of all together."""
    of: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of[row.one.endpoint].append(row)
    names = sorted({*of, *incidents, *would_incidents})
    each = {name: _sum(of[name], incidents.get(name, 0), would_incidents.get(name, 0)) for name in names}
    every = [row for name in names for row in of[name]]
    return each, _sum(every, sum(incidents.values()), sum(would_incidents.values()))


def _sum(rows: list[Row], incidents: int, would_incidents: int) -> Sum:
    differences: dict[Difference, int] = {}
    for row in rows:
        differences[row.difference] = differences.get(row.difference, 0) + 1
    return Sum(
        sent=sum(row.sent is not None for row in rows),
        would=sum(row.would is not None for row in rows),
        incidents=incidents,
        would_incidents=would_incidents,
        differences=differences,
        seconds_later=sum(row.seconds for row in rows if row.difference == "later"),
        seconds_earlier=-sum(row.seconds for row in rows if row.difference == "earlier"),
    )
