"""Probes that wait for sockets alone are driven by one task for all of them; the task of each is woken when it is over.

Theory of operation. A wait for a socket costs Trio a tenth of a probe of `http`, and the cancel scope of its deadline
as much again; over TLS twice that, because OpenSSL empties the caches between any two waits. A probe that is *driven*
has neither. Its coroutine is stepped from one wait to the next by whoever has news for it:

    its own task   begins it, steps it to its first wait, and sleeps until it is over
    the pilot      waits for all sockets in one epoll set; reads what has come and opens it, and steps who waited
    the purser     closes those whose deadline has passed, from where they wait

The code that is driven is the same that Trio runs elsewhere. It waits for sockets by `readable` and `writable`, and for
all else, a thread, a lock, a nursery, by `by_trio`: its own task is woken then, does that in a cancel scope with the
deadline, and steps on from there. Who waits for anything else by himself gets an exception where that can be told; but
what he began with Trio he began in the pilot's name, and may take all others along. So this is for checks of our own.
"""

from __future__ import annotations

import math
import select
from typing import TYPE_CHECKING, Any, NoReturn

import trio

from monitor.net.driven import Driven

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

_AT_ONCE = 16  # probes that the pilot steps before other tasks have their turn, and that wait for each other's work


def drive(coroutine: Coroutine[Any, Any, None], *, timeout: float, deadline: float) -> Awaitable[None]:
    """Step *coroutine* to its end; at the *deadline* on Trio's clock it is closed.

    That is *timeout* seconds after a moment in this same step of the task: who begins later with the same timeout must
    not be due earlier. The coroutine must let no exception out. What it waits for stands above. Raises only Cancelled.
    """
    reactor = _reactor_of_this_run()
    return _in_a_scope(coroutine, deadline) if reactor is None else reactor.drive(coroutine, timeout, deadline)


async def _in_a_scope(coroutine: Coroutine[Any, Any, None], deadline: float) -> None:
    with trio.CancelScope(deadline=deadline):
        await coroutine


class Reactor:
    """All that are driven in one run of Trio, and who drives them."""

    def __init__(self) -> None:
        """Begin; ends with the run."""
        self.epoll = select.epoll()
        self.by_fd: dict[int, Driven] = {}
        self._due: dict[float, dict[Driven, float]] = {}  # deadlines by timeout: each in order, as time only goes on
        self._round_at = math.inf  # when the purser comes round
        self._nap = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._pilot)
        trio.lowlevel.spawn_system_task(self._purser)

    async def drive(self, coroutine: Coroutine[Any, Any, None], timeout: float, deadline: float) -> None:
        """See the function `drive`."""
        driven = Driven(coroutine, self)
        driven.step()
        due = self._due.setdefault(timeout, {})
        due[driven] = deadline
        try:
            while not driven.is_over:
                if driven.errand is None:
                    # Each time: what is back from an errand too late was passed over when its deadline came.
                    if deadline < self._round_at:
                        self._round_at = self._nap.deadline = deadline
                    await driven.parked()
                else:
                    errand, driven.errand = driven.errand, None
                    with trio.CancelScope(deadline=deadline):
                        await _on_errand(driven, errand)
        finally:
            del due[driven]

    async def _pilot(self) -> NoReturn:
        with self.epoll:
            while True:
                await trio.lowlevel.wait_readable(self.epoll)
                self._step_who_is_ready()

    def _step_who_is_ready(self) -> None:
        ready: dict[Driven, None] = {}  # in order, and each once: an old socket may be told of by the same number
        for fd, _ in self.epoll.poll(0, _AT_ONCE):
            driven = self.by_fd.get(fd)
            if driven is None or driven in ready:
                continue  # its socket is closed; a process that was just forked still has it
            if driven.is_parked:
                driven.do_work()
                ready[driven] = None
            else:
                driven.ignore()  # it is on an errand; when it waits again, it watches again
        for driven in ready:
            if not driven.is_parked:
                continue  # who was stepped before it has cancelled its task
            driven.go_on()
            if driven.is_over or driven.errand is not None:
                driven.wake()

    async def _purser(self) -> NoReturn:
        while True:
            with trio.CancelScope(deadline=self._round_at) as self._nap:
                await trio.sleep_forever()
            for driven in self._overdue(trio.current_time()):
                if driven.is_parked:  # else it is over, or on an errand, in a scope with the same deadline
                    driven.close()
                    driven.wake()

    def _overdue(self, now: float) -> list[Driven]:
        """Whose deadline has passed; sets when it is to be asked again."""
        overdue: list[Driven] = []
        self._round_at = math.inf
        for timeout, due in list(self._due.items()):
            for driven, deadline in due.items():
                if deadline > now:
                    self._round_at = min(self._round_at, deadline)
                    break
                overdue.append(driven)
            if not due:
                del self._due[timeout]
        return overdue


async def _on_errand(driven: Driven, errand: Callable[[], Awaitable[Any]]) -> None:
    try:
        value = await errand()
    except BaseException as exc:  # noqa: BLE001 - Cancelled, too: what is driven lets go of what it has
        driven.step(error=exc)
    else:
        driven.step(value)


def _reactor_of_this_run() -> Reactor | None:
    """None where there are no epoll sets, as elsewhere than on Linux, or no descriptor is left for one."""
    try:
        return _reactor.get()
    except LookupError:
        pass
    if not hasattr(select, "epoll"):
        return None
    try:
        reactor = Reactor()
    except OSError:
        return None
    _reactor.set(reactor)
    return reactor


_reactor: trio.lowlevel.RunVar[Reactor] = trio.lowlevel.RunVar("reactor")
