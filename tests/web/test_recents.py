"""The latest results, read as somebody looks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import trio
from support.entries import NOW
from support.face import PlainFace, record, saw, shop
from support.memory_store import MemoryStore

from monitor.core.model import Status
from monitor.store import Entry
from monitor.web import recents
from monitor.web.recents import CELLS, FRESH, Recents

if TYPE_CHECKING:
    import pytest


def probed(face: PlainFace, name: str, *statuses: Status, duration: float = 0.25) -> None:
    for number, status in enumerate(statuses):
        seen = attrs.evolve(
            saw(name, status), started_at=NOW + timedelta(seconds=number), duration=duration if number else 0.125
        )
        face.store.append(Entry(record=record(name, last=seen), observation=seen))


async def test_only_what_is_new_is_read(autojump_clock: trio.testing.MockClock) -> None:
    face = PlainFace([shop("a"), shop("b")])
    latest = Recents(face)
    probed(face, "a", Status.UP, Status.DOWN)
    await latest.refresh()
    assert latest.of("a").letters == "ud"
    assert latest.of("a").levels[0] == 1250
    assert latest.of("a").at == NOW + timedelta(seconds=1)
    assert latest.of("b").letters == ""

    probed(face, "b", Status.UP)
    await latest.refresh()
    assert latest.of("b").letters == "", "one look a second is enough"
    await trio.sleep(FRESH)
    await latest.refresh()
    assert latest.of("b").letters == "u"
    assert latest.of("a").letters == "ud"


async def test_no_more_is_kept_than_is_shown(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recents, "_PIECE", 7)
    face = PlainFace([shop("a")])
    latest = Recents(face)
    probed(face, "a", *[Status.DOWN] * 10, *[Status.UP] * CELLS)
    await latest.refresh()
    assert latest.of("a").letters == "u" * CELLS
    assert len(latest.of("a").levels) == CELLS


async def test_who_left_is_forgotten_and_a_new_database_is_begun_anew(autojump_clock: trio.testing.MockClock) -> None:
    face = PlainFace([shop("a"), shop("b")])
    latest = Recents(face)
    probed(face, "a", Status.UP, Status.UP, Status.UP)
    await latest.refresh()
    face.config = attrs.evolve(face.config, endpoints=(shop("b"),))
    face.store = MemoryStore()
    probed(face, "b", Status.UP)
    for _ in range(3):
        await trio.sleep(FRESH)
        await latest.refresh()
    assert latest.of("a").letters == ""
    assert latest.of("b").letters == "u"


async def test_who_left_and_came_back_has_all_its_results(autojump_clock: trio.testing.MockClock) -> None:
    face = PlainFace([shop("a"), shop("b")])
    latest = Recents(face)
    probed(face, "a", Status.UP, Status.DOWN)
    probed(face, "b", Status.UP)
    both, only = face.config.endpoints, (shop("b"),)
    for endpoints, of_a in ((both, "ud"), (only, ""), (both, "ud"), (both, "ud")):
        face.config = attrs.evolve(face.config, endpoints=endpoints)
        face.store.broken = True
        await trio.sleep(FRESH)
        await latest.refresh()
        face.store.broken = False
        await trio.sleep(FRESH)
        await latest.refresh()
        assert (latest.of("a").letters, latest.of("b").letters) == (of_a, "u")


async def test_while_the_database_is_away_what_was_known_stays(autojump_clock: trio.testing.MockClock) -> None:
    face = PlainFace([shop("a")])
    latest = Recents(face)
    probed(face, "a", Status.UP)
    await latest.refresh()
    face.store.broken = True
    await trio.sleep(FRESH)
    await latest.refresh()
    assert latest.of("a").letters == "u"
