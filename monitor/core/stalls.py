"""Whether the event loop stands still, as a thread beside it sees it: by its own doing, or with the whole process.

Spans in seconds. A process that was stopped or suspended is not a loop that spins: then the thread that looks was not
there either, and no processor worked for it.
"""

from __future__ import annotations

PERIOD = 0.25  # from one look to the next
_MISSED = 2 * PERIOD  # a look that comes later was kept from it


class StallMeter:
    """Adds up how long the loop has not come round."""

    def __init__(self) -> None:
        """Begin in good order."""
        self.seconds = 0.0
        self._due: float | None = None

    def look(self, *, span: float, worked: float, due: float, overdue: float) -> float:
        """How long the loop stands still now, *span* after the last look; 0 where it does not.

        *worked* is what the process had of processors since then. *due* says when the loop was to come round; it is
        another number whenever it has done so since. *overdue* is how long ago that was, if it is positive.
        """
        came_round, self._due = due != self._due, due
        if overdue <= 0:
            self.seconds = 0.0
        else:
            before = 0.0 if came_round else self.seconds
            # Who held the interpreter's lock kept us from looking, and worked meanwhile.
            awake = span if span <= _MISSED else min(span, worked)
            self.seconds = min(before + awake, overdue)
        return self.seconds
