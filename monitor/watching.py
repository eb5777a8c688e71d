"""Watching the files of the config, so that it is read again when one of them changes.

What the kernel tells is only a doorbell: it says too much (every file of a directory), and sometimes nothing (network
file systems, no more watches left). Whether something changed is seen by looking, which is done every ten seconds all
the same. Half a file is not read: all of them must have stood still for a second, and the main one must not be empty.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio

from monitor.core.errors import describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from monitor.config.sights import Sights
    from monitor.store.sqlite import RunSync

T = TypeVar("T")

log = logging.getLogger("monitor.daemon")

LOOK = 10.0  # seconds between two looks when the bell is silent
SETTLE = 1.0  # seconds for which everything must have stood still
_STEP = 200  # milliseconds between two looks of the listening thread whether it shall end


class Watch(Protocol):
    """Something that notices changes of files."""

    async def __call__(self, sights: Callable[[], Sights | None], changed: Callable[[], Awaitable[object]]) -> None:
        """Await *changed* each time the files of *sights*, which it then has made anew, are no longer as that says.

        Until cancelled; None is nothing to watch for now.
        """


class Bell:
    """Rings when something happened that is worth a look; *trouble* is why it cannot."""

    def __init__(self) -> None:
        """Be silent."""
        self.trouble = ""
        self._rung = trio.Event()

    def ring(self, trouble: str = "") -> None:
        """Wake who waits."""
        self.trouble = trouble
        self._rung.set()

    async def wait(self, patience: float) -> bool:
        """Wait for a ring, *patience* seconds at most; say whether there was one."""
        with trio.move_on_after(patience):
            await self._rung.wait()
        rung, self._rung = self._rung.is_set(), trio.Event()
        return rung


async def _abandoned(work: Callable[[], T], /, *, limiter: trio.CapacityLimiter) -> T:
    """Call *work*, which only looks, in a thread: a disk that hangs holds up no stop."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)


@contextlib.asynccontextmanager
async def kernel(paths: Collection[Path]) -> AsyncIterator[Bell]:
    """Ring for whatever the kernel tells of the files and directories *paths*, not of what is deeper."""
    bell, ended, token = Bell(), threading.Event(), trio.lowlevel.current_trio_token()

    def ring(trouble: str = "") -> None:
        with contextlib.suppress(trio.RunFinishedError):  # abandoned, and everything is over
            token.run_sync_soon(bell.ring, trouble)

    def listen() -> None:
        import watchfiles  # noqa: PLC0415 - only for the daemon

        try:
            for _ in watchfiles.watch(
                *paths, watch_filter=None, step=_STEP, recursive=False, raise_interrupt=False, stop_event=ended
            ):
                ring()
        except (OSError, RuntimeError) as exc:  # what its Rust half cannot name is a RuntimeError
            ring(describe(exc))

    async with trio.open_nursery() as beside:
        # A thread of its own: nobody else waits for one because of it.
        beside.start_soon(partial(_abandoned, listen, limiter=trio.CapacityLimiter(1)))
        try:
            yield bell
        finally:
            ended.set()
            beside.cancel_scope.cancel()


class FileWatch:
    """A `Watch` that looks at the files whenever a bell rings, or has been silent for long."""

    def __init__(
        self,
        *,
        run_sync: RunSync = _abandoned,
        listen: Callable[[Collection[Path]], AbstractAsyncContextManager[Bell]] = kernel,
    ) -> None:
        """Look through *run_sync*, when the bell says so that *listen* gives for files and directories."""
        self._run_sync = run_sync
        self._listen = listen
        self._one = trio.CapacityLimiter(1)
        self._trouble = ""  # what was last told

    async def __call__(self, sights: Callable[[], Sights | None], changed: Callable[[], Awaitable[object]]) -> None:
        """See `Watch`."""
        while True:
            seen = sights()
            if seen is None:
                await trio.sleep(LOOK)
                continue
            async with self._listen(await self._places(seen)) as bell:
                patience = SETTLE  # what changed before there was a bell is seen soon
                while sights() is seen:
                    if await self._settled(seen) and sights() is seen:
                        await changed()
                    if sights() is seen:
                        await bell.wait(patience)
                    self._tell(bell.trouble)
                    patience = LOOK

    async def _settled(self, seen: Sights) -> bool:
        """Are the files others than *seen*? Then wait until they stand still."""
        before = await self._look(seen)
        while before != seen:
            await trio.sleep(SETTLE)
            now = await self._look(seen)
            if now == before and not now.half_written:
                return True
            before = now
        return False

    async def _look(self, seen: Sights) -> Sights:
        return await self._run_sync(seen.again, limiter=self._one)

    async def _places(self, seen: Sights) -> Collection[Path]:
        try:
            return await self._run_sync(seen.places, limiter=self._one)
        except OSError as exc:
            self._tell(describe(exc))
            return ()

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("changes of the config's files are noticed late, within %.0f s: %s", LOOK + SETTLE, trouble)
        self._trouble = trouble or self._trouble
