"""Stopping, for good: the first signal asks, the second does not; a thread sees to it that asking is enough.

Trio's own signal receiver needs the loop to come round. These handlers do not: a check that spins or blocks the
loop cannot keep the process alive.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_POLL = 0.1  # seconds between two looks of the watchdog


@contextlib.contextmanager
def stop_on_signals(ask: Callable[[int], None], *, patience: float | None) -> Iterator[None]:
    """Call *ask* with the number of the first SIGTERM or SIGINT; a second one ends the process at once.

    *ask* runs in the main thread, possibly in the middle of anything: it may only hand over to the loop. When
    *patience* seconds after the first signal the block has not been left, a thread ends the process with exit code
    3; None: no such thread. Call from the main thread.
    """
    asked_at: float | None = None
    left = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal asked_at
        if asked_at is not None:
            os._exit(128 + number)
        asked_at = time.monotonic()
        ask(number)

    def watch() -> None:
        while not left.wait(_POLL):
            if asked_at is not None and patience is not None and time.monotonic() - asked_at > patience:
                end_by_force("the event loop did not come back in time")

    before = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    if patience is not None:
        threading.Thread(target=watch, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        left.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def end_by_force(why: str, *, every_thread: bool = False) -> None:
    """End the process, exit code 3, and say where its main thread was stuck; every commit is safe in the store.

    *every_thread*: dump all of their stacks as well.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - CPython's only way
    stack = "".join(traceback.format_stack(frame)[-6:]) if frame else ""
    text = f"{why}; ended by force. It was here:\n{stack}"
    with contextlib.suppress(OSError):
        os.set_blocking(2, False)
        os.write(2, text.encode("utf-8", "replace"))
        if every_thread:
            faulthandler.dump_traceback(2)
    os._exit(3)
