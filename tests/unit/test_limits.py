"""How many open files are enough."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from monitor.limits import too_few_descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def limit() -> Iterator[int]:
    """A soft limit of 2,000 open files."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    yield 2000
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_connections_that_are_held_need_files(limit: int) -> None:
    assert too_few_descriptors(held=700, probes=500) is None
    said = too_few_descriptors(held=1000, probes=500)
    assert said == (
        "for 1,000 connections that are held and 500 probes at once expected a limit of 2,200 open files at least, "
        "got 2,000"
    )


def test_who_holds_nothing_is_not_told(limit: int) -> None:
    assert too_few_descriptors(held=0, probes=100_000) is None
