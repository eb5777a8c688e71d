"""Processes that are killed and disks that are full: what was committed is there, and nothing by halves."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.entries import NOW, StandingClock

from monitor.store.sqlite import open_store

if TYPE_CHECKING:
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
