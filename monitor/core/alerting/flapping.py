"""Does an endpoint change too often to tell each time? Counted over the moments of its latest transitions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitor.core.model import Endpoint


def counted(moments: Sequence[datetime], endpoint: Endpoint, now: datetime) -> tuple[datetime, ...]:
    """Add a transition at *now* to *moments*; keep what matters: those in the window, and no more than begin it."""
    within = [moment for moment in moments if _ends(moment, endpoint) > now]
    return (*within, now)[-(endpoint.flap_changes + 1) :]


def begins(moments: Sequence[datetime], endpoint: Endpoint, now: datetime) -> bool:
    """Are there more than `flap_changes` in the window?"""
    return sum(_ends(moment, endpoint) > now for moment in moments) > endpoint.flap_changes


def ends_at(moments: Sequence[datetime], endpoint: Endpoint) -> datetime | None:
    """When fewer than half of `flap_changes` remain in the window, if no more come; None: that was always so."""
    most = (endpoint.flap_changes + 1) // 2 - 1  # that may remain
    leaving = len(moments) - most
    return _ends(moments[leaving - 1], endpoint) if leaving > 0 else None


def _ends(moment: datetime, endpoint: Endpoint) -> datetime:
    """When *moment* leaves the window."""
    return moment + timedelta(seconds=endpoint.flap_window)
