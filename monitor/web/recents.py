"""The latest results of every endpoint, for the bars and sparklines of the pages.

They are read from the store when somebody looks, only those since the last look, and kept here: as much memory as
that takes is taken by who looks, and a page of a thousand endpoints asks the database for a few rows.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.errors import StoreError
from monitor.core.model import Status
from monitor.web.drawing import LETTERS, bar, in_words, level, spark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from markupsafe import Markup

    from monitor.store import Result
    from monitor.web import Face

CELLS = 60  # results of each endpoint
FRESH = 1.0  # seconds
_PIECE = 5_000  # results read at one go: some milliseconds, in which nothing can be written
_MOST = 100_000  # … in all for one look; who is probed rarely among many who are not begins with fewer
_NEWEST = 2**63 - 1
_GOOD = (Status.UP, Status.DEGRADED)


@attrs.frozen
class Drawn:
    """The latest results of one endpoint as the pages show them."""

    words: str  # how many of which status
    bar: Markup
    spark: Markup


@attrs.define(eq=False)
class Recent:
    """The latest results of one endpoint, oldest first, at most `CELLS`."""

    letters: str = ""  # of their statuses, as `LETTERS` has them
    levels: array[int] = attrs.field(factory=lambda: array("q"))  # of their latencies; `NO_LEVEL`: it was no good one
    at: datetime | None = None  # when the latest began
    _drawn: Drawn | None = None

    def add(self, result: Result) -> None:
        """Add what came next."""
        self.letters = (self.letters + LETTERS[result.status])[-CELLS:]
        self.levels.append(level(result.duration if result.status in _GOOD else None))
        del self.levels[:-CELLS]
        self.at = result.started_at
        self._drawn = None

    @property
    def drawn(self) -> Drawn:
        """Drawn once for all who look at it."""
        if self._drawn is None:
            words = in_words(self.letters)
            self._drawn = Drawn(words, bar(self.letters, CELLS, self.at), spark(self.levels, CELLS))
        return self._drawn


class Recents:
    """What was read so far."""

    def __init__(self, face: Face) -> None:
        """Know nothing yet."""
        self._face = face
        self._known: dict[str, Recent] = {}
        self._watched: set[str] = set()
        self._newest = 0
        self._read_at = -math.inf

    def of(self, endpoint: str) -> Recent:
        """The latest results of *endpoint*, as of the last `refresh`."""
        return self._known.get(endpoint) or Recent()

    async def refresh(self) -> None:
        """Read what is new; while the database cannot be read, what was known stays."""
        now = trio.current_time()
        if now - self._read_at < FRESH:
            return
        self._read_at = now  # whoever comes meanwhile takes what is known: nobody waits twice
        watched = {each.name for each in self._face.config.enabled}
        known = self._known
        if not watched <= self._watched:  # who came may have been here before: begin anew
            known, self._newest = {}, 0
        try:
            found = await self._new_results()
        except StoreError:
            return
        self._watched = watched
        self._known = {name: recent for name, recent in known.items() if name in watched}
        for result in reversed(found):
            if result.endpoint in watched:
                self._known.setdefault(result.endpoint, Recent()).add(result)

    async def _new_results(self) -> Sequence[Result]:
        """What came since the last look, newest first; no more than can be shown."""
        found: list[Result] = []
        before = _NEWEST
        while len(found) < _MOST:
            some = await self._face.store.results(after=self._newest, before=before, limit=_PIECE)
            found += some
            if len(some) < _PIECE:
                break
            before = some[-1].id
        if found:
            self._newest = found[0].id
        elif self._newest:
            newest = await self._face.store.results(after=0, before=_NEWEST, limit=1)
            if not newest or newest[0].id < self._newest:
                self._newest = 0  # another database took the place of a damaged one: begin with it at the next look
        return found
