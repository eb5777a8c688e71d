"""The zygote: forks a keeper for each leash that it is given, and lives for as long as the monitor does.

It is asked by single bytes, the leash beside them as a descriptor; what is to be done the keeper reads from the leash.
Nothing of what it does depends on a stranger's code, and it never has a second thread.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys

from monitor.processes import keeper, tree

KEEP = b"k"  # with the leash, and a channel for what is below it


class Zygote:
    """Everything that it holds."""

    def __init__(self, control: socket.socket) -> None:
        """Be asked over *control*."""
        self._control = control
        self._keepers: set[int] = set()

    def run(self) -> None:
        """Fork as asked, until nobody can ask any more; then wait for the keepers, whose leashes are let go as well."""
        bell, hammer = ring_for_children()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._asked)
            selector.register(bell, selectors.EVENT_READ, lambda: drained(bell))
            more = True
            while more:
                for key, _ in selector.select():
                    more = key.data() and more
                self._reap()
        while self._keepers:
            rung(bell)
            self._reap()
        for each in (bell, hammer, self._control):
            each.close()

    def _asked(self) -> bool:
        byte, descriptors, _, _ = socket.recv_fds(self._control, 1, 2)
        if byte == KEEP:
            with contextlib.suppress(OSError):  # no process to be had: the leash ends without a word
                pid = os.fork()
                if pid == 0:
                    keeper.main(*descriptors)
                self._keepers.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        return bool(byte)

    def _reap(self) -> None:
        ended: dict[int, int] = {}
        tree.reap(ended)
        known = {pid: code for pid, code in ended.items() if pid in self._keepers}
        self._keepers.difference_update(known)
        # A keeper that was killed has left orphans, and they are ours now.
        if len(known) < len(ended) or any(known.values()):
            tree.end_all(spare=frozenset(self._keepers))


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
    tree.adopt_orphans()
    for module in sys.argv[1:]:  # so that every fork has them
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # pages that no round of the collector writes to are shared by every fork
    Zygote(control).run()


if __name__ == "__main__":
    main()
