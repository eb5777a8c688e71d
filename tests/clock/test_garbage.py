"""What the garbage collector is spared, and its rounds where there are very many results."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from monitor.daemon import tend_garbage
from monitor.limits import spare_first_results

if TYPE_CHECKING:
    from collections.abc import Iterator


class Circle:
    """Refers to itself, so that only the collector can take it away."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def _no_rounds_of_its_own() -> Iterator[None]:
    rounds = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what other tests have left is none of the results
    gc.disable()
    yield
    gc.unfreeze()
    gc.set_threshold(*rounds)
    gc.enable()


@pytest.mark.usefixtures("_no_rounds_of_its_own")
def test_what_stays_is_spared_and_what_was_dropped_just_before_is_not_kept() -> None:
    results = [Circle() for _ in range(100)]
    dropped = weakref.ref(Circle())
    before = gc.get_freeze_count()
    assert not spare_first_results()
    assert dropped() is None
    assert gc.get_freeze_count() >= before + len(results)


@pytest.mark.usefixtures("_no_rounds_of_its_own")
@pytest.mark.parametrize("results", [10, 400_000])
async def test_rounds_come_by_the_clock_where_there_are_many_results(
    autojump_clock: trio.testing.MockClock, results: int
) -> None:
    kept = [[each] for each in range(results)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tend_garbage, 60.0)
        await trio.sleep(60.5)
        dropped = weakref.ref(Circle())
        await trio.sleep(2)
        assert (dropped() is None) == (len(kept) > 1000)
        nursery.cancel_scope.cancel()
