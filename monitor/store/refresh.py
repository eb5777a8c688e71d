"""How often the row of an endpoint that goes on as before is written.

Every observation goes to the history at once. The endpoint's row beside it, how it stands and what was seen last, says
little new while all is well, and costs most of the write. So it is written when something changes, else every `PERIOD`
and at the stop. A crash loses at most that much of it: the last observation, which the history has, and counts of
streaks that have long reached their thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from monitor.core.model import State
    from monitor.store import Record

PERIOD = 10.0  # seconds


class Refresh:
    """Remembers of each endpoint when its row was written, and what was left out since."""

    def __init__(self) -> None:
        """Begin with no row known: each is written at first."""
        self._written: dict[str, tuple[float, State, int, Mapping[str, Any] | None]] = {}
        self._owed: dict[str, Record] = {}

    def is_due(self, record: Record, now: float) -> bool:
        """Shall the row be written now, at *now* of a monotonic clock? If not, it is owed."""
        written = self._written.get(record.name)
        if written is not None and not record.health.unknowns:
            moment, state, sequence, described = written
            same = state is record.health.state and sequence == record.sequence and described is record.described
            if same and now - moment < PERIOD:
                self._owed[record.name] = record
                return False
        self.done(record, now)
        return True

    def done(self, record: Record, now: float) -> None:
        """The row is written now."""
        self._owed.pop(record.name, None)
        if record.health.unknowns:  # how that ends is not to be missed
            self._written.pop(record.name, None)
        else:
            self._written[record.name] = now, record.health.state, record.sequence, record.described

    def owed(self) -> Iterable[Record]:
        """What is to be written at the stop; from now on nothing is owed."""
        owed, self._owed = self._owed, {}
        return owed.values()
