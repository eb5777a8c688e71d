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
        start = max(one[here][0], other[there][0])
        end = min(one[here][1], other[there][1])
        if start < end:
            found.append((start, end))
        if one[here][1] < other[there][1]:
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
        window = [(start, end)]
        counted = length(both(self.counted, window))
        return None if counted == 0 else 1 - length(both(self.down, window)) / counted


NEVER = Life([], [])  # of what was not watched at all
