"""The log of a run: every event goes into its digest; the last ones are kept, to tell the story of a failure."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STORY = 120  # events that stay told, beside probes
_PROBES = 25


class Ledger:
    """What happened, in order."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Tell the time by *now*, in seconds from the beginning."""
        self.counts: Counter[str] = Counter()
        self._now = now
        self._digest = hashlib.sha256()
        self._story: deque[tuple[int, str]] = deque(maxlen=_STORY)
        self._probes: deque[tuple[int, str]] = deque(maxlen=_PROBES)
        self._number = 0

    def note(self, kind: str, text: str) -> None:
        """Write down one event."""
        self._number += 1
        self.counts[kind] += 1
        line = f"{moment(self._now())} {kind:9} {text}"
        self._digest.update(line.encode("utf-8", "replace"))
        (self._probes if kind in ("probe", "log") else self._story).append((self._number, line))

    @property
    def digest(self) -> str:
        """Of every event so far."""
        return self._digest.hexdigest()

    def story(self) -> str:
        """The last events, for a person."""
        return "\n".join(line for _, line in sorted([*self._story, *self._probes]))


def moment(seconds: float) -> str:
    """`3d 04:05:06.789`."""
    days, rest = divmod(seconds, 86400)
    minutes, second = divmod(rest, 60)
    return f"{int(days)}d {int(minutes) // 60:02}:{int(minutes) % 60:02}:{second:06.3f}"
