"""Signals that come while `monitor run` is still loading: long before its own handlers, `monitor.signals`, are there.

Nothing is imported here that takes time.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_hangups: list[int] = []


def starts_daemon(args: Sequence[str]) -> bool:
    """Is *args* the command line of `monitor run`? Who knows for certain, click, is not loaded yet."""
    words = iter(args)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("-"):
            return word == "run"
    return False


def take_signals() -> None:
    """From now on SIGTERM and SIGINT end the process with exit code 0, and SIGHUP is remembered.

    Nothing has started, so that there is nothing to stop; a supervisor that changes its mind has no failure to report.
    """
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGHUP, _remember)


def hung_up() -> bool:
    """Did a SIGHUP come before somebody was there to read the config again? Tells it once."""
    came = bool(_hangups)
    _hangups.clear()
    return came


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _remember(number: int, _frame: FrameType | None) -> None:
    _hangups.append(number)
