"""How long probes took, so that hours can be made of minutes: counts in buckets that grow by a constant factor.

Percentiles of percentiles are no percentiles; counts can be added. The buckets are those of DDSketch (Masson, Rim
and Lee, 2019): a percentile read from them is within `RELATIVE_ERROR` of the true one, whatever was merged with
what, for all from 0.1 ms up. Anything shorter counts as 0.1 ms.
"""

from __future__ import annotations

import math
from typing import Self

RELATIVE_ERROR = 0.025
_STEPS = 20  # buckets while a duration grows e-fold: each is 5.1 % wide, and its middle 2.5 % from its ends
_SHORTEST = 1e-4  # seconds
_LARGEST = 2000  # a bucket beyond the age of the universe
_MIDDLE = 2 / (1 + math.exp(1 / _STEPS))  # from a bucket's upper end to the value that stands for it


class Histogram:
    """Counts of durations; it grows by `add` and `merge`."""

    __slots__ = ("counts",)

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        """Begin with *counts* by bucket; empty by default."""
        self.counts = {} if counts is None else counts

    def __eq__(self, other: object) -> bool:
        """Equal where the counts are."""
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]

    def add(self, seconds: float) -> None:
        """Count one duration."""
        bucket = math.ceil(_STEPS * math.log(seconds / _SHORTEST)) if seconds > _SHORTEST else 0
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: Histogram) -> None:
        """Count all that *other* has counted, too."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    @property
    def total(self) -> int:
        """How many durations were counted."""
        return sum(self.counts.values())

    def percentile(self, share: float) -> float | None:
        """Seconds that *share* (0 to 1) of the durations took at most, by nearest rank; None of nothing."""
        rank = max(1, math.ceil(share * self.total))
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return _SHORTEST * math.exp(bucket / _STEPS) * (_MIDDLE if bucket else 1.0)
        return None

    def to_bytes(self) -> bytes:
        """Encode each bucket's distance from the one before and its count, as variable-length numbers."""
        encoded = bytearray()
        before = 0
        for bucket in sorted(self.counts):
            for number in (bucket - before, self.counts[bucket]):
                left = number
                while left > 0x7F:
                    encoded.append(left & 0x7F | 0x80)
                    left >>= 7
                encoded.append(left)
            before = bucket
        return bytes(encoded)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Self:
        """Read back what `to_bytes` wrote. ValueError for anything else."""
        numbers: list[int] = []
        number = shift = 0
        for byte in encoded:
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                numbers.append(number)
                number = shift = 0
        if shift or len(numbers) % 2:
            raise ValueError("this is no histogram")
        counts = {}
        bucket = 0
        for distance, count in zip(numbers[::2], numbers[1::2], strict=True):
            bucket += distance
            counts[bucket] = count
        if bucket > _LARGEST:
            raise ValueError("this is no histogram")
        return cls(counts)
