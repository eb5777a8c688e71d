"""Calls in threads while time is virtual: it waits for them, and goes on at last for those that hang."""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import trio

from monitor.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from monitor.net import Trace

T = TypeVar("T")


class PatientThreads(Threads):
    """Threads beside which *clock* stands still; a call that takes more than *patience* real seconds hangs."""

    def __init__(self, clock: MockClock, patience: float) -> None:
        """Start no thread yet."""
        super().__init__()
        self._clock = clock
        self._patience = patience
        self._under_way = 0

    async def call(self, work: Callable[[], T], *, owner: str, trace: Trace) -> T:
        """See `Threads.call`."""
        token = trio.lowlevel.current_trio_token()

        def give_up() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._let_time_pass)

        timer = threading.Timer(self._patience, give_up)
        timer.daemon = True
        timer.start()
        self._under_way += 1
        self._clock.autojump_threshold = math.inf
        try:
            return await super().call(work, owner=owner, trace=trace)
        finally:
            timer.cancel()
            self._under_way -= 1
            if not self._under_way:
                self._let_time_pass()

    def _let_time_pass(self) -> None:
        self._clock.autojump_threshold = 0
