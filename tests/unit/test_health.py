"""Thresholds and streaks, as stories.

A script is one observation a character: `+` up, `~` degraded, `-` down, `?` unknown. The story tells the state
underneath after each: `P` pending, `U` up, `G` degraded, `D` down; `!` marks a transition.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.health import Change, Health, advance
from monitor.core.model import Code, Observation, Reason, State, Status, Thresholds

START = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
STEP = timedelta(seconds=10)
STATUSES = {"+": Status.UP, "~": Status.DEGRADED, "-": Status.DOWN, "?": Status.UNKNOWN}
LETTERS = {State.PENDING: "P", State.UP: "U", State.DEGRADED: "G", State.DOWN: "D", State.UNKNOWN: "?"}


def thresholds(failure: int = 3, success: int = 2) -> Thresholds:
    return Thresholds(failure=failure, success=success, stale_after=100.0)


def seen(sign: str, at: datetime, number: int = 0) -> Observation:
    reason = Reason(Code.OK) if sign == "+" else Reason(Code.EXPECTATION, None, f"probe {number}")
    return Observation(endpoint="shop", status=STATUSES[sign], reason=reason, started_at=at, duration=0.1)


@attrs.define
class Story:
    """An endpoint's life: what it was after each probe, and what changed."""

    limits: Thresholds
    health: Health = attrs.field(factory=Health)
    at: datetime = START
    told: list[str] = attrs.field(factory=list)
    shown: list[str] = attrs.field(factory=list)
    changes: list[Change] = attrs.field(factory=list)
    count: int = 0

    def go_on(self, script: str) -> Story:
        for sign in script:
            self.health, change = advance(self.health, seen(sign, self.at, self.count), self.limits)
            self.told.append(LETTERS[self.health.state] + ("!" if change else ""))
            self.shown.append(LETTERS[self.health.shown(self.limits)])
            if change:
                self.changes.append(change)
            self.at += STEP
            self.count += 1
        return self

    def pause(self, seconds: float) -> Story:
        self.at += timedelta(seconds=seconds) - STEP
        return self


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("+", "U!"),  # from pending, one good answer is enough
        ("--+", "P P U!"),
        ("---", "P P D!"),
        ("+--+", "U! U U U"),  # two failures are not an outage
        ("+---", "U! U U D!"),
        ("---+-++", "P P D! D D D U!"),  # one good answer is not a recovery
        ("---++", "P P D! D U!"),
        ("+-+-+-+", "U! U U U U U U"),
        ("+--+--+---", "U! U U U U U U U U D!"),
        # Degraded lies between: at least that bad, at least that good.
        ("~~~", "P P G!"),
        ("+~~~", "U! U U G!"),
        ("+~~+", "U! U U U"),
        ("+~-~", "U! U U G!"),  # three at least degraded
        ("+~--", "U! U U G!"),
        ("+~---", "U! U U G! D!"),
        ("+-~-~-~", "U! U U G! G G G"),
        ("~~~++", "P P G! G U!"),
        ("~~~+~++", "P P G! G G G U!"),
        ("~~~---", "P P G! G G D!"),
        ("~~~--~--", "P P G! G G G G G"),
        ("---~~", "P P D! D G!"),
        ("---~+", "P P D! D G!"),  # two at least as good as degraded
        ("---~++", "P P D! D G! U!"),
        ("---+~", "P P D! D G!"),
        ("---~-~-", "P P D! D D D D"),
        ("--~", "P P G!"),  # from pending, too, three at least degraded
        # Unknown counts nowhere: it neither breaks nor lengthens a streak.
        ("???", "P P P"),
        ("+-?-?-", "U! U U U U D!"),
        ("+--?+", "U! U U U U"),
        ("+--???", "U! U U U U U"),
        ("+--???-", "U! U U U U U D!"),
        ("---+?+", "P P D! D D U!"),
        ("?+", "P U!"),
        ("-?-?-", "P P P P D!"),
    ],
)
def test_a_story(script: str, expected: str) -> None:
    assert " ".join(Story(thresholds()).go_on(script).told) == expected


@pytest.mark.parametrize(
    ("failure", "success", "script", "expected"),
    [
        (1, 1, "+-+-", "U! D! U! D!"),
        (1, 1, "+~-~+", "U! G! D! G! U!"),
        (1, 3, "-++-+++", "D! D D D D D U!"),
        (1, 3, "+", "U!"),
        (2, 1, "+--+", "U! U D! U!"),
        (5, 2, "+----+-----", "U! U U U U U U U U U D!"),
        (2, 3, "--+~+~++", "P D! D D G! G G G"),
        (2, 3, "--+~+~+++", "P D! D D G! G G G U!"),
        (1, 2, "-~~", "D! D G!"),
    ],
)
def test_thresholds_are_those_of_the_endpoint(failure: int, success: int, script: str, expected: str) -> None:
    assert " ".join(Story(thresholds(failure, success)).go_on(script).told) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("???", "P P ?"),
        ("+???+", "U U U ? U"),
        ("+??-?", "U U U U U"),
        ("---????", "P P D D D ? ?"),
        ("---???-", "P P D D D ? D"),
        ("+????~", "U U U ? ? U"),
    ],
)
def test_unknown_is_shown_after_as_many_as_it_takes_to_fail_and_ends_with_the_first_other(
    script: str, expected: str
) -> None:
    story = Story(thresholds()).go_on(script)
    assert " ".join(story.shown) == expected
    assert all(State.UNKNOWN not in (change.before, change.after) for change in story.changes)


def test_a_streak_knows_when_and_why_it_began() -> None:
    down, up = Story(thresholds()).go_on("---?-+-?++").changes
    assert down == Change(State.PENDING, State.DOWN, down.streak)
    assert (down.streak.since, down.streak.reason.message, down.streak.count) == (START, "probe 0", 3)
    assert up == Change(State.DOWN, State.UP, up.streak)
    assert (up.streak.since, up.streak.reason, up.streak.count) == (START + 8 * STEP, Reason(Code.OK), 2)


def test_an_outage_after_degraded_answers_begins_with_its_first_down() -> None:
    _, degraded, down = Story(thresholds()).go_on("+~~~---").changes
    assert degraded.streak.since == START + STEP
    assert down.before is State.DEGRADED
    assert down.streak.since == START + 4 * STEP


def test_a_return_by_way_of_degraded_began_with_the_first_good_enough() -> None:
    *_, eased, up = Story(thresholds()).go_on("---~++").changes
    assert (eased.before, eased.after, eased.streak.since) == (State.DOWN, State.DEGRADED, START + 3 * STEP)
    assert (up.before, up.after, up.streak.since) == (State.DEGRADED, State.UP, START + 4 * STEP)


@pytest.mark.parametrize(
    ("pause", "expected"),
    [
        (100.0, "D!"),  # 3 × (interval + timeout), no more: it goes on
        (100.001, "U"),  # older: it begins anew
        (86400.0 * 30, "U"),
    ],
)
def test_an_old_streak_begins_anew(pause: float, expected: str) -> None:
    story = Story(thresholds()).go_on("+--").pause(pause).go_on("-")
    assert story.told[-1] == expected


def test_after_a_pause_the_streak_counts_from_its_new_beginning() -> None:
    story = Story(thresholds()).go_on("+--").pause(1000)
    begin = story.at
    assert " ".join(story.go_on("---").told[-3:]) == "U U D!"
    assert story.changes[-1].streak.since == begin


def test_a_long_unknown_makes_a_streak_old() -> None:
    story = Story(thresholds()).go_on("+--" + "?" * 10 + "-")
    assert story.told[-1] == "U"
    assert story.health.as_bad_as_down.count == 1


def test_a_pause_keeps_the_state_underneath() -> None:
    story = Story(thresholds()).go_on("---").pause(1e6)
    assert " ".join(story.go_on("+-+").told[-3:]) == "D D D"


def test_a_clock_set_back_breaks_no_streak() -> None:
    story = Story(thresholds()).go_on("+--").pause(-86400)
    assert story.go_on("-").told[-1] == "D!"


@pytest.mark.parametrize(
    ("script", "unconfirmed"),
    [
        ("", False),
        ("?", False),
        ("-", True),
        ("~", True),
        ("+", False),
        ("+-", True),
        ("+~", True),
        ("+-?", True),
        ("+-+", False),
        ("---", False),
        ("---+", True),
        ("---~", True),
        ("---+-", False),
        ("---++", False),
        ("~~~", False),
        ("~~~-", True),
        ("~~~+", True),
        ("~~~+~", False),
        ("---++" + "++", False),
    ],
)
def test_a_change_under_way_is_unconfirmed(script: str, unconfirmed: bool) -> None:
    assert Story(thresholds()).go_on(script).health.unconfirmed is unconfirmed


@given(
    script=st.text(alphabet="+~-?", max_size=40),
    failure=st.integers(1, 5),
    success=st.integers(1, 5),
)
def test_whatever_happens_a_change_is_a_change_and_its_streak_is_long_enough(
    script: str, failure: int, success: int
) -> None:
    story = Story(thresholds(failure, success))
    order = [State.UP, State.DEGRADED, State.DOWN]
    state = State.PENDING
    for sign in script:
        before = len(story.changes)
        story.go_on(sign)
        for change in story.changes[before:]:
            assert sign != "?"
            assert change.before is state
            assert change.after is not state
            worse = state is State.PENDING or order.index(change.after) > order.index(state)
            needed = 1 if state is State.PENDING and change.after is State.UP else failure if worse else success
            assert change.streak.count >= needed
            assert change.streak.since is not None
            assert START <= change.streak.since < story.at
            state = change.after
    assert story.health.state is state


@given(script=st.text(alphabet="+~-", max_size=30), data=st.data())
def test_leaving_out_what_could_not_tell_changes_nothing(script: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(script)), max_size=5))
    with_unknowns = list(script)
    for place in sorted(places, reverse=True):
        with_unknowns.insert(place, "?")
    long = Thresholds(failure=3, success=2, stale_after=1e9)
    plain = Story(long).go_on(script)
    mixed = Story(long).go_on("".join(with_unknowns))
    assert [(change.before, change.after) for change in plain.changes] == [
        (change.before, change.after) for change in mixed.changes
    ]
