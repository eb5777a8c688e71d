"""What makes a run non-deterministic, as interfaces: the real ones are in `monitor.system`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class Clock(Protocol):
    """Two clocks that are never mixed."""

    def monotonic(self) -> float:
        """Seconds on the clock of the event loop: for intervals and durations."""

    def wall(self) -> datetime:
        """Now, aware UTC, cut to whole milliseconds: for records. May jump either way."""

    def stalled(self) -> float:
        """Seconds since the first call that the process stood still or its own work held up the loop; never falls."""


class Rand(Protocol):
    """Chance."""

    def id(self) -> str:
        """A fresh identifier, unique for ever."""

    def uniform(self, low: float, high: float) -> float:
        """A float between *low* and *high*."""


class Mask(Protocol):
    """Hides secrets: `monitor.config.secrets.Masker` is one."""

    def __call__(self, text: str) -> str:
        """*text* with every secret in it as `***`."""

    def thoroughly(self, text: str) -> str:
        """The same for a text that may show a secret shortened or escaped: longer pieces of one go as well."""
