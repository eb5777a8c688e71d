"""The contract of a check, as a test that its author calls: what the engine relies on, looked at from outside.

Theory of operation. Probes are made as the daemon makes them, over real sockets of loopback, one after another before
servers of every manner. They run in a thread of their own, so that whoever calls can tell a check that blocks: the
loop's pulse stops. A check that holds on to a passed deadline is told by a task beside it. Neither can be ended, so the
thread is then left alone. What stays behind is looked for once all has been loaded that is loaded only once: every
probe is made a second time, between two looks at the tasks, descriptors and threads of the process.
"""

from __future__ import annotations

import gc
import threading
import warnings
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from monitor.core.errors import describe, leaves, typed
from monitor.core.expectations import Expectations
from monitor.core.model import Endpoint, Observation, Status
from monitor.core.quantities import Duration
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.processes.starter import Processes
from monitor.system import SystemClock
from monitor.testing import rules
from monitor.testing.kit import check_of
from monitor.testing.watched import Record, Traces, source_of, watched
from monitor.threads import Threads, use_in_this_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from monitor.plugin import Check
    from monitor.testing.standins import Server

    Options = Mapping[str, Any] | Callable[[int], Mapping[str, Any]]

_PULSE = 0.05  # seconds between two beats of a loop that is not blocked
_STALL = 0.5  # seconds without a beat: once it may import something, not in probe after probe
_BLOCKED = 2.0  # seconds without a beat after which none is waited for any more
_GRACE = 2.0  # seconds: more than any machine needs to end what is cancelled
_SETTLE = 1.0  # seconds for what has ended to be gone
_LONG = 60.0  # seconds: a deadline that does not pass
_MOMENT = 0.02  # seconds in which nothing happens: the check waits


class ContractError(AssertionError):
    """A check that breaks the contract; *broken* has a sentence for each rule, and the text all of them."""

    def __init__(self, name: str, broken: list[str]) -> None:
        """Say what *broken* says of the check *name*."""
        super().__init__("\n".join([f"{name} breaks the contract of checks:", *(f"- {each}" for each in broken)]))
        self.broken: tuple[str, ...] = tuple(broken)


def check_contract(cls: type[Check], options: Options, server: Server | None = None, *, timeout: float = 0.3) -> None:
    """Hold the check *cls* against what the engine, and everybody who shares it, relies on.

    *options* are those of a config, or a function that is given the port of a server on 127.0.0.1 and gives them.
    The check is probed before nobody, before servers that hang up, talk rubbish, and say nothing, and is cancelled;
    *server*, where given, answers as one that is `up`. *timeout* is that of a probe, in real seconds; all takes about
    two of them. Raises ContractError with one sentence for each rule that is broken:

    a class that a config can fill, frozen, documented, its equals equal, its target told; an end at the deadline,
    without blocking the loop; cancellation passes; no task, thread, connection or descriptor stays behind; it answers
    with a Verdict whatever the server does; its facts are those it declares, of their types; no option that is called
    a password, secret, token or key stands in what people see. Not for use inside a running event loop.
    """
    broken = list(rules.broken_by_class(cls, Path()))
    if not broken:
        given = options if callable(options) else lambda _: options
        broken += _Trial(cls, given, server, timeout).held()
    if broken:
        raise ContractError(cls.__name__, list(dict.fromkeys(broken)))


class _Trial:
    """All probes of one check."""

    def __init__(
        self, cls: type[Check], options: Callable[[int], Mapping[str, Any]], server: Server | None, timeout: float
    ) -> None:
        self._cls, self._options, self._timeout = cls, options, timeout
        self._servers: dict[str, Server | None] = {
            "with nobody at its port": None,
            "with a server that hangs up": _hangs_up,
            "with a server that talks rubbish": _talks_rubbish,
        }
        if server is not None:
            self._servers["with the server that was given"] = server
        self._good = server
        self._broken: list[str] = []
        self._over = threading.Event()
        self._beats = 0
        self._now: tuple[str, Record] | None = None  # what is tried
        self._crash: BaseException | None = None

    def held(self) -> list[str]:
        """What is broken."""
        gc.collect()  # what others left to it is not the check's
        thread = threading.Thread(target=self._in_thread, name="contract", daemon=True)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ResourceWarning)
            thread.start()
            self._wait(thread)
        if self._crash is not None:
            raise self._crash
        self._broken += [
            f"it leaves it to the garbage collector to close what it opened: {each.message}"
            for each in warned
            if issubclass(each.category, ResourceWarning)
        ]
        return self._broken

    def _wait(self, thread: threading.Thread) -> None:
        """Wait until it is over, or the check blocks the loop."""
        beats, still = -1, 0
        stalled: Record | None = None  # the probe in which it was seen first
        while not self._over.wait(_PULSE):
            still = still + 1 if self._beats == beats else 0
            beats = self._beats
            if still * _PULSE < _STALL or self._now is None:
                continue
            where, record = self._now
            if place := record.place_of_running(thread):
                stalled = stalled or record
                if stalled is not record or still * _PULSE >= _BLOCKED:
                    text = f"{where}: it blocks the event loop, at {place}: await it, or use probe.in_thread"
                    self._broken.append(text)
                    return

    def _in_thread(self) -> None:
        try:
            trio.run(self._all)
        except BaseException as exc:  # noqa: BLE001 - it is raised where somebody waits
            self._crash = exc
        finally:
            self._over.set()

    async def _all(self) -> None:
        threads = Threads()
        use_in_this_run(threads)
        async with trio.open_nursery() as nursery, Processes() as programs:
            nursery.start_soon(self._beat)
            if self._instances():
                await self._once(programs)
                await self._mute(programs)
                if await _becomes(lambda: not threads.left):
                    await self._leftovers(programs)
                else:
                    text = "a call in a thread goes on after the deadline: have it end within probe.time_left()"
                    self._broken.append(text)
            nursery.cancel_scope.cancel()

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            await trio.sleep(_PULSE)

    def _instances(self) -> bool:
        """Hold two of the same options against the rules; False: there are none."""
        options = self._options(1)
        try:
            one, other = (check_of(self._cls, **options) for _ in range(2))
        except ValueError as exc:
            self._broken.append(f"it cannot be made of the options that were given: {describe(exc)}")
            return False
        broken = list(rules.broken_by_instances(one, other))
        self._broken += broken
        return not broken

    async def _once(self, programs: Processes) -> None:
        """Before every server that ends by itself."""
        for where, server in self._servers.items():
            seen = await self._probe(where, server, programs)
            if server is not None and server is self._good and seen.status is not Status.UP:
                self._broken.append(f"{where}: expected it to be up, got {seen.status}: {seen.reason.message}")

    async def _mute(self, programs: Processes) -> None:
        """Until the deadline, and until it is cancelled."""
        await self._probe("with a server that says nothing", _says_nothing, programs)
        await self._cancelled(programs)

    async def _leftovers(self, programs: Processes) -> None:
        """Once more, and look for what is there afterwards."""
        so_far = list(self._broken)
        before = Traces.now()
        await self._once(programs)
        await self._cancelled(programs)
        self._broken = so_far  # twice is once too often
        await _becomes(lambda: not Traces.now().left_since(before), within=_SETTLE)
        self._broken += Traces.now().left_since(before)

    async def _cancelled(self, programs: Processes) -> None:
        where, record = "when it is cancelled", Record(source_of(self._cls))
        async with self._tried(where, _says_nothing, record, timeout=_LONG) as tried, trio.open_nursery() as own:
            own.start_soon(tried.probe_once, programs)
            await record.begun.wait()
            with trio.move_on_after(self._timeout):  # it may never wait for long
                await trio.testing.wait_all_tasks_blocked(_MOMENT)
            is_under_way = not record.is_over
            own.cancel_scope.cancel()
        if not is_under_way:
            return
        if record.raised is None:
            self._broken.append(f"{where}: it answers all the same: let trio.Cancelled pass")
            return
        for leaf in leaves(record.raised):
            if not isinstance(leaf, trio.Cancelled):
                text = typed(leaf)
                self._broken.append(f"{where}: it raises {text}: let trio.Cancelled pass")

    async def _probe(self, where: str, server: Server | None, programs: Processes) -> Observation:
        record = Record(source_of(self._cls))
        async with self._tried(where, server, record, timeout=self._timeout) as tried:
            seen = await tried.probe_once(programs)
        self._broken += [f"{where}: {each}" for each in rules.broken_by_probe(tried.check, record, seen)]
        shown = {"its target": tried.check.target, "its reasons": seen.reason.message, "its facts": str(seen.facts)}
        self._broken += rules.broken_by_telling(tried.check, shown)  # once is enough, wherever it was
        return seen

    @asynccontextmanager
    async def _tried(
        self, where: str, server: Server | None, record: Record, *, timeout: float
    ) -> AsyncIterator[_Tried]:
        """A check for a *server* that serves meanwhile."""
        async with trio.open_nursery() as nursery:
            port = await nursery.start(_serve, server)
            tried = _Tried(check_of(watched(self._cls, record), **self._options(port)), timeout)
            self._now = (where, record)
            nursery.start_soon(self._tell_overrun, where, record, timeout)
            yield tried
            self._now = None
            nursery.cancel_scope.cancel()

    async def _tell_overrun(self, where: str, record: Record, timeout: float) -> None:
        """Give up on a check that neither its deadline nor a cancellation ends."""
        try:
            await trio.sleep(timeout)
        finally:
            with trio.CancelScope(shield=True):
                if not await _becomes(lambda: record.is_over):
                    place = record.place_of_waiting or "a place that is not its own"
                    self._broken.append(f"{where}: it holds on after its deadline, at {place}: let trio.Cancelled pass")
                    self._over.set()


@attrs.frozen
class _Tried:
    check: Check
    timeout: float

    async def probe_once(self, programs: Processes) -> Observation:
        endpoint = _endpoint(self.check, self.timeout)
        return await probe_once(endpoint, net=SocketNet(), clock=_Steady(), mask=None, programs=programs)


class _Steady:
    """A clock that knows nothing of a busy machine: that is not what a contract is about."""

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> datetime:
        return SystemClock().wall()

    def stalled(self) -> float:
        return 0.0


def _endpoint(check: Check, timeout: float) -> Endpoint:
    return Endpoint(
        name="contract",
        kind="contract",
        check=check,
        target=check.target,
        interval=Duration(30),
        timeout=Duration(timeout),
        retry_interval=Duration(5),
        failure_threshold=1,
        success_threshold=1,
        expect=Expectations(),
        degraded=Expectations(),
    )


async def _becomes(condition: Callable[[], bool], within: float = _GRACE) -> bool:
    """Wait a while for *condition*."""
    with trio.move_on_after(within):
        while not condition():  # noqa: ASYNC110 - others change it, who tell nobody
            await trio.sleep(_MOMENT)
    return condition()


async def _serve(server: Server | None, task_status: trio.TaskStatus[int]) -> None:
    """Serve on a port of loopback, by TCP; whoever sends datagrams to it hears nothing. None: nobody is there."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    async with listener:
        if server is None:
            await listener.aclose()
            task_status.started(port)
            return
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as deaf, suppress(OSError):
            await deaf.bind(("127.0.0.1", port))
            async with trio.open_nursery() as connections:
                task_status.started(port)
                await trio.serve_listeners(partial(_answer, server), [listener], handler_nursery=connections)


async def _answer(server: Server, stream: trio.abc.Stream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the check hung up first
        async with stream:
            await server(stream)


async def _hangs_up(stream: trio.abc.Stream) -> None:
    await stream.aclose()


async def _talks_rubbish(stream: trio.abc.Stream) -> None:
    await stream.send_all(bytes(range(256)) + b"\r\n\r\n")


async def _says_nothing(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass
