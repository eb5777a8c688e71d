"""What must hold, whatever happens: one function each, with its sentence from issue 4; `INVARIANTS` is the table.

Each is asked at every step about what is new, and once more at the end, when everything has healed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import trio

from monitor.core.model import Outcome, State, Status
from monitor.store.kept import FINISHED
from simulation.itself import references_answered, tells_of_itself
from simulation.messages import digests_never_change, sinks_are_not_hurried
from simulation.people import acknowledged_is_enough
from simulation.policy import (
    held_back,
    reminders_keep_their_distance,
    silent_while_it_flaps,
    sinks_hear_what_they_want,
)
from simulation.uptime import uptime_is_the_integral_of_the_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.core.model import Endpoint
    from simulation.witness import Seen, Witness

    Invariant = Callable[[Witness], Iterator[str]]

EPSILON = 1e-6
MINUTE = 60.0
COUNTED = ("alert.firing", "alert.resolved")


def outcomes_and_deliveries(witness: Witness) -> Iterator[str]:
    """Every committed transition has its recorded outcome, and every alert a delivery or a dead letter for each of
    its sinks."""
    alerts = {(each["data"]["incident"] or {}).get("id") for each in witness.alerts.values()}
    # When flapping ends, or who flaps leaves, it is told of by the incident that the sink knows.
    late = {each["data"]["endpoint"]["name"] for each in witness.fresh.alerts if each["type"] in COUNTED}
    for transition in witness.fresh.transitions:
        if transition.after is None or transition.endpoint in late or witness.failed_lately:
            continue
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
    for incident, sinks in fired.items():
        # Of what was delivered without the database not all is written.
        deaf = sinks - witness.told_its_end.get(incident, set())
        if deaf and not witness.still_stands(incident):
            yield f"incident {incident} is over, and {', '.join(sorted(deaf))} will never hear of it"
    if witness.over and (lost := witness.alerts_without_delivery()):
        yield f"alerts without any delivery: {lost}"


def deliveries_match_transitions(witness: Witness) -> Iterator[str]:
    """Every delivery matches a transition."""
    for row in witness.fresh.deliveries:
        document = witness.alerts[row.alert]
        if document["type"] not in COUNTED:
            continue
        data = document["data"]
        gone = data["to"] is None  # while it flapped: by the incident that the sink knows, maybe not the latest
        incidents = witness.transitions if gone else (data["incident"]["id"],)
        matching = [
            transition
            for incident in incidents
            for transition in witness.transitions.get(incident, ())
            if transition.endpoint == data["endpoint"]["name"] == row.endpoint
            and (None if transition.after is None else str(transition.after)) == data["to"]
        ]
        if not matching:
            yield f"delivery {row.id} to {row.sink}: no transition to {data['to']} in its incident"


def same_id_same_body(witness: Witness) -> Iterator[str]:
    """Same id, same body."""
    waiting, witness.unheard_of = witness.unheard_of, []
    for receipt in (*waiting, *witness.fresh.receipts):
        body = witness.bodies.get(receipt.alert)
        if body is not None and body != receipt.body:
            yield f"{receipt.sink} got {receipt.alert} with another body than was committed"
        if body is None and receipt.alert not in witness.lost:
            heard = witness.heard[receipt.sink, (receipt.document["data"]["endpoint"] or {}).get("name", "")]
            if receipt.away and receipt.alert not in heard[-FINISHED:]:
                witness.lost.add(receipt.alert)  # of what was delivered meanwhile only the latest is written
                continue
            if not witness.failed_lately:
                yield f"{receipt.sink} got {receipt.alert}, which was never committed"
            witness.unheard_of.append(receipt)


def in_sequence(witness: Witness) -> Iterator[str]:
    """Per endpoint and sink first deliveries in sequence order, gapless."""
    for document in witness.fresh.alerts:
        if document["type"] not in COUNTED:
            continue
        data = document["data"]
        name, sequence = data["endpoint"]["name"], data["sequence"]
        latest = witness.sequences.get(name, 0)
        # What was never heard, and soon not true, is never written where the database was away.
        may_have_skipped = witness.failed_lately or witness.failures != witness.failures_at.get(name)
        if sequence != latest + 1 and not (sequence > latest and may_have_skipped):
            yield f"{name}: alert {sequence} follows alert {latest}"
        witness.sequences[name] = sequence
        # One that is written as the database comes back may have had others behind it that were not.
        witness.failures_at[name] = None if witness.failed_lately else witness.failures
    for receipt in witness.fresh.receipts:
        lane = receipt.sink, (receipt.document["data"]["endpoint"] or {}).get("name", "")
        numbers = [witness.number_of(lane[0], each) for each in witness.heard[lane][-3:] if each in witness.bodies]
        if any(earlier > later for earlier, later in pairwise(numbers)):
            yield f"{lane[1]} to {lane[0]}: deliveries came in the order {numbers}"
    yield from witness.take_problems("sequence")
    if witness.over:
        yield from _nothing_was_skipped(witness)


def _nothing_was_skipped(witness: Witness) -> Iterator[str]:
    for row in witness.rows.values():
        if row.state == "delivered" and not witness.receipts.get((row.sink, row.alert)):
            yield f"delivery {row.id} counts as delivered, and {row.sink} never got it"
        if row.id in witness.waits_long():
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
            witness.documents[alert]["type"]
            for alert in heard
            if witness.documents[alert]["type"] != "alert.flapping"
            and (witness.documents[alert]["data"]["incident"] or {}).get("id") == incident
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
    maybe_held_up = (Status.UNKNOWN,) if visit.stalled or visit.own or (visit.faults and seen.cannot_tell) else ()
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
            heard = [witness.documents[each] for each in witness.heard.get((sink, endpoint.name), [])]
            latest = next((each for each in reversed(heard) if each["type"] in COUNTED), None)
            word = None if latest is None or latest["type"] != "alert.firing" else latest["data"]["to"]
            incident = None if latest is None else latest["data"]["incident"]["id"]
            concerned = witness.open_incident(endpoint.name) or incident
            wanted = _words_wanted(witness, endpoint, sink, truth)
            if witness.waits_for_parents(endpoint.name):
                wanted |= {None, "down"}  # that it eases waits, too
            excused = witness.was_buried(sink, concerned) or (latest and latest["data"]["id"] in witness.lost)
            if word not in wanted and not excused:
                yield f"{endpoint.name} is {truth}, and the last word at {sink} is {word}"


def _words_wanted(witness: Witness, endpoint: Endpoint, sink: str, truth: State) -> set[str | None]:
    """What a sink may have heard last of an endpoint that has long been in this state; None: that all is well."""
    plan = next(each for each in witness.world.scenario.sinks if each.name == sink)
    if truth not in endpoint.alert_on:
        return {None}
    if truth is State.DEGRADED and plan.only_down:
        return {None, "degraded"}  # told of its easing, if it was told of `down`
    return {str(truth)}


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
        pause = min(visit.configured.interval, visit.configured.retry_interval) - EPSILON
        if visit.configured.name in witness.parents:  # probed out of turn when a child asks
            continue
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


def incidents_last_as_probes_say(witness: Witness) -> Iterator[str]:
    """`started_at` is the first failing probe, `resolved_at` the first of the good ones that confirmed the return."""
    for ident, times in witness.read_incidents().items():
        expected = witness.incidents.get(ident)
        if expected is not None and times[1] is None and witness.failed_lately:
            continue  # its end may be in memory, until the database can be written again
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
    reminders_keep_their_distance,
    held_back,
    sinks_hear_what_they_want,
    silent_while_it_flaps,
    probes_end_in_time,
    one_probe_at_a_time,
    missed_slots_are_skipped,
    one_checker_each,
    back_to_the_baseline,
    incidents_last_as_probes_say,
    acknowledged_is_enough,
    digests_never_change,
    sinks_are_not_hurried,
    references_answered,
    tells_of_itself,
    uptime_is_the_integral_of_the_truth,
)


def check(witness: Witness) -> list[str]:
    """Every violation, each with the name of its invariant."""
    return [f"{each.__name__}: {text}" for each in INVARIANTS for text in each(witness)]
