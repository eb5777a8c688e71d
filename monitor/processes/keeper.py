"""The keeper: one process above one program, or one function of ours, and everything that this starts.

It reads from its leash what to do, reports how that ended, and ends with it. When the leash is let go, or too much
memory is used, it kills all that is below it. What is printed it reads, keeps as much as was asked for, and drops the
rest: nobody is held up by a pipe that nobody reads, and no flood reaches the monitor.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from monitor.processes import tree
from monitor.processes.below import become, close_all_but
from monitor.processes.frames import framed, receive

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK = signal.SIGUSR1  # from the zygote: there seems to be too much memory below
_TAIL = 4096  # bytes of what a function of ours printed last


def main(leash_fd: int, channel: int | None = None) -> NoReturn:
    """Be the keeper; in a process just forked, whatever that was in the middle of."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        close_all_but(leash_fd, channel)
        tree.adopt_orphans()
        leash = socket.socket(fileno=leash_fd)
        leash.setblocking(True)
        job = receive(leash)
        if job is not None:
            Keeper(leash, json.loads(job), channel).run()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may go on in the middle of the zygote
        traceback.print_exc()
    os._exit(code)


class Keeper:
    """What it knows of the process below it."""

    def __init__(self, leash: socket.socket, job: dict[str, Any], channel: int | None) -> None:
        """Do *job*: run `argv` with `env` in `cwd`, its output kept up to `limit`, or `call` a function of ours.

        `memory` is for all that is below.
        """
        self._leash = leash
        self._job = job
        self._channel = channel
        self._child = 0
        self._code: int | None = None  # how the child ended, as subprocess says it
        self._why: str | None = None  # why it was ended by us
        self._shall_look = False
        self._printed = {"out": bytearray(), "err": bytearray()}

    def run(self) -> None:
        """Start it, watch it, end all of it, report."""
        bell, hammer = socket.socketpair()
        for each in (bell, hammer):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(hammer.fileno(), warn_on_full_buffer=False)
        signal.signal(LOOK, self._look_soon)
        pipes = {"out": os.pipe(), "err": os.pipe()}
        failed, failing = os.pipe()  # closed by an exec that succeeds
        os.set_blocking(failed, False)
        self._child = os.fork()
        if self._child == 0:
            become(self._job, self._channel, out=pipes["out"][1], err=pipes["err"][1], failing=failing)
        for each_fd in (*(write for _, write in pipes.values()), failing, self._channel):
            if each_fd is not None:
                os.close(each_fd)
        with selectors.DefaultSelector() as selector:
            selector.register(bell, selectors.EVENT_READ, lambda: self._children(bell))
            self._leash.setblocking(False)
            selector.register(self._leash, selectors.EVENT_READ, self._told)
            for name, (read, _) in pipes.items():
                os.set_blocking(read, False)
                selector.register(read, selectors.EVENT_READ, self._reader(name, read, selector))
            self._watch(selector)
            selector.unregister(self._leash)
            selector.unregister(bell)
            gone = tree.end_all(session=self._child)
            self._read_rest(selector)
        self._report(gone, failed)
        for each in (bell, hammer, self._leash):
            each.close()

    def _watch(self, selector: selectors.BaseSelector) -> None:
        while self._code is None and self._why is None:
            for key, _ in selector.select():
                key.data()
            if self._shall_look:
                self._shall_look = False
                found = tree.below(os.getpid())
                if tree.has_more_than(self._job["memory"], found, interrupted=self._is_told_something):
                    self._why = "memory"

    def _look_soon(self, *_: object) -> None:
        self._shall_look = True

    def _is_told_something(self) -> bool:
        return bool(select.select([self._leash], [], [], 0)[0])

    def _children(self, bell: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            bell.recv(4096)
        ended: dict[int, int] = {}
        tree.reap(ended)
        self._code = ended.get(self._child, self._code)

    def _told(self) -> None:
        try:
            said = self._leash.recv(64)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._why = "asked"

    def _reader(self, name: str, descriptor: int, selector: selectors.BaseSelector) -> Callable[[], None]:
        kept, limit = self._printed[name], self._job["limit"]

        def read() -> None:
            try:
                data = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                selector.unregister(descriptor)
                return
            if self._job.get("argv") is None:  # of a function of ours what it said last is of interest
                kept.extend(data)
                del kept[:-_TAIL]
            else:
                kept.extend(data[: limit - len(kept)])

        return read

    def _read_rest(self, selector: selectors.BaseSelector) -> None:
        """What is still in the pipes; where something could not be killed, they have no end."""
        while (keys := list(selector.get_map().values())) and selector.select(0):
            for key in keys:
                key.data()

    def _report(self, gone: bool, failed: int) -> None:
        why_not = b""
        with contextlib.suppress(BlockingIOError):
            why_not = os.read(failed, 200)
        report = {
            "code": self._code,
            "why": self._why,
            "gone": gone,
            "failed": why_not.decode("utf-8", "replace"),
            **{name: bytes(data).decode("latin-1") for name, data in self._printed.items()},
        }
        with contextlib.suppress(OSError):  # nobody wants to know
            self._leash.setblocking(True)
            self._leash.sendall(framed(json.dumps(report).encode()))
