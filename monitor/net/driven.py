"""One coroutine that is driven, and what it waits by: see `monitor.net.reactor` for who drives it.

The same code runs in Trio's own way elsewhere. All that tells the two apart is here, in `readable`, `writable` and
`by_trio`.
"""

from __future__ import annotations

import contextlib
import functools
import select
import threading
import types
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import trio

from monitor.net.reasons import own_trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from monitor.net.reactor import Reactor
    from monitor.net.records import Connection

    Wait = Callable[[Connection], Awaitable[None]]
    Work = Callable[[], Any]
    Undriven = Callable[[Wait, Connection, Work], Awaitable[Any]]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Here(threading.local):
    """Which coroutine is being stepped in this thread at this moment."""

    driven: Driven | None = None


_here = _Here()


async def _alone(wait: Wait, connection: Connection, work: Work) -> Any:
    await wait(connection)
    return work()


def _nothing() -> None:
    pass


def readable(connection: Connection, work: Work = _nothing, undriven: Undriven = _alone) -> Awaitable[Any]:
    """Wait until *connection* has something to read, or its end; then call *work*. To be awaited at once.

    Returns what *work* returns, raises what it raises. For who is driven the work of all whose socket is ready comes
    before any of them goes on: OpenSSL and Python empty each other's caches, so they should not take turns (decision
    16). Who is not waits and works by *undriven*.
    """
    driven = _here.driven
    if driven is None:
        return undriven(trio.lowlevel.wait_readable, connection, work)
    driven.watch(connection, select.EPOLLIN, work)
    return _next_step()


def writable(connection: Connection, undriven: Undriven = _alone) -> Awaitable[None]:
    """Wait until there is room for something to send, or the outcome of a connect; all else as `readable`."""
    driven = _here.driven
    if driven is None:
        return undriven(trio.lowlevel.wait_writable, connection, _nothing)
    driven.watch(connection, select.EPOLLOUT, _nothing)
    return _next_step()


async def by_trio(async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """Await `async_fn(*args)`, which waits for anything but a socket; return what it returns, raise what it raises."""
    driven = _here.driven
    if driven is None:
        return await async_fn(*args)
    driven.errand = functools.partial(async_fn, *args)
    result: T = await _next_step()
    return result


@types.coroutine
def _next_step() -> Generator[None, Any, Any]:
    """Wait to be stepped; returns what was done on an errand."""
    return (yield)


class _Closed(BaseException):
    """What is driven shall end where it waits, as Trio's Cancelled would have it.

    A coroutine's own `close` would not do: an asynchronous generator that it waits in stays as if it ran.
    """


class _StrayWaitError(RuntimeError):
    """What is driven waits for something that nobody will tell it of."""


class Driven:
    """One coroutine, and where it stands."""

    __slots__ = (
        *("_connection", "_coroutine", "_error", "_events", "_fd", "_reactor", "_task", "_value", "_work"),
        *("errand", "is_over", "is_parked"),
    )

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
        self._work: Work = _nothing
        self._value: Any = None
        self._error: Exception | None = None

    def do_work(self) -> None:
        """Do what is to be done now that the socket is ready; `go_on` is next."""
        try:
            self._value = self._work()
        except Exception as exc:  # noqa: BLE001 - it is his who waits
            self._error = exc  # kept here: in a variable of the caller's it would be a circle, by its traceback

    def go_on(self) -> None:
        """Step, with what came of the work."""
        value, error, self._value, self._error = self._value, self._error, None, None
        self.step(value, error)

    def step(self, value: Any = None, error: BaseException | None = None) -> None:
        """Go on to the next wait, or to the end."""
        before, _here.driven = _here.driven, self
        try:
            strange = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
        except StopIteration:
            self._end()
            return
        finally:
            _here.driven = before
        if strange is None:
            return
        if isinstance(error, _StrayWaitError):
            self._drop()
        else:
            self.step(error=_StrayWaitError("what is driven must wait for sockets, or by `by_trio`"))

    def parked(self) -> Awaitable[object]:
        """Sleep until it is over, or there is an errand; its task awaits this."""
        self.is_parked = True
        return trio.lowlevel.wait_task_rescheduled(self._abandoned)  # noqa: ASYNC105 - it is its task that awaits

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

    def watch(self, connection: Connection, events: int, work: Work) -> None:
        """Be stepped when *connection* has one of *events*, and *work* is done. Raises ProbeError, or OSError."""
        reactor = self._reactor
        try:
            if connection is not self._connection:
                if self._connection is not None:
                    self.ignore()
                self._fd = connection.fileno()
                reactor.epoll.register(self._fd, events)
                reactor.by_fd[self._fd] = self
                self._connection = connection
            elif events != self._events:
                reactor.epoll.modify(self._fd, events)
        except OSError as exc:
            raise own_trouble(exc) or exc from exc
        self._events, self._work = events, work

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
