"""Group commit: many writes, one transaction, one fsync.

Theory of operation. Every write stands in one queue, in the order in which it was asked for, and whoever holds
the turn writes all that stands there in one transaction. Who asks while the disk is busy waits until it is free
again, and then all are woken together: for most their write is done, and the first of the others takes the turn. So
a thousand endpoints that go down together cost a few transactions, not a thousand. A write that nobody waits for
(*laid down*) goes with the next that somebody does wait for, or with a flush soon after.

When a transaction fails, those who wait are told and their writes are taken out of the queue: nothing of them
was written, nothing will be. What was laid down stays for the next try, in its place, up to a bound.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
import trio

from monitor.core.errors import StoreError
from monitor.store.database import transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.store.upkeep import Upkeep

WINDOW = 0.1  # seconds that a laid-down write waits for company
GROUP = 256  # writes that are company enough
BACKLOG = 10_000  # writes laid down that may stand in the queue while the database cannot be written
PAUSE = 1.0  # seconds before a failed flush is tried again
CALM = 300.0  # seconds without a flush after which upkeep is done all the same: that the monitor runs is kept

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
Run = Callable[[Work[T]], Awaitable[T]]

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class _Write(Generic[T]):
    work: Work[T]
    awaited: bool
    done: bool = False
    result: T | None = None
    error: StoreError | None = None

    def settle(self, outcome: T | StoreError) -> None:
        self.done = True
        if isinstance(outcome, StoreError):
            self.error = outcome
        else:
            self.result = outcome


class GroupWriter:
    """The queue of writes, and the turns at writing it."""

    def __init__(self, run: Run[Any], upkeep: Upkeep) -> None:
        """Write through *run*, which calls a function with the connection where it may block; *upkeep* in passing."""
        self.dropped = 0
        self.closed = False
        self._run = run
        self._upkeep = upkeep
        self._queue: list[_Write[Any]] = []
        self._writing = False  # somebody holds the turn
        self._waiting = trio.lowlevel.ParkingLot()  # those who came meanwhile
        self._laid_down = trio.Event()  # there is something to flush
        self._crowded = trio.Event()  # … and no reason to wait for more
        self.failed = trio.Event()  # what was laid down could not be written, because of …
        self.failure: StoreError | None = None
        self._failing = False

    async def write(self, work: Work[T]) -> T:
        """Do *work* in a transaction, after all that was asked for before; durable when this returns.

        StoreError: it was not done. Once called it runs to its end, also when the caller is cancelled: whoever
        must not write while stopping looks before he calls.
        """
        if self.closed:
            raise StoreError("the database is closed")
        write = _Write(work, awaited=True)
        self._queue.append(write)
        with trio.CancelScope(shield=True):
            while not write.done:
                if self._writing:
                    await self._waiting.park()
                else:
                    await self._write_queue()
        if write.error is not None:
            raise write.error
        return write.result  # type: ignore[return-value]  # without an error there is one, None where T allows

    async def idle(self) -> None:
        """Wait until nobody waits for a write."""
        while self._writing or any(write.awaited for write in self._queue):
            await self._waiting.park()

    def lay_down(self, work: Work[object]) -> None:
        """Have *work* done soon. Without a place in the queue it is dropped and counted."""
        if self.closed or len(self._queue) >= BACKLOG:
            self._drop(1)
            return
        self._queue.append(_Write(work, awaited=False))
        self._laid_down.set()
        if len(self._queue) >= GROUP:
            self._crowded.set()

    async def flush_for_ever(self) -> None:
        """Write what is laid down, `WINDOW` after the first or as soon as it is a `GROUP`; upkeep where nothing is."""
        while True:
            with trio.move_on_after(CALM):
                await self._laid_down.wait()
                with trio.move_on_after(WINDOW):
                    await self._crowded.wait()
            self._laid_down, self._crowded = trio.Event(), trio.Event()
            await self._flush()
            if self._failing:
                await trio.sleep(PAUSE)
                self._laid_down.set()

    async def close(self) -> None:
        """Take nothing more, and try once to write what is left."""
        self.closed = True
        await self._flush(self._upkeep.last_work())
        self._drop(len(self._queue))
        self._queue.clear()

    async def _flush(self, *extra: Work[None]) -> None:
        """Write all that stands in the queue, and do a little upkeep."""
        upkeep = self._upkeep.work()
        with trio.CancelScope(shield=True):
            while self._writing:
                await self._waiting.park()
            await self._write_queue(upkeep, *extra)

    async def _write_queue(self, *extra: Work[object]) -> None:
        """Take the turn, which is free, and write the queue as it stands."""
        self._writing = True
        try:
            await self._write_batch(*extra)
        finally:
            self._writing = False
            # All at once: one after the other would cost each a turn of the loop, which under load is long.
            self._waiting.unpark_all()

    async def _write_batch(self, *extra: Work[object]) -> None:
        """Write the queue as it stands. A StoreError goes to the writes it concerns."""
        batch = tuple(self._queue)
        works = [write.work for write in batch]
        try:
            outcomes = await self._run(lambda db: _together(db, [*works, *extra]))
        except StoreError as error:
            outcomes = [error] * len(batch)
            kept = [write for write in batch if not write.awaited]
            if kept:
                self._tell_failure(error)
        else:
            self._tell_success()
            # What was laid down and contradicts the database will do so at every try.
            refused = [o for w, o in zip(batch, outcomes, strict=False) if _is_refused(w, o)]
            self._drop(len(refused), *refused[:1])
            kept = []
        # Only the holder of the turn removes; what came meanwhile stands behind the batch.
        self._queue[: len(batch)] = kept
        for write, outcome in zip(batch, outcomes, strict=False):  # the outcome of *extra* is nobody's
            write.settle(outcome)

    def _tell_failure(self, error: StoreError) -> None:
        if not self._failing:
            log.error("results wait in memory until they can be written: %s", error)
        self._failing = True
        self.failure = error
        self.failed.set()

    def _tell_success(self) -> None:
        if self._failing:
            log.info("the database can be written again")
            self.failure, self.failed = None, trio.Event()
        self._failing = False

    def _drop(self, count: int, why: object = "the database could not be written for too long") -> None:
        if count:
            if not self.dropped:
                log.error("results are lost (the first of them now; they are counted): %s", why)
            self.dropped += count


def _is_refused(write: _Write[Any], outcome: object) -> bool:
    return not write.awaited and isinstance(outcome, StoreError)


def _together(db: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[Any]:
    """Do *works* in one transaction, and return what each returned.

    Where one of them contradicts what the database holds, each is done by itself: the others shall not suffer
    for it. A StoreError takes the place of its result.
    """
    try:
        with transaction(db):
            return [work(db) for work in works]
    except sqlite3.IntegrityError:
        return [_alone(db, work) for work in works]


def _alone(db: sqlite3.Connection, work: Work[Any]) -> Any:
    try:
        with transaction(db):
            return work(db)
    except sqlite3.IntegrityError as error:
        return StoreError(f"the database holds something that contradicts it: {error}")
