"""The real process, killed at each point where a kill could hurt; what counts is what the sinks were told in the end.

`make crash` does the same at random, many times.
"""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest
import trio
from support.crashing import POINTS
from support.daemon import PATIENCE, Daemon, daemon, until
from support.ledger import SINKS, Ledger, ledger

from monitor.store import schema


def at(point: str, nth: int, root: Path) -> dict[str, str]:
    """How to start a daemon that kills itself there."""
    return {"program": "support.crashing", "MONITOR_CRASHPOINT": f"{point}:{nth}", "PYTHONPATH": str(root / "tests")}


async def up(running: Daemon) -> None:
    async def is_up() -> bool:
        return await running.state("shop") == "up"

    await until(is_up, "the shop is up")


async def killed_itself(running: Daemon) -> None:
    with trio.fail_after(PATIENCE):
        await running.process.wait()
    assert running.process.returncode == -signal.SIGKILL, running.log


async def told(book: Ledger, *words: str) -> None:
    async def is_told() -> bool:
        return all(book.words(sink) == list(words) for sink in SINKS)

    await until(is_told, f"both are told {words}; they were told {[book.words(sink) for sink in SINKS]}")


async def to_the_end(book: Ledger, directory: Path) -> None:
    """A plain daemon takes over: the outage and its end are told, each once to each, or again with the same id."""
    book.open, book.status = True, 503
    async with daemon(directory) as last:
        await told(book, "firing")
        book.status = 200
        await told(book, "firing", "resolved")
        transitions = (await last.get("/api/v1/transitions"))["transitions"]
        assert await last.stop() == 0
    book.hold_against(transitions, directory / "data")


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize(
    "point", ["before-commit", "after-commit", "mid-request", "before-settle", "mid-settle", "after-settle"]
)
async def test_on_the_way_of_an_alert(point: str, nth: int, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    async with ledger() as book:
        book.configure(tmp_path)
        async with daemon(tmp_path, **at(point, nth, pytestconfig.rootpath)) as first:
            await up(first)
            book.status = 503
            if point.endswith("commit") and nth == 2:  # the second is the end of the outage
                await told(book, "firing")
                book.status = 200
            await killed_itself(first)
        if book.status == 200:
            async with daemon(tmp_path) as last:
                await told(book, "firing", "resolved")
                transitions = (await last.get("/api/v1/transitions"))["transitions"]
                assert await last.stop() == 0
            book.hold_against(transitions, tmp_path / "data")
        else:
            await to_the_end(book, tmp_path)


async def test_in_recovery(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    async with ledger() as book:
        book.configure(tmp_path)
        async with daemon(tmp_path) as first:
            await up(first)
            book.open, book.status = False, 503

            async def is_down() -> bool:
                return await first.state("shop") == "down"

            await until(is_down, "the shop is down")
            await first.crash()
        for _ in range(2):
            async with daemon(tmp_path, ready=False, **at("recovery", 1, pytestconfig.rootpath)) as second:
                await killed_itself(second)
        await to_the_end(book, tmp_path)


async def test_in_a_migration(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with sqlite3.connect(tmp_path / "data" / "monitor.db", isolation_level=None) as db:
        schema.migrate(db, 0, schema.MIGRATIONS[:1])
    db.close()
    async with ledger() as book:
        book.configure(tmp_path)
        for _ in range(2):
            async with daemon(tmp_path, ready=False, **at("migration", 1, pytestconfig.rootpath)) as first:
                await killed_itself(first)
        async with daemon(tmp_path) as second:
            await up(second)
        await to_the_end(book, tmp_path)


async def test_in_a_reload(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    async with ledger() as book:
        book.configure(tmp_path)
        async with daemon(tmp_path, **at("reload", 1, pytestconfig.rootpath)) as first:
            await up(first)
            book.status = 503
            await told(book, "firing")
            book.configure(tmp_path, more='description = "another"')
            first.process.send_signal(signal.SIGHUP)
            await killed_itself(first)
        await to_the_end(book, tmp_path)


async def test_in_retention(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    async with ledger() as book:
        book.configure(tmp_path)
        async with daemon(tmp_path, **at("retention", 3, pytestconfig.rootpath)) as first:
            await killed_itself(first)
        async with daemon(tmp_path) as second:
            await up(second)
        await to_the_end(book, tmp_path)


async def test_while_it_drains(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    async with ledger() as book:
        book.configure(tmp_path)
        async with daemon(tmp_path, **at("drain", 1, pytestconfig.rootpath)) as first:
            await up(first)
            book.open, book.status = False, 503

            async def is_down() -> bool:
                return await first.state("shop") == "down"

            await until(is_down, "the shop is down")
            first.process.send_signal(signal.SIGTERM)
            await killed_itself(first)
        await to_the_end(book, tmp_path)


async def test_a_plain_monitor_heeds_no_crash_point(tmp_path: Path) -> None:
    async with ledger() as book:
        book.configure(tmp_path)
        async with daemon(tmp_path, MONITOR_CRASHPOINT="after-commit:1") as first:
            await up(first)
            book.status = 503
            await told(book, "firing")
            assert await first.stop() == 0


def test_each_point_has_its_test() -> None:
    text = Path(__file__).read_text()
    assert [point for point in POINTS if f'"{point}"' not in text] == []
