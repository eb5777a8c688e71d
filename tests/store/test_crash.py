"""Processes that are killed and disks that are full: what was committed is there, and nothing by halves."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
from support.entries import NOW, StandingClock, went_down

from monitor.store.opening import open_steady_store
from monitor.store.sqlite import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROLOGUE = """
import itertools, json, resource, sys
from pathlib import Path
import trio
from support.entries import StandingClock, came_back, looked_at, went_down
from monitor.core.errors import StoreError
from monitor.store.sqlite import open_store

data_dir = Path(sys.argv[1])
SINKS = ("ops", "log")
"""

# Four writers at once, so that there are groups; each says what it has committed.
KILLED = """
async def write(store, lane):
    for number in itertools.count():
        name = f"{lane}-{number}"
        store.append(looked_at(f"{lane}-appended"))
        await store.commit(went_down(name, name, sinks=SINKS))
        print(name, flush=True)

async def main():
    async with open_store(data_dir, clock=StandingClock()) as store, trio.open_nursery() as nursery:
        for lane in range(4):
            nursery.start_soon(write, store, lane)

trio.run(main)
"""

# The log may not grow any more, then it may again.
FULL = """
async def main():
    told, lost = [], []
    async with open_store(data_dir, clock=StandingClock()) as store:
        await store.commit(went_down("before", "before", sinks=SINKS))
        told.append("before")
        limit = (data_dir / "monitor.db-wal").stat().st_size + 50_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for number in range(200):
            name = f"during-{number}"
            store.append(looked_at("appended", sequence=number))
            try:
                await store.commit(went_down(name, name, sinks=SINKS))
                told.append(name)
            except StoreError as error:
                lost.append(str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.commit(went_down("after", "after", sinks=SINKS))
        told.append("after")
        print(json.dumps({"told": told, "lost": lost, "dropped": store.dropped}))

trio.run(main)
"""


def child(script: str, data_dir: Path, support: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.append({str(support)!r})\n{PROLOGUE}{script}", data_dir],
        stdout=subprocess.PIPE,
        text=True,
    )


async def whole_outages(data_dir: Path) -> set[str]:
    """The endpoints that are down, each with everything that belongs to it."""
    async with open_store(data_dir, clock=StandingClock()) as store:
        records = await store.records()
        down = {name for name, record in records.items() if record.incident is not None}
        moved = [each.endpoint for each in await store.transitions(limit=100_000)]
        owed = await store.due(NOW, room={"ops": 100_000, "log": 100_000})
        assert sorted(moved) == sorted(down)
        for sink in ("ops", "log"):
            assert {each.endpoint for each in owed if each.sink == sink} == down
        assert all(each.body == f'{{"id":"{each.endpoint}"}}'.encode() for each in owed)
        assert await store.pending() == 2 * len(down)
        return down


@pytest.mark.parametrize("after", [1, 30, 300])
async def test_a_killed_process_has_kept_its_word(tmp_path: Path, pytestconfig: pytest.Config, after: int) -> None:
    with child(KILLED, tmp_path, pytestconfig.rootpath / "tests") as writer:
        told = [writer.stdout.readline().strip() for _ in range(after)]
        writer.kill()
        told += [line.strip() for line in writer.stdout if line.endswith("\n")]

    assert len(told) >= after
    assert set(told) <= await whole_outages(tmp_path)


async def test_a_full_disk_costs_nothing_that_was_told(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with child(FULL, tmp_path, pytestconfig.rootpath / "tests") as writer:
        output, _ = writer.communicate(timeout=60)
    assert writer.returncode == 0
    report = json.loads(output)

    assert report["lost"]
    assert set(report["lost"]) == {f"cannot use the database {tmp_path}/monitor.db: the disk failed"}
    assert report["dropped"] == 0
    assert await whole_outages(tmp_path) == set(report["told"])
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert (await store.records())["appended"].sequence == 199  # waited, and came with a later commit


# A disk that is full from the start, or becomes so, under the store that goes on without it.
STEADY = """
from support.entries import NOW
from datetime import timedelta
from monitor.store.opening import open_steady_store

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def deliver(store):
    sent = []
    while due := await store.due(NOW + timedelta(days=1), room={"ops": 1000, "log": 1000}):
        for each in due:
            sent.append([each.sink, each.alert])
            await store.settle(each.id, attempts=1, at=NOW)
    return sent

async def main():
    wait = sys.argv[2] == "wait"
    limit(0)
    async with open_steady_store(data_dir, clock=StandingClock()) as store:
        known = sorted(await store.records())
        await store.commit(went_down("during", "during", sinks=SINKS))
        sent = await deliver(store)
        print(json.dumps({"known": known, "sent": sent, "away": store.trouble is not None}), flush=True)
        if wait:
            await trio.sleep_forever()
        limit(resource.RLIM_INFINITY)
        while store.trouble:
            await trio.sleep(0.1)

trio.run(main)
"""


async def before(data_dir: Path) -> None:
    async with open_store(data_dir, clock=StandingClock()) as store:
        await store.commit(went_down("before", "before", sinks=("ops", "log")))


def told(data_dir: Path, pytestconfig: pytest.Config, how: str) -> tuple[dict[str, object], subprocess.Popen[str]]:
    with_support = pytestconfig.rootpath / "tests"
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.append({str(with_support)!r})\n{PROLOGUE}{STEADY}",
            data_dir,
            how,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = other.stdout.readline()
    assert line, other.stderr.read()
    return json.loads(line), other


BOTH = [[sink, alert] for sink in ("ops", "log") for alert in ("before", "during")]


async def test_a_start_on_a_full_disk_goes_on_from_what_is_there(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    await before(tmp_path)
    report, other = told(tmp_path, pytestconfig, "heal")
    with other:
        assert other.wait(timeout=30) == 0
    assert report == {"known": ["before"], "sent": BOTH, "away": True}
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert set(await store.records()) == {"before", "during"}
        assert await store.pending() == 0
        assert len(await store.transitions()) == 2


async def test_a_first_start_on_a_full_disk(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    report, other = told(tmp_path / "new", pytestconfig, "heal")
    with other:
        assert other.wait(timeout=30) == 0
    assert report == {"known": [], "sent": [["ops", "during"], ["log", "during"]], "away": True}
    assert await whole_records(tmp_path / "new") == {"during"}


async def test_killed_while_the_disk_is_full_the_database_is_as_it_was(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """What happened since then is seen again, and told again: it was never written."""
    await before(tmp_path)
    report, other = told(tmp_path, pytestconfig, "wait")
    with other:
        other.kill()
    assert report["sent"] == BOTH
    async with open_store(tmp_path, clock=StandingClock()) as store:
        assert set(await store.records()) == {"before"}
        assert await store.pending() == 2


async def whole_records(data_dir: Path) -> set[str]:
    async with open_store(data_dir, clock=StandingClock()) as store:
        return set(await store.records())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", where], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield where
    subprocess.run(["umount", where], check=True)


async def test_a_disk_that_really_is_full(small_disk: Path) -> None:
    """From the beginning, and again when it has been up for a while."""
    fill = small_disk / "fill"
    with contextlib.suppress(OSError), fill.open("wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    with trio.fail_after(30):
        async with open_steady_store(small_disk / "data", clock=StandingClock()) as store:
            assert store.trouble
            await store.commit(went_down("one", "one"))
            (one,) = await store.due(NOW, room={"ops": 10})
            await store.settle(one.id, attempts=1, at=NOW)

            fill.unlink()
            while store.trouble:
                await trio.sleep(0.1)
            number = 0
            while not store.trouble:
                number += 1
                await store.commit(went_down(f"two-{number}", f"two-{number}"))
            assert number > 5
            await store.commit(went_down("three", "three"))
            assert (await store.pending()) == number + 1
            (small_disk / "data" / "monitor.lock").stat()  # still there
            sent = 0
            while due := await store.due(NOW, room={"ops": 100}):
                for each in due:
                    await store.settle(each.id, attempts=1, at=NOW)
                    sent += 1
            assert sent == number + 1
            await trio.run_process(["mount", "-o", "remount,size=16m", small_disk])
            while store.trouble:
                await trio.sleep(0.1)
            assert await store.pending() == 0
            assert len(await store.transitions(limit=1000)) == number + 2
