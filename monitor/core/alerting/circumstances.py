"""What may hold alerts of an endpoint back, and what that looks like to the review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.core.model import Outcome


@attrs.frozen(kw_only=True)
class Hold:
    """A `firing`, its reminders and word of flapping are held back; a `resolved` never is.

    *why* is recorded with a transition that this keeps silent. *until* is when time alone may end the hold, None
    where something else must happen first. Where *probe_after* is set, it holds only as long as no probe begun at that
    moment or later has counted: a parent that is up again since then does this to its children.
    """

    why: Outcome
    until: datetime | None = None
    probe_after: datetime | None = None
    parents: tuple[str, ...] = ()  # whose alerts name this endpoint as `suppressed`; it is reviewed after their probes
    probe: tuple[str, ...] = ()  # endpoints to be probed at once, because their answer decides

    def holds(self, counted_at: datetime | None) -> bool:
        """Does it still hold, with the latest probe that counted begun at *counted_at*?"""
        return self.probe_after is None or counted_at is None or counted_at < self.probe_after
