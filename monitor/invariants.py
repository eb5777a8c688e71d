"""What must hold of every decision that is written: cheap enough to be looked at each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import State
from monitor.violations import violated

if TYPE_CHECKING:
    from monitor.core.alerting import Decision
    from monitor.store import Record


def check(before: Record, after: Record, decision: Decision) -> None:
    """Count what is wrong with *decision*, which makes *after* of *before*."""
    name = after.name
    alerting = after.alerting
    if after.watched and after.health.state is State.UP and alerting.words and alerting.flapping is None:
        violated("word_while_up", f"{name} is up, and {', '.join(alerting.words)} were told otherwise")
    made = after.sequence - before.sequence
    if not 0 <= made <= len(decision.alerts):
        violated(
            "sequence_gap", f"{name}: {before.sequence} became {after.sequence} with {len(decision.alerts)} alerts"
        )
    if decision.incident is None and any(alert.type == "alert.firing" for alert in decision.alerts):
        violated("firing_without_incident", f"{name}: a firing is sent, and there is no incident")
    if decision.incident is not None:
        end = decision.incident.resolved_at
        if end is not None and end < decision.incident.started_at:
            violated("incident_ends_before_it_begins", f"{name}: incident {decision.incident.id}")
    if decision.transition is not None and decision.transition.before is decision.transition.after:
        violated("transition_to_the_same", f"{name}: from {decision.transition.before} to itself")
