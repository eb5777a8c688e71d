"""One run: lives of the daemon, one after the other, while the faults do what they do; then peace, and the verdict."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio
import trio.testing

from monitor.config.load import load
from monitor.core.errors import MonitorError
from monitor.daemon import Daemon
from simulation import chaos, invariants
from simulation.checks import ODDITIES, REGISTRY
from simulation.disk import Crashed, Disk
from simulation.itself import Itself
from simulation.ledger import Ledger
from simulation.messages import Messages
from simulation.network import OUTAGES, Condition, Host, Network, Receiver
from simulation.people import Desk, People
from simulation.scenario import MINUTE, Scenario, draw
from simulation.time import SeededRand, SimulatedClock, deterministic
from simulation.uptime import WINDOWS, Lives, Told
from simulation.witness import Fresh, Witness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from monitor.config import Config
    from monitor.web import Face
    from simulation.people import Request

STEP = 10 * MINUTE  # from one look at the invariants to the next
UPTIME = 36  # steps from one look at the uptime to the next
FLUSHED = 0.5  # seconds after which an observation is written
_MOST_STEPS = 60  # until what waits for its turn at a sink with a limit is sent
_MOST_ROUNDS = 20_000  # of the loop, without time passing
QUIET = 45 * MINUTE  # that everything has to settle in, once it has healed; and what six probes take


@attrs.frozen(kw_only=True)
class Result:
    """What came of a run."""

    seed: int
    days: float
    digest: str
    counts: dict[str, int]
    violations: tuple[str, ...]
    story: str
    config: str
    command: str


class ViolationError(Exception):
    """An invariant does not hold."""


class World:
    """Everything around the daemon."""

    def __init__(self, seed: int, days: float, directory: Path, *, slowly: bool = False) -> None:
        self.scenario: Scenario = draw(seed, days, slowly=slowly)
        self.days = days
        self.virtual = trio.testing.MockClock(autojump_threshold=0)
        self.clock = SimulatedClock(self.virtual)
        self.ledger = Ledger(self.virtual.current_time)
        self.witness = Witness(self)
        self.no_descriptors = False
        self.no_workers: trio.Event | None = None
        self.odd: random.Random | None = None
        self.network_gone: Condition | None = None  # how what cannot be reached seems to be
        self.stall_owed: float | None = None  # seconds, as soon as a probe waits for its answer
        self.stalled_at = -1e9
        self.settled_at: datetime | None = None  # by the wall clock: no windows from then on
        self.without_database = 0.0  # seconds
        self.itself = Itself(self)
        self.people = People(self)
        self.messages = Messages(self)
        self.lives = Lives(self)
        self.life = 0
        self.reloaded_at = -1e9
        self.daemon: Daemon
        self.violations: list[str] = []
        self.targets = [
            Host(each.host, random.Random(f"{seed}:{each.host}")) for each in self.scenario.endpoints if each.host
        ]
        self.receivers = [
            Receiver(each.name, random.Random(f"{seed}:{each.name}"), world=self) for each in self.scenario.sinks
        ]
        self.references = [Host(each, random.Random(f"{seed}:{each}")) for each in self.scenario.references]
        everybody = (*self.targets, *self.receivers, *self.references)
        self.hosts: dict[str, Host] = {each.name: each for each in everybody}
        self._directory = directory
        self._alive = False
        self._away = 0.0
        self._failures = self._failures_seen = self._failures_before = 0  # of the disk, in earlier lives; at two looks
        self._recovery: int | None = None
        self._broken = False
        self._hangups: trio.MemorySendChannel[int] | None = None
        self._desk = Desk()
        self._baseline: tuple[int, int] | None = None  # descriptors and threads
        self._failing_since: float | None = None
        self._scope = trio.CancelScope()
        self._disk_state = {"pause": 0.0, "full": False, "locked": False}
        self.disk = self._new_disk()

    # The run.

    def run(self) -> Result:
        """Run it."""
        handler = _Log(self.ledger, self._directory)
        root = logging.getLogger("monitor")
        before = root.level, root.propagate
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
        gc.disable()  # and collect at known moments: what a collection finalizes shall be the same in every run
        try:
            with deterministic(self.scenario.seed):
                trio.run(self._run, clock=self.virtual, instruments=[_Livelock(self)])
        except* ViolationError:
            pass
        finally:
            gc.enable()
            root.removeHandler(handler)
            root.level, root.propagate = before
            self.disk.bury()
        return Result(
            seed=self.scenario.seed,
            days=self.days,
            digest=self.ledger.digest,
            counts=dict(self.ledger.counts),
            violations=tuple(self.violations),
            story=self.ledger.story(),
            config=self.scenario.toml(Path("data")),
            command=f"make simulate SEEDS={self.scenario.seed} DAYS={self.days:g}",
        )

    async def _run(self) -> None:
        self._write_config()
        async with trio.open_nursery() as everything:
            self.everything = everything.cancel_scope
            everything.start_soon(self._lives)
            everything.start_soon(self._steps)
            async with trio.open_nursery() as faults:
                chaos.unleash(self, faults)
                await trio.sleep(self.days * 86400)
                faults.cancel_scope.cancel()
            await self._quiet()
            everything.cancel_scope.cancel()

    async def _quiet(self) -> None:
        """Everything heals, and what still fails does so for good: the daemon finds its way back to the truth."""
        self.ledger.note("quiet", "everything heals")
        rand = random.Random(f"{self.scenario.seed}:quiet")
        self.scenario.settle()
        self.settled_at = self.clock.wall()
        for host in self.targets:
            host.loss = 0.0
            host.condition = rand.choice((*OUTAGES, Condition.SLOW)) if rand.random() < 0.3 else Condition.OK
        for receiver in self.receivers:
            receiver.condition = Condition.OK
        self._recovery, self.disk.crash_in = None, None
        self.disk.owed = self.stall_owed = None
        while not self.steady:
            await trio.sleep(1.0)
        self.people.end_silences(every=True)
        self.reload("what all shall be in the end")
        await trio.sleep(QUIET + 6 * max(each.interval for each in self.scenario.endpoints))
        for _ in range(_MOST_STEPS):
            if not self.witness.waits_long():
                break
            await trio.sleep(STEP)
        self._ask_uptime()
        await trio.sleep(MINUTE)
        self.look(final=True)
        self.stop(away=1e9)
        while self._alive:
            await trio.sleep(1.0)
        self.look()

    async def _steps(self) -> None:
        steps = 0
        while True:
            await trio.sleep(STEP)
            gc.collect(1)
            self.look()
            steps += 1
            if steps % UPTIME == 0:
                self._ask_uptime()

    def _ask_uptime(self) -> None:
        """Ask the store, as the page would, and hold it against what was seen at the next look."""

        async def request(face: Face) -> None:
            self.witness.drain()
            while trio.current_time() - self.witness.observed_at < FLUSHED:  # what was seen may not be written yet
                await trio.sleep(FLUSHED)
                self.witness.drain()
            now, store = self.clock.wall(), self.daemon.store
            if store.trouble is None and not self.disk.failing and not self.disk.pause:
                uptime = await store.uptime(windows=WINDOWS, now=now)  # may be the first to see that the machine slept
                since = store._main._upkeep.presence.since  # type: ignore[attr-defined]
                self.witness.uptimes = Told(now, since, uptime)
                self.look()

        self.ask(request)

    def ask(self, request: Request) -> None:
        """Somebody comes to the daemon's face."""
        if self._alive:
            self._desk.ask(request)

    def look(self, *, final: bool = False) -> None:
        """Hold the invariants against what was seen."""
        witness = self.witness
        witness.drain()
        witness.read()
        witness.over = final
        failures = witness.failures = self.failures
        witness.failed_lately = failures != self._failures_before or self.disk.failing
        self._failures_before, self._failures_seen = self._failures_seen, failures
        self.violations += invariants.check(witness)
        witness.fresh = Fresh()
        if self.violations:
            raise ViolationError

    @property
    def failures(self) -> int:
        """Of the disk, in all lives."""
        return self._failures + self.disk.failures

    # Lives.

    async def _lives(self) -> None:
        while True:
            self._away = 1.0
            await self._live()
            await trio.sleep(self._away)

    async def _live(self) -> None:
        self.life += 1
        self._failures += self.disk.failures
        disk = self.disk = self._new_disk()
        if self._recovery is not None:
            disk.crash_in, self._recovery = self._recovery, None
        disk.committed = self.witness.committed
        network = self.network = Network(self)
        seed = self.scenario.seed
        self._write_config()
        self._desk = Desk()
        self._baseline = self._baseline or self._resources()
        self.lives.begins()
        self.daemon = Daemon(
            self._read(),
            reload=self._reread,
            net=network,
            clock=self.clock,
            rand=SeededRand(f"{seed}:{self.life}"),
            run_sync=disk,
            front=lambda _: contextlib.nullcontext(self._desk),
            hangups=self._listen,
        )
        how = "stopped"
        try:
            with trio.CancelScope() as self._scope, self.daemon.feed.listen() as news:
                self.witness.life_begins(news, self.daemon.config)
                self.ledger.note("life", f"number {self.life} begins")
                try:
                    await self.daemon.serve(task_status=_Started(self))
                finally:
                    self.witness.drain()
            if self._scope.cancelled_caught:
                how = "killed"
        except* Crashed:
            how = "killed"
        except* MonitorError as refused:
            how = f"refused to start: {refused.exceptions[0]}"
        finally:
            self._alive = False
        self.ledger.note("life", f"number {self.life} ends: {how}")
        self.lives.ends(killed=how == "killed")
        self._bury()

    def _bury(self) -> None:
        disk, network = self.disk, self.network
        self.witness.life_ended()
        self.people.life_ended()
        self.messages.life_ended()
        disk.bury()
        if network.open:
            self.witness.problems.append(("baseline", f"{network.open} connections are left open"))
        left = sum(len(each.child_tasks) for each in trio.lowlevel.current_task().child_nurseries)
        if left:
            self.witness.problems.append(("baseline", f"{left} tasks are left"))
        before, now = self._baseline or (0, 0), self._resources()
        if now[0] > before[0] or now[1] > before[1]:
            self.witness.problems.append(("baseline", f"descriptors and threads: {now}, before that {before}"))
        self._baseline = min(before[0], now[0]), min(before[1], now[1])  # what others in this process leave may go

    @staticmethod
    def _resources() -> tuple[int, int]:
        """How many descriptors are open, and how many threads there are."""
        return len(list(Path("/dev/fd").iterdir())), threading.active_count()

    @property
    def steady(self) -> bool:
        """Has the daemon been up, with one config, for a while?"""
        return self._alive and trio.current_time() - self.reloaded_at > MINUTE

    def began(self) -> None:
        """The daemon says that it is ready."""
        self._alive = True
        self.reloaded_at = trio.current_time()

    def _new_disk(self) -> Disk:
        return Disk(self._directory / "data" / "monitor.db", **self._disk_state)

    # What faults do.

    @property
    def disk_pause(self) -> float:
        return self.disk.pause

    @disk_pause.setter
    def disk_pause(self, pause: float) -> None:
        self._disk_state["pause"] = self.disk.pause = pause
        self.messages.held_up()

    @property
    def disk_full(self) -> bool:
        return self._disk_state["full"]

    @disk_full.setter
    def disk_full(self, full: bool) -> None:
        self._disk_state["full"] = full
        self.disk.set_full(full)
        self._count_failing()

    @property
    def disk_locked(self) -> bool:
        return self._disk_state["locked"]

    @disk_locked.setter
    def disk_locked(self, locked: bool) -> None:
        self._disk_state["locked"] = locked
        self.disk.set_locked(locked)
        self._count_failing()

    def _count_failing(self) -> None:
        now = trio.current_time()
        if self._failing_since is not None:
            self.without_database += now - self._failing_since
        self._failing_since = now if self.disk.failing else None

    def stall(self, seconds: float) -> None:
        self.ledger.note("fault", f"the loop stands still for {seconds:.2f} s")
        self.witness.stalls(seconds)
        self.clock.stall(seconds)
        self.stalled_at = trio.current_time()
        self.messages.held_up()

    def stall_if_owed(self) -> None:
        """A probe waits for its answer: the moment that a stall may have waited for."""
        seconds, self.stall_owed = self.stall_owed, None
        if seconds is not None:
            self.stall(seconds)

    def set_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.ledger.note("fault", f"the wall clock is set by {seconds:.1f} s")
        self.lives.about_to_jump(seconds)
        self.messages.held_up()
        self.clock.skew += seconds
        self.witness.set_back += seconds < 0

    def suspend(self, seconds: float) -> None:
        """The machine sleeps."""
        self.ledger.note("fault", f"suspended for {seconds:.1f} s")
        self.lives.about_to_jump(seconds)
        self.messages.held_up()
        self.clock.suspend(seconds)

    def oddity(self) -> str | None:
        """How the odd check misbehaves this time."""
        return None if self.odd is None else self.odd.choice(ODDITIES)

    def stop(self, *, away: float) -> None:
        """SIGTERM; started again after *away* seconds."""
        if self._alive:
            self.ledger.note("signal", "SIGTERM")
            self._away = away
            self.daemon.stop()

    def crash(self, *, in_calls: int | None, after: bool, away: float, again_in: int | None) -> None:
        """SIGKILL: now, or at a call of the store to come; *again_in*: once more during recovery."""
        if not self._alive:
            return
        self._away, self._recovery = away, again_in
        if in_calls is None:
            self.ledger.note("signal", "SIGKILL")
            self.disk.dead = self.network.dead = True
            self._scope.cancel()
        else:
            self.ledger.note("signal", f"SIGKILL at call {in_calls} of the store, {'after' if after else 'before'} it")
            self.disk.crash_in, self.disk.crash_after = in_calls, after

    def crash_at_alert(self, *, away: float, again_in: int | None) -> None:
        """SIGKILL right after the next write that owes somebody a message, whenever that comes."""
        if self._alive:
            self._away, self._recovery = away, again_in
            self.ledger.note("signal", "SIGKILL when the next alert is written")
            self.disk.crash_at_alert()

    def reload(self, text: str, *, broken: bool = False) -> None:
        """SIGHUP, with the config as the scenario has it now, or with a broken one."""
        if self._alive and self._hangups is not None:
            self.ledger.note("signal", f"SIGHUP: {text}")
            self._broken = broken
            self._hangups.send_nowait(1)

    # The config.

    @contextlib.contextmanager
    def _listen(self) -> Iterator[AsyncIterator[int]]:
        self._hangups, hangups = trio.open_memory_channel[int](1000)
        try:
            with self._hangups, hangups:
                yield hangups
        finally:
            self._hangups = None

    def _reread(self) -> Config:
        self._write_config(broken=self._broken)  # as the file is by now: several who ask may share one reload
        config = self._read()
        self.reloaded_at = trio.current_time()
        self.witness.reloads(self.daemon.config, config)
        self.messages.reloads(config)
        return config

    def _read(self) -> Config:
        return load(self._directory / "config.toml", environ={}, registry=REGISTRY)

    def _write_config(self, *, broken: bool = False) -> None:
        text = self.scenario.toml(self._directory / "data")
        (self._directory / "config.toml").write_text(text + ("[[endpoint]]\nnam = 1\n" if broken else ""))


class _Started:
    """Hears that the daemon is ready."""

    def __init__(self, world: World) -> None:
        self._world = world

    def started(self, _: str) -> None:
        self._world.began()


class _Livelock(trio.abc.Instrument):
    """Ends a run in which the loop goes round and round, and time does not pass."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at = -1.0
        self._rounds = 0

    def before_io_wait(self, timeout: float) -> None:
        now = self._world.virtual.current_time()
        if now != self._at:
            self._at, self._rounds = now, 0
        self._rounds += 1
        if self._rounds == _MOST_ROUNDS:
            self._world.violations.append(f"livelock: {_MOST_ROUNDS} rounds of the loop, and time does not pass")
            self._world.everything.cancel()


class _Log(logging.Handler):
    """What the daemon logs is part of the story, and of the digest."""

    def __init__(self, ledger: Ledger, directory: Path) -> None:
        super().__init__()
        self._ledger = ledger
        self._directory = f"{directory}/"

    def emit(self, record: logging.LogRecord) -> None:
        self._ledger.note("log", f"{record.levelname.lower()} {record.getMessage()}".replace(self._directory, ""))


def simulate(seed: int, days: float, directory: Path, *, slowly: bool = False) -> Result:
    """Run *seed* for *days* in *directory*, which must be empty."""
    return World(seed, days, directory, slowly=slowly).run()
