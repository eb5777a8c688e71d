"""A damaged database is set aside, whole, and the monitor begins anew; never a traceback, never a file removed."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

from support.entries import NOW, StandingClock, came_back, looked_at, went_down

from monitor.core.errors import StoreError
from monitor.store import soundness
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CLOCK = StandingClock()
ASIDE = "monitor-damaged-20261122T150000123Z.db"


async def filled(data_dir: Path, endpoints: int = 40) -> Path:
    """A database with a little of everything; its path."""
    async with open_store(data_dir, clock=CLOCK, run_sync=run_here) as store:
        for number in range(endpoints):
            down = went_down(f"endpoint-{number}", f"a-{number}")
            await store.commit(down)
            if number % 2:
                await store.commit(came_back(down, f"b-{number}"))
            store.append(looked_at(f"quiet-{number}"))
    return data_dir / "monitor.db"


def damaged(path: Path) -> bytes:
    """All but the first page of the database at *path*, overwritten; what it holds now."""
    pages = path.read_bytes()
    path.write_bytes(pages[:4096] + b"\xff" * (len(pages) - 4096))
    return path.read_bytes()


async def test_it_is_set_aside_and_the_monitor_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = await filled(tmp_path)
    bytes_before = damaged(path)

    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.records() == {}
        await store.commit(went_down("shop", "a-1"))
        assert store.loss is not None
        assert store.loss.startswith(f"cannot use the database {path}: it is damaged")
        assert store.loss.endswith(f"; it was set aside as {ASIDE} and an empty one begun")
        assert store.loss in caplog.text

    assert (tmp_path / ASIDE).read_bytes() == bytes_before
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert set(await store.records()) == {"shop"}
        assert store.loss is None


def test_its_log_goes_with_it(tmp_path: Path) -> None:
    """As a crash leaves it; SQLite must not find an old log beside a new database."""
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"monitor.db{suffix}").write_text(suffix)
    assert soundness.set_aside(tmp_path / "monitor.db", NOW).name == ASIDE
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        ASIDE: "",
        f"{ASIDE}-wal": "-wal",
        f"{ASIDE}-shm": "-shm",
    }


async def test_a_second_one_in_the_same_moment_has_its_own_name(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "monitor.db").write_bytes(b"not this time %d\n" % number * 1000)
        async with open_store(tmp_path, clock=CLOCK):
            pass
    stem = ASIDE.removesuffix(".db")
    aside = sorted(each.name for each in tmp_path.glob("monitor-damaged-*"))
    assert aside == [f"{stem}-2.db", f"{stem}-3.db", f"{stem}.db"]


async def test_what_is_no_value_of_ours_is_damage_too(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    db = sqlite3.connect(path)
    db.execute("UPDATE endpoints SET health = '{' WHERE name = 'quiet-0'")
    db.commit()
    db.close()

    async with open_store(tmp_path, clock=CLOCK) as store:
        assert store.loss is not None
        assert store.loss.startswith('the database holds an unreadable entry for endpoint "quiet-0"; it was set aside')


async def test_a_large_file_is_checked_where_it_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage in old results does not show at the start then; damage in an alert does."""
    monkeypatch.setattr(soundness, "WHOLE", 0)
    path = await filled(tmp_path, endpoints=400)
    for table, found in (("history", False), ("alerts", True)):
        db = sqlite3.connect(path)
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        db.close()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * 100)
        async with open_store(tmp_path, clock=CLOCK, run_sync=run_here) as store:
            assert (store.loss is not None) is found, table


CASES = 300


async def test_flipped_bytes(tmp_path: Path) -> None:
    """Bytes changed anywhere: it works, or it is set aside; then it works."""
    original = (await filled(tmp_path / "original")).read_bytes()
    chance = random.Random(4)
    outcomes: Counter[str] = Counter()
    for case in range(CASES):
        flipped = bytearray(original)
        # The header, the pages' own heads, and anywhere.
        for _ in range(chance.choice((1, 1, 4, 64))):
            place = chance.choice((chance.randrange(100), chance.randrange(4096), chance.randrange(len(original))))
            flipped[place] ^= 1 << chance.randrange(8)
        data_dir = tmp_path / f"case-{case}"
        data_dir.mkdir()
        path = data_dir / "monitor.db"
        path.write_bytes(flipped)
        outcomes[await _outcome(data_dir)] += 1
        shutil.rmtree(data_dir)
    assert outcomes.keys() <= {"works", "set aside", "refused"}
    assert outcomes["works"] > CASES / 10
    assert outcomes["set aside"] > CASES / 4
    assert outcomes["refused"] < CASES / 20  # the schema's number rose a little, or the file is not marked as ours


async def _outcome(data_dir: Path) -> str:
    """Use the database; a StoreError may come of a row read later, nothing else of anything."""
    try:
        async with open_store(data_dir, clock=CLOCK, run_sync=run_here) as store:
            await store.records()
            with contextlib.suppress(StoreError):
                await store.transitions()
            with contextlib.suppress(StoreError):
                await store.due(NOW, room={"ops": 100})
            with contextlib.suppress(StoreError):
                await store.commit(looked_at("new"))
            return "set aside" if store.loss else "works"
    except StoreError as error:
        return "refused" if re.search("newer version|another program", str(error)) else str(error)
