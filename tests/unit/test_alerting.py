"""From a confirmed change to alerts: what is said, to whom, and the document, byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from support.ports import PlainRand

from monitor.core.alerting import Decision, Situation, decide, described, incident_json, leave
from monitor.core.expectations import Expectations
from monitor.core.health import Change, Streak
from monitor.core.model import Code, Endpoint, Incident, Outcome, Reason, State
from monitor.core.quantities import Duration

NOW = datetime(2026, 11, 22, 15, 0, 10, tzinfo=UTC)
BEGAN = datetime(2026, 11, 22, 14, 59, 59, 800_000, tzinfo=UTC)
FIRST = Reason(Code.TIMEOUT, "tls", "no answer within 5 s (during tls)")
LATEST = Reason(Code.EXPECTATION, "processing", "expected status 200-299, got 503")
GOOD = Reason(Code.OK)


@attrs.frozen
class Page:
    target: str = "https://shop.example.org/health"


def endpoint(**changes: Any) -> Endpoint:
    plain = Endpoint(
        name="shop",
        group="web",
        kind="http",
        check=Page(),
        target="https://shop.example.org/health",
        interval=Duration(30),
        timeout=Duration(5),
        retry_interval=Duration(5),
        failure_threshold=3,
        success_threshold=2,
        expect=Expectations(),
        degraded=Expectations(),
        labels={"team": "shop"},
    )
    return attrs.evolve(plain, **changes)


def situation(
    *sinks: str,
    incident: Incident | None = None,
    sequence: int = 40,
    watched: Endpoint | None = None,
    external_url: str | None = None,
) -> Situation:
    return Situation(
        endpoint="shop",
        described=described(watched or endpoint(), external_url),
        sinks=sinks,
        incident=incident,
        sequence=sequence,
        now=NOW,
        rand=PlainRand(),
    )


def change(before: State, after: State, since: datetime | None = BEGAN, reason: Reason = FIRST) -> Change:
    return Change(before, after, Streak(3, since, reason))


def outage(*owed: str, started_at: datetime = BEGAN) -> Incident:
    return Incident(id="outage", endpoint="shop", started_at=started_at, reason=FIRST, owed=owed)


def documents(decision: Decision | None) -> list[dict[str, Any]]:
    assert decision is not None
    return [json.loads(alert.body) for alert in decision.alerts]


def test_down_opens_an_incident_and_fires_to_every_sink_of_the_endpoint() -> None:
    decision = decide(change(State.UP, State.DOWN), LATEST, situation("ops", "log"))
    (alert,) = decision.alerts
    assert (alert.type, alert.sinks, alert.endpoint, alert.created_at) == ("alert.firing", ("ops", "log"), "shop", NOW)
    assert decision.incident == Incident(
        id="id-1", endpoint="shop", started_at=BEGAN, reason=FIRST, owed=("ops", "log")
    )
    assert decision.sequence == 41
    made = decision.transition
    assert (made.before, made.after, made.at, made.reason) == (State.UP, State.DOWN, NOW, LATEST)
    assert (made.incident, made.outcome, made.endpoint) == ("id-1", Outcome.ALERTED, "shop")


def test_the_firing_document_byte_for_byte() -> None:
    watched = endpoint(description="Käse", runbook="https://wiki.example.org/shop", name="a/shop?")
    asked = situation("ops", watched=watched, external_url="https://status.example.org/base/")
    (alert,) = decide(change(State.UP, State.DOWN), LATEST, asked).alerts
    assert alert.body.decode() == (
        '{"type":"alert.firing","timestamp":"2026-11-22T15:00:10.000Z","data":{"id":"id-2","sequence":41,'
        '"endpoint":{"name":"a/shop?","group":"web","check":"http","target":"https://shop.example.org/health",'
        '"labels":{"team":"shop"},"description":"Käse","runbook":"https://wiki.example.org/shop",'
        '"url":"https://status.example.org/base/endpoints/a%2Fshop%3F"},'
        '"incident":{"id":"id-1","started_at":"2026-11-22T14:59:59.800Z","resolved_at":null,"duration":10.2,'
        '"reason":{"code":"timeout","phase":"tls","message":"no answer within 5 s (during tls)"}},'
        '"from":"up","to":"down",'
        '"reason":{"code":"expectation","phase":"processing","message":"expected status 200-299, got 503"},'
        '"suppressed":[]}}'
    )
    assert alert.id == "id-2"


def test_what_is_not_there_is_null_in_the_document() -> None:
    bare = endpoint(group=None, labels={})
    (document,) = documents(decide(change(State.PENDING, State.DOWN), LATEST, situation("ops", watched=bare)))
    shown = document["data"]["endpoint"]
    assert {key: shown[key] for key in ("group", "labels", "description", "runbook", "url")} == {
        "group": None,
        "labels": {},
        "description": None,
        "runbook": None,
        "url": None,
    }
    assert document["data"]["from"] == "pending"


def test_text_that_is_not_unicode_still_gives_a_document() -> None:
    broken = Reason(Code.PROTOCOL, None, "got \ud800")
    (document,) = documents(decide(change(State.UP, State.DOWN), broken, situation("ops")))
    assert document["data"]["reason"]["message"] == "got ?"


def test_up_closes_the_incident_at_the_first_good_probe() -> None:
    returned = NOW - timedelta(seconds=5)
    asked = situation("ops", incident=outage("ops", started_at=BEGAN - timedelta(minutes=1)), sequence=41)
    decision = decide(change(State.DOWN, State.UP, since=returned, reason=GOOD), GOOD, asked)
    assert decision.incident is not None
    assert decision.incident.resolved_at == returned
    assert decision.sequence == 42
    (document,) = documents(decision)
    assert document["type"] == "alert.resolved"
    assert document["data"]["incident"] == {
        "id": "outage",
        "started_at": "2026-11-22T14:58:59.800Z",
        "resolved_at": "2026-11-22T15:00:05.000Z",
        "duration": 65.2,
        "reason": {"code": "timeout", "phase": "tls", "message": "no answer within 5 s (during tls)"},
    }
    assert (document["data"]["from"], document["data"]["to"]) == ("down", "up")
    assert document["data"]["reason"] == {"code": "ok", "phase": None, "message": ""}


def test_degraded_ends_an_incident_too() -> None:
    decision = decide(change(State.DOWN, State.DEGRADED), LATEST, situation("ops", incident=outage("ops")))
    (document,) = documents(decision)
    assert (document["type"], document["data"]["to"]) == ("alert.resolved", "degraded")


def test_the_end_is_told_to_exactly_those_who_were_told_of_the_beginning() -> None:
    asked = situation("new", "other", incident=outage("ops", "log"))
    decision = decide(change(State.DOWN, State.UP), GOOD, asked)
    assert [alert.sinks for alert in decision.alerts] == [("ops", "log")]


def test_an_incident_nobody_heard_of_ends_silently() -> None:
    opened = decide(change(State.UP, State.DOWN), LATEST, situation())
    assert opened.alerts == ()
    assert opened.sequence == 40  # only alerts really made count
    assert opened.transition.outcome is Outcome.POLICY
    assert opened.incident is not None
    assert opened.incident.owed == ()

    closed = decide(change(State.DOWN, State.UP), GOOD, situation("ops", incident=opened.incident))
    assert closed.alerts == ()
    assert closed.sequence == 40
    assert closed.transition.outcome is Outcome.POLICY
    assert closed.transition.incident == opened.incident.id
    assert closed.incident is not None
    assert closed.incident.resolved_at is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.PENDING, State.UP),
        (State.UP, State.DEGRADED),
        (State.DEGRADED, State.UP),
        (State.PENDING, State.DEGRADED),
    ],
)
def test_without_an_outage_there_is_a_transition_and_no_alert(before: State, after: State) -> None:
    decision = decide(change(before, after), LATEST, situation("ops"))
    assert (decision.alerts, decision.incident, decision.sequence) == ((), None, 40)
    assert (decision.transition.outcome, decision.transition.incident) == (Outcome.POLICY, None)


def test_the_sequence_rises_by_one_with_every_firing_and_resolved() -> None:
    sequence, incident, seen = 0, None, []
    for before, after in [(State.UP, State.DOWN), (State.DOWN, State.UP)] * 3:
        decision = decide(change(before, after), LATEST, situation("ops", incident=incident, sequence=sequence))
        sequence = decision.sequence
        incident = decision.incident if after is State.DOWN else None
        seen += [document["data"]["sequence"] for document in documents(decision)]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_who_is_no_longer_watched_closes_its_incident() -> None:
    decision = leave(State.DOWN, situation("new", incident=outage("ops"), sequence=41))
    assert decision is not None
    assert decision.incident == attrs.evolve(outage("ops"), resolved_at=NOW)
    (document,) = documents(decision)
    assert (document["type"], document["data"]["to"], document["data"]["sequence"]) == ("alert.resolved", None, 42)
    assert document["data"]["reason"]["message"] == "no longer watched"
    assert document["data"]["incident"]["duration"] == 10.2
    assert decision.transition.after is None
    assert decision.alerts[0].sinks == ("ops",)


def test_who_leaves_without_an_incident_leaves_silently() -> None:
    assert leave(State.UP, situation("ops")) is None


@pytest.mark.parametrize("moment", [NOW + timedelta(days=1), NOW])
def test_a_clock_set_back_makes_no_negative_duration(moment: datetime) -> None:
    late = outage("ops", started_at=moment)
    open_still = decide(change(State.UP, State.DOWN, since=moment), LATEST, situation("ops"))
    closed = decide(change(State.DOWN, State.UP, since=BEGAN), GOOD, situation("ops", incident=late))
    left = leave(State.DOWN, situation("ops", incident=late))
    for decision in (open_still, closed, left):
        (document,) = documents(decision)
        assert document["data"]["incident"]["duration"] == 0.0
        assert decision is not None
        assert decision.incident is not None
        assert decision.incident.resolved_at in {None, moment}


def test_an_incident_runs_to_its_end_and_while_open_to_now() -> None:
    assert incident_json(outage(), NOW)["duration"] == 10.2
    ended = attrs.evolve(outage(), resolved_at=BEGAN + timedelta(milliseconds=1))
    assert incident_json(ended, NOW)["duration"] == 0.001
