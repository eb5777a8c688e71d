"""The processes below this one: found, stopped, killed, reaped, until none is left.

On Linux by /proc, and for certain: what lost its parent is handed to this process, and the kernel says when there
are no more children. Elsewhere by process group, which a daemon can leave.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LINUX = sys.platform == "linux"
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PAGE = os.sysconf("SC_PAGE_SIZE")


def adopt_orphans() -> None:
    """From now on, what is below this process and loses its parent becomes a child of this one."""
    if LINUX:
        import ctypes  # noqa: PLC0415 - what needs it is a process of its own

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(*roots: int) -> list[int]:
    """Every process below the *roots*, not these themselves; parents before children. Empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    for root in roots:
        found += children.get(root, ())
    for pid in found:  # it grows meanwhile
        found += children.get(pid, ())
    return found


def _parents() -> Iterator[tuple[int, int]]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - a thousand times a second under a bomb
    except OSError:
        return
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                # The name of the program, in brackets, may hold anything.
                yield int(name), int(file.read().rpartition(b")")[2].split()[1])


def resident(pids: list[int]) -> int:
    """Bytes of memory that *pids* have; what they share counts for each."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            pages += int(file.read().split()[1])
    return pages * _PAGE


def end_all(*, spare: frozenset[int] = frozenset(), patience: float = 5.0) -> bool:
    """Kill every process below this one and reap it; is none left?

    *spare* are children that stay, with all below them. What forks as fast as it is killed is stopped first, all of
    it: only then can nothing be missed. What belongs to somebody else (setuid) may stay.
    """
    if not spare and not reap():
        return True  # as nearly always: it has ended by itself, and left nothing
    me, deadline = os.getpid(), time.monotonic() + patience
    stopped: set[int] = set()
    while True:
        spared = set(below(*spare)) | spare if spare else spare
        found = [pid for pid in below(me) if pid not in spared]
        fresh = [pid for pid in found if pid not in stopped]
        late = time.monotonic() > deadline
        for pid in fresh:
            _signal(pid, signal.SIGSTOP)
        stopped.update(fresh)
        if fresh and not late:
            continue  # whatever they started before they stopped
        for pid in found:
            _signal(pid, signal.SIGKILL)
        stopped.intersection_update(found)
        if spare:
            if not found:
                return True
        elif not reap():
            return True
        if late:
            return False
        time.sleep(0.001)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def reap(into: dict[int, int] | None = None) -> bool:
    """Reap every child that has ended, their exit codes *into* a dictionary; are there others?"""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if into is not None:
            into[pid] = os.waitstatus_to_exitcode(status)
