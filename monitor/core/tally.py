"""What the daemon counts while it runs, for `/metrics`: plain numbers, begun anew at each start."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.core.model import Status


class Tally:
    """Counts that only rise."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.probes: collections.Counter[tuple[str, Status]] = collections.Counter()  # endpoint, status
        self.deliveries: collections.Counter[tuple[str, str]] = collections.Counter()  # sink, result

        self.stalls: collections.Counter[str] = collections.Counter()  # endpoint whose check held up the loop, or ""

    def stalled(self, endpoint: str) -> None:
        """The loop was held up by the check of *endpoint*, or by something else where that is empty. In any thread."""
        self.stalls[endpoint] += 1

    def probed(self, endpoint: str, status: Status) -> None:
        """*endpoint* was probed."""
        self.probes[endpoint, status] += 1

    def delivered(self, sink: str, result: str, count: int = 1) -> None:
        """A try at *sink* with *count* deliveries ended: `delivered`, `retry` or `dead`."""
        self.deliveries[sink, result] += count

    def keep_only(self, endpoints: set[str]) -> None:
        """Forget the counts of every endpoint that is watched no longer."""
        for key in [key for key in self.probes if key[0] not in endpoints]:
            del self.probes[key]
