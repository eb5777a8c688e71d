"""One checker task per endpoint: started, stopped, replaced, woken; what each does is a loop on a fixed grid.

The supervisor knows when to probe and nothing of what comes of it: `probe` makes an observation, `record` takes it.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import trio

from monitor.core.schedule import first_probe, grid_for, next_probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from monitor.core.model import Endpoint, Observation

    Probing = Callable[[Endpoint], Awaitable[Observation]]
    Recording = Callable[[Endpoint, Observation], Awaitable[bool]]
    """Takes an observation; says whether a change is under way that wants the retry interval."""
    Quiet = Callable[[Endpoint], float | None]
    """Until when there is nothing to see of an endpoint, on the loop's clock; None: there is always something."""
    Beside = Callable[[Endpoint, Callable[[], None]], AbstractAsyncContextManager[None]]
    """Has something stay beside an endpoint whose check wants it, and wake it, for as long as the block runs."""


BREATH = 0.5  # seconds from a probe to one that is asked for: who asks again and again is no reason to hammer a target


class Checker:
    """The task of one endpoint."""

    # There may be a hundred thousand of them.
    __slots__ = (
        *("_asked", "_beside", "_due", "_ended", "_is_over", "_life", "_nap", "_probe", "_quiet", "_record", "_slots"),
        *("endpoint", "lag", "missed", "progress_at"),
    )

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        probe: Probing,
        record: Recording,
        slots: trio.CapacityLimiter,
        quiet: Quiet,
        beside: Beside,
    ) -> None:
        """Check *endpoint* once `run` runs, taking one of *slots* for each probe."""
        self.endpoint = endpoint
        self.progress_at = trio.current_time()
        self.missed = 0  # slots of the grid that passed unused
        self.lag = 0.0  # seconds the latest probe began after its slot
        self._probe = probe
        self._record = record
        self._slots = slots
        self._quiet = quiet
        self._beside = beside
        self._due = 0.0
        self._life = trio.CancelScope()
        self._nap = trio.CancelScope()
        self._asked = False
        self._is_over = False
        self._ended: trio.Event | None = None  # for whoever waits: nearly nobody ever does, and an event is large

    async def run(self, after: trio.Event | None, among: int) -> None:
        """Probe on the grid until stopped; begin when *after* is set, so that two never probe one endpoint.

        *among* is how many endpoints start together.
        """
        try:
            # Not in our own scope: who is stopped while it waits has not stopped before those ahead of it have.
            if after is not None:
                await after.wait()
            with self._life:
                if getattr(self.endpoint.check, "stays", False):
                    async with self._beside(self.endpoint, self.wake):
                        await self._loop(among)
                else:
                    await self._loop(among)
        finally:
            self._is_over = True
            if self._ended is not None:
                self._ended.set()

    async def _loop(self, among: int) -> None:
        endpoint, now = self.endpoint, trio.current_time()
        grid = grid_for(endpoint.name, endpoint.interval, now)
        due = first_probe(endpoint.name, endpoint.interval, now, among)
        unconfirmed = False
        while True:
            self._due = due
            asked = await self._sleep_until(due)
            if not (asked or unconfirmed) and (quiet := self._quiet(endpoint)) is not None:
                due = quiet
                continue
            await self._take_slot()
            try:
                started = self.progress_at = trio.current_time()
                self.lag = max(0.0, started - due)
                observation = await self._probe(endpoint)
            finally:
                self._slots.release()
            unconfirmed = await self._record(endpoint, observation)
            now = self.progress_at = trio.current_time()
            self.missed += grid.between(max(due, started), now)
            retry = endpoint.retry_interval if unconfirmed else None
            due = next_probe(grid, started=started, now=now, retry_interval=retry)

    async def _take_slot(self) -> None:
        try:
            self._slots.acquire_nowait()  # there is nearly always one; waiting in turn would cost a round of the loop
        except trio.WouldBlock:
            await self._slots.acquire()

    async def _sleep_until(self, due: float) -> bool:
        """Sleep; was a probe asked for before its time?"""
        with trio.CancelScope(deadline=due) as self._nap:
            if not self._asked:
                await _until_cancelled()
        await trio.lowlevel.checkpoint_if_cancelled()  # it may have been us, and not the nap
        if self._asked:
            await trio.sleep_until(min(due, self.progress_at + BREATH))
        asked, self._asked = self._asked, False
        return asked

    def wake(self) -> None:
        """Probe at once, BREATH after the last probe at the earliest; while one is under way, once more after it."""
        self._asked = True
        self._nap.cancel()

    def stop(self) -> None:
        """Stop soon; `ended` says when."""
        self._life.cancel()

    def ended(self) -> trio.Event:
        """Set once the task has ended."""
        if self._ended is None:
            self._ended = trio.Event()
            if self._is_over:
                self._ended.set()
        return self._ended

    def is_stalled(self, now: float) -> bool:
        """Has the task made no progress for 3 × (interval + timeout)?"""
        return now - max(self.progress_at, self._due) > 3 * (self.endpoint.interval + self.endpoint.timeout)


async def _until_cancelled() -> None:
    """Sleep until cancelled, and return: an exception that ends every sleep costs more than the sleep itself."""
    task = trio.lowlevel.current_task()

    def awake(_: object) -> trio.lowlevel.Abort:
        trio.lowlevel.reschedule(task)
        return trio.lowlevel.Abort.FAILED

    await trio.lowlevel.wait_task_rescheduled(awake)


class Supervisor:
    """Every checker, by the name of its endpoint."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        probe: Probing,
        record: Recording,
        slots: trio.CapacityLimiter,
        quiet: Quiet = lambda _: None,
        beside: Beside = lambda _, __: nullcontext(),
    ) -> None:
        """Run checkers in *nursery*."""
        self._quiet = quiet
        self._beside = beside
        self.checkers: dict[str, Checker] = {}
        self._nursery = nursery
        self._probe = probe
        self._record = record
        self._slots = slots

    def start(self, endpoint: Endpoint, *, after: trio.Event | None = None, among: int = 1) -> None:
        """Start to watch *endpoint*, once *after* is set; it is one of *among* that start together."""
        checker = Checker(
            endpoint,
            probe=self._probe,
            record=self._record,
            slots=self._slots,
            quiet=self._quiet,
            beside=self._beside,
        )
        self.checkers[endpoint.name] = checker
        self._nursery.start_soon(checker.run, after, among, name=f"check:{endpoint.name}")

    def stop(self, name: str) -> trio.Event:
        """Stop to watch the endpoint *name*; the event is set when its task has ended."""
        checker = self.checkers.pop(name)
        checker.stop()
        return checker.ended()

    def stop_all(self) -> None:
        """Stop to watch anything; the nursery's block ends when every task has.

        Each task ends by itself, in half the time that it takes a nursery to gather a cancellation from each.
        """
        for checker in self.checkers.values():
            checker.stop()

    def replace(self, endpoint: Endpoint, *, among: int = 1) -> None:
        """Watch *endpoint* in place of the one with its name, from when that one's task has ended."""
        self.start(endpoint, after=self.stop(endpoint.name), among=among)

    def probe_now(self, name: str) -> None:
        """Probe the endpoint *name* out of turn, if it is watched; it counts as an ordinary observation."""
        if name in self.checkers:
            self.checkers[name].wake()

    def stalled(self) -> Iterable[str]:
        """The names of endpoints whose task makes no progress."""
        now = trio.current_time()
        return [name for name, checker in self.checkers.items() if checker.is_stalled(now)]
