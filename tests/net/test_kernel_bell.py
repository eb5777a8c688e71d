"""The bell of the real kernel: it rings for files and directories, and says when it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from monitor.watching import kernel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 30.0  # seconds; only what hangs needs them


def in_place(directory: Path) -> None:
    with (directory / "file").open("a") as file:
        file.write("x")


def replaced(directory: Path) -> None:
    (directory / "new").write_text("x")
    (directory / "new").replace(directory / "file")


def link_moved(directory: Path) -> None:
    (directory / "tmp").symlink_to("file")
    (directory / "tmp").replace(directory / "link")


@pytest.mark.parametrize(
    ("watched", "change"),
    [
        (("file",), in_place),
        ((".",), in_place),
        ((".", "file"), replaced),
        ((".",), link_moved),
    ],
)
async def test_it_rings(tmp_path: Path, watched: tuple[str, ...], change: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("")
    async with kernel([tmp_path / each for each in watched]) as bell:
        with trio.fail_after(PATIENCE):
            while not await bell.wait(1):  # it may have begun to listen only after the change
                change(tmp_path)
        assert bell.trouble == ""


async def test_it_says_when_it_cannot(tmp_path: Path) -> None:
    async with kernel([tmp_path / "missing"]) as bell:
        assert await bell.wait(PATIENCE)
        assert bell.trouble
