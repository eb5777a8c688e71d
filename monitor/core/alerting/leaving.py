"""What is said when an endpoint is no longer watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.alerting.messages import Messages
from monitor.core.alerting.situation import Decision
from monitor.core.alerting.words import Alerting
from monitor.core.model import Code, Incident, Outcome, Reason, State, Transition

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from monitor.core.ports import Rand


def leave(
    state: State,
    *,
    described: Mapping[str, Any],
    incident: Incident | None,
    sequence: int,
    alerting: Alerting,
    now: datetime,
    rand: Rand,
) -> Decision | None:
    """Decide what it leads to that an endpoint in *state* is no longer watched: its last words are taken back."""
    if incident is None and alerting.is_quiet:
        return None
    reason = Reason(Code.OK, None, "no longer watched")
    messages = Messages(described, alerting.suppressed, sequence, now, rand)
    if alerting.flapping is not None:
        messages.flapping(alerting.flapping.told or (), None, state, None, reason, flapping=False)
    messages.resolved({sink: (word, state) for sink, word in alerting.words.items()}, None, reason, ended=now)
    outcome = Outcome.ALERTED if messages.count else alerting.held or Outcome.POLICY
    transition = Transition(
        endpoint=described["name"],
        before=state,
        after=None,
        at=now,
        reason=reason,
        incident=None if incident is None else incident.id,
        outcome=outcome,
    )
    return Decision(
        transition=transition,
        incident=None if incident is None else attrs.evolve(incident, resolved_at=max(now, incident.started_at)),
        sequence=messages.sequence,
        alerting=Alerting(),
        alerts=tuple(messages.alerts),
    )
