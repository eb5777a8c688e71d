"""Reloading, whoever asks: one after another, shared by those who wait, all or nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from support.face import PlainFace, shop

from monitor.config.changes import Changes, Names
from monitor.core.errors import ConfigError, MonitorError
from monitor.reload import Reloader
from monitor.store.sqlite import run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from monitor.config import Config

Jump = trio.testing.MockClock


class Daemon:
    """What a reload needs of one: a file, a config in force, and ten seconds to take over another."""

    def __init__(self) -> None:
        self.config = PlainFace([shop("a"), shop("b")]).config
        self.file: Config | ConfigError = self.config
        self.reads = 0
        self.applied: list[Changes] = []
        self.hang_up, hangups = trio.open_memory_channel[int](10)

        @contextlib.contextmanager
        def listening() -> Iterator[AsyncIterator[int]]:
            yield hangups

        self.reloader = Reloader(
            self.read, hangups=listening, run_sync=run_here, current=lambda: self.config, apply=self.apply
        )

    def read(self) -> Config:
        self.reads += 1
        if isinstance(self.file, ConfigError):
            raise self.file
        return self.file

    async def apply(self, config: Config, changed: Changes) -> None:
        self.config = config
        self.applied.append(changed)
        await trio.sleep(10)


@pytest.fixture
async def daemon(nursery: trio.Nursery) -> AsyncIterator[Daemon]:
    made = Daemon()
    await nursery.start(made.reloader.run)
    yield made
    nursery.cancel_scope.cancel()


async def test_it_says_what_changed(daemon: Daemon, autojump_clock: Jump) -> None:
    daemon.file = attrs.evolve(
        daemon.config, endpoints=(shop("b", group="other"), shop("c")), external_url="https://status.example.org"
    )
    changed = await daemon.reloader.reload()
    assert changed == Changes(endpoints=Names(("c",), ("b",), ("a",)), settings=("external_url",))
    assert daemon.config is daemon.file
    assert await daemon.reloader.reload() == Changes()


async def test_who_asks_during_a_reload_shares_the_next_one(daemon: Daemon, autojump_clock: Jump) -> None:
    took: list[float] = []

    async def ask() -> None:
        await daemon.reloader.reload()
        took.append(trio.current_time())

    async with trio.open_nursery() as many:
        many.start_soon(ask)
        await trio.sleep(1)
        for _ in range(100):
            many.start_soon(ask)
            await daemon.hang_up.send(1)
    assert took == [10.0] + [20.0] * 100
    assert daemon.reads == 2, "one while the other was under way: the file may have changed since it was read"


async def test_who_goes_away_changes_nothing(daemon: Daemon, autojump_clock: Jump) -> None:
    with trio.move_on_after(1):
        await daemon.reloader.reload()
    await trio.sleep(20)
    assert daemon.applied == [Changes()]
    assert await daemon.reloader.reload() == Changes()


@pytest.mark.parametrize(
    ("break_it", "mistake"),
    [
        (lambda config: attrs.evolve(config, data_dir=Path("/elsewhere")), "a change of data_dir needs a restart"),
        (lambda config: attrs.evolve(config, plugins=(("a", "b"),)), "a change of plugins needs a restart"),
    ],
)
async def test_what_wants_a_restart_is_refused(
    daemon: Daemon, autojump_clock: Jump, break_it: Callable[[Config], Config], mistake: str
) -> None:
    before, daemon.file = daemon.config, break_it(daemon.config)
    with pytest.raises(ConfigError, match=mistake):
        await daemon.reloader.reload()
    assert (daemon.config, daemon.applied) == (before, [])
    assert [each.message for each in daemon.reloader.problems] == [mistake]
    assert daemon.reloader.problems[0].path in {"monitor.data_dir", "plugins"}
    daemon.file = before
    await daemon.reloader.reload()
    assert daemon.reloader.problems == ()


async def test_a_stop_is_told_to_who_waits(autojump_clock: Jump) -> None:
    daemon = Daemon()

    async def ask() -> None:
        with pytest.raises(MonitorError, match="stopping"):
            await daemon.reloader.reload()

    async with trio.open_nursery() as asking:
        async with trio.open_nursery() as life:
            await life.start(daemon.reloader.run)
            asking.start_soon(ask)
            await trio.sleep(1)
            asking.start_soon(ask)
            await trio.sleep(1)
            life.cancel_scope.cancel()
        asking.start_soon(ask)


async def test_without_a_file_there_is_nothing_to_read(autojump_clock: Jump) -> None:
    daemon = Daemon()
    reloader = Reloader(
        None, hangups=contextlib.nullcontext, run_sync=run_here, current=lambda: daemon.config, apply=daemon.apply
    )
    with pytest.raises(MonitorError, match="without a config"):
        await reloader.reload()
