"""What holds alerts back at run time, as the recorder sees it: it asks, and decides nothing about it itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from monitor.core.alerting.circumstances import Hold
from monitor.core.dependencies import Child, Parent, asked
from monitor.core.health import Health
from monitor.core.maintenance import until, windows_by_endpoint
from monitor.core.model import Outcome, State
from monitor.core.silences import Silences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from monitor.core.dependencies import Answer
    from monitor.core.maintenance import Window
    from monitor.core.model import Endpoint
    from monitor.store import Record


class Circumstances(Protocol):
    """Knows maintenance windows, silences and parents."""

    def hold(self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime) -> Hold | None:
        """What holds back an alert of *endpoint* now, or None.

        *record* is how it stands, its latest observation counted; *records* is how all stand that were ever kept, by
        name, parents too (one never probed may be missing). Called often and under a lock: it only looks.

        Asked again whenever the endpoint is probed, after each probe of one of the hold's parents, when its *until*
        has come, and for what `Recorder.review_soon` is told: that is for changes which none of these is, such as
        a new silence.
        """


class NothingHolds:
    """`Circumstances` without any."""

    def hold(
        self,
        endpoint: Endpoint,  # noqa: ARG002
        record: Record,  # noqa: ARG002
        records: Mapping[str, Record],  # noqa: ARG002
        now: datetime,  # noqa: ARG002
    ) -> Hold | None:
        """Nothing."""
        return None


class Holds:
    """`Circumstances` as the config and silences make them."""

    def __init__(self, silences: Callable[[], Silences] = Silences) -> None:
        """Ask *silences* for them whenever it matters; `configure` comes next."""
        self._silences = silences
        self._endpoints: Mapping[str, Endpoint] = {}
        self._windows: Mapping[str, tuple[Window, ...]] = {}
        self._begun: dict[str, _Begun] = {}

    def configure(self, endpoints: Iterable[Endpoint], windows: Iterable[Window]) -> None:
        """Go by *windows* and by what *endpoints*, those enabled, depend on, from now on."""
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._windows = windows_by_endpoint(self._endpoints.values(), windows)
        self._begun = {name: begun for name, begun in self._begun.items() if name in self._endpoints}

    def hold(self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime) -> Hold | None:
        """What holds back an alert of *endpoint* now, or None. See `Circumstances`."""
        found: list[Hold] = []
        if (closes := self._maintenance_until(endpoint.name, now)) is not None:
            found.append(Hold(why=Outcome.MAINTENANCE, until=closes))
        if (ends := self._silences().until(endpoint, now)) is not None:
            found.append(Hold(why=Outcome.SILENCE, until=ends))
        found += self._dependencies(endpoint, record, records, now)
        if not found:
            return None
        # One that a probe of the endpoint will end says nothing as long as another holds; then it is asked again.
        firm = [each for each in found if each.probe_after is None]
        if not firm:
            return max(found, key=lambda each: each.probe_after or now)
        untils = [each.until for each in firm]
        return Hold(
            why=firm[0].why,
            until=None if None in untils else max(each for each in untils if each is not None),
            parents=tuple(dict.fromkeys(parent for each in firm for parent in each.parents)),
            probe=tuple(dict.fromkeys(parent for each in firm for parent in each.probe)),
        )

    def flags(self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime) -> list[str]:
        """What is so about *endpoint* now, beside its state: `maintenance`, `suppressed`, `flapping`, `silenced`."""
        flags = []
        if self.is_in_maintenance(endpoint.name, now):
            flags.append("maintenance")
        if next(self._dependencies(endpoint, record, records, now), None) is not None:
            flags.append("suppressed")
        if record.alerting.flapping is not None:
            flags.append("flapping")
        if self._silences().until(endpoint, now) is not None:
            flags.append("silenced")
        return flags

    # Maintenance.

    def is_in_maintenance(self, name: str, now: datetime) -> bool:
        """Is one of the windows of the endpoint *name* open?"""
        return name in self._windows and self._maintenance_until(name, now) is not None

    def _maintenance_until(self, name: str, now: datetime) -> datetime | None:
        return until(self._windows.get(name, ()), now)

    # Dependencies.

    def _dependencies(
        self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime
    ) -> Iterator[Hold]:
        """What each parent does, those that hold first."""
        if not endpoint.depends_on or not _has_news(record):
            return
        answers = self._answers(endpoint, record, records, now)
        for name, answer in answers.items():
            if answer.holds:
                yield Hold(
                    why=Outcome.DEPENDENCY,
                    until=answer.until,
                    parents=(name, *self._holding(name, records, now)),
                    probe=(name,) if answer.ask else (),
                )
        for answer in answers.values():
            if answer.probe_after is not None:
                yield Hold(why=Outcome.DEPENDENCY, probe_after=answer.probe_after)

    def _answers(
        self, endpoint: Endpoint, record: Record, records: Mapping[str, Record], now: datetime
    ) -> dict[str, Answer]:
        """What each parent says now."""
        child = self._child(record, now)
        answers = {}
        for name in endpoint.depends_on:
            if (parent := self._endpoints.get(name)) is None:  # disabled
                continue
            known = records.get(name)
            answer = asked(
                child,
                Parent(
                    endpoint=parent,
                    health=Health() if known is None else known.health,
                    since=None if known is None else known.since,
                    last=None if known is None else known.last,
                    maintenance_until=self._maintenance_until(name, now),
                ),
            )
            if answer.holds and answer.until is not None and answer.until <= now:
                continue
            answers[name] = answer
        return answers

    def _holding(self, name: str, records: Mapping[str, Record], now: datetime) -> list[str]:
        """Those because of which the alert of the parent *name* is held back: theirs name its children, too."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            each = waiting.pop()
            endpoint, record = self._endpoints.get(each), records.get(each)
            if endpoint is None or record is None or not _has_news(record):
                continue
            for parent, answer in self._answers(endpoint, record, records, now).items():
                if answer.holds and parent not in found:
                    found[parent] = None
                    waiting.append(parent)
        return list(found)

    def _child(self, record: Record, now: datetime) -> Child:
        """What there is to tell of an endpoint; its parents have time to answer since this process knows of it."""
        health = record.health
        bad = health.as_bad_as_down if health.state is State.DOWN else health.as_bad_as_degraded
        since = record.incident.started_at if record.incident is not None else bad.since or now
        begun = self._begun.get(record.name)
        if begun is None or begun.state is not health.state or begun.failing_since != since or begun.at > now:
            begun = self._begun[record.name] = _Begun(health.state, since, now)
        # After the clock was set back it may lie ahead, and no probe of a parent would ever be late enough.
        failing_since = min(since, begun.at)
        return Child(failing_since=failing_since, confirmed_at=begun.at, counted_at=health.counted_at)


@attrs.frozen
class _Begun:
    """Since when (*at*) this process knows of something to tell of an endpoint."""

    state: State
    failing_since: datetime
    at: datetime


def _has_news(record: Record) -> bool:
    return record.health.state in (State.DOWN, State.DEGRADED)
