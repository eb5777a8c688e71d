"""Everything between a check and a sink in one process, by autojump: supervisor, recorder and outbox over a store."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import attrs
import trio

from monitor.api import Check, Message, Probe, Sink, Verdict, check_option
from monitor.config import SinkSettings
from monitor.core.quantities import Duration
from monitor.live import LiveFeed
from monitor.outbox import Outbox
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.supervisor import Supervisor
from support.memory_store import MemoryStore
from support.ports import PlainRand, TrioClock
from support.probes import endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.core.model import Endpoint, Observation, Route
    from monitor.holds import Circumstances
    from monitor.net import Net
    from monitor.store import Store


@attrs.frozen(kw_only=True, eq=False)
class Scripted(Check):
    """Answers by a script, a letter a probe, the last one for ever: + up, ~ degraded, - down, ? unknown."""

    script: list[str] = check_option(doc="what to answer")

    async def probe(self, probe: Probe) -> Verdict:
        letter = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        match letter:
            case "+":
                return Verdict.up()
            case "~":
                return Verdict.degraded("expected quick, got slow")
            case "-":
                return Verdict.down("expected status 200-299, got 503")
            case _:
                raise ValueError("the check itself is broken")


@attrs.define(kw_only=True)
class Told(Sink):
    """Remembers what it was told."""

    documents: list[dict[str, Any]] = attrs.field(factory=list)

    async def send(self, message: Message) -> None:
        self.documents.append(json.loads(message.body))

    @property
    def types(self) -> list[str]:
        return [document["type"].removeprefix("alert.") for document in self.documents]


class House:
    """Everything between a check and a sink; a second one on the same *store*, with the same *rand*, is a restart."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        store: Store | None = None,
        rand: PlainRand | None = None,
        circumstances: Circumstances | None = None,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self.store: Any = store or MemoryStore()
        self.clock = TrioClock()
        self.rand = rand or PlainRand()
        self.feed = LiveFeed()
        self.ops, self.chat = Told(), Told()
        self.routes = dict(routes or {})
        self.endpoints: dict[str, Endpoint] = {}
        net: Net = None  # type: ignore[assignment] # nothing here connects
        settings = {
            name: SinkSettings(name=name, kind="told", sink=sink, give_up_after=Duration(999))
            for name, sink in (("ops", self.ops), ("chat", self.chat))
        }
        self.outbox = Outbox(
            self.store, settings, net=net, clock=self.clock, rand=self.rand, log=logging.getLogger("t"), mask=str
        )
        self.recorder = Recorder(
            self.store,
            clock=self.clock,
            rand=self.rand,
            feed=self.feed,
            ring=self.outbox.ring,
            circumstances=circumstances,
        )

        async def probe(watched: Endpoint) -> Observation:
            return await probe_once(watched, net=net, clock=self.clock, mask=None)

        self.supervisor = Supervisor(nursery, probe=probe, record=self.recorder.record, slots=trio.CapacityLimiter(100))
        self.recorder.probe_now = self.supervisor.probe_now
        nursery.start_soon(self.outbox.run)
        nursery.start_soon(self.recorder.run)

    def watch(self, script: str, **settings: Any) -> None:
        """Probe `it`, or another *name*, every ten seconds, with these answers."""
        watched = self._configured(script, settings)
        self.supervisor.start(watched)

    def change(self, script: str, **settings: Any) -> None:
        """What a reload does that changes an endpoint."""
        self.supervisor.replace(self._configured(script, settings))

    def _configured(self, script: str, settings: Mapping[str, Any]) -> Endpoint:
        wanted = {"interval": 10, "retry_interval": 10, "timeout": 2, "sinks": ("ops",)} | settings
        watched = endpoint(Scripted(script=list(script)), **wanted)
        self.endpoints[watched.name] = watched
        self.recorder.configure(self.endpoints.values(), self.routes, None)
        return watched

    async def leave(self, name: str = "it") -> None:
        """What a reload does that no longer has the endpoint."""
        await self.supervisor.stop(name).wait()
        del self.endpoints[name]
        self.recorder.configure(self.endpoints.values(), self.routes, None)
        await self.recorder.forget_all_but(self.endpoints)

    async def states(self) -> str:
        """Every transition with its outcome."""
        transitions = await self.store.transitions()
        return " ".join(f"{each.before}>{each.after}:{each.outcome}" for each in transitions)
