"""Calls that block, in threads of our own number: for checks over synchronous libraries.

A thread cannot be killed. A call whose probe is over is left behind: its place goes to the next at once, so that it
stalls nobody, and it is counted, by endpoint and in all. Where too many were left behind no more calls begin, and
that is the monitor's own trouble, not the endpoint's.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from monitor.core.model import Code
from monitor.core.quantities import seconds_text
from monitor.net.reasons import probe_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.net import Trace

T = TypeVar("T")

AT_ONCE = 64
MOST_LEFT = 256  # calls; their threads sleep, as a rule, and cost some ten kilobytes each
MOST_LEFT_BY_ONE = 4  # enough for an endpoint that hangs to be confirmed as down by real attempts


@attrs.define(eq=False)
class _Call:
    owner: str
    began: float
    runs: bool = False
    over: bool = False


class Threads:
    """At most *at_once* calls that somebody waits for, and so many that nobody waits for any more."""

    def __init__(
        self, *, at_once: int = AT_ONCE, most_left: int = MOST_LEFT, most_left_by_one: int = MOST_LEFT_BY_ONE
    ) -> None:
        """Start no thread yet."""
        self._places = trio.CapacityLimiter(at_once)
        self._unlimited = trio.CapacityLimiter(float("inf"))  # the places above are the limit
        self._most_left, self._most_left_by_one = most_left, most_left_by_one
        self._left: list[_Call] = []

    @property
    def left(self) -> int:
        """How many calls were left behind and still run."""
        return len(self._left)

    async def call(self, work: Callable[[], T], *, owner: str, trace: Trace) -> T:
        """Call *work* in a thread for the endpoint *owner*; cancelled, leave it behind. Raises what it raises.

        Raises ProbeError, of the monitor's own trouble, where it cannot begin.
        """
        self._refuse_too_many(owner)
        if self._places.available_tokens < 1:
            trace.own_trouble = "no thread was free in time"
        async with self._places:
            trace.own_trouble = None
            return await self._called(work, _Call(owner, trio.current_time()))

    async def _called(self, work: Callable[[], T], call: _Call) -> T:
        token = trio.lowlevel.current_trio_token()

        def worked() -> T:
            call.runs = True
            try:
                return work()
            finally:
                with suppress(trio.RunFinishedError):  # nobody is left to tell
                    token.run_sync_soon(self._note_end, call)

        try:
            return await trio.to_thread.run_sync(
                worked, thread_name=f"check:{call.owner}", abandon_on_cancel=True, limiter=self._unlimited
            )
        except trio.Cancelled:
            if not call.over:
                self._left.append(call)
            raise
        except RuntimeError as exc:
            if call.runs:
                raise
            raise probe_error(Code.INTERNAL, f"the monitor cannot start a thread: {exc}", None) from exc

    def _note_end(self, call: _Call) -> None:
        call.over = True
        if call in self._left:
            self._left.remove(call)

    def _refuse_too_many(self, owner: str) -> None:
        own = [call for call in self._left if call.owner == owner]
        if len(own) >= self._most_left_by_one:
            since = seconds_text(trio.current_time() - own[0].began)
            text = f"{len(own)} calls of earlier probes have not come back, the first for {since}: no more are begun"
            raise probe_error(Code.INTERNAL, text, None)
        if len(self._left) >= self._most_left:
            text = f"{len(self._left)} calls of probes have not come back: no more are begun"
            raise probe_error(Code.INTERNAL, text, None)


_of_this_run: trio.lowlevel.RunVar[Threads] = trio.lowlevel.RunVar("monitor threads")


def threads_of_this_run() -> Threads:
    """One for every run of the loop, as Trio's own limiter is: probes share it, whoever makes them."""
    try:
        return _of_this_run.get()
    except LookupError:
        threads = Threads()
        use_in_this_run(threads)
        return threads


def use_in_this_run(threads: Threads) -> None:
    """Let *threads* be those of the run of the loop that is under way."""
    _of_this_run.set(threads)
