"""The values everything else speaks in: frozen, no behaviour beyond their own consistency.

Times are aware UTC datetimes with whole milliseconds (`ports.Clock.wall`); durations are seconds.
The words are those of PRODUCT section 1.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self

import attrs

from monitor.core.quantities import Duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.core.expectations import Expectations


HALF_AN_HOUR = Duration(1800)


class Status(enum.StrEnum):
    """What one probe found."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class State(enum.StrEnum):
    """What an endpoint is, after thresholds. UNKNOWN is only ever shown, never a state underneath."""

    PENDING = "pending"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Code(enum.StrEnum):
    """Why an observation is what it is: of the endpoint's making, but for CRASH (a check's bug) and INTERNAL (ours)."""

    OK = "ok"
    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    PROTOCOL = "protocol"
    EXPECTATION = "expectation"
    LIMIT = "limit"
    POLICY = "policy"
    CRASH = "crash"
    INTERNAL = "internal"

    @property
    def status(self) -> Status:
        """The status a failure with this code gives: the monitor's own trouble is never `down`."""
        match self:
            case Code.OK:
                return Status.UP
            case Code.CRASH | Code.INTERNAL:
                return Status.UNKNOWN
            case _:
                return Status.DOWN


@attrs.frozen
class Reason:
    """A code for machines, a phase, and one sentence for a person."""

    code: Code
    phase: str | None = None
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """The object PRODUCT section 2 shows."""
        return {"code": str(self.code), "phase": self.phase, "message": self.message}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        return cls(Code(data["code"]), data["phase"], data["message"])


OK = Reason(Code.OK)


@attrs.frozen
class Verdict:
    """What a check answers: a status with its reason. Use the constructors below."""

    status: Status
    reason: Reason = OK

    @classmethod
    def up(cls) -> Verdict:
        """All is well."""
        return _UP

    @classmethod
    def degraded(cls, message: str, *, code: Code = Code.EXPECTATION, phase: str | None = None) -> Self:
        """It works, but not as well as it should; *message* says what was expected and what came."""
        return cls(Status.DEGRADED, Reason(code, phase, message))

    @classmethod
    def down(cls, message: str, *, code: Code = Code.EXPECTATION, phase: str | None = None) -> Self:
        """It does not work; *message* says what was expected and what came."""
        return cls(Status.DOWN, Reason(code, phase, message))

    @classmethod
    def unknown(cls, message: str, *, code: Code = Code.INTERNAL, phase: str | None = None) -> Self:
        """The monitor could not tell, through no fault of the endpoint's."""
        return cls(Status.UNKNOWN, Reason(code, phase, message))


_UP = Verdict(Status.UP)


@attrs.frozen(kw_only=True)
class Observation:
    """What one probe of one endpoint found.

    *phases* are seconds by name, in the order they were entered. *facts* are the ones worth keeping, as
    JSON values (durations in seconds), bounded in size.
    """

    endpoint: str
    status: Status
    reason: Reason
    started_at: datetime
    duration: float
    phases: Mapping[str, float] = attrs.field(factory=dict)
    facts: Mapping[str, Any] = attrs.field(factory=dict)


class Checkable(Protocol):
    """What core needs of a check; `monitor.plugin.Check` is the real thing."""

    @property
    def target(self) -> str:
        """The thing looked at, for people."""


@attrs.frozen(kw_only=True)
class Thresholds:
    """How many consecutive observations it takes, and how old a streak may grow between two."""

    failure: int
    success: int
    stale_after: float  # seconds; 3 × (interval + timeout)


@attrs.frozen(kw_only=True)
class Endpoint:
    """One configured thing to watch. Two that compare equal need no restart on reload."""

    name: str
    kind: str  # of the check: `http`
    check: Checkable
    target: str  # masked: safe to show
    interval: Duration
    timeout: Duration
    retry_interval: Duration
    failure_threshold: int
    success_threshold: int
    expect: Expectations
    degraded: Expectations
    group: str | None = None
    enabled: bool = True
    isolated: bool = False  # is it probed in a process of its own?
    sinks: tuple[str, ...] = ()  # names, defaults already applied
    alert_on: tuple[State, ...] = (State.DOWN,)  # states worth an alert: DOWN, or DEGRADED too
    reminder_interval: Duration | None = None  # None: never
    flap_changes: int = 6  # more transitions than that within *flap_window* are flapping
    flap_window: Duration = HALF_AN_HOUR
    depends_on: tuple[str, ...] = ()  # names; the endpoint cannot work without them
    labels: Mapping[str, str] = attrs.field(factory=dict)
    public: bool = False
    description: str | None = None
    runbook: str | None = None
    invert: bool = False  # it should not work: what its check finds is turned round
    family: str | None = None  # the endpoint of the config, with `targets`, that it is one of

    @property
    def thresholds(self) -> Thresholds:
        """For `health.advance`."""
        return Thresholds(
            failure=self.failure_threshold,
            success=self.success_threshold,
            stale_after=3 * (self.interval + self.timeout),
        )


class Outcome(enum.StrEnum):
    """What became of a transition: alerted, or why not (yet)."""

    ALERTED = "alerted"
    POLICY = "policy"  # no sink wants it, or not yet
    DEPENDENCY = "dependency"
    MAINTENANCE = "maintenance"
    SILENCE = "silence"
    FLAPPING = "flapping"


@attrs.frozen(kw_only=True)
class Route:
    """What a sink wants to hear: each of these narrows it."""

    alert_on: tuple[State, ...] | None = None  # None: whatever the endpoint alerts on
    after: Duration | None = None  # only of an incident that has lasted that long
    groups: tuple[str, ...] | None = None  # only of endpoints in one of these
    labels: Mapping[str, str] = attrs.field(factory=dict)  # only of endpoints that have all of these

    def takes(self, endpoint: Endpoint) -> bool:
        """May the sink hear of *endpoint* at all?"""
        if self.groups is not None and endpoint.group not in self.groups:
            return False
        return all(endpoint.labels.get(name) == value for name, value in self.labels.items())


ALL = Route()


@attrs.frozen(kw_only=True)
class Acknowledgement:
    """Somebody knows of an incident: no more reminders."""

    at: datetime
    by: str = ""
    comment: str = ""

    def to_json(self) -> dict[str, Any]:
        """The API's object."""
        return {"at": timestamp(self.at), "by": self.by, "comment": self.comment}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read back what `to_json` wrote."""
        return cls(at=datetime.fromisoformat(data["at"]), by=data["by"], comment=data["comment"])


@attrs.frozen(kw_only=True)
class Incident:
    """An outage: from the first failing probe to the first of the good ones that confirmed the return.

    Where `degraded` is worth an alert too, it begins with that.
    """

    id: str
    endpoint: str
    started_at: datetime
    reason: Reason  # the one it began with
    resolved_at: datetime | None = None
    acknowledged: Acknowledgement | None = None
    # In the order in which they became known. Given by the store, 0 before; it is where it stands, not what it is.
    number: int = attrs.field(default=0, eq=False)


@attrs.frozen(kw_only=True)
class Transition:
    """A change of an endpoint's state. *id* is given by the store; *after* is None when the endpoint left."""

    endpoint: str
    before: State
    after: State | None
    at: datetime
    reason: Reason
    incident: str | None
    outcome: Outcome
    id: int = 0

    def to_json(self) -> dict[str, Any]:
        """The API's object (PRODUCT section 5)."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "from": str(self.before),
            "to": None if self.after is None else str(self.after),
            "at": timestamp(self.at),
            "reason": self.reason.to_json(),
            "incident": self.incident,
            "alert": str(self.outcome),
        }


@attrs.frozen(kw_only=True)
class Alert:
    """A message, frozen: *body* is what every `standard` try sends, byte for byte."""

    id: str
    type: str  # `alert.firing`
    endpoint: str | None
    created_at: datetime
    body: bytes
    sinks: tuple[str, ...]  # one delivery each


@attrs.frozen(kw_only=True)
class Delivery:
    """One alert to one sink: a row in the outbox. Those of one sink and endpoint go in order of *id*."""

    id: int
    alert: str  # its id, the same at every try
    type: str
    endpoint: str | None
    sink: str
    body: bytes
    created_at: datetime
    attempts: int = 0  # tries made so far
    first_try_at: datetime | None = None
    digest: str | None = None


@attrs.frozen(kw_only=True)
class Letter:
    """A delivery as people see it: `pending`, or `dead` and kept."""

    delivery: Delivery
    state: str
    obsolete: bool  # a later one of its lane was delivered: sent now, it would take back what its sink knows
    next_try_at: datetime | None  # of one that waits, as far as its own turn is concerned
    given_up_at: datetime | None  # of a dead one
    error: str | None  # of the last try

    def to_json(self) -> dict[str, Any]:
        """The API's object."""
        delivery = self.delivery
        return {
            "id": delivery.id,
            "state": self.state,
            "obsolete": self.obsolete,
            "sink": delivery.sink,
            "endpoint": delivery.endpoint,
            "type": delivery.type,
            "alert": delivery.alert,
            "created_at": timestamp(delivery.created_at),
            "attempts": delivery.attempts,
            "first_try_at": _timestamp_or_none(delivery.first_try_at),
            "next_try_at": _timestamp_or_none(self.next_try_at),
            "given_up_at": _timestamp_or_none(self.given_up_at),
            "error": self.error,
        }


@attrs.frozen(kw_only=True)
class PutBack:
    """What became of dead deliveries that somebody wanted back, by id."""

    put_back: tuple[int, ...] = ()
    obsolete: tuple[int, ...] = ()  # left as they are: only by force
    gone: tuple[int, ...] = ()  # left as they are: their sink is not in the config
    unknown: tuple[int, ...] = ()  # there is no dead delivery of that id


def _timestamp_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-22T15:00:00.123Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
