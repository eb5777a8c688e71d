"""Reading the config again while everything runs: all of it is taken over, or nothing.

One task does it, whoever asks: SIGHUP, `POST /-/reload`, or a file that changed. Those who ask while a reload is under
way share the next one, which reads the file after they asked; a client that goes away in the middle changes nothing.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

import trio

from monitor.config.changes import changes
from monitor.core.errors import ConfigError, MonitorError, Problem
from monitor.core.text import counted
from monitor.web.access import bind_problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager

    from monitor.config import Config
    from monitor.config.changes import Changes
    from monitor.config.sights import Sights
    from monitor.store.sqlite import RunSync
    from monitor.watching import Watch

    Read = Callable[[], Config]
    """Reads the config again, as it was read at the start; raises ConfigError. Called where it may block."""
    Hangups = Callable[[], AbstractContextManager[AsyncIterator[int]]]
    """Gives something for each time that the config shall be read again."""

log = logging.getLogger("monitor.daemon")


class _Round:
    """One reload, and all who wait for it."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.outcome: Changes | ConfigError | None = None


class Reloader:
    """Reloads when asked to."""

    def __init__(
        self,
        read: Read | None,
        *,
        hangups: Hangups,
        watch: Watch | None = None,
        run_sync: RunSync,
        current: Callable[[], Config],
        apply: Callable[[Config, Changes], Awaitable[None]],
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Compare what *read* gives with the *current* config, and *apply* it; None: there is nothing to read.

        Also when *watch* sees that a file of the config changed. Each time is *around* entered for as long as it takes.
        """
        self.problems: Sequence[Problem] = ()
        """What was wrong with the config when it was last read again; empty: it was taken over."""
        self._read = read
        self._hangups = hangups
        self._watch = watch
        self._sights: Sights | None = None  # of the latest reading, also of one that was refused
        self._run_sync = run_sync
        self._reading = trio.CapacityLimiter(1)
        self._current = current
        self._apply = apply
        self._around = around
        self._asked = trio.Event()
        self._next = _Round()
        self._stopped = False

    async def reload(self) -> Changes:
        """Have the config read and taken over; say what changed.

        Raises ConfigError for one that cannot be taken over, MonitorError when nothing is read at all.
        """
        if self._read is None:
            raise MonitorError("this monitor was started without a config that could be read again")
        if self._stopped:
            raise MonitorError("the monitor is stopping")
        match await self._next_round():
            case None:
                raise MonitorError("the monitor is stopping")
            case ConfigError() as refused:
                raise refused
            case changed:
                return changed

    async def _next_round(self) -> Changes | ConfigError | None:
        waited_for = self._next
        self._asked.set()
        await waited_for.over.wait()
        return waited_for.outcome

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Reload on a hang-up, on a change of a file and when asked, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._listen)
                if self._watch is not None and self._read is not None:
                    self._sights = self._current().sights
                    nursery.start_soon(self._watch, self._files, self._next_round)
                task_status.started()
                while True:
                    await self._asked.wait()
                    self._asked, this, self._next = trio.Event(), self._next, _Round()
                    try:
                        with self._around():
                            this.outcome = await self._once()
                    finally:
                        this.over.set()
        finally:
            self._stopped = True
            self._next.over.set()

    async def _listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self._hangups() as hangups:
            task_status.started()
            async for _ in hangups:
                self._asked.set()

    def _files(self) -> Sights | None:
        return self._sights if self._current().watch else None

    async def _once(self) -> Changes | ConfigError | None:
        if self._read is None:
            return None
        try:
            config = await self._run_sync(self._read, limiter=self._reading)
            self._sights = config.sights
            changed = changes(self._current(), config)
            if problem := bind_problem(config.listen, config.access):
                raise ConfigError([Problem(str(config.path), None, "monitor.access", problem)])
        except ConfigError as exc:
            self._sights = exc.sights or self._sights
            log.error("reload refused, everything stays as it was: %s", counted(len(exc.problems), "mistake"))  # noqa: TRY400
            for mistake in exc.problems:
                log.error("%s", mistake)  # noqa: TRY400 - a line each says it all
            self.problems = exc.problems
            return exc
        await self._apply(config, changed)
        self.problems = ()
        names = changed.endpoints
        log.info("reloaded: %d new, %d changed, %d gone", len(names.added), len(names.changed), len(names.removed))
        return changed
