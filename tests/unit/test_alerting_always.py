"""What holds of alerting whatever happens: probes, holds, reloads, restarts, a clock that jumps, in any order."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import attrs
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.alerting import BOTH, Story, shop

from monitor.core.alerting import NOTHING, Hold
from monitor.core.model import Acknowledgement, Outcome, Route, State
from monitor.core.quantities import Duration

SINKS = ("ops", "chat", "late")
ROUTES = {
    "ops": Route(),
    "chat": Route(alert_on=(State.DOWN,)),
    "late": Route(after=Duration(60), groups=("web",)),
}
SCRIPTS = strategies.text("+-~!?", min_size=1, max_size=8) | strategies.sampled_from(["---", "++", "---++---++", "~~~"])
SPANS = strategies.sampled_from([0.5, 10, 30, 100, 700, 5000])


class AlertingAlways(RuleBasedStateMachine):
    """One endpoint, three sinks."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story(
            shop(sinks=SINKS, flap_changes=4, flap_window=Duration(300), reminder_interval=Duration(120)), **ROUTES
        )
        self.seen = 0  # messages looked at so far
        self.told: dict[str, str] = {}  # by sink, the incident that it knows to be open
        self.over: set[tuple[str, str]] = set()
        self.flapping: dict[str, bool] = {}
        self.sequence = 0

    @rule(script=SCRIPTS, every=strategies.sampled_from([1, 10, 40]))
    def probe(self, script: str, every: float) -> None:
        for letter in script:
            self.story.probe(letter)
            self.hear()
            self.wait(every)

    @rule(span=SPANS)
    def wait(self, span: float) -> None:
        end = self.story.now + timedelta(seconds=span)
        while self.story.again_at is not None and self.story.again_at <= end:
            assert self.story.again_at > self.story.now
            self.story.now = self.story.again_at
            self.look()
        self.story.now = end

    @rule()
    def look(self) -> None:
        self.story.look()
        self.hear()
        kept = self.story.alerting
        again = self.story.look()
        assert (again.alerts, again.transition, again.late, again.alerting) == ((), None, False, kept)

    @rule(why=strategies.sampled_from([Outcome.MAINTENANCE, Outcome.SILENCE, Outcome.DEPENDENCY]), span=SPANS)
    def hold(self, why: Outcome, span: float) -> None:
        self.story.hold = Hold(why=why, until=self.story.now + timedelta(seconds=span))

    @rule()
    def hold_until_a_probe(self) -> None:
        self.story.hold = Hold(why=Outcome.DEPENDENCY, parents=("edge",), probe_after=self.story.now)

    @rule()
    def let_go(self) -> None:
        self.story.hold = None

    @rule(
        sinks=strategies.sets(strategies.sampled_from(SINKS)),
        alert_on=strategies.sampled_from([(State.DOWN,), BOTH]),
        reminder=strategies.sampled_from([None, Duration(50)]),
        changes=strategies.integers(1, 6),
    )
    def reload(self, sinks: set[str], alert_on: tuple[State, ...], reminder: Duration | None, changes: int) -> None:
        assert self.story.endpoint is not None
        self.story.endpoint = attrs.evolve(
            self.story.endpoint,
            sinks=tuple(sorted(sinks)),
            alert_on=alert_on,
            reminder_interval=reminder,
            flap_changes=changes,
        )
        self.look()

    @rule(children=strategies.sets(strategies.sampled_from("abc")))
    def suppress(self, children: set[str]) -> None:
        self.story.suppressed = tuple(sorted(children))

    @rule()
    def acknowledge(self) -> None:
        if self.story.incident is not None:
            known = Acknowledgement(at=self.story.now)
            self.story.incident = attrs.evolve(self.story.incident, acknowledged=known)

    @rule(away=SPANS)
    def restart(self, away: float) -> None:
        before = len(self.story.heard)
        self.story.restart(away=away)
        said = {each.document["type"] for each in self.story.heard[before:]}
        assert said <= {"alert.resolved", "alert.flapping"}, "nothing bad is said without a probe"
        self.hear()

    @rule(span=SPANS)
    def set_the_clock_back(self, span: float) -> None:
        self.story.now -= timedelta(seconds=span)
        self.look()

    @rule()
    def leave(self) -> None:
        self.story.leave()
        self.hear(left=True)
        assert self.told == {}
        assert not any(self.flapping.values())
        self.story.again_at = None

    def hear(self, *, left: bool = False) -> None:
        """Look at what was said since the last look, all of it at one moment."""
        story, news = self.story, self.story.heard[self.seen :]
        self.seen = len(story.heard)
        numbers: list[int] = []
        for heard in news:
            kind, data, sink = heard.document["type"].removeprefix("alert."), heard.document["data"], heard.sink
            incident = (data["incident"] or {}).get("id")
            held = story.hold is not None and story.hold.holds(story.health.counted_at)
            match kind:
                case "firing":
                    assert not held
                    assert self.told.get(sink, incident) == incident, "one at a time"
                    assert (sink, incident) not in self.over, "what is over is over"
                    assert data["to"] == str(story.health.state)
                    self.told[sink] = incident
                case "reminder":
                    assert not held
                    assert self.told[sink] == incident
                    assert data["to"] == str(story.health.state)
                    assert story.incident is not None
                    assert story.incident.acknowledged is None
                case "resolved":
                    assert self.told.pop(sink) == incident
                    self.over.add((sink, incident))
                    assert data["incident"]["resolved_at"] >= data["incident"]["started_at"]
                case "flapping":
                    assert self.flapping.get(sink, False) is not data["flapping"], "said once"
                    assert not (held and data["flapping"])
                    self.flapping[sink] = data["flapping"]
            if kind in ("firing", "resolved"):
                numbers.append(data["sequence"])
            if story.alerting.flapping is not None and not left:
                assert kind == "flapping", "nothing else while it flaps"
            assert data["incident"] is None or data["incident"]["duration"] >= 0
        for earlier, later in pairwise([self.sequence, *dict.fromkeys(numbers)]):
            assert later == earlier + 1
        self.sequence = story.sequence

    @invariant()
    def the_last_word_stands_and_is_true(self) -> None:
        story, kept = self.story, self.story.alerting
        assert {sink: word.incident for sink, word in kept.words.items()} == self.told
        if kept.flapping is None and story.health.state not in BOTH:
            assert kept.words == {}
            assert story.incident is None
        assert (kept.flapping is not None and kept.flapping.told is not None) or not any(self.flapping.values())
        assert story.again_at is None or story.again_at > story.now - timedelta(seconds=5000)
        assert list(kept.moments) == sorted(kept.moments)

    @invariant()
    def what_is_alerted_was_said(self) -> None:
        assert self.sequence == self.story.sequence == len({
            each.document["data"]["sequence"]
            for each in self.story.heard
            if each.document["type"] in ("alert.firing", "alert.resolved")
        })  # fmt: skip

    def teardown(self) -> None:
        """In the end all is well, and everybody knows; then it is down, and everybody knows."""
        story = self.story
        story.hold = None
        self.probe("+" * 50, 40)
        assert (self.told, story.incident, story.alerting.flapping) == ({}, None, None)
        assert attrs.evolve(story.alerting, moments=(), before=NOTHING.before, reason=NOTHING.reason) == NOTHING
        assert story.endpoint is not None
        story.endpoint = attrs.evolve(story.endpoint, sinks=SINKS, flap_changes=6)
        self.probe("-" * 10, 40)
        assert self.told.keys() == set(SINKS)


TestAlertingAlways = AlertingAlways.TestCase
TestAlertingAlways.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
