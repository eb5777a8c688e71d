"""The review: what each sink was told last is held against what is true (docs/decisions/0005).

`review` is called whenever something may have changed, and answers with everything that must be committed together.
Called again with nothing changed, it has nothing to say. The rules, the first that applies:

1. Flapping begins or ends: one `alert.flapping`. While it flaps: nothing else.
2. The truth is no level, and a word stands: `resolved`, about the incident that the sink knows.
3. The truth is a level, and no word stands or one of another level: `firing`, unless held or not wanted yet.
4. A word stands and is due to be repeated: `reminder`, unless held.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from monitor.core.alerting import flapping
from monitor.core.alerting.messages import Messages
from monitor.core.alerting.situation import Decision
from monitor.core.alerting.words import Alerting, Flapping, Word
from monitor.core.model import ALL, Code, Incident, Outcome, Reason, State, Transition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitor.core.alerting.situation import Situation
    from monitor.core.health import Change


def review(situation: Situation, change: Change | None = None) -> Decision:
    """Decide what is to be said now; *change* is the transition that has just been confirmed, if any."""
    return _Review(situation, change).decision()


class _Review:
    """One review, step by step; what it changes is written into `kept`, `incident` and `messages`."""

    def __init__(self, situation: Situation, change: Change | None) -> None:
        self.now = situation.now
        self.situation = situation
        self.endpoint = situation.endpoint
        self.health = situation.health
        self.change = change
        self.incident = situation.incident
        self.kept = _not_ahead(situation.alerting, self.now)
        self.moments: list[datetime | None] = []  # when time alone may change the answer
        hold = situation.hold
        self.hold = hold if hold is not None and hold.holds(self.health.counted_at) else None
        self.routes = {
            sink: route
            for sink in self.endpoint.sinks
            if (route := situation.routes.get(sink, ALL)).takes(self.endpoint)
        }

    def decision(self) -> Decision:
        self._count()
        level = self._level()
        self._begin_or_end(level)
        self._gather_suppressed()
        situation = self.situation
        self.messages = Messages(
            situation.described, self.kept.suppressed, situation.sequence, self.now, situation.rand
        )
        flaps = self._flaps()
        held_before = self.kept.held
        self.kept = attrs.evolve(self.kept, held=None, parents=())
        if not flaps and level is None:
            self._resolve()
        elif not flaps and level is not None:
            self._fire(level)
            self._remind(level)
        if flaps:
            silent = Outcome.FLAPPING
        else:
            silent = self.kept.held or (held_before if level is None else None) or Outcome.POLICY
        transition, late = self._recorded(silent)
        self._tidy(level)
        return Decision(
            transition=transition,
            incident=self.incident,
            sequence=self.messages.sequence,
            alerting=self.kept,
            alerts=tuple(self.messages.alerts),
            late=late,
            again_at=min((moment for moment in self.moments if moment is not None and moment > self.now), default=None),
        )

    # What is true.

    def _count(self) -> None:
        """Take note of the change."""
        reason = self.situation.reason
        warns = self.health.state is State.DEGRADED and reason is not None and reason.code is Code.TLS
        if warns and not self.kept.certificate:
            self.kept = attrs.evolve(self.kept, certificate=True)
        if self.change is not None:
            self.kept = attrs.evolve(
                self.kept,
                moments=flapping.counted(self.kept.moments, self.endpoint, self.now),
                before=self.change.before,
                reason=self.kept.reason if reason is None else reason,
            )

    def _level(self) -> State | None:
        """The state, if it is worth an alert."""
        state = self.health.state
        warns = state is State.DEGRADED and self.kept.certificate
        return state if state in self.endpoint.alert_on or warns else None

    def _begin_or_end(self, level: State | None) -> None:
        if level is not None and self.incident is None:
            started_at, reason = self._beginning(level)
            self.incident = Incident(
                id=self.situation.rand.id(), endpoint=self.endpoint.name, started_at=started_at, reason=reason
            )
            self.kept = attrs.evolve(self.kept, first=self.kept.before)
        elif level is None and self.incident is not None:
            ended = max(self._good_since(), self.incident.started_at)
            self.incident = attrs.evolve(self.incident, resolved_at=ended)
            self.kept = attrs.evolve(self.kept, first=None)

    def _beginning(self, level: State) -> tuple[datetime, Reason]:
        """Of the incident: the first observation of the streak, unless a certificate or the config makes it one."""
        if self.change is not None:
            return self.change.streak.since or self.now, self.change.streak.reason
        if self.kept.certificate and not self.situation.alerting.certificate and self.situation.reason is not None:
            return self.health.counted_at or self.now, self.situation.reason
        bad = self.health.as_bad_as_down if level is State.DOWN else self.health.as_bad_as_degraded
        return bad.since or self.situation.since or self.now, self.kept.reason

    def _good_since(self) -> datetime:
        if self.change is not None:
            return self.change.streak.since or self.now
        if self.incident is not None:  # it ends because it is worth no alert any more, not because anything got better
            return self.now
        good = self.health.as_good_as_up if self.health.state is State.UP else self.health.as_good_as_degraded
        return good.since or self.situation.since or self.now

    def _is_as_bad(self, level: State) -> bool:
        """Did the latest observation that counted find it as bad, and did this process make it?"""
        bad = self.health.as_bad_as_down if level is State.DOWN else self.health.as_bad_as_degraded
        return self.situation.fresh and bad.count > 0

    def _gather_suppressed(self) -> None:
        new = [name for name in self.situation.suppressed if name not in self.kept.suppressed]
        if new and self.incident is not None:
            self.kept = attrs.evolve(self.kept, suppressed=(*self.kept.suppressed, *new))

    @property
    def _reason(self) -> Reason:
        return self.kept.reason if self.situation.reason is None else self.situation.reason

    # Rule 1.

    def _flaps(self) -> bool:
        kept, now = self.kept, self.now
        told = None if kept.flapping is None else kept.flapping.told
        ends = flapping.ends_at(kept.moments, self.endpoint)
        if kept.flapping is None:
            if self.change is None or not flapping.begins(kept.moments, self.endpoint, now):
                return False
            kept = attrs.evolve(kept, flapping=Flapping(since=now))
        elif ends is None or ends <= now:
            self.kept = attrs.evolve(kept, flapping=None)
            self._say_flapping(told or (), flapping=False)
            return False
        self.moments.append(ends)
        if told is None and self.hold is not None:
            self.moments.append(self.hold.until)
        elif told is None and kept.flapping is not None:
            # Who wants to know only of what lasts hears nothing of this, unless it has been told something.
            told = tuple(sink for sink, route in self.routes.items() if route.after is None or sink in kept.words)
            kept = attrs.evolve(kept, flapping=attrs.evolve(kept.flapping, told=told))
            self._say_flapping(told, flapping=True)
        self.kept = kept
        return True

    def _say_flapping(self, sinks: tuple[str, ...], *, flapping: bool) -> None:
        incident = None if self.incident is None or self.incident.resolved_at else self.incident
        self.messages.flapping(sinks, incident, self.kept.before, self.health.state, self._reason, flapping=flapping)

    # Rule 2.

    def _resolve(self) -> None:
        if not self.kept.words:
            return
        ended = self.incident.resolved_at if self.incident is not None else None
        words = {
            sink: (word, word.level if self.change is None else self.change.before)
            for sink, word in self.kept.words.items()
        }
        self.messages.resolved(words, self.health.state, self._reason, ended=ended or self._good_since())
        self.kept = attrs.evolve(self.kept, words={})

    # Rule 3.

    def _fire(self, level: State) -> None:
        wanting = tuple(self._wanting(level))
        if self.hold is not None:
            if wanting:
                self.kept = attrs.evolve(self.kept, held=self.hold.why, parents=self.hold.parents)
                self.moments.append(self.hold.until)
            return
        for sink in wanting:
            word = self.kept.words.get(sink)
            # Who was told of worse is told that it got better, while it gets better still.
            eases = word is not None and word.level is State.DOWN and self.situation.fresh
            if eases or self._is_as_bad(level):
                self._tell(sink, word, level)

    def _wanting(self, level: State) -> Iterator[str]:
        """The sinks whose last word is not true, and that want to know by now."""
        assert self.incident is not None  # noqa: S101 - there is a level
        for sink, route in self.routes.items():
            word = self.kept.words.get(sink)
            if word is not None:
                if word.level is not level:
                    yield sink
            elif route.alert_on is None or level in route.alert_on:
                due = self.incident.started_at + timedelta(seconds=route.after or 0.0)
                if route.after is None or due <= self.now:
                    yield sink
                else:
                    self.moments.append(due)

    def _tell(self, sink: str, word: Word | None, level: State) -> None:
        assert self.incident is not None  # noqa: S101 - there is a level
        if self.change is not None:
            before = self.change.before
        elif word is not None:
            before = word.level
        else:
            before = self.kept.first or self.kept.before
        if word is None:
            incident = self.incident
            word = Word(
                incident=incident.id,
                started_at=incident.started_at,
                reason=incident.reason,
                level=level,
                told_at=self.now,
            )
        else:
            word = attrs.evolve(word, level=level, told_at=self.now)
        self.messages.firing(sink, word, before, self._reason)
        self.kept = attrs.evolve(self.kept, words={**self.kept.words, sink: word})

    # Rule 4.

    def _remind(self, level: State) -> None:
        interval = self.endpoint.reminder_interval
        # Whatever alerts only because of its certificate does so once.
        known = self.incident is not None and self.incident.acknowledged is not None
        if interval is None or known or level not in self.endpoint.alert_on:
            return
        for sink, route in self.routes.items():
            word = self.kept.words.get(sink)
            if word is None or word.level is not level or not (route.alert_on is None or level in route.alert_on):
                continue
            due = word.spoken_at + timedelta(seconds=interval)
            if due > self.now:
                self.moments.append(due)
            elif self.hold is not None:
                self.moments.append(self.hold.until)
            elif self._is_as_bad(level):
                word = attrs.evolve(word, reminded_at=self.now)
                self.messages.reminder(sink, word, self.kept.first or self.kept.before, self._reason)
                self.kept = attrs.evolve(self.kept, words={**self.kept.words, sink: word})
                self.moments.append(self.now + timedelta(seconds=interval))

    # What is recorded.

    def _recorded(self, silent: Outcome) -> tuple[Transition | None, bool]:
        """The transition with its outcome, *silent* where nothing was said; or whether an earlier one is said now."""
        said = self.messages.count > 0
        if self.change is None:
            late = said and self.kept.unsaid
            if late:
                self.kept = attrs.evolve(self.kept, unsaid=False)
            return None, late
        self.kept = attrs.evolve(self.kept, unsaid=not said)
        transition = Transition(
            endpoint=self.endpoint.name,
            before=self.change.before,
            after=self.change.after,
            at=self.now,
            reason=self._reason,
            incident=None if self.incident is None else self.incident.id,
            outcome=Outcome.ALERTED if said else silent,
        )
        return transition, False

    def _tidy(self, level: State | None) -> None:
        """Forget what the end has settled."""
        kept = self.kept
        quiet = level is None and not kept.words and kept.flapping is None
        if self.health.state not in (State.DEGRADED, State.DOWN):
            kept = attrs.evolve(kept, certificate=False, unsaid=kept.unsaid and not quiet)
        if quiet:
            kept = attrs.evolve(kept, suppressed=())
        self.kept = kept


def _not_ahead(alerting: Alerting, now: datetime) -> Alerting:
    """*alerting* without moments that lie ahead: the clock was set back, and nothing shall wait for it to catch up."""
    if any(moment > now for moment in alerting.moments):
        alerting = attrs.evolve(alerting, moments=tuple(min(moment, now) for moment in alerting.moments))
    if any(word.spoken_at > now for word in alerting.words.values()):
        words = {
            sink: attrs.evolve(
                word,
                told_at=min(word.told_at, now),
                reminded_at=None if word.reminded_at is None else min(word.reminded_at, now),
            )
            for sink, word in alerting.words.items()
        }
        alerting = attrs.evolve(alerting, words=words)
    return alerting
