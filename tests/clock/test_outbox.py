"""The outbox: order, retries, rooms and restarts, exact and instant. No thread, no socket, no waiting.

Sinks here are written as a user's plugin would be: a class with `send`, and a script of what it answers.
"""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.memory_store import MemoryStore
from support.ports import EPOCH, PlainRand, TrioClock

from monitor.api import DeliveryError, Message, Sink
from monitor.config import SinkSettings
from monitor.core.model import Alert
from monitor.core.pacing import MOST_AT_ONCE
from monitor.core.quantities import Duration
from monitor.core.tally import Tally
from monitor.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LOG = logging.getLogger("test.outbox")


class NoNet:
    """These sinks reach for no network."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("no sink here connects")


@attrs.define(kw_only=True)
class Scripted(Sink):
    """Answers by its script, then always well; keeps what it was asked, with the moment.

    An answer is None (delivered), seconds to take for it, an exception to raise, or something to await.
    """

    script: list[Any] = attrs.field(factory=list)
    seen: list[tuple[float, str, int]] = attrs.field(factory=list)
    bodies: list[bytes] = attrs.field(factory=list)
    together: int = 0
    most_together: int = 0

    async def send(self, message: Message) -> None:
        self.seen.append((round(trio.current_time(), 3), message.id, message.attempt))
        self.bodies.append(message.body)
        answer = self.script.pop(0) if self.script else None
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            match answer:
                case None:
                    await trio.lowlevel.checkpoint()
                case BaseException():
                    raise answer
                case int() | float():
                    await trio.sleep(answer)
                case _:
                    await answer()
        finally:
            self.together -= 1

    @property
    def times(self) -> list[float]:
        return [moment for moment, _, _ in self.seen]

    @property
    def ids(self) -> list[str]:
        return [alert for _, alert, _ in self.seen]


def settings(name: str, sink: Sink, give_up_after: str = "3d") -> SinkSettings:
    return SinkSettings(name=name, kind="scripted", sink=sink, give_up_after=Duration.parse(give_up_after))


def alert(ident: str, *sinks: str, endpoint: str | None = "shop", at: datetime = EPOCH) -> Alert:
    body = json.dumps({"type": "alert.firing", "data": {"id": ident}}).encode()
    return Alert(id=ident, type="alert.firing", endpoint=endpoint, created_at=at, body=body, sinks=sinks or ("ops",))


def outbox_of(store: MemoryStore, sinks: Sequence[SinkSettings], **options: Any) -> Outbox:
    defaults: dict[str, Any] = {"net": NoNet(), "clock": TrioClock(), "rand": PlainRand(), "log": LOG, "mask": str}
    return Outbox(store, {each.name: each for each in sinks}, **(defaults | options))


@contextlib.asynccontextmanager
async def running(store: MemoryStore, *sinks: SinkSettings, **options: Any) -> AsyncIterator[Outbox]:
    outbox = outbox_of(store, sinks, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(outbox.run)
        yield outbox
        nursery.cancel_scope.cancel()


def unavailable(status: int = 503, retry_after: float | None = None) -> DeliveryError:
    return DeliveryError(f"HTTP {status}", status=status, retry_after=retry_after)


async def test_what_waits_at_the_start_is_sent_without_a_ring(autojump_clock):
    store, ops = MemoryStore(), Scripted()
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(1)
    assert ops.seen == [(0.0, "a", 1)]
    row = store.rows[number]
    assert (row.state, row.delivery.attempts, row.at) == ("delivered", 1, EPOCH)


async def test_a_ring_wakes_it_at_once(autojump_clock):
    store, ops = MemoryStore(), Scripted()
    async with running(store, settings("ops", ops)) as outbox:
        await trio.sleep(7)
        store.owe(alert("a", at=EPOCH + timedelta(seconds=7)))
        outbox.ring()
        outbox.ring()  # twice is once
        await trio.sleep(1)
    assert ops.times == [7.0]


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(minutes=-10)], ids=str)
async def test_a_clock_that_is_set_back_puts_off_no_retry(autojump_clock, jump):
    store, clock = MemoryStore(), TrioClock()
    ops = Scripted(script=[unavailable(), unavailable(), unavailable()])
    store.owe(alert("a"))
    async with running(store, settings("ops", ops), clock=clock):
        await trio.sleep(0.5)
        clock.skew = jump
        await trio.sleep(30)
    assert ops.seen == [(0.0, "a", 1), (1.0, "a", 2), (3.0, "a", 3), (7.0, "a", 4)]


async def test_a_clock_that_was_set_back_while_stopped_puts_off_no_retry(autojump_clock):
    store, clock = MemoryStore(), TrioClock()
    ops = Scripted(script=[unavailable()])
    store.owe(alert("a"))
    async with running(store, settings("ops", ops), clock=clock):
        await trio.sleep(0.5)
    clock.skew = timedelta(days=-1)
    async with running(store, settings("ops", ops), clock=clock):
        await trio.sleep(5)
    assert ops.times == [0.0, 0.5]


async def test_a_clock_that_is_set_forward_holds_back_nothing_new(autojump_clock):
    store, clock, ops = MemoryStore(), TrioClock(), Scripted()
    async with running(store, settings("ops", ops), clock=clock) as outbox:
        await trio.sleep(5)
        clock.skew = timedelta(days=1)
        store.owe(alert("a", at=clock.wall()))
        outbox.ring()
        await trio.sleep(5)
    assert ops.times == [5.0]


async def test_a_lost_ring_costs_a_minute_at_most(autojump_clock):
    store, ops = MemoryStore(), Scripted()
    async with running(store, settings("ops", ops)):
        await trio.sleep(7)
        store.owe(alert("a", at=EPOCH + timedelta(seconds=7)))  # and nobody rings
        await trio.sleep(60)
    assert ops.times == [60.0]


async def test_a_lane_is_in_order_and_one_at_a_time(autojump_clock):
    store = MemoryStore()
    ops = Scripted(script=[3, unavailable(), 2])
    for ident in ("firing", "resolved", "firing again"):
        store.owe(alert(ident))
    async with running(store, settings("ops", ops)):
        await trio.sleep(100)
    # "resolved" failed at 3 s and held back what came after it until it was through.
    assert ops.seen == [(0.0, "firing", 1), (3.0, "resolved", 1), (4.0, "resolved", 2), (6.0, "firing again", 1)]
    assert ops.most_together == 1


async def test_lanes_of_one_sink_go_side_by_side_up_to_its_room(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[1.0] * 10)
    for number in range(10):
        store.owe(alert(f"a{number}", endpoint=f"endpoint {number}"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(100)
    assert ops.most_together == MOST_AT_ONCE == 4
    assert ops.times == [0.0] * 4 + [1.0] * 4 + [2.0] * 2


async def test_every_try_has_the_same_id_and_body(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[unavailable(), DeliveryError("connection refused")])
    store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(100)
    assert ops.ids == ["a", "a", "a"]
    assert len(set(ops.bodies)) == 1


@pytest.mark.parametrize("error", [unavailable(503), unavailable(408), unavailable(429), DeliveryError("no such host")])
async def test_trouble_backs_off_from_one_second_to_five_minutes(autojump_clock, error):
    store, ops = MemoryStore(), Scripted(script=[error] * 11)
    store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(3600)
    waits = [after - before for before, after in zip(ops.times, ops.times[1:], strict=False)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


async def test_what_came_of_every_try_is_counted(autojump_clock):
    store, tally = MemoryStore(), Tally()
    ops = Scripted(script=[unavailable(), None, DeliveryError("HTTP 410", status=410)])
    store.owe(alert("a"))
    store.owe(alert("b"))
    async with running(store, settings("ops", ops), tally=tally):
        await trio.sleep(100)
    assert tally.deliveries == {("ops", "retry"): 1, ("ops", "delivered"): 1, ("ops", "dead"): 1}


async def test_the_jitter_is_the_dices(autojump_clock):
    class Low(PlainRand):
        def uniform(self, low: float, high: float) -> float:
            return low

    store, ops = MemoryStore(), Scripted(script=[unavailable()] * 3)
    store.owe(alert("a"))
    async with running(store, settings("ops", ops), rand=Low()):
        await trio.sleep(100)
    assert ops.times == pytest.approx([0, 0.8, 2.4, 5.6], abs=0.002)


async def test_retry_after_is_waited_for_up_to_an_hour(autojump_clock):
    store = MemoryStore()
    ops = Scripted(script=[unavailable(429, 90), unavailable(503, 86400), unavailable(503, 0.5)])
    store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(2 * 3600)
    assert ops.times == [0, 90, 90 + 3600, 90 + 3600 + 4]


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404])
async def test_what_a_config_mends_is_tried_every_five_minutes(autojump_clock, status):
    store, ops = MemoryStore(), Scripted(script=[unavailable(status)] * 3)
    store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(3600)
    assert ops.times == [0, 300, 600, 900]


async def test_gone_is_dead_at_once_and_holds_back_nothing(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[unavailable(410)])
    [first] = store.owe(alert("a"))
    store.owe(alert("b"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(1)
    assert ops.seen == [(0.0, "a", 1), (0.0, "b", 1)]
    row = store.rows[first]
    assert (row.state, row.delivery.attempts) == ("dead", 1)
    assert row.error == "HTTP 410: the receiver says it is gone for good"


async def test_a_refusal_is_dead_after_five_tries_over_ten_minutes(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[unavailable(400)] * 9)
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(3600)
    assert len(ops.seen) == 5
    assert ops.times[-1] == 600
    assert store.rows[number].state == "dead"


async def test_it_gives_up_after_a_while(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[unavailable()] * 99)
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops, give_up_after="10m")):
        await trio.sleep(3600)
    assert store.rows[number].state == "dead"
    assert store.rows[number].error == f"HTTP 503: given up after {len(ops.seen)} tries"
    assert 600 <= ops.times[-1] <= 900


async def test_a_mute_sink_is_given_ten_seconds(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[trio.sleep_forever])
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(10.5)
        assert store.rows[number].error == "no answer within 10 s"
        await trio.sleep(10)
    assert ops.times == [0, 11]
    assert store.rows[number].state == "delivered"


async def test_a_sink_that_hangs_delays_no_other(autojump_clock):
    """P2: with a thousand deliveries stuck at one sink, the other has its own at once, and the first in the end."""
    store = MemoryStore()
    dead, well = Scripted(script=[trio.sleep_forever] * 10_000), Scripted()
    for number in range(1000):
        store.owe(alert(f"old {number}", "dead", endpoint=f"endpoint {number}"))
    async with running(store, settings("dead", dead), settings("well", well)) as outbox:
        await trio.sleep(1000)
        store.owe(alert("firing", "dead", "well", at=EPOCH + timedelta(seconds=1000)))
        outbox.ring()
        await trio.sleep(1000)
        store.owe(alert("resolved", "dead", "well", at=EPOCH + timedelta(seconds=2000)))
        outbox.ring()
        await trio.sleep(1)
        assert well.seen == [(1000.0, "firing", 1), (2000.0, "resolved", 1)]
        assert dead.most_together == MOST_AT_ONCE

        dead.script.clear()  # it comes back
        await trio.sleep(400)
    assert await store.pending() == 0
    shop = [ident for ident in dead.ids if ident in ("firing", "resolved")]
    assert shop[-1] == "resolved"
    assert "resolved" not in shop[: shop.index("firing") + 1]


async def test_a_restart_goes_on_where_it_was(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[unavailable()] * 3)
    store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(3.5)  # tries at 0, 1 and 3; the next at 7
    await trio.sleep(1)
    async with running(store, settings("ops", ops)):
        await trio.sleep(10)
    assert ops.seen == [(0, "a", 1), (1, "a", 2), (3, "a", 3), (7, "a", 4)]


async def test_what_is_in_flight_at_the_end_stays_pending(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[trio.sleep_forever])
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(5)
    row = store.rows[number]
    assert (row.state, row.delivery.attempts, row.error) == ("pending", 0, None)


async def test_a_stop_right_after_the_answer_still_writes_it_down(autojump_clock):
    store = MemoryStore()
    scope = trio.CancelScope()

    async def answered_while_stopping() -> None:
        scope.cancel()

    [number] = store.owe(alert("a"))
    with scope:
        async with running(store, settings("ops", Scripted(script=[answered_while_stopping]))):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert store.rows[number].state == "delivered"


async def test_a_sink_that_left_the_config_is_given_up_at_the_start(autojump_clock):
    store, ops = MemoryStore(), Scripted()
    gone = store.owe(alert("a", "former", "ops")) + store.owe(alert("b", "former"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(1)
    assert ops.ids == ["a"]
    assert [store.rows[number].state for number in gone] == ["dead", "delivered", "dead"]
    assert store.rows[gone[0]].error == "sink no longer configured"


async def test_a_reload_replaces_sinks_and_lets_tries_end(autojump_clock):
    store, ops, other, added = MemoryStore(), Scripted(script=[5]), Scripted(script=[unavailable(503, 60)]), Scripted()
    [slow] = store.owe(alert("a", "ops"))
    [retried] = store.owe(alert("b", "other"))
    async with running(store, settings("ops", ops), settings("other", other)) as outbox:
        await trio.sleep(1)
        outbox.replace_sinks({"added": settings("added", added)})
        [new] = store.owe(alert("c", "added"))
        await trio.sleep(10)
        assert store.rows[slow].state == "delivered"  # it was under way, and ended as it began
        assert (store.rows[retried].state, store.rows[retried].error) == ("dead", "sink no longer configured")
        assert store.rows[new].state == "delivered"
    assert added.times == [1.0]


class Bug(BaseException):
    """What not even `except Exception` meets."""


async def leaks_a_nursery() -> None:
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    nursery.start_soon(trio.sleep_forever)


async def raises_in_a_group() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        raise unavailable(410)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("bug", [ZeroDivisionError("division by zero"), leaks_a_nursery])
async def test_a_bug_of_a_sink_is_a_failed_try(autojump_clock, bug, caplog):
    store, ops, other = MemoryStore(), Scripted(script=[bug]), Scripted(script=[5])
    [number] = store.owe(alert("a"))
    store.owe(alert("b", "other"))
    async with running(store, settings("ops", ops), settings("other", other)):
        await trio.sleep(0.5)
        assert store.rows[number].error.startswith("the sink crashed: ")
        await trio.sleep(10)
    assert ops.seen == [(0, "a", 1), (1, "a", 2)]
    assert other.seen == [(0, "b", 1)]
    assert "sink ops crashed" in caplog.messages


async def test_the_word_of_a_sink_counts_also_from_inside_its_nursery(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[raises_in_a_group])
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(1)
    assert store.rows[number].state == "dead"  # it said 410


class WordlessError(Exception):
    def __str__(self) -> str:
        raise ValueError("not even a word")


@pytest.mark.parametrize(
    "nonsense",
    [
        DeliveryError("no", status="soon", retry_after=float("nan")),
        DeliveryError("no", retry_after="later"),
        DeliveryError(WordlessError()),
        WordlessError(),
    ],
    ids=["status", "retry after", "message", "words"],
)
async def test_a_nonsense_error_of_a_sink_is_a_failed_try(autojump_clock, nonsense):
    store, ops = MemoryStore(), Scripted(script=[nonsense])
    store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(10)
    assert ops.seen == [(0, "a", 1), (1, "a", 2)]


async def test_a_sink_that_raises_while_it_is_cancelled_does_not_break_the_stop(autojump_clock):
    async def raises_on_the_way_out() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("cleanup failed")

    store, ops = MemoryStore(), Scripted(script=[raises_on_the_way_out, raises_on_the_way_out])
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops)):
        await trio.sleep(10.5)
        assert store.rows[number].error == "no answer within 10 s"  # a passed deadline beats a raised error
        await trio.sleep(5)
    row = store.rows[number]
    assert (row.state, row.delivery.attempts) == ("pending", 1)


async def test_no_secret_is_kept_of_a_failure(autojump_clock, caplog):
    store = MemoryStore()
    ops = Scripted(script=[DeliveryError("cannot reach hunter22\x1b[2J\n" + "x" * 1000)])
    [number] = store.owe(alert("a"))
    async with running(store, settings("ops", ops), mask=lambda text: text.replace("hunter22", "***")):
        await trio.sleep(0.5)
    error = store.rows[number].error
    assert error.startswith(r"cannot reach ***\x1b[2J\nxxx")
    assert len(error) == 500
    assert "hunter22" not in caplog.text


async def test_a_store_in_trouble_is_told_once_and_asked_again(autojump_clock, caplog):
    store, ops = MemoryStore(), Scripted()
    store.owe(alert("a"))
    store.broken = True
    caplog.set_level(logging.INFO)
    async with running(store, settings("ops", ops)):
        await trio.sleep(5.5)
        store.broken = False
        await trio.sleep(5)
    assert ops.times == [6]
    assert caplog.messages == ["deliveries wait for the store: the database is full", "the store works again"]


async def test_what_was_delivered_is_not_repeated_while_the_store_cannot_keep_it(autojump_clock):
    store = MemoryStore()

    async def breaks_the_store() -> None:
        store.broken = True

    [number] = store.owe(alert("a"))
    store.owe(alert("b"))
    ops = Scripted(script=[breaks_the_store])
    async with running(store, settings("ops", ops)):
        await trio.sleep(100)
        assert ops.ids == ["a"]
        store.broken = False
        await trio.sleep(2)
    assert store.rows[number].state == "delivered"
    assert ops.ids == ["a", "b"]


async def test_a_wall_clock_set_forward_is_noticed_within_a_minute(autojump_clock):
    store, clock, ops = MemoryStore(), TrioClock(), Scripted(script=[unavailable(503, 3000)])
    store.owe(alert("a"))
    async with running(store, settings("ops", ops), clock=clock):
        await trio.sleep(10)
        clock.skew = timedelta(hours=1)
        await trio.sleep(60)
    assert ops.times == [0, 60]


async def test_drained_waits_for_what_is_due_and_not_for_what_is_put_off(autojump_clock):
    store = MemoryStore()
    ops, other = Scripted(script=[2, 3]), Scripted(script=[unavailable(503, 600)])
    async with running(store, settings("ops", ops), settings("other", other)) as outbox:
        await outbox.drained()
        assert trio.current_time() == 0  # nothing to wait for
        store.owe(alert("a", "ops", "other"))
        store.owe(alert("b", "ops"))
        await outbox.drained()  # nobody rang: it rings itself
        assert trio.current_time() == 5
        assert await store.pending() == 1


async def test_drained_waits_for_a_store_in_trouble(autojump_clock):
    store, ops = MemoryStore(), Scripted()
    store.owe(alert("a"))
    store.broken = True
    async with running(store, settings("ops", ops)) as outbox:
        with trio.move_on_after(5) as grace:
            await outbox.drained()
        assert grace.cancelled_caught
        store.broken = False
        await outbox.drained()
    assert ops.ids == ["a"]


async def test_what_is_no_exception_ends_the_process_loudly(autojump_clock):
    store, ops = MemoryStore(), Scripted(script=[Bug()])
    [number] = store.owe(alert("a"))
    with pytest.RaisesGroup(Bug, flatten_subgroups=True):
        async with running(store, settings("ops", ops)):
            await trio.sleep_forever()
    assert store.rows[number].state == "pending"
