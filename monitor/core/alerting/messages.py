"""The alerts of one review: those with the same content go to their sinks as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.alerting.render import render
from monitor.core.model import Alert, Incident

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from monitor.core.alerting.words import Word
    from monitor.core.model import Reason, State
    from monitor.core.ports import Rand


class Messages:
    """Collects what is said, in order, and counts it."""

    def __init__(
        self, described: Mapping[str, Any], suppressed: Iterable[str], sequence: int, now: datetime, rand: Rand
    ) -> None:
        """Begin with nothing said after *sequence*."""
        self.sequence = sequence
        self.count = 0  # of `firing` and `resolved`
        self._described = described
        self._suppressed = tuple(suppressed)
        self._now = now
        self._rand = rand
        self._alerts: dict[tuple[object, ...], Alert] = {}

    @property
    def alerts(self) -> Iterable[Alert]:
        """What is said."""
        return self._alerts.values()

    def firing(self, sink: str, word: Word, before: State, reason: Reason) -> None:
        """Tell *sink* that it is as *word* says."""
        self._say("alert.firing", sink, before, word.level, reason, incident=_known(word))

    def reminder(self, sink: str, word: Word, before: State, reason: Reason) -> None:
        """Tell *sink* that it still is."""
        self._say("alert.reminder", sink, before, word.level, reason, incident=_known(word))

    def resolved(
        self, words: Mapping[str, tuple[Word, State]], after: State | None, reason: Reason, *, ended: datetime
    ) -> None:
        """Take *words* back, by sink, each with the state that was left; *after* None: it is no longer watched."""
        for sink, (word, before) in words.items():
            incident = attrs.evolve(_known(word), resolved_at=max(ended, word.started_at))
            self._say("alert.resolved", sink, before, after, reason, incident=incident)

    def flapping(
        self,
        sinks: Iterable[str],
        incident: Incident | None,
        before: State,
        after: State | None,
        reason: Reason,
        *,
        flapping: bool,
    ) -> None:
        """Tell *sinks* that it flaps, or no more."""
        for sink in sinks:
            self._say("alert.flapping", sink, before, after, reason, incident=incident, more={"flapping": flapping})

    def _say(
        self,
        kind: str,
        sink: str,
        before: State,
        after: State | None,
        reason: Reason,
        *,
        incident: Incident | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        key = (kind, before, after, incident)
        known = self._alerts.get(key)
        if known is not None:
            self._alerts[key] = attrs.evolve(known, sinks=(*known.sinks, sink))
            return
        if kind in ("alert.firing", "alert.resolved"):
            self.sequence += 1
            self.count += 1
        ident = self._rand.id()
        body = render(
            kind,
            ident=ident,
            now=self._now,
            sequence=self.sequence,
            endpoint=self._described,
            incident=incident,
            before=before,
            after=after,
            reason=reason,
            suppressed=self._suppressed,
            more=more,
        )
        self._alerts[key] = Alert(
            id=ident, type=kind, endpoint=self._described["name"], created_at=self._now, body=body, sinks=(sink,)
        )


def _known(word: Word) -> Incident:
    """The incident as the sink knows it."""
    return Incident(id=word.incident, endpoint="", started_at=word.started_at, reason=word.reason)
