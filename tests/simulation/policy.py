"""What must hold of who is told what, and when: reminders, what holds back, what a sink wants, flapping."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from monitor.core.model import State
from simulation.people import SLACK
from simulation.plans import is_open

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.witness import Witness

EPSILON = 1e-6
MINUTE = 60.0


def reminders_keep_their_distance(witness: Witness) -> Iterator[str]:
    """A reminder comes `reminder_interval` after the last word, whatever restarts in between; and it does come."""
    for row in witness.fresh.deliveries:
        document, born = witness.alerts[row.alert], witness.born[row.id]
        lane, kind = (row.sink, row.endpoint), document["type"]
        said = datetime.fromisoformat(document["timestamp"])
        if abs((born.wall - said).total_seconds()) > SLACK:  # said while the database was away, and written later
            born = attrs.evolve(born, wall=said, set_back=born.set_back if said < born.wall else -1)
        if kind == "alert.reminder":
            interval = witness.reminder_of(row.endpoint)
            spoke = witness.spoke.get(lane)
            if interval is None or spoke is None or witness.failed_lately or spoke.set_back != born.set_back:
                pass
            elif (born.wall - spoke.wall).total_seconds() < interval - SLACK:
                yield f"{row.endpoint}: {row.sink} is reminded after {(born.wall - spoke.wall).total_seconds():.0f} s"
        if kind in ("alert.reminder", "alert.firing"):
            witness.spoke[lane] = born
        elif kind == "alert.resolved":
            witness.spoke.pop(lane, None)
    for (sink, name), spoke in witness.spoke.items() if witness.over else ():
        interval = witness.reminder_of(name)
        waited = (witness.world.clock.wall() - spoke.wall).total_seconds()
        if (
            interval is not None
            and waited > interval + MINUTE
            and not witness.is_acknowledged(name)
            and witness.truth(witness.configured[name]) is State.DOWN
        ):
            yield f"{name}: {sink} was last told {waited:.0f} s ago, and is to be reminded every {interval} s"


def held_back(witness: Witness) -> Iterator[str]:
    """Neither a `firing` nor a reminder while a parent is down, in maintenance or silenced; a `resolved` always."""
    for row in witness.fresh.deliveries:
        document, born = witness.alerts[row.alert], witness.born[row.id]
        if witness.failed_lately or document["type"] not in ("alert.firing", "alert.reminder"):
            continue
        if document["data"]["to"] != "down":  # an easing, which is told
            continue
        for parent in witness.parents_of(row.endpoint):
            if born.before.get(parent) == born.after.get(parent) == "down" and parent not in born.unknown:
                yield f"{row.sink} is told {document['type']} of {row.endpoint}, and {parent} is down"
        if any(is_open(each, born.wall, SLACK) for each in witness.world.scenario.windows_of(row.endpoint)):
            yield f"{row.sink} is told {document['type']} of {row.endpoint} in maintenance"
        if any(witness.world.people.silencing(row.endpoint, born.at, born.wall)):
            yield f"{row.sink} is told {document['type']} of {row.endpoint}, which is silenced"


def sinks_hear_what_they_want(witness: Witness) -> Iterator[str]:
    """A sink may have `alert_on` and `after` (told only when the incident has lasted that long: escalation)."""
    plans = {each.name: each for each in witness.world.scenario.sinks}
    for row in witness.fresh.deliveries:
        document, plan = witness.alerts[row.alert], plans[row.sink]
        if document["type"] != "alert.firing" or witness.failed_lately:
            continue
        data = document["data"]
        said, began = (datetime.fromisoformat(each) for each in (document["timestamp"], data["incident"]["started_at"]))
        if plan.after is not None and (said - began).total_seconds() < plan.after - EPSILON:
            yield f"{row.sink} is told of {row.endpoint} {(said - began).total_seconds():.0f} s after it began"
        if plan.only_down and data["to"] == "degraded" and data["from"] != "down":
            yield f"{row.sink} is told that {row.endpoint} is degraded"


def silent_while_it_flaps(witness: Witness) -> Iterator[str]:
    """While an endpoint flaps a sink hears one `alert.flapping`, and nothing else of it until that is over."""
    for row in witness.fresh.deliveries:
        document = witness.alerts[row.alert]
        if not row.endpoint:
            continue
        lane, flaps = (row.sink, row.endpoint), row.endpoint in witness.flaps_at.get(row.sink, set())
        if document["type"] == "alert.flapping":
            begins = document["data"]["flapping"]
            if begins is flaps and not witness.failed_lately:
                yield f"{lane[1]}: {lane[0]} is told again that it {'flaps' if begins else 'flaps no more'}"
            change = set.add if begins else set.discard
            change(witness.flaps_at.setdefault(row.sink, set()), row.endpoint)
        elif flaps and not witness.failed_lately:
            yield f"{lane[1]} flaps, and {lane[0]} is told {document['type']}"
