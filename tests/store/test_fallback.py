"""A database that is full, locked, gone or damaged costs no alert: they are kept, delivered, and written later.

The trouble is real each time: another connection's lock, a limit on the pages, a directory that is renamed, bytes
that are overwritten. Time is trio's, jumped over.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from support.entries import NOW, StandingClock, came_back, looked_at, went_down

from monitor.core.errors import StoreError
from monitor.core.model import Alert
from monitor.store import Maintenance
from monitor.store.coalesce import FIRING, REMINDER, RESOLVED, Waiting, superfluous
from monitor.store.fallback import PAUSE, SteadyStore
from monitor.store.kept import EACH, NEW, RESULTS
from monitor.store.opening import open_steady_store
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from monitor.core.model import Delivery

T = TypeVar("T")

CLOCK = StandingClock()
ROOM = {"ops": 100, "log": 100}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def store(data_dir: Path, autojump_clock: MockClock) -> AsyncIterator[SteadyStore]:
    async with open_steady_store(data_dir, clock=CLOCK, run_sync=run_here) as opened:
        yield opened


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    other = sqlite3.connect(data_dir / "monitor.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextlib.contextmanager
def full(store: SteadyStore) -> Iterator[None]:
    """No page may be added."""
    db = store._main._files.db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        store._main._files.db.execute("PRAGMA max_page_count = 1000000")


async def due(store: SteadyStore) -> list[Delivery]:
    return list(await store.due(NOW + timedelta(days=1), room=ROOM))


async def deliver_all(store: SteadyStore) -> list[tuple[str, str]]:
    """Deliver until nothing is due; each alert and its sink, in order."""
    sent = []
    while found := await due(store):
        for each in found:
            sent.append((each.sink, each.alert))
            await store.settle(each.id, attempts=1, at=NOW)
    return sent


async def healed(store: SteadyStore) -> None:
    for _ in range(5):
        await trio.sleep(PAUSE)
    assert not store.trouble


def kept(data_dir: Path, statement: str) -> list[tuple[object, ...]]:
    """Read from outside what the file holds."""
    db = sqlite3.connect(data_dir / "monitor.db")
    found = db.execute(statement).fetchall()
    db.close()
    return found


DELIVERIES = "SELECT alert, sink, state FROM deliveries ORDER BY id"


async def test_alerts_go_out_while_the_database_is_locked(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with locked(data_dir):
        down = went_down("shop", "a-1")
        assert (await store.commit(down)).id == 0  # it has none yet
        assert store.trouble
        assert await deliver_all(store) == [("ops", "a-1")]
        store.append(looked_at("feed"))
        await store.commit(came_back(down, "a-2"))
        assert [each.alert for each in await due(store)] == ["a-2"]
        assert await store.pending() == 1
        assert kept(data_dir, DELIVERIES) == []
    await healed(store)

    assert kept(data_dir, DELIVERIES) == [("a-1", "ops", "delivered"), ("a-2", "ops", "pending")]
    assert await deliver_all(store) == [("ops", "a-2")]  # what was delivered is not again
    transitions = await store.transitions()
    assert [(each.id, str(each.after)) for each in transitions] == [(1, "down"), (2, "up")]
    assert kept(data_dir, "SELECT id, resolved_at IS NULL FROM incidents") == [("i-a-1", 0)]
    assert kept(data_dir, "SELECT count(*) FROM history") == [(3,)]
    assert set(await store.records()) == {"shop", "feed"}
    assert store.dropped == 0
    assert [each.getMessage().split(":")[0] for each in caplog.records if each.name.endswith("fallback")] == [
        "alerts and results are kept in memory until the database can be written",
        "the database can be written again; all that was kept is in it",
    ]


async def test_alerts_go_out_while_the_disk_is_full(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    with full(store):
        committed = 0
        while not store.trouble:  # there is a little room in the pages that are there
            committed += 1
            await store.commit(went_down(f"before-{committed}", f"b-{committed}"))
        for number in range(50):
            await store.commit(went_down(f"e-{number}", f"a-{number}"))
            await trio.sleep(PAUSE / 10)
        sent = await deliver_all(store)
        assert len(sent) == committed + 50  # what was written before is delivered too
        assert len(kept(data_dir, "SELECT * FROM transitions")) == committed - 1
        assert store.trouble
    await healed(store)
    assert await due(store) == []
    assert len(kept(data_dir, "SELECT * FROM transitions")) == committed + 50
    assert set(kept(data_dir, "SELECT DISTINCT state FROM deliveries")) == {("delivered",)}


async def test_those_who_wait_for_it_to_come_back_do_not_hand_their_turn_round(
    autojump_clock: MockClock, data_dir: Path
) -> None:
    """Each found the lock taken by the other, and time stood still."""
    slow = False  # the next call takes its time
    over = trio.Event()

    async def disk(work: Callable[[], T], /, *, limiter: trio.CapacityLimiter) -> T:
        nonlocal slow
        if slow:
            slow = False
            await trio.sleep(PAUSE)
            over.set()
        return await run_here(work, limiter=limiter)

    async with open_steady_store(data_dir, clock=CLOCK, run_sync=disk) as store, trio.open_nursery() as nursery:
        with locked(data_dir):
            await store.commit(went_down("shop", "a-1"))
        slow = True
        await trio.sleep(1.5 * PAUSE)  # it is being tried again, and that takes long
        assert store.trouble
        written = []

        async def note(key: str) -> None:
            await store.note(key, 1)
            written.append(key)

        for key in ("one", "two", "three"):
            nursery.start_soon(note, key)
        await over.wait()
        for _ in range(1000):
            await trio.lowlevel.checkpoint()  # no time passes
        assert sorted(written) == ["one", "three", "two"]


async def test_lanes_keep_their_order(autojump_clock: MockClock, store: SteadyStore, data_dir: Path) -> None:
    down = went_down("shop", "a-1", sinks=("ops", "log"))
    await store.commit(down)
    (log,) = (each for each in await due(store) if each.sink == "log")
    await store.settle(log.id, attempts=1, at=NOW)
    with locked(data_dir):
        await store.commit(came_back(down, "a-2"))
        first = await due(store)
        assert {(each.sink, each.alert) for each in first} == {("ops", "a-1"), ("log", "a-2")}
        (ops,) = (each for each in first if each.sink == "ops")
        await store.postpone(ops.id, attempts=3, first_try_at=NOW, not_before=NOW + timedelta(days=2), error="HTTP 500")
        assert [each.alert for each in await due(store)] == ["a-2"]
    await healed(store)
    assert kept(data_dir, "SELECT alert, sink, state, attempts FROM deliveries ORDER BY id") == [
        ("a-1", "ops", "pending", 3),
        ("a-1", "log", "delivered", 1),
        ("a-2", "ops", "pending", 0),
        ("a-2", "log", "pending", 0),
    ]
    assert [each.alert for each in await due(store)] == ["a-2"]  # for `log`; `ops` waits two days


async def test_a_try_that_began_before_and_ends_after(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    """The outbox holds the id from memory while the database comes back."""
    down = went_down("shop", "a-1")
    with locked(data_dir):
        await store.commit(down)
        (flying,) = await due(store)
        assert flying.id >= NEW
    await healed(store)
    assert await store.due(NOW + timedelta(days=1), room=ROOM, busy=(flying.id,)) == []
    assert await store.next_due(sinks=("ops",), busy=(flying.id,)) is None
    await store.settle(flying.id, attempts=1, at=NOW)
    assert kept(data_dir, DELIVERIES) == [("a-1", "ops", "delivered")]


async def test_a_try_that_began_before_the_trouble(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    await store.commit(went_down("shop", "a-1"))
    (flying,) = await due(store)
    with locked(data_dir):
        await store.settle(flying.id, attempts=1, at=NOW)
        assert await due(store) == []
    await healed(store)
    assert kept(data_dir, DELIVERIES) == [("a-1", "ops", "delivered")]


async def test_trouble_again_and_again(autojump_clock: MockClock, store: SteadyStore, data_dir: Path) -> None:
    down, sent = None, []
    for number in range(6):
        with locked(data_dir) if number % 2 else contextlib.nullcontext():
            down = went_down("shop", f"a-{number}") if down is None else came_back(down, f"a-{number}")
            await store.commit(down)
            if number % 3 == 0:
                sent += await deliver_all(store)
            down = None if number % 2 else down
        if number % 2:
            await healed(store)
    sent += await deliver_all(store)
    assert sent == [("ops", f"a-{number}") for number in range(6)]
    assert [str(each.after) for each in await store.transitions()] == ["down", "up"] * 3


async def test_a_directory_that_is_gone_comes_back_with_all_that_was_in_it(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path, tmp_path: Path
) -> None:
    await store.commit(went_down("before", "a-1"))
    await store.commit(looked_at("quiet"))
    data_dir.rename(tmp_path / "moved")
    await store.commit(went_down("after", "a-2"))
    await healed(store)

    assert kept(data_dir, DELIVERIES) == [("a-1", "ops", "pending"), ("a-2", "ops", "pending")]
    assert set(await store.records()) == {"before", "quiet", "after"}
    assert (data_dir.stat().st_mode & 0o777, (data_dir / "monitor.db").stat().st_mode & 0o777) == (0o700, 0o600)
    with pytest.raises(StoreError, match="in use by another daemon"):  # the lock is there again, too
        async with open_store(data_dir, clock=CLOCK, run_sync=run_here):
            pass


async def test_results_alone_notice_that_it_is_gone(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path, tmp_path: Path
) -> None:
    await store.commit(went_down("before", "a-1"))
    data_dir.rename(tmp_path / "moved")
    for _ in range(5):
        store.append(looked_at("quiet"))
        await trio.sleep(PAUSE)
    assert set(await store.records()) == {"before", "quiet"}
    assert kept(data_dir, "SELECT count(*) FROM history") == [(6,)]
    assert store.trouble is None


async def test_a_directory_that_cannot_come_back_yet(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    await store.commit(went_down("before", "a-1"))
    shutil.rmtree(data_dir)
    data_dir.write_text("in the way")
    await store.commit(went_down("after", "a-2"))
    await trio.sleep(5 * PAUSE)
    assert store.trouble
    assert sorted(await deliver_all(store)) == [("ops", "a-1"), ("ops", "a-2")]

    data_dir.unlink()
    await healed(store)
    assert kept(data_dir, DELIVERIES) == [("a-1", "ops", "delivered"), ("a-2", "ops", "delivered")]


async def test_another_file_in_its_place_is_taken(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    """Somebody put a copy from yesterday there: how things stand is written into it."""
    shutil.copy(data_dir / "monitor.db", data_dir / "yesterday.db")
    await store.commit(went_down("shop", "a-1"))
    for suffix in ("", "-wal", "-shm"):
        (data_dir / f"monitor.db{suffix}").unlink()
    (data_dir / "yesterday.db").rename(data_dir / "monitor.db")
    await store.commit(looked_at("feed"))
    await healed(store)
    assert set(await store.records()) == {"shop", "feed"}
    assert kept(data_dir, "SELECT endpoint FROM incidents WHERE resolved_at IS NULL") == [("shop",)]


async def test_what_waits_goes_into_another_file_too(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    """What waited when the database was lost is not lost with it, and keeps its place before what came after."""
    shutil.copy(data_dir / "monitor.db", data_dir / "yesterday.db")
    down = went_down("shop", "a-1", sinks=("ops", "log"))
    await store.commit(down)
    (flying, _) = await due(store)
    for suffix in ("", "-wal", "-shm"):
        (data_dir / f"monitor.db{suffix}").unlink()
    (data_dir / "yesterday.db").rename(data_dir / "monitor.db")
    await store.commit(came_back(down, "a-2"))
    await healed(store)
    await store.settle(flying.id, attempts=1, at=NOW)  # the try began in the old one
    other = "log" if flying.sink == "ops" else "ops"
    assert sorted(await deliver_all(store)) == sorted([(other, "a-1"), (other, "a-2"), (flying.sink, "a-2")])
    assert len(kept(data_dir, DELIVERIES)) == 4


async def test_a_try_that_outlasts_two_times_of_trouble(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    """The outbox holds the id from the first; the second knows the delivery by that of the database."""
    with locked(data_dir):
        await store.commit(went_down("shop", "a-1"))
        (flying,) = await due(store)
    await healed(store)
    with locked(data_dir):
        await store.commit(went_down("other", "a-2", sinks=()))
        assert store.trouble
        assert await store.due(NOW + timedelta(days=1), room=ROOM, busy=(flying.id,)) == []
        await store.settle(flying.id, attempts=1, at=NOW)
        assert await due(store) == []
    await healed(store)
    assert kept(data_dir, DELIVERIES) == [("a-1", "ops", "delivered")]


async def test_a_write_that_works_after_one_that_did_not(
    autojump_clock: MockClock, store: SteadyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the database took in the last moment is delivered from memory like all that it held."""
    files = store._main._files
    checks = [True]

    def check_there() -> None:
        if checks and checks.pop():
            raise FileNotFoundError(2, "gone, for a moment")

    monkeypatch.setattr(files, "check_there", check_there)
    for number in range(20):  # who comes first is a matter of chance
        checks[:] = [True]
        async with trio.open_nursery() as nursery:
            for name in ("first", "second", "third"):
                nursery.start_soon(store.commit, went_down(f"{name}-{number}", f"{name}-{number}"))
        assert store.trouble
        sent = await deliver_all(store)
        assert sorted(sent) == [("ops", f"{name}-{number}") for name in ("first", "second", "third")]
        await healed(store)


async def test_damage_at_run_time_sets_aside_and_goes_on(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    for number in range(100):
        await store.commit(went_down(f"e-{number}", f"a-{number}"))
    store._main._files.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = data_dir / "monitor.db"
    pages = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (len(pages) - 4096))
    store._main._files.db.execute("PRAGMA shrink_memory")  # forget what was read
    await store.commit(went_down("last", "a-last"))
    assert store.trouble
    await healed(store)

    assert len(list(data_dir.glob("monitor-damaged-*.db"))) == 1
    assert store.loss is not None
    assert len(await store.records()) == 101  # how things stand is known still
    assert kept(data_dir, "SELECT count(*) FROM incidents WHERE resolved_at IS NULL") == [(101,)]
    found = await store.uptime(windows={"90d": timedelta(days=90)}, now=NOW + timedelta(hours=1))
    assert set(found) == {*(f"e-{number}" for number in range(100)), "last"}  # watched, from now on
    assert ("ops", "a-last") in await deliver_all(store)


async def test_memory_is_bounded(autojump_clock: MockClock, store: SteadyStore, data_dir: Path) -> None:
    """An endpoint that goes up and down for ever, to a sink that is gone and one that is there."""
    down = went_down("shop", "a-0", sinks=("ops", "log"))
    with locked(data_dir):
        for number in range(300):
            entry = down if number % 2 == 0 else came_back(down, f"a-{number}")
            await store.commit(entry)
            for each in await store.due(NOW + timedelta(days=1), room={"log": 100}):
                await store.settle(each.id, attempts=1, at=NOW)
            if number % 2:
                down = went_down("shop", f"a-{number + 1}", sinks=("ops", "log"))
        memory = store._kept
        counts = {
            table: memory.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("alerts", "deliveries")
        }
        assert counts["deliveries"] <= 6
        assert counts["alerts"] <= 6
        assert len(memory.told["shop"].transitions) == EACH
        assert len(memory.told["shop"].incidents) <= EACH
    await healed(store)
    # `ops` was never reached: of all that, the last outage remains.
    assert kept(data_dir, "SELECT alert FROM deliveries WHERE sink = 'ops' ORDER BY id") == [("a-298",), ("a-299",)]
    assert store.coalesced > 200


async def test_results_are_dropped_beyond_a_bound_and_counted(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    with locked(data_dir):
        await store.commit(looked_at("shop"))
        for _ in range(RESULTS + 4):
            store.append(looked_at("shop"))
        assert store.dropped == 5
    await healed(store)
    assert store.dropped == 5
    assert kept(data_dir, "SELECT count(*) FROM history") == [(RESULTS,)]


async def test_what_is_no_endpoints_is_kept_too(autojump_clock: MockClock, store: SteadyStore, data_dir: Path) -> None:
    alert = Alert(id="s-1", type="alert.self", endpoint=None, created_at=NOW, body=b'{"data":{}}', sinks=("ops",))
    await store.note("self", {"old": True})
    await store.commit(looked_at("shop"))
    with locked(data_dir):
        assert await store.noted("self") == {"old": True}
        await store.note("self", {"since": 1}, (alert,))
        await store.mark([Maintenance(endpoint="shop", started_at=NOW, ended_at=NOW + timedelta(hours=1))])
        assert await store.noted("self") == {"since": 1}
        assert await deliver_all(store) == [("ops", "s-1")]
    await healed(store)
    assert await store.noted("self") == {"since": 1}
    assert kept(data_dir, DELIVERIES) == [("s-1", "ops", "delivered")]
    assert kept(data_dir, "SELECT kind FROM spans WHERE kind = 'maintenance'") == [("maintenance",)]


async def test_one_that_contradicts_does_not_keep_the_others_out(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.commit(went_down("shop", "a-1"))
    with locked(data_dir):
        await store.commit(went_down("shop", "a-2"))  # a second open incident: a bug, if it were ours
        await store.commit(went_down("feed", "a-3"))
    await healed(store)
    assert "shop: what was kept in memory contradicts the database and is lost" in caplog.text
    assert (await store.records())["feed"].incident is not None


async def test_a_second_daemon_is_refused_as_ever(
    autojump_clock: MockClock, store: SteadyStore, data_dir: Path
) -> None:
    with pytest.raises(StoreError, match="in use by another daemon"):
        async with open_steady_store(data_dir, clock=CLOCK, run_sync=run_here):
            pass


async def test_what_cannot_be_written_at_the_end_is_told(
    autojump_clock: MockClock, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = contextlib.ExitStack()
    async with open_steady_store(data_dir, clock=CLOCK, run_sync=run_here) as store:
        held.enter_context(locked(data_dir))
        await store.commit(went_down("shop", "a-1"))
    held.close()
    assert "what was kept in memory is lost, 1 alerts too" in caplog.text


LANE = st.lists(st.sampled_from(("down", "up", "remind", "deliver")), max_size=30)


@given(LANE)
def test_coalescing_leaves_a_sink_with_the_same_last_word(steps: list[str]) -> None:
    """A lane of one endpoint: whatever is left out, the sink ends up knowing what is true, and little waits."""
    lane: list[Waiting] = []
    incident, told, heard = None, None, None  # told: what the recorder believes; heard: the sink
    for number, step in enumerate(steps):
        match step:
            case "down" if incident is None:
                incident = str(number)
                lane.append(Waiting(number, FIRING, incident))
                told = incident
            case "up" if incident is not None:
                lane.append(Waiting(number, RESOLVED, incident))
                incident = told = None
            case "remind" if incident is not None:
                lane.append(Waiting(number, REMINDER, incident))
            case "deliver" if lane:
                heard = _hears(heard, lane.pop(0))
        gone = superfluous(lane)
        lane = [each for each in lane if each.id not in gone]
        kinds = [each.type for each in lane]
        assert kinds.count(FIRING) <= 1
        assert kinds.count(RESOLVED) <= 1
        assert kinds.count(REMINDER) <= 1
    for each in lane:
        heard = _hears(heard, each)
    assert (heard is None) == (told is None)


def _hears(heard: str | None, message: Waiting) -> str | None:
    if message.type == FIRING:
        assert heard is None, "a second firing before the first was resolved"
        return message.incident
    assert heard == message.incident, f"{message.type} of what it does not know"
    return heard if message.type == REMINDER else None


class Heard:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def begins(self, key: str, message: str) -> None:
        self.said.append(("begins", key, message))

    def ends(self, key: str) -> None:
        self.said.append(("ends", key, ""))

    def happened(self, key: str, message: str) -> None:
        self.said.append(("happened", key, message))


async def test_trouble_is_told_to_who_listens(autojump_clock: MockClock, store: SteadyStore, data_dir: Path) -> None:
    heard = Heard()
    store.report_to(heard)
    assert store.trouble is None
    with locked(data_dir):
        await store.commit(looked_at("shop"))
        assert store.trouble is not None
        late = Heard()
        store.report_to(late)
    store.report_to(heard)
    await healed(store)
    why = f"cannot use the database {data_dir}/monitor.db: another program has locked it"
    sentence = f"alerts and results are kept in memory until the database can be written: {why}"
    begins = ("begins", "store", sentence)
    assert late.said == [begins]
    assert heard.said == [begins, begins, ("ends", "store", "")]


async def test_damage_of_before_is_told_too(autojump_clock: MockClock, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "monitor.db").write_bytes(b"this is no database\n" * 1000)
    heard = Heard()
    async with open_steady_store(data_dir, clock=CLOCK, run_sync=run_here) as store:
        store.report_to(heard)
    ((what, key, message),) = heard.said
    assert (what, key) == ("happened", "damage")
    assert "it was set aside as monitor-damaged-" in message
