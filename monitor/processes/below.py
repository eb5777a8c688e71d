"""What a process below a keeper does before it runs a stranger's code: a session of its own, limits, and nothing
open that is not meant for it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import traceback
from typing import Any, NoReturn

from monitor.processes import tree

_NICENESS = 10  # what is computed here waits for what the monitor itself has to do
# Memory is looked at twice a second; this is for who takes a lot in between. It counts what is reserved, stacks too.
_WALL, _LEAST_WALL = 4, 1 << 30
_MOST_DESCRIPTORS = 1 << 20  # the kernel's own limit; one call closes them all
_FIRST_TO_GO = b"500"  # of 1000: where the machine has no memory left, the kernel takes these before the monitor


def become(job: dict[str, Any], channel: int | None, *, out: int, err: int, failing: int) -> NoReturn:
    """Become what *job* says; in a process just forked. What cannot be is told over the pipe *failing*."""
    try:
        _prepare(job["memory"], out, err)
        if argv := job.get("argv"):
            if job["cwd"] is not None:
                _enter(job["cwd"])
            close_all_but(failing)
            os.execvpe(argv[0], argv, job["env"])  # noqa: S606 - a list of arguments, and no shell: that is the point
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it: a peer that hangs up is an exception
        module, _, name = job["call"].partition(":")
        function = getattr(importlib.import_module(module), name)
        close_all_but(channel)
        function(channel)
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.write(failing, (exc.strerror or type(exc).__name__).encode())
    except BaseException:  # noqa: BLE001 - nothing may go on in the middle of the keeper
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as exc:  # what the program's own errors are called, too
        raise OSError(exc.errno, f"its directory: {exc.strerror}") from exc


def _prepare(memory: int, out: int, err: int) -> None:
    os.setsid()
    tree.die_with_parent()  # should somebody kill the keeper
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, standard)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:  # noqa: PTH123
        file.write(_FIRST_TO_GO)
    wall = max(_WALL * memory, _LEAST_WALL)
    for limit, most in ((resource.RLIMIT_DATA, wall), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (most, most))


def close_all_but(*kept: int | None) -> None:
    """Close every descriptor but the standard ones and those *kept*."""
    last = 2
    for number in sorted(each for each in kept if each is not None):
        os.closerange(last + 1, number)
        last = number
    os.closerange(last + 1, _MOST_DESCRIPTORS)
