"""When each endpoint was watched, down, not to be seen and in maintenance; uptime is computed of nothing else.

A span is written in the transaction of the observation that begins or ends it, so it is true after any crash:

    watched      from the first observation until the endpoint leaves the config
    down         from the first failing probe of those that confirmed `down` to the first of those that ended it
    unknown      from the first observation that could not tell to the first that could
    maintenance  as the windows are; told by `Store.mark`

docs/decisions/0006 says why. Nearly no observation begins or ends anything: for those there is nothing to do here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from monitor.core.model import State
from monitor.core.uptime import Life, both, course
from monitor.store import Maintenance
from monitor.store.moments import millis, moment

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from monitor.core.uptime import Span
    from monitor.store import Entry

Kind = Literal["watched", "down", "unknown", "maintenance"]

_WRITE = """
    INSERT INTO spans (endpoint, kind, started_at, ended_at)
    SELECT id, :kind, :started_at, :ended_at FROM endpoints WHERE name = :endpoint
    ON CONFLICT (endpoint, kind) WHERE ended_at IS NULL DO NOTHING
    ON CONFLICT (endpoint, kind, started_at) DO UPDATE SET ended_at = excluded.ended_at
"""
_CLOSE = """
    UPDATE spans SET ended_at = max(started_at, :ended_at)
    WHERE endpoint = (SELECT id FROM endpoints WHERE name = :endpoint) AND kind = :kind AND ended_at IS NULL
"""
_KEPT = """
    SELECT e.name, s.kind, s.started_at, coalesce(s.ended_at, :now) FROM spans s JOIN endpoints e ON e.id = s.endpoint
    WHERE coalesce(s.ended_at, :now) > :since AND s.endpoint >= :first AND s.endpoint < :last
"""
_LAST = "SELECT coalesce(max(id), 0) FROM endpoints"
_KEPT_OF = """
    SELECT e.name, s.kind, s.started_at, coalesce(s.ended_at, :now) FROM endpoints e JOIN spans s ON s.endpoint = e.id
    WHERE e.name = :endpoint AND coalesce(s.ended_at, :now) > :since
"""
_SLICE = 50  # endpoints
_MARKED = """
    SELECT e.name, s.started_at, s.ended_at FROM spans s JOIN endpoints e ON e.id = s.endpoint
    WHERE s.kind = 'maintenance' AND s.ended_at > ?
"""
_RUNS = "SELECT started_at, ended_at FROM runs WHERE ended_at > ?"


@attrs.frozen
class Change:
    """A span begins at *since* (with an end it is known to have), or what is open of its kind ends at *until*."""

    kind: Kind
    since: datetime | None = None
    until: datetime | None = None


def changes(entry: Entry, now: datetime | None) -> tuple[Change, ...]:
    """What *entry* begins and ends; *now* is for an endpoint that leaves."""
    record, decision = entry.record, entry.decision
    health, observation = record.health, entry.observation
    transition = None if decision is None else decision.transition
    if not record.watched:
        return tuple(Change(kind, until=now) for kind in ("watched", "down", "unknown"))
    if observation is None or (transition is None and health.blind is None and health.state is not State.PENDING):
        return ()
    found: list[Change] = []
    if transition is not None or health.state is State.PENDING:
        found.append(Change("watched", since=observation.started_at))  # nothing new, nearly always
    if health.blind is not None and (health.unknowns == 1 or health.blind.until is not None):
        found.append(Change("unknown", since=health.blind.since, until=health.blind.until))
    if transition is not None and transition.before is State.DOWN:
        good = health.as_good_as_up if transition.after is State.UP else health.as_good_as_degraded
        found.append(Change("down", until=good.since or transition.at))
    if transition is not None and transition.after is State.DOWN:
        found.append(Change("down", since=health.as_bad_as_down.since or transition.at))
    return tuple(found)


def write(db: sqlite3.Connection, endpoint: str, changed: Sequence[Change]) -> None:
    """Write what *changed* for *endpoint*."""
    for change in changed:
        values = _values(endpoint, change)
        if change.until is not None:
            db.execute(_CLOSE, values)
        if change.since is not None:
            db.execute(_WRITE, values)


def leave_out(db: sqlite3.Connection, endpoint: str, *, since: datetime, until: datetime) -> None:
    """Write that the time from *since* to *until* is unknown; an `unknown` that is open stays so."""
    db.execute(_WRITE, _values(endpoint, Change("unknown", since=since, until=until)))


def _values(endpoint: str, change: Change) -> dict[str, str | int | None]:
    return {
        "endpoint": endpoint,
        "kind": change.kind,
        "started_at": None if change.since is None else millis(change.since),
        "ended_at": None if change.until is None else millis(change.until),
    }


def mark(db: sqlite3.Connection, marks: Sequence[Maintenance]) -> None:
    """Write when endpoints are in maintenance."""
    for each in marks:
        write(db, each.endpoint, [Change("maintenance", since=each.started_at, until=each.ended_at)])


def marked(db: sqlite3.Connection, *, now: datetime) -> list[Maintenance]:
    """What `mark` wrote of maintenance that is not over."""
    found = db.execute(_MARKED, (millis(now),))
    return [
        Maintenance(endpoint=name, started_at=moment(began), ended_at=moment(ended)) for name, began, ended in found
    ]


def slices(db: sqlite3.Connection) -> list[range]:
    """The numbers of all endpoints, in pieces whose `uptime` takes some milliseconds."""
    (last,) = db.execute(_LAST).fetchone()
    return [range(first, first + _SLICE) for first in range(0, last + 1, _SLICE)]


def lives(
    db: sqlite3.Connection, *, now: datetime, since: datetime, here_since: datetime, endpoints: str | range
) -> dict[str, Life]:
    """What is known of the time from *since* to *now*, by endpoint; those never watched in it are missing.

    *endpoints* is the name of one, or one of `slices`. The run under way began *here_since*, and is not over.
    """
    end, start = millis(now), millis(since)
    values: dict[str, int | str] = {"now": end, "since": start}
    if isinstance(endpoints, str):
        found = db.execute(_KEPT_OF, values | {"endpoint": endpoints})
    else:
        found = db.execute(_KEPT, values | {"first": endpoints.start, "last": endpoints.stop})
    kept: dict[str, dict[str, list[Span]]] = {}
    for name, kind, began, ended in found:
        kept.setdefault(name, {}).setdefault(kind, []).append((began, ended))
    ran = course([*db.execute(_RUNS, (start,)), (millis(here_since), end)])
    return {
        name: Life.of(
            watched=both(course(spans.get("watched", ())), ran),
            excluded=[*spans.get("unknown", ()), *spans.get("maintenance", ())],
            down=spans.get("down", ()),
        )
        for name, spans in kept.items()
    }


def uptime(
    db: sqlite3.Connection,
    *,
    endpoints: str | range,
    windows: Mapping[str, timedelta],
    now: datetime,
    here_since: datetime,
) -> dict[str, dict[str, float | None]]:
    """For each of *endpoints*, as for `lives`, for each of *windows* up to *now*, the fraction of uptime."""
    known = lives(db, now=now, since=now - max(windows.values()), here_since=here_since, endpoints=endpoints)
    ends = millis(now)
    starts = {name: millis(now - window) for name, window in windows.items()}
    return {
        endpoint: {name: life.uptime(start, ends) for name, start in starts.items()} for endpoint, life in known.items()
    }
