"""One endpoint's alerting without a process: health and review by the hand of a test, on a clock of its own.

A letter is a probe: + up, ~ degraded, ! degraded by a certificate, - down, ? unknown.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from monitor.core.alerting import NOTHING, Alerting, Decision, Hold, Situation, described, leave, review
from monitor.core.expectations import Expectations
from monitor.core.health import Health, advance
from monitor.core.model import (
    OK,
    Code,
    Endpoint,
    Incident,
    Observation,
    Outcome,
    Reason,
    Route,
    State,
    Status,
    Transition,
)
from monitor.core.quantities import Duration
from support.ports import EPOCH, PlainRand

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

BAD = Reason(Code.EXPECTATION, "processing", "expected status 200-299, got 503")
SLOW = Reason(Code.EXPECTATION, "processing", "expected quick, got slow")
ENDING = Reason(Code.TLS, "tls", "certificate expires in 9 days")
FOUND = {
    "+": (Status.UP, OK),
    "~": (Status.DEGRADED, SLOW),
    "!": (Status.DEGRADED, ENDING),
    "-": (Status.DOWN, BAD),
    "?": (Status.UNKNOWN, Reason(Code.CRASH, None, "KeyError: 'x'")),
}


@attrs.frozen
class Page:
    target: str = "https://shop.example.org/health"


def shop(**changes: Any) -> Endpoint:
    """An endpoint that alerts to `ops` after three failures, back after two good probes."""
    plain = Endpoint(
        name="shop",
        group="web",
        kind="http",
        check=Page(),
        target="https://shop.example.org/health",
        interval=Duration(10),
        timeout=Duration(5),
        retry_interval=Duration(5),
        failure_threshold=3,
        success_threshold=2,
        expect=Expectations(),
        degraded=Expectations(),
        labels={"team": "shop"},
        sinks=("ops",),
    )
    return attrs.evolve(plain, **changes)


BOTH = (State.DOWN, State.DEGRADED)


@attrs.frozen
class Heard:
    """What a sink was told, and when, in seconds."""

    second: float
    sink: str
    document: dict[str, Any]

    def __str__(self) -> str:
        data, kind = self.document["data"], self.document["type"].removeprefix("alert.")
        if kind == "flapping":
            return f"{self.second:.0f} {'flapping' if data['flapping'] else 'steady'}"
        change = f" {data['from']}>{data['to'] or 'gone'}" if kind != "reminder" else ""
        return f"{self.second:.0f} {kind}{change}"


class Story:
    """What happens to one endpoint, and what is said of it."""

    def __init__(self, endpoint: Endpoint | None = None, **routes: Route) -> None:
        self.endpoint: Endpoint | None = endpoint or shop()
        self.described = described(self.endpoint, None)
        self.routes: Mapping[str, Route] = routes
        self.now = EPOCH
        self.rand = PlainRand()
        self.health = Health()
        self.reason: Reason | None = None
        self.fresh = True
        self.since: datetime | None = None
        self.incident: Incident | None = None
        self.sequence = 0
        self.alerting: Alerting = NOTHING
        self.hold: Hold | None = None
        self.suppressed: tuple[str, ...] = ()
        self.again_at: datetime | None = None
        self.heard: list[Heard] = []
        self.transitions: list[Transition] = []
        self.incidents: dict[str, Incident] = {}

    @property
    def second(self) -> float:
        return (self.now - EPOCH).total_seconds()

    def told(self, sink: str = "ops") -> str:
        """What *sink* heard, in words."""
        return ", ".join(str(each) for each in self.heard if each.sink == sink)

    def documents(self, sink: str = "ops") -> list[dict[str, Any]]:
        return [each.document for each in self.heard if each.sink == sink]

    @property
    def outcomes(self) -> str:
        """Every transition's outcome, as it is recorded by now."""
        return " ".join(f"{each.before}>{each.after}:{each.outcome}" for each in self.transitions)

    def play(self, script: str, *, every: float = 10) -> Story:
        """Probe now, and after each wait of *every* seconds, as *script* says; what is due in between is done."""
        for letter in script:
            if letter != " ":
                self.probe(letter)
                self.wait(every)
        return self

    def probe(self, letter: str) -> None:
        assert self.endpoint is not None
        status, reason = FOUND[letter]
        observation = Observation(
            endpoint=self.endpoint.name, status=status, reason=reason, started_at=self.now, duration=0.1
        )
        self.health, change = advance(self.health, observation, self.endpoint.thresholds)
        self.fresh = self.fresh or status is not Status.UNKNOWN
        self.reason = None if status is Status.UNKNOWN else reason
        self._take(review(self._situation(), change))

    def wait(self, seconds: float) -> None:
        """Let time pass; review whenever time alone may have changed something."""
        end = self.now + timedelta(seconds=seconds)
        while self.again_at is not None and self.again_at <= end:
            assert self.again_at > self.now, "it would be reviewed for ever"
            self.now = self.again_at
            self.look()
        self.now = end

    def look(self) -> Decision:
        """Review without a probe."""
        decision = review(self._situation())
        self._take(decision)
        return decision

    def restart(self, *, away: float) -> None:
        """Stop and start again after a while."""
        self.now += timedelta(seconds=away)
        self.fresh = False
        self.look()

    def leave(self) -> None:
        """It is no longer watched."""
        decision = leave(
            self.health.state,
            described=self.described,
            incident=self.incident,
            sequence=self.sequence,
            alerting=self.alerting,
            now=self.now,
            rand=self.rand,
        )
        if decision is not None:
            self._take(decision)
        self.alerting, self.health, self.incident = NOTHING, Health(), None

    def _situation(self) -> Situation:
        assert self.endpoint is not None
        return Situation(
            endpoint=self.endpoint,
            described=self.described,
            routes=self.routes,
            health=self.health,
            reason=self.reason,
            fresh=self.fresh,
            since=self.since,
            incident=self.incident,
            sequence=self.sequence,
            alerting=self.alerting,
            hold=self.hold,
            suppressed=self.suppressed,
            now=self.now,
            rand=self.rand,
        )

    def _take(self, decision: Decision) -> None:
        if decision.late:
            assert decision.transition is None
            self.transitions[-1] = attrs.evolve(self.transitions[-1], outcome=Outcome.ALERTED)
        if decision.transition is not None:
            self.transitions.append(decision.transition)
            self.since = decision.transition.at
        if decision.incident is not None:
            self.incidents[decision.incident.id] = decision.incident
        closed = decision.incident is None or decision.incident.resolved_at is not None
        self.incident = None if closed else decision.incident
        self.sequence, self.alerting, self.again_at = decision.sequence, decision.alerting, decision.again_at
        for alert in decision.alerts:
            document = json.loads(alert.body)
            assert (document["type"], document["data"]["id"]) == (alert.type, alert.id)
            self.heard += [Heard(self.second, sink, document) for sink in alert.sinks]
