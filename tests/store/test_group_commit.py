"""Writes stand in one queue: together where they can, in order always, and none is lost without being counted.

Where time matters it is trio's, jumped over; the database is then called on the loop's own thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing
from support.entries import REFUSED, StandingClock, came_back, looked_at, went_down

from monitor.core.errors import StoreError
from monitor.core.model import Incident
from monitor.store import Entry, Record
from monitor.store.group import BACKLOG, GROUP, PAUSE, WINDOW
from monitor.store.sqlite import SqliteStore, open_store, run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from trio.testing import MockClock

LOCKED = r"another program has locked it$"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path, clock=StandingClock(), run_sync=run_here) as opened:
        yield opened


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Somebody else is writing into the database, so that we cannot."""
    other = sqlite3.connect(data_dir / "monitor.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


def rows(data_dir: Path, table: str) -> int:
    other = sqlite3.connect(data_dir / "monitor.db")
    (count,) = other.execute(f"SELECT count(*) FROM {table}").fetchone()
    other.close()
    return count


async def test_what_is_appended_is_written_soon(store: SqliteStore, autojump_clock: MockClock) -> None:
    store.append(looked_at("shop"))
    await trio.sleep(WINDOW * 0.9)
    store.append(looked_at("feed"))
    assert await store.records() == {}

    await trio.sleep(WINDOW * 0.2)
    assert set(await store.records()) == {"shop", "feed"}


async def test_a_crowd_does_not_wait(store: SqliteStore, autojump_clock: MockClock) -> None:
    for number in range(GROUP):
        store.append(looked_at(f"endpoint-{number}"))
    await trio.sleep(WINDOW * 0.01)
    assert len(await store.records()) == GROUP


async def test_a_commit_takes_along_what_was_appended_before(store: SqliteStore, autojump_clock: MockClock) -> None:
    store.append(looked_at("shop", sequence=1))
    await store.commit(looked_at("shop", sequence=2))
    store.append(looked_at("shop", sequence=3))
    await store.commit(looked_at("feed"))

    assert trio.current_time() < WINDOW
    assert (await store.records())["shop"].sequence == 3


async def test_what_is_appended_is_written_when_the_store_is_closed(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=StandingClock()) as store:
        store.append(looked_at("shop"))
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert set(await store.records()) == {"shop"}


async def test_also_when_its_block_is_cancelled(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_store(tmp_path, clock=StandingClock()) as store:
            store.append(looked_at("shop"))
            scope.cancel()
            await trio.sleep_forever()
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert set(await store.records()) == {"shop"}


async def test_a_decision_is_not_for_append(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="commit"):
        store.append(went_down("shop", "a-1"))


async def test_a_commit_whose_caller_is_cancelled_is_finished(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=StandingClock()) as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            transition = await store.commit(went_down("shop", "a-1"))
        assert await store.transitions() == [transition]

        async with trio.open_nursery() as nursery:
            with locked(tmp_path):
                nursery.start_soon(store.commit, went_down("feed", "a-2"))
                await trio.testing.wait_all_tasks_blocked()  # it waits for the other program
                nursery.start_soon(store.commit, went_down("edge", "a-3"))
                await trio.testing.wait_all_tasks_blocked()  # and this one for its turn
                nursery.cancel_scope.cancel()
                await trio.lowlevel.cancel_shielded_checkpoint()
        assert set(await store.records()) == {"shop", "feed", "edge"}


async def test_the_loop_goes_on_while_the_database_waits(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=StandingClock()) as store:
        async with trio.open_nursery() as nursery:
            with locked(tmp_path):  # let go by this very loop, or never
                nursery.start_soon(store.commit, looked_at("shop"))
                for _ in range(10):
                    await trio.sleep(0.01)
        assert set(await store.records()) == {"shop"}


async def test_many_commits_cost_few_transactions(tmp_path: Path) -> None:
    calls = 0

    async def counted(work: Callable[[], object], /, *, limiter: trio.CapacityLimiter) -> object:
        nonlocal calls
        calls += 1
        return await run_here(work, limiter=limiter)

    async with open_store(tmp_path, clock=StandingClock(), run_sync=counted) as store:
        calls = 0
        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(store.commit, went_down(f"endpoint-{number}", f"a-{number}"))
        assert calls <= 3
        assert await store.pending() == 500


async def test_each_endpoint_keeps_its_order_among_others(tmp_path: Path) -> None:
    async def live(name: str) -> None:
        for number in range(25):
            down = went_down(name, f"{name}-{number}-down")
            store.append(looked_at(name))
            first = await store.commit(down)
            store.append(looked_at(name, sequence=99))  # the incident is part of the record: not stated, not touched
            second = await store.commit(came_back(down, f"{name}-{number}-up"))
            assert first.id < second.id

    names = {f"endpoint-{number}" for number in range(20)}
    async with open_store(tmp_path, clock=StandingClock()) as store:
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(live, name)
        found = await store.transitions(limit=1000)
        assert [each.after for each in found if each.endpoint == "endpoint-7"] == ["down", "up"] * 25
        assert {record.incident for record in (await store.records()).values()} == {None}
        heads = await store.due(StandingClock().now, room={"ops": 100})
        assert {each.alert for each in heads} == {f"{name}-0-down" for name in names}


async def test_a_failed_commit_is_told_and_leaves_nothing(
    store: SqliteStore, tmp_path: Path, autojump_clock: MockClock
) -> None:
    store.append(looked_at("shop"))
    with locked(tmp_path), pytest.raises(StoreError, match=LOCKED):
        await store.commit(went_down("feed", "a-1"))

    assert await store.records() == {}
    assert await store.transitions() == []
    assert await store.pending() == 0

    # What was appended was not lost with it, and what failed can be said again.
    assert await store.commit(went_down("feed", "a-1")) is not None
    assert set(await store.records()) == {"shop", "feed"}
    assert store.dropped == 0


async def test_what_cannot_be_written_waits_for_better_times(
    store: SqliteStore, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with locked(tmp_path):
        store.append(looked_at("shop", sequence=1))
        await trio.sleep(WINDOW + PAUSE)
        store.append(looked_at("shop", sequence=2))
        await trio.sleep(PAUSE)
    assert await store.records() == {}
    await trio.sleep(PAUSE + WINDOW)

    assert (await store.records())["shop"].sequence == 2
    assert rows(tmp_path, "history") == 2
    assert store.dropped == 0
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "results wait in memory until they can be written",
        "the database can be written again",
    ]


async def test_waiting_is_bounded_and_what_is_lost_is_counted(
    store: SqliteStore, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    entry = looked_at("shop")
    for _ in range(BACKLOG + 5):
        store.append(entry)
    assert store.dropped == 5
    await trio.sleep(WINDOW)
    assert rows(tmp_path, "history") == BACKLOG
    assert "results are lost" in caplog.text


async def test_what_is_left_at_the_end_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_store(tmp_path, clock=StandingClock()) as store:
        store.append(looked_at("shop"))
        other = contextlib.ExitStack()
        other.enter_context(locked(tmp_path))
    other.close()

    assert store.dropped == 1
    store.append(looked_at("feed"))
    assert store.dropped == 2
    with pytest.raises(StoreError, match=r"^the database is closed$"):
        await store.commit(looked_at("shop"))
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert await store.records() == {}


async def test_one_impossible_write_does_not_take_the_others_down(
    store: SqliteStore, autojump_clock: MockClock
) -> None:
    await store.commit(went_down("edge", "a-1"))
    results: dict[str, object] = {}

    async def commit(name: str, ident: str) -> None:
        try:
            results[name] = (await store.commit(went_down(name, ident))).endpoint
        except StoreError as error:
            results[name] = error

    async with trio.open_nursery() as nursery:
        for name, ident in (("shop", "a-2"), ("feed", "a-1"), ("page", "a-3")):  # a-1 is taken
            nursery.start_soon(partial(commit, name, ident))

    assert isinstance(results.pop("feed"), StoreError)
    assert results == {"shop": "shop", "page": "page"}
    assert set(await store.records()) == {"edge", "shop", "page"}


async def test_one_impossible_append_is_dropped_and_not_tried_for_ever(
    store: SqliteStore, autojump_clock: MockClock
) -> None:
    down = went_down("shop", "a-1")
    await store.commit(down)
    second = attrs.evolve(down.record.incident, id="another")  # while the first is open
    assert isinstance(second, Incident)
    assert second.reason == REFUSED

    store.append(looked_at("feed"))
    store.append(Entry(record=Record(name="shop", incident=second)))
    store.append(looked_at("edge"))
    await trio.sleep(WINDOW * 1.1)

    assert store.dropped == 1
    found = await store.records()
    assert set(found) == {"shop", "feed", "edge"}
    assert found["shop"].incident == down.record.incident


class Turns(trio.abc.Instrument):
    """Counts how often the loop goes round."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_a_thousand_that_wait_are_told_together(store: SqliteStore) -> None:
    """Under load a turn of the loop is long: a thousand endpoints must not each wait for the one before."""
    turns = Turns()
    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(store.commit, went_down(f"endpoint-{number}", f"a-{number}"))
        trio.lowlevel.add_instrument(turns)
    trio.lowlevel.remove_instrument(turns)
    assert len(await store.records()) == 1000
    assert turns.count < 20
