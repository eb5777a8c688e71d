"""The outbox: due deliveries to their sinks, at least once and in order (PRODUCT section 4).

    round    ask the store what is due and has room, start a try for each, sleep until more may be due
    try      what goes out together is fixed, `attempt` sends it, then what came of it is written down

All state is in the store. In memory is only what is in flight, whose ids are kept out of the next round, so that a
lane (one sink, one endpoint) never has two tries at once; and the pace of each sink (`core.pacing`): one that fails or
hangs delays nobody else. A restart finds everything as it was; what was in flight is tried again.
"""

from __future__ import annotations

import collections
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import trio

from monitor.core.delivery import LONGEST_RETRY_AFTER, TRY_TIMEOUT
from monitor.core.errors import DeliveryError, StoreError
from monitor.core.pacing import WINDOW, Pace
from monitor.core.steady import SteadyClock
from monitor.core.tally import Tally
from monitor.core.text import counted
from monitor.outbox.attempt import Delivered, attempt
from monitor.outbox.ledger import STORE_PAUSE, Ledger
from monitor.outbox.resending import Resender
from monitor.outbox.together import MOST_BEHIND, MOST_TOGETHER, messages, story

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from monitor.config import SinkSettings
    from monitor.core.model import Delivery, PutBack
    from monitor.core.ports import Clock, Rand
    from monitor.net import Net
    from monitor.store import Store

    Lane = tuple[str, str | None]
    """A sink and an endpoint."""

LONGEST_SLEEP = 60.0  # seconds: the wall clock may have been set forward meanwhile
_NOT_CONFIGURED = "sink no longer configured"


class Outbox:
    """Sends what the store says is due."""

    def __init__(
        self,
        store: Store,
        sinks: Mapping[str, SinkSettings],
        *,
        net: Net,
        clock: Clock,
        rand: Rand,
        log: logging.Logger,
        mask: Callable[[str], str],
        try_timeout: float = TRY_TIMEOUT,
        tally: Tally | None = None,
    ) -> None:
        """Deliver from *store* to *sinks*, by name; *mask* takes secrets out of what is kept; *tally* counts."""
        self._store = store
        self._sinks = dict(sinks)
        self._net = net
        self._clock = clock
        self._steady = SteadyClock(clock)  # for what is put off, so that a clock set back puts off nothing more
        self._ledger = Ledger(
            store, clock=clock, steady=self._steady, rand=rand, log=log, mask=mask, tally=tally or Tally()
        )
        self._rand = rand
        self._log = log
        self._try_timeout = try_timeout
        self._in_flight: dict[int, Lane] = {}  # by delivery
        self._paces = {name: Pace(settings.per_minute) for name, settings in self._sinks.items()}
        self._resender = Resender(store, net=net, clock=clock, rand=rand, log=log, timeout=try_timeout)
        self._resender.follow(self._sinks, self._paces)
        self._draining = False
        self._ring, self._bell = trio.open_memory_channel[None](1)
        self._progress = trio.Event()  # set, and replaced, after each round and each try

    def ring(self) -> None:
        """Say that there may be something to do; never blocks, and a lost ring costs only time."""
        with suppress(trio.WouldBlock):  # already rung is rung enough
            self._ring.send_nowait(None)

    def replace_sinks(self, sinks: Mapping[str, SinkSettings]) -> None:
        """Deliver to these from now on; tries under way go on as they began."""
        before, self._sinks = self._sinks, dict(sinks)
        self._paces = {name: self._paces.get(name) or Pace() for name in self._sinks}
        for name, settings in self._sinks.items():
            self._paces[name].limit(settings.per_minute)
            if settings != before.get(name):
                self._paces[name].answered()  # what was wrong with it may have been mended
        self._resender.follow(self._sinks, self._paces)
        self.ring()

    async def put_back(self, ids: Collection[int] | None, *, sink: str | None = None, force: bool = False) -> PutBack:
        """Try dead deliveries again, in order, as if for the first time; see `Store.put_back`. StoreError passes."""
        done = await self._store.put_back(ids, sink=sink, sinks=tuple(self._sinks), force=force, at=self._steady.now())
        if done.put_back:
            self._log.info("put back %s", counted(len(done.put_back), "dead delivery", "dead deliveries"))
            self.ring()
        return done

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled; tries in flight then are abandoned and stay pending."""
        async with trio.open_nursery() as tries:
            task_status.started()
            tries.start_soon(self._resender.run, self.ring)
            caught_up = False
            while True:
                try:
                    if not caught_up:
                        await self._catch_up()
                        caught_up = True
                    pause = await self._round(tries)
                except StoreError as exc:
                    self._ledger.store_trouble(exc)
                    await trio.sleep(STORE_PAUSE)
                    continue
                self._ledger.store_works()
                self._progressed()
                with trio.move_on_after(pause):
                    await self._bell.receive()

    async def _catch_up(self) -> None:
        """Go on from the last stop.

        Where all that waits lies further ahead than any pause, the clock was set back while we were away. What was
        sent within the last minute counts, where a sink has a limit.
        """
        due_at = await self._store.next_due(sinks=tuple(self._sinks))
        if due_at is not None and due_at - self._steady.now() > timedelta(seconds=LONGEST_RETRY_AFTER):
            self._steady.catch_up(due_at)
        now, moment = self._clock.wall(), self._clock.monotonic()  # by which it was written down what was sent
        for name, limit in [(name, each.per_minute) for name, each in self._sinks.items()]:
            if limit is not None:
                sent = await self._store.sent(name, since=now - timedelta(seconds=WINDOW), limit=limit)
                self._paces[name].recall(moment - max(0.0, (now - each).total_seconds()) for each in sent)

    async def drained(self) -> None:
        """Wait until nothing is in flight and nothing that is due now waits; what is put off to later may wait.

        From now on nothing is gathered for long: what may go in one message goes with what there is.
        """
        self._draining = True
        while True:
            progress = self._progress
            try:
                due_at = await self._store.next_due(sinks=tuple(self._room()), busy=tuple(self._in_flight))
            except StoreError as exc:
                self._ledger.store_trouble(exc)
                await trio.sleep(STORE_PAUSE)
                continue
            if not self._in_flight and (due_at is None or due_at > self._steady.now()):
                return
            if not self._in_flight:
                self.ring()  # somebody else's may be lost; a try rings when it ends
            await progress.wait()

    async def _round(self, tries: trio.Nursery) -> float:
        """Start every try that is due and has room; the seconds until another may be."""
        now = self._steady.now()
        gone = await self._store.abandon(
            keep=tuple(self._sinks), busy=tuple(self._in_flight), error=_NOT_CONFIGURED, at=now
        )
        if gone:
            self._log.error("given up %d deliveries: %s", gone, _NOT_CONFIGURED)
        heads = collections.defaultdict(list)
        for delivery in await self._store.due(now, room=self._room(), busy=tuple(self._in_flight)):
            heads[delivery.sink].append(delivery)
        gathering = _Gathering()
        for name, found in heads.items():
            if name in self._sinks:  # else it has just left; the next round gives up what it had
                await self._start(self._sinks[name], self._paces[name], found, now, gathering, tries)
        return await self._pause(gathering)

    def _room(self) -> dict[str, int]:
        """How many heads of lanes to look at for each sink that may be tried now."""
        moment = self._clock.monotonic()
        rooms = {name: self._paces[name].room(moment) for name in self._sinks}
        return {
            name: MOST_TOGETHER if self._sinks[name].manner.groups else room for name, room in rooms.items() if room > 0
        }

    async def _start(
        self,
        settings: SinkSettings,
        pace: Pace,
        heads: Sequence[Delivery],
        now: datetime,
        gathering: _Gathering,
        tries: trio.Nursery,
    ) -> None:
        """Start the tries of one sink, as many as it has room for; what it may still gather waits."""
        loose = []
        for head in heads:
            lane = head.sink, head.endpoint
            if head.id in self._in_flight:
                continue  # it went with another
            if lane in self._in_flight.values() or lane in self._resender.lanes:
                gathering.wait(head)  # something else is on its way there: when that ends, it rings
            elif settings.manner.groups and head.digest is None:
                loose.append(head)
            elif self._has_room(pace) and (some := await self._together(settings, head)):
                self._begin(settings, pace, some, tries)  # of nothing, if a store that broke knows it no more
        if not loose or not self._has_room(pace):
            return
        ready_at = min(each.created_at for each in loose) + timedelta(seconds=settings.group_wait)
        if ready_at > now and len(loose) < MOST_TOGETHER and not self._draining:
            gathering.add(loose, ready_at)
        else:
            self._begin(settings, pace, loose, tries)

    def _has_room(self, pace: Pace) -> bool:
        return pace.room(self._clock.monotonic()) > 0

    async def _together(self, settings: SinkSettings, head: Delivery) -> Sequence[Delivery]:
        """What goes out with *head*: what was fixed before its first try, else what its sink may hear as one."""
        if head.digest is not None:
            return await self._store.members(head.id)
        if settings.manner.merges and head.attempts == 0:
            return story(head, await self._store.behind(head.id, limit=MOST_BEHIND))
        return (head,)

    def _begin(self, settings: SinkSettings, pace: Pace, deliveries: Sequence[Delivery], tries: trio.Nursery) -> None:
        pace.began(self._clock.monotonic())
        self._in_flight.update({each.id: (each.sink, each.endpoint) for each in deliveries})
        tries.start_soon(self._try, deliveries, settings, pace, name=f"delivery:{settings.name}:{deliveries[0].id}")

    async def _pause(self, gathering: _Gathering) -> float:
        """The seconds until another try may begin."""
        now, moment = self._steady.now(), self._clock.monotonic()
        # A sink without room is asked again when one of its tries ends, which rings, or when its pause is over.
        waits = [self._paces[name].opens_at(moment) for name in self._sinks]
        pauses = [LONGEST_SLEEP, *(at - moment for at in waits if at is not None)]
        busy = (*self._in_flight, *gathering.deliveries)
        due_at = await self._store.next_due(sinks=tuple(self._room()), busy=busy)
        pauses += [(at - now).total_seconds() for at in (due_at, gathering.ready_at) if at is not None]
        return max(0.0, min(pauses))

    async def _try(self, deliveries: Sequence[Delivery], settings: SinkSettings, pace: Pace) -> None:
        """Try *deliveries* once, as one message where the sink takes several in one, and write down what came of it."""
        try:
            fixed, name = await self._fixed(deliveries, settings)
            began = self._clock.wall()
            sent = messages(fixed, name=name, sink=settings.name, now=began, net=self._net, clock=self._clock)
            match await attempt(settings, sent, timeout=self._try_timeout, log=self._log):
                case Delivered(said):
                    await self._ledger.delivered(fixed, settings, pace, said)
                    self._resender.delivered(settings.name, fixed)
                case DeliveryError() as error:
                    first_try_at = fixed[0].first_try_at or began
                    if await self._ledger.failed(fixed, settings, pace, error, first_try_at=first_try_at):
                        self._resender.given_up(settings.name, fixed)
        finally:
            for each in deliveries:
                del self._in_flight[each.id]
            pace.ended()
            self.ring()
            self._progressed()

    async def _fixed(
        self, deliveries: Sequence[Delivery], settings: SinkSettings
    ) -> tuple[Sequence[Delivery], str | None]:
        """Fix, before the first try, what goes out together and how it is called: it never changes after.

        One alert is called by its own id. Without a name, each goes out by itself.
        """
        if not (settings.manner.groups or settings.manner.merges):
            return deliveries, None
        if deliveries[0].digest is not None:
            return deliveries, deliveries[0].digest
        name = deliveries[0].alert if len(deliveries) == 1 else self._rand.id()
        try:
            await self._store.bundle([each.id for each in deliveries], digest=name)
        except StoreError as exc:
            # What cannot be written down goes out as it will be without: the first alert, alone.
            self._ledger.store_trouble(exc)
            return deliveries[:1], deliveries[0].alert
        return deliveries, name

    def _progressed(self) -> None:
        self._progress.set()
        self._progress = trio.Event()


class _Gathering:
    """Alerts that may go in one message, and wait for others until a moment."""

    def __init__(self) -> None:
        self.deliveries: list[int] = []
        self.ready_at: datetime | None = None

    def wait(self, delivery: Delivery) -> None:
        """*delivery* waits for something else than time."""
        self.deliveries.append(delivery.id)

    def add(self, deliveries: Sequence[Delivery], ready_at: datetime) -> None:
        self.deliveries += [each.id for each in deliveries]
        self.ready_at = ready_at if self.ready_at is None else min(self.ready_at, ready_at)
