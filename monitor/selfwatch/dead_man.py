"""The dead man's switch: a sign of life each minute to somebody who notices when it stays out (`[monitor] dead_man`).

It is sent only while all is well: the daemon is ready, which says that its loop turns and its checkers make progress,
and the store has just taken a write. Where it goes is a secret: nothing of the URL is ever logged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from monitor.core.errors import StoreError
from monitor.core.model import timestamp
from monitor.core.quantities import seconds_text
from monitor.core.text import printable, silent_about
from monitor.selfwatch.calls import CallError, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.core.ports import Clock
    from monitor.net import Net
    from monitor.store import Store

log = logging.getLogger(__name__)

EACH = 60.0  # seconds
PATIENCE = 10.0  # … for one
_SETTLE = 3.0  # … after the start, when the first probes are under way
NOTE = "sign_of_life"


class DeadMan:
    """Sends the signs of life."""

    def __init__(
        self,
        store: Store,
        *,
        net: Net,
        clock: Clock,
        url: Callable[[], str | None],
        not_ready: Callable[[], str | None],
    ) -> None:
        """Send to the *url* of the moment unless the daemon is *not_ready*."""
        self._store = store
        self._net = net
        self._clock = clock
        self._url = url
        self._not_ready = not_ready
        self._trouble: str | None = None

    async def run(self) -> None:
        """Send one soon, and one each minute, until cancelled."""
        due = self._clock.monotonic() + _SETTLE
        while True:
            await trio.sleep_until(due)
            if (url := self._url()) is None:
                self._trouble = None
            else:
                self._tell(await self._send(url))
            due += EACH
            due = max(due, self._clock.monotonic())  # after a stop of the process: one, not all that were missed

    async def _send(self, url: str) -> str | None:
        """Send one, if all is well; why not, or None."""
        if cause := self._not_ready():
            return f"not sent: {cause}"
        try:
            await self._store.note(NOTE, timestamp(self._clock.wall()))
        except StoreError as exc:
            return f"not sent: {exc}"
        if cause := self._store.trouble:
            return f"not sent: {cause}"
        with trio.move_on_after(PATIENCE):
            try:
                status = await call(url, net=self._net, clock=self._clock)
            except CallError as exc:
                return printable(silent_about(url, str(exc)))
            return None if status is None or 200 <= status < 300 else f"HTTP {status}"
        return f"no answer within {seconds_text(PATIENCE)}"

    def _tell(self, trouble: str | None) -> None:
        """Log what changed."""
        if (trouble is None) != (self._trouble is None):
            if trouble is None:
                log.info("the sign of life is sent again")
            else:
                log.warning("the sign of life is missing: %s", trouble)
        self._trouble = trouble
