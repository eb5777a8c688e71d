"""The monitor and its own network: what references answered, and what it tells about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from monitor.core.model import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.witness import Seen, Witness
    from simulation.world import World

FRESH = 5.0  # seconds that the answer of a reference may be old
REMEMBERED = 20.0  # seconds after which it is asked again at latest whether the network is back
APART = 400.0  # seconds between two messages of the monitor about itself, at most
EPSILON = 1e-6


class Itself:
    """Is told what the monitor meets when it asks a reference (`network.Inquirer`)."""

    slow = False

    def __init__(self, world: World) -> None:
        self.answered_at = -1e9
        self.trouble_at = -1e9
        self.hidden_until = -1e9  # for want of descriptors or DNS workers nobody saw that the network was gone
        self.absences: list[tuple[float, float]] = []  # of the network, that must have been told of
        self._world = world

    def met(self, _: str) -> None:
        self.trouble_at = trio.current_time()

    def met_own(self, _: str) -> None:
        self.trouble_at = trio.current_time()

    def answered(self) -> None:
        self.answered_at = trio.current_time()

    def cannot_tell(self, since: float) -> bool:
        """May the monitor think that its network is gone, of a probe that began at *since*?"""
        lately = max(self.trouble_at, self._world.stalled_at)
        return bool(self._world.scenario.references) and lately >= since - REMEMBERED

    def watch_absence(self) -> object:
        """How everything stands when the network goes; for `was_absent`."""
        world = self._world
        records = world.daemon.records() if world.steady else {}
        up = [each for each in records.values() if each.health.state in (State.UP, State.DEGRADED) and each.last]
        patience = [
            plan.failure_threshold * (plan.retry_interval + plan.timeout) + plan.interval
            for plan in world.scenario.endpoints
            if plan.host is not None and plan.enabled and any(each.name == plan.name for each in up)
        ]
        return trio.current_time(), world.life, world.failures, world.reloaded_at, min(patience, default=1e9)

    def was_absent(self, before: object) -> None:
        """The network is back: if nothing else happened meanwhile, and for long enough, that was told."""
        world = self._world
        since, life, failures, reloaded_at, patience = before  # type: ignore[misc]
        same = (life, failures, reloaded_at) == (world.life, world.failures, world.reloaded_at) and world.steady
        now = trio.current_time()
        to_tell = world.scenario.references and world.daemon.config.self_sinks
        blind = world.no_descriptors or world.no_workers is not None or self.hidden_until > since
        if to_tell and same and now - since > patience + APART and world.stalled_at < since and not blind:
            self.absences.append((since, now))


def references_answered(witness: Witness) -> Iterator[str]:
    """Before a `down` is confirmed, references not probed since the failure began are probed; when all fail, the
    observation is `unknown` and moves nothing."""
    for seen in witness.fresh.seen:
        if not witness.world.scenario.references or all(each.after is not State.DOWN for each in seen.moved):
            continue
        if seen.answered_at < _not_before(seen) - EPSILON:
            yield (
                f"{seen.endpoint.name} is down, and no reference answered since it began to fail, or not for "
                f"{seen.ended - seen.answered_at:.1f} s"
            )


def _not_before(seen: Seen) -> float:
    """When a reference must have answered at the earliest."""
    recent = seen.ended - FRESH - seen.visit.jumped
    return recent if seen.failing_since is None else max(recent, seen.failing_since)


def tells_of_itself(witness: Witness) -> Iterator[str]:
    """The monitor sends one alert about itself (`alert.self`) after it has lasted, and one when it ends."""
    told = [row for row in witness.rows.values() if witness.alerts[row.alert]["type"] == "alert.self"]
    itself, now = witness.world.itself, trio.current_time()
    for since, until in [each for each in itself.absences if each[1] + APART < now]:
        itself.absences.remove((since, until))
        if not any(
            since - APART < witness.born[row.id].at < until + APART for row in told if _is_network(witness, row.alert)
        ):
            yield f"the network was gone for {until - since:.0f} s, and nobody was told"
    if witness.over and told:
        latest = max(told, key=lambda row: row.id)
        if witness.alerts[latest.alert]["data"]["trouble"]:
            yield f"all is well again, and the last word about the monitor itself is {latest.alert}"


def _is_network(witness: Witness, alert: str) -> bool:
    return any(each["kind"] == "network" for each in witness.alerts[alert]["data"]["standing"])
