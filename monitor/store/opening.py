"""The way to a store that goes on when its database does not.

async with open_steady_store(data_dir, clock=clock) as store:
    ...
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import trio

from monitor.core.errors import MonitorError, UnavailableError
from monitor.store.fallback import MOST_SEEDED, SteadyStore
from monitor.store.files import DataFiles
from monitor.store.sqlite import SqliteStore, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.core.ports import Clock
    from monitor.store.sqlite import RunSync


@contextlib.asynccontextmanager
async def open_steady_store(
    data_dir: Path, *, clock: Clock, run_sync: RunSync = in_thread
) -> AsyncIterator[SteadyStore]:
    """Open the store in *data_dir*, as `open_store` does; where the disk is full, go on with what can be read."""
    one = trio.CapacityLimiter(1)
    glance = None
    try:
        files = await run_sync(partial(DataFiles.open, data_dir, now=clock.wall()), limiter=one)
    except UnavailableError as error:
        if not error.full:
            raise
        glance = await run_sync(partial(DataFiles.glance, data_dir, most=MOST_SEEDED), limiter=one)
        files = None
        trouble = error
    store = SteadyStore(SqliteStore(data_dir, files, clock, run_sync, one), clock)
    if glance is not None:
        store.begin_without(trouble, *glance)
    refused: MonitorError | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            try:
                yield store
            except MonitorError as error:  # what is meant for the user shall not need to be unwrapped
                refused = error
            finally:
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await store.close()
    if refused is not None:
        raise refused
