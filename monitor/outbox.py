"""The outbox: due deliveries to their sinks, at least once and in order (PRODUCT section 4).

    round    ask the store what is due and has room, start a try for each, sleep until more may be due
    try      one `Sink.send` under one deadline, in a nursery of its own, then what came of it is written down

All state is in the store. In memory is only what is in flight: its ids are kept out of the next round, so that a
lane (one sink, one endpoint) never has two tries at once. Each sink has its own room: one that hangs delays
nobody else. A restart finds everything as it was; what was in flight is tried again.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import trio

from monitor.core.delivery import LONGEST_RETRY_AFTER, TRY_TIMEOUT, Dead, Retry, after_failure
from monitor.core.errors import DeliveryError, StoreError, describe
from monitor.core.quantities import seconds_text
from monitor.core.steady import SteadyClock
from monitor.core.text import printable
from monitor.plugin import Message

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from monitor.config import SinkSettings
    from monitor.core.model import Delivery
    from monitor.core.ports import Clock, Rand
    from monitor.net import Net
    from monitor.store import Store

MOST_AT_ONCE = 4  # tries in flight per sink
LONGEST_SLEEP = 60.0  # seconds: the wall clock may have been set forward meanwhile
STORE_PAUSE = 1.0  # seconds until a store that failed is asked again
_NOT_CONFIGURED = "sink no longer configured"
_LONGEST_ERROR = 500  # characters


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
    ) -> None:
        """Deliver from *store* to *sinks*, by name; *mask* takes secrets out of what is kept of a failure."""
        self._store = store
        self._sinks = dict(sinks)
        self._net = net
        self._clock = clock
        self._steady = SteadyClock(clock)  # for what is put off, so that a clock set back puts off nothing more
        self._rand = rand
        self._log = log
        self._mask = mask
        self._try_timeout = try_timeout
        self._in_flight: dict[int, str] = {}  # delivery -> its sink
        self._failing: set[str] = set()  # sinks whose last try failed, each told once
        self._store_failed = False
        self._ring, self._bell = trio.open_memory_channel[None](1)
        self._progress = trio.Event()  # set, and replaced, after each round and each try

    def ring(self) -> None:
        """Say that there may be something to do; never blocks, and a lost ring costs only time."""
        with suppress(trio.WouldBlock):  # already rung is rung enough
            self._ring.send_nowait(None)

    def replace_sinks(self, sinks: Mapping[str, SinkSettings]) -> None:
        """Deliver to these from now on; tries under way go on as they began."""
        self._sinks = dict(sinks)
        self._failing &= self._sinks.keys()
        self.ring()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled; tries in flight then are abandoned and stay pending."""
        async with trio.open_nursery() as tries:
            task_status.started()
            caught_up = False
            while True:
                try:
                    if not caught_up:
                        await self._catch_up()
                        caught_up = True
                    pause = await self._round(tries)
                except StoreError as exc:
                    self._store_trouble(exc)
                    await trio.sleep(STORE_PAUSE)
                    continue
                self._store_works()
                self._progressed()
                with trio.move_on_after(pause):
                    await self._bell.receive()

    async def _catch_up(self) -> None:
        """Where all that waits lies further ahead than any pause, the clock was set back while we were away."""
        due_at = await self._store.next_due(sinks=tuple(self._sinks))
        if due_at is not None and due_at - self._steady.now() > timedelta(seconds=LONGEST_RETRY_AFTER):
            self._steady.catch_up(due_at)

    async def drained(self) -> None:
        """Wait until nothing is in flight and nothing that is due now waits; what is put off to later may wait."""
        while True:
            progress = self._progress
            try:
                due_at = await self._store.next_due(sinks=tuple(self._sinks), busy=tuple(self._in_flight))
            except StoreError as exc:
                self._store_trouble(exc)
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
        for delivery in await self._store.due(now, room=self._room(), busy=tuple(self._in_flight)):
            settings = self._sinks.get(delivery.sink)
            if settings is None:
                continue  # its sink has just left; the next round gives it up
            self._in_flight[delivery.id] = delivery.sink
            tries.start_soon(self._try, delivery, settings, name=f"delivery:{delivery.sink}:{delivery.id}")
        # A sink without room is asked again when one of its tries ends, which rings.
        due_at = await self._store.next_due(sinks=tuple(self._room()), busy=tuple(self._in_flight))
        if due_at is None:
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, max(0.0, (due_at - self._steady.now()).total_seconds()))

    def _room(self) -> dict[str, int]:
        """How many more tries each sink may have; those without any are left out."""
        taken = Counter(self._in_flight.values())
        return {name: MOST_AT_ONCE - taken[name] for name in self._sinks if taken[name] < MOST_AT_ONCE}

    async def _try(self, delivery: Delivery, settings: SinkSettings) -> None:
        """Try *delivery* once and write down what came of it."""
        try:
            began = self._clock.wall()
            message = Message(
                id=delivery.alert,
                body=delivery.body,
                document=json.loads(delivery.body),
                attempt=delivery.attempts + 1,
                now=began,
                net=self._net,
                clock=self._clock,
            )
            error = await self._send(settings, message)
            if error is None:
                await self._delivered(delivery)
            else:
                await self._failed(delivery, settings, error, first_try_at=delivery.first_try_at or began)
        finally:
            del self._in_flight[delivery.id]
            self.ring()
            self._progressed()

    async def _send(self, settings: SinkSettings, message: Message) -> DeliveryError | None:
        """One bounded try: None when it was delivered, else why not.

        A sink that returned has delivered, even where the deadline or a shutdown came in the same moment.
        """
        delivered = False
        no_answer = DeliveryError(f"no answer within {seconds_text(self._try_timeout)}")

        async def contained() -> None:  # a task of its own: what a sink corrupts dies with it
            nonlocal delivered
            await settings.sink.send(message)
            delivered = True

        try:
            with trio.move_on_after(self._try_timeout) as deadline:
                async with trio.open_nursery() as own:
                    own.start_soon(contained)
        except BaseExceptionGroup as group:
            cancelled, _ = group.split(trio.Cancelled)
            if cancelled is not None:
                raise cancelled from None  # ours: we are stopping
            bug = _alone(group)
            if not isinstance(bug, Exception):
                raise
            return no_answer if deadline.cancel_called else self._refused(settings, bug)
        return None if delivered else no_answer

    def _refused(self, settings: SinkSettings, exc: Exception) -> DeliveryError:
        """What a sink raised: its own word, or a bug of it, which counts as a failure of the network."""
        if isinstance(exc, DeliveryError):
            # Its parts are the sink's own, and all that follows relies on them.
            status = exc.status if type(exc.status) is int else None
            asked = exc.retry_after
            retry_after = float(asked) if isinstance(asked, int | float) and math.isfinite(asked) else None
            return DeliveryError(describe(exc), status=status, retry_after=retry_after)
        self._log.error("sink %s crashed", settings.name, exc_info=exc)
        return DeliveryError(f"the sink crashed: {type(exc).__name__}: {describe(exc)}")

    async def _delivered(self, delivery: Delivery) -> None:
        attempts = delivery.attempts + 1
        at = self._clock.wall()
        await self._write(lambda: self._store.settle(delivery.id, attempts=attempts, at=at))
        if delivery.sink in self._failing:
            self._failing.discard(delivery.sink)
            self._log.info("sink %s works again", delivery.sink)
        self._log.debug("delivered %s to %s at try %d", delivery.alert, delivery.sink, attempts)

    async def _failed(
        self, delivery: Delivery, settings: SinkSettings, error: DeliveryError, *, first_try_at: datetime
    ) -> None:
        attempts = delivery.attempts + 1
        now = self._steady.now()
        answer = after_failure(
            error,
            attempts=attempts,
            first_try_at=first_try_at,
            give_up_after=settings.give_up_after,
            now=now,
            rand=self._rand,
        )
        match answer:
            case Retry(not_before):
                text = self._told(str(error))
                if settings.name not in self._failing:
                    self._failing.add(settings.name)
                    self._log.warning("sink %s: %s; tried again until it works", settings.name, text)
                await self._write(
                    lambda: self._store.postpone(
                        delivery.id, attempts=attempts, first_try_at=first_try_at, not_before=not_before, error=text
                    )
                )
            case Dead(why):
                text = self._told(why)
                self._log.error("gave up %s %s to %s: %s", delivery.type, delivery.alert, delivery.sink, text)
                await self._write(lambda: self._store.bury(delivery.id, attempts=attempts, error=text, at=now))

    def _told(self, text: str) -> str:
        """What a sink said, fit to be kept and shown: no secret, one line, not too long."""
        return printable(self._mask(text))[:_LONGEST_ERROR]

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write what came of a try, again and again until the store takes it: its lane waits as long.

        Shielded, so that nothing comes between a 2xx and its being written down; only the pauses end with us.
        """
        while True:
            try:
                with trio.CancelScope(shield=True):
                    await write()
            except StoreError as exc:
                self._store_trouble(exc)
                await trio.sleep(STORE_PAUSE)
            else:
                self._store_works()
                return

    def _store_trouble(self, exc: StoreError) -> None:
        if not self._store_failed:
            self._store_failed = True
            self._log.error("deliveries wait for the store: %s", exc)

    def _store_works(self) -> None:
        if self._store_failed:
            self._store_failed = False
            self._log.info("the store works again")

    def _progressed(self) -> None:
        self._progress.set()
        self._progress = trio.Event()


def _alone(exc: BaseException) -> BaseException:
    """What a group of one holds, however deep: nurseries wrap whatever passes through them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc
