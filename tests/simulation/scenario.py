"""What a seed draws: endpoints and sinks, which faults there are and how often; and the config that says so."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from simulation.time import EPOCH

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# Every fault, and the bounds of the mean time between two of it.
FAULTS: dict[str, tuple[float, float]] = {
    "outage": (HOUR, 12 * HOUR),  # of each host
    "loss": (2 * HOUR, DAY),  # of each host: a part of its connections is lost for a while
    "blip": (20 * MINUTE, 4 * HOUR),  # of each host: an outage of seconds
    "sink_trouble": (HOUR, 12 * HOUR),  # of each sink
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
}
_ABSENT = 0.3  # share of faults that a seed does without


@attrs.define(eq=False)
class EndpointPlan:
    """One `[[endpoint]]`."""

    name: str
    host: str | None  # None: the check is odd
    interval: int
    timeout: int
    retry_interval: int
    failure_threshold: int
    success_threshold: int
    degraded: bool = False
    enabled: bool = True
    alerts_on_degraded: bool = False
    reminder: int | None = None  # seconds
    flap_changes: int = 6
    flap_window: int = 1800
    parents: tuple[str, ...] = ()

    def toml(self) -> str:
        lines = [
            "[[endpoint]]",
            f"name = {json.dumps(self.name)}",
            f"watched = {json.dumps(self.name)}",
            f'interval = "{self.interval}s"',
            f'timeout = "{self.timeout}s"',
            f'retry_interval = "{self.retry_interval}s"',
            f"failure_threshold = {self.failure_threshold}",
            f"success_threshold = {self.success_threshold}",
            f"enabled = {json.dumps(self.enabled)}",
        ]
        lines.append(f'flap_changes = {self.flap_changes}\nflap_window = "{self.flap_window}s"')
        if self.alerts_on_degraded:
            lines.append('alert_on = ["down", "degraded"]')
        if self.reminder is not None:
            lines.append(f'reminder_interval = "{self.reminder}s"')
        if self.parents:
            lines.append(f"depends_on = {json.dumps(self.parents)}")
        if self.host is None:
            lines.append('check = "odd"')
        else:
            lines += ['check = "watched"', f'url = "http://{self.host}/health"']
        if self.degraded:
            lines.append("degraded = [\"latency < duration('500ms')\"]")
        return "\n".join(lines)


@attrs.define(eq=False)
class SinkPlan:
    """One `[[sink]]`."""

    name: str
    give_up_after: str
    configured: bool = True
    only_down: bool = False
    after: int | None = None  # seconds

    def toml(self) -> str:
        lines = [
            "[[sink]]",
            f'name = "{self.name}"',
            'type = "webhook"',
            f'url = "http://{self.name}/hook"',
            f'give_up_after = "{self.give_up_after}"',
        ]
        if self.only_down:
            lines.append('alert_on = ["down"]')
        if self.after is not None:
            lines.append(f'after = "{self.after}s"')
        return "\n".join(lines)


@attrs.frozen
class WindowPlan:
    """One `[[maintenance]]`: seconds from the beginning of the run, by the wall clock."""

    endpoints: tuple[str, ...]
    start: int
    duration: int

    def toml(self) -> str:
        start = (EPOCH + timedelta(seconds=self.start)).isoformat()
        names = json.dumps(self.endpoints)
        return f'[[maintenance]]\nendpoints = {names}\nstart = {start}\nduration = "{self.duration}s"'

    def is_open(self, name: str, wall: datetime, margin: float) -> bool:
        """Has it been open for *margin* seconds, and is still, for the endpoint *name*?"""
        since = (wall - EPOCH).total_seconds() - self.start
        return (name in self.endpoints or "*" in self.endpoints) and margin <= since < self.duration


@attrs.define(eq=False)
class Scenario:
    """All of it. Reloads change it as they go."""

    seed: int
    endpoints: list[EndpointPlan]
    sinks: list[SinkPlan]
    faults: dict[str, float]  # those there are: mean seconds between two
    most_probes: int
    windows: list[WindowPlan] = attrs.field(factory=list)

    def toml(self, data_dir: Path) -> str:
        """The config."""
        head = f'[monitor]\nlisten = "127.0.0.1:1"\ndata_dir = "{data_dir}"\nmax_concurrent_probes = {self.most_probes}'
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
        self.windows.clear()


def draw(seed: int, days: float, *, slowly: bool) -> Scenario:
    """What *seed* draws for *days*; *slowly*: with the intervals of a run that lasts long."""
    rand = random.Random(f"scenario:{seed}")
    count = rand.randint(2, 3) if slowly else rand.randint(2, 5)
    intervals = (120, 300, 600) if slowly else (15, 30, 60, 120, 300)
    endpoints = []
    for number in range(count):
        interval = rand.choice(intervals)
        endpoints.append(
            EndpointPlan(
                name=f"e{number}",
                host=f"host{number}",
                interval=interval,
                timeout=rand.choice((2, 5, 10, 20)),
                retry_interval=rand.choice((2, 5, 15, 600)),
                failure_threshold=rand.randint(1, 4),
                success_threshold=rand.randint(1, 3),
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
    give_up = ("3d", "3d", "1h")
    sinks = [
        SinkPlan(
            f"sink{number}", rand.choice(give_up), only_down=rand.random() < 0.3, after=rand.choice((None, None, 300))
        )
        for number in range(rand.randint(1, 3))
    ]
    faults = {
        name: low * (high / low) ** rand.random() for name, (low, high) in FAULTS.items() if rand.random() > _ABSENT
    }
    windows = [
        WindowPlan(
            rand.choice((("*",), (rand.choice(endpoints).name,))),
            int(rand.uniform(0, days * DAY)),
            int(rand.uniform(10 * MINUTE, 3 * HOUR)),
        )
        for _ in range(rand.choice((0, 1 + int(2 * days))))
    ]
    return Scenario(seed, endpoints, sinks, faults, rand.choice((1, 3, 500)), windows)
