"""What holds alerts back, from checks to a sink: maintenance, silences, dependencies; several endpoints, by autojump.

Each endpoint follows a script, a letter for the ten seconds from each of its probes on, and its sink is told.
"""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, time, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.memory_store import MemoryStore
from support.ports import EPOCH, PlainRand, TrioClock
from support.probes import endpoint

from monitor.api import Check, Message, Probe, Sink, Verdict, check_option
from monitor.config import SinkSettings
from monitor.core.maintenance import Once, Weekly, Window
from monitor.core.quantities import Duration
from monitor.holds import Holds
from monitor.live import LiveFeed
from monitor.maintenance import MaintenanceLedger
from monitor.outbox import Outbox
from monitor.probing import probe_once
from monitor.recorder import Recorder
from monitor.silencer import Silencer
from monitor.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from monitor.core.model import Endpoint, Observation
    from monitor.net import Net

Jump = trio.testing.MockClock  # pytest-trio runs a test on the clock only if the test itself asks for it


@attrs.frozen(kw_only=True, eq=False)
class Moody(Check):
    """Is as the world says: up, or down from one moment to another, or slow to answer, or unable to tell."""

    moods: list[tuple[float, str]] = check_option(doc="from when on, what; + - ? or seconds to wait before a -")

    async def probe(self, probe: Probe) -> Verdict:
        mood = next(mood for since, mood in reversed(self.moods) if since <= trio.current_time())
        match mood:
            case "+":
                return Verdict.up()
            case "~":
                return Verdict.degraded("expected quick, got slow")
            case "?":
                raise ValueError("the check itself is broken")
            case "-":
                return Verdict.down("expected status 200-299, got 503")
            case seconds:
                await trio.sleep(float(seconds))
                return Verdict.down("expected status 200-299, got 503")


@attrs.define(kw_only=True)
class Told(Sink):
    """Remembers what it was told, and when."""

    words: list[str] = attrs.field(factory=list)
    suppressed: dict[str, list[str]] = attrs.field(factory=dict)

    async def send(self, message: Message) -> None:
        import json

        document = json.loads(message.body)
        kind, name = document["type"].removeprefix("alert."), document["data"]["endpoint"]["name"]
        self.words.append(f"{trio.current_time():.0f} {kind} {name}")
        self.suppressed[f"{kind} {name}"] = document["data"]["suppressed"]


class House:
    """Everything between checks and a sink."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.store = MemoryStore()
        self.clock = TrioClock()
        self.ops = Told()
        net: Net = None  # type: ignore[assignment] # nothing here connects
        rand = PlainRand()
        ops = SinkSettings(name="ops", kind="told", sink=self.ops, give_up_after=Duration(999))
        self.outbox = Outbox(
            self.store, {"ops": ops}, net=net, clock=self.clock, rand=rand, log=logging.getLogger("t"), mask=str
        )
        self.holds = Holds(lambda: self.silencer.silences)
        self.recorder = Recorder(
            self.store,
            clock=self.clock,
            rand=rand,
            feed=LiveFeed(),
            ring=self.outbox.ring,
            circumstances=self.holds,
        )
        self.silencer = Silencer(self.store, clock=self.clock, rand=rand, changed=self.recorder.review_open)
        self.ledger = MaintenanceLedger(self.store, clock=self.clock, known=self.recorder.records)
        self.probes: dict[str, list[float]] = {}

        async def probe(watched: Endpoint) -> Observation:
            self.probes.setdefault(watched.name, []).append(round(trio.current_time(), 1))
            return await probe_once(watched, net=net, clock=self.clock, mask=None)

        self.supervisor = Supervisor(nursery, probe=probe, record=self.recorder.record, slots=trio.CapacityLimiter(100))
        self.recorder.probe_now = self.supervisor.probe_now

    def watch(self, *endpoints: Endpoint, windows: list[Window] | None = None) -> None:
        """Watch *endpoints*, one after the other a second apart."""
        self.configure(endpoints, windows)
        for task in (self.outbox.run, self.recorder.run, self.ledger.run):
            self.nursery.start_soon(task)
        for each in endpoints:
            self.supervisor.start(each)

    def configure(self, endpoints: Any, windows: list[Window] | None = None) -> None:
        self.holds.configure(endpoints, windows or [])
        self.ledger.configure(endpoints, windows or [])
        self.recorder.configure(endpoints, {}, None)

    async def outcomes(self, name: str) -> str:
        transitions = await self.store.transitions(endpoints={name})
        return " ".join(f"{each.after}:{each.outcome}" for each in transitions)

    def flags(self, each: Endpoint) -> list[str]:
        records = self.recorder.records
        return self.holds.flags(each, records[each.name], records, self.clock.wall())


@pytest.fixture
async def house(nursery: trio.Nursery) -> AsyncIterator[House]:
    yield House(nursery)
    nursery.cancel_scope.cancel()


def at(seconds: float) -> Any:
    return EPOCH + timedelta(seconds=seconds)


def moody(name: str, *moods: tuple[float, str], **settings: Any) -> Endpoint:
    wanted = {"interval": 10, "retry_interval": 5, "timeout": 3, "sinks": ("ops",)} | settings
    return endpoint(Moody(moods=[(0, "+"), *moods]), name=name, **wanted)


def once(start: float, seconds: float, *targets: str) -> Window:
    return Window(targets or ("*",), Once(start=at(start), duration=seconds))


# Maintenance.


async def test_a_window_that_ends_while_it_is_down_fires_then(house: House, autojump_clock: Jump) -> None:
    it = moody("it", (100, "-"), (500, "+"))
    house.watch(it, windows=[once(50, 250, "it")])
    await trio.sleep(200)
    assert (house.ops.words, house.flags(it)) == ([], ["maintenance"])
    assert await house.outcomes("it") == "up:policy down:maintenance"
    await trio.sleep(150)
    assert (house.ops.words, house.flags(it)) == (["300 firing it"], [])
    assert await house.outcomes("it") == "up:policy down:alerted"
    await trio.sleep(250)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing it", "resolved it"]


async def test_what_came_back_before_the_window_ends_says_nothing(house: House, autojump_clock: Jump) -> None:
    house.watch(moody("it", (100, "-"), (200, "+")), windows=[once(50, 250)])
    await trio.sleep(1000)
    assert house.ops.words == []
    assert await house.outcomes("it") == "up:policy down:maintenance up:maintenance"


async def test_one_good_probe_at_the_end_of_a_window_puts_the_alert_off(house: House, autojump_clock: Jump) -> None:
    """Its latest probe was not down; the next that is fires."""
    house.watch(moody("it", (100, "-"), (294, "+"), (300, "-"), interval=5), windows=[once(50, 250)])
    await trio.sleep(400)
    following = min(each for each in house.probes["it"] if each >= 300)
    assert following > 300
    assert house.ops.words == [f"{following:.0f} firing it"]


async def test_an_end_is_told_in_a_window_to_who_heard_of_the_beginning(house: House, autojump_clock: Jump) -> None:
    house.watch(
        moody("it", (100, "-"), (200, "+"), (250, "-"), reminder_interval=Duration(20)), windows=[once(150, 1000)]
    )
    await trio.sleep(600)
    kinds = [word.split()[1] for word in house.ops.words]
    assert kinds[0] == "firing"
    assert kinds[-1] == "resolved"
    assert set(kinds[1:-1]) == {"reminder"}
    assert all(float(word.split()[0]) < 150 for word in house.ops.words[:-1]), "no reminder in the window"


async def test_a_weekly_window_holds_each_week(house: House, autojump_clock: Jump) -> None:
    """The story begins on a Sunday at 15:00."""
    days = (0, "+"), (600, "-"), (3000, "+"), (7 * 86400 + 600, "-"), (7 * 86400 + 3000, "+")
    window = Window(("group:web",), Weekly(days=frozenset({6}), at=time(15, 5), duration=1800, zone=UTC))
    it = moody("it", *days, group="web", interval=60, retry_interval=60)
    house.watch(it, windows=[window])
    await trio.sleep(8 * 86400)
    assert [word.split()[1] for word in house.ops.words] == ["firing", "resolved"] * 2
    assert [float(word.split()[0]) for word in house.ops.words[::2]] == [2100.0, 7 * 86400 + 2100.0]
    assert [(each.started_at, each.ended_at) for each in house.store.marks] == [
        (at(300), at(2100)),
        (at(7 * 86400 + 300), at(7 * 86400 + 2100)),
    ]


async def test_a_change_of_windows_does_not_touch_the_past(house: House, autojump_clock: Jump) -> None:
    it, other = moody("it"), moody("other")
    house.watch(it, other, windows=[once(100, 1000, "it")])
    await trio.sleep(300)
    house.configure([it, other], [once(150, 450, "other")])  # one is taken out while it is open, one put there
    await trio.sleep(1000)
    assert [(each.endpoint, each.started_at, each.ended_at) for each in house.store.marks] == [
        ("it", at(100), at(1100)),
        ("it", at(100), at(300)),
        ("other", at(300), at(600)),
    ]


async def test_a_restart_in_a_window_goes_on_with_its_mark(
    house: House, nursery: trio.Nursery, autojump_clock: Jump
) -> None:
    it = moody("it")
    house.watch(it, windows=[once(100, 1000)])
    await trio.sleep(300)
    for windows, marks in (([once(100, 1000)], [(at(100), at(1100))]), ([], [(at(100), at(1100)), (at(100), at(310))])):
        again = MaintenanceLedger(house.store, clock=house.clock, known={"it"})
        again.configure([it], windows)
        async with trio.open_nursery() as other:
            other.start_soon(again.run)
            await trio.sleep(10 if windows else 1)
            other.cancel_scope.cancel()
        assert [(each.started_at, each.ended_at) for each in house.store.marks] == marks


async def test_what_is_new_in_a_window_is_marked_from_its_first_probe_on(house: House, autojump_clock: Jump) -> None:
    """The store does not know it before."""
    house.watch(moody("it", interval=20), windows=[once(-100, 1100)])
    await trio.sleep(60)
    (mark,) = house.store.marks
    assert (mark.started_at, mark.ended_at) == (at(0), at(1000))
    assert house.probes["it"][0] > 0


async def test_marks_that_cannot_be_written_are_written_later(house: House, autojump_clock: Jump) -> None:
    house.watch(moody("it"), windows=[once(100, 1000)])
    await trio.sleep(90)
    house.store.broken = True
    await trio.sleep(30)
    house.store.broken = False
    await trio.sleep(100)
    assert [(each.started_at, each.ended_at) for each in house.store.marks] == [(at(100), at(1100))]


# Silences.


async def test_a_silence_holds_and_its_end_fires(house: House, autojump_clock: Jump) -> None:
    it, other = moody("it", (100, "-"), group="web"), moody("other", (100, "-"))
    house.watch(it, other)
    await trio.sleep(50)
    await house.silencer.add("group:web", duration=250, author="ada", comment="")
    await trio.sleep(200)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing other"]
    assert (house.flags(it), house.flags(other)) == (["silenced"], [])
    assert await house.outcomes("it") == "up:policy down:silence"
    await trio.sleep(100)
    assert house.ops.words[1:] == ["300 firing it"]
    assert await house.outcomes("it") == "up:policy down:alerted"


async def test_a_silence_that_somebody_ends_fires_at_once(house: House, autojump_clock: Jump) -> None:
    house.watch(moody("it", (100, "-"), interval=60))
    await trio.sleep(50)
    silence = await house.silencer.add("*", duration=86400, author="", comment="")
    await trio.sleep(200)
    probed = list(house.probes["it"])
    await house.silencer.end(silence.id)
    await trio.sleep(1)
    assert (house.ops.words, house.probes["it"]) == (["250 firing it"], probed), "it does not wait for a probe"


async def test_silences_outlive_a_restart(house: House, autojump_clock: Jump) -> None:
    kept = await house.silencer.add("*", duration=86400, author="ada", comment="…")
    again = Silencer(house.store, clock=house.clock, rand=PlainRand(), changed=lambda: None)
    await again.load()
    assert again.silences.every == (kept,)


async def test_unreadable_silences_hold_nothing_back_and_are_kept(
    house: House, autojump_clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    await house.store.note("silences", [{"no": "silence"}])
    again = Silencer(house.store, clock=house.clock, rand=PlainRand(), changed=lambda: None)
    await again.load()
    assert again.silences.every == ()
    assert "the silences cannot be read" in caplog.text
    await again.add("*", duration=60, author="ada", comment="")
    assert await house.store.noted("silences.unreadable") == [{"no": "silence"}]


async def test_an_acknowledged_incident_is_not_repeated(house: House, autojump_clock: Jump) -> None:
    house.watch(moody("it", (100, "-"), (1000, "+"), reminder_interval=Duration(100)))
    await trio.sleep(350)
    incident = house.recorder.records["it"].incident
    assert incident is not None
    known = await house.recorder.acknowledge(incident.id, by="ada", comment="on it")
    assert known is not None
    assert known.acknowledged is not None
    assert (known.acknowledged.by, known.acknowledged.comment) == ("ada", "on it")
    await trio.sleep(1000)
    assert [word.split()[1] for word in house.ops.words] == ["firing", "reminder", "reminder", "resolved"]
    (kept,) = await house.store.incidents()
    assert kept.acknowledged == known.acknowledged
    assert kept.resolved_at is not None
    assert await house.recorder.acknowledge(incident.id, by="", comment="") is None


# Dependencies.

ORDERS = list(itertools.product((100, 101, 103, 107, 112), repeat=2))


@pytest.mark.parametrize(("parent_breaks", "child_breaks"), ORDERS)
async def test_parent_and_child_break_together_and_only_the_parent_fires(
    house: House, autojump_clock: Jump, parent_breaks: int, child_breaks: int
) -> None:
    edge, shop = (
        moody("edge", (parent_breaks, "-"), (300, "+")),
        moody("shop", (child_breaks, "-"), (290, "+"), depends_on=("edge",)),
    )
    house.watch(edge, shop)
    await trio.sleep(250)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing edge"]
    assert house.flags(shop) == ["suppressed"]
    assert await house.outcomes("shop") == "up:policy down:dependency"
    await trio.sleep(250)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing edge", "resolved edge"]
    assert house.ops.suppressed["resolved edge"] == ["shop"]
    assert house.flags(shop) == []


@pytest.mark.parametrize("interval", [10, 60, 3600])
async def test_a_parent_that_is_up_is_asked_once_and_the_child_fires_with_its_answer(
    house: House, autojump_clock: Jump, interval: int
) -> None:
    edge, shop = moody("edge", interval=interval), moody("shop", (100, "-"), depends_on=("edge",))
    house.watch(edge, shop)
    await trio.sleep(200)
    (word,) = house.ops.words
    began = min(each for each in house.probes["shop"] if each >= 100)
    confirmed = [each for each in house.probes["shop"] if each >= began][2]
    assert word == f"{confirmed:.0f} firing shop"
    assert len([each for each in house.probes["edge"] if began <= each <= confirmed]) >= 1
    assert len(house.probes["edge"]) <= 200 // interval + 3


async def test_a_parent_that_heals_does_not_excuse_its_child_for_ever(house: House, autojump_clock: Jump) -> None:
    edge, shop = moody("edge", (100, "-"), (200, "+")), moody("shop", (100, "-"), depends_on=("edge",))
    house.watch(edge, shop)
    await trio.sleep(400)
    firing_edge, resolved_edge, firing_shop = house.ops.words
    assert [word.split(" ", 1)[1] for word in (firing_edge, resolved_edge, firing_shop)] == [
        "firing edge",
        "resolved edge",
        "firing shop",
    ]
    up_again = float(resolved_edge.split()[0])
    later = min(each for each in house.probes["shop"] if each >= up_again)
    assert float(firing_shop.split()[0]) == round(later), "with its own first probe after that"
    assert await house.outcomes("shop") == "up:policy down:alerted"


async def test_a_parent_that_heals_after_the_clock_was_set_back_is_not_hammered(
    house: House, autojump_clock: Jump
) -> None:
    edge = moody("edge", (100, "-"), (200, "+"), failure_threshold=5)
    house.watch(edge, moody("shop", (100, "-"), depends_on=("edge",)))
    await trio.sleep(170)
    house.clock.skew -= timedelta(hours=1)
    await trio.sleep(130)
    healed = [each for each in house.probes["edge"] if each >= 200]
    assert min(later - earlier for earlier, later in itertools.pairwise(healed)) >= 5, "its own pace"
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing edge", "resolved edge", "firing shop"]


async def test_a_child_that_is_well_again_with_its_parent_is_never_told_of(house: House, autojump_clock: Jump) -> None:
    house.watch(moody("edge", (100, "-"), (200, "+")), moody("shop", (100, "-"), (204, "+"), depends_on=("edge",)))
    await trio.sleep(400)
    assert [word.split()[2] for word in house.ops.words] == ["edge", "edge"]
    assert await house.outcomes("shop") == "up:policy down:dependency up:policy"


async def test_a_parent_that_is_slow_to_answer_is_waited_for(house: House, autojump_clock: Jump) -> None:
    """It takes nearly all of its time to fail, at each probe, and is confirmed long after its child."""
    edge = moody("edge", (100, "2.9"), interval=60, timeout=3)
    shop = moody("shop", (100, "-"), interval=5, failure_threshold=1, depends_on=("edge",))
    house.watch(edge, shop)
    await trio.sleep(300)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing edge"]


async def test_a_parent_that_gives_no_answer_is_not_waited_for_for_ever(house: House, autojump_clock: Jump) -> None:
    """Nobody probes it: its answer is awaited for 3 × (5 + 3) seconds."""
    edge, shop = moody("edge", interval=3600), moody("shop", (100, "-"), depends_on=("edge",))
    house.watch(edge, shop)
    await trio.sleep(50)
    house.supervisor.stop("edge")
    house.recorder.probe_now = lambda _: None
    await trio.sleep(200)
    confirmed = [each for each in house.probes["shop"] if each >= 100][2]
    assert house.ops.words == [f"{confirmed + 24:.0f} firing shop"]


@pytest.mark.parametrize("mood", ["?", "~"])
async def test_an_unknown_or_degraded_parent_holds_nothing(house: House, autojump_clock: Jump, mood: str) -> None:
    house.watch(moody("edge", (50, mood)), moody("shop", (100, "-"), depends_on=("edge",)))
    await trio.sleep(200)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing shop"]


async def test_a_disabled_or_removed_parent_holds_nothing(house: House, autojump_clock: Jump) -> None:
    edge, shop = moody("edge", (90, "-"), sinks=()), moody("shop", (100, "-"), depends_on=("edge", "gone"))
    house.watch(edge, shop)
    await trio.sleep(150)
    assert house.ops.words == []
    house.supervisor.stop("edge")
    house.configure([shop])
    await trio.sleep(1)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing shop"]


async def test_a_parent_in_maintenance_holds(house: House, autojump_clock: Jump) -> None:
    edge, shop = moody("edge", (90, "-"), (290, "+")), moody("shop", (100, "-"), (250, "+"), depends_on=("edge",))
    house.watch(edge, shop, windows=[once(50, 250, "edge")])
    await trio.sleep(200)
    assert (house.flags(edge), house.flags(shop)) == (["maintenance"], ["suppressed"])
    await trio.sleep(400)
    assert house.ops.words == []


async def test_a_chain_is_told_of_by_its_first_link(house: House, autojump_clock: Jump) -> None:
    """What is held because of who is held is named by the one that is told."""
    a = moody("a", (100, "-"))
    b = moody("b", (101, "-"), depends_on=("a",), sinks=("ops",))
    c = moody("c", (102, "-"), depends_on=("b",), reminder_interval=Duration(60))
    house.watch(attrs.evolve(a, reminder_interval=Duration(60)), b, c)
    await trio.sleep(300)
    assert {word.split(" ", 1)[1] for word in house.ops.words} == {"firing a", "reminder a"}
    assert sorted(house.ops.suppressed["reminder a"]) == ["b", "c"]


async def test_a_thousand_children_ask_their_parent_together(house: House, autojump_clock: Jump) -> None:
    """One answer is enough for all of them."""
    edge = moody("edge", (100, "-"), interval=3600)
    shops = [moody(f"shop {number}", (100, "-"), depends_on=("edge",)) for number in range(1000)]
    house.watch(edge, *shops)
    await trio.sleep(200)
    assert [word.split(" ", 1)[1] for word in house.ops.words] == ["firing edge"]
    assert len(house.probes["edge"]) < 20
