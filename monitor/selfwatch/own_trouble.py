"""The monitor's own trouble, gathered from whoever meets it, and told to `[monitor] sinks`.

What was told is kept in the store, in one transaction with the alert that tells it: a restart neither repeats nor
forgets. When and what is told is decided in `monitor.core.own_trouble`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.errors import StoreError
from monitor.core.model import State
from monitor.core.own_trouble import LASTS, News, Trouble, alert, from_note, is_network, news, sentence, to_note
from monitor.core.quantities import seconds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from monitor.core.model import Endpoint
    from monitor.core.ports import Clock, Rand
    from monitor.store import Record, Store

log = logging.getLogger(__name__)

NOTE = "own_trouble"
STORE_PAUSE = 5.0  # seconds until a store that failed is asked again
LOOK = 15.0  # seconds from one look at the clock to the next
LONG_STALL = 10.0  # seconds in which nothing ran that are worth a message by themselves
_HELD_UP = 0.2  # of the time


class OwnTrouble:
    """Everybody may say at any time what begins and what is over; `run` tells it."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        rand: Rand,
        sinks: Callable[[], Sequence[str]],
        ring: Callable[[], None],
    ) -> None:
        """Tell the *sinks* of the moment; *ring* says to the outbox that there is something to send."""
        self.unknown: set[str] = set()
        """Endpoints that are shown as unknown, for a reason of their own."""
        self._store = store
        self._clock = clock
        self._rand = rand
        self._sinks = sinks
        self._ring = ring
        self._troubles: dict[str, Trouble] = {}
        self._spoke: float | None = None
        self._changed = trio.Event()

    @property
    def troubles(self) -> Mapping[str, Trouble]:
        """What stands, and what is over but was not told yet, by key."""
        return self._troubles

    # What others say.

    def begins(self, key: str, message: str) -> None:
        """The trouble *key* stands; *message* says in a sentence how it looks now."""
        known = self._troubles.get(key)
        if known is None:
            now, since = self._clock.monotonic(), self._clock.wall()
            self._troubles[key] = Trouble(key=key, message=message, since=since, began=now)
            self._changed.set()
        elif known.gone is not None:
            self._troubles[key] = attrs.evolve(known, message=message, gone=None)
            self._changed.set()
        elif known.message != message:
            self._troubles[key] = attrs.evolve(known, message=message)

    def ends(self, key: str) -> None:
        """The trouble *key* is over, if it stood at all."""
        known = self._troubles.get(key)
        if known is None or known.gone is not None:
            return
        now = self._clock.monotonic()
        if known.told or now - known.began >= LASTS:
            self._troubles[key] = attrs.evolve(known, gone=now)
        else:
            del self._troubles[key]
        self._changed.set()

    def happened(self, key: str, message: str) -> None:
        """Something is over already, and worth a message all the same."""
        known, now = self._troubles.get(key), self._clock.monotonic()
        if known is None or not known.told:
            began = now - LASTS
            since = self._clock.wall() if known is None else known.since
            self._troubles[key] = Trouble(key=key, message=message, since=since, began=began, gone=now, momentary=True)
            self._changed.set()

    def saw(self, endpoint: Endpoint, record: Record) -> None:
        """Take note whether *endpoint* is shown as unknown, for a reason of its own."""
        name, last = endpoint.name, record.last
        if record.health.shown(endpoint.thresholds) is State.UNKNOWN:
            if last is not None and not is_network(last.reason):
                self.unknown.add(name)
                self.begins(f"endpoint:{name}", last.reason.message)
        elif name in self.unknown:
            self.unknown.discard(name)
            self.ends(f"endpoint:{name}")

    def watch(self, endpoints: Iterable[Endpoint], records: Mapping[str, Record]) -> None:
        """From now on these are watched: what was said of others is over."""
        watched = {each.name: each for each in endpoints}
        for name in self.unknown - watched.keys():
            self.unknown.discard(name)
            self.ends(f"endpoint:{name}")
        for name, endpoint in watched.items():
            if (record := records.get(name)) is not None and record.health.unknowns and name not in self.unknown:
                self.saw(endpoint, record)

    # What is told.

    async def load(self) -> None:
        """Read what was told before the last stop: gone, as long as nobody says that it still stands."""
        note = await self._store.noted(NOTE)
        if note is None:
            return
        now = self._clock.monotonic()
        try:
            told, spoke_at = from_note(note, now=now)
        except (ValueError, TypeError, LookupError, AttributeError) as exc:
            log.warning("what was said of the monitor's own trouble cannot be read: %s", exc)
            return
        for each in told:
            known = self._troubles.get(each.key)  # somebody has been quick to say that it still stands
            self._troubles[each.key] = each if known is None else attrs.evolve(known, told=True, since=each.since)
        # The pause goes on, but a clock that was set cannot lengthen it.
        self._spoke = now - max(0.0, (self._clock.wall() - spoke_at).total_seconds())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell what there is to tell, until cancelled."""
        looked, stalled = self._clock.monotonic(), self._clock.stalled()
        task_status.started()
        while True:
            now = self._clock.monotonic()
            if now >= looked + LOOK:  # the same sum as below: by another, rounding would let it spin
                stood_still = self._clock.stalled()
                self._look_at_stalls(stood_still - stalled, now - looked)
                looked, stalled = now, stood_still
            found, again = news(self._troubles.values(), now=now, spoke=self._spoke)
            if found is not None and not await self._say(found):
                await trio.sleep(STORE_PAUSE)
                continue
            if found is None:
                until = looked + LOOK if again is None else min(again, looked + LOOK)
                self._changed = trio.Event()
                with trio.move_on_at(until):
                    await self._changed.wait()

    async def _say(self, found: News) -> bool:
        now, sinks = self._clock.wall(), self._sinks()
        alerts = [alert(found, sinks=sinks, now=now, rand=self._rand)] if sinks else []
        try:
            with trio.CancelScope(shield=True):
                await self._store.note(NOTE, to_note(found, now), alerts)
        except StoreError as exc:
            log.error("the monitor's own trouble could not be told, will be tried again: %s", exc)  # noqa: TRY400
            return False
        self._told(found)
        self._spoke = self._clock.monotonic()
        log.log(logging.WARNING if found.standing else logging.INFO, "the monitor's own trouble: %s", sentence(found))
        if alerts:
            self._ring()
        return True

    def _told(self, found: News) -> None:
        """*found* is committed; meanwhile some of it may have changed."""
        now = self._clock.monotonic()
        for each in found.standing:
            known = self._troubles.get(each.key) or attrs.evolve(each, gone=now)
            self._troubles[each.key] = attrs.evolve(known, told=True)
        for each in found.over:
            if (known := self._troubles[each.key]).gone is None:
                self._troubles[each.key] = attrs.evolve(known, told=False, began=now)
            else:
                del self._troubles[each.key]

    def _look_at_stalls(self, stalled: float, span: float) -> None:
        """The loop did not come round for *stalled* of the last *span* seconds."""
        if stalled >= LONG_STALL:
            text = f"the monitor itself stood still for {seconds_text(stalled)}: stopped, suspended or overloaded"
            self.happened("stall", text)
        elif stalled > span * _HELD_UP:
            self.begins("stall", f"the monitor is held up for {seconds_text(stalled)} in {seconds_text(span)}")
        else:
            self.ends("stall")
