"""When a change of a file is taken for one: it must stand still, and differ from what was read. The bell is a stub."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import trio

from monitor.config.sights import Sights
from monitor.store.sqlite import run_here
from monitor.watching import LOOK, SETTLE, Bell, FileWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from pathlib import Path

Jump = trio.testing.MockClock


class Reader:
    """Reads one file again when told that it changed; knows when that was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bells: list[Bell] = []
        self.watched: list[Collection[Path]] = []
        self.read: list[tuple[float, str]] = []
        path.write_text("first")
        self.sights: Sights | None = self.look()

    def look(self) -> Sights:
        sights = Sights()
        sights.look(self.path)
        return sights

    async def changed(self) -> None:
        self.sights = self.look()
        self.read.append((trio.current_time(), self.path.read_text()))

    @contextlib.asynccontextmanager
    async def listen(self, paths: Collection[Path]) -> AsyncIterator[Bell]:
        self.watched.append(paths)
        self.bells.append(Bell())
        yield self.bells[-1]

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.bells[-1].ring()


@pytest.fixture
async def reader(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Reader]:
    made = Reader(tmp_path / "config.toml")
    nursery.start_soon(FileWatch(run_sync=run_here, listen=made.listen), lambda: made.sights, made.changed)
    await trio.sleep(SETTLE + 1)  # by now it has looked twice
    yield made
    nursery.cancel_scope.cancel()


async def test_a_change_is_read_once_it_has_settled(reader: Reader, autojump_clock: Jump) -> None:
    began = trio.current_time()
    reader.write("second")
    await trio.sleep(100)
    assert reader.read == [(pytest.approx(began + SETTLE), "second")]


async def test_what_is_written_in_pieces_is_read_as_a_whole(reader: Reader, autojump_clock: Jump) -> None:
    for length in range(1, 9):
        reader.write("complete"[:length])
        await trio.sleep(SETTLE * 0.9)
    await trio.sleep(100)
    assert [text for _, text in reader.read] == ["complete"]


async def test_an_empty_file_is_not_read_until_there_is_something_in_it(reader: Reader, autojump_clock: Jump) -> None:
    reader.write("")
    await trio.sleep(60)
    assert reader.read == []
    reader.write("there")
    await trio.sleep(3 * SETTLE)
    assert [text for _, text in reader.read] == ["there"]


async def test_a_ring_for_something_else_is_nothing(reader: Reader, autojump_clock: Jump) -> None:
    for _ in range(100):
        reader.bells[-1].ring()
        await trio.sleep(0.01)
    assert (reader.read, len(reader.watched)) == ([], 1)


async def test_a_change_that_nobody_tells_of_is_seen_all_the_same(reader: Reader, autojump_clock: Jump) -> None:
    reader.path.write_text("silently")
    await trio.sleep(LOOK + 2 * SETTLE)
    assert [text for _, text in reader.read] == ["silently"]


async def test_somebody_else_may_read_it_first(reader: Reader, autojump_clock: Jump) -> None:
    reader.write("by hand")
    await reader.changed()  # SIGHUP
    await trio.sleep(100)
    assert len(reader.read) == 1


async def test_the_places_follow_what_was_read(reader: Reader, autojump_clock: Jump, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    reader.path = tmp_path / "elsewhere/config.toml"
    reader.path.write_text("there")
    await reader.changed()
    await trio.sleep(LOOK + SETTLE)
    assert tmp_path / "elsewhere" in reader.watched[-1]
    reader.write("again")
    await trio.sleep(3 * SETTLE)
    assert reader.read[-1][1] == "again"


async def test_it_can_be_switched_off_and_on(reader: Reader, autojump_clock: Jump) -> None:
    reader.sights = None
    await trio.sleep(LOOK)
    reader.write("unseen")
    await trio.sleep(100)
    assert reader.read == []
    reader.sights = reader.look()
    await trio.sleep(LOOK)
    reader.write("seen again")
    await trio.sleep(3 * SETTLE)
    assert [text for _, text in reader.read] == ["seen again"]


async def test_trouble_with_the_bell_is_told_once_and_changes_are_seen(
    reader: Reader, autojump_clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        reader.bells[-1].ring("no more watches")
        await trio.sleep(1)
        reader.path.write_text(reader.path.read_text() + "!")
        await trio.sleep(LOOK + 2 * SETTLE)
    assert [text for _, text in reader.read] == ["first!", "first!!", "first!!!"]
    assert [each.message for each in caplog.records] == [
        "changes of the config's files are noticed late, within 11 s: no more watches"
    ]
