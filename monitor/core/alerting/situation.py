"""What a review is given, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.alerting.words import NOTHING, Alerting

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from monitor.core.alerting.circumstances import Hold
    from monitor.core.health import Health
    from monitor.core.model import Alert, Endpoint, Incident, Reason, Route, Transition
    from monitor.core.ports import Rand


@attrs.frozen(kw_only=True)
class Situation:
    """What is true, and what was said."""

    endpoint: Endpoint
    described: Mapping[str, Any]  # the endpoint as alerts show it, see `described`
    routes: Mapping[str, Route]  # what each configured sink wants to hear
    health: Health  # the latest observation counted
    reason: Reason | None  # of the latest observation, if it counted
    fresh: bool  # has an observation counted since the monitor started?
    since: datetime | None  # when the state underneath began
    incident: Incident | None  # the open one
    sequence: int  # of the latest alert
    alerting: Alerting
    hold: Hold | None = None
    suppressed: Collection[str] = ()  # endpoints whose `firing` waits because of this one
    now: datetime
    rand: Rand


@attrs.frozen(kw_only=True)
class Decision:
    """What a review leads to; one transaction writes all of it."""

    transition: Transition | None
    incident: Incident | None  # as it stands now: opened, open still, or closed with `resolved_at`
    sequence: int
    alerting: Alerting = NOTHING
    alerts: tuple[Alert, ...] = ()
    late: bool = False  # the endpoint's latest transition, recorded before, turns out to be alerted
    again_at: datetime | None = None  # when time alone may change the answer
