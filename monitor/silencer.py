"""Silences at run time: made, ended and kept in the store; who is concerned is told."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import trio

from monitor.core.errors import MonitorError
from monitor.core.silences import MOST, Silence, Silences

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.core.ports import Clock, Rand
    from monitor.store import Store

log = logging.getLogger(__name__)

NOTE = "silences"
ASIDE = "silences.unreadable"


class TooManyError(MonitorError):
    """As many silences as there may be are active."""


class Silencer:
    """Knows every silence; *changed* is called when one was made or ended."""

    def __init__(self, store: Store, *, clock: Clock, rand: Rand, changed: Callable[[], None]) -> None:
        """Begin without any; `load` comes next."""
        self.silences = Silences()
        self._store = store
        self._clock = clock
        self._rand = rand
        self._changed = changed
        self._one = trio.Lock()

    async def load(self) -> None:
        """Read what is kept. What cannot be read silences nobody, and is kept aside. Raises StoreError."""
        note = await self._store.noted(NOTE)
        try:
            self.silences = Silences(tuple(Silence.from_json(each) for each in note or ()))
        except (LookupError, TypeError, ValueError, AttributeError) as exc:
            log.warning("the silences cannot be read, none holds (they are kept as the note %s): %s", ASIDE, exc)
            await self._store.note(ASIDE, note)

    async def add(self, target: str, *, duration: float, author: str, comment: str) -> Silence:
        """Silence *target* for *duration* seconds from now on. Raises StoreError, TooManyError."""
        async with self._one:
            now = self._clock.wall()
            if len(self.silences.active(now)) >= MOST:
                raise TooManyError(f"there are {MOST} silences already: end some, or silence a group")
            silence = Silence(
                id=self._rand.id(),
                target=target,
                created_at=now,
                ends_at=now + timedelta(seconds=duration),
                author=author,
                comment=comment,
            )
            await self._put(silence)
            return silence

    async def end(self, ident: str) -> Silence | None:
        """End the silence *ident* now, if it has not ended; None: there is none. Raises StoreError."""
        async with self._one:
            silence = self.silences.get(ident)
            if silence is None or not silence.is_active(self._clock.wall()):
                return silence
            ended = silence.ended(self._clock.wall())
            await self._put(ended)
            return ended

    async def _put(self, silence: Silence) -> None:
        after = self.silences.put(silence, self._clock.wall())
        kept: list[dict[str, Any]] = [each.to_json() for each in after.every]
        with trio.CancelScope(shield=True):  # the copy here and the store must not part
            await self._store.note(NOTE, kept)
            self.silences = after
        self._changed()
