"""The monitor's side: gives each probe of an isolated endpoint a worker, and sees to it that none outlives it.

A worker is told the deadline's length and keeps it, so that facts and phases survive. The monitor counts as well: who
has said nothing shortly after the deadline is killed, and it is a time-out, as for any check that overruns. Who ends
without an answer has crashed.
"""

from __future__ import annotations

import logging
import pickle
import socket
from typing import TYPE_CHECKING, Self

import attrs
import trio

from monitor.core.errors import ProbeError, typed
from monitor.core.facts import declared, kept
from monitor.core.model import Code, Observation, Reason, Verdict
from monitor.core.programs import DEFAULT_MEMORY
from monitor.core.quantities import ByteSize, seconds_text
from monitor.isolation import wire
from monitor.isolation.wire import WireError
from monitor.probing import bare, inverted, readable, timed, too_late, unless_held_up
from monitor.processes.frames import FrameError, framed, next_frame
from monitor.processes.starter import Leash, Processes

if TYPE_CHECKING:
    from collections.abc import Collection

    from monitor.core.heartbeats import Beat
    from monitor.core.model import Endpoint
    from monitor.core.ports import Clock, Mask

log = logging.getLogger(__name__)

LAST_WORD = 0.04  # seconds after its deadline in which a worker may still say what it found
START = 10.0  # seconds for a worker to be there: its module may import much
MOST_IDLE = 100  # workers that wait for their next probe, some ten megabytes each; the longest idle goes first
_POST_MORTEM = 1.0  # seconds for its keeper to say how it ended
_LONGEST_PAUSE = 60.0  # seconds before a worker that never comes up is started again
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.define(eq=False)
class _Worker:
    """One that has started."""

    leash: Leash
    channel: trio.SocketStream
    task: bytes  # what it was made of …
    made_of: tuple[Endpoint, Mask | None]  # … and of whom

    def is_of(self, endpoint: Endpoint, mask: Mask | None) -> bool:
        """Is it made of these very two? Then there is no need to compare."""
        return self.made_of[0] is endpoint and self.made_of[1] is mask

    def end(self) -> None:
        """Kill it and all that it started."""
        self.leash.let_go()
        self.channel.socket.close()


class _CrashError(Exception):
    """A worker that is of no more use; the text says why, in the words of a reason."""


class Workers:
    """All of them. A context manager: at its end none is left."""

    def __init__(self, *, memory: int = DEFAULT_MEMORY, patience: float = START) -> None:
        """Start none yet; one may have *memory* bytes with all that it starts, and *patience* seconds to begin."""
        self._processes = Processes(modules=("monitor.isolation.loaded",), memory=memory)
        self._idle: dict[str, _Worker] = {}  # by the name of the endpoint, the longest idle first
        self._patience = patience
        self._told: set[str] = set()  # of whom it was said that they leave processes behind
        self._failures: dict[str, tuple[int, float]] = {}  # starts that failed one after the other, when to try again

    async def __aenter__(self) -> Self:
        """Be ready; nothing is started before it is needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all of them."""
        self.keep_only(())
        await self._processes.__aexit__()

    @property
    def memory(self) -> int:
        """Bytes that one may have with all that it starts; a change counts for those that start later."""
        return self._processes.memory

    @memory.setter
    def memory(self, size: int) -> None:
        self._processes.memory = size

    def keep_only(self, names: Collection[str]) -> None:
        """End those that wait for a probe of an endpoint that is not among *names*."""
        for name in [each for each in self._idle if each not in names]:
            self._idle.pop(name).end()
        for name in [each for each in self._failures if each not in names]:
            del self._failures[name]
        self._told.intersection_update(names)

    async def look(self, endpoint: Endpoint, *, clock: Clock, mask: Mask | None, beat: Beat | None) -> Observation:
        """Probe *endpoint* in its worker. The wait for one that has to start first is not part of the probe."""
        worker: _Worker | None = None
        began, started_at = clock.monotonic(), clock.wall()
        try:
            worker = await self._worker(endpoint, mask, clock)
            began, started_at, stalled = clock.monotonic(), clock.wall(), clock.stalled()
            seen, good = await self._answer(worker, endpoint, beat, clock)
            held_up = clock.stalled() - stalled
            if good:
                self._keep(endpoint.name, worker)
                worker = None
            verdict = Verdict(seen.status, seen.reason)
            if verdict.reason.code is Code.TIMEOUT or timed(endpoint, verdict):
                verdict = unless_held_up(held_up, seen.duration, verdict, seen.reason.phase)
            verdict = inverted(verdict) if endpoint.invert else verdict
            return attrs.evolve(
                seen,
                status=verdict.status,
                reason=readable(verdict.reason, mask),
                facts=kept(seen.facts, declared(endpoint.check), mask),
            )
        except (_CrashError, ProbeError) as exc:
            reason = exc.reason if isinstance(exc, ProbeError) else Reason(Code.CRASH, None, str(exc))
            return bare(endpoint, reason, mask, started_at=started_at, duration=clock.monotonic() - began)
        finally:
            if worker is not None:
                worker.end()

    def _keep(self, name: str, worker: _Worker) -> None:
        if name in self._idle:  # two probes of one endpoint at once: each had its own
            self._idle.pop(name).end()
        self._idle[name] = worker
        if len(self._idle) > MOST_IDLE:
            self._idle.pop(next(iter(self._idle))).end()

    async def _worker(self, endpoint: Endpoint, mask: Mask | None, clock: Clock) -> _Worker:
        worker = self._idle.pop(endpoint.name, None)
        if worker is not None and worker.channel.socket.is_readable():  # it has died meanwhile, or talks out of turn
            worker.end()
            worker = None
        if worker is not None and worker.is_of(endpoint, mask):
            return worker
        try:
            task = wire.packed(endpoint, mask)
        except Exception as exc:
            if worker is not None:
                worker.end()
            text = f"the check cannot be given to a worker: {typed(exc)}"
            raise _CrashError(text) from exc
        if worker is not None:
            if worker.task == task:
                return worker
            worker.end()  # its config has changed
        failures, again_at = self._failures.get(endpoint.name, (0, 0.0))
        if (wait := again_at - clock.monotonic()) > 0:
            raise _CrashError(f"its worker failed to start {failures} times; tried again in {seconds_text(wait)}")
        try:
            worker = await self._started(endpoint, mask, task)
        except _CrashError:
            pause = min(2.0**failures, _LONGEST_PAUSE) if failures else 0.0
            self._failures[endpoint.name] = failures + 1, clock.monotonic() + pause
            raise
        self._failures.pop(endpoint.name, None)
        return worker

    async def _started(self, endpoint: Endpoint, mask: Mask | None, task: bytes) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        channel = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        try:
            leash = await self._processes.keeper(theirs)
        except BaseException:
            ours.close()
            raise
        worker = _Worker(leash, channel, task, (endpoint, mask))
        try:
            with trio.move_on_after(self._patience):
                await leash.begin({"call": "monitor.isolation.worker:work", "memory": self.memory, "limit": 0})
                frame = await _sent_and_heard(channel, task)
                if frame is None:
                    raise _CrashError(
                        f"its worker ended before it was ready: {await self._end_of(worker, endpoint.name)}"
                    )
                match wire.said(frame):
                    case {"ready": True}:
                        return worker
                    case {"failed": str(text)}:
                        raise _CrashError(text)
                raise _CrashError("its worker said something else than that it is ready")
            raise _CrashError(f"its worker was not ready within {seconds_text(self._patience)}")
        except (WireError, FrameError) as exc:
            worker.end()
            raise _CrashError(f"its worker cannot be used: {exc}") from exc
        except BaseException:
            worker.end()
            raise

    async def _answer(
        self, worker: _Worker, endpoint: Endpoint, beat: Beat | None, clock: Clock
    ) -> tuple[Observation, bool]:
        """What it found, and whether it is good for another probe. Raises _CrashError."""
        phase: str | None = None
        began, started_at = clock.monotonic(), clock.wall()
        with trio.move_on_after(endpoint.timeout + LAST_WORD):
            try:
                frame = await _sent_and_heard(worker.channel, pickle.dumps(beat))
                while frame is not None:
                    match wire.said(frame):
                        case {"phase": str(phase)}:
                            frame = await _heard(worker.channel)
                        case {"seen": data, "left": bool(left)}:
                            seen = wire.observation(data, endpoint.name, started_at)
                            if left:
                                self._tell_once(endpoint.name)
                            return seen, not left and seen.reason.code not in (Code.TIMEOUT, Code.CRASH)
                        case _:
                            raise _CrashError("its worker said something that it never says")
            except (WireError, FrameError) as exc:
                raise _CrashError(f"its worker cannot be understood: {exc}") from exc
            raise _CrashError(await self._end_of(worker, endpoint.name))
        # `own_trouble` is for its own probing to tell: it has the loop for that, or it overran.
        duration = max(clock.monotonic() - began, float(endpoint.timeout))
        reason = too_late(endpoint, None, phase).reason
        return bare(endpoint, reason, None, started_at=started_at, duration=duration), False

    def _tell_once(self, name: str) -> None:
        if name not in self._told:
            self._told.add(name)
            log.warning("the check of %s leaves processes behind: they are killed after each probe", name)

    async def _end_of(self, worker: _Worker, name: str) -> str:
        """How a worker that says no more has ended, in the words of a reason; what it printed last goes to the log."""
        with trio.move_on_after(_POST_MORTEM):
            ended = await worker.leash.ended()
            if last := ended.err.decode("utf-8", "replace").strip():
                log.info("the process of %s ended; it said last: %s", name, last)
            if ended.why == "memory":
                return f"the check used more than {ByteSize(self.memory)} of memory"
            match ended.code:
                case None:
                    return "the check's process was lost sight of"
                case code if code < 0:
                    return f"the check's process was ended by signal {-code}"
                case code:
                    return f"the check ended its process, with exit code {code}"
        return "the check closed the channel of its process"


async def _sent_and_heard(channel: trio.SocketStream, data: bytes) -> bytes | None:
    try:
        await channel.send_all(framed(data))
    except _BROKEN:
        return None
    return await _heard(channel)


async def _heard(channel: trio.SocketStream) -> bytes | None:
    try:
        return await next_frame(channel, most=wire.MOST)
    except _BROKEN:
        return None
