"""The real clock and the real dice: the only module that reads them."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime


class SystemClock:
    """Trio's clock for spans of time, the machine's UTC clock for records."""

    def __init__(self) -> None:
        """Take Trio's clock; `monotonic` works inside its loop only."""
        import trio  # noqa: PLC0415 - commands that never run a loop must not pay for it

        self.monotonic = trio.current_time  # bound once: it is read six times a probe

    def wall(self) -> datetime:
        """Now, aware UTC, cut to whole milliseconds."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


class SystemRand:
    """The operating system's randomness for identifiers, a plain generator for jitter."""

    def id(self) -> str:
        """A random UUID."""
        return str(uuid.uuid4())

    def uniform(self, low: float, high: float) -> float:
        """A float between *low* and *high*."""
        return random.uniform(low, high)  # noqa: S311 - jitter, not a secret
