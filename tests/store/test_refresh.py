"""The row of an endpoint that goes on as before is written now and then; the history at once; at the stop all is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio
from support.entries import looked_at
from support.ports import TrioClock

from monitor.store.refresh import PERIOD
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.store import Entry


def later(entry: Entry, duration: float, *, unknowns: int = 0) -> Entry:
    """The same endpoint, seen again."""
    assert entry.observation is not None
    observation = attrs.evolve(entry.observation, duration=duration)
    health = attrs.evolve(entry.record.health, unknowns=unknowns)
    return attrs.evolve(
        entry, record=attrs.evolve(entry.record, last=observation, health=health), observation=observation
    )


async def test_what_goes_on_as_before_is_written_now_and_then_and_at_the_stop(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    first = looked_at("shop")
    async with open_store(tmp_path, clock=TrioClock(), run_sync=run_here) as store:

        async def kept(entry: Entry) -> float:
            store.append(entry)
            await trio.sleep(1)
            record = (await store.records())["shop"]
            assert record.last is not None
            return record.last.duration

        assert await kept(later(first, 1.0)) == 1.0
        assert await kept(later(first, 2.0)) == 1.0
        await trio.sleep(PERIOD)
        assert await kept(later(first, 3.0)) == 3.0
        assert await kept(later(first, 4.0, unknowns=1)) == 4.0, "what is not as before is written at once"
        assert await kept(later(first, 5.0)) == 5.0, "and so is that it is over"
        assert await kept(later(first, 6.0)) == 5.0
    async with open_store(tmp_path, clock=TrioClock(), run_sync=run_here) as store:
        record = (await store.records())["shop"]
        assert record.last is not None
        assert record.last.duration == 6.0
