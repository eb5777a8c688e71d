"""Incidents in pages, by a number that is never given twice; who knows of one; maintenance that is not over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
from support.entries import NOW, StandingClock, came_back, looked_at, went_down

from monitor.core.model import Acknowledgement, Incident
from monitor.store import Entry, Maintenance, database, schema
from monitor.store.sqlite import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLOCK = StandingClock()


def ids(incidents: Sequence[Incident]) -> list[str]:
    return [each.id for each in incidents]


async def test_pages_of_all_of_some_and_of_those_that_are_open(tmp_path: Path) -> None:
    shop = went_down("shop", "a-1")
    async with open_store(tmp_path, clock=CLOCK) as store:
        for entry in (shop, went_down("feed", "a-2"), came_back(shop, "a-3"), went_down("shop", "a-4")):
            await store.commit(entry)
    async with open_store(tmp_path, clock=CLOCK) as store:
        everything = await store.incidents()
        assert ids(everything) == ["i-a-1", "i-a-2", "i-a-4"]
        assert [each.resolved_at is None for each in everything] == [False, True, True]
        assert ids(await store.incidents(limit=2)) == ["i-a-1", "i-a-2"]
        assert ids(await store.incidents(after=everything[1].number)) == ["i-a-4"]
        assert ids(await store.incidents(endpoints=["shop"])) == ["i-a-1", "i-a-4"]
        assert ids(await store.incidents(endpoints=["shop"], only_open=True)) == ["i-a-4"]
        assert ids(await store.incidents(endpoints=["feed", "shop"], only_open=True)) == ["i-a-2", "i-a-4"]
        assert ids(await store.incidents(endpoints=[])) == []
        assert ids(await store.incidents(limit=-1)) == []


async def test_who_knows_of_it_is_kept_also_when_it_is_over(tmp_path: Path) -> None:
    down = went_down("shop", "a-1")
    known = Acknowledgement(at=NOW, by="me", comment="on it \ud800")
    incident = attrs.evolve(down.record.incident, acknowledged=known)
    acknowledged = attrs.evolve(down, record=attrs.evolve(down.record, incident=incident))
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(down)
        await store.commit(Entry(record=acknowledged.record))
        await store.commit(went_down("feed", "a-2"))
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert (await store.records())["shop"].incident == incident
        await store.commit(came_back(acknowledged, "a-3"))
        over, other = await store.incidents()
        assert (over.acknowledged, over.resolved_at is None, other.acknowledged) == (known, False, None)


async def test_incidents_of_an_older_database_are_numbered_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    db = database.connect(path)
    schema.migrate(db, 0, schema.MIGRATIONS[:1])
    for number in (3, 1, 2):
        row = (f"i-{number}", f"e-{number}", number * 1000)
        db.execute("INSERT INTO incidents (id, endpoint, started_at, owed) VALUES (?, ?, ?, '[]')", row)
    db.commit()
    db.close()
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(went_down("shop", "a-1"))
        found = await store.incidents()
    assert [(each.id, each.number) for each in found] == [("i-3", 1), ("i-1", 2), ("i-2", 3), ("i-a-1", 4)]


async def test_maintenance_that_is_not_over(tmp_path: Path) -> None:
    def until(hours: int, name: str = "shop") -> Maintenance:
        return Maintenance(endpoint=name, started_at=NOW, ended_at=NOW + timedelta(hours=hours))

    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(looked_at("shop"))
        await store.mark([until(1), until(2), until(1, "never seen")])
        assert await store.marked(NOW) == [until(2)]
        assert await store.marked(NOW + timedelta(hours=2)) == []
