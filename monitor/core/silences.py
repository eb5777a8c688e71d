"""Silences: somebody asked at run time not to be alerted about a target for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import attrs

from monitor.core.model import timestamp
from monitor.core.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.core.model import Endpoint

KEPT = timedelta(days=30)  # after its end: for whoever asks who had silenced what
LONGEST = 10 * 365 * 86400.0  # seconds
LONGEST_TEXT = 1000  # characters of a comment; an author is a tenth of that
MOST = 1000  # that are active at the same time; as many of those that are over are kept


@attrs.frozen(kw_only=True)
class Silence:
    """*target* is quiet from now on until *ends_at*."""

    id: str
    target: str  # as `core.targets` reads it
    created_at: datetime
    ends_at: datetime
    author: str = ""
    comment: str = ""

    def is_active(self, now: datetime) -> bool:
        """Does it still silence anything?"""
        return now < self.ends_at

    def ended(self, now: datetime) -> Self:
        """The same, but it ends *now* at the latest."""
        return attrs.evolve(self, ends_at=min(self.ends_at, now))

    def to_json(self) -> dict[str, Any]:
        """The API's object, also what is kept."""
        return {
            "id": self.id,
            "target": self.target,
            "created_at": timestamp(self.created_at),
            "ends_at": timestamp(self.ends_at),
            "author": self.author,
            "comment": self.comment,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        texts = {key: str(data[key]) for key in ("id", "target", "author", "comment")}
        times = {key: datetime.fromisoformat(data[key]) for key in ("created_at", "ends_at")}
        return cls(**texts, **times)  # type: ignore[arg-type]  # the two together are its fields


@attrs.frozen
class Silences:
    """Those that are active or were lately, oldest first."""

    every: tuple[Silence, ...] = ()

    def until(self, endpoint: Endpoint, now: datetime) -> datetime | None:
        """When the last of those that silence *endpoint* now will have ended; None: nothing does."""
        if not self.every:  # nearly always, and asked for every endpoint that is shown
            return None
        targets = targets_of(endpoint)
        return max(
            (each.ends_at for each in self.every if each.target in targets and each.is_active(now)), default=None
        )

    def active(self, now: datetime) -> tuple[Silence, ...]:
        """Those that silence something now."""
        return tuple(each for each in self.every if each.is_active(now))

    def get(self, ident: str) -> Silence | None:
        """The one with the id *ident*."""
        return next((each for each in self.every if each.id == ident), None)

    def put(self, silence: Silence, now: datetime) -> Silences:
        """These with *silence*, in place of the one with its id; without those that are over for long."""
        others = [each for each in self.every if each.id != silence.id]
        known = sorted([*others, silence], key=lambda each: (each.created_at, each.id))
        over = [each for each in known if not each.is_active(now)]
        forgotten = {each.id for each in over[:-MOST]} | {each.id for each in over if each.ends_at + KEPT < now}
        return Silences(tuple(each for each in known if each.id not in forgotten))
