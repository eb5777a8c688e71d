"""A daemon as `monitor run` has it, in a process that looks at its checkers: CONFIG WARM_UP SECONDS [profile].

Every checker keeps how late its latest probe began and how many ticks it missed; they are read once per interval,
so every probe is seen once. With `profile` as a fourth argument it tells instead where the CPU time went (`layers`).
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

from benchmarks.layers import Profile, Sampler, Spent
from monitor.config.load import load
from monitor.daemon import Daemon, first_results_after, tend_garbage
from monitor.limits import collect_no_garbage, raise_descriptor_limit, spare_what_is_loaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.config import Config


class Watch:
    """What was seen of the daemon's checkers."""

    def __init__(self, daemon: Daemon, interval: float) -> None:
        """Watch *daemon*, whose endpoints are all probed every *interval* seconds."""
        self.rounds: list[list[float]] = []
        self._daemon = daemon
        self._interval = interval
        self._missed_before = 0

    async def run(self, seconds: float) -> None:
        """Look on for *seconds*; longer than *interval*."""
        self._missed_before = self._missed_so_far()
        begin = trio.current_time()
        for number in range(1, max(1, round(seconds / self._interval)) + 1):
            await trio.sleep_until(begin + number * self._interval)
            self.rounds.append([checker.lag for checker in self._daemon.lateness().values()])

    @property
    def missed(self) -> int:
        """Ticks missed since `run`."""
        return self._missed_so_far() - self._missed_before

    @property
    def lags(self) -> Sequence[float]:
        """How late each probe began, in seconds, sorted."""
        return sorted(lag for seen in self.rounds for lag in seen)

    @property
    def drift(self) -> float:
        """Median of the last tenth of the rounds less that of the first, in seconds."""
        tenth = max(1, len(self.rounds) // 10)
        first, last = (
            statistics.median(lag for seen in part for lag in seen)
            for part in (self.rounds[:tenth], self.rounds[-tenth:])
        )
        return last - first

    def _missed_so_far(self) -> int:
        return sum(checker.missed for checker in self._daemon.lateness().values())


async def watched(config: Config, began: float, warm_up: float, seconds: float) -> dict[str, float]:
    """Run the daemon of *config* and say what `benchmarks.daemon.Inside` asks."""
    daemon = Daemon(config)
    watch = Watch(daemon, float(config.enabled[0].interval))
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.serve)
        ready = time.monotonic() - began
        spare_what_is_loaded()  # as `monitor run` does
        first_results = first_results_after(config)
        async with trio.open_nursery() as beside:
            beside.start_soon(tend_garbage, first_results)
            await trio.sleep(first_results)
            first = sorted(checker.lag for checker in daemon.lateness().values())
            await trio.sleep(max(0.0, warm_up - first_results))
            await watch.run(seconds)
            beside.cancel_scope.cancel()
        not_up = sum(record.health.state != "up" for record in daemon.records().values())
        missed = watch.missed
        stopping = time.monotonic()
        collect_no_garbage()  # as above
        daemon.stop()
    lags = watch.lags
    return {
        "ready": ready,
        "stop": time.monotonic() - stopping,
        "probes": len(lags),
        "missed": missed,
        "not_up": not_up,
        "lag_p50": lags[len(lags) // 2],
        "lag_p99": lags[len(lags) * 99 // 100],
        "lag_max": lags[-1],
        "drift": watch.drift,
        "first_p99": first[len(first) * 99 // 100],
        "first_max": first[-1],
    }


async def profiled(config: Config, warm_up: float, seconds: float) -> dict[str, Any]:
    """Run the daemon of *config* and say where its CPU time goes, per probe."""
    daemon = Daemon(config)
    watch = Watch(daemon, float(config.enabled[0].interval))
    async with trio.open_nursery() as nursery:
        await nursery.start(daemon.serve)
        spare_what_is_loaded()
        await trio.sleep(warm_up)
        before = Spent.so_far()
        with Sampler() as sampler:
            await watch.run(seconds)
        spent = Spent.so_far().since(before)
        daemon.stop()
    return attrs.asdict(Profile.of(sampler, spent, len(watch.lags) - watch.missed))


def main() -> None:
    """Read the config, run, report."""
    path, warm_up, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    began = time.monotonic()
    logging.basicConfig(level=logging.ERROR)
    raise_descriptor_limit()
    collect_no_garbage()
    config = load(path, environ=os.environ)
    if sys.argv[4:] == ["profile"]:
        print(json.dumps(trio.run(profiled, config, warm_up, seconds)))
    else:
        print(json.dumps(trio.run(watched, config, began, warm_up, seconds)))


if __name__ == "__main__":
    main()
