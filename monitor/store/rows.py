"""Values to rows and back. What comes out equals what went in; what cannot be read is a StoreError."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

from monitor.core.alerting.words import NOTHING
from monitor.core.errors import StoreError
from monitor.core.health import NO_STREAK, Blind, Health, Streak
from monitor.core.model import (
    OK,
    Acknowledgement,
    Delivery,
    Incident,
    Observation,
    Outcome,
    Reason,
    State,
    Status,
    Transition,
)
from monitor.store import Record
from monitor.store.alerting import alerting_from_text, alerting_text
from monitor.store.moments import millis, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from monitor.core.model import Alert

Row = tuple[str | int | float | bytes | None, ...]

_STREAKS = ("as_bad_as_degraded", "as_bad_as_down", "as_good_as_degraded", "as_good_as_up")
# ASCII only, so that text which is no valid Unicode (a lone surrogate in a message) can be written too.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _millis_or_none(value: datetime | None) -> int | None:
    return None if value is None else millis(value)


def _moment_or_none(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


@contextlib.contextmanager
def _readable(what: str) -> Iterator[None]:
    """Somebody else may have written into the file: say which row it is that makes no sense."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise StoreError(f"the database holds an unreadable entry for {what}") from error


# The plain `ok` of nearly every observation takes no room.
def _reason_json(reason: Reason) -> dict[str, Any] | None:
    return None if reason == OK else reason.to_json()


def _reason_from_json(data: dict[str, Any] | None) -> Reason:
    return OK if data is None else Reason.from_json(data)


def _reason_text(reason: Reason) -> str | None:
    return None if reason == OK else _encode(reason.to_json())


def reason_from_text(text: str | None) -> Reason:
    """Read back a reason; None is a plain `ok`."""
    return OK if text is None else Reason.from_json(json.loads(text))


def _streak_json(streak: Streak) -> list[Any] | None:
    if streak.count == 0:
        return None
    return [streak.count, _millis_or_none(streak.since), _reason_json(streak.reason)]


def _streak_from_json(data: list[Any] | None) -> Streak:
    if data is None:
        return NO_STREAK
    count, since, reason = data
    return Streak(count, _moment_or_none(since), _reason_from_json(reason))


def _health_text(health: Health) -> str:
    data: dict[str, Any] = {
        "state": str(health.state),
        "counted_at": _millis_or_none(health.counted_at),
        "unknowns": health.unknowns,
    }
    for name in _STREAKS:
        data[name] = _streak_json(getattr(health, name))
    if health.blind is not None:
        data["blind"] = [millis(health.blind.since), _millis_or_none(health.blind.until)]
    return _encode(data)


def _health_from_text(text: str) -> Health:
    data = json.loads(text)
    blind = data.get("blind")
    return Health(
        state=State(data["state"]),
        counted_at=_moment_or_none(data["counted_at"]),
        unknowns=data["unknowns"],
        blind=None if blind is None else Blind(moment(blind[0]), _moment_or_none(blind[1])),
        **{name: _streak_from_json(data[name]) for name in _STREAKS},
    )


def _observation_text(observation: Observation) -> str:
    return _encode(
        {
            "endpoint": observation.endpoint,
            "status": str(observation.status),
            "reason": _reason_json(observation.reason),
            "started_at": millis(observation.started_at),
            "duration": observation.duration,
            "phases": dict(observation.phases),
            "facts": dict(observation.facts),
        }
    )


def _observation_from_text(text: str) -> Observation:
    data = json.loads(text)
    return Observation(
        endpoint=data["endpoint"],
        status=Status(data["status"]),
        reason=_reason_from_json(data["reason"]),
        started_at=moment(data["started_at"]),
        duration=data["duration"],
        phases=data["phases"],
        facts=data["facts"],
    )


def endpoint_row(record: Record, *, decided: bool = True) -> Row:
    """name, health, since, sequence, last, failed, watched, described, alerting (NULL: it is as it was)."""
    last = None if record.last is None else _observation_text(record.last)
    failed = last
    if record.failed is not record.last:
        failed = None if record.failed is None else _observation_text(record.failed)
    return (
        record.name,
        _health_text(record.health),
        _millis_or_none(record.since),
        record.sequence,
        last,
        failed,
        int(record.watched),
        None if record.described is None else _encode(dict(record.described)),
        alerting_text(record.alerting) if decided or record.alerting is NOTHING else None,
    )


def record_from_row(row: tuple[Any, ...]) -> Record:
    """Read what `endpoint_row` wrote, followed by the open incident's columns or as many NULLs."""
    name, health, since, sequence, last, failed, watched, described, alerting, *incident = row
    with _readable(f'endpoint "{name}"'):
        return Record(
            name=name,
            health=_health_from_text(health),
            since=_moment_or_none(since),
            sequence=sequence,
            incident=None if incident[0] is None else incident_from_row(tuple(incident)),
            last=None if last is None else _observation_from_text(last),
            failed=None if failed is None else _observation_from_text(failed),
            watched=bool(watched),
            described=None if described is None else json.loads(described),
            alerting=alerting_from_text(alerting),
        )


def incident_row(incident: Incident) -> Row:
    """id, endpoint, started_at, reason, acknowledged, resolved_at."""
    return (
        incident.id,
        incident.endpoint,
        millis(incident.started_at),
        _reason_text(incident.reason),
        None if incident.acknowledged is None else _encode(incident.acknowledged.to_json()),
        _millis_or_none(incident.resolved_at),
    )


def incident_from_row(row: tuple[Any, ...]) -> Incident:
    """Read what `incident_row` wrote, followed by its number."""
    ident, endpoint, started_at, reason, acknowledged, resolved_at, number = row
    with _readable(f"incident {ident}"):
        return Incident(
            id=ident,
            endpoint=endpoint,
            started_at=moment(started_at),
            reason=reason_from_text(reason),
            resolved_at=_moment_or_none(resolved_at),
            acknowledged=None if acknowledged is None else Acknowledgement.from_json(json.loads(acknowledged)),
            number=number,
        )


def history_row(endpoint: str, observation: Observation) -> Row:
    """endpoint (its name), started_at, status, reason, duration, phases."""
    return (
        endpoint,
        millis(observation.started_at),
        str(observation.status),
        _reason_text(observation.reason),
        float(observation.duration),
        _phases_text(observation.phases),
    )


def _phases_text(phases: Mapping[str, float]) -> str:
    """*phases* as JSON; by hand, because `json` makes an encoder for each, which costs as much as the row's rest."""
    if not math.isfinite(sum(phases.values())):
        return _encode(dict(phases))
    return "{" + ",".join([f"{_encode(name)}:{float(each)!r}" for name, each in phases.items()]) + "}"


def transition_row(transition: Transition) -> Row:
    """endpoint, before, after, at, reason, incident, outcome."""
    return (
        transition.endpoint,
        str(transition.before),
        None if transition.after is None else str(transition.after),
        millis(transition.at),
        _reason_text(transition.reason),
        transition.incident,
        str(transition.outcome),
    )


def transition_from_row(row: tuple[Any, ...]) -> Transition:
    """Read an id, followed by what `transition_row` wrote."""
    ident, endpoint, before, after, at, reason, incident, outcome = row
    with _readable(f"transition {ident}"):
        return Transition(
            id=ident,
            endpoint=endpoint,
            before=State(before),
            after=None if after is None else State(after),
            at=moment(at),
            reason=reason_from_text(reason),
            incident=incident,
            outcome=Outcome(outcome),
        )


def alert_row(alert: Alert) -> Row:
    """id, type, endpoint, created_at, body."""
    return (alert.id, alert.type, alert.endpoint, millis(alert.created_at), alert.body)


def lane(sink: str, endpoint: str | None) -> tuple[str, str]:
    """The lane's key: no endpoint is the empty name, which no endpoint can have."""
    return sink, endpoint or ""


def delivery_from_row(row: tuple[Any, ...]) -> Delivery:
    """Read a delivery joined with its alert: the fields of Delivery in their order."""
    ident, alert, kind, endpoint, sink, body, created_at, attempts, first_try_at, digest = row
    with _readable(f"delivery {ident}"):
        return Delivery(
            id=ident,
            alert=alert,
            type=kind,
            endpoint=endpoint or None,
            sink=sink,
            body=body,
            created_at=moment(created_at),
            attempts=attempts,
            first_try_at=_moment_or_none(first_try_at),
            digest=digest,
        )


def note_text(value: Any) -> str:
    """*value* as JSON; TypeError or ValueError when it is none."""
    return _encode(value)


def note_from_text(key: str, value: str) -> Any:
    """Read what `note_text` wrote."""
    with _readable(f'the note "{key}"'):
        return json.loads(value)


def text(message: str) -> str:
    """*message* as SQLite can keep it: what is no valid Unicode is replaced."""
    return message.encode("utf-8", "replace").decode()
