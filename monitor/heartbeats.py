"""Heartbeats that come: who sent one, when the next is due; kept in the store before they are answered.

Theory of operation. A push is remembered, written, and wakes the checker of its endpoint, whose check looks at it; so
what a push means goes the way of every probe. Until the next one is late there is nothing to look at, and no probe.

What comes while nobody listens is nobody's fault: time in which the monitor stood still does not count, and after a
start the next heartbeat has all of its time again; but for an endpoint that was down, which stays so until it is heard.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.heartbeats import Beat, Push
from monitor.core.model import State, Status
from monitor.plugin import Check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from monitor.core.model import Endpoint
    from monitor.core.ports import Clock
    from monitor.store import Record, Store

log = logging.getLogger(__name__)

NOTE = "heartbeat:"
LONGEST = 500  # characters of a message


@attrs.define(eq=False)
class _Heart:
    """An endpoint that is heard."""

    endpoint: Endpoint
    heard_at: float  # on the loop's clock: the last heartbeat, or the begin of listening
    stalled: float  # how long the monitor had stood still by then
    push: Push | None = None
    missed: bool = False  # it was down when the monitor stopped, and was not heard since
    started_at: float | None = None  # it says that it runs
    written: Push | None = None
    looked_at: Push | None = None  # by the check, in this process
    turn: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def patience(self) -> float:
        return self.endpoint.interval + getattr(self.endpoint.check, "grace", 0.0)


class Heartbeats:
    """Everybody who is heard; *woken* is told the name of who was."""

    def __init__(self, store: Store, *, clock: Clock, woken: Callable[[str], None]) -> None:
        """Begin with nobody; `configure` and `load` come next."""
        self._store = store
        self._clock = clock
        self._woken = woken
        self._hearts: dict[str, _Heart] = {}
        self._by_token: dict[bytes, _Heart] = {}

    def configure(self, endpoints: Iterable[Endpoint]) -> None:
        """Listen to those of *endpoints* that push; who stays is remembered."""
        hearts = {}
        for endpoint in endpoints:
            if _token_of(endpoint) is None:
                continue
            heart = self._hearts.get(endpoint.name)
            if heart is None:
                heart = _Heart(endpoint, self._clock.monotonic(), self._clock.stalled())
            heart.endpoint = endpoint
            hearts[endpoint.name] = heart
        self._hearts = hearts
        self._by_token = {_digest(_token_of(each.endpoint) or ""): each for each in hearts.values()}

    async def load(self, records: Mapping[str, Record]) -> None:
        """Read the last heartbeat of each, of which *records* say how they stood. Raises StoreError."""
        for name, heart in self._hearts.items():
            kept = await self._store.noted(NOTE + name)
            try:
                heart.push = heart.written = None if kept is None else Push.from_json(kept)
            except (LookupError, TypeError, ValueError) as exc:
                log.warning("the last heartbeat of %s cannot be read: %s", name, exc)
            record = records.get(name)
            if record is not None and record.last is not None and record.health.state is State.DOWN:
                heart.missed = heart.push is None or heart.push.at <= record.last.started_at

    async def push(
        self, token: str, *, signal: str | None = None, message: str = "", ping: float | None = None
    ) -> bool:
        """Take a heartbeat: *signal* `up` (None), `down`, `start` or `log`; False: nobody has this *token*.

        Returns once it is kept. Raises StoreError.
        """
        heart = self._by_token.get(_digest(token))
        if heart is None:
            return False
        now = self._clock.monotonic()
        match signal:
            case "log":
                return True
            case "start":
                heart.started_at = now
                return True
        run_time = None if heart.started_at is None else round(now - heart.started_at, 3)
        heart.push = Push(
            at=self._clock.wall(),
            status=Status.DOWN if signal == "down" else Status.UP,
            message=message[:LONGEST],
            ping=ping,
            run_time=run_time,
        )
        heart.heard_at, heart.stalled = now, self._clock.stalled()
        heart.missed, heart.started_at = False, None
        self._woken(heart.endpoint.name)
        await self._keep(heart)
        return True

    async def _keep(self, heart: _Heart) -> None:
        """Write the latest; of many that come at once only some are written, and nobody is answered before."""
        wanted = heart.push
        async with heart.turn:
            if heart.push is not wanted and heart.written is heart.push:
                return  # a later one was written meanwhile
            push = heart.push
            assert push is not None  # noqa: S101 - it has just come
            with trio.CancelScope(shield=True):
                await self._store.note(NOTE + heart.endpoint.name, push.to_json())
            heart.written = push

    def beat(self, endpoint: Endpoint) -> Beat | None:
        """How it stands with the heartbeats of *endpoint*; None: it sends none."""
        heart = self._hearts.get(endpoint.name)
        if heart is None:
            return None
        heart.looked_at = heart.push
        now = self._clock.monotonic()
        silence = now - heart.heard_at
        if heart.missed and heart.push is not None:
            silence = max(silence, (self._clock.wall() - heart.push.at).total_seconds())
        late = now >= self._due(heart)
        return Beat(push=heart.push, silence=silence, interval=endpoint.interval, late=late)

    def quiet_until(self, endpoint: Endpoint) -> float | None:
        """When there will be something to see, on the loop's clock; None: there is always."""
        heart = self._hearts.get(endpoint.name)
        if heart is None or heart.looked_at is not heart.push:
            return None
        due = self._due(heart)
        return due if due > self._clock.monotonic() else None

    def _due(self, heart: _Heart) -> float:
        if heart.missed:
            return heart.heard_at
        return heart.heard_at + heart.patience + (self._clock.stalled() - heart.stalled)


def _token_of(endpoint: Endpoint) -> str | None:
    check = endpoint.check
    return check.push_token if isinstance(check, Check) else None


def _digest(token: str) -> bytes:
    """What a token is found by: comparing these tells nothing of it, however long it takes."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
