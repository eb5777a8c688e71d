"""What depends on what: an alert about a child is held back while a parent may be the reason for it.

    held        a parent is down, or in maintenance
    asked       a parent's latest probe failed, or it was not probed since the child began to fail: its answer decides,
                and a parent that gives none decides nothing after failure_threshold × (retry_interval + timeout)
    told after  a parent came back: the child is told of once it was found bad by a probe begun since then

A parent that is unknown or degraded is no reason. One that is disabled or has left is no parent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from monitor.core.model import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from monitor.core.health import Health
    from monitor.core.model import Endpoint, Observation


@attrs.frozen(kw_only=True)
class Child:
    """An endpoint with something to tell."""

    failing_since: datetime  # start of its first failing probe
    confirmed_at: datetime  # when there was something to tell, or later: its parents' time to answer begins
    counted_at: datetime | None  # start of its latest probe that counted


@attrs.frozen(kw_only=True)
class Parent:
    """An endpoint that another depends on."""

    endpoint: Endpoint
    health: Health
    since: datetime | None  # when its state underneath began
    last: Observation | None
    maintenance_until: datetime | None = None  # None: it is not in maintenance


@attrs.frozen(kw_only=True)
class Answer:
    """What one parent does to an alert about its child; `until` None: until something happens to the parent."""

    holds: bool = False
    until: datetime | None = None
    ask: bool = False  # probe it at once
    probe_after: datetime | None = None  # no hold, if a probe of the child begun since then counted


_NOTHING = Answer()


def asked(child: Child, parent: Parent) -> Answer:
    """Say whether an alert about *child* must wait for *parent*; an answer whose `until` has come holds no more."""
    if parent.maintenance_until is not None:
        return Answer(holds=True, until=parent.maintenance_until)
    shown = parent.health.shown(parent.endpoint.thresholds)
    if shown is State.UNKNOWN:
        return _NOTHING
    if shown is State.DOWN:
        return Answer(holds=True)
    patience = _patience(parent.endpoint)
    if parent.last is not None and parent.last.status is Status.DOWN:
        failing = parent.health.as_bad_as_down.since or child.confirmed_at
        return Answer(holds=True, until=max(child.confirmed_at, failing) + patience)
    if parent.last is None or parent.last.started_at < child.failing_since:
        return Answer(holds=True, until=child.confirmed_at + patience, ask=True)
    return Answer(probe_after=_back_since(child, parent))


def _patience(parent: Endpoint) -> timedelta:
    """How long it may take a parent to find out that it is down."""
    return timedelta(seconds=parent.failure_threshold * (parent.retry_interval + parent.timeout))


def _back_since(child: Child, parent: Parent) -> datetime | None:
    """When the parent came back, if the child's latest probe was before that; None: it was not away meanwhile."""
    moments = [child.failing_since]
    if parent.health.state is State.UP and parent.since is not None:
        moments.append(parent.since)
    if (good := parent.health.as_good_as_degraded.since) is not None:  # a failure that was never confirmed ended here
        moments.append(good)
    back = max(moments)
    return back if child.counted_at is not None and child.counted_at < back else None


def cycles(depends_on: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """The ways in which an endpoint depends on itself through others: names in order, the first again at the end.

    Each begins with that one of its names that stands first in *depends_on*. Names that are no keys are passed over.
    """
    order = {name: number for number, name in enumerate(depends_on)}
    done: set[str] = set()
    for start in depends_on:
        if start in done:
            continue
        path: dict[str, Iterator[str]] = {start: iter(depends_on[start])}  # an ordered set: the way from *start*
        while path:
            name = next(reversed(path))
            following = next((each for each in path[name] if each in order and each not in done), None)
            if following is None:
                done.add(name)
                del path[name]
            elif following in path:
                way = list(path)
                cycle = way[way.index(following) :]
                first = cycle.index(min(cycle, key=order.__getitem__))
                turned = [*cycle[first:], *cycle[:first]]
                yield (*turned, turned[0])
            else:
                path[following] = iter(depends_on[following])
