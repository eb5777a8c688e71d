"""A supervisor with companions, and everything that it observed: for checks that keep something between two probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from monitor.companion import Companions
from monitor.probing import probe_once
from monitor.supervisor import Supervisor
from support.ports import TrioClock

if TYPE_CHECKING:
    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Clock


class Watch:
    """Watches what it is told to; *unconfirmed*: what is not up is looked at again after the retry interval."""

    def __init__(
        self, nursery: trio.Nursery, *, net: Any = None, clock: Clock | None = None, unconfirmed: bool = False
    ) -> None:
        self.clock = clock or TrioClock()
        self.companions = Companions(self.clock)
        self.seen: dict[str, list[tuple[float, Observation]]] = {}
        self._net = net
        self._unconfirmed = unconfirmed
        self._came = trio.Event()
        self.supervisor = Supervisor(
            nursery,
            probe=self._probe,
            record=self._record,
            slots=trio.CapacityLimiter(2000),
            beside=self.companions.beside,
        )

    async def _probe(self, watched: Endpoint) -> Observation:
        companion = self.companions.of(watched)
        return await probe_once(watched, net=self._net, clock=self.clock, mask=None, companion=companion)

    async def _record(self, watched: Endpoint, observation: Observation) -> bool:
        self.seen.setdefault(watched.name, []).append((trio.current_time(), observation))
        self._came.set()
        return self._unconfirmed and observation.status != "up"

    async def until(self, count: int, name: str = "it") -> Observation:
        """Wait for the observation number *count* of the endpoint *name*, from 1."""
        while len(self.seen.get(name, ())) < count:
            self._came = trio.Event()
            await self._came.wait()
        return self.seen[name][count - 1][1]

    def story(self, name: str = "it") -> list[str]:
        """What was said of the endpoint *name*, in order."""
        return [each.reason.message or "up" for _, each in self.seen[name]]
