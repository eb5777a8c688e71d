"""The checks of the simulation: the real `http`, watched from outside; and one that does what no check should do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import trio

from checks.http import Http
from monitor.api import Check, Probe, Verdict, check_option
from monitor.plugin import Check as CheckBase
from monitor.plugins import Plugin, Registry
from simulation.network import Visit, visit_under_way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.world import World


@contextlib.contextmanager
def visited(probe: Probe, name: str) -> Iterator[Visit]:
    """Tell the witness of the probe of the endpoint *name*, its begin and its end."""
    world: World = probe._net.world  # type: ignore[attr-defined]
    visit = world.witness.begins(name)
    visit_under_way.set(visit)
    try:
        yield visit
    finally:
        world.witness.ends(visit)


@attrs.frozen(kw_only=True)
class Watched(Http):
    """`http`, watched."""

    watched: str = check_option(doc="the name of the endpoint")

    async def probe(self, probe: Probe) -> Verdict:
        with visited(probe, self.watched):
            return await super().probe(probe)


@attrs.frozen(kw_only=True)
class Odd(Check):
    """Misbehaves where the world says so, each time another way."""

    watched: str = check_option(doc="the name of the endpoint")

    @property
    def target(self) -> str:
        return self.watched

    async def probe(self, probe: Probe) -> Any:
        with visited(probe, self.watched) as visit:
            visit.odd = way = probe._net.world.oddity()  # type: ignore[attr-defined]
            match way:
                case "raises":
                    raise RuntimeError("a bug")
                case "exits":
                    raise SystemExit(3)
                case "answers nonsense":
                    return {"status": "up"}
                case "swallows its cancellation":
                    visit.met("no answer")
                    with contextlib.suppress(BaseException):
                        await trio.sleep_forever()
                    return Verdict.up()
                case "sleeps":
                    visit.met("no answer")
                    await trio.sleep_forever()
                case "leaves its connection open":
                    await probe.connect("host0", 80)
            await trio.sleep(0.01)
            return Verdict.up()


ODDITIES = (
    "raises",
    "exits",
    "answers nonsense",
    "swallows its cancellation",
    "sleeps",
    "leaves its connection open",
)

REGISTRY = Registry(
    local_checks={
        kind: Plugin(kind, CheckBase, f"simulation.checks:{name}", "the simulation")
        for kind, name in (("watched", "Watched"), ("odd", "Odd"))
    }
)
