"""Which undelivered alerts of a lane say nothing any more: what bounds the memory while the database is away.

A sink need not hear of an outage that began and ended before it heard of anything. What remains leaves it knowing
the same: at most one `firing` and one `resolved` (or a `resolved` it is owed from before, and a `firing`), the latest
reminder of what it knows, and the latest of anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRING, RESOLVED, REMINDER = "alert.firing", "alert.resolved", "alert.reminder"


@attrs.frozen
class Waiting:
    """An undelivered alert of one lane."""

    id: int
    type: str
    incident: str | None


def superfluous(lane: Sequence[Waiting]) -> list[int]:
    """The ids of those in *lane*, given in order, that need not be sent; none of them is on its way."""
    kept: list[Waiting] = []
    for each in lane:
        if each.type in (FIRING, RESOLVED, REMINDER):
            kept = [other for other in kept if other.type != REMINDER]
        else:
            kept = [other for other in kept if other.type != each.type]
        firing = next((other for other in kept if other.type == FIRING), None)
        match each.type:
            case "alert.firing" if firing is not None:
                # The earlier one was never heard, nor needs its end be.
                kept = [other for other in kept if other is not firing and other.incident != firing.incident]
            case "alert.reminder" if firing is not None:
                continue
            case "alert.resolved" if firing is not None and any(other.type == RESOLVED for other in kept):
                kept.remove(firing)
                continue
            case _:
                pass
        kept.append(each)
    remaining = {each.id for each in kept}
    return [each.id for each in lane if each.id not in remaining]
