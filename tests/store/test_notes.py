"""What is kept of no endpoint, and the alerts that go with it: together or not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.entries import NOW, StandingClock

from monitor.core.errors import StoreError
from monitor.core.model import Alert
from monitor.store.sqlite import open_store

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = StandingClock()
LATER = NOW + timedelta(days=1)


def said(ident: str) -> Alert:
    return Alert(
        id=ident, type="alert.self", endpoint=None, created_at=NOW, body=b'{"type":"alert.self"}', sinks=("ops", "log")
    )


async def test_the_last_value_of_each_key_outlives_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.noted("a") is None
        await store.note("a", {"told": ["shop"]})
        await store.note("b", 7)
        await store.note("a", {"told": ["shop", "\ud800"]})
    async with open_store(tmp_path, clock=CLOCK) as store:
        assert await store.noted("a") == {"told": ["shop", "\ud800"]}
        assert await store.noted("b") == 7


async def test_its_alerts_are_deliveries_of_their_own_lane_in_order(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.note("a", 1, [said("first")])
        await store.note("a", 2, [said("second")])
        due = await store.due(LATER, room={"ops": 9, "log": 9})
        assert [(each.alert, each.sink, each.endpoint) for each in due] == [
            ("first", "ops", None),
            ("first", "log", None),
        ]
        assert await store.pending() == 4


async def test_what_cannot_be_written_is_not_noted_either(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=CLOCK) as store:
        await store.note("a", 1, [said("first")])
        with pytest.raises(StoreError):
            await store.note("a", 2, [said("second"), said("first")])
        assert await store.noted("a") == 1
        assert await store.pending() == 2
        with pytest.raises(TypeError):
            await store.note("a", object())
