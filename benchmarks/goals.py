"""What the figures are held against: the table of the issue that set them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Goal:
    """One figure: where it stands in the results, what it must be and what would be fine; the less the better."""

    words: str
    part: str
    figure: str
    must: float | None
    aim: float | None
    unit: str = ""
    more_is_better: bool = False

    def measured(self, results: Mapping[str, Mapping[str, Any]]) -> float | None:
        """The figure; None where it was not measured (yet)."""
        value = results.get(self.part, {}).get("figures", {}).get(self.figure)
        return None if value is None else float(value)

    def verdict(self, value: float) -> str:
        """Say in a word or two how *value* stands."""
        if self.must is not None and not self._reaches(value, self.must):
            return "**missed**"
        if self.aim is not None and not self._reaches(value, self.aim):
            return "met" if self.must is not None else "aim missed"
        return "met" if self.aim is None else "aim met"

    def _reaches(self, value: float, goal: float) -> bool:
        return value >= goal if self.more_is_better else value <= goal


GOALS = (
    Goal("`http` check / aiohttp", "probe", "http / aiohttp", 0.55, 0.35, "×"),
    Goal("`http` check / blackbox_exporter", "probe", "http / blackbox_exporter", 0.30, None, "×"),
    Goal("`http` check / the limit (C)", "probe", "http / the limit (C)", 4.0, 2.5, "×"),
    Goal("`http` check over TLS / aiohttp", "probe", "https / aiohttp", 0.85, None, "×"),
    Goal("`http` check over TLS / the limit (C)", "probe", "https / the limit (C)", 1.30, 1.10, "×"),
    Goal("`websocket` check / trio-websocket", "probe", "ws / trio-websocket", 1.0, None, "×"),
    Goal("`websocket` check / websockets", "probe", "ws / websockets", None, 1.0, "×"),
    Goal("daemon, CPU per probe / aiohttp GET, back to back", "daemon", "cpu / aiohttp", 0.80, 0.50, "×"),
    Goal("daemon, CPU per probe / aiohttp GET, as often a second", "daemon", "cpu / aiohttp, paced", None, 0.80, "×"),
    Goal("most probes per second, no tick missed", "daemon", "most", 1500, 3000, "/s", more_is_better=True),
    Goal("lateness at 1,000 probes/s, p99", "daemon", "late p99", 20, 10, "ms"),
    Goal("resident memory, 1,000 endpoints", "memory", "resident", 90, 60, "MiB"),
    Goal("resident memory, each further endpoint", "memory", "each further", 12, 6, "KiB"),
    Goal("`monitor check URL`, cold, CPU", "startup", "monitor check https://…", 0.50, 0.40, "s"),
    Goal("`monitor --help`, CPU", "startup", "monitor --help", 0.20, 0.15, "s"),
    Goal("`monitor validate`, CPU", "startup", "monitor validate", 0.20, 0.15, "s"),
    Goal("20,000 endpoints: `monitor validate`, CPU", "startup", "monitor validate, 20,000", 2.0, None, "s"),
    Goal("drift over 10 minutes at 1,000 probes/s", "endurance", "drift", 1.0, None, "ms"),
    Goal("50,000 endpoints every minute: lateness, p99", "scale", "late p99", 250, None, "ms"),
    Goal("50,000 endpoints every minute: ready after", "scale", "ready", 15, None, "s"),
    Goal("100,000 endpoints every minute: lateness, p99", "scale", "100,000: late p99", None, 250, "ms"),
    Goal("soak: memory after the first tenth", "soak", "memory growth", 4, None, "MiB"),
    Goal("soak: descriptors", "soak", "descriptors growth", 20, None, "more"),
    Goal("soak: threads", "soak", "threads growth", 0, None, "more"),
    Goal("soak: tasks", "soak", "tasks growth", 50, None, "more"),
)
