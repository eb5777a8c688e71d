"""Uptime as PRODUCT section 5 has it, of what was written as it happened: told as stories, and held against a sum.

A story is one observation every ten seconds: `+` up, `d` degraded, `-` down, `?` unknown, `.` none (the monitor runs),
`x` none (the monitor does not run), `L` the endpoint leaves the config. It takes two to get worse, two to get better.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.entries import NOW, REFUSED, StandingClock, observed
from support.ports import TrioClock

from monitor.core.alerting.situation import Decision
from monitor.core.health import advance
from monitor.core.model import OK, Outcome, State, Status, Thresholds, Transition
from monitor.store import Entry, Maintenance, Record
from monitor.store.archive import open_archive
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from monitor.store.sqlite import SqliteStore

STEP = timedelta(seconds=10)
THRESHOLDS = Thresholds(failure=2, success=2, stale_after=10_000)
STATUSES = {"+": Status.UP, "d": Status.DEGRADED, "-": Status.DOWN, "?": Status.UNKNOWN}
LONG = timedelta(days=90)


class RunningClock(StandingClock):
    """Both clocks go the same way: what passes is time, not a clock set anew."""

    def monotonic(self) -> float:
        return (self.now - NOW).total_seconds()


class Endpoint:
    """One endpoint, watched as the supervisor and the recorder do."""

    def __init__(self, store: SqliteStore, record: Record, clock: StandingClock) -> None:
        self.clock = clock
        self.store = store
        self.record = record

    async def observe(self, status: Status) -> None:
        now = self.clock.wall()
        reason = OK if status is Status.UP else REFUSED
        observation = attrs.evolve(observed("shop", at=now, reason=reason), status=status)
        health, change = advance(self.record.health, observation, THRESHOLDS)
        self.record = attrs.evolve(self.record, health=health, last=observation, watched=True)
        decision = None
        if change is not None:
            decision = Decision(transition=self._transition(change.before, change.after), incident=None, sequence=0)
        entry = Entry(record=self.record, observation=observation, decision=decision)
        if decision is None:
            self.store.append(entry)
            await trio.sleep(0.2)
        else:
            await self.store.commit(entry)

    async def leave(self) -> None:
        self.record = Record(name="shop", watched=False)
        await self.store.commit(Entry(record=self.record))

    def _transition(self, before: State, after: State) -> Transition:
        now = self.clock.wall()
        return Transition(
            endpoint="shop", before=before, after=after, at=now, reason=OK, incident=None, outcome=Outcome.POLICY
        )


async def told(data_dir: Path, story: str, *, maintenance: Sequence[tuple[int, int]] = ()) -> float | None:
    """The uptime at the end of *story*; *maintenance* in steps from the beginning."""
    clock = RunningClock()
    for number, part in enumerate(story.split("x")):
        clock.advance(seconds=10 if number else 0)
        async with open_store(data_dir, clock=clock, run_sync=run_here) as store:
            record = (await store.records()).get("shop") or Record(name="shop")
            endpoint = Endpoint(store, record, clock)
            for letter in part:
                if letter in STATUSES:
                    await endpoint.observe(STATUSES[letter])
                elif letter == "L":
                    await endpoint.leave()
                clock.now += STEP
            await store.mark(
                [
                    Maintenance(endpoint="shop", started_at=NOW + a * STEP, ended_at=NOW + b * STEP)
                    for a, b in maintenance
                ]
            )
            found = await store.uptime(endpoints=["shop"], windows={"90d": LONG}, now=clock.now)
            everybody = await store.uptime(windows={"90d": LONG}, now=clock.now)
            assert everybody.get("shop", {"90d": None}) == found["shop"]
    return found["shop"]["90d"]


@pytest.mark.parametrize(
    ("story", "uptime"),
    [
        ("", None),
        ("....", None),
        ("+" * 10, 1.0),
        ("++++-+++++", 1.0),  # one failing probe is no outage
        ("++++--++++", 0.8),  # from the first failing probe to the first good one
        ("++++----++", 0.6),
        ("++++-----+", 0.4),  # not over yet: one good answer is no return
        ("dddddddddd", 1.0),  # degraded counts as up
        ("++--dddddd", 0.8),
        ("++ddd---dd", 0.7),
        ("----------", 0.0),
        ("....++--++", 1 - 2 / 6),  # before the first observation nobody watched
        ("++?+++++--", 1 - 2 / 9),  # what could not be told does not count
        ("+--????-++", 0.5),  # … neither as up nor as down
        ("??????????", None),
        ("++--xxxxxx--++", 1 - 4 / 8),  # the monitor was away for six steps; it was down when it came back
        ("++++xxxx++++", 1.0),
        ("++--L.....", 1 - 2 / 4),
        ("++--L...++++", 1 - 2 / 8),
    ],
)
async def test_stories(tmp_path: Path, autojump_clock: MockClock, story: str, uptime: float | None) -> None:
    found = await told(tmp_path, story)
    assert found == (None if uptime is None else pytest.approx(uptime))


@pytest.mark.parametrize(
    ("story", "maintenance", "uptime"),
    [
        ("++++----++", (3, 9), 1.0),
        ("++++----++", (4, 6), 1 - 2 / 8),
        ("++++++++++", (0, 10), None),
        ("++++----++", (5, 500), 1 - 1 / 5),  # a window that goes on
    ],
)
async def test_maintenance_does_not_count(
    tmp_path: Path, autojump_clock: MockClock, story: str, maintenance: tuple[int, int], uptime: float | None
) -> None:
    found = await told(tmp_path, story, maintenance=[maintenance])
    assert found == (None if uptime is None else pytest.approx(uptime))


async def test_windows_are_of_the_past_until_now(tmp_path: Path, autojump_clock: MockClock) -> None:
    clock = RunningClock()
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        endpoint = Endpoint(store, Record(name="shop"), clock)
        for status, hours in ((Status.UP, 90), (Status.DOWN, 6), (Status.UP, 4)):
            await endpoint.observe(status)
            await endpoint.observe(status)
            clock.advance(hours=hours)
        windows = {"3h": timedelta(hours=3), "8h": timedelta(hours=8), "90d": LONG}
        found = await store.uptime(endpoints=["shop", "nobody"], windows=windows, now=clock.now)
    assert found["shop"] == {"3h": 1.0, "8h": pytest.approx(0.5), "90d": pytest.approx(0.94)}
    assert found["nobody"] == {"3h": None, "8h": None, "90d": None}


async def test_a_clock_set_anew_is_no_time_that_was_watched(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As after a suspend: the wall clock went on, nobody looked."""
    clock = StandingClock()  # its monotonic clock stands
    async with open_store(tmp_path, clock=clock, run_sync=run_here) as store:
        endpoint = Endpoint(store, Record(name="shop"), clock)
        await endpoint.observe(Status.DOWN)
        clock.advance(seconds=20)
        await endpoint.observe(Status.DOWN)
        clock.advance(hours=10)
        await endpoint.observe(Status.UP)
        await endpoint.observe(Status.UP)
        clock.advance(seconds=20)
        found = await store.uptime(endpoints=["shop"], windows={"90d": LONG}, now=clock.now)
    assert found["shop"]["90d"] == pytest.approx(0.5)


async def test_that_nothing_is_seen_for_hours_does_not_mean_that_the_monitor_was_away(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Read beside the store while that is open, as a killed process would leave it."""
    async with open_store(tmp_path, clock=TrioClock(), run_sync=run_here):
        await trio.sleep(8 * 3600)
        with open_archive(tmp_path) as kept:
            ((began, ended),) = kept.runs()
    assert ended - began > timedelta(hours=8, minutes=-6)


def summed(story: str) -> float | None:
    """The same, step by step, from the letters alone."""
    down, unknown = [False] * len(story), [False] * len(story)
    watched = [letter != "x" for letter in story]
    state, bad, good, begun = "pending", None, None, False
    streak = {"bad": 0, "good": 0}
    for at, letter in enumerate(story):
        begun = begun or letter in STATUSES
        watched[at] = watched[at] and begun
        if letter == "?" or (letter in ".x" and at and unknown[at - 1]):
            unknown[at] = True
        if letter in "+d":
            streak = {"bad": 0, "good": streak["good"] + 1}
            good = at if streak["good"] == 1 else good
        elif letter == "-":
            streak = {"good": 0, "bad": streak["bad"] + 1}
            bad = at if streak["bad"] == 1 else bad
        if streak["bad"] >= 2 and state != "down":
            state = "down"
            for each in range(bad, at):
                down[each] = True
        elif streak["good"] >= 2 and state == "down":
            state = "up"
            for each in range(good, at):
                down[each] = False
        down[at] = state == "down"
    counted = [w and not u for w, u in zip(watched, unknown, strict=True)]
    if not any(counted):
        return None
    return 1 - sum(c and d for c, d in zip(counted, down, strict=True)) / sum(counted)


@given(st.text("++++d-----??.x", max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_story(tmp_path_factory: pytest.TempPathFactory, story: str) -> None:
    found = trio.run(told, tmp_path_factory.mktemp("any"), story, clock=trio.testing.MockClock(autojump_threshold=0))
    expected = summed(story)
    assert found == (None if expected is None else pytest.approx(expected))
