"""What came of a try, written down: delivered, put off, or given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from monitor.core.delivery import GONE, LONGEST_RETRY_AFTER, Dead, Retry, after_failure, is_refusal
from monitor.core.errors import StoreError
from monitor.core.text import printable

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from monitor.config import SinkSettings
    from monitor.core.errors import DeliveryError
    from monitor.core.model import Delivery
    from monitor.core.pacing import Pace
    from monitor.core.ports import Clock, Rand
    from monitor.core.steady import SteadyClock
    from monitor.core.tally import Tally
    from monitor.store import Store

STORE_PAUSE = 1.0  # seconds until a store that failed is asked again
_LONGEST_ERROR = 500  # characters


class Ledger:
    """Writes to the store, and says in the log what is news: a sink, or the store, that fails or works again."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        steady: SteadyClock,
        rand: Rand,
        log: logging.Logger,
        mask: Callable[[str], str],
        tally: Tally,
    ) -> None:
        """Write to *store*, count in *tally*; *mask* takes secrets out of what is kept of a failure."""
        self._store = store
        self._clock = clock
        self._steady = steady
        self._rand = rand
        self._log = log
        self._mask = mask
        self._tally = tally
        self._store_failed = False

    async def delivered(
        self, deliveries: Sequence[Delivery], settings: SinkSettings, pace: Pace, said: str | None
    ) -> None:
        """The sink took *deliveries*, in one message or one after the other."""
        attempts = deliveries[0].attempts + 1
        at = self._clock.wall()
        await self._write(lambda: self._store.settle(*_ids(deliveries), attempts=attempts, at=at))
        if pace.answered():
            self._log.info("sink %s works again", settings.name)
        self._tally.delivered(settings.name, "delivered", len(deliveries))
        for each in deliveries:
            self._log.debug("delivered %s to %s at try %d: %s", each.alert, each.sink, attempts, said or "ok")

    async def failed(
        self,
        deliveries: Sequence[Delivery],
        settings: SinkSettings,
        pace: Pace,
        error: DeliveryError,
        *,
        first_try_at: datetime,
    ) -> bool:
        """The sink did not take *deliveries*: put them off, or give them up; say whether it came to that."""
        attempts = deliveries[0].attempts + 1
        now = self._steady.now()
        text = self._told(str(error))
        self._take_pace(deliveries[0], pace, error, text)
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
                self._tally.delivered(settings.name, "retry", len(deliveries))
                await self._write(
                    lambda: self._store.postpone(
                        *_ids(deliveries),
                        attempts=attempts,
                        first_try_at=first_try_at,
                        not_before=not_before,
                        error=text,
                    )
                )
            case Dead() if len(deliveries) > 1 and is_refusal(error) and error.status != GONE:
                self._tally.delivered(settings.name, "retry", len(deliveries))
                await self._set_apart(deliveries, now, text)
                return False
            case Dead(why):
                text = self._told(why)
                self._tally.delivered(settings.name, "dead", len(deliveries))
                for each in deliveries:
                    self._log.error("gave up %s %s to %s: %s", each.type, each.alert, each.sink, text)
                await self._write(lambda: self._store.bury(*_ids(deliveries), attempts=attempts, error=text, at=now))
        return isinstance(answer, Dead)

    async def _set_apart(self, deliveries: Sequence[Delivery], now: datetime, error: str) -> None:
        """The message that told *deliveries* is given up; each is tried by itself, so that one takes no other along."""
        sink = deliveries[0].sink
        self._log.warning(
            "sink %s refuses %d alerts in one message, each goes by itself: %s", sink, len(deliveries), error
        )
        for each in deliveries:
            await self._write(lambda each=each: self._store.bundle((each.id,), digest=each.alert))  # type: ignore[misc]
        await self._write(
            lambda: self._store.postpone(*_ids(deliveries), attempts=0, first_try_at=now, not_before=now, error=error)
        )

    def _take_pace(self, head: Delivery, pace: Pace, error: DeliveryError, text: str) -> None:
        """How the sink is tried from now on: one that reads and refuses works, all else is trouble of its own."""
        if is_refusal(error):
            if pace.answered():
                self._log.info("sink %s works again", head.sink)
            self._log.warning("sink %s refuses %s %s: %s", head.sink, head.type, head.alert, text)
            return
        asked = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)
        if pace.failed(head.endpoint, self._clock.monotonic(), asked=asked):
            self._log.warning("sink %s: %s; tried again until it works", head.sink, text)

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
                self.store_trouble(exc)
                await trio.sleep(STORE_PAUSE)
            else:
                self.store_works()
                return

    def store_trouble(self, exc: StoreError) -> None:
        """The store failed; told once."""
        if not self._store_failed:
            self._store_failed = True
            self._log.error("deliveries wait for the store: %s", exc)

    def store_works(self) -> None:
        """The store answered."""
        if self._store_failed:
            self._store_failed = False
            self._log.info("the store works again")


def _ids(deliveries: Sequence[Delivery]) -> list[int]:
    return [each.id for each in deliveries]
