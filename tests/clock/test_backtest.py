"""What was recorded, replayed: the same config sends exactly what was sent, another one exactly what it should.

History is made by the daemon's own supervisor, recorder and store, hours in an instant.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.face import PlainFace
from support.ports import EPOCH, PlainRand, TrioClock
from support.probes import endpoint

from monitor.api import Check, Probe, Sink, Verdict, check_option
from monitor.backtest import compared
from monitor.cli.render.backtest import lines
from monitor.config import SinkSettings
from monitor.core.maintenance import Once, Window
from monitor.core.model import Route, State
from monitor.core.quantities import Duration
from monitor.holds import Holds
from monitor.live import LiveFeed
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.silencer import Silencer
from monitor.store.archive import open_archive
from monitor.store.sqlite import open_store, run_here
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from pathlib import Path

    from monitor.backtest import Comparison
    from monitor.core.model import Endpoint, Observation
    from monitor.net import Net

Jump = trio.testing.MockClock
LATER = EPOCH + timedelta(days=1)
AFTER = Route(after=Duration(45))


@attrs.frozen(kw_only=True, eq=False)
class Scripted(Check):
    """Answers by the clock, a letter for each ten seconds: + up, ~ degraded, - down, ? unknown; the last for ever."""

    script: str = check_option(doc="what to answer")

    async def probe(self, probe: Probe) -> Verdict:
        await trio.sleep(0.25)
        match self.script[min(int(trio.current_time() // 10), len(self.script) - 1)]:
            case "+":
                return Verdict.up()
            case "~":
                return Verdict.degraded("expected quick, got slow")
            case "-":
                return Verdict.down("expected status 200-299, got 503")
            case _:
                raise ValueError("the check itself is broken")


def target(script: str, name: str = "it", **settings: Any) -> Endpoint:
    wanted = {"interval": 10, "retry_interval": 10, "timeout": 2, "sinks": ("ops",)} | settings
    if "reminder_interval" in wanted:
        wanted["reminder_interval"] = Duration(wanted["reminder_interval"])
    return endpoint(Scripted(script=script), name=name, **wanted)


async def nothing(_: Recorder, __: Silencer) -> None:
    """Nobody does anything."""


async def recorded(
    data_dir: Path,
    *endpoints: Endpoint,
    seconds: float,
    meanwhile: Callable[[Recorder, Silencer], Awaitable[None]] = nothing,
) -> None:
    """Watch *endpoints* for as long; what comes of it is in *data_dir*."""
    clock, rand = TrioClock(), PlainRand()
    rand._count = int(trio.current_time()) * 1000  # another life, other identifiers
    net: Net = None  # type: ignore[assignment] # nothing here connects

    async def probe(watched: Endpoint) -> Observation:
        return await probe_once(watched, net=net, clock=clock, mask=None)

    async with open_store(data_dir, clock=clock, run_sync=run_here) as store, trio.open_nursery() as nursery:
        holds = Holds(lambda: silencer.silences)
        recorder = Recorder(store, clock=clock, rand=rand, feed=LiveFeed(), ring=lambda: None, circumstances=holds)
        silencer = Silencer(store, clock=clock, rand=rand, changed=recorder.review_open)
        recorder.configure(endpoints, {}, None)
        holds.configure(endpoints, ())
        await recorder.load()
        nursery.start_soon(recorder.run)
        nursery.start_soon(meanwhile, recorder, silencer)
        supervisor = Supervisor(nursery, probe=probe, record=recorder.record, slots=trio.CapacityLimiter(100))
        recorder.probe_now = supervisor.probe_now
        for each in endpoints:
            supervisor.start(each)
        await trio.sleep(seconds)
        nursery.cancel_scope.cancel()


async def replayed(
    data_dir: Path, *endpoints: Endpoint, since: float = 0, maintenance: tuple[Window, ...] = ()
) -> Comparison:
    """Compare with a config of *endpoints*."""
    config = attrs.evolve(PlainFace().config, endpoints=endpoints, maintenance=maintenance)
    with open_archive(data_dir) as archive:
        return await compared(archive, config, EPOCH + timedelta(seconds=since), LATER)


def told(comparison: Comparison) -> list[str]:
    """`firing up > down: 30 s later`, a line each."""
    found = []
    for row in comparison.rows:
        by = f" {abs(row.seconds):.0f} s" if row.difference in ("later", "earlier") else ""
        found.append(f"{row.one.words}:{by} {row.difference}")
    return found


def shown(comparison: Comparison, asked: datetime = EPOCH) -> list[str]:
    return ["".join(text for text, *_ in spans) for spans in lines(comparison, asked=asked)]


STORY = "+" * 6 + "-" * 12 + "+" * 6 + "--" + "+" * 4 + "~" * 10 + "+" * 6 + "?" * 8 + "+"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"failure_threshold": 1, "success_threshold": 1},
        {"reminder_interval": 30},
        {"alert_on": (State.DOWN, State.DEGRADED)},
        {"flap_changes": 2, "failure_threshold": 1, "success_threshold": 1},
        {"sinks": ("ops", "chat")},
        {"sinks": ()},
    ],
)
async def test_the_same_config_sends_exactly_what_was_sent(
    tmp_path: Path, autojump_clock: Jump, settings: dict[str, Any]
) -> None:
    watched = [target(STORY, "it", **settings), target(STORY[5:], "other", **settings), target("+", "well")]
    await recorded(tmp_path, *watched, seconds=10 * len(STORY))
    comparison = await replayed(tmp_path, *watched)
    assert {row.difference for row in comparison.rows} <= {"same"}
    assert all(row.seconds == 0 for row in comparison.rows), "to the millisecond, here where nothing delays a decision"
    assert (comparison.total.sent, comparison.total.would) == (len(comparison.rows), len(comparison.rows))
    assert bool(comparison.rows) == bool(watched[0].sinks)
    assert comparison.total.incidents == comparison.total.would_incidents > 0
    assert comparison.without_results == comparison.not_in_config == ()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"failure_threshold": 5}, ["firing up > down: 20 s later", "resolved down > up: same"]),
        ({"failure_threshold": 1}, [
            "firing up > down: 20 s earlier", "resolved down > up: same",
            "firing up > down: new", "resolved down > up: new",
            "flapping begins: new",  # degraded and back: with these, seven changes within half an hour
        ]),
        ({"failure_threshold": 13}, ["firing up > down: gone", "resolved down > up: gone"]),
        ({"success_threshold": 4}, ["firing up > down: same", "resolved down > up: 20 s later"]),
        ({"reminder_interval": 40}, [
            "firing up > down: same", "reminder down: new", "reminder down: new", "resolved down > up: same",
        ]),
        ({"alert_on": (State.DOWN, State.DEGRADED)}, [
            "firing up > down: same", "resolved down > up: same",
            "firing up > degraded: new", "resolved degraded > up: new",
        ]),
        ({"sinks": ("ops", "chat")}, ["firing up > down: other sinks", "resolved down > up: other sinks"]),
        ({"sinks": ()}, ["firing up > down: gone", "resolved down > up: gone"]),
        ({"failure_threshold": 1, "success_threshold": 1, "flap_changes": 2}, [
            "firing up > down: 20 s earlier", "flapping begins: new", "resolved down > up: gone",
        ]),
    ],
)  # fmt: skip
async def test_another_policy_sends_exactly_what_it_should(
    tmp_path: Path, autojump_clock: Jump, settings: dict[str, Any], expected: list[str]
) -> None:
    await recorded(tmp_path, target(STORY), seconds=10 * len(STORY))
    comparison = await replayed(tmp_path, target(STORY, **settings))
    assert told(comparison) == expected


async def test_the_sums(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, target(STORY, "a"), target(STORY, "b"), seconds=10 * len(STORY))
    comparison = await replayed(tmp_path, target(STORY, "a", failure_threshold=1), target(STORY, "b"))
    a, total = comparison.endpoints["a"], comparison.total
    assert (a.sent, a.would, a.incidents, a.would_incidents) == (2, 5, 1, 2)
    assert (a.seconds_later, a.seconds_earlier) == (0, 20)
    assert dict(a.differences) == {"earlier": 1, "same": 1, "new": 3}
    assert (total.sent, total.would, total.incidents, total.would_incidents) == (4, 7, 2, 3)


async def test_what_is_skipped_changes_nothing(tmp_path: Path, autojump_clock: Jump) -> None:
    """A streak is stale after a long gap, and an `up` in between matters: also where a thousand were skipped."""
    script = "+" * 300 + "-+" * 3 + "+" * 300 + "---" + "+" * 5
    await recorded(tmp_path, target(script), seconds=10 * len(script))
    assert told(await replayed(tmp_path, target(script))) == ["firing up > down: same", "resolved down > up: same"]
    assert len(told(await replayed(tmp_path, target(script, failure_threshold=1, success_threshold=1)))) == 8


async def test_a_replay_that_begins_in_the_middle_knows_what_was_told(tmp_path: Path, autojump_clock: Jump) -> None:
    """Of the first half only transitions, incidents and alerts remain, as after 48 hours."""
    script = "+" * 5 + "-" * 20 + "+" * 10
    await recorded(tmp_path, target(script), seconds=10 * len(script))
    before = await replayed(tmp_path, target(script))
    forget_results_before(tmp_path, EPOCH + timedelta(seconds=120))
    after = await replayed(tmp_path, target(script))
    assert after.results_since is not None
    assert after.results_since > EPOCH + timedelta(seconds=110)
    assert [row.one.words for row in before.rows] == ["firing up > down", "resolved down > up"]
    assert told(after) == ["resolved down > up: same"]


def forget_results_before(data_dir: Path, moment: datetime) -> None:
    import sqlite3

    db = sqlite3.connect(data_dir / "monitor.db")
    db.execute("DELETE FROM history WHERE started_at < ?", (int(moment.timestamp() * 1000),))
    db.commit()
    db.close()


async def test_an_endpoint_that_is_not_in_the_config_and_one_that_was_never_watched(
    tmp_path: Path, autojump_clock: Jump
) -> None:
    await recorded(tmp_path, target(STORY, "old"), seconds=10 * len(STORY))
    comparison = await replayed(tmp_path, target(STORY, "new"))
    assert told(comparison) == ["firing up > down: gone", "resolved down > up: gone"]
    assert (comparison.without_results, comparison.not_in_config) == (("new",), ("old",))


async def test_an_empty_database(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, seconds=1)
    comparison = await replayed(tmp_path, target("+"))
    assert (comparison.rows, comparison.results_since) == ((), None)
    assert "".join(text for spans in lines(comparison, asked=EPOCH) for text, *_ in spans).startswith(
        "No alert was sent"
    )


async def test_nothing_is_written(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, target(STORY), seconds=10 * len(STORY))
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    await replayed(tmp_path, target(STORY, failure_threshold=1))
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


async def test_how_it_looks(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, target(STORY, "shop"), target(STORY, "feed"), seconds=10 * len(STORY))
    comparison = await replayed(
        tmp_path, target(STORY, "shop", failure_threshold=5), target(STORY, "feed", sinks=("ops", "chat"))
    )
    assert shown(comparison) == [
        "4 alerts were sent, 4 would be: 1 later, 2 other sinks, 1 same.",
        "From 2026-11-22 15:00:03 to 2026-11-22 15:09:03 UTC (9 min).",
        "",
        "TIME (UTC)           ENDPOINT  ALERT               SENT          WOULD BE SENT       DIFFERENCE",
        "2026-11-22 15:01:23  shop      firing up > down    15:01:23 ops  15:01:43 ops        20 s later",
        "2026-11-22 15:01:23  feed      firing up > down    15:01:23 ops  15:01:23 chat, ops  other sinks",
        "2026-11-22 15:03:13  shop      resolved down > up  15:03:13 ops  15:03:13 ops        same",
        "2026-11-22 15:03:13  feed      resolved down > up  15:03:13 ops  15:03:13 chat, ops  other sinks",
        "",
        "ENDPOINT  ALERTS SENT  WOULD BE  INCIDENTS  WOULD BE  LATER  EARLIER",
        "feed      2            2         1          1         -      -",
        "shop      2            2         1          1         20 s   -",
        "all       4            4         2          2         20 s   -",
        "",
        (
            "note: results are replayed as they were recorded; what another interval, timeout or expectation would "
            "have seen, nobody knows."
        ),
    ]
    found = comparison.to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["alerts"][0] == {
        "endpoint": "shop",
        "type": "alert.firing",
        "from": "up",
        "to": "down",
        "incident_started_at": "2026-11-22T15:01:03.288Z",
        "sent": {"at": "2026-11-22T15:01:23.538Z", "sinks": ["ops"]},
        "would_be_sent": {"at": "2026-11-22T15:01:43.538Z", "sinks": ["ops"]},
        "difference": "later",
        "seconds_later": 20.0,
    }
    assert found["total"] == {
        "alerts": {"sent": 4, "would_be_sent": 4},
        "incidents": {"were": 2, "would_be": 2},
        "differences": {"later": 1, "other sinks": 2, "same": 1},
        "seconds_later": 20.0,
        "seconds_earlier": 0.0,
    }


async def test_a_sink_that_hears_only_of_what_lasts(tmp_path: Path, autojump_clock: Jump) -> None:
    """Nothing is probed at that moment: time alone has it sent."""
    await recorded(tmp_path, target(STORY), seconds=10 * len(STORY))
    config = attrs.evolve(
        PlainFace().config,
        endpoints=(target(STORY),),
        sinks=(SinkSettings(name="ops", kind="log", sink=Sink(), give_up_after=Duration(1), route=AFTER),),
    )
    with open_archive(tmp_path) as archive:
        comparison = await compared(archive, config, EPOCH, LATER)
    assert told(comparison) == ["firing up > down: 25 s later", "resolved down > up: same"]


async def test_older_results_that_are_only_rolled_up_are_told_of(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, target(STORY), seconds=10 * len(STORY))
    db = sqlite3.connect(tmp_path / "monitor.db")
    values = {"at": int((EPOCH - timedelta(days=20)).timestamp() * 1000), "endpoint": 1}
    columns = [name for _, name, _, required, default, key in db.execute("PRAGMA table_info(days)")
               if (required and default is None) or key]  # fmt: skip
    row = [values.get(name, 0) for name in columns]
    db.execute(f"INSERT INTO days ({', '.join(columns)}) VALUES ({', '.join('?' * len(row))})", row)
    db.commit()
    db.close()
    comparison = await replayed(tmp_path, target(STORY), since=-86400 * 30)
    notes = [line for line in shown(comparison, asked=EPOCH - timedelta(days=30)) if line.startswith("note: ")]
    assert notes[0] == (
        "note: single results are needed, and they are kept since 2026-11-22 15:00:00. "
        "Of what is older only roll-ups remain, and these cannot be replayed."
    )


OUTAGE = "+" * 6 + "-" * 30 + "+" * 10


async def test_dependencies_are_replayed(tmp_path: Path, autojump_clock: Jump) -> None:
    edge, shop = target(OUTAGE, "edge"), target(OUTAGE, "shop", depends_on=("edge",))
    await recorded(tmp_path, edge, shop, seconds=10 * len(OUTAGE))
    same = await replayed(tmp_path, edge, shop)
    assert [(row.one.endpoint, row.one.words, row.difference) for row in same.rows] == [
        ("edge", "firing up > down", "same"),
        ("edge", "resolved down > up", "same"),
    ]
    without = await replayed(tmp_path, edge, target(OUTAGE, "shop"))
    assert [row.difference for row in without.rows if row.one.endpoint == "shop"] == ["new", "new"]


async def test_a_parent_that_is_always_up_holds_nothing_longer_than_it_did(
    tmp_path: Path, autojump_clock: Jump
) -> None:
    """A child waits until its parent was probed after its first failure: so every probe of a parent matters."""
    edge = target("+", "edge", interval=30)
    shop = target(OUTAGE, "shop", depends_on=("edge",), failure_threshold=1)
    await recorded(tmp_path, edge, shop, seconds=10 * len(OUTAGE))
    comparison = await replayed(tmp_path, edge, shop)
    assert told(comparison) == ["firing up > down: same", "resolved down > up: same"]


async def test_a_dependency_that_would_have_held(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, target(OUTAGE, "edge"), target(OUTAGE, "shop"), seconds=10 * len(OUTAGE))
    comparison = await replayed(tmp_path, target(OUTAGE, "edge"), target(OUTAGE, "shop", depends_on=("edge",)))
    assert {row.difference for row in comparison.rows if row.one.endpoint == "edge"} == {"same"}
    assert [row.difference for row in comparison.rows if row.one.endpoint == "shop"] == ["gone", "gone"]


async def test_a_maintenance_window_holds_until_it_ends(tmp_path: Path, autojump_clock: Jump) -> None:
    await recorded(tmp_path, target(OUTAGE), seconds=10 * len(OUTAGE))
    window = Window(targets=("it",), when=Once(start=EPOCH, duration=200))
    assert told(await replayed(tmp_path, target(OUTAGE), maintenance=(window,))) == [
        "firing up > down: 119 s later",
        "resolved down > up: same",
    ]


async def test_what_people_did_at_run_time_is_replayed(tmp_path: Path, autojump_clock: Jump) -> None:
    async def meanwhile(recorder: Recorder, silencer: Silencer) -> None:
        await trio.sleep(70)
        silence = await silencer.add("it", duration=3600, author="ada", comment="new disks")
        await trio.sleep(60)
        await silencer.end(silence.id)
        await trio.sleep(65)
        incident = recorder.records["it"].incident
        assert incident is not None
        await recorder.acknowledge(incident.id, by="ada", comment="on it")

    watched = target(OUTAGE, reminder_interval=30)
    await recorded(tmp_path, watched, seconds=10 * len(OUTAGE), meanwhile=meanwhile)
    assert told(await replayed(tmp_path, watched)) == [
        "firing up > down: same",
        "reminder down: same",
        "reminder down: same",
        "resolved down > up: same",
    ]


async def test_who_leaves_the_config_for_a_while_is_replayed(tmp_path: Path, autojump_clock: Jump) -> None:
    async def meanwhile(recorder: Recorder, _: Silencer) -> None:
        await trio.sleep(154)
        await recorder.forget("it")

    await recorded(tmp_path, target(OUTAGE), seconds=10 * len(OUTAGE), meanwhile=meanwhile)
    comparison = await replayed(tmp_path, target(OUTAGE))
    assert [row.one.words for row in comparison.rows] == [
        "firing up > down", "resolved down > gone", "firing pending > down", "resolved down > up",
    ]  # fmt: skip
    assert {row.difference for row in comparison.rows} == {"same"}


async def test_what_came_due_while_the_monitor_did_not_run_is_not_sent(tmp_path: Path, autojump_clock: Jump) -> None:
    watched = target("+" * 6 + "-" * 300, reminder_interval=60)
    await recorded(tmp_path, watched, seconds=200)
    await trio.sleep(1000)
    await recorded(tmp_path, watched, seconds=100)
    comparison = await replayed(tmp_path, watched)
    assert [row.one.words for row in comparison.rows] == ["firing up > down", *["reminder down"] * 3]
    assert {row.difference for row in comparison.rows} == {"same"}
