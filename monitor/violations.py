"""What must never happen, counted where it does: a bug of ours, or somebody else's hand in the database.

The process goes on: it is worth more than the proof. One count for the whole process, because it is for those who look
at `/metrics` and at the log, and decides nothing.
"""

from __future__ import annotations

import collections
import logging

log = logging.getLogger(__name__)

counts: collections.Counter[str] = collections.Counter()
"""How often each was violated since the start, by name."""


def violated(name: str, sentence: str) -> None:
    """Count and log that the invariant *name* does not hold; *sentence* says where and how."""
    counts[name] += 1
    log.error("invariant violated: %s: %s", name, sentence)
