"""Probes that wait for sockets alone are driven by one task for all of them; the task of each is woken when it is over.

Theory of operation. A wait for a socket costs Trio a tenth of a probe of `http`, and the cancel scope of its deadline
as much again; over TLS twice that, because OpenSSL empties the caches between any two waits. A probe that is *driven*
has neither. Its coroutine is stepped from one wait to the next by whoever has news for it:

    its own task   begins it, steps it to its first wait, and sleeps until it is over
    the pilot      waits for all sockets in one epoll set, and steps those whose socket is ready
    the purser     closes those whose deadline has passed, from where they wait

The code that is driven is the same that Trio runs elsewhere. It waits for sockets by `readable` and `writable`, and for
all else, a thread, a lock, a nursery, by `by_trio`: its own task is woken then, does that in a cancel scope with the
deadline, and steps on from there. Who waits for anything else by himself gets an exception where that can be told; but
what he began with Trio he began in the pilot's name, and may take all others along. So this is for checks of our own.
"""

from __future__ import annotations

import contextlib
import functools
import math
import select
import threading
import types
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

import trio

from monitor.net.reasons import own_trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from monitor.net.records import Connection

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_AT_ONCE = 64  # probes that the pilot steps before other tasks have their turn


def readable(connection: Connection) -> Awaitable[None]:
    """Wait until *connection* has something to read, or its end. To be awaited at once."""
    driven = _here.driven
    if driven is None:
        return trio.lowlevel.wait_readable(connection)  # noqa: ASYNC105 - whoever asked awaits it
    driven.watch(connection, select.EPOLLIN)
    return _next_step()


def writable(connection: Connection) -> Awaitable[None]:
    """Wait until there is room for something to send, or the outcome of a connect. To be awaited at once."""
    driven = _here.driven
    if driven is None:
        return trio.lowlevel.wait_writable(connection)  # noqa: ASYNC105 - as above
    driven.watch(connection, select.EPOLLOUT)
    return _next_step()


def is_driven() -> bool:
    """Is who asks driven?"""
    return _here.driven is not None


async def by_trio(async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Await `async_fn(*args)`, which waits for anything but a socket; return what it returns, raise what it raises."""
    driven = _here.driven
    if driven is None:
        return await async_fn(*args)
    driven.errand = functools.partial(async_fn, *args)
    result: T = await _next_step()
    return result


def drive(coroutine: Coroutine[Any, Any, None], *, timeout: float, deadline: float) -> Awaitable[None]:
    """Step *coroutine* to its end; at the *deadline*, *timeout* seconds from now on Trio's clock, it is closed.

    It must let no exception out. What it waits for stands above. Raises only Cancelled.
    """
    reactor = _reactor_of_this_run()
    return _in_a_scope(coroutine, deadline) if reactor is None else reactor.drive(coroutine, timeout, deadline)


async def _in_a_scope(coroutine: Coroutine[Any, Any, None], deadline: float) -> None:
    with trio.CancelScope(deadline=deadline):
        await coroutine


@types.coroutine
def _next_step() -> Generator[None, Any, Any]:
    """Wait to be stepped; returns what was done on an errand."""
    return (yield)


class _Closed(BaseException):
    """What is driven shall end where it waits, as Trio's Cancelled would have it.

    A coroutine's own `close` would not do: an asynchronous generator that it waits in stays as if it ran.
    """


class _Here(threading.local):
    """Which coroutine is being stepped in this thread at this moment."""

    driven: Driven | None = None


_here = _Here()


class Driven:
    """One coroutine, and where it stands."""

    __slots__ = ("_connection", "_coroutine", "_events", "_fd", "_reactor", "_task", "errand", "is_over", "is_parked")

    def __init__(self, coroutine: Coroutine[Any, Any, None], reactor: Reactor) -> None:
        """Have *coroutine* driven for the current task, which is to be `parked`."""
        self.errand: Callable[[], Awaitable[Any]] | None = None  # what its task is to await before it goes on
        self.is_over = False
        self.is_parked = False  # does its task sleep?
        self._task = trio.lowlevel.current_task()
        self._coroutine = coroutine
        self._reactor = reactor
        self._connection: Connection | None = None  # that it waits for, or waited for last
        self._fd = -1
        self._events = 0

    def step(self, value: Any = None, error: BaseException | None = None) -> None:
        """Go on to the next wait, or to the end."""
        if self._waits_by_itself(value, error):
            told = RuntimeError("what is driven must wait for sockets, or by `by_trio`; it waited by itself")
            if self._waits_by_itself(None, told):
                self._drop()

    def _waits_by_itself(self, value: Any, error: BaseException | None) -> bool:
        """Step; True: it waits for something that nobody will tell it of."""
        before, _here.driven = _here.driven, self
        try:
            strange = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
        except StopIteration:
            self._end()
            return False
        finally:
            _here.driven = before
        return strange is not None

    def parked(self) -> Awaitable[object]:
        """Sleep until it is over, or there is an errand; its task awaits this."""
        self.is_parked = True
        return trio.lowlevel.wait_task_rescheduled(self._abandoned)  # noqa: ASYNC105 - as above

    def wake(self) -> None:
        """Wake its task, which is parked."""
        self.is_parked = False
        trio.lowlevel.reschedule(self._task)

    def _abandoned(self, _: object) -> trio.lowlevel.Abort:
        """Trio cancels its task."""
        self.is_parked = False
        self.close()
        return trio.lowlevel.Abort.SUCCEEDED

    def close(self) -> None:
        """End it where it waits."""
        self.step(error=_Closed())
        if not self.is_over:
            self._drop()

    def _drop(self) -> None:
        """Have no more to do with it: it waits, though it was told to end."""
        with contextlib.suppress(RuntimeError):
            self._coroutine.close()
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self.ignore()

    def watch(self, connection: Connection, events: int) -> None:
        """Be stepped when *connection* has one of *events*. Raises ProbeError (`internal`), or OSError."""
        reactor = self._reactor
        try:
            if connection is not self._connection:
                self.ignore()
                self._fd = connection.fileno()
                reactor.epoll.register(self._fd, events)
                reactor.by_fd[self._fd] = self
                self._connection = connection
            elif events != self._events:
                reactor.epoll.modify(self._fd, events)
        except OSError as exc:
            raise own_trouble(exc) or exc from exc
        self._events = events

    def ignore(self) -> None:
        """Be stepped no more for any connection."""
        connection, reactor = self._connection, self._reactor
        if connection is None:
            return
        self._connection = None
        if reactor.by_fd.get(self._fd) is not self:
            return  # it was closed, and its number is another's by now
        del reactor.by_fd[self._fd]
        if connection.fileno() >= 0:  # else it was closed, and the system has forgotten it
            with contextlib.suppress(OSError):  # somebody closed the number behind our back
                reactor.epoll.unregister(self._fd)


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
                for fd, _ in self.epoll.poll(0, _AT_ONCE):
                    driven = self.by_fd.get(fd)
                    if driven is None:
                        continue  # its socket is closed; a process that was just forked still has it
                    if not driven.is_parked:
                        driven.ignore()  # it is on an errand; when it waits again, it watches again
                        continue
                    driven.step()
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
