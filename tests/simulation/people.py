"""What people do while the daemon runs: they come to its face, one after the other, as through the page or the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from datetime import datetime

    from monitor.web import Face
    from simulation.witness import Witness
    from simulation.world import World

    Request = Callable[[Face], Awaitable[None]]

SLACK = 30.0  # seconds that a message may be written after it was decided


class Desk:
    """The daemon's face; with it those who wait there go."""

    url = "http://simulated"

    def __init__(self) -> None:
        self._send, self._requests = trio.open_memory_channel["Request"](100)

    async def serve(self, face: Face, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        async for request in self._requests:
            try:
                await request(face)
            except StoreError:  # who asks is told so
                continue

    def ask(self, request: Request) -> None:
        """Have *request* made, if there is somebody to make it of."""
        self._send.send_nowait(request)


@attrs.define
class Silenced:
    """*target* is quiet from *since* on the loop's clock until *until* on the wall."""

    target: str
    since: float
    until: datetime
    kept: bool  # in the database: else a crash may lose it


@attrs.define
class Known:
    """An incident was acknowledged."""

    since: float
    kept: bool


class People:
    """They silence and acknowledge, and remember what they were told: it holds from then on, whatever happens."""

    def __init__(self, world: World) -> None:
        self.silences: dict[str, Silenced] = {}
        self.acknowledged: dict[str, Known] = {}  # by incident
        self._world = world

    def silence(self, target: str, seconds: float) -> None:
        """Ask for quiet."""

        async def request(face: Face) -> None:
            made = await face.silencer.add(target, duration=seconds, author="simulation", comment="")
            until = made.ends_at.replace(microsecond=made.ends_at.microsecond // 1000 * 1000)  # as it is kept
            kept = face.store.trouble is None
            self.silences[made.id] = Silenced(target, trio.current_time(), until, kept=kept)
            self._world.ledger.note("people", f"{target} is silenced for {seconds:.0f} s")

        self._world.ask(request)

    def end_silences(self, *, every: bool) -> None:
        """End the oldest silence, or every one, also those of which nobody was told."""

        async def request(face: Face) -> None:
            for silence in face.silencer.silences.active(self._world.clock.wall()):
                await face.silencer.end(silence.id)
                self.silences.pop(silence.id, None)
                self._world.ledger.note("people", f"{silence.target} is silenced no more")
                if not every:
                    break

        self._world.ask(request)

    def acknowledge(self, name: str) -> None:
        """Say of the open incident of the endpoint *name*, if there is one, that it is known."""

        async def request(face: Face) -> None:
            record = face.records().get(name)
            if record is None or record.incident is None:
                return
            done = await face.acknowledge(record.incident.id, by="simulation", comment="")
            if done is not None:
                self.acknowledged[done.id] = Known(trio.current_time(), kept=face.store.trouble is None)
                self._world.ledger.note("people", f"the incident of {name} is acknowledged")

        self._world.ask(request)

    def life_ended(self) -> None:
        """What was only in memory is gone, maybe."""
        for known in (self.silences, self.acknowledged):
            for ident in [ident for ident, each in known.items() if not each.kept]:  # type: ignore[attr-defined]
                del known[ident]  # type: ignore[attr-defined]

    def silencing(self, name: str, at: float, wall: datetime) -> Iterator[Silenced]:
        """The silences that hold back alerts of the endpoint *name* at that moment."""
        plan = next((each for each in self._world.scenario.endpoints if each.name == name), None)
        for each in self.silences.values():
            if plan is not None and plan.is_meant_by(each.target) and each.since + SLACK < at and wall < each.until:
                yield each


def acknowledged_is_enough(witness: Witness) -> Iterator[str]:
    """Acknowledgement at run time (stops reminders)."""
    people = witness.world.people
    for row in witness.fresh.deliveries:
        document = witness.alerts[row.alert]
        if document["type"] != "alert.reminder":
            continue
        known = people.acknowledged.get(document["data"]["incident"]["id"])
        if known is not None and witness.born[row.id].at > known.since + SLACK and not witness.failed_lately:
            yield f"{row.sink} is reminded of {row.endpoint}, whose incident somebody knows of"
