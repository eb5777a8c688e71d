"""What stays with an endpoint between its probes, such as a connection that is held: one thing for each at most.

Theory of operation. A check whose `stays` is true has a companion for as long as its endpoint is watched. A probe
begins what shall stay (`Probe.keep`): under that probe's deadline, in its phases and facts, with its slot, as any
connection is made. Once it has begun it belongs to the task of the checker, which it never outlives.

When it ends with a complaint, the endpoint is probed at once: that probe fails with the complaint. It is begun again
by one of the next, after a pause that is different for each endpoint, so that a thousand that were dropped together do
not come back together; who ends soon again and again waits longer each time, up to the interval.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from monitor.core.errors import ProbeError, leaves
from monitor.core.model import Reason
from monitor.core.quantities import seconds_text
from monitor.core.schedule import pause_before_return

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import trio

    from monitor.core.model import Endpoint
    from monitor.core.ports import Clock
    from monitor.net import Closable

    Staying = Callable[..., Awaitable[None]]
    """What stays: called with `task_status`, it calls `task_status.started(value)` once it has begun, as for Trio's
    `Nursery.start`. It returns when it is over and nobody need complain, and raises what is wrong."""


class _Life:
    """One thing that stays, from its begin to its end."""

    def __init__(self, scope: trio.CancelScope, over: trio.Event, told: trio.Event) -> None:
        self.scope = scope
        self.over = over
        self.told = told  # the complaint, if there is one
        self.complaint: BaseException | None = None
        self.streams: list[Closable] = []  # to be closed with it
        self.value: Any = None
        self.begun_at: float | None = None  # not yet


class Companion:
    """What a check keeps between two probes of one endpoint; gone with the endpoint, or when its config changes."""

    def __init__(
        self,
        endpoint: Endpoint,
        nursery: trio.Nursery,
        *,
        clock: Clock,
        wake: Callable[[], None],
        turn: trio.Lock | None = None,
    ) -> None:
        """Keep in *nursery* what *endpoint* needs; *wake* has it probed at once. Made by the engine.

        All of them share one *turn*.
        """
        self.memory: dict[str, Any] = {}
        """What the check wants to know again at later probes; the engine does not look at it."""
        self._endpoint = endpoint
        self._nursery = nursery
        self._clock = clock
        self._wake = wake
        self._turn = turn
        self._life: _Life | None = None
        self._ended = 0  # how many did, in all
        self._soon = 0  # how many ended within an interval, one after the other
        self._last: _Life | None = None  # that ended, until another begins
        self._is_looked_at = False  # by a probe, which will tell
        self._again_at = -math.inf
        self._pause: trio.CancelScope | None = None  # until then

    @property
    def is_here(self) -> bool:
        """Does something stay now?"""
        return self._life is not None

    def awake(self) -> float:
        """Seconds on a clock that stands still while the monitor does: patience is measured with it."""
        return self._clock.monotonic() - self._clock.stalled()

    async def take_turn(self) -> None:
        """Wait for whoever ended just before: a thousand that end together let the loop come round in between."""
        import trio  # noqa: PLC0415

        if self._turn is None:
            return
        async with self._turn:
            await trio.lowlevel.checkpoint()

    async def get(self, staying: Staying) -> Any:
        """What `value` is, begun by *staying* where nothing stays. See `Probe.keep`."""
        if self._life is not None:
            return self._life.value
        if self._last is not None and self._last.complaint is not None:
            self._tell(self._last, self._last.complaint)
            # A slot of the grid that comes first may try: those are spread as well. Not for who ends again and again.
            if self._soon > 1 and (wait := self._again_at - self._clock.monotonic()) > 0:
                raise _not_yet(self._last.complaint, wait)
        return await self._nursery.start(self._live, staying)

    def adopt(self, streams: list[Closable]) -> None:
        """Close *streams* when what stays now ends, and not before. For the engine."""
        if self._life is None:
            for stream in streams:
                stream.close()
        else:
            self._life.streams += streams

    async def while_it_stays(self, look: Callable[[], Awaitable[None]]) -> bool:
        """Await `look()`. What stays may end meanwhile: then *look* is cancelled, and its complaint raised, if any.

        False: it ended, and nobody need complain.
        """
        import trio  # noqa: PLC0415

        life = self._life
        if life is None:
            return False
        done = False
        self._is_looked_at = True
        try:
            async with trio.open_nursery() as both:

                async def wait() -> None:
                    await life.over.wait()
                    both.cancel_scope.cancel()

                both.start_soon(wait)
                await look()
                done = True
                both.cancel_scope.cancel()
        except BaseException:
            if life.over.is_set() and not life.told.is_set():
                self._wake()  # this probe tells of something else
            raise
        finally:
            self._is_looked_at = False
        if life.complaint is not None:
            self._tell(life, life.complaint)
        return done

    def _tell(self, life: _Life, complaint: BaseException) -> None:
        """Raise the *complaint*, once."""
        if not life.told.is_set():
            life.told.set()
            raise complaint

    def let_go(self) -> None:
        """End what stays, without complaint; the next probe may begin it anew."""
        if self._life is not None:
            self._life.scope.cancel()
            self._over(self._life, None)

    async def _live(self, staying: Staying, *, task_status: trio.TaskStatus[Any]) -> None:
        import trio  # noqa: PLC0415

        life = _Life(trio.CancelScope(), trio.Event(), trio.Event())
        complaint: BaseException | None = None
        try:
            with life.scope:
                async with trio.open_nursery() as own:  # what a check leaves open or corrupts goes with it
                    life.value = await own.start(staying)
                    self._begun(life)
                    task_status.started(life.value)
        except BaseException as exc:  # the boundary, as around a probe
            if life.begun_at is None:
                raise  # to the probe that wanted to begin it
            complaint = exc
        finally:
            for stream in life.streams:
                stream.close()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:  # we are stopping, or the probe that wanted to begin it came too late
            self._over(life, None)
            raise
        if self._over(life, complaint):
            with trio.CancelScope() as self._pause:
                await trio.sleep_until(self._again_at)
                await life.told.wait()  # else both would be one probe
                self._wake()

    def _begun(self, life: _Life) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._last = None
        self._life, life.begun_at = life, self._clock.monotonic()

    def _over(self, life: _Life, complaint: BaseException | None) -> bool:
        """Note the end of *life*; False where it is known already."""
        if self._life is not life or life.begun_at is None:
            return False
        now, endpoint = self._clock.monotonic(), self._endpoint
        self._life = None
        self._ended += 1
        self._soon = 0 if now - life.begun_at >= endpoint.interval else self._soon + 1
        self._again_at = now + pause_before_return(
            endpoint.name,
            self._ended,
            soon=self._soon,
            retry_interval=endpoint.retry_interval,
            interval=endpoint.interval,
        )
        self._last, life.complaint = life, complaint
        if complaint is None:
            life.told.set()
        life.over.set()
        if complaint is not None and not self._is_looked_at:
            self._wake()
        return True


def _not_yet(complaint: BaseException, wait: float) -> BaseException:
    """The last complaint again, for who looks before its time."""
    from monitor.net.reasons import reason_of  # noqa: PLC0415 - it brings ssl along, and `validate` comes by here

    reason = next(filter(None, map(reason_of, leaves(complaint))), None)
    if reason is None:
        return complaint
    return ProbeError(Reason(reason.code, reason.phase, f"{reason.message}; tried again in {seconds_text(wait)}"))


class Companions:
    """The companions of all endpoints that have one; they come and go with their checkers."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._turn: trio.Lock | None = None
        self._by_name: dict[str, Companion] = {}

    def of(self, endpoint: Endpoint) -> Companion | None:
        """The companion of *endpoint*, if it has one."""
        return self._by_name.get(endpoint.name)

    @property
    def staying(self) -> int:
        """How many endpoints something stays with now."""
        return sum(each.is_here for each in self._by_name.values())

    @asynccontextmanager
    async def beside(self, endpoint: Endpoint, wake: Callable[[], None]) -> AsyncIterator[None]:
        """Give *endpoint* a companion for as long as the block runs; what stays then ends with it."""
        import trio  # noqa: PLC0415

        self._turn = self._turn or trio.Lock()
        async with trio.open_nursery() as nursery:
            companion = Companion(endpoint, nursery, clock=self._clock, wake=wake, turn=self._turn)
            self._by_name[endpoint.name] = companion
            try:
                yield
            finally:
                del self._by_name[endpoint.name]
            nursery.cancel_scope.cancel()
