"""The loop's watchdog: a thread that notices when the event loop does not come round, says who is in it, and ends it.

A check that blocks is the usual cause. It is named in the log once for each stall, with the place where it is; what
others found meanwhile `probing` takes for what it is, by the clock. After half a minute the process is given up: every
stack is dumped, and whoever supervises it starts another. A process that was stopped or suspended is none of this.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from monitor.core.quantities import seconds_text
from monitor.core.stalls import PERIOD, StallMeter
from monitor.probing import endpoint_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

log = logging.getLogger(__name__)

NOTICED = 1.0  # seconds without a round
GIVEN_UP = 30.0
_DEEPEST = 8  # places of a stack that are logged


class Rounds(Protocol):
    """What the thread must know of the loop: `monitor.system.SystemClock` is one."""

    def round_due(self) -> float:
        """When the loop is to come round; another number after each round."""

    def overdue(self) -> float:
        """Seconds since then; negative before."""


@contextlib.contextmanager
def watched(
    rounds: Rounds, *, count: Callable[[str], None], give_up: Callable[[str], None], patience: float = GIVEN_UP
) -> Iterator[None]:
    """Watch the loop of this thread for as long as the block runs.

    *count* is told the name of the endpoint whose check holds up the loop, or an empty one, once for each stall;
    *give_up*, after *patience* seconds, why: it ends the process. Both are called in another thread.
    """
    watch = _Watch(rounds, count, give_up, patience)
    thread = threading.Thread(target=watch.run, args=(threading.get_ident(),), name="loop watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.left.set()


class _Watch:
    """What the thread does."""

    def __init__(
        self, rounds: Rounds, count: Callable[[str], None], give_up: Callable[[str], None], patience: float
    ) -> None:
        self.left = threading.Event()
        self._rounds = rounds
        self._count = count
        self._give_up = give_up
        self._patience = patience
        self._meter = StallMeter()
        self._noticed: str | None = None  # who holds up the loop now

    def run(self, loop: int) -> None:
        """Look at the loop in the thread *loop*, again and again."""
        looked, worked = time.monotonic(), time.process_time()
        while not self.left.wait(PERIOD):
            now, work = time.monotonic(), time.process_time()
            due, overdue = self._rounds.round_due(), self._rounds.overdue()
            stalled = self._meter.look(span=now - looked, worked=work - worked, due=due, overdue=overdue)
            looked, worked = now, work
            if stalled >= self._patience:
                self._give_up(f"the event loop has not come round for {seconds_text(stalled)}")
            elif stalled >= NOTICED and self._noticed is None:
                self._notice(sys._current_frames().get(loop), stalled)  # noqa: SLF001 - CPython's only way
            elif stalled < NOTICED and self._noticed is not None:
                log.warning("the event loop came round again")
                self._noticed = None

    def _notice(self, frame: FrameType | None, stalled: float) -> None:
        name, stack = endpoint_in(frame)
        self._noticed = name or ""
        self._count(self._noticed)
        where = " > ".join(map(_place, stack[-_DEEPEST:]))
        if name is not None:
            log.error(
                "the check of %s holds up the event loop, and with it every other check, for %s already: at %s; "
                'with isolation = "process" it would hold up nobody',
                name,
                seconds_text(stalled),
                where,
            )
        else:
            log.error("the event loop has not come round for %s: at %s", seconds_text(stalled), where)


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"
