"""The zygote: forks a keeper for each leash that it is given, and lives for as long as the monitor does.

It is asked by a number, how much memory there may be below the keeper, with the leash beside it as a descriptor; what
is to be done the keeper reads from the leash. The memory of all of them is looked at here, because one look at the
machine's processes serves them all; the keeper is told, and looks closer. Nothing of what it does depends on a
stranger's code, and it never has a second thread.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import struct
import sys
import time

from monitor.processes import keeper, tree

KEEP = struct.Struct("!Q")  # bytes of memory; with the leash, and a channel for what is below
_LOOK = 0.5  # seconds between two looks at the memory


class Zygote:
    """Everything that it holds."""

    def __init__(self, control: socket.socket) -> None:
        """Be asked over *control*."""
        self._control = control
        self._keepers: dict[int, int] = {}  # and what each may have, in bytes

    def run(self) -> None:
        """Fork as asked, until nobody can ask any more; then wait for the keepers, whose leashes are let go as well."""
        bell, hammer = ring_for_children()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._asked)
            selector.register(bell, selectors.EVENT_READ, lambda: drained(bell))
            more, look = True, 0.0
            while more:
                for key, _ in selector.select(_LOOK if self._keepers else None):
                    more = key.data() and more
                self._reap()
                if self._keepers and time.monotonic() >= look:
                    self._look_at_memory()
                    look = time.monotonic() + _LOOK
        while self._keepers:
            rung(bell)
            self._reap()
        for each in (bell, hammer, self._control):
            each.close()

    def _asked(self) -> bool:
        asked, descriptors, _, _ = socket.recv_fds(self._control, KEEP.size, 2)
        if asked:
            with contextlib.suppress(OSError):  # no process to be had: the leash ends without a word
                pid = os.fork()
                if pid == 0:
                    keeper.main(*descriptors)
                (self._keepers[pid],) = KEEP.unpack(asked)
        for descriptor in descriptors:
            os.close(descriptor)
        return bool(asked)

    def _reap(self) -> None:
        ended: dict[int, int] = {}
        tree.reap(ended)
        while ended:
            known = [self._keepers.pop(pid, None) is not None and code == 0 for pid, code in ended.items()]
            ended.clear()
            if not all(known):  # a keeper that was killed has left orphans, and they are ours now
                tree.end_all(spare=frozenset(self._keepers), ended=ended)

    def _look_at_memory(self) -> None:
        for pid, has in tree.resident_below(self._keepers).items():
            if has > self._keepers[pid]:
                os.kill(pid, keeper.LOOK)


def ring_for_children() -> tuple[socket.socket, socket.socket]:
    """A socket that can be read when a child ends, and the other end of it."""
    bell, hammer = socket.socketpair()
    bell.setblocking(False)
    hammer.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(hammer.fileno(), warn_on_full_buffer=False)
    return bell, hammer


def drained(bell: socket.socket) -> bool:
    """Hear the *bell*."""
    with contextlib.suppress(BlockingIOError):
        bell.recv(4096)
    return True


def rung(bell: socket.socket) -> None:
    """Wait until a child ends; the *bell* may have been rung already."""
    bell.setblocking(True)
    bell.recv(4096)
    bell.setblocking(False)


def main() -> None:
    """The process: its stdin is the socket by which it is asked."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service manager tells all of the group; we go when the monitor goes
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    signal.signal(keeper.LOOK, signal.SIG_IGN)  # for keepers, until they are ready for it
    tree.adopt_orphans()
    for module in sys.argv[1:]:  # so that every fork has them
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # pages that no round of the collector writes to are shared by every fork
    Zygote(control).run()


if __name__ == "__main__":
    main()
