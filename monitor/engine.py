"""All that works while the store is open: made once, loaded, run, and configured again by each reload.

    services                    whatever the daemon runs around it, and the outbox
    └─ checkers                 one task per endpoint
       └─ beside                what is about all of them: reviews, maintenance, reload, the watch over itself

Nesting is the shutdown order: what is beside the checkers ends first, then each of them; then the outbox sends what
is due within its grace.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from monitor.companion import Companions
from monitor.heartbeats import Heartbeats
from monitor.holds import Holds
from monitor.limits import too_few_descriptors
from monitor.maintenance import MaintenanceLedger
from monitor.outbox import Outbox
from monitor.plugin import Check
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.selfwatch import SelfWatch
from monitor.silencer import Silencer
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from monitor.companion import Companion
    from monitor.config import Config
    from monitor.config.changes import Changes
    from monitor.core.heartbeats import Beat
    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Clock, Rand
    from monitor.core.programs import Programs, Workers
    from monitor.core.tally import Tally
    from monitor.live import LiveFeed
    from monitor.net import Net
    from monitor.reload import Reloader
    from monitor.store.fallback import SteadyStore
    from monitor.supervisor import Checker

log = logging.getLogger(__name__)

_DRAIN_GRACE = 1.5


def _share(config: Config) -> int:
    """How many probes of what is not watched there may be at the same time: some more than of what is."""
    return max(1, config.max_concurrent_probes // 10)


class Engine:
    """Probes, decides, remembers and delivers."""

    def __init__(
        self,
        config: Config,
        store: SteadyStore,
        *,
        net: Net,
        clock: Clock,
        rand: Rand,
        feed: LiveFeed,
        tally: Tally,
        not_ready: Callable[[], str | None],
        programs: Programs | None = None,
        workers: Workers | None = None,
    ) -> None:
        """Go by *config*; `load` comes next, then `run`. *not_ready* says what `/readyz` does."""
        self.config = config
        self.store = store
        self._net = net
        self._clock = clock
        self._tally = tally
        self._programs = programs
        self._workers = workers
        self._slots = trio.CapacityLimiter(config.max_concurrent_probes)
        self._guests = trio.CapacityLimiter(_share(config))
        self._supervisor: Supervisor | None = None  # until there is a nursery for checkers
        self.outbox = Outbox(
            store,
            {sink.name: sink for sink in config.sinks},
            net=net,
            clock=clock,
            rand=rand,
            log=logging.getLogger("monitor.outbox"),
            mask=self._mask,
            tally=tally,
        )
        self.holds = Holds(lambda: self.silencer.silences)
        self.recorder = Recorder(
            store, clock=clock, rand=rand, feed=feed, ring=self.outbox.ring, circumstances=self.holds
        )
        self.silencer = Silencer(store, clock=clock, rand=rand, changed=self.recorder.review_open)
        self.heartbeats = Heartbeats(store, clock=clock, woken=self._heard)
        self.companions = Companions(clock)
        self._ledger = MaintenanceLedger(store, clock=clock, known=self.recorder.records)
        self._self_watch = SelfWatch(
            store,
            self.recorder,
            net=net,
            clock=clock,
            rand=rand,
            config=lambda: self.config,
            not_ready=not_ready,
            ring=self.outbox.ring,
        )
        store.report_to(self._self_watch.trouble)

    @property
    def checkers(self) -> Mapping[str, Checker]:
        """What watches each endpoint, by its name: how late it is and what it missed."""
        return {} if self._supervisor is None else self._supervisor.checkers

    def stalled(self) -> Iterable[str] | None:
        """The names of endpoints whose checker makes no progress; None: the checkers have not been started yet."""
        return None if self._supervisor is None else self._supervisor.stalled()

    async def load(self) -> None:
        """Read what is kept: go on as if there had been no stop. What the config no longer knows is let go."""
        await self.silencer.load()
        await self.recorder.load()
        self._configure()
        await self.heartbeats.load(self.recorder.records)
        await self.recorder.forget_all_but({endpoint.name for endpoint in self.config.enabled})

    async def run(
        self, reloader: Reloader, stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Work until *stopping* is set, and drain; started when every checker is. Ends by itself."""
        async with trio.open_nursery() as services:
            await services.start(self.outbox.run)
            async with trio.open_nursery() as checkers:  # nothing but them: they end one by one, uncancelled
                await self._watch(checkers, reloader, stopping, task_status)
            with trio.move_on_after(_DRAIN_GRACE):  # the checkers are gone; send what is due now
                await self.outbox.drained()
            services.cancel_scope.cancel()

    async def _watch(
        self, checkers: trio.Nursery, reloader: Reloader, stopping: trio.Event, task_status: trio.TaskStatus[None]
    ) -> None:
        async with trio.open_nursery() as beside:
            await beside.start(self._self_watch.run)
            supervisor = self._supervisor = Supervisor(
                checkers,
                probe=self._probe,
                record=self._self_watch.record,
                slots=self._slots,
                quiet=self.heartbeats.quiet_until,
                beside=self.companions.beside,
            )
            self.recorder.probe_now = supervisor.probe_now
            enabled = self.config.enabled
            for endpoint in enabled:
                supervisor.start(endpoint, among=len(enabled))
            beside.start_soon(self.recorder.run, name="review")
            beside.start_soon(self._ledger.run, name="maintenance")
            await beside.start(reloader.run)
            task_status.started()
            await stopping.wait()
            beside.cancel_scope.cancel()
        supervisor.stop_all()

    async def _probe(self, endpoint: Endpoint) -> Observation:
        observation = await self._look(endpoint, self.heartbeats.beat(endpoint), self.companions.of(endpoint))
        self._tally.probed(endpoint.name, observation.status)
        return observation

    async def probe(self, endpoint: Endpoint) -> Observation | None:
        """Probe what is not watched, beside the checkers, which it takes no slot from; None: too many do the same."""
        with trio.move_on_after(endpoint.timeout):
            async with self._guests:
                return await self._look(endpoint)
        return None

    async def _look(
        self, endpoint: Endpoint, beat: Beat | None = None, companion: Companion | None = None
    ) -> Observation:
        return await probe_once(
            endpoint,
            net=self._net,
            clock=self._clock,
            mask=self.config.masker or None,
            beat=beat,
            companion=companion,
            programs=self._programs,
            workers=self._workers,
        )

    async def apply(self, config: Config, changed: Changes) -> None:
        """Go by *config* from now on, which differs as *changed* says; whoever is watched no longer is let go."""
        assert self._supervisor is not None  # noqa: S101 - reload runs among the checkers
        after = {endpoint.name: endpoint for endpoint in config.enabled}
        gone = [self._supervisor.stop(name) for name in changed.endpoints.removed]

        self.config = config
        self._configure()
        self._slots.total_tokens = config.max_concurrent_probes
        self._guests.total_tokens = _share(config)
        self.outbox.replace_sinks({sink.name: sink for sink in config.sinks})
        beginning = len(changed.endpoints.changed) + len(changed.endpoints.added)
        for name in changed.endpoints.changed:
            self._supervisor.replace(after[name], among=beginning)
        for name in changed.endpoints.added:
            self._supervisor.start(after[name], among=beginning)

        for stopped in gone:
            await stopped.wait()
        await self.recorder.forget_all_but(after.keys())
        self._self_watch.watch()
        self._tally.keep_only(set(after))

    def _heard(self, name: str) -> None:
        """Look at the endpoint *name*, which said something; before there are checkers, they will."""
        if self._supervisor is not None:
            self._supervisor.probe_now(name)

    def _mask(self, text: str) -> str:
        """Hide the secrets of the config as it is now."""
        return self.config.masker(text)

    def _configure(self) -> None:
        config = self.config
        held = sum(each.check.stays for each in config.enabled if isinstance(each.check, Check))
        if problem := too_few_descriptors(held=held, probes=config.max_concurrent_probes):
            log.warning("%s", problem)
        self.heartbeats.configure(config.enabled)
        self.holds.configure(config.enabled, config.maintenance)
        self._ledger.configure(config.enabled, config.maintenance)
        self.recorder.configure(config.enabled, {sink.name: sink.route for sink in config.sinks}, config.external_url)
