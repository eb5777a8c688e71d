"""`monitor run`: the nursery tree.

    signals, watchdog
    └─ store                       open first, closed last
       └─ services                 the web face, the outbox
          └─ checkers              one task per endpoint
             └─ beside             what is about all of them: reviews, reload, the watch over itself

Nesting is the shutdown order: a signal ends what is beside the checkers, then each of them; the outbox sends what is
due within its grace, the services go, and the store is closed. A thread sees to it that all of this takes less than
five seconds.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING

import trio

from monitor import address
from monitor.core.errors import MonitorError, describe
from monitor.core.schedule import longest_first_wait
from monitor.core.silences import Silences
from monitor.core.tally import Tally
from monitor.core.text import counted
from monitor.holds import Holds
from monitor.limits import collect_no_garbage, raise_descriptor_limit, spare_what_is_loaded
from monitor.live import LiveFeed
from monitor.maintenance import MaintenanceLedger
from monitor.net.sockets import SocketNet
from monitor.outbox import Outbox
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.reload import Reloader
from monitor.selfwatch import SelfWatch
from monitor.signals import stop_on_signals
from monitor.silencer import Silencer
from monitor.store import Record
from monitor.store.fallback import SteadyStore, open_steady_store
from monitor.store.sqlite import in_thread
from monitor.supervisor import Supervisor
from monitor.system import SystemClock, SystemRand
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
    from monitor.store import Store
    from monitor.store.sqlite import RunSync
    from monitor.supervisor import Checker
    from monitor.web.front import Front

log = logging.getLogger(__name__)

PATIENCE = 4.5  # seconds from a signal to the end of the process, by force if need be
_DRAIN_GRACE = 1.5


def run(config: Config, *, reload: Read, ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; *ready* is told the URL once everything has started.

    Raises MonitorError for what prevents a start: a port in use, a `data_dir` that cannot be used.
    """
    raise_descriptor_limit()
    trio.run(_run_until_signal, config, reload, ready)


async def _run_until_signal(config: Config, reload: Read, ready: Callable[[str], None]) -> None:
    token = trio.lowlevel.current_trio_token()
    daemon = Daemon(config, reload=reload)

    def ask(number: int) -> None:
        token.run_sync_soon(collect_no_garbage)
        token.run_sync_soon(daemon.stop, signal.Signals(number).name)

    with stop_on_signals(ask, patience=PATIENCE):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(daemon.serve)
            with _address_left(config.data_dir, url):
                spare_what_is_loaded()
                ready(url)
                await _spare_what_stays(daemon)
                await daemon.stopping.wait()


async def _spare_what_stays(daemon: Daemon) -> None:
    """Spare the garbage collector's rounds the first results as well: what follows takes their place, one by one."""
    enabled = daemon.config.enabled
    first_results = max((longest_first_wait(each.interval, len(enabled)) for each in enabled), default=0.0)
    with trio.move_on_after(first_results + 1):
        await daemon.stopping.wait()
        return
    spare_what_is_loaded()


@contextlib.contextmanager
def _address_left(data_dir: Path, url: str) -> Iterator[None]:
    """Leave *url* in *data_dir* while the block runs, for the commands that ask the daemon."""
    with address.known(data_dir, url) as problem:
        if problem is not None:
            log.warning("commands will need --url, the address could not be left in data_dir: %s", describe(problem))
        yield


def _signalled() -> AbstractContextManager[AsyncIterator[int]]:
    return trio.open_signal_receiver(signal.SIGHUP)


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
    ) -> None:
        """Make ready to `serve`; with the real clock, dice, network and signals unless told otherwise.

        What blocks (the database, reading the config) is called through *run_sync*.
        """
        self.config = config
        self.feed = LiveFeed()
        self.tally = Tally()
        self.clock = clock or SystemClock()
        self._rand = rand or SystemRand()
        self._net = net or SocketNet()
        self._run_sync = run_sync
        self._front = front
        self._reloader = Reloader(
            reload, hangups=hangups, run_sync=run_sync, current=lambda: self.config, apply=self._apply
        )
        self.stopping = trio.Event()
        self._slots = trio.CapacityLimiter(config.max_concurrent_probes)
        self._recorder: Recorder | None = None
        self._holds = Holds(lambda: Silences() if self._silencer is None else self._silencer.silences)
        self._silencer: Silencer | None = None
        self._ledger: MaintenanceLedger | None = None
        self._supervisor: Supervisor | None = None
        self._outbox: Outbox | None = None
        self._self_watch: SelfWatch | None = None
        self._store: Store | None = None

    # What the web face sees.

    @property
    def store(self) -> Store:
        """The open store."""
        assert self._store is not None  # noqa: S101 - the web face is served only while it is open
        return self._store

    def records(self) -> Mapping[str, Record]:
        """How every enabled endpoint stands, by name."""
        known = {} if self._recorder is None else self._recorder.records
        return {each.name: known.get(each.name) or Record(name=each.name) for each in self.config.enabled}

    def lateness(self) -> Mapping[str, Checker]:
        """What watches each endpoint, by its name: how late it is and what it missed."""
        return {} if self._supervisor is None else self._supervisor.checkers

    @property
    def silencer(self) -> Silencer:
        """The silences, and who makes and ends them."""
        assert self._silencer is not None  # noqa: S101 - as the store
        return self._silencer

    def flags(self, endpoint: Endpoint) -> Sequence[str]:
        """What is so about *endpoint* now, beside its state."""
        if self._recorder is None:
            return ()
        records = self._recorder.records
        record = records.get(endpoint.name) or Record(name=endpoint.name)
        return self._holds.flags(endpoint, record, records, self.clock.wall())

    async def acknowledge(self, incident: str, *, by: str, comment: str) -> Incident | None:
        """Stop the reminders of the open *incident*. See `Recorder.acknowledge`."""
        assert self._recorder is not None  # noqa: S101 - as the store
        return await self._recorder.acknowledge(incident, by=by, comment=comment)

    def not_ready(self) -> str | None:
        """Why the daemon is not ready, or None."""
        if self.stopping.is_set():
            return "stopping"
        if self._supervisor is None:
            return "starting"
        if stalled := sorted(self._supervisor.stalled()):
            return f"no progress for too long: {', '.join(stalled[:5])}{' …' if len(stalled) > 5 else ''}"
        return None

    # What runs.

    def stop(self, why: str = "asked to") -> None:
        """Stop soon and cleanly."""
        if not self.stopping.is_set():
            log.info("stopping: %s", why)
            self.stopping.set()

    async def serve(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop`; started with the URL of the page. Raises MonitorError for what prevents a start."""
        if problem := bind_problem(self.config.listen, self.config.access):
            raise MonitorError(problem)
        with self._front(self.config.listen) as front:
            async with open_steady_store(self.config.data_dir, clock=self.clock, run_sync=self._run_sync) as store:
                self._store = store
                await self._serve(store, front, task_status)
        log.info("stopped")

    async def _serve(self, store: SteadyStore, front: Front, task_status: trio.TaskStatus[str]) -> None:
        outbox = self._outbox = Outbox(
            store,
            {sink.name: sink for sink in self.config.sinks},
            net=self._net,
            clock=self.clock,
            rand=self._rand,
            log=logging.getLogger("monitor.outbox"),
            mask=self._mask,
            tally=self.tally,
        )
        recorder, ledger = await self._loaded(store, outbox)
        assert self._self_watch is not None  # noqa: S101 - it was made there
        store.report_to(self._self_watch.trouble)

        async with trio.open_nursery() as services:
            await services.start(front.serve, self)
            await services.start(outbox.run)
            async with (
                trio.open_nursery() as checkers
            ):  # nothing but them: they end one by one, without being cancelled
                async with trio.open_nursery() as beside:
                    await beside.start(self._self_watch.run)
                    self._supervisor = Supervisor(
                        checkers, probe=self._probe, record=self._self_watch.record, slots=self._slots
                    )
                    recorder.probe_now = self._supervisor.probe_now
                    enabled = self.config.enabled
                    for endpoint in enabled:
                        self._supervisor.start(endpoint, among=len(enabled))
                    beside.start_soon(recorder.run, name="review")
                    beside.start_soon(ledger.run, name="maintenance")
                    await beside.start(self._reloader.run)
                    log.info("watching %s", counted(len(enabled), "endpoint"))
                    task_status.started(front.url)
                    await self.stopping.wait()
                    beside.cancel_scope.cancel()
                self._supervisor.stop_all()
            with trio.move_on_after(_DRAIN_GRACE):  # the checkers are gone; send what is due now
                await outbox.drained()
            services.cancel_scope.cancel()

    async def _loaded(self, store: Store, outbox: Outbox) -> tuple[Recorder, MaintenanceLedger]:
        """What decides about alerts, with all that it must know from before."""
        recorder = self._recorder = Recorder(
            store, clock=self.clock, rand=self._rand, feed=self.feed, ring=outbox.ring, circumstances=self._holds
        )
        self._silencer = Silencer(store, clock=self.clock, rand=self._rand, changed=recorder.review_open)
        await self._silencer.load()
        await recorder.load()
        ledger = self._ledger = MaintenanceLedger(store, clock=self.clock, known=recorder.records)
        self._configure(recorder, ledger, self.config)
        await recorder.forget_all_but({endpoint.name for endpoint in self.config.enabled})
        self._self_watch = SelfWatch(
            store,
            recorder,
            net=self._net,
            clock=self.clock,
            rand=self._rand,
            config=lambda: self.config,
            not_ready=self.not_ready,
            ring=outbox.ring,
        )
        return recorder, ledger

    async def _probe(self, endpoint: Endpoint) -> Observation:
        observation = await probe_once(endpoint, net=self._net, clock=self.clock, mask=self.config.masker or None)
        self.tally.probed(endpoint.name, observation.status)
        return observation

    def _configure(self, recorder: Recorder, ledger: MaintenanceLedger, config: Config) -> None:
        self._holds.configure(config.enabled, config.maintenance)
        ledger.configure(config.enabled, config.maintenance)
        recorder.configure(config.enabled, {sink.name: sink.route for sink in config.sinks}, config.external_url)

    def _mask(self, text: str) -> str:
        """Hide the secrets of the config as it is now."""
        return self.config.masker(text)

    # Reload.

    async def put_back(self, ids: Collection[int] | None, *, sink: str | None, force: bool) -> PutBack:
        """Try dead deliveries again, in order; see `Store.put_back`."""
        assert self._outbox is not None  # noqa: S101 - the web face is served beside it
        return await self._outbox.put_back(ids, sink=sink, force=force)

    async def reload(self) -> Changes:
        """Read the config again and take it over. Raises as `Reloader.reload` does."""
        return await self._reloader.reload()

    @property
    def reload_problems(self) -> Sequence[Problem]:
        """What was wrong with the config when it was last read again; empty: it was taken over."""
        return self._reloader.problems

    async def _apply(self, config: Config, changed: Changes) -> None:
        assert self._supervisor is not None  # noqa: S101 - reload runs among the checkers
        assert self._recorder is not None  # noqa: S101
        assert self._outbox is not None  # noqa: S101
        assert self._self_watch is not None  # noqa: S101
        after = {endpoint.name: endpoint for endpoint in config.enabled}
        gone = [self._supervisor.stop(name) for name in changed.endpoints.removed]

        self.config = config
        assert self._ledger is not None  # noqa: S101
        self._configure(self._recorder, self._ledger, config)
        self._slots.total_tokens = config.max_concurrent_probes
        self._outbox.replace_sinks({sink.name: sink for sink in config.sinks})
        beginning = len(changed.endpoints.changed) + len(changed.endpoints.added)
        for name in changed.endpoints.changed:
            self._supervisor.replace(after[name], among=beginning)
        for name in changed.endpoints.added:
            self._supervisor.start(after[name], among=beginning)

        for stopped in gone:
            await stopped.wait()
        await self._recorder.forget_all_but(after.keys())
        self._self_watch.watch()
        self.tally.keep_only(set(after))
