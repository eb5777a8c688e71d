"""Is it me? Before an endpoint is called down, somebody who should always answer is asked (`[monitor] reference`).

Theory of operation. One task asks all references at once, in rounds, each with one deadline; whoever wants to know
waits for the round under way or takes the answer of one that has just ended. So a thousand endpoints that fail at
once cost one round. The first answer ends a round: the monitor's own network works. When none comes, what would have
confirmed a `down` is `unknown` and moves nothing. As long as that lasts, rounds go on without being asked for, to see
when it ends, and no probe that fails meanwhile counts, nor one that began before it ended.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.health import advance
from monitor.core.model import Code, Reason, State, Status
from monitor.core.own_trouble import no_reference_answers
from monitor.core.quantities import seconds_text
from monitor.core.text import printable
from monitor.selfwatch.calls import CallError, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from monitor.core.health import Health
    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Clock, Mask
    from monitor.net import Net
    from monitor.selfwatch.own_trouble import OwnTrouble

ROUND = 4.0  # seconds for a whole round
GAP = 1.0  # … from the start of one to the start of the next: references are other people's
PATIENCE = ROUND + GAP  # … that an endpoint waits at most
FRESH = 5.0  # … that an answer may be old
RECHECK = 10.0  # … from one round to the next while none answers
_LONGEST = 500  # characters of a message


class References:
    """Tells whether the monitor's own network works."""

    def __init__(
        self,
        *,
        net: Net,
        clock: Clock,
        urls: Callable[[], Sequence[str]],
        mask: Callable[[], Mask],
        trouble: OwnTrouble,
    ) -> None:
        """Ask the *urls* of the moment, their secrets hidden by *mask*; tell *trouble* when none answers."""
        self._net = net
        self._clock = clock
        self._urls = urls
        self._mask = mask
        self._trouble = trouble
        self._answered: float | None = None  # when one last did
        self._failed: tuple[float, str] | None = None  # since the last answer: the latest failure, and what to say
        self._works_since: float | None = None  # the first answer after a failure
        self._asked: tuple[str, ...] = ()  # those that all of this is about
        self._wanted = trio.Event()
        self._over = trio.Event()  # set, and replaced, after each round

    async def second_look(self, endpoint: Endpoint, health: Health, observation: Observation) -> Observation:
        """*observation*, or one that is `unknown` where it would confirm a `down`, and no reference answers.

        Of an inverted endpoint it is the `up` that may come of the monitor's own network. *health* is how *endpoint*
        stood before it; the probe has just ended. Takes at most PATIENCE.
        """
        failed, confirmed = (Status.UP, State.UP) if endpoint.invert else (Status.DOWN, State.DOWN)
        if observation.status is not failed or not self._urls():
            return observation
        began = self._clock.monotonic() - observation.duration  # whatever the wall clock was set to meanwhile
        self._forget_others()
        text = None if self._failed is None else self._failed[1]
        _, change = advance(health, observation, endpoint.thresholds)
        if change is not None and change.after is confirmed:
            text = await self._no_answer(self._moment(change.streak.since or observation.started_at))
        if text is None and self._works_since is not None and began < self._works_since:
            text = no_reference_answers(["none did when the probe began"])
        if text is None:
            return observation
        message = f"{text}; the probe found: {observation.reason.message or 'that it fails, as it should'}"
        reason = Reason(Code.INTERNAL, observation.reason.phase, message[:_LONGEST])
        return attrs.evolve(observation, status=Status.UNKNOWN, reason=reason)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask when somebody wants to know, and again while none answers; until cancelled."""
        if "network" in self._trouble.troubles:  # so it was before the last stop
            self._wanted.set()
        task_status.started()
        while True:
            with trio.move_on_after(math.inf if self._failed is None else RECHECK):
                await self._wanted.wait()
            self._wanted = trio.Event()
            began = self._clock.monotonic()
            self._forget_others()
            asked = self._asked
            failures = await self._round(asked)
            if asked == self._references():  # else the config has changed meanwhile: this is about others
                self._take(failures)
            self._over.set()
            self._over = trio.Event()
            await trio.sleep(max(0.0, began + GAP - self._clock.monotonic()))

    async def _no_answer(self, since: float) -> str | None:
        """None when a reference answered after *since* and not long ago; else the sentence that says that none does."""
        with trio.move_on_after(PATIENCE):
            while True:
                now = self._clock.monotonic()
                if self._failed is not None and now - self._failed[0] <= FRESH:
                    return self._failed[1]
                if self._failed is None and self._answered is not None and self._answered >= max(since, now - FRESH):
                    return None
                self._wanted.set()
                await self._over.wait()
        return no_reference_answers([f"no answer within {seconds_text(PATIENCE)}"])

    def _references(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._urls()))

    def _forget_others(self) -> None:
        """A reload may have brought other references: what is known of the former ones says nothing of these."""
        urls = self._references()
        if urls != self._asked:
            self._asked = urls
            self._answered = self._failed = None

    async def _round(self, urls: Sequence[str]) -> list[str] | None:
        """Ask all *urls*; why each failed, or None as soon as one answers."""
        failures = dict.fromkeys(urls, f"no answer within {seconds_text(ROUND)}")
        answered = False

        async def ask(url: str) -> None:
            nonlocal answered
            try:
                await call(url, net=self._net, clock=self._clock, method="HEAD")
            except CallError as exc:
                failures[url] = str(exc)
            else:
                answered = True
                asking.cancel_scope.cancel()

        with trio.move_on_after(ROUND):
            async with trio.open_nursery() as asking:
                for url in urls:
                    asking.start_soon(ask, url)
        if answered or not urls:
            return None
        mask = self._mask()
        return [printable(mask.thoroughly(f"{url}: {failure}")) for url, failure in failures.items()]

    def _take(self, failures: list[str] | None) -> None:
        now = self._clock.monotonic()
        if failures is None:
            if self._failed is not None:
                self._works_since = now
            self._answered, self._failed = now, None
            self._trouble.ends("network")
        else:
            text = no_reference_answers(failures)
            self._failed = now, text
            self._trouble.begins("network", text)

    def _moment(self, wall: datetime) -> float:
        """*wall*, which is past, on the monotonic clock."""
        return self._clock.monotonic() - max(0.0, (self._clock.wall() - wall).total_seconds())
