"""What is said of an endpoint, to whom, and when: stories told by probes, and the documents, byte for byte."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest
from support.alerting import BAD, BOTH, Story, shop
from support.ports import EPOCH

from monitor.core.alerting import Hold, described, incident_json
from monitor.core.model import Acknowledgement, Code, Incident, Outcome, Reason, Route, State
from monitor.core.quantities import Duration

MINUTE, HOUR = 60.0, 3600.0
MAINTENANCE = Hold(why=Outcome.MAINTENANCE)


def endpoint(**changes: Any) -> Any:
    durations = ("reminder_interval", "flap_window")
    return shop(**{key: Duration(value) if key in durations else value for key, value in changes.items()})


# A probe every ten seconds; three failures are an outage, two good probes its end.
STORIES = [
    ("+++++++", "", "pending>up:policy"),
    ("+--+--++", "", "pending>up:policy"),
    ("+---+-++", "30 firing up>down, 70 resolved down>up", "pending>up:policy up>down:alerted down>up:alerted"),
    ("---", "20 firing pending>down", "pending>down:alerted"),
    ("+-?-?-", "50 firing up>down", "pending>up:policy up>down:alerted"),
    ("+---~~++", "30 firing up>down, 50 resolved down>degraded",
     "pending>up:policy up>down:alerted down>degraded:alerted degraded>up:policy"),
    ("+~~~---++", "60 firing degraded>down, 80 resolved down>up",
     "pending>up:policy up>degraded:policy degraded>down:alerted down>up:alerted"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "told", "outcomes"), STORIES)
def test_down_alone_is_worth_an_alert(script: str, told: str, outcomes: str) -> None:
    story = Story().play(script)
    assert (story.told(), story.outcomes) == (told, outcomes)


DEGRADED_TOO = [
    ("+~~~++", "30 firing up>degraded, 50 resolved degraded>up"),
    ("+~~~---++", "30 firing up>degraded, 60 firing degraded>down, 80 resolved down>up"),
    ("+---~~++", "30 firing up>down, 50 firing down>degraded, 70 resolved degraded>up"),
    ("+---~+~~", "30 firing up>down, 50 firing down>degraded"),  # told that it eased, good as the latest probe was
    ("~~~", "20 firing pending>degraded"),
]


@pytest.mark.parametrize(("script", "told"), DEGRADED_TOO)
def test_where_degraded_alerts_too_all_of_it_is_one_incident(script: str, told: str) -> None:
    story = Story(endpoint(alert_on=BOTH)).play(script)
    assert story.told() == told
    assert len(story.incidents) == 1
    assert {each["data"]["incident"]["id"] for each in story.documents()} == set(story.incidents)
    assert [each["data"]["sequence"] for each in story.documents()] == list(range(1, len(story.documents()) + 1))


def test_the_firing_document_byte_for_byte() -> None:
    watched = endpoint(description="Käse", runbook="https://wiki.example.org/shop", name="a/shop?")
    story = Story(watched)
    story.described = described(watched, "https://status.example.org/base/")
    bodies: list[bytes] = []
    take = story._take
    story._take = lambda decision: (bodies.extend(each.body for each in decision.alerts), take(decision))[1]  # type: ignore[method-assign]
    story.play("+---")
    (body,) = bodies
    assert body.decode() == (
        '{"type":"alert.firing","timestamp":"2026-11-22T15:00:30.000Z","data":{"id":"id-2","sequence":1,'
        '"endpoint":{"name":"a/shop?","group":"web","check":"http","target":"https://shop.example.org/health",'
        '"labels":{"team":"shop"},"description":"Käse","runbook":"https://wiki.example.org/shop",'
        '"url":"https://status.example.org/base/endpoints/a%2Fshop%3F"},'
        '"incident":{"id":"id-1","started_at":"2026-11-22T15:00:10.000Z","resolved_at":null,"duration":20.0,'
        '"reason":{"code":"expectation","phase":"processing","message":"expected status 200-299, got 503"}},'
        '"from":"up","to":"down",'
        '"reason":{"code":"expectation","phase":"processing","message":"expected status 200-299, got 503"},'
        '"suppressed":[]}}'
    )


def test_what_is_not_there_is_null_in_the_document() -> None:
    (document,) = Story(endpoint(group=None, labels={})).play("---").documents()
    shown = document["data"]["endpoint"]
    assert {key: shown[key] for key in ("group", "labels", "description", "runbook", "url")} == {
        "group": None,
        "labels": {},
        "description": None,
        "runbook": None,
        "url": None,
    }


def test_text_that_is_not_unicode_still_gives_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = attrs.evolve(BAD, message="got \ud800")
    monkeypatch.setitem(__import__("support.alerting").alerting.FOUND, "-", (State.DOWN, broken))
    story = Story()
    story.probe("+")
    story.play("---")
    assert story.documents()[0]["data"]["reason"]["message"] == "got ?"


def test_the_resolved_document() -> None:
    story = Story().play("+---++")
    resolved = story.documents()[1]["data"]
    assert resolved["incident"] == {
        "id": "id-1",
        "started_at": "2026-11-22T15:00:10.000Z",
        "resolved_at": "2026-11-22T15:00:40.000Z",  # the first of the good probes
        "duration": 30.0,
        "reason": BAD.to_json(),
    }
    assert resolved["reason"] == {"code": "ok", "phase": None, "message": ""}
    assert story.incidents["id-1"].resolved_at == EPOCH + timedelta(seconds=40)


# Who is told.


def test_each_sink_hears_what_it_wants_to() -> None:
    story = Story(
        endpoint(sinks=("chat", "pager", "others", "teams"), alert_on=BOTH),
        pager=Route(alert_on=(State.DOWN,)),
        others=Route(groups=("db",)),
        teams=Route(groups=("db", "web"), labels={"team": "shop"}),
    ).play("+~~~---~~++")
    everything = "30 firing up>degraded, 60 firing degraded>down, 80 firing down>degraded, 100 resolved degraded>up"
    assert story.told("chat") == everything
    assert story.told("pager") == everything.partition(", ")[2], "and that it eased, for it was told of worse"
    assert story.told("others") == ""
    assert story.told("teams") == everything


def test_a_label_that_differs_is_not_taken() -> None:
    story = Story(endpoint(sinks=("ops",)), ops=Route(labels={"team": "shop", "tier": "1"})).play("+---")
    assert (story.told(), story.outcomes) == ("", "pending>up:policy up>down:policy")


def test_an_incident_nobody_heard_of_ends_silently() -> None:
    story = Story(endpoint(sinks=())).play("+---")
    story.endpoint = endpoint(sinks=("ops",))
    story.play("++")
    assert story.told() == ""
    assert story.outcomes == "pending>up:policy up>down:policy down>up:policy"
    assert story.sequence == 0
    (incident,) = story.incidents.values()
    assert incident.resolved_at is not None


def test_who_pages_after_ten_minutes_pages_only_then() -> None:
    watched = endpoint(sinks=("chat", "pager"))
    pager = Route(after=Duration(10 * MINUTE))
    story = Story(watched, pager=pager).play("+" + "-" * 70 + "++")
    assert story.told("chat") == "30 firing up>down, 720 resolved down>up"
    assert story.told("pager") == "610 firing up>down, 720 resolved down>up", "ten minutes after the first bad probe"
    assert [each["data"]["sequence"] for each in story.documents("pager")] == [2, 3]

    story = Story(watched, pager=pager).play("+" + "-" * 50 + "++++++++++++++")
    assert story.told("pager") == ""

    story = Story(watched, pager=pager).play("+" + "-" * 59 + "++")
    assert story.told("pager") == "", "it was getting better when the time came"


def test_who_pages_late_and_alone_makes_the_outcome_alerted() -> None:
    story = Story(endpoint(), ops=Route(after=Duration(MINUTE))).play("+---")
    assert story.outcomes == "pending>up:policy up>down:policy"
    story.play("----")
    assert story.told() == "70 firing up>down"
    assert story.outcomes == "pending>up:policy up>down:alerted"


def test_resolved_goes_to_exactly_those_who_were_told() -> None:
    story = Story(endpoint(sinks=("ops", "log"))).play("+---")
    story.endpoint = endpoint(sinks=("new", "log"))
    story.probe("+")
    story.wait(10)
    story.probe("+")
    assert (story.told("ops"), story.told("log"), story.told("new")) == (
        *("30 firing up>down, 50 resolved down>up",) * 2,
        "",
    )
    assert len({each.document["data"]["id"] for each in story.heard}) == 2, "one message for both"


def test_a_sink_that_is_new_hears_of_what_is_down() -> None:
    story = Story().play("+---")
    story.endpoint = endpoint(sinks=("ops", "new"))
    story.look()
    assert (story.told("ops"), story.told("new")) == ("30 firing up>down", "40 firing up>down")
    story.look()
    story.play("-++")
    assert story.told("new") == "40 firing up>down, 60 resolved down>up"


# Reminders.


def test_reminders_come_until_it_is_over() -> None:
    story = Story(endpoint(reminder_interval=MINUTE)).play("+" + "-" * 16 + "++" + "+" * 20)
    assert story.told() == "30 firing up>down, 90 reminder, 150 reminder, 180 resolved down>up"
    first, reminder, *_ = (each["data"] for each in story.documents())
    assert reminder["sequence"] == first["sequence"] == 1, "a reminder counts for nothing"
    assert (reminder["from"], reminder["to"], reminder["incident"]["id"]) == ("up", "down", first["incident"]["id"])
    assert reminder["incident"]["duration"] == 80.0


def test_missed_reminders_are_one_and_wait_for_a_probe() -> None:
    story = Story(endpoint(reminder_interval=MINUTE)).play("+---")
    story.restart(away=10 * MINUTE)
    assert story.told() == "30 firing up>down"
    story.play("-" * 8)
    assert story.told() == "30 firing up>down, 640 reminder, 700 reminder"


def test_back_up_while_the_monitor_was_stopped_is_one_alert() -> None:
    story = Story(endpoint(reminder_interval=MINUTE)).play("+---")
    story.restart(away=10 * MINUTE)
    story.play("++++")
    assert story.told() == "30 firing up>down, 650 resolved down>up"


def test_down_before_and_after_a_restart_is_nothing_new() -> None:
    story = Story().play("+---")
    story.restart(away=HOUR)
    story.play("-----")
    assert story.told() == "30 firing up>down"


def test_an_acknowledged_incident_is_not_repeated_and_still_ends() -> None:
    story = Story(endpoint(reminder_interval=MINUTE, alert_on=BOTH)).play("+~~~")
    story.incident = attrs.evolve(story.incident, acknowledged=Acknowledgement(at=story.now, by="me"))
    story.play("~" * 20)
    assert story.told() == "30 firing up>degraded"
    story.play("---" + "-" * 10 + "++")
    assert story.told() == "30 firing up>degraded, 260 firing degraded>down, 380 resolved down>up"
    story.play("---" + "-" * 6)
    assert story.told().endswith("410 firing up>down, 470 reminder"), "the next one is another"


# Certificates.


def test_a_certificate_warns_once_whatever_is_worth_an_alert() -> None:
    story = Story(endpoint(reminder_interval=MINUTE)).play("+!!!" + "!" * 20 + "++")
    assert story.told() == "30 firing up>degraded, 250 resolved degraded>up"
    assert story.documents()[0]["data"]["reason"]["code"] == "tls"


def test_a_certificate_that_warns_of_an_endpoint_that_is_slow_already() -> None:
    story = Story().play("+~~~~")
    assert story.told() == ""
    story.play("!~!~~~!")
    assert story.told() == "50 firing up>degraded"
    assert story.documents()[0]["data"]["incident"]["started_at"] == "2026-11-22T15:00:50.000Z"
    assert story.outcomes == "pending>up:policy up>degraded:alerted"
    story.play("++")
    assert story.told() == "50 firing up>degraded, 130 resolved degraded>up"


def test_down_in_between_is_part_of_the_incident() -> None:
    story = Story().play("+!!!---!!++")
    assert story.told() == (
        "30 firing up>degraded, 60 firing degraded>down, 80 firing down>degraded, 100 resolved degraded>up"
    )


def test_a_sink_for_outages_alone_hears_of_no_certificate() -> None:
    story = Story(endpoint(), ops=Route(alert_on=(State.DOWN,))).play("+!!!++")
    assert story.told() == ""


def test_a_certificate_that_was_renewed_is_forgotten() -> None:
    story = Story().play("+!!!++~~~")
    assert story.told() == "30 firing up>degraded, 50 resolved degraded>up", "slow alone is not worth an alert"


# Holds.


def test_a_firing_that_is_held_goes_out_when_the_hold_ends() -> None:
    story = Story()
    story.hold = Hold(why=Outcome.MAINTENANCE, until=EPOCH + timedelta(seconds=75))
    story.play("+---")
    assert (story.told(), story.outcomes) == ("", "pending>up:policy up>down:maintenance")
    assert story.alerting.held is Outcome.MAINTENANCE
    story.play("---")
    assert story.again_at == EPOCH + timedelta(seconds=75)
    story.now, story.hold = EPOCH + timedelta(seconds=75), None
    story.look()
    assert (story.told(), story.outcomes) == ("75 firing up>down", "pending>up:policy up>down:alerted")
    assert story.alerting.held is None
    assert story.documents()[0]["data"]["incident"]["duration"] == 65.0
    story.play("-++")
    assert story.told() == "75 firing up>down, 95 resolved down>up"


def test_what_is_over_before_the_hold_is_was_never_said() -> None:
    story = Story()
    story.hold = MAINTENANCE
    story.play("+---++")
    story.hold = None
    story.play("+++")
    assert story.told() == ""
    assert story.outcomes == "pending>up:policy up>down:maintenance down>up:maintenance"


def test_what_is_getting_better_when_the_hold_ends_waits_for_its_next_probe() -> None:
    story = Story()
    story.hold = MAINTENANCE
    story.play("+---+")
    story.hold = None
    story.look()
    assert story.told() == ""
    story.probe("-")
    assert story.told() == "50 firing up>down"


def test_a_hold_holds_reminders_and_easing_but_never_the_end() -> None:
    story = Story(endpoint(alert_on=BOTH, reminder_interval=MINUTE)).play("+---")
    story.hold = Hold(why=Outcome.SILENCE)
    story.play("-" * 10)
    story.hold = None
    story.play("--")
    assert story.told() == "30 firing up>down, 140 reminder", "missed ones are one"
    story.hold = Hold(why=Outcome.SILENCE)
    story.play("~~")
    assert story.outcomes.endswith("down>degraded:silence")
    story.play("++")
    assert story.told() == "30 firing up>down, 140 reminder, 190 resolved degraded>up"


def test_a_held_child_fires_only_on_a_probe_begun_since_its_parent_is_up() -> None:
    story = Story()
    story.hold = Hold(why=Outcome.DEPENDENCY, parents=("edge",))
    story.play("+----")
    assert (story.alerting.held, story.alerting.parents) == (Outcome.DEPENDENCY, ("edge",))
    story.hold = Hold(why=Outcome.DEPENDENCY, probe_after=EPOCH + timedelta(seconds=45))
    story.look()
    assert story.told() == ""
    story.probe("-")
    assert story.told() == "50 firing up>down"
    assert story.outcomes == "pending>up:policy up>down:alerted"


def test_those_held_because_of_it_are_named() -> None:
    story = Story(endpoint(reminder_interval=MINUTE))
    story.suppressed = ("a", "b")
    story.play("+---")
    story.suppressed = ("b", "c")
    story.play("-------")
    story.suppressed = ()
    story.play("++")
    named = [each["data"]["suppressed"] for each in story.documents()]
    assert named == [["a", "b"], ["a", "b", "c"], ["a", "b", "c"]]
    story.play("---")
    assert story.documents()[-1]["data"]["suppressed"] == []


# Flapping: up and down are transitions at every second and third probe.

SWINGS = "---++"


def test_flapping_is_said_once_and_then_nothing_until_it_is_steady() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE, reminder_interval=MINUTE)).play("+" + SWINGS * 8)
    # The seventh transition within ten minutes begins it: pending>up, then up>down and down>up.
    told = "30 firing up>down, 50 resolved down>up, 80 firing up>down, 100 resolved down>up, 130 firing up>down"
    assert story.told() == told + ", 150 flapping"
    assert story.outcomes.count("flapping") == 17 - 6
    assert story.alerting.words.keys() == {"ops"}
    story.play("+" * 70)
    # The third last of the transitions, at 350 s, leaves the window; what was said last, down, is not true any more.
    assert story.told() == told + ", 150 flapping, 950 steady, 950 resolved down>up"
    assert story.outcomes.endswith("down>up:alerted")
    assert story.documents()[-1]["data"]["incident"]["id"] == story.documents()[-4]["data"]["incident"]["id"]
    assert [each["data"]["sequence"] for each in story.documents()] == [1, 2, 3, 4, 5, 5, 5, 6]


def test_down_when_it_is_steady_and_told_so_is_nothing_new_and_ends_as_the_sink_knows_it() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE)).play("+" + SWINGS * 4 + "---")
    known = story.documents()[-2]["data"]["incident"]["id"]
    assert story.told().endswith("130 firing up>down, 150 flapping")
    story.play("-" * 70)
    assert story.told().endswith("130 firing up>down, 150 flapping, 780 steady"), "the last word is true again"
    assert story.incident is not None
    assert story.incident.id != known
    story.play("++")
    assert story.told().endswith("780 steady, 950 resolved down>up")
    assert story.documents()[-1]["data"]["incident"]["id"] == known


def test_down_when_it_is_steady_and_nobody_knows_fires() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE, flap_changes=5)).play("+" + SWINGS * 3 + "---" + "-" * 70)
    assert story.told().endswith("100 resolved down>up, 130 flapping, 730 steady, 730 firing up>down")
    assert story.outcomes.endswith("up>down:alerted")


def test_flapping_is_held_like_a_firing_and_its_end_is_for_those_who_were_told() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE))
    story.hold = MAINTENANCE
    story.play("+" + SWINGS * 4)
    assert story.told() == ""
    story.hold = None
    story.play("+")
    assert story.told() == "210 flapping"
    story.hold = MAINTENANCE
    story.play("+" * 60)
    assert story.told() == "210 flapping, 750 steady"


def test_who_is_told_of_what_lasts_hears_of_no_flapping() -> None:
    story = Story(endpoint(sinks=("chat", "pager")), pager=Route(after=Duration(10 * MINUTE))).play("+" + SWINGS * 4)
    assert "flapping" in story.told("chat")
    assert story.told("pager") == ""


def test_it_flaps_on_after_a_restart_and_ends_in_time() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE)).play("+" + SWINGS * 4)
    story.restart(away=30)
    assert story.told().endswith("flapping")
    story.restart(away=HOUR)
    assert story.told().endswith("steady, 3840 resolved down>up")


def test_it_takes_a_change_to_begin_to_flap() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE)).play("+---++")
    story.endpoint = endpoint(flap_window=10 * MINUTE, flap_changes=2)
    story.look()
    assert story.alerting.flapping is None
    story.play("---")
    assert story.told().endswith("80 flapping")


# Leaving, and clocks.


def test_who_is_no_longer_watched_is_resolved_once() -> None:
    story = Story(endpoint(sinks=("ops", "log"))).play("+---")
    story.leave()
    assert story.told("ops") == story.told("log") == "30 firing up>down, 40 resolved down>gone"
    gone = story.documents()[-1]["data"]
    assert (gone["to"], gone["reason"]["message"], gone["sequence"]) == (None, "no longer watched", 2)
    assert gone["incident"]["duration"] == 30.0
    assert story.outcomes.endswith("down>None:alerted")
    assert story.incidents["id-1"].resolved_at == story.now


def test_who_leaves_while_it_flaps_takes_its_words_back() -> None:
    story = Story(endpoint(flap_window=10 * MINUTE)).play("+" + SWINGS * 4)
    story.leave()
    assert story.told().endswith("150 flapping, 210 steady, 210 resolved up>gone")


def test_who_leaves_without_having_said_anything_leaves_silently() -> None:
    story = Story().play("+--")
    story.leave()
    assert (story.told(), story.outcomes) == ("", "pending>up:policy")


def test_who_leaves_while_held_was_never_heard_of() -> None:
    story = Story()
    story.hold = MAINTENANCE
    story.play("+---")
    story.leave()
    assert (story.told(), story.outcomes) == ("", "pending>up:policy up>down:maintenance down>None:maintenance")


def test_a_clock_set_back_makes_no_negative_duration_and_delays_nothing() -> None:
    story = Story(endpoint(reminder_interval=MINUTE)).play("+---")
    story.now -= timedelta(days=1)
    story.play("-" * 8)
    assert [str(each).partition(" ")[2] for each in story.heard] == ["firing up>down", "reminder"]
    assert story.documents()[1]["data"]["incident"]["duration"] == 0.0
    story.play("++")
    incident = story.documents()[2]["data"]["incident"]
    assert (incident["duration"], incident["resolved_at"]) == (0.0, incident["started_at"])


def test_a_change_of_what_is_worth_an_alert_is_seen_at_the_next_review() -> None:
    story = Story().play("+~~~")
    story.endpoint = endpoint(alert_on=BOTH)
    story.look()
    assert story.told() == "40 firing up>degraded"
    assert story.documents()[0]["data"]["incident"]["started_at"] == "2026-11-22T15:00:10.000Z"
    story.endpoint = endpoint()
    story.look()
    assert story.told() == "40 firing up>degraded, 40 resolved degraded>degraded"


def test_a_review_of_the_same_says_nothing() -> None:
    story = Story(endpoint(alert_on=BOTH, reminder_interval=HOUR)).play("+~~~---")
    for _ in range(3):
        before = story.alerting
        decision = story.look()
        assert (decision.alerts, decision.transition, decision.alerting) == ((), None, before)


def test_an_incident_runs_to_its_end_and_while_open_to_now() -> None:
    began = EPOCH - timedelta(seconds=10.2)
    outage = Incident(id="outage", endpoint="shop", started_at=began, reason=Reason(Code.TIMEOUT))
    assert incident_json(outage, EPOCH)["duration"] == 10.2
    ended = attrs.evolve(outage, resolved_at=began + timedelta(milliseconds=1))
    assert incident_json(ended, EPOCH)["duration"] == 0.001
