"""What a seed draws: endpoints and sinks, which faults there are and how often; and the config that says so."""

from __future__ import annotations

import json
import random
from datetime import time
from typing import TYPE_CHECKING

import attrs

from simulation.plans import DAYS, EndpointPlan, SinkPlan, WeeklyPlan, WindowPlan

if TYPE_CHECKING:
    from pathlib import Path

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# Every fault, and the bounds of the mean time between two of it.
FAULTS: dict[str, tuple[float, float]] = {
    "outage": (HOUR, 12 * HOUR),  # of each host
    "loss": (2 * HOUR, DAY),  # of each host: a part of its connections is lost for a while
    "blip": (20 * MINUTE, 4 * HOUR),  # of each host: an outage of seconds
    "sink_trouble": (HOUR, 12 * HOUR),  # of each sink
    "reference_trouble": (HOUR, 12 * HOUR),  # of each reference
    "network_gone": (2 * HOUR, DAY),
    "descriptors": (2 * HOUR, DAY),
    "stuck_dns": (2 * HOUR, DAY),
    "stall": (HOUR, DAY),
    "suspend": (2 * HOUR, DAY),
    "clock_jump": (4 * HOUR, 2 * DAY),
    "slow_disk": (2 * HOUR, DAY),
    "full_disk": (4 * HOUR, 2 * DAY),
    "locked_disk": (2 * HOUR, DAY),
    "oddities": (HOUR, 12 * HOUR),
    "reload_same": (HOUR, 12 * HOUR),
    "reload_changed": (2 * HOUR, DAY),
    "reload_broken": (4 * HOUR, DAY),
    "stop": (2 * HOUR, DAY),
    "crash": (HOUR, DAY),
    # What people do at run time is no fault, and comes in the same way.
    "silence": (HOUR, 12 * HOUR),
    "acknowledgement": (30 * MINUTE, 6 * HOUR),
}
_ABSENT = 0.3  # share of faults that a seed does without
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")


@attrs.define(eq=False)
class Scenario:
    """All of it. Reloads change it as they go."""

    seed: int
    endpoints: list[EndpointPlan]
    sinks: list[SinkPlan]
    faults: dict[str, float]  # those there are: mean seconds between two
    most_probes: int
    windows: list[WindowPlan | WeeklyPlan] = attrs.field(factory=list)
    references: tuple[str, ...] = ()  # hosts
    past_windows: list[WindowPlan | WeeklyPlan] = attrs.field(factory=list)  # those that were taken out of the config

    def toml(self, data_dir: Path) -> str:
        """The config."""
        head = f'[monitor]\nlisten = "127.0.0.1:1"\ndata_dir = "{data_dir}"\nmax_concurrent_probes = {self.most_probes}'
        if self.references:
            head += f"\nreference = {json.dumps([f'http://{each}/' for each in self.references])}"
        parts = [each.toml() for each in self.endpoints]
        parts += [each.toml() for each in self.windows]
        parts += [each.toml() for each in self.sinks if each.configured]
        return "\n\n".join([head, *parts]) + "\n"

    def change(self, rand: random.Random) -> str:
        """Change something, as a person would before a reload; says what."""
        endpoint = rand.choice(self.endpoints)
        match rand.randrange(6):
            case 0:
                endpoint.enabled = not endpoint.enabled
                return f"{endpoint.name} {'enabled' if endpoint.enabled else 'disabled'}"
            case _ if not endpoint.enabled:  # people do not work at what they have switched off
                endpoint.enabled = True
                return f"{endpoint.name} enabled"
            case 1:
                endpoint.failure_threshold = rand.randint(1, 4)
                return f"{endpoint.name} failure_threshold {endpoint.failure_threshold}"
            case 2:
                endpoint.success_threshold = rand.randint(1, 3)
                return f"{endpoint.name} success_threshold {endpoint.success_threshold}"
            case 3:
                endpoint.interval = rand.choice((min(600, 2 * endpoint.interval), 60, 300))
                return f"{endpoint.name} interval {endpoint.interval}"
            case 4:
                sink = rand.choice(self.sinks)
                sink.configured = not sink.configured
                return f"sink {sink.name} {'back' if sink.configured else 'gone'}"
            case _:
                endpoint.degraded = not endpoint.degraded and endpoint.host is not None
                return f"{endpoint.name} degraded {endpoint.degraded}"

    def settle(self) -> None:
        """What the quiet phase begins with: everything enabled and configured."""
        for each in self.endpoints:
            each.enabled = True
        for sink in self.sinks:
            sink.configured = True
        self.past_windows += self.windows
        self.windows.clear()

    def windows_of(self, name: str) -> list[WindowPlan | WeeklyPlan]:
        """The maintenance windows of the endpoint *name*, as the config has them now."""
        return self._for(self.windows, name)

    def past_windows_of(self, name: str) -> list[WindowPlan | WeeklyPlan]:
        """Those that were taken out of it."""
        return self._for(self.past_windows, name)

    def _for(self, windows: list[WindowPlan | WeeklyPlan], name: str) -> list[WindowPlan | WeeklyPlan]:
        plan = next((each for each in self.endpoints if each.name == name), None)
        return [each for each in windows if plan and any(plan.is_meant_by(target) for target in each.targets)]


def draw(seed: int, days: float, *, slowly: bool) -> Scenario:
    """What *seed* draws for *days*; *slowly*: with the intervals of a run that lasts long."""
    rand = random.Random(f"scenario:{seed}")
    endpoints = _endpoints(rand, slowly=slowly)
    sinks = [_sink(rand, number) for number in range(rand.randint(1, 3))]
    faults = {
        name: low * (high / low) ** rand.random() for name, (low, high) in FAULTS.items() if rand.random() > _ABSENT
    }
    return Scenario(
        seed=seed,
        endpoints=endpoints,
        sinks=sinks,
        faults=faults,
        most_probes=rand.choice((1, 3, 500)),
        windows=_windows(rand, endpoints, days),
        references=tuple(f"reference{number}" for number in range(rand.choice((0, 1, 2)))),
    )


def _endpoints(rand: random.Random, *, slowly: bool) -> list[EndpointPlan]:
    count = rand.randint(2, 3) if slowly else rand.randint(2, 5)
    intervals = (120, 300, 600) if slowly else (15, 30, 60, 120, 300)
    endpoints: list[EndpointPlan] = []
    for number in range(count):
        endpoints.append(
            EndpointPlan(
                name=f"e{number}",
                host=f"host{number}",
                interval=rand.choice(intervals),
                timeout=rand.choice((2, 5, 10, 20)),
                retry_interval=rand.choice((2, 5, 15, 600)),
                failure_threshold=rand.randint(1, 4),
                success_threshold=rand.randint(1, 3),
                group=rand.choice((None, "web")),
                degraded=rand.random() < 0.5,
                alerts_on_degraded=rand.random() < 0.3,
                reminder=rand.choice((None, 900, 1800)),
                flap_changes=rand.choice((2, 4, 6, 6)),
                flap_window=rand.choice((600, 1800)),
                parents=tuple(each.name for each in endpoints if rand.random() < 0.3),
            )
        )
    if rand.random() < 0.5:
        odd = EndpointPlan("odd", None, rand.choice(intervals), 5, 5, rand.randint(1, 3), rand.randint(1, 2))
        endpoints.append(odd)
    return endpoints


def _sink(rand: random.Random, number: int) -> SinkPlan:
    form = rand.choice(("standard", "standard", "alertmanager", "slack"))
    return SinkPlan(
        f"sink{number}",
        rand.choice(("3d", "3d", "1h")),
        only_down=rand.random() < 0.3,
        after=rand.choice((None, None, 300)),
        format=form,
        group_wait=rand.choice((None, 5, 60)) if form == "alertmanager" else None,
        max_per_minute=rand.choice((None, 1, 1, 3)),
    )


def _windows(rand: random.Random, endpoints: list[EndpointPlan], days: float) -> list[WindowPlan | WeeklyPlan]:
    def targets() -> tuple[str, ...]:
        name = rand.choice(endpoints).name
        return rand.choice((("*",), (name,), (name, "group:web")) if _has_group(endpoints) else (("*",), (name,)))

    once = [
        WindowPlan(targets(), int(rand.uniform(0, days * DAY)), int(rand.uniform(10 * MINUTE, 3 * HOUR)))
        for _ in range(rand.choice((0, 1 + int(2 * days))))
    ]
    weekly = [
        WeeklyPlan(
            targets(),
            tuple(sorted(rand.sample(DAYS, rand.randint(1, 7)))),
            time(rand.randrange(24), rand.choice((0, 30))),
            int(rand.uniform(10 * MINUTE, 3 * HOUR)),
            rand.choice(ZONES),
        )
        for _ in range(rand.choice((0, 0, 1, 2)))
    ]
    return [*once, *weekly]


def _has_group(endpoints: list[EndpointPlan]) -> bool:
    return any(each.group is not None for each in endpoints)
