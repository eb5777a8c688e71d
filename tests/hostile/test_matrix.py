"""Every hostile behaviour at once beside fifty healthy endpoints: each gets its verdict, the healthy notice nothing.

How late the healthy were and by how much deadlines were overrun is printed by `make hostile`; here nothing depends on
how fast the machine is: where it is too slow to tell, the monitor itself says so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from hostile.matrix import Look, Report, Servers, run
from hostile.memory import peak_growth
from hostile.table import ROWS
from monitor.core.model import Code

if TYPE_CHECKING:
    from hostile.rows import Row

pytestmark = pytest.mark.alone

MIB = 1024 * 1024
GREEDY = [row for row in ROWS if any(word in row.name for word in ("flood", "endless", "bomb", "giant", "GB", "JSON"))]


@pytest.fixture(scope="module")
def report(place: Servers) -> Report:
    return trio.run(partial(run, place, rounds=2, timeout=3.0, interval=4.0))


def could_tell(look: Look) -> bool:
    """Was the machine fast enough for a verdict?"""
    return "held up" not in look.observation.reason.message


def test_the_table_is_complete() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) >= 100


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_verdict(report: Report, row: Row) -> None:
    looks = [look for look in report.looks[row.name] if could_tell(look)]
    for look in looks:
        reason = look.observation.reason
        assert reason.code in row.codes, reason
        assert look.observation.status is Code(reason.code).status
        assert row.phase in (None, reason.phase), reason
        assert (reason.code == "ok") == (reason.message == "")


def test_the_healthy_are_never_down(report: Report) -> None:
    assert {look.observation.status for look in report.healthy if could_tell(look)} == {"up"}
    assert len(report.healthy) >= 100


def test_nothing_is_left_behind(report: Report) -> None:
    assert report.after == report.before


@pytest.mark.parametrize("row", GREEDY, ids=lambda row: row.name)
async def test_no_answer_takes_more_than_16_mib(place: Servers, row: Row) -> None:
    growth = await peak_growth(place, row, timeout=0.2)
    if growth is None:
        pytest.skip("this system does not tell the peak of a span of time")
    assert growth < 16 * MIB
