"""What arrives at the sinks, message by message: several alerts may come in one, and no more than agreed in a minute.

What a message in words or a digest tells is known by the outbox: the deliveries that were fixed under its name.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING

import trio

from monitor.sinks.formats import as_json
from simulation.network import Receipt

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from monitor.config import Config
    from simulation.plans import SinkPlan
    from simulation.witness import Witness
    from simulation.world import World

_TOLD = """
    SELECT d.alert, a.body FROM deliveries d JOIN alerts a ON a.id = d.alert
    WHERE d.sink = ?1 AND (d.digest = ?2 OR (d.digest IS NULL AND d.alert = ?2)) ORDER BY d.id
"""
_WAITING = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND sink = ?"
_MINUTE = 55.0  # seconds; a try begins a little before its connection does
_RECENTLY = 180.0  # seconds


class Messages:
    """See above."""

    def __init__(self, world: World) -> None:
        self.comes = trio.Event()  # happens each time a message has arrived; then there is a new one
        self.problems: list[str] = []  # of digests
        self._latest: str | None = None  # sink that was told something
        self.too_fast: list[str] = []
        self._world = world
        self._bodies: dict[tuple[str, str], tuple[bytes, tuple[str, ...]]] = {}  # of each message, and what it told
        self._fixed: dict[tuple[str, str], tuple[str, int]] = {}  # the message that told an alert; failures by then
        self._refused: dict[tuple[str, str], bool] = {}  # the alerts last refused: by themselves?
        self._tries: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=50))
        self._recent: deque[Receipt] = deque(maxlen=200)
        self._slow_at = -1e9  # something was held up that could make tries come closer together

    def plan_of(self, sink: str) -> SinkPlan:
        """The sink as it was drawn."""
        return next(each for each in self._world.scenario.sinks if each.name == sink)

    def came(self, sink: str, name: str, body: bytes) -> list[Receipt]:
        """The message *name* has arrived at *sink*: what it tells, alert by alert."""
        self._latest = sink
        self.comes.set()
        self.comes = trio.Event()
        form, now = self.plan_of(sink).format, trio.current_time()
        if form == "standard":
            receipts = [Receipt(sink, name, body, json.loads(body), now)]
        else:
            told = self._told(sink, name)
            if not told:
                self.problems.append(f"{sink} got the message {name}, which stands in no outbox")
            receipts = [Receipt(sink, alert, each, json.loads(each), now) for alert, each in told]
            self._compare(sink, name, body, receipts)
        self._recent.extend(receipts)
        for receipt in receipts:
            self._world.witness.received(receipt)
        return receipts

    def others_wait(self) -> bool:
        """Is more to be sent to the sink that was told something last, and has a limit?"""
        if self._latest is None or self.plan_of(self._latest).per_minute is None:
            return False
        with self._world.disk.reading() as db:
            return db is not None and db.execute(_WAITING, (self._latest,)).fetchone()[0] > 1

    def refused(self, sink: str, name: str) -> None:
        """*sink* refuses the message *name*, whatever it tells."""
        told = [name] if self.plan_of(sink).format == "standard" else [alert for alert, _ in self._told(sink, name)]
        self._refused.update(dict.fromkeys(((sink, alert) for alert in told), len(told) == 1))

    def died(self, sink: str, alert: str, error: str) -> None:
        """An alert is given up: if it was refused, then by itself."""
        if error.startswith("HTTP 400") and not self._refused.get((sink, alert), True):
            self.problems.append(f"{alert} to {sink} is dead because of a message that told others, too")

    def _told(self, sink: str, name: str) -> list[tuple[str, bytes]]:
        """The alerts that the message *name* tells, in order, with their documents."""
        kept = self._world.daemon.store._kept  # type: ignore[attr-defined]
        if kept is not None and (found := self._asked(kept.db, sink, name)):
            return found
        with self._world.disk.reading() as db:
            return [] if db is None else self._asked(db, sink, name)

    def _asked(self, db: sqlite3.Connection, sink: str, name: str) -> list[tuple[str, bytes]]:
        return db.execute(_TOLD, (sink, name)).fetchall()

    def _compare(self, sink: str, name: str, body: bytes, receipts: list[Receipt]) -> None:
        """Is it what it was at the try before, and the documents in another form?"""
        told = tuple(each.alert for each in receipts)
        if self._bodies.setdefault((sink, name), (body, told)) != (body, told):
            self.problems.append(f"{sink} got the message {name} again, and it is not the same")
        wanted = as_json(self.plan_of(sink).format, [each.document for each in receipts], receiver=sink)
        if receipts and body != wanted:
            self.problems.append(f"{sink} got the message {name}, which is not what its alerts are in this format")
        failures = self._world.failures
        for alert in told:
            before, at = self._fixed.get((sink, alert), (name, failures))
            if before != name and name != alert and at == failures:  # else one that was refused goes by itself
                self.problems.append(f"{sink} got {alert} in the message {name}, and before in {before}")
            self._fixed[sink, alert] = name, failures

    # How often.

    def held_up(self) -> None:
        """Something takes its time, or took it: what was begun one after the other may arrive together."""
        self._slow_at = trio.current_time()

    def tried(self, sink: str) -> None:
        """Somebody connects to *sink*."""
        now, tries, limit = trio.current_time(), self._tries[sink], self.plan_of(sink).per_minute
        tries.append(now)
        recent = sum(each > now - _MINUTE for each in tries)
        if limit is not None and recent > limit and now - self._slow_at > _RECENTLY:
            self.too_fast.append(f"{sink} was tried {recent} times in {_MINUTE:g} s, and may be {limit} times a minute")

    def reloads(self, config: Config) -> None:
        """What was known of sinks that are not in *config* is forgotten, as it may be."""
        names = {each.name for each in config.sinks}
        for sink in self._tries.keys() - names:
            del self._tries[sink]

    def life_ended(self) -> None:
        """Of what was sent the next life knows what is written: that it was delivered, and when."""
        now, witness = trio.current_time(), self._world.witness
        self._tries.clear()
        for receipt in self._recent:
            row = witness.rows.get(witness.number_of(receipt.sink, receipt.alert))
            known = receipt.settled and row is not None and row.state == "delivered" and now - receipt.at < _MINUTE
            if known and receipt.at not in self._tries[receipt.sink]:  # a message of several came at one moment
                self._tries[receipt.sink].append(receipt.at)


def digests_never_change(witness: Witness) -> Iterator[str]:
    """A digest is fixed in a transaction before its first try, with an id of its own, and never changed after; a 4xx
    does not block what follows for other endpoints."""
    messages = witness.world.messages
    found, messages.problems = messages.problems, []
    yield from found


def sinks_are_not_hurried(witness: Witness) -> Iterator[str]:
    """A per-sink rate limit (`max_per_minute`) delays, and drops nothing."""
    messages = witness.world.messages
    found, messages.too_fast = messages.too_fast, []
    yield from found
