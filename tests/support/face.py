"""`monitor.web.Face` of real values, and the real server for it on loopback."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from monitor.api import Check, check_option
from monitor.config import Access, Config, Listen
from monitor.config.changes import Changes
from monitor.config.secrets import Masker
from monitor.core.alerting import NOTHING, Decision
from monitor.core.errors import MonitorError, Problem
from monitor.core.health import Health
from monitor.core.model import (
    OK,
    Acknowledgement,
    Code,
    Endpoint,
    Incident,
    Observation,
    Outcome,
    Reason,
    State,
    Status,
    Transition,
)
from monitor.core.tally import Tally
from monitor.holds import Holds
from monitor.live import LiveFeed, Moved, Observed
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.silencer import Silencer
from monitor.store import Entry, Record
from monitor.system import SystemClock
from monitor.web.app import create_app
from monitor.web.server import listen, serve
from support.entries import NOW, StandingClock
from support.memory_store import MemoryStore
from support.ports import PlainRand
from support.probes import endpoint

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    import trio

    from monitor.core.model import PutBack

LOOPBACK = Listen("127.0.0.1", 0)


@attrs.frozen(kw_only=True)
class Plain(Check):
    """A check that is only shown."""

    url: str = check_option(doc="where", default="https://shop.example.org/health")


def shop(name: str = "shop", **settings: Any) -> Endpoint:
    """An endpoint with a group, a label and a description."""
    wanted = {"group": "web", "labels": {"team": "shop"}, "description": "The shop."} | settings
    return endpoint(wanted.pop("check", None) or Plain(), name=name, **wanted)


def saw(name: str, status: Status = Status.UP, reason: Reason = OK, **settings: Any) -> Observation:
    """An observation with an address among its facts."""
    wanted: dict[str, Any] = {"duration": 0.084, "phases": {"connect": 0.002}, "facts": {"ip": "192.0.2.7"}}
    return Observation(endpoint=name, status=status, reason=reason, started_at=NOW, **(wanted | settings))


def record(name: str, state: State = State.UP, last: Observation | None = None, **settings: Any) -> Record:
    """How an endpoint stands: in *state* since NOW."""
    return Record(name=name, health=Health(state=state), since=NOW, last=last or saw(name), **settings)


REFUSED = Reason(Code.CONNECT, "connect", "192.0.2.7 refused the connection")


def down(name: str, reason: Reason = REFUSED, *, since: datetime = NOW) -> Record:
    """An endpoint that is down, with its open incident."""
    incident = Incident(id=f"i-{name}", endpoint=name, started_at=since, reason=reason)
    return record(name, State.DOWN, saw(name, Status.DOWN, reason), incident=incident)


def transition(name: str, reason: Reason = REFUSED, before: State = State.UP, after: State = State.DOWN) -> Transition:
    """An endpoint changes its state."""
    return Transition(
        endpoint=name, before=before, after=after, at=NOW, reason=reason, incident=f"i-{name}", outcome=Outcome.ALERTED
    )


@attrs.frozen
class Late:
    """How well a schedule is kept."""

    lag: float = 0.0
    missed: int = 0


class PlainFace:
    """See `monitor.web.Face`; everything in it may be set."""

    def __init__(
        self, endpoints: Sequence[Endpoint] = (), *, access: Access | None = None, listen: Listen = LOOPBACK
    ) -> None:
        self.config = Config(
            path=Path("config.toml"),
            listen=listen,
            data_dir=Path("/nowhere"),
            max_concurrent_probes=10,
            external_url=None,
            access=access or Access(),
            endpoints=tuple(endpoints),
            sinks=(),
            plugins=(),
            masker=Masker(),
        )
        self.store = MemoryStore()
        self.feed = LiveFeed()
        self.clock = StandingClock()
        self.rand = PlainRand()
        self.cause: str | None = None
        self.tally = Tally()
        self.pushes: list[tuple[str, str | None, str, float | None]] = []  # heartbeats that came
        self.late: dict[str, Late] = {}
        self.known: dict[str, Record] = {}
        self.flagged: dict[str, list[str]] = {}
        self.silencer = Silencer(self.store, clock=self.clock, rand=self.rand, changed=lambda: None)
        self.reload_problems: tuple[Problem, ...] = ()
        self.guests = 1  # how many may be probed that are not watched
        self.reloaded: Changes | MonitorError = Changes()  # what a reload comes to

    async def put_back(self, ids: Collection[int] | None, *, sink: str | None, force: bool) -> PutBack:
        return await self.store.put_back(ids, sink=sink, sinks=("ops",), force=force, at=self.clock.wall())

    async def probe(self, endpoint: Endpoint) -> Observation | None:
        """Really; there is room for `guests`."""
        if not self.guests:
            return None
        return await probe_once(endpoint, net=SocketNet(), clock=SystemClock(), mask=self.config.masker or None)

    async def heartbeat(self, token: str, *, signal: str | None, message: str, ping: float | None) -> bool:
        self.pushes.append((token, signal, message, ping))
        return token == "t0ken-of-public"

    async def reload(self) -> Changes:
        if isinstance(self.reloaded, MonitorError):
            raise self.reloaded
        return self.reloaded

    def flags(self, endpoint: Endpoint) -> Sequence[str]:
        record = self.known.get(endpoint.name) or Record(name=endpoint.name)
        live = Holds().flags(endpoint, record, self.known, self.clock.wall())
        return [*self.flagged.get(endpoint.name, []), *live]

    async def acknowledge(self, incident: str, *, by: str, comment: str) -> Incident | None:
        known = Acknowledgement(at=self.clock.wall(), by=by, comment=comment)
        for record in self.known.values():
            if record.incident is not None and record.incident.id == incident:
                self.knows(attrs.evolve(record, incident=attrs.evolve(record.incident, acknowledged=known)))
                return self.known[record.name].incident
        return None

    def records(self) -> Mapping[str, Record]:
        return self.known

    staying = 0

    def lateness(self) -> Mapping[str, Late]:
        return self.late

    def not_ready(self) -> str | None:
        return self.cause

    def knows(self, *records: Record) -> None:
        """Say how endpoints stand."""
        self.known.update({each.name: each for each in records})

    def observe(self, record: Record) -> None:
        """An endpoint was probed."""
        self.knows(record)
        (endpoint,) = (each for each in self.config.endpoints if each.name == record.name)
        self.feed.publish(Observed(endpoint, record))

    async def move(self, transition: Transition) -> Transition:
        """An endpoint changed its state."""
        record = self.known.get(transition.endpoint) or Record(name=transition.endpoint)
        entry = Entry(
            record=record,
            decision=Decision(transition=transition, incident=record.incident, sequence=1, alerting=NOTHING),
        )
        kept = await self.store.commit(entry)
        assert kept is not None
        self.feed.publish(Moved(kept))
        return kept

    async def resolve(self, name: str) -> None:
        """The open incident of an endpoint ends now."""
        incident = self.known[name].incident
        assert incident is not None
        over = attrs.evolve(incident, resolved_at=self.clock.wall())
        self.knows(attrs.evolve(self.known[name], incident=None))
        decision = Decision(transition=None, incident=over, sequence=1, alerting=NOTHING)
        await self.store.commit(Entry(record=self.known[name], decision=decision))


async def start(nursery: trio.Nursery, face: PlainFace, **limits: float) -> int:
    """Serve *face* on a free port of loopback; returns the port."""
    bound = await nursery.start(partial(serve, create_app(face), listen(face.config.listen), **limits))
    port: int = bound.port
    return port
