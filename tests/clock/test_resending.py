"""A receiver that forgets is told again of what fires, and never of what is over."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
import trio
from test_outbox_together import DOWN, Recording, announce, running, settings

from monitor.api import DeliveryError, Manner

if TYPE_CHECKING:
    from monitor.telling import Message

FORGETS = Manner(resend=60.0)


@pytest.fixture
def ops() -> Recording:
    return Recording(how=FORGETS)


async def test_what_fires_is_told_again_until_it_is_over(autojump_clock, tmp_path, ops):
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down", endpoint="shop")
        await announce(store, "other", endpoint="feed")
        outbox.ring()
        await trio.sleep(130)
        await announce(store, "up", kind="resolved", endpoint="shop")
        outbox.ring()
        await trio.sleep(130)
        await announce(store, "other up", kind="resolved", endpoint="feed")
        outbox.ring()
        await trio.sleep(300)
    told = [sorted(told) for _, told in ops.told]
    assert sorted(told[:2]) == [["down"], ["other"]]  # two lanes, in any order
    assert told[2:4] == [["down", "other"]] * 2
    rest = told[told.index(["up"]) + 1 :]
    assert rest[:-1] == [["other"]] * len(rest[:-1])
    assert len(rest) > 2
    assert rest[-1] == ["other up"]
    moments = [moment for moment, told in ops.told if sorted(told) == ["down", "other"]]
    assert all(after - before == pytest.approx(60, abs=1.1) for before, after in itertools.pairwise(moments))


async def test_a_restart_tells_at_once(autojump_clock, tmp_path, ops):
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        outbox.ring()
        await trio.sleep(10)
    ops.seen.clear()
    async with running(tmp_path, settings(ops)):
        await trio.sleep(5)
    assert [told for _, told in ops.told] == [["down"]]


async def test_what_was_over_before_a_restart_is_not_told(autojump_clock, tmp_path, ops):
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        await announce(store, "up", kind="resolved")
        await announce(store, "test", kind="test", endpoint="x")
        outbox.ring()
        await trio.sleep(10)
    ops.seen.clear()
    async with running(tmp_path, settings(ops)):
        await trio.sleep(200)
    assert ops.told == []


async def test_what_was_never_delivered_is_not_told_again(autojump_clock, tmp_path):
    ops = Recording(how=FORGETS, script=[DeliveryError("HTTP 410", status=410)])
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        outbox.ring()
        await trio.sleep(200)
    assert ops.told == [(2.0, ["down"])]


async def test_an_end_that_was_given_up_is_upheld_no_more(autojump_clock, tmp_path):
    def refuses(message: Message) -> None:
        if message.document["type"] == "alert.resolved":
            raise DeliveryError("HTTP 410", status=410)

    ops = Recording(how=FORGETS, refuses=refuses)
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        await announce(store, "up", kind="resolved")
        outbox.ring()
        await trio.sleep(200)
    assert [told for _, told in ops.told] == [["down"], ["up"]]
    async with running(tmp_path, settings(ops)):
        await trio.sleep(200)
    assert len(ops.told) == 2


async def test_a_late_word_is_never_the_last(autojump_clock, tmp_path):
    """A resend that hangs holds back the `resolved`, so that it cannot arrive after it."""
    ops = Recording(how=FORGETS)
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        outbox.ring()
        await trio.sleep(0.5)
        ops.script = [5.0]  # the next time it takes its time
        while len(ops.seen) < 2:
            await trio.sleep(0.5)
        await announce(store, "up", kind="resolved")
        outbox.ring()
        await trio.sleep(100)
    assert [told for _, told in ops.told] == [["down"], ["down"], ["up"]]
    assert ops.most_together == 1
    assert ops.told[2][0] - ops.told[1][0] == 5


async def test_a_sink_that_fails_keeps_what_it_was_told(autojump_clock, tmp_path):
    ops = Recording(how=FORGETS)
    async with running(tmp_path, settings(ops)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        outbox.ring()
        await trio.sleep(0.5)
        ops.script = [DOWN] * 3
        await trio.sleep(400)
        assert await store.pending() == 0
    assert len(ops.told) > 5
    assert {json.dumps(told) for _, told in ops.told} == {'["down"]'}


async def test_a_reload_begins_and_ends_it(autojump_clock, tmp_path):
    plain, ops = Recording(), Recording(how=FORGETS)
    async with running(tmp_path, settings(plain)) as (store, outbox):
        await trio.sleep(2)  # by now it is known that nothing was told before
        await announce(store, "down")
        outbox.ring()
        await trio.sleep(100)
        assert len(plain.told) == 1
        outbox.replace_sinks({"ops": settings(ops)})
        await trio.sleep(2)
        assert [told for _, told in ops.told] == [["down"]]
        outbox.replace_sinks({"ops": settings(plain)})
        await trio.sleep(200)
    assert (len(plain.told), len(ops.told)) == (1, 1)
