"""Heartbeats: what a job says of itself, and what a check sees of that."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.model import Status, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(kw_only=True)
class Push:
    """A heartbeat that says how it went."""

    at: datetime
    status: Status  # up or down
    message: str = ""
    ping: float | None = None  # seconds, as the caller measured them
    run_time: float | None = None  # seconds since it said that it starts

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        return attrs.asdict(self) | {"at": timestamp(self.at), "status": str(self.status)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Push:
        """What `to_json` gave. Raises LookupError, TypeError or ValueError for anything else."""
        return cls(**{**kept, "at": datetime.fromisoformat(kept["at"]), "status": Status(kept["status"])})


@attrs.frozen(kw_only=True)
class Beat:
    """How it stands with an endpoint's heartbeats."""

    push: Push | None  # the last one; None: none has ever come
    silence: float  # seconds since it came, or since somebody listens
    interval: float  # seconds from one to the next
    late: bool  # has the next one not come in time?
