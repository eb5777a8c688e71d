"""The thresholds of PRODUCT section 1, written a second time and another way: over runs of equal results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.model import State, Status
from simulation.uptime import Times

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitor.core.model import Endpoint, Observation

_BADNESS = {Status.UP: 0, Status.DEGRADED: 1, Status.DOWN: 2}
_STATE_BADNESS = {State.PENDING: None, State.UP: 0, State.DEGRADED: 1, State.DOWN: 2}
_RUNS = 40  # that are remembered


@attrs.frozen
class Run:
    """Results in a row that were equally bad."""

    badness: int
    count: int
    since: datetime
    began: float  # of the first of them, on the loop's clock


@attrs.frozen
class Standing:
    """How an endpoint must stand after what was observed of it."""

    state: State = State.PENDING
    runs: tuple[Run, ...] = ()
    counted_at: datetime | None = None
    incident_since: datetime | None = None
    times: Times = attrs.field(factory=Times)

    def after(self, observation: Observation, endpoint: Endpoint, began: float) -> Standing:
        """Count *observation*, whose probe *began* then; the state itself changes only by `moved`."""
        times = self.times.observed(observation)
        if observation.status is Status.UNKNOWN:
            return attrs.evolve(self, times=times)
        runs, bad, at = self.runs, _BADNESS[observation.status], observation.started_at
        limit = 3 * (endpoint.interval + endpoint.timeout)
        if self.counted_at is not None and (at - self.counted_at).total_seconds() > limit:
            runs = ()
        if runs and runs[-1].badness == bad:
            runs = (*runs[:-1], attrs.evolve(runs[-1], count=runs[-1].count + 1))
        else:
            runs = (*runs, Run(bad, 1, at, began))[-_RUNS:]
        return attrs.evolve(self, runs=runs, counted_at=at, times=times)

    def left(self, at: datetime) -> Standing:
        """What is left of it once it is watched no longer."""
        return Standing(times=self.times.leaves(at))

    @property
    def failing_since(self) -> float | None:
        """When the first of the latest results that were `down` began, on the loop's clock."""
        began = None
        for run in reversed(self.runs):
            if run.badness < _BADNESS[Status.DOWN]:
                break
            began = run.began
        return began

    def _latest(self, belongs: Callable[[int], bool]) -> tuple[int, datetime | None]:
        """How many of the latest results belong, and since when."""
        count, since = 0, None
        for run in reversed(self.runs):
            if not belongs(run.badness):
                break
            count, since = count + run.count, run.since
        return count, since

    def wanted(self, endpoint: Endpoint) -> tuple[State, datetime | None]:
        """The state that is due, and since when what makes it due has lasted."""
        bad = _STATE_BADNESS[self.state]
        worse = endpoint.failure_threshold
        better = endpoint.success_threshold if bad is not None else 1
        for state, level in ((State.DOWN, 2), (State.DEGRADED, 1)):
            count, since = self._latest(lambda each, level=level: each >= level)
            if (bad is None or bad < level) and count >= worse:
                return state, since
        for state, level in ((State.UP, 0), (State.DEGRADED, 1)):
            count, since = self._latest(lambda each, level=level: each <= level)
            is_better = level == 0 if bad is None else bad > level
            if is_better and count >= better:
                return state, since
        return self.state, None
