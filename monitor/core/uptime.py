"""Uptime: 1 - down / (window - maintenance - unknown - not watched), of spans of time (PRODUCT section 5).

A span is a pair of moments in milliseconds, the first included, the second not. A *course* is spans in order that
do not touch. Where a moment is both `down` and excluded (in maintenance, unknown, not watched), excluded wins:
what is not counted as time cannot be counted as downtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

Span = tuple[int, int]
Course = list[Span]


def course(spans: Iterable[Span]) -> Course:
    """All moments that are in any of *spans*, which may overlap, touch, be empty or the wrong way round."""
    found: Course = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def both(one: Course, other: Course) -> Course:
    """The moments that are in *one* and in *other*."""
    found: Course = []
    here = there = 0
    while here < len(one) and there < len(other):
        (start, end), (begin, stop) = one[here], other[there]
        if start < stop and begin < end:
            found.append((start if start > begin else begin, end if end < stop else stop))  # noqa: FURB136 - thousands
        if end < stop:
            here += 1
        else:
            there += 1
    return found


def without(one: Course, other: Course) -> Course:
    """The moments that are in *one* and not in *other*."""
    found: Course = []
    there = 0
    for start, end in one:
        at = start
        while there < len(other) and other[there][1] <= start:
            there += 1
        step = there
        while step < len(other) and other[step][0] < end:
            if at < other[step][0]:
                found.append((at, other[step][0]))
            at = max(at, other[step][1])
            step += 1
        if at < end:
            found.append((at, end))
    return found


def length(spans: Course) -> int:
    """Milliseconds in all."""
    return sum(end - start for start, end in spans)


def length_within(spans: Course, start: int, end: int) -> int:
    """Milliseconds of *spans* between *start* and *end*; cheap where that is the latest of it."""
    total = 0
    for begin, stop in reversed(spans):
        if stop <= start:
            break
        if begin < end:
            total += min(stop, end) - max(begin, start)
    return total


@attrs.frozen
class Life:
    """What uptime is computed of: the time that counts, and the downtime within it."""

    counted: Course
    down: Course

    @classmethod
    def of(cls, *, watched: Course, excluded: Iterable[Span], down: Iterable[Span]) -> Life:
        """*watched* less *excluded* (maintenance and unknown) is what counts."""
        counted = without(watched, course(excluded))
        return cls(counted, both(course(down), counted))

    def uptime(self, start: int, end: int) -> float | None:
        """A fraction from 0 to 1 of the window from *start* to *end*; None where none of it counts."""
        counted = length_within(self.counted, start, end)
        return None if counted <= 0 else 1 - length_within(self.down, start, end) / counted


NEVER = Life([], [])  # of what was not watched at all
