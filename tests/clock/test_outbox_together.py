"""What goes out together, and how often, on the real store: digests, stories, limits a minute, a sink that fails.

The database is called on the loop's own thread (`run_here`), because simulated time would outrun another.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.ports import PlainRand, TrioClock

from monitor.api import DeliveryError, Manner, Message, Sink
from monitor.config import SinkSettings
from monitor.core.alerting import Decision
from monitor.core.model import OK, Alert, Outcome, State, Transition
from monitor.core.pacing import MOST_AT_ONCE
from monitor.core.quantities import Duration
from monitor.outbox import Outbox
from monitor.outbox.together import MOST_TOGETHER
from monitor.store import Entry, Record
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.store import Store

ALONE = Manner()
DIGEST = Manner(groups=True)
CHAT = Manner(merges=True, per_minute=20)
DOWN = DeliveryError("HTTP 503", status=503)


@attrs.define(kw_only=True, eq=False)
class Recording(Sink):
    """Keeps what it was asked, with the moment; answers by its script, then always well.

    *refuses* may raise for a message whatever the script says.
    """

    how: Manner = ALONE
    script: list[Any] = attrs.field(factory=list)
    refuses: Callable[[Message], None] | None = None
    seen: list[tuple[float, Message]] = attrs.field(factory=list)
    together: int = 0
    most_together: int = 0

    @property
    def manner(self) -> Manner:
        return self.how

    async def send(self, message: Message) -> None:
        self.seen.append((round(trio.current_time(), 3), message))
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            if self.refuses is not None:
                self.refuses(message)
            match self.script.pop(0) if self.script else None:
                case None:
                    await trio.lowlevel.checkpoint()
                case BaseException() as error:
                    raise error
                case seconds:
                    await trio.sleep(seconds)
        finally:
            self.together -= 1

    @property
    def told(self) -> list[tuple[float, list[str]]]:
        """The moment and the alerts of every try."""
        return [(moment, [each["data"]["id"] for each in message.documents]) for moment, message in self.seen]


class NoNet:
    """These sinks reach for no network."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("no sink here connects")


def settings(sink: Sink, **changes: Any) -> SinkSettings:
    given = {"name": "ops", "kind": "recording", "sink": sink, "give_up_after": Duration.parse("3d")}
    return SinkSettings(**(given | changes))


@contextlib.asynccontextmanager
async def running(
    data_dir: Path, *sinks: SinkSettings, rand: PlainRand | None = None, skew: timedelta = timedelta(0)
) -> AsyncIterator[tuple[Store, Outbox]]:
    """A store that is opened and closed with the outbox, as a process would."""
    clock = TrioClock()
    clock.skew = skew
    async with open_store(data_dir, clock=clock, run_sync=run_here) as store:
        outbox = Outbox(
            store,
            {each.name: each for each in sinks},
            net=NoNet(),
            clock=clock,
            rand=rand or PlainRand(),
            log=logging.getLogger("test.outbox"),
            mask=str,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(outbox.run)
            yield store, outbox
            nursery.cancel_scope.cancel()


async def announce(
    store: Store, ident: str, *, kind: str = "firing", endpoint: str = "shop", incident: str = "i", sink: str = "ops"
) -> None:
    """Commit an alert as a confirmed change does."""
    now = TrioClock().wall()
    document = {"type": f"alert.{kind}", "data": {"id": ident, "incident": {"id": incident}}}
    body = json.dumps(document).encode()
    alert = Alert(id=ident, type=f"alert.{kind}", endpoint=endpoint, created_at=now, body=body, sinks=(sink,))
    transition = Transition(
        endpoint=endpoint,
        before=State.UP,
        after=State.DOWN,
        at=now,
        reason=OK,
        incident=None,
        outcome=Outcome.ALERTED,
    )
    decision = Decision(transition=transition, incident=None, sequence=1, alerts=(alert,))
    await store.commit(Entry(record=Record(name=endpoint), decision=decision))


class TestDigests:
    async def test_what_comes_within_group_wait_goes_together(self, autojump_clock, tmp_path):
        ops = Recording(how=DIGEST)
        async with running(tmp_path, settings(ops)) as (store, outbox):
            for number in range(3):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
                outbox.ring()
                await trio.sleep(0.4)
            await trio.sleep(5)
            await announce(store, "late", endpoint="late")
            outbox.ring()
            await trio.sleep(5)
            assert await store.pending() == 0
        assert ops.told == [(1.0, ["a0", "a1", "a2"]), (7.2, ["late"])]
        digest, single = (message for _, message in ops.seen)
        assert digest.id not in {"a0", "a1", "a2"}, "an id of its own"
        assert digest.document == digest.documents[-1]
        assert single.id == "late", "one alert is called by its own id"

    async def test_a_group_wait_of_nothing_waits_for_nothing(self, autojump_clock, tmp_path):
        ops = Recording(how=DIGEST)
        async with running(tmp_path, settings(ops, group_wait=0.0)) as (store, outbox):
            await announce(store, "a")
            outbox.ring()
            await trio.sleep(0.5)
        assert ops.told == [(0.0, ["a"])]

    async def test_group_wait_delays_no_sink_that_does_not_group(self, autojump_clock, tmp_path):
        alone, chat = Recording(), Recording(how=CHAT)
        sinks = settings(alone, name="alone", group_wait=60.0), settings(chat, name="chat", group_wait=60.0)
        async with running(tmp_path, *sinks) as (store, outbox):
            await announce(store, "a", sink="alone")
            await announce(store, "b", sink="chat")
            outbox.ring()
            await trio.sleep(0.5)
        assert (alone.told, chat.told) == ([(0.0, ["a"])], [(0.0, ["b"])])

    async def test_a_digest_never_changes_also_across_a_restart(self, autojump_clock, tmp_path):
        ops, rand = Recording(how=DIGEST, script=[DOWN, DOWN]), PlainRand()
        async with running(tmp_path, settings(ops), rand=rand) as (store, outbox):
            await announce(store, "a", endpoint="a")
            await announce(store, "b", endpoint="b")
            outbox.ring()
            await trio.sleep(1.5)  # tried at 1
            await announce(store, "c", endpoint="c")
            await announce(store, "a-up", endpoint="a", kind="resolved")
            outbox.ring()
            await trio.sleep(0.9)  # tried again at 2
        async with running(tmp_path, settings(ops), rand=rand) as (store, outbox):
            await trio.sleep(60)
            assert await store.pending() == 0
        assert ops.told[:2] == [(1.0, ["a", "b"]), (2.0, ["a", "b"])]
        tries = [message for _, message in ops.seen if message.documents[0]["data"]["id"] == "a"]
        assert len(tries) == 3
        assert len({(message.id, json.dumps(message.documents)) for message in tries}) == 1
        others = [told for _, told in ops.told if "a" not in told]
        assert sorted(ident for told in others for ident in told) == ["a-up", "c"]
        moments = {told[-1]: moment for moment, told in ops.told}
        assert moments["a-up"] >= moments["b"], "in the lane's order"

    async def test_a_crash_in_the_middle_of_a_try_repeats_the_very_digest(self, autojump_clock, tmp_path):
        ops, rand = Recording(how=DIGEST, script=[9]), PlainRand()
        async with running(tmp_path, settings(ops), rand=rand) as (store, outbox):
            await announce(store, "a", endpoint="a")
            await announce(store, "b", endpoint="b")
            outbox.ring()
            await trio.sleep(1.5)  # under way, and then we are gone
        async with running(tmp_path, settings(ops), rand=rand) as (store, outbox):
            await announce(store, "c", endpoint="c")
            outbox.ring()
            await trio.sleep(10)
        first, second = (message for _, message in ops.seen[:2])
        assert (second.id, second.documents) == (first.id, first.documents)
        assert [told for _, told in ops.told[2:]] == [["c"]]

    async def test_a_storm_is_few_messages_and_each_alert_once(self, autojump_clock, tmp_path):
        ops = Recording(how=DIGEST)
        async with running(tmp_path, settings(ops)) as (store, outbox):
            for number in range(250):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
            outbox.ring()
            await trio.sleep(10)
            assert await store.pending() == 0
        assert [len(told) for _, told in ops.told] == [MOST_TOGETHER, MOST_TOGETHER, 50]
        assert len({ident for _, told in ops.told for ident in told}) == 250

    async def test_a_stop_does_not_wait_for_company(self, autojump_clock, tmp_path):
        ops = Recording(how=DIGEST)
        async with running(tmp_path, settings(ops, group_wait=30.0)) as (store, outbox):
            await announce(store, "a")
            outbox.ring()
            await trio.sleep(0.2)
            await outbox.drained()
            assert await store.pending() == 0
        assert ops.told == [(0.2, ["a"])]

    async def test_a_sink_that_groups_no_more_is_given_each_by_itself(self, autojump_clock, tmp_path):
        before, after = Recording(how=DIGEST, script=[DOWN]), Recording()
        async with running(tmp_path, settings(before)) as (store, outbox):
            await announce(store, "a", endpoint="a")
            await announce(store, "b", endpoint="b")
            outbox.ring()
            await trio.sleep(1.5)
        async with running(tmp_path, settings(after)) as (store, outbox):
            await trio.sleep(10)
            assert await store.pending() == 0
        assert [(message.id, told) for (_, message), (_, told) in zip(after.seen, after.told, strict=True)] == [
            ("a", ["a"]),
            ("b", ["b"]),
        ]

    async def test_one_that_is_refused_takes_no_other_along(self, autojump_clock, tmp_path):
        def refuses(message: Message) -> None:
            if any(each["data"]["id"] == "poison" for each in message.documents):
                raise DeliveryError("HTTP 400", status=400)

        ops = Recording(how=DIGEST, refuses=refuses)
        async with running(tmp_path, settings(ops)) as (store, outbox):
            for ident in ("a", "poison", "b"):
                await announce(store, ident, endpoint=ident)
            outbox.ring()
            await trio.sleep(3000)
            [left] = await store.letters(limit=9)
        assert (left.delivery.alert, left.state, left.error) == ("poison", "dead", "HTTP 400: given up after 5 tries")
        assert [told for _, told in ops.told[:5]] == [["a", "poison", "b"]] * 5
        assert len({message.id for _, message in ops.seen[:5]}) == 1
        assert sorted(message.id for _, message in ops.seen[5:]) == ["a", "b", *["poison"] * 5]

    async def test_a_sink_that_is_gone_is_not_asked_for_each(self, autojump_clock, tmp_path):
        ops = Recording(how=DIGEST, script=[DeliveryError("HTTP 410", status=410)])
        async with running(tmp_path, settings(ops)) as (store, outbox):
            await announce(store, "a", endpoint="a")
            await announce(store, "b", endpoint="b")
            outbox.ring()
            await trio.sleep(100)
            assert await store.letter_counts() == {"pending": 0, "dead": 2}
        assert len(ops.seen) == 1


class TestStories:
    async def test_a_resolved_whose_firing_still_waits_goes_in_the_same_message(self, autojump_clock, tmp_path):
        chat = Recording(how=CHAT)
        async with running(tmp_path, settings(chat, max_per_minute=1)) as (store, outbox):
            await announce(store, "other", endpoint="feed")
            outbox.ring()
            await trio.sleep(1)
            await announce(store, "down")
            await announce(store, "still", kind="reminder")
            await announce(store, "up", kind="resolved")
            await announce(store, "down again", incident="j")
            outbox.ring()
            await trio.sleep(200)
        assert chat.told == [(0.0, ["other"]), (60.0, ["down", "still", "up"]), (120.0, ["down again"])]

    async def test_a_firing_that_was_tried_goes_alone_for_ever(self, autojump_clock, tmp_path):
        """It may have arrived: what was once sent is not told again in another message."""
        chat, rand = Recording(how=CHAT, script=[9]), PlainRand()
        async with running(tmp_path, settings(chat), rand=rand) as (store, outbox):
            await announce(store, "down")
            outbox.ring()
            await trio.sleep(1)  # the process ends in the middle of it
        async with running(tmp_path, settings(chat), rand=rand) as (store, outbox):
            await announce(store, "up", kind="resolved")
            outbox.ring()
            await trio.sleep(10)
        assert [(message.id, told) for (_, message), (_, told) in zip(chat.seen, chat.told, strict=True)] == [
            ("down", ["down"]),
            ("down", ["down"]),
            ("up", ["up"]),
        ]

    async def test_other_sinks_get_each_by_itself(self, autojump_clock, tmp_path):
        ops = Recording()
        async with running(tmp_path, settings(ops, max_per_minute=1)) as (store, outbox):
            await announce(store, "down")
            await announce(store, "up", kind="resolved")
            outbox.ring()
            await trio.sleep(100)
        assert ops.told == [(0.0, ["down"]), (60.0, ["up"])]


class TestPace:
    async def test_chat_gets_twenty_a_minute_and_nothing_is_dropped(self, autojump_clock, tmp_path):
        chat = Recording(how=CHAT)
        async with running(tmp_path, settings(chat)) as (store, outbox):
            for number in range(50):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
            outbox.ring()
            await trio.sleep(200)
            assert await store.pending() == 0
        assert [moment for moment, _ in chat.told] == [0.0] * 20 + [60.0] * 20 + [120.0] * 10
        assert len({ident for _, told in chat.told for ident in told}) == 50

    async def test_a_limit_of_the_config_goes_before_the_formats(self, autojump_clock, tmp_path):
        chat = Recording(how=CHAT)
        async with running(tmp_path, settings(chat, max_per_minute=2)) as (store, outbox):
            for number in range(5):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
            outbox.ring()
            await trio.sleep(200)
        assert [moment for moment, _ in chat.told] == [0.0, 0.0, 60.0, 60.0, 120.0]

    async def test_what_was_sent_before_a_restart_counts(self, autojump_clock, tmp_path):
        chat, grouped, rand = Recording(how=CHAT), Recording(how=DIGEST), PlainRand()
        sinks = settings(chat, max_per_minute=2), settings(grouped, name="grouped", max_per_minute=2)
        async with running(tmp_path, *sinks, rand=rand) as (store, outbox):
            for number in range(3):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
                await announce(store, f"b{number}", endpoint=f"endpoint {number}", sink="grouped")
            outbox.ring()
            await trio.sleep(10)
        async with running(tmp_path, *sinks, rand=rand) as (store, outbox):
            await announce(store, "one more", endpoint="feed", sink="grouped")
            outbox.ring()
            await trio.sleep(100)
        assert [moment for moment, _ in chat.told] == [0.0, 0.0, 60.0]
        assert grouped.told == [(1.0, ["b0", "b1", "b2"]), (11.0, ["one more"])], "a digest is one message"

    async def test_what_was_sent_before_a_restart_counts_by_a_clock_that_was_set_back(self, autojump_clock, tmp_path):
        ops, rand, back = Recording(), PlainRand(), -timedelta(hours=2)
        limited = settings(ops, max_per_minute=1)
        async with running(tmp_path, limited, rand=rand, skew=back) as (store, _):
            for number in range(2):  # by the clock as it was before
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
        async with running(tmp_path, limited, rand=rand, skew=back):
            await trio.sleep(10)
        async with running(tmp_path, limited, rand=rand, skew=back):
            await trio.sleep(100)
        assert ops.told == [(0.0, ["a0"]), (60.0, ["a1"])]

    async def test_a_sink_that_fails_is_tried_with_one_at_a_time_until_it_answers(self, autojump_clock, tmp_path):
        ops, well = Recording(script=[10.0] * 1000), Recording()
        async with running(tmp_path, settings(ops), settings(well, name="well")) as (store, outbox):
            for number in range(1000):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
            outbox.ring()
            await trio.sleep(600)
            assert ops.most_together == MOST_AT_ONCE
            begun = len(ops.seen)
            assert begun < 30, "at most one in half a minute or so"
            ops.most_together = 0
            await announce(store, "elsewhere", endpoint="endpoint 1", sink="well")
            outbox.ring()
            await trio.sleep(600)
            assert ops.most_together == 1
            assert well.told == [(600.0, ["elsewhere"])]
            tried = [told[0] for _, told in ops.told]
            assert len(set(tried)) == len(tried), "fairly: each lane once before any has its second turn"

            ops.script.clear()  # it comes back
            await trio.sleep(45)
            assert await store.pending() < 50
            await trio.sleep(400)
            assert await store.pending() == 0
            assert ops.most_together == MOST_AT_ONCE

    @pytest.mark.parametrize("status", [400, 413, 422, 500])
    async def test_a_poison_payload_is_in_nobody_elses_way(self, autojump_clock, tmp_path, status):
        def refuses(message: Message) -> None:
            if message.document["data"]["id"] == "poison":
                raise DeliveryError(f"HTTP {status}", status=status)

        ops = Recording(refuses=refuses)
        async with running(tmp_path, settings(ops)) as (store, outbox):
            await announce(store, "poison", endpoint="poison")
            await announce(store, "behind it", endpoint="poison")
            outbox.ring()
            for number in range(120):
                await trio.sleep(5)
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
                outbox.ring()
            await trio.sleep(10)
        others = [(moment, told[0]) for moment, told in ops.told if told[0].startswith("a")]
        assert others == [(5.0 * (number + 1), f"a{number}") for number in range(120)]
        poison = [moment for moment, told in ops.told if told == ["poison"]]
        assert len(poison) == (5 if status < 500 else 10)
        assert any(told == ["behind it"] for _, told in ops.told) == (status < 500)

    async def test_a_changed_sink_is_tried_at_once(self, autojump_clock, tmp_path):
        ops, mended = Recording(script=[DOWN] * 1000), Recording()
        async with running(tmp_path, settings(ops)) as (store, outbox):
            for number in range(20):
                await announce(store, f"a{number}", endpoint=f"endpoint {number}")
            outbox.ring()
            await trio.sleep(100.5)
            outbox.replace_sinks({"ops": settings(mended)})
            await trio.sleep(1)
        assert len(mended.seen) > 5
        assert {moment for moment, _ in mended.told} == {100.5}


class TestPutBack:
    async def test_dead_ones_are_tried_again_in_order(self, autojump_clock, tmp_path):
        ops = Recording(script=[DeliveryError("HTTP 410", status=410)] * 2)
        async with running(tmp_path, settings(ops)) as (store, outbox):
            await announce(store, "down")
            await announce(store, "up", kind="resolved")
            outbox.ring()
            await trio.sleep(10)
            assert await store.letter_counts() == {"pending": 0, "dead": 2}
            done = await outbox.put_back(None)
            await trio.sleep(1)
            assert await store.letter_counts() == {"pending": 0, "dead": 0}
        assert done.put_back == (1, 2)
        assert ops.told[2:] == [(10.0, ["down"]), (10.0, ["up"])]
        assert [message.attempt for _, message in ops.seen] == [1, 1, 1, 1]

    async def test_a_lane_never_has_two_tries_at_once(self, autojump_clock, tmp_path):
        ops = Recording(script=[DeliveryError("HTTP 410", status=410), 5])
        async with running(tmp_path, settings(ops)) as (store, outbox):
            await announce(store, "down")
            await announce(store, "up", kind="resolved")
            outbox.ring()
            await trio.sleep(2)  # "up" is under way
            await outbox.put_back(None)
            await trio.sleep(100)
            [left] = await store.letters(limit=9)
        assert ops.most_together == 1
        assert ops.told == [(0.0, ["down"]), (0.0, ["up"])]
        assert (left.delivery.alert, left.obsolete) == ("down", True)

    async def test_one_whose_sink_is_gone_stays_dead(self, autojump_clock, tmp_path):
        ops = Recording()
        async with running(tmp_path, settings(ops)) as (store, outbox):
            await announce(store, "a", sink="former")
            outbox.ring()
            await trio.sleep(1)
            [left] = await store.letters(limit=9)
            assert (left.state, left.error) == ("dead", "sink no longer configured")
            assert (await outbox.put_back(None)).gone == (left.delivery.id,)
