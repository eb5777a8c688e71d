"""When to probe: a fixed grid per endpoint, spread over the interval by a hash of its name.

Times are seconds on the monotonic clock. A slot that has passed is skipped and counted, never made up for.
"""

from __future__ import annotations

import math

import attrs

LONGEST_FIRST_WAIT = 15.0  # seconds: nobody waits longer than this for the first result, unless they are too many
_TO_BE_TOLD = 0.5  # seconds for the probe that tells of a loss, before the one that tries again
_FIRST_PROBES = 800  # a second, at most, beside the ordinary ones: half of what one process on one core can do


@attrs.frozen(kw_only=True)
class Grid:
    """The slots `anchor + k × interval`."""

    anchor: float
    interval: float

    def after(self, moment: float) -> float:
        """Return the first slot later than *moment*."""
        # Rounding may put a slot on the wrong side of *moment*; nobody may be woken twice for one slot.
        slot = self.anchor + (math.floor((moment - self.anchor) / self.interval) + 1) * self.interval
        return slot if slot > moment else slot + self.interval

    def between(self, begin: float, end: float) -> int:
        """How many slots lie after *begin* and up to *end*."""
        first, last = (math.floor((moment - self.anchor) / self.interval) for moment in (begin, end))
        return max(0, last - first)


def spread(name: str) -> float:
    """A fraction in [0, 1) that is the same for *name* in every run and on every machine."""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, and `validate` reads this module but spreads nothing

    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) / 2**64


def grid_for(name: str, interval: float, now: float) -> Grid:
    """The grid of an endpoint whose checker starts at *now*."""
    return Grid(anchor=now + spread(name) * interval, interval=interval)


def longest_first_wait(interval: float, among: int = 1) -> float:
    """How long one of *among* endpoints that start together waits at most for its first probe, in seconds.

    More than twelve thousand cannot all be probed within 15 s. Where the first probe would come so late that the
    first slot of the grid follows at its heels, that slot is the first.
    """
    wait = max(LONGEST_FIRST_WAIT, among / _FIRST_PROBES)
    return interval if wait > max(LONGEST_FIRST_WAIT, interval / 2) else min(interval, wait)


def first_probe(name: str, interval: float, now: float, among: int = 1) -> float:
    """When one of *among* endpoints that start together is probed first: spread out, but soon."""
    return now + spread(name) * longest_first_wait(interval, among)


def next_probe(grid: Grid, *, started: float, now: float, retry_interval: float | None) -> float:
    """When to probe again after a probe that started at *started* and ended at *now*.

    *retry_interval* is given while a change is unconfirmed; it never lengthens the interval.
    """
    regular = grid.after(now)
    if retry_interval is None:
        return regular
    return min(regular, Grid(anchor=started, interval=retry_interval).after(now))


def pause_before_return(name: str, times: int, *, soon: int, retry_interval: float, interval: float) -> float:
    """How long to wait until what *name* held, and lost, is begun again: the *times*-th time, in seconds.

    *soon*: how often in a row it did not last. The first time it is within *retry_interval*, at a place of its own for
    each name, so that all who lose theirs together do not come back together; then twice as long each time, up to
    *interval*.
    """
    longest = min(math.ldexp(retry_interval, max(0, min(soon, 20) - 1)), interval)
    shortest = min(_TO_BE_TOLD, longest / 2) if soon <= 1 else longest / 2
    return shortest + spread(f"{name} {times}") * (longest - shortest)
