"""Processes that somebody started, and whether they are gone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 20.0  # seconds; only what survives needs them


def alive(pid: int) -> bool:
    """Is there a process *pid*, if only as a zombie?"""
    return Path(f"/proc/{pid}").exists()


async def until_gone(pids: Iterable[int]) -> None:
    """Wait until none of *pids* is there any more."""
    left = set(pids)
    with trio.move_on_after(PATIENCE):
        while left := {pid for pid in left if alive(pid)}:
            await trio.sleep(0.01)
    assert not left
