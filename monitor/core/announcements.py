"""What people shall read on the page: that there will be a migration tonight, that the outage is understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@attrs.frozen(kw_only=True)
class Announcement:
    """One of them; shown from *start* on and until *end*, where it has them."""

    title: str
    text: str = ""
    level: Literal["information", "warning"] = "information"
    start: datetime | None = None
    end: datetime | None = None
    public: bool = True  # visitors see it


def current(announcements: Iterable[Announcement], now: datetime, *, all_of_them: bool) -> list[Announcement]:
    """Those to show *now*, warnings first; unless *all_of_them*, only those that are public."""
    shown = [
        each
        for each in announcements
        if (each.start is None or each.start <= now)
        and (each.end is None or now < each.end)
        and (all_of_them or each.public)
    ]
    return sorted(shown, key=lambda each: each.level != "warning")
