"""What goes into the store comes out equal, also after it was closed and opened again."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from support.entries import NOW, REFUSED, StandingClock, came_back, looked_at, observed, went_down

from monitor.core.alerting import Decision
from monitor.core.errors import StoreError
from monitor.core.health import Health, advance
from monitor.core.model import OK, Code, Observation, Outcome, Reason, State, Status, Thresholds, Transition
from monitor.store import Entry, Record, Result
from monitor.store.sqlite import open_store

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = StandingClock()
LATER = NOW + timedelta(days=1)


async def kept(data_dir: Path, *entries: Entry) -> dict[str, Record]:
    """Commit *entries*, close the store, and read in another one."""
    async with open_store(data_dir, clock=CLOCK) as store:
        for entry in entries:
            await store.commit(entry)
    async with open_store(data_dir, clock=CLOCK) as store:
        return await store.records()


async def test_a_new_store_is_empty(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.records() == {}
        assert await store.transitions() == []
        assert await store.due(LATER, room={"ops": 10}) == []
        assert await store.next_due(sinks={"ops"}) is None
        assert await store.pending() == 0


@pytest.mark.parametrize("script", ["", "+", "-", "---", "+++~~", "?", "--??-", "-++", "~~~-+"])
async def test_health_with_all_its_streaks(tmp_path: Path, script: str) -> None:
    reasons = {"+": OK, "-": REFUSED, "?": Reason(Code.CRASH, None, "KeyError: 'x'")}
    thresholds = Thresholds(failure=3, success=2, stale_after=100)
    health = Health()
    for second, sign in enumerate(script):
        seen = observed("shop", at=NOW + timedelta(seconds=second), reason=reasons.get(sign, OK))
        if sign == "~":
            seen = attrs.evolve(seen, status=Status.DEGRADED, reason=Reason(Code.EXPECTATION, "transfer", "slow"))
        health, _ = advance(health, seen, thresholds)
    record = Record(name="shop", health=health, since=NOW, sequence=41)

    assert await kept(tmp_path, Entry(record=record)) == {"shop": record}


async def test_the_last_observation_with_every_kind_of_fact(tmp_path: Path) -> None:
    observation = Observation(
        endpoint="shop",
        status=Status.DOWN,
        reason=Reason(Code.PROTOCOL, "handshake", 'not "HTTP" but \udcff \x00 \u2028 ☂'),
        started_at=NOW,
        duration=1 / 3,
        phases={"resolve": 0.1, "connect": 1e-9, "a phase of a plugin": 2.0},
        facts={"json": {"a": [1, None, True, -1.5, 2**70]}, "headers": {"x": "ü"}, "lone": "\ud800"},
    )
    record = Record(name="shop", last=observation, described={"name": "shop", "labels": {"team": "☂"}})

    found = await kept(tmp_path, Entry(record=record, observation=observation))

    assert found == {"shop": record}
    assert list(found["shop"].last.phases) == ["resolve", "connect", "a phase of a plugin"]


async def test_what_failed_last_is_kept_beside_what_was_seen_last(tmp_path: Path) -> None:
    failed = observed("shop", at=NOW, reason=REFUSED)
    down = Record(name="shop", last=failed, failed=failed)
    well = attrs.evolve(down, last=observed("shop", at=LATER))

    assert await kept(tmp_path / "down", Entry(record=down)) == {"shop": down}
    assert await kept(tmp_path / "well", Entry(record=down), Entry(record=well)) == {"shop": well}


async def test_results_are_read_newest_first_in_pieces(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        for name in ("a", "b", "a"):
            await store.commit(looked_at(name))
        found = await store.results(after=0, before=2**63, limit=2)
        assert found == [Result(3, "a", NOW, "up", 0.0123), Result(2, "b", NOW, "up", 0.0123)]
        assert [each.id for each in await store.results(after=0, before=2, limit=2)] == [1]
        assert await store.results(after=3, before=2**63, limit=2) == []


async def test_an_endpoint_stands_as_the_last_entry_says(tmp_path: Path) -> None:
    gone = Record(name="shop", sequence=7, watched=False)

    found = await kept(tmp_path, looked_at("shop"), looked_at("feed"), Entry(record=gone))

    assert found == {"shop": gone, "feed": looked_at("feed").record}


async def test_an_open_incident_is_part_of_the_record_and_a_closed_one_is_not(tmp_path: Path) -> None:
    down = went_down("shop", "a-1", sinks=("ops", "log"))
    back = came_back(down, "a-2")

    assert (await kept(tmp_path, down))["shop"].incident == down.decision.incident
    assert (await kept(tmp_path, back))["shop"].incident is None


async def test_transitions_come_back_with_rising_ids(tmp_path: Path) -> None:
    down = went_down("shop", "a-1")
    back = came_back(down, "a-2")
    left = Entry(
        record=Record(name="shop", watched=False),
        decision=Decision(
            transition=Transition(
                endpoint="shop",
                before=State.UP,
                after=None,
                at=NOW,
                reason=Reason(Code.OK, None, "no longer watched"),
                incident=None,
                outcome=Outcome.POLICY,
            ),
            incident=None,
            sequence=2,
        ),
    )
    async with open_store(tmp_path, clock=CLOCK) as store:
        written = [await store.commit(entry) for entry in (down, back, left)]

    assert [each.id for each in written] == sorted({each.id for each in written})
    assert [attrs.evolve(each, id=0) for each in written] == [e.decision.transition for e in (down, back, left)]
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.transitions() == written


async def test_an_entry_that_decides_nothing_makes_no_transition(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.commit(looked_at("shop")) is None
        assert await store.transitions() == []


async def test_transitions_are_paged_and_filtered(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        ids = {"shop": [], "feed": [], "edge": []}
        for number in range(4):
            for name, mine in ids.items():
                down = went_down(name, f"{name}-{number}-down")
                mine += [(await store.commit(down)).id, (await store.commit(came_back(down, f"{name}-{number}"))).id]

        async def found(**query: object) -> list[int]:
            return [each.id for each in await store.transitions(**query)]

        everything = sorted(itertools.chain.from_iterable(ids.values()))
        assert await found() == everything
        assert await found(limit=5) == everything[:5]
        assert await found(after=everything[4], limit=5) == everything[5:10]
        assert await found(after=everything[-1]) == []
        assert await found(endpoints=["shop"]) == ids["shop"]
        assert (
            await found(endpoints=["shop", "edge"], after=ids["shop"][1], limit=3)
            == sorted(each for each in ids["shop"] + ids["edge"] if each > ids["shop"][1])[:3]
        )
        assert await found(endpoints=[]) == []
        assert await found(endpoints=["nobody", "x' OR '1'='1"]) == []
        assert await found(limit=0) == []
        assert await found(limit=-1) == []
        assert await found(after=-5) == everything
        assert await found(after=10**30) == []

        for name, mine in ids.items():
            assert [each.id for each in await store.latest(name, limit=5)] == mine[:-6:-1]
        assert await store.latest("nobody", limit=5) == []
        assert await store.latest("shop", limit=-1) == []


async def test_an_alert_is_kept_byte_for_byte(tmp_path: Path) -> None:
    down = went_down("shop", "a-1", sinks=("ops", "log"))
    body = bytes(range(256)) + "☂".encode()
    alert = attrs.evolve(down.decision.alerts[0], body=body)
    down = attrs.evolve(down, decision=attrs.evolve(down.decision, alerts=(alert,)))
    await kept(tmp_path, down)

    async with open_store(tmp_path, clock=CLOCK) as store:
        found = await store.due(LATER, room={"ops": 9, "log": 9})

    assert [(each.alert, each.sink, each.body, each.type) for each in found] == [
        ("a-1", "ops", body, "alert.firing"),
        ("a-1", "log", body, "alert.firing"),
    ]
    assert {(each.endpoint, each.created_at, each.attempts, each.first_try_at, each.digest) for each in found} == {
        ("shop", NOW, 0, None, None)
    }


async def test_what_is_no_json_is_refused_where_it_comes_from(tmp_path: Path) -> None:
    bad = Entry(record=Record(name="shop", last=attrs.evolve(observed("shop"), facts={"x": object()})))
    async with open_store(tmp_path, clock=CLOCK) as store:
        with pytest.raises(TypeError):
            store.append(bad)
        with pytest.raises(TypeError):
            await store.commit(bad)
        await store.commit(looked_at("shop"))  # nothing is stuck


async def test_what_somebody_else_wrote_into_the_file_is_an_error_with_a_name(tmp_path: Path) -> None:
    import sqlite3

    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(looked_at("shop"))
        db = sqlite3.connect(tmp_path / "monitor.db")
        db.execute('UPDATE endpoints SET health = \'{"state": "sideways"}\'')
        db.commit()
        db.close()
        with pytest.raises(StoreError, match=r'^the database holds an unreadable entry for endpoint "shop"$'):
            await store.records()
