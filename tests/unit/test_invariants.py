"""What must never happen is counted and logged when it does, and the process goes on."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from support.entries import NOW, REFUSED, went_down

from monitor import invariants, violations
from monitor.core.alerting import Alerting, Flapping, Word
from monitor.core.health import Health
from monitor.core.model import State
from monitor.store import Record

DOWN = went_down("shop", "a-1")
WORD = Word(incident="i", started_at=NOW, reason=REFUSED, level=State.DOWN, told_at=NOW)
UP = Record(name="shop", health=Health(state=State.UP), sequence=1)


def found(after: Record, **changes: object) -> list[str]:
    before = violations.counts.copy()
    assert DOWN.decision is not None
    invariants.check(Record(name="shop"), after, attrs.evolve(DOWN.decision, **changes))
    return sorted((violations.counts - before).elements())


def test_nothing_is_wrong() -> None:
    assert found(DOWN.record) == []
    flapping = Alerting(words={"ops": WORD}, flapping=Flapping(since=NOW, told=("ops",)))
    assert found(attrs.evolve(UP, alerting=flapping)) == []


@pytest.mark.parametrize(
    ("after", "changes", "name"),
    [
        (attrs.evolve(UP, alerting=Alerting(words={"ops": WORD})), {}, "word_while_up"),
        (attrs.evolve(DOWN.record, sequence=3), {}, "sequence_gap"),
        (attrs.evolve(DOWN.record, sequence=-1), {}, "sequence_gap"),
        (DOWN.record, {"incident": None}, "firing_without_incident"),
        (
            DOWN.record,
            {"incident": attrs.evolve(DOWN.decision.incident, resolved_at=NOW - timedelta(seconds=1))},
            "incident_ends_before_it_begins",
        ),
        (
            DOWN.record,
            {"transition": attrs.evolve(DOWN.decision.transition, before=State.DOWN)},
            "transition_to_the_same",
        ),
    ],
)
def test_what_is_wrong(after: Record, changes: dict[str, object], name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert found(after, **changes) == [name]
    assert f"invariant violated: {name}: " in caplog.text
