"""From observations to states: thresholds and streaks.

Statuses are ordered by severity: up, degraded, down. For each border between two of them we count how many
observations in a row were at least as bad as the upper side, and how many at least as good as the lower:

    at least degraded   ≥ failure_threshold   the state gets worse, to degraded
    at least down       ≥ failure_threshold   … to down
    at most degraded    ≥ success_threshold   the state gets better, to degraded
    at most up          ≥ success_threshold   … to up

An `unknown` observation counts nowhere: it neither breaks nor lengthens a streak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.model import OK, Reason, State, Status

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.core.model import Observation, Thresholds

_SEVERITY = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2}
_STATE_SEVERITY = {State.UP: 0, State.DEGRADED: 1, State.DOWN: 2}


@attrs.frozen
class Streak:
    """Consecutive observations on one side of a border: how many, since when, and why the first."""

    count: int = 0
    since: datetime | None = None
    reason: Reason = OK

    def counted(self, observation: Observation, *, belongs: bool) -> Streak:
        """Grow by *observation*, or begin anew without it."""
        if not belongs:
            return NO_STREAK
        if self.count == 0:
            return Streak(1, observation.started_at, observation.reason)
        return Streak(self.count + 1, self.since, self.reason)


NO_STREAK = Streak()


@attrs.frozen
class Blind:
    """A run of observations that could not tell: since the first of them, until the first that could."""

    since: datetime
    until: datetime | None = None


@attrs.frozen(kw_only=True)
class Health:
    """An endpoint's state underneath, and the streaks that may change it."""

    state: State = State.PENDING
    as_bad_as_degraded: Streak = NO_STREAK
    as_bad_as_down: Streak = NO_STREAK
    as_good_as_degraded: Streak = NO_STREAK
    as_good_as_up: Streak = NO_STREAK
    counted_at: datetime | None = None  # start of the last observation that counted
    unknowns: int = 0  # observations in a row that could not tell
    blind: Blind | None = None  # … and how long; with its end where the last observation ended it

    def shown(self, thresholds: Thresholds) -> State:
        """The state for people: `unknown` after *failure* observations in a row that could not tell."""
        return State.UNKNOWN if self.unknowns >= thresholds.failure else self.state

    @property
    def unconfirmed(self) -> bool:
        """Is a change under way that the thresholds have not confirmed? Then `retry_interval` applies."""
        worse = self.as_bad_as_degraded.count > 0
        match self.state:
            case State.UP:
                return worse
            case State.DEGRADED:
                return self.as_bad_as_down.count > 0 or self.as_good_as_up.count > 0
            case State.DOWN:
                return self.as_good_as_degraded.count > 0
            case _:
                return worse


@attrs.frozen
class Change:
    """A transition the thresholds have confirmed; *streak* is the run of observations that did it."""

    before: State
    after: State
    streak: Streak


def advance(health: Health, observation: Observation, thresholds: Thresholds) -> tuple[Health, Change | None]:
    """Count *observation*; say whether the state changes."""
    if observation.status is Status.UNKNOWN:
        blind = health.blind if health.unknowns and health.blind else Blind(observation.started_at)
        return attrs.evolve(health, unknowns=health.unknowns + 1, blind=blind), None

    could_not_tell = None
    if health.unknowns and health.blind:
        could_not_tell = attrs.evolve(health.blind, until=max(health.blind.since, observation.started_at))
    health = _count(_unless_stale(health, observation, thresholds), observation, could_not_tell)
    after, streak = _confirmed(health, thresholds)
    if after is health.state:
        return health, None
    return attrs.evolve(health, state=after), Change(health.state, after, streak)


def _unless_stale(health: Health, observation: Observation, thresholds: Thresholds) -> Health:
    """Forget the streaks when the last counted observation is too long ago to continue them."""
    last = health.counted_at
    if last is None or (observation.started_at - last).total_seconds() <= thresholds.stale_after:
        return health
    return Health(state=health.state)


def _count(health: Health, observation: Observation, blind: Blind | None) -> Health:
    severity = _SEVERITY[observation.status]
    return Health(
        state=health.state,
        as_bad_as_degraded=health.as_bad_as_degraded.counted(observation, belongs=severity >= 1),
        as_bad_as_down=health.as_bad_as_down.counted(observation, belongs=severity >= 2),
        as_good_as_degraded=health.as_good_as_degraded.counted(observation, belongs=severity <= 1),
        as_good_as_up=health.as_good_as_up.counted(observation, belongs=severity <= 0),
        counted_at=observation.started_at,
        blind=blind,
    )


def _confirmed(health: Health, thresholds: Thresholds) -> tuple[State, Streak]:
    """The state the streaks ask for, worst first, and the streak that asks."""
    # From `pending` every state is a change, and one `up` is enough for the better.
    now = _STATE_SEVERITY.get(health.state)
    enough = thresholds.success if now is not None else 1

    if now != 2 and health.as_bad_as_down.count >= thresholds.failure:
        return State.DOWN, health.as_bad_as_down
    if now in (None, 0) and health.as_bad_as_degraded.count >= thresholds.failure:
        return State.DEGRADED, health.as_bad_as_degraded
    if now != 0 and health.as_good_as_up.count >= enough:
        return State.UP, health.as_good_as_up
    if now == 2 and health.as_good_as_degraded.count >= enough:
        return State.DEGRADED, health.as_good_as_degraded
    return health.state, NO_STREAK
