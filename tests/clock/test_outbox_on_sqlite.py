"""The outbox on the real store: what the store in memory promises in the other tests, SQLite keeps.

The database is called on the loop's own thread (`run_here`), because simulated time would outrun another.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import attrs
import trio
from support.ports import PlainRand, TrioClock

from monitor.api import DeliveryError, Message, Sink
from monitor.config import SinkSettings
from monitor.core.alerting import Decision
from monitor.core.model import OK, Alert, Outcome, State, Transition
from monitor.core.quantities import Duration
from monitor.outbox import Outbox
from monitor.store import Entry, Record
from monitor.store.sqlite import open_store, run_here

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from monitor.store import Store


@attrs.define(kw_only=True)
class Recording(Sink):
    """Fails as often as it is told, then delivers; hangs where that is for ever."""

    failures: float = 0
    hangs: bool = False
    seen: list[tuple[float, str, int, bytes]] = attrs.field(factory=list)

    async def send(self, message: Message) -> None:
        self.seen.append((round(trio.current_time(), 3), message.id, message.attempt, message.body))
        if self.hangs:
            await trio.sleep_forever()
        if self.failures > 0:
            self.failures -= 1
            raise DeliveryError("HTTP 503", status=503)

    @property
    def tries(self) -> list[tuple[float, str, int]]:
        return [(moment, ident, attempt) for moment, ident, attempt, _ in self.seen]


class NoNet:
    """These sinks reach for no network."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("no sink here connects")


@contextlib.asynccontextmanager
async def running(data_dir: Path, **sinks: Sink) -> AsyncIterator[tuple[Store, Outbox]]:
    """A store that is opened and closed with the outbox, as a process would."""
    clock = TrioClock()
    configured = {
        name: SinkSettings(name=name, kind="recording", sink=sink, give_up_after=Duration.parse("3d"))
        for name, sink in sinks.items()
    }
    async with open_store(data_dir, clock=clock, run_sync=run_here) as store:
        outbox = Outbox(
            store,
            configured,
            net=NoNet(),
            clock=clock,
            rand=PlainRand(),
            log=logging.getLogger("test.outbox"),
            mask=str,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(outbox.run)
            yield store, outbox
            nursery.cancel_scope.cancel()


async def announce(store: Store, ident: str, *sinks: str, endpoint: str = "shop") -> None:
    """Commit an alert as a confirmed change does."""
    now = TrioClock().wall()
    alert = Alert(id=ident, type="alert.firing", endpoint=endpoint, created_at=now, body=b'{"id":"x"}', sinks=sinks)
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


async def test_a_restart_goes_on_where_it_was(autojump_clock, tmp_path):
    ops = Recording(failures=3)
    async with running(tmp_path, ops=ops) as (store, outbox):
        await announce(store, "a", "ops")
        await announce(store, "b", "ops")
        outbox.ring()
        await trio.sleep(3.5)  # tries at 0, 1 and 3; the next at 7
    async with running(tmp_path, ops=ops) as (store, outbox):
        await trio.sleep(10)
        assert await store.pending() == 0
    assert ops.tries == [(0, "a", 1), (1, "a", 2), (3, "a", 3), (7, "a", 4), (7, "b", 1)]
    assert {body for *_, body in ops.seen} == {b'{"id":"x"}'}


async def test_a_sink_that_hangs_delays_no_other(autojump_clock, tmp_path):
    dead, well = Recording(hangs=True), Recording()
    async with running(tmp_path, dead=dead, well=well) as (store, outbox):
        for number in range(50):
            await announce(store, f"old {number}", "dead", endpoint=f"endpoint {number}")
        outbox.ring()
        await trio.sleep(500)
        await announce(store, "firing", "dead", "well")
        outbox.ring()
        await trio.sleep(1)
        assert well.tries == [(500, "firing", 1)]
        dead.hangs = False
        await trio.sleep(400)
        await outbox.drained()
        assert await store.pending() == 0


async def test_what_is_owed_to_a_sink_that_left_is_given_up(autojump_clock, tmp_path):
    async with running(tmp_path, former=Recording(failures=99), ops=Recording()) as (store, outbox):
        await announce(store, "a", "former", "ops")
        outbox.ring()
        await trio.sleep(1.5)
        assert await store.pending() == 1
    async with running(tmp_path, ops=Recording()) as (store, outbox):
        await trio.sleep(1)
        assert await store.pending() == 0
        assert await store.next_due(sinks=["former", "ops"]) is None
