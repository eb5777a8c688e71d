"""Misbehaving plugins, many at once: each is called what it is, is gone afterwards, and the healthy beside it go on.

How long that took, and how late the healthy were, is printed by `make torture`; nothing here depends on how fast the
machine is.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from torture.rack import Ordeal, Report, run
from torture.rows import ROWS, TIMEOUT, Row

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone

ISOLATED = [row for row in ROWS if row.isolated]
IN_OUR_OWN = [row for row in ROWS if not row.isolated]

HANGS_IN_IMPORT = [row for row in ISOLATED if row.name == "hangs in import"]
OVERRUN = [row for row in ISOLATED if row.expected == (TIMEOUT,)]
ANSWER = [row for row in ISOLATED if row not in OVERRUN + HANGS_IN_IMPORT]


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Those that answer or crash have all the time they need; those that do not have little."""
    report = Report()
    for rows, settings in (
        (ANSWER, {"timeout": 30.0, "at_once": 8}),
        (OVERRUN, {"timeout": 1.5}),
        (HANGS_IN_IMPORT, {"timeout": 1.5, "patience": 0.5}),
    ):
        place = tmp_path_factory.mktemp("isolated")
        report += trio.run(partial(run, rows, place, **settings))  # type: ignore[arg-type]  # keywords
    return report


def is_as_expected(ordeal: Ordeal) -> bool:
    """Is it called what it is? Or else was the machine too busy to tell, which the monitor says itself?"""
    reason = ordeal.observation.reason
    return (
        str(ordeal.observation.status),
        str(reason.code),
    ) in ordeal.row.expected or "the monitor was held up" in reason.message


@pytest.mark.parametrize("row", ISOLATED, ids=lambda row: row.name)
def test_an_isolated_plugin(isolated: Report, row: Row) -> None:
    (ordeal,) = [each for each in isolated.ordeals if each.row is row]
    assert is_as_expected(ordeal), ordeal.observation.reason
    assert ordeal.survivors == 0


def test_nothing_of_it_is_left(isolated: Report) -> None:
    assert isolated.left == 0


def test_the_healthy_do_not_notice(isolated: Report) -> None:
    assert isolated.healthy <= {"up", "unknown"}  # unknown: the machine was too busy to tell
    assert len(isolated.lags) >= 20


@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("row", IN_OUR_OWN, ids=lambda row: row.name)
async def test_a_plugin_among_the_others(tmp_path: Path, row: Row) -> None:
    report = await run([row], tmp_path, timeout=1.0)
    assert is_as_expected(report.ordeals[0]), report.ordeals[0].observation.reason
    assert report.healthy <= {"up", "unknown"}
