"""Tells sinks that forget again and again what fires: those whose manner says how often.

What they were told is in the store, and read from there at the start; meanwhile it is followed here. No sink is told of
an endpoint again while something else about that endpoint waits for it: a word that comes late must not be the last.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import trio

from monitor.core.errors import DeliveryError, StoreError
from monitor.core.standing import Standing
from monitor.outbox.attempt import attempt
from monitor.outbox.together import MOST_TOGETHER, messages

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitor.config import SinkSettings
    from monitor.core.model import Delivery
    from monitor.core.pacing import Pace
    from monitor.core.ports import Clock, Rand
    from monitor.net import Net
    from monitor.store import Store

TICK = 1.0  # seconds between two looks at whether it is time
_MOST_WAITING = 10_000


class Resender:
    """The sinks that are told again."""

    def __init__(
        self, store: Store, *, net: Net, clock: Clock, rand: Rand, log: logging.Logger, timeout: float
    ) -> None:
        """Begin without sinks; `follow` names them."""
        self.lanes: set[tuple[str, str | None]] = set()  # those under way: nothing else may go there now
        self._store = store
        self._net = net
        self._clock = clock
        self._rand = rand
        self._log = log
        self._timeout = timeout
        self._sinks: dict[str, SinkSettings] = {}
        self._paces: Mapping[str, Pace] = {}
        self._standing: dict[str, Standing] = {}
        self._last: dict[str, float] = {}
        self._news = 0
        self._changed = trio.Event()

    def follow(self, sinks: Mapping[str, SinkSettings], paces: Mapping[str, Pace]) -> None:
        """These are the sinks from now on."""
        self._sinks = {name: each for name, each in sinks.items() if each.manner.resend is not None}
        self._paces = paces
        for known in (self._standing, self._last):
            for name in known.keys() - self._sinks.keys():
                del known[name]
        self._changed.set()

    def delivered(self, sink: str, deliveries: Sequence[Delivery]) -> None:
        """Take notice: *sink* was told."""
        self._news += 1
        if sink in self._standing:
            self._standing[sink].told(deliveries)

    def given_up(self, sink: str, deliveries: Sequence[Delivery]) -> None:
        """Take notice: *sink* will not be told."""
        self._news += 1
        if sink in self._standing:
            self._standing[sink].given_up(deliveries)

    async def run(self, ring: Callable[[], None]) -> None:
        """Tell them again, until cancelled; *ring* when a lane is free again."""
        while True:
            self._changed = trio.Event()
            for settings in tuple(self._sinks.values()):
                try:
                    await self._look(settings, ring)
                except StoreError:
                    continue  # the rounds of the outbox say so; here the next look is soon
            if self._sinks:
                await trio.sleep(TICK)
            else:
                await self._changed.wait()

    async def _look(self, settings: SinkSettings, ring: Callable[[], None]) -> None:
        """Tell one sink again, if it is time and there is room."""
        name, now = settings.name, self._clock.monotonic()
        if name not in self._standing:
            await self._learn(name)
        interval, pace = settings.manner.resend, self._paces.get(name)
        if interval is None or pace is None or now - self._last.get(name, float("-inf")) < interval:
            return
        if not self._standing[name].words() or not pace.room(now):
            return
        self._last[name] = now
        self.lanes = {(name, each.endpoint) for each in self._standing[name].words()}
        try:
            waiting = await self._store.letters(states=("pending",), sink=name, limit=_MOST_WAITING)
            words = self._standing[name].words(but={each.delivery.endpoint for each in waiting})
            for some in _chunks(words, MOST_TOGETHER):
                await self._tell(settings, pace, some)
        finally:
            self.lanes = set()
            ring()

    async def _learn(self, sink: str) -> None:
        """Read what *sink* was told, as it is once nothing happens meanwhile."""
        while True:
            news = self._news
            standing = Standing()
            standing.told(await self._store.last_words(sink))
            if news == self._news:
                self._standing[sink] = standing
                if not standing.words():
                    self._last[sink] = self._clock.monotonic()  # what comes from now on has just been told
                return

    async def _tell(self, settings: SinkSettings, pace: Pace, words: Sequence[Delivery]) -> None:
        [message] = messages(
            words,
            name=self._rand.id(),
            sink=settings.name,
            now=self._clock.wall(),
            net=self._net,
            clock=self._clock,
        )
        pace.began(self._clock.monotonic())
        try:
            answer = await attempt(settings, [message], timeout=self._timeout, log=self._log)
        finally:
            pace.ended()
        if isinstance(answer, DeliveryError):
            # Nothing is lost by it: it is told again next time. A sink that fails is told of where alerts fail.
            self._log.debug("sink %s could not be told again of %d alerts", settings.name, len(words))


def _chunks(deliveries: Iterable[Delivery], most: int) -> Iterable[Sequence[Delivery]]:
    iterator = iter(deliveries)
    while some := tuple(itertools.islice(iterator, most)):
        yield some
