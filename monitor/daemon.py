"""`monitor run`: the process.

    signals, watchdog
    └─ store                       open first, closed last
       └─ the web face             served until the engine has ended
          └─ the engine            outbox, checkers (`monitor.engine`)

A signal ends the engine, whose nurseries end in their order; then the face goes, and the store is closed. A thread
sees to it that all of this takes less than five seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING

import trio

from monitor import address, early
from monitor.core.errors import MonitorError, describe
from monitor.core.schedule import longest_first_wait
from monitor.core.tally import Tally
from monitor.core.text import counted
from monitor.engine import Engine
from monitor.isolation.workers import Workers
from monitor.limits import (
    collect_no_garbage,
    collect_young,
    raise_descriptor_limit,
    spare_first_results,
    spare_what_is_loaded,
)
from monitor.live import LiveFeed
from monitor.net.sockets import SocketNet
from monitor.notify import Notifier
from monitor.processes.starter import Processes
from monitor.reload import Reloader
from monitor.signals import end_by_force, stop_on_signals
from monitor.store import Record
from monitor.store.opening import open_steady_store
from monitor.store.sqlite import in_thread
from monitor.system import SystemClock, SystemRand
from monitor.watchdog import watched
from monitor.watching import FileWatch
from monitor.web.access import bind_problem
from monitor.web.front import open_front

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from monitor.config import Config, Listen
    from monitor.config.changes import Changes
    from monitor.core.errors import Problem
    from monitor.core.model import Endpoint, Incident, Observation, PutBack
    from monitor.core.ports import Clock, Rand
    from monitor.net import Net
    from monitor.reload import Hangups, Read
    from monitor.silencer import Silencer
    from monitor.store import Store
    from monitor.store.sqlite import RunSync
    from monitor.supervisor import Checker
    from monitor.watching import Watch
    from monitor.web.front import Front

log = logging.getLogger(__name__)

_ADDRESS_LOOK = 5.0  # seconds between two looks whether the address is still there
PATIENCE = 4.5  # seconds from a signal to the end of the process, by force if need be


def run(config: Config, *, reload: Read, ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; *ready* is told the URL once everything has started.

    Raises MonitorError for what prevents a start: a port in use, a `data_dir` that cannot be used.
    """
    raise_descriptor_limit()
    trio.run(_run_until_signal, config, reload, ready)


async def _run_until_signal(config: Config, reload: Read, ready: Callable[[str], None]) -> None:
    token = trio.lowlevel.current_trio_token()
    notifier = Notifier.of(os.environ)
    clock = SystemClock()
    daemon = Daemon(config, reload=reload, watch=FileWatch(), notifier=notifier, clock=clock)

    def give_up(why: str) -> None:
        end_by_force(why, every_thread=True)

    def ask(number: int) -> None:
        token.run_sync_soon(collect_no_garbage)
        token.run_sync_soon(daemon.stop, signal.Signals(number).name)

    with stop_on_signals(ask, patience=PATIENCE):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(daemon.serve)
            async with _address_left(config.data_dir, url):
                spare_what_is_loaded()
                ready(url)
                with watched(clock, count=daemon.tally.stalled, give_up=give_up):
                    async with notifier.ready(daemon.summary), trio.open_nursery() as beside:
                        beside.start_soon(tend_garbage, first_results_after(config))
                        await daemon.stopping.wait()
                        beside.cancel_scope.cancel()


def first_results_after(config: Config) -> float:
    """Seconds from the start until every endpoint has been probed."""
    enabled = config.enabled
    return max((longest_first_wait(each.interval, len(enabled)) for each in enabled), default=0.0) + 1


async def tend_garbage(first_results: float) -> None:
    """Spare the garbage collector's rounds the first results, too, that are there after so many seconds."""
    await trio.sleep(first_results)
    if spare_first_results():
        while True:
            await trio.sleep(1)
            collect_young()


@contextlib.asynccontextmanager
async def _address_left(data_dir: Path, url: str) -> AsyncIterator[None]:
    """Leave *url* in *data_dir* while the block runs, for the commands that ask the daemon."""
    with address.known(data_dir, url) as problem:
        if problem is not None:
            log.warning("commands will need --url, the address could not be left in data_dir: %s", describe(problem))
        async with trio.open_nursery() as beside:
            beside.start_soon(_leave_again, data_dir, url)
            yield
            beside.cancel_scope.cancel()


async def _leave_again(data_dir: Path, url: str) -> None:
    """Leave *url* again where somebody has cleared *data_dir*, as the store does with its database."""
    one = trio.CapacityLimiter(1)  # its own: a disk that hangs keeps nobody else waiting
    while True:
        await trio.sleep(_ADDRESS_LOOK)
        with contextlib.suppress(OSError):  # no disk, no address: the store has more to say of it
            await trio.to_thread.run_sync(address.renew, data_dir, url, abandon_on_cancel=True, limiter=one)


@contextlib.contextmanager
def _signalled() -> Iterator[AsyncIterator[int]]:
    with trio.open_signal_receiver(signal.SIGHUP) as hangups:
        if early.hung_up():  # while we were starting: what was read then may be old
            signal.raise_signal(signal.SIGHUP)
        yield hangups


class Daemon:
    """Everything that runs, and what the web face sees of it (`monitor.web.Face`)."""

    def __init__(
        self,
        config: Config,
        *,
        reload: Read | None = None,
        net: Net | None = None,
        clock: Clock | None = None,
        rand: Rand | None = None,
        run_sync: RunSync = in_thread,
        front: Callable[[Listen], AbstractContextManager[Front]] = open_front,
        hangups: Hangups = _signalled,
        watch: Watch | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        """Make ready to `serve`; with the real clock, dice, network and signals unless told otherwise.

        The files that were read are watched only where a *watch* is given, a service manager is told by a *notifier*.

        What blocks (the database, reading the config) is called through *run_sync*.
        """
        self.config = config
        self.feed = LiveFeed()
        self.tally = Tally()
        self.clock = clock or SystemClock()
        self.rand = rand or SystemRand()
        self._net = net or SocketNet()
        self._processes = Processes(memory=config.worker_memory)
        self._workers = Workers(memory=config.worker_memory)
        self._run_sync = run_sync
        self._front = front
        self._notifier = notifier or Notifier()
        self._reloader = Reloader(
            reload,
            hangups=hangups,
            watch=watch,
            run_sync=run_sync,
            current=lambda: self.config,
            apply=self._apply,
            around=self._notifier.reloading,
        )
        self.stopping = trio.Event()
        self._running: Engine | None = None  # while the store is open

    # What the web face sees.

    @property
    def _engine(self) -> Engine:
        assert self._running is not None  # noqa: S101 - the web face is served, and reload runs, only beside it
        return self._running

    @property
    def store(self) -> Store:
        """The open store."""
        return self._engine.store

    def records(self) -> Mapping[str, Record]:
        """How every enabled endpoint stands, by name."""
        known = {} if self._running is None else self._running.recorder.records
        return {each.name: known.get(each.name) or Record(name=each.name) for each in self.config.enabled}

    def lateness(self) -> Mapping[str, Checker]:
        """What watches each endpoint, by its name: how late it is and what it missed."""
        return self._engine.checkers

    @property
    def staying(self) -> int:
        """How many endpoints something stays with between their probes, such as a connection."""
        return self._engine.companions.staying

    @property
    def silencer(self) -> Silencer:
        """The silences, and who makes and ends them."""
        return self._engine.silencer

    def flags(self, endpoint: Endpoint) -> Sequence[str]:
        """What is so about *endpoint* now, beside its state."""
        records = self._engine.recorder.records
        record = records.get(endpoint.name) or Record(name=endpoint.name)
        return self._engine.holds.flags(endpoint, record, records, self.clock.wall())

    async def acknowledge(self, incident: str, *, by: str, comment: str) -> Incident | None:
        """Stop the reminders of the open *incident*. See `Recorder.acknowledge`."""
        return await self._engine.recorder.acknowledge(incident, by=by, comment=comment)

    async def put_back(self, ids: Collection[int] | None, *, sink: str | None, force: bool) -> PutBack:
        """Try dead deliveries again, in order; see `Store.put_back`."""
        return await self._engine.outbox.put_back(ids, sink=sink, force=force)

    async def probe(self, endpoint: Endpoint) -> Observation | None:
        """Probe what is not watched; see `Engine.probe`."""
        return await self._engine.probe(endpoint)

    async def heartbeat(self, token: str, *, signal: str | None, message: str, ping: float | None) -> bool:
        """Take a heartbeat; see `Heartbeats.push`."""
        return await self._engine.heartbeats.push(token, signal=signal, message=message, ping=ping)

    async def reload(self) -> Changes:
        """Read the config again and take it over. Raises as `Reloader.reload` does."""
        return await self._reloader.reload()

    @property
    def reload_problems(self) -> Sequence[Problem]:
        """What was wrong with the config when it was last read again; empty: it was taken over."""
        return self._reloader.problems

    def not_ready(self) -> str | None:
        """Why the daemon is not ready, or None."""
        if self.stopping.is_set():
            return "stopping"
        stalled = None if self._running is None else self._running.stalled()
        if stalled is None:
            return "starting"
        if names := sorted(stalled):
            return f"no progress for too long: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        return None

    def summary(self) -> str:
        """How it stands, in one line."""
        watched = f"watching {counted(len(self.config.enabled), 'endpoint')}"
        problem = self.not_ready()
        if problem is None and self.reload_problems:
            problem = (
                f"the config as it is now has {counted(len(self.reload_problems), 'mistake')}, the one before is used"
            )
        return watched if problem is None else f"{watched}; {problem}"

    # What runs.

    def stop(self, why: str = "asked to") -> None:
        """Stop soon and cleanly."""
        if not self.stopping.is_set():
            log.info("stopping: %s", why)
            self._notifier.stopping(why)
            self.stopping.set()

    async def serve(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop`; started with the URL of the page. Raises MonitorError for what prevents a start."""
        if problem := bind_problem(self.config.listen, self.config.access):
            raise MonitorError(problem)
        with self._front(self.config.listen) as front:
            async with (
                self._processes,
                self._workers,
                open_steady_store(self.config.data_dir, clock=self.clock, run_sync=self._run_sync) as store,
            ):
                engine = self._running = Engine(
                    self.config,
                    store,
                    net=self._net,
                    clock=self.clock,
                    rand=self.rand,
                    feed=self.feed,
                    tally=self.tally,
                    not_ready=self.not_ready,
                    programs=self._processes,
                    workers=self._workers,
                )
                await engine.load()
                async with trio.open_nursery() as around:
                    await around.start(front.serve, self)
                    async with trio.open_nursery() as inner:
                        await inner.start(engine.run, self._reloader, self.stopping)
                        log.info("watching %s", counted(len(self.config.enabled), "endpoint"))
                        task_status.started(front.url)
                    around.cancel_scope.cancel()
        log.info("stopped")

    async def _apply(self, config: Config, changed: Changes) -> None:
        self.config = config
        self._processes.memory = self._workers.memory = config.worker_memory
        await self._engine.apply(config, changed)
        self._workers.keep_only({endpoint.name for endpoint in config.enabled})
