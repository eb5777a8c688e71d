"""A data directory is made, locked and checked; what we cannot use is refused in one sentence and left alone."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.entries import StandingClock, looked_at, went_down

from monitor.core.errors import MonitorError, StoreError
from monitor.store.schema import MIGRATIONS
from monitor.store.sqlite import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = StandingClock()


async def refusal(data_dir: Path) -> str:
    with pytest.raises(StoreError) as caught:
        async with open_store(data_dir, clock=CLOCK):
            pass
    return str(caught.value)


def sql(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def modes(data_dir: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in data_dir.iterdir()}


async def test_a_missing_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "var" / "data"
    async with open_store(data_dir, clock=CLOCK) as store:
        await store.commit(looked_at("shop"))
        found = modes(data_dir)

    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert found == {
        "monitor.db": 0o600,
        "monitor.db-wal": 0o600,
        "monitor.db-shm": 0o600,
        "monitor.lock": 0o600,
    }


async def test_a_clean_close_leaves_one_whole_file(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.commit(looked_at("shop"))

    assert sorted(modes(tmp_path)) == ["monitor.db", "monitor.lock"]


async def test_a_write_is_durable_when_it_returns(tmp_path: Path) -> None:
    """Copying the files while the store is open, as a snapshot of the disk would, keeps all that was committed."""
    copy = tmp_path / "copy"
    copy.mkdir()
    async with open_store(tmp_path / "data", clock=CLOCK) as store:
        await store.commit(went_down("shop", "a-1"))
        for name in ("monitor.db", "monitor.db-wal"):
            (copy / name).write_bytes((tmp_path / "data" / name).read_bytes())

    async with open_store(copy, clock=CLOCK) as store:
        assert (await store.records())["shop"] == went_down("shop", "a-1").record


HOLDER = """
import sys, trio
from pathlib import Path
from monitor.store.sqlite import open_store
from monitor.system import SystemClock

async def main():
    async with open_store(Path(sys.argv[1]), clock=SystemClock()):
        print("open", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def hold(data_dir: Path) -> subprocess.Popen[str]:
    """Another process that has the store open."""
    other = subprocess.Popen([sys.executable, "-c", HOLDER, data_dir], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "open\n"
    return other


async def test_a_second_daemon_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with hold(tmp_path) as other:
        assert await refusal(tmp_path) == f"data_dir {tmp_path} is in use by another daemon (pid {other.pid})"
        other.send_signal(signal.SIGKILL)
        other.wait()
    async with open_store(tmp_path, clock=CLOCK):  # the kernel has let go
        pass


async def test_the_same_process_is_refused_too_until_the_first_is_closed(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK):
        assert await refusal(tmp_path) == f"data_dir {tmp_path} is in use by another daemon (pid {os.getpid()})"
    async with open_store(tmp_path, clock=CLOCK):
        pass


async def test_a_refused_start_unlocks(tmp_path: Path) -> None:
    sql(tmp_path / "monitor.db", "CREATE TABLE monitor (id INTEGER)")
    await refusal(tmp_path)
    (tmp_path / "monitor.db").unlink()
    async with open_store(tmp_path, clock=CLOCK):
        pass


async def test_an_earlier_database_goes_on(tmp_path: Path) -> None:
    for number in range(3):
        async with open_store(tmp_path, clock=CLOCK) as store:
            assert len(await store.records()) == number
            await store.commit(looked_at(f"endpoint-{number}"))


async def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK):
        pass
    path = tmp_path / "monitor.db"
    sql(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()

    assert await refusal(tmp_path) == (
        f"{path} was written by a newer version of the monitor "
        f"(its schema is {len(MIGRATIONS) + 1}, this version knows {len(MIGRATIONS)})"
    )
    assert path.read_bytes() == before


async def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    sql(path, "CREATE TABLE monitor (id INTEGER)")
    before = path.read_bytes()

    assert await refusal(tmp_path) == f"{path} is a database of another program"
    assert path.read_bytes() == before


def a_file(tmp_path: Path) -> Path:
    (tmp_path / "data").write_text("")
    return tmp_path / "data"


def below_a_file(tmp_path: Path) -> Path:
    return a_file(tmp_path) / "below"


def with_a_directory_as_database(tmp_path: Path) -> Path:
    (tmp_path / "monitor.db").mkdir()
    return tmp_path


def with_a_directory_as_lock(tmp_path: Path) -> Path:
    (tmp_path / "monitor.lock").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (a_file, "data_dir {} is not a directory"),
        (below_a_file, "cannot use {}: Not a directory"),
        (with_a_directory_as_database, "cannot use {}/monitor.db: Is a directory"),
        (with_a_directory_as_lock, "cannot use {}/monitor.lock: Is a directory"),
    ],
)
async def test_a_directory_that_cannot_be_used(tmp_path: Path, made: Callable[[Path], Path], message: str) -> None:
    data_dir = made(tmp_path)
    assert await refusal(data_dir) == message.format(data_dir)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
async def test_a_directory_that_nobody_can_write() -> None:
    # Permissions do not bind root, who may run the tests; the kernel's own file system does.
    assert (await refusal(Path("/proc/monitor-data"))).startswith("cannot use /proc/monitor-data: ")


async def test_what_is_meant_for_the_user_passes_the_block_as_it_is(tmp_path: Path) -> None:
    async def block() -> None:
        async with open_store(tmp_path, clock=CLOCK) as store:
            store.append(looked_at("shop"))
            raise MonitorError("a port is in use")

    with pytest.raises(MonitorError, match="a port is in use"):
        await block()
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert list(await store.records()) == ["shop"]
