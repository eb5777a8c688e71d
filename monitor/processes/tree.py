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
    from collections.abc import Callable, Iterable, Iterator

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_NAP, _FIRST_WAIT, _LONGEST_WAIT = 0.001, 0.01, 0.1  # seconds
_PAGE = os.sysconf("SC_PAGE_SIZE")


def adopt_orphans() -> None:
    """From now on, what is below this process and loses its parent becomes a child of this one."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """From now on, the end of the parent is ours as well."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if LINUX:
        import ctypes  # noqa: PLC0415 - what needs it is a process of its own

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def below(root: int, *, spare: frozenset[int] = frozenset()) -> dict[int, int]:
    """Every process below *root*, not itself, with its process group; without *spare* and what is below those.

    It is one look: what is started meanwhile is not half in it. Empty where there is no /proc.
    """
    children, groups = _families()
    return {pid: groups[pid] for pid in _descendants(root, children, spare)}


def resident_below(roots: Iterable[int]) -> dict[int, int]:
    """How much memory the processes below each of *roots* have, in bytes; what several share counts for each.

    Cheap, and never too little.
    """
    children, _ = _families()
    return {root: sum(map(_resident, _descendants(root, children))) for root in roots}


def _families() -> tuple[dict[int, list[int]], dict[int, int]]:
    """The children of each process, and the group of each."""
    children: dict[int, list[int]] = {}
    groups: dict[int, int] = {}
    for pid, parent, group in _all():
        children.setdefault(parent, []).append(pid)
        groups[pid] = group
    return children, groups


def _descendants(root: int, children: dict[int, list[int]], spare: frozenset[int] = frozenset()) -> list[int]:
    found = [root]
    for pid in found:  # it grows meanwhile
        found += (child for child in children.get(pid, ()) if child not in spare)
    return found[1:]


def _all() -> Iterator[tuple[int, int, int]]:
    """Each process there is, its parent and its group."""
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - a thousand times a second under a bomb
    except OSError:
        return
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                # The name of the program, in brackets, may hold anything.
                _, parent, group, *_ = file.read().rpartition(b")")[2].split(None, 4)
                yield int(name), int(parent), int(group)


def has_more_than(memory: int, pids: Iterable[int], *, interrupted: Callable[[], bool]) -> bool:
    """Have *pids* more than *memory* bytes together? What several share counts in parts.

    That takes the kernel milliseconds for each of many that share much; where it is *interrupted*, nothing is known.
    """
    total = 0
    for pid in pids:
        if interrupted():
            return False
        total += _share(pid)
    return total > memory


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * _PAGE
    return 0


def _share(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"Pss:"))
    return _resident(pid)


def end_all(
    *,
    spare: frozenset[int] = frozenset(),
    session: int = 0,
    ended: dict[int, int] | None = None,
    patience: float = 5.0,
) -> bool:
    """Kill every process below this one and reap it; is none left?

    *spare* are children that stay, with all below them. What forks as fast as it is killed is stopped first, all of
    it, and by groups: what is never seen, because it lives for less than a look, is in the group of one that was.
    What belongs to somebody else (setuid) may stay. *session* is that of the child, which began as a group. The exit
    codes of all that is reaped go into *ended*.
    """
    if not spare and not reap(ended):
        return True  # as nearly always: it has ended by itself, and left nothing
    me, deadline = os.getpid(), time.monotonic() + patience
    own, stopped, wait = os.getpgrp(), set[int](), _FIRST_WAIT
    while True:
        found = below(me, spare=spare)
        groups = {*found.values(), session} - {0, own}
        fresh = found.keys() - stopped
        late = time.monotonic() > deadline
        _signal(signal.SIGSTOP, fresh, groups if fresh else ())
        stopped.update(fresh)
        if fresh and not late:
            continue  # whatever they started before they stopped
        _signal(signal.SIGKILL, found, groups)
        stopped.intersection_update(found)
        if spare:
            reap(ended)
            time.sleep(_NAP if found else 0)
        if not found if spare else not _reaped_within(wait, ended):
            return True
        if late:
            return False
        wait = min(2 * wait, _LONGEST_WAIT)  # looking is work, too, and a thousand take a while to die


def _reaped_within(patience: float, ended: dict[int, int] | None) -> bool:
    """Reap for so many seconds, at most; is there anything left?"""
    deadline = time.monotonic() + patience
    while reap(ended):
        if time.monotonic() > deadline:
            return True
        time.sleep(_NAP)
    return False


def _signal(number: int, pids: Iterable[int], groups: Iterable[int]) -> None:
    for call, targets in ((os.killpg, groups), (os.kill, pids)):
        for target in targets:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                call(target, number)


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
