"""What holds for all tests. Each may import `support`: pytest puts the directory of this file on the path.

`make test` runs them side by side: a file stays in one process, so that what its fixtures make is made once. What needs
the machine for itself has the marker `alone`: then the other processes wait.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

HERE = Path(__file__)
INSIDE = pytest.StashKey["Inside"]()


class Inside:
    """The room that tests are in, among the processes of one run: many of them, or a single one that is alone."""

    def __init__(self) -> None:
        self.is_alone = False
        self._locks = ExitStack()

    def enter(self, *, alone: bool) -> None:
        # Who wants to be alone keeps the door while those inside leave; otherwise they could come and go for ever.
        door = self._lock(HERE.parent, fcntl.LOCK_EX)
        self._lock(HERE, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        self.is_alone = alone

    def leave(self) -> None:
        self._locks.close()
        self.is_alone = False

    def _lock(self, path: Path, how: int) -> int:
        opened = os.open(path, os.O_RDONLY)
        self._locks.callback(os.close, opened)
        fcntl.flock(opened, how)
        return opened


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # else there is one process, which is alone anyway
        config.stash[INSIDE] = Inside()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Around a test and what its fixtures do; tests that follow each other and want to be alone stay inside."""
    inside = item.config.stash.get(INSIDE, None)
    if inside is None:
        return (yield)
    alone = _wants_to_be_alone(item)
    if not (alone and inside.is_alone):
        inside.enter(alone=alone)
    try:
        return (yield)
    finally:
        if not (alone and nextitem is not None and _wants_to_be_alone(nextitem)):
            inside.leave()


def _wants_to_be_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Escape lone surrogates, which some tests log on purpose: a report with one would end the process it is from."""
    return _sendable((yield))


def _sendable(part: Any) -> Any:
    match part:
        case str():
            return part.encode("utf-8", "backslashreplace").decode("utf-8")
        case dict():
            return {name: _sendable(value) for name, value in part.items()}
        case list() | tuple():
            return type(part)(map(_sendable, part))
        case _:
            return part
