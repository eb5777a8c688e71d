"""The monitor watching itself: between a probe and its record, and beside everything else.

reference.py      was it the endpoint, or is it me?
own_trouble.py    what the monitor cannot do, told to `[monitor] sinks`
dead_man.py       a sign of life, for the day when it cannot tell anything
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from monitor.core.health import Health
from monitor.core.model import Status
from monitor.selfwatch.dead_man import DeadMan
from monitor.selfwatch.own_trouble import OwnTrouble
from monitor.selfwatch.reference import References

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.config import Config
    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Clock, Rand
    from monitor.net import Net
    from monitor.recorder import Recorder
    from monitor.store import Store


class SelfWatch:
    """Everything that the monitor knows of itself."""

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        *,
        net: Net,
        clock: Clock,
        rand: Rand,
        config: Callable[[], Config],
        not_ready: Callable[[], str | None],
        ring: Callable[[], None],
    ) -> None:
        """Stand before *recorder*; *config* is the one in force, *ring* wakes the outbox."""
        self._recorder = recorder
        self._config = config
        self.trouble = OwnTrouble(store, clock=clock, rand=rand, sinks=lambda: config().self_sinks, ring=ring)
        self._references = References(
            net=net,
            clock=clock,
            urls=lambda: config().reference,
            mask=lambda: config().masker,
            trouble=self.trouble,
        )
        self._dead_man = DeadMan(store, net=net, clock=clock, url=lambda: config().dead_man, not_ready=not_ready)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Go on from the last stop; started when `record` may be called."""
        await self.trouble.load()
        self.watch()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.trouble.run)
            await nursery.start(self._references.run)
            task_status.started()
            await self._dead_man.run()

    def watch(self) -> None:
        """The config is another, or was just read."""
        self.trouble.watch(self._config().enabled, self._recorder.records)

    def record(self, endpoint: Endpoint, observation: Observation) -> Awaitable[bool]:
        """See `Recorder.record`, which is all of it for nearly every observation."""
        match observation.status:
            case Status.UP | Status.DEGRADED if endpoint.name not in self.trouble.unknown and not endpoint.invert:
                return self._recorder.record(endpoint, observation)
            case _:
                return self._record_with_care(endpoint, observation)

    async def _record_with_care(self, endpoint: Endpoint, observation: Observation) -> bool:
        before = self._recorder.records.get(endpoint.name)
        health = Health() if before is None else before.health
        observation = await self._references.second_look(endpoint, health, observation)
        unconfirmed = await self._recorder.record(endpoint, observation)
        self.trouble.saw(endpoint, self._recorder.records[endpoint.name])
        return unconfirmed
