"""What is kept of an endpoint's alerting: what each sink was told last, and the open business. No decisions here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.model import OK, State

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.model import Outcome, Reason


@attrs.frozen(kw_only=True)
class Word:
    """The last that a sink heard of an endpoint and that still stands: a `firing` without its `resolved`."""

    incident: str  # the one that it knows, by id
    started_at: datetime
    reason: Reason  # the incident began with
    level: State  # DOWN or DEGRADED
    told_at: datetime
    reminded_at: datetime | None = None

    @property
    def spoken_at(self) -> datetime:
        """When it was said or repeated last."""
        return self.told_at if self.reminded_at is None else max(self.told_at, self.reminded_at)


@attrs.frozen(kw_only=True)
class Flapping:
    """An endpoint that changes too often to tell each time."""

    since: datetime
    told: tuple[str, ...] | None = None  # sinks that heard so; None while that is held back


@attrs.frozen(kw_only=True)
class Alerting:
    """All that a review must know from the one before."""

    words: Mapping[str, Word] = attrs.field(factory=dict)  # by sink
    moments: tuple[datetime, ...] = ()  # of the latest transitions, ascending; enough to see whether it flaps
    flapping: Flapping | None = None
    before: State = State.PENDING  # the state that the latest transition left
    reason: Reason = OK  # with which that was confirmed
    first: State | None = None  # the state that the open incident's first transition left
    certificate: bool = False  # degraded, for one, because a certificate ends soon
    unsaid: bool = False  # the latest transition is not recorded as alerted, and may become so
    held: Outcome | None = None  # why a firing waits
    parents: tuple[str, ...] = ()  # … and for whom
    suppressed: tuple[str, ...] = ()  # endpoints held back because of the open incident; only grows while it lasts

    @property
    def is_quiet(self) -> bool:
        """Is there nothing that an observation without a change could settle?"""
        return not self.words and self.flapping is None


NOTHING = Alerting()
