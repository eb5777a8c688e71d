"""What is kept of alerting: it comes back equal, plain observations leave it alone, and version 1 knew it otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from support.entries import NOW, REFUSED, StandingClock, came_back, looked_at, went_down

from monitor.core.alerting import NOTHING, Alerting, Decision, Flapping, Word
from monitor.core.model import OK, Outcome, State
from monitor.store import Entry, Record, database, schema
from monitor.store.sqlite import open_store

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = StandingClock()
LATER = NOW + timedelta(minutes=7)
WORD = Word(incident="i-1", started_at=NOW, reason=REFUSED, level=State.DOWN, told_at=LATER)


@pytest.mark.parametrize(
    "alerting",
    [
        NOTHING,
        Alerting(moments=(NOW, LATER), before=State.DOWN),
        Alerting(words={"ops": WORD, "a ☂": attrs.evolve(WORD, level=State.DEGRADED, reason=OK, reminded_at=LATER)}),
        Alerting(flapping=Flapping(since=NOW)),
        Alerting(flapping=Flapping(since=NOW, told=())),
        Alerting(flapping=Flapping(since=NOW, told=("ops", "log")), unsaid=True),
        Alerting(first=State.UP, before=State.DEGRADED, reason=REFUSED, certificate=True),
        Alerting(held=Outcome.DEPENDENCY, parents=("edge", "core"), suppressed=("shop", "feed")),
    ],
)
async def test_it_comes_back_equal(tmp_path: Path, alerting: Alerting) -> None:
    decision = Decision(transition=None, incident=None, sequence=3, alerting=alerting)
    record = Record(name="shop", sequence=3, alerting=alerting)
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.commit(Entry(record=record, decision=decision)) is None
        assert await store.transitions() == []
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.records() == {"shop": record}


async def test_an_observation_leaves_it_as_it_is_and_who_leaves_takes_it_along(tmp_path: Path) -> None:
    down = went_down("shop", "a-1")
    seen = looked_at("shop", sequence=1)
    seen = attrs.evolve(seen, record=attrs.evolve(seen.record, alerting=down.record.alerting))
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(down)
        store.append(seen)
        await store.commit(looked_at("feed"))
        assert (await store.records())["shop"].alerting == down.record.alerting
        await store.commit(Entry(record=Record(name="shop", watched=False)))
        assert (await store.records())["shop"].alerting is NOTHING


async def test_what_is_told_late_changes_the_outcome_of_the_latest_transition_alone(tmp_path: Path) -> None:
    down = went_down("shop", "a-1", sinks=())
    transition = attrs.evolve(down.decision.transition, outcome=Outcome.SILENCE)
    down = attrs.evolve(down, decision=attrs.evolve(down.decision, alerts=(), transition=transition))
    late = attrs.evolve(down.decision, transition=None, late=True)
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(attrs.evolve(down, record=attrs.evolve(down.record, incident=None)))
        await store.commit(down)
        await store.commit(went_down("feed", "a-2"))
        assert await store.commit(Entry(record=down.record, decision=late)) is None
        shop = await store.transitions(endpoints=["shop"])
    assert [each.outcome for each in shop] == [Outcome.SILENCE, Outcome.ALERTED]


OLD = """
INSERT INTO endpoints (name, health, since, sequence, last, watched, described) VALUES
    ('shop', :down, 1795359610000, 7, NULL, 1, '{"name":"shop"}'),
    ('silent', :down, 1795359610000, 0, NULL, 1, NULL),
    ('fine', :up, 1795359000000, 2, NULL, 1, NULL);
INSERT INTO incidents (id, endpoint, started_at, reason, owed, resolved_at) VALUES
    ('i-0', 'fine', 1795350000000, NULL, '["ops"]', 1795359000000),
    ('i-1', 'shop', 1795359600000, :reason, '["ops","log ☂"]', NULL),
    ('i-2', 'silent', 1795359600000, :reason, '[]', NULL);
INSERT INTO transitions (endpoint, before, after, at, reason, incident, outcome) VALUES
    ('fine', 'down', 'up', 1795359000000, NULL, 'i-0', 'alerted'),
    ('shop', 'degraded', 'down', 1795359610000, :reason, 'i-1', 'alerted'),
    ('silent', 'up', 'down', 1795359610000, :reason, 'i-2', 'policy');
"""
STREAKS = '"as_bad_as_degraded":null,"as_bad_as_down":null,"as_good_as_degraded":null,"as_good_as_up":null'


async def test_a_database_of_the_first_version_keeps_what_is_owed(tmp_path: Path) -> None:
    values = {
        "down": f'{{"state":"down","counted_at":null,"unknowns":0,{STREAKS}}}',
        "up": f'{{"state":"up","counted_at":null,"unknowns":0,{STREAKS}}}',
        "reason": '{"code":"connect","phase":"connect","message":"connection refused"}',
    }
    db = database.connect(tmp_path / "monitor.db")
    schema.migrate(db, 0, schema.MIGRATIONS[:1])
    with database.transaction(db):
        for statement in OLD.split(";"):
            db.execute(statement, {name: value for name, value in values.items() if f":{name}" in statement})
    db.close()

    async with open_store(tmp_path, clock=CLOCK) as store:
        records = await store.records()
        transitions = await store.transitions()

    assert len(transitions) == 3
    assert records["fine"].alerting is NOTHING
    incident, alerting = records["shop"].incident, records["shop"].alerting
    assert incident is not None
    assert (incident.id, incident.reason) == ("i-1", REFUSED)
    told_at = incident.started_at + timedelta(seconds=10)
    word = Word(incident="i-1", started_at=incident.started_at, reason=REFUSED, level=State.DOWN, told_at=told_at)
    known = {"before": State.DEGRADED, "first": State.DEGRADED, "reason": REFUSED}
    assert alerting == Alerting(words={"ops": word, "log ☂": word}, **known)
    assert records["silent"].alerting == Alerting(before=State.UP, first=State.UP, reason=REFUSED, unsaid=True)


async def test_an_incident_that_was_carried_over_ends(tmp_path: Path) -> None:
    """The table of incidents is a new one: it keeps its rules."""
    async with open_store(tmp_path, clock=CLOCK) as store:
        down = went_down("shop", "a-1")
        await store.commit(down)
        await store.commit(came_back(down, "a-2"))
        await store.commit(went_down("shop", "a-3"))
        assert (await store.records())["shop"].incident == went_down("shop", "a-3").record.incident
