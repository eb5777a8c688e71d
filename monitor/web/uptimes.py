"""Uptime of every endpoint, read once for all who ask within a while: the API, the pages and the live feed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import trio

from monitor.core.errors import StoreError
from monitor.web.objects import UPTIME_WINDOWS, uptime_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.web import Face

FRESH = 10.0  # seconds
_WINDOWS = {name: timedelta(hours=int(name[:-1]) * (24 if name[-1] == "d" else 1)) for name in UPTIME_WINDOWS}


class Uptimes:
    """What was read last."""

    def __init__(self, face: Face) -> None:
        """Know nothing yet."""
        self._face = face
        self._known: Mapping[str, Mapping[str, float | None]] = {}
        self._read_at: float | None = None

    async def refresh(self) -> None:
        """Read anew what is too old; while the database cannot be read, what was known stays."""
        now = trio.current_time()
        if self._read_at is not None and now - self._read_at < FRESH:
            return
        self._read_at = now  # whoever comes meanwhile takes what is known: nobody waits twice
        try:
            found = await self._face.store.uptime(windows=_WINDOWS, now=self._face.clock.wall())
        except StoreError:
            return
        self._known = found

    def of(self, endpoint: str) -> dict[str, float | None]:
        """The fractions of time that *endpoint* was up, by window; null: not known."""
        known = self._known.get(endpoint)
        return uptime_json() if known is None else {name: _rounded(known[name]) for name in UPTIME_WINDOWS}


def _rounded(fraction: float | None) -> float | None:
    return None if fraction is None else round(fraction, 6)
