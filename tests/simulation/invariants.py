"""What must hold, whatever happens: one function each, with its sentence from issue 4; `INVARIANTS` is the table.

Each is asked at every step about what is new, and once more at the end, when everything has healed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import trio

from monitor.core.model import Outcome, State, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simulation.witness import Seen, Witness

    Invariant = Callable[[Witness], Iterator[str]]

EPSILON = 1e-6
COUNTED = ("alert.firing", "alert.resolved")


def outcomes_and_deliveries(witness: Witness) -> Iterator[str]:
    """Every committed transition has its recorded outcome, and every alert a delivery or a dead letter for each of
    its sinks."""
    alerts = {(each["data"]["incident"] or {}).get("id") for each in witness.alerts.values()}
    for transition in witness.fresh.transitions:
        if transition.outcome is Outcome.ALERTED and transition.incident not in alerts:
            yield f"transition {transition.id} says it was alerted, and there is no alert"
    fired: dict[str, set[str]] = {}
    for row in witness.rows.values() if witness.over else ():
        document = witness.alerts[row.alert]
        if document["type"] == "alert.firing":
            fired.setdefault(document["data"]["incident"]["id"], set()).add(row.sink)
    for row in witness.rows.values() if witness.over else ():
        document = witness.alerts[row.alert]
        if document["type"] == "alert.resolved":
            incident = document["data"]["incident"]["id"]
            fired.get(incident, set()).discard(row.sink)
    open_ones = {witness.open_incident(name) for name in witness.standing}
    for incident, sinks in fired.items():
        if sinks and incident not in open_ones:
            yield f"incident {incident} is over, and {', '.join(sorted(sinks))} will never hear of it"
    if witness.over and (lost := witness.alerts_without_delivery()):
        yield f"alerts without any delivery: {lost}"


def deliveries_match_transitions(witness: Witness) -> Iterator[str]:
    """Every delivery matches a transition."""
    for row in witness.fresh.deliveries:
        document = witness.alerts[row.alert]
        if document["type"] not in COUNTED:
            continue
        data = document["data"]
        matching = [
            transition
            for transition in witness.transitions.get(data["incident"]["id"], ())
            if transition.endpoint == data["endpoint"]["name"] == row.endpoint
            and (None if transition.after is None else str(transition.after)) == data["to"]
        ]
        if not matching:
            yield f"delivery {row.id} to {row.sink}: no transition to {data['to']} in its incident"


def same_id_same_body(witness: Witness) -> Iterator[str]:
    """Same id, same body."""
    for receipt in witness.fresh.receipts:
        body = witness.bodies.get(receipt.alert)
        if body is None:
            yield f"{receipt.sink} got {receipt.alert}, which was never committed"
        elif body != receipt.body:
            yield f"{receipt.sink} got {receipt.alert} with another body than was committed"


def in_sequence(witness: Witness) -> Iterator[str]:
    """Per endpoint and sink first deliveries in sequence order, gapless."""
    for document in witness.fresh.alerts:
        if document["type"] not in COUNTED:
            continue
        data = document["data"]
        name, sequence = data["endpoint"]["name"], data["sequence"]
        latest = witness.sequences.get(name, 0)
        if sequence != latest + 1:
            yield f"{name}: alert {sequence} follows alert {latest}"
        witness.sequences[name] = sequence
    for receipt in witness.fresh.receipts:
        lane = receipt.sink, (receipt.document["data"]["endpoint"] or {}).get("name", "")
        numbers = [witness.number_of(lane[0], alert) for alert in witness.heard[lane][-3:]]
        if any(earlier > later for earlier, later in pairwise(numbers)):
            yield f"{lane[1]} to {lane[0]}: deliveries came in the order {numbers}"
    if witness.over:
        yield from _nothing_was_skipped(witness)


def _nothing_was_skipped(witness: Witness) -> Iterator[str]:
    for row in witness.rows.values():
        if row.state == "delivered" and not witness.receipts.get((row.sink, row.alert)):
            yield f"delivery {row.id} counts as delivered, and {row.sink} never got it"
        if row.state == "pending":
            yield f"delivery {row.id} to {row.sink} still waits after the quiet phase"


def firing_then_resolved(witness: Witness) -> Iterator[str]:
    """Per incident one or more `firing`, then one `resolved`."""
    for receipt in witness.fresh.receipts:
        data = receipt.document["data"]
        if data["incident"] is None:
            continue
        incident = data["incident"]["id"]
        heard = witness.heard[receipt.sink, data["endpoint"]["name"]][-50:]
        words = [
            witness.alerts[alert]["type"]
            for alert in heard
            if witness.alerts[alert]["type"] != "alert.flapping"
            and (witness.alerts[alert]["data"]["incident"] or {}).get("id") == incident
        ]
        resolved = words.count("alert.resolved")
        if resolved > 1 or (resolved and words[-1] != "alert.resolved"):
            yield f"incident {incident} at {receipt.sink}: {' '.join(words)}"
        if words and words[0] != "alert.firing" and not witness.was_buried(receipt.sink, incident):
            yield f"incident {incident} at {receipt.sink} begins with {words[0]}"


def duplicates_are_accounted_for(witness: Witness) -> Iterator[str]:
    """Duplicates at most crashes times in-flight plus ambiguous replies."""
    yield from witness.take_problems("duplicate")


def transitions_where_results_stand(witness: Witness) -> Iterator[str]:
    """A transition exactly where N consecutive qualifying results stand in history."""
    for seen in witness.fresh.seen:
        moves = [(each.before, each.after) for each in seen.moved]
        if len(moves) > 1:
            yield f"{seen.endpoint.name}: one result made {moves}"
        elif moves and moves[0] != (seen.before, seen.wanted):
            yield f"{seen.endpoint.name}: {moves[0]}, but the results ask for {(seen.before, seen.wanted)}"
        elif not moves and seen.wanted is not seen.before and not seen.excused:
            yield f"{seen.endpoint.name}: no transition, but the results ask for {(seen.before, seen.wanted)}"
    yield from witness.take_problems("state")


def no_down_by_own_trouble(witness: Witness) -> Iterator[str]:
    """No `down` decided by results that overlap the monitor's own trouble."""
    for seen in witness.fresh.seen:
        expected = _expected(seen)
        if seen.observation.status not in expected:
            met = ", ".join([*seen.visit.faults, *seen.visit.own, *([seen.visit.odd] if seen.visit.odd else [])])
            yield (
                f"{seen.endpoint.name} was found {seen.observation.status} ({seen.observation.reason.message}); "
                f"its probe met {met or 'nothing'}, stood still for {seen.visit.stalled:.1f} s: "
                f"expected {' or '.join(expected)}"
            )


def _expected(seen: Seen) -> tuple[Status, ...]:
    """What the observation may be, by what its probe really met."""
    visit = seen.visit
    maybe_held_up = (Status.UNKNOWN,) if seen.visit.stalled else ()
    if visit.odd in ("raises", "exits", "answers nonsense"):
        return (Status.UNKNOWN,)
    if visit.faults:  # met after any trouble of our own was over
        return (Status.DOWN, *maybe_held_up)
    if visit.own:
        late = seen.observation.duration >= visit.timeout or "EMFILE" in visit.own
        return (Status.UNKNOWN,) if late else (Status.UP, Status.DEGRADED, Status.UNKNOWN)
    if visit.slow:
        return (Status.DEGRADED if seen.endpoint.degraded.sources else Status.UP, *maybe_held_up)
    return (Status.UP, *maybe_held_up)


def the_end_is_the_truth(witness: Witness) -> Iterator[str]:
    """At the end the state equals the truth and the last delivered message says so."""
    if not witness.over:
        return
    for endpoint in witness.configured.values():
        truth = witness.truth(endpoint)
        state = witness.records[endpoint.name].health.shown(endpoint.thresholds)
        if state is not truth:
            yield f"{endpoint.name} is {truth}, and shown as {state}"
        for sink in endpoint.sinks:
            heard = witness.heard.get((sink, endpoint.name), [])
            latest = [each for each in (witness.alerts[alert] for alert in heard) if each["type"] in COUNTED]
            word = latest[-1]["type"] if latest else "none"
            incident = latest[-1]["data"]["incident"]["id"] if latest else None
            concerned = witness.open_incident(endpoint.name) or incident
            if (word == "alert.firing") is not (truth is State.DOWN) and not witness.was_buried(sink, concerned):
                yield f"{endpoint.name} is {truth}, and the last word at {sink} is {word}"


def probes_end_in_time(witness: Witness) -> Iterator[str]:
    """A probe never outlives its deadline."""
    for visit in witness.fresh.visits:
        assert visit.ended is not None
        if visit.ended - visit.began > visit.timeout + visit.jumped + EPSILON:
            yield f"{visit.endpoint}: a probe took {visit.ended - visit.began:.3f} s of {visit.timeout}"


def one_probe_at_a_time(witness: Witness) -> Iterator[str]:
    """At most one probe in flight per endpoint."""
    yield from witness.take_problems("in flight")


def missed_slots_are_skipped(witness: Witness) -> Iterator[str]:
    """Missed slots skipped."""
    for visit, starts in witness.fresh.starts:
        (first_life, first), (last_life, last) = starts[0], starts[-1]
        pause = min(visit.configured.interval, visit.configured.retry_interval)
        if len(starts) == 3 and first_life == last_life and witness.world.reloaded_at < first and last - first < pause:
            yield f"{visit.endpoint}: three probes within {last - first:.3f} s"


def one_checker_each(witness: Witness) -> Iterator[str]:
    """An enabled endpoint has exactly one live checker."""
    world = witness.world
    if not world.steady:
        return
    running = [name for name in _task_names() if name.startswith("check:")]
    wanted = [f"check:{each.name}" for each in world.daemon.config.enabled]
    if sorted(running) != sorted(wanted):
        yield f"checkers: {sorted(running)}, expected {sorted(wanted)}"


def _task_names() -> Iterator[str]:
    root = trio.lowlevel.current_root_task()
    tasks = [root] if root else []
    while tasks:
        task = tasks.pop()
        yield task.name
        for nursery in task.child_nurseries:
            tasks.extend(nursery.child_tasks)


def back_to_the_baseline(witness: Witness) -> Iterator[str]:
    """Tasks, streams and descriptors return to the baseline."""
    yield from witness.take_problems("baseline")


def uptime_is_the_integral_of_the_truth(witness: Witness) -> Iterator[str]:
    """Uptime equals the integral of the truth."""
    for ident, times in witness.read_incidents().items():
        expected = witness.incidents.get(ident)
        if expected is not None and times != expected:
            yield f"incident {ident} lasts {times}, but the probes say {expected}"


INVARIANTS: tuple[Invariant, ...] = (
    outcomes_and_deliveries,
    deliveries_match_transitions,
    same_id_same_body,
    in_sequence,
    firing_then_resolved,
    duplicates_are_accounted_for,
    transitions_where_results_stand,
    no_down_by_own_trouble,
    the_end_is_the_truth,
    probes_end_in_time,
    one_probe_at_a_time,
    missed_slots_are_skipped,
    one_checker_each,
    back_to_the_baseline,
    uptime_is_the_integral_of_the_truth,
)


def check(witness: Witness) -> list[str]:
    """Every violation, each with the name of its invariant."""
    return [f"{each.__name__}: {text}" for each in INVARIANTS for text in each(witness)]
