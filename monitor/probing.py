"""One probe: a deadline and a boundary around a check, then the expectations. There is no other way to probe.

The deadline has one owner, this module, whoever ends a probe in its name. The boundary catches whatever a check throws
or leaves behind, and nothing of ours: a check's bug is `unknown`, reason `crash`, and reaches no sibling. A passed
deadline beats a raised error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from monitor.core.errors import leaves, typed
from monitor.core.facts import declared, kept, observed
from monitor.core.model import Code, Observation, Reason, Status, Verdict
from monitor.core.quantities import seconds_text
from monitor.core.text import printable
from monitor.net.reasons import reason_of
from monitor.plugin import Check
from monitor.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import FrameType

    from monitor.companion import Companion
    from monitor.core.heartbeats import Beat
    from monitor.core.model import Endpoint
    from monitor.core.ports import Clock, Mask
    from monitor.core.programs import Programs, Workers
    from monitor.net import Net

TIMES = frozenset({"latency", "phases"})  # what a monitor that was held up measures wrongly
WAITED_FOR = frozenset({Code.TIMEOUT, Code.DNS})  # a pong, a name server: given up on before the deadline


async def probe_once(
    endpoint: Endpoint,
    *,
    net: Net,
    clock: Clock,
    mask: Mask | None,
    beat: Beat | None = None,
    companion: Companion | None = None,
    programs: Programs | None = None,
    workers: Workers | None = None,
    probe_class: type[Probe] = Probe,
) -> Observation:
    """Probe *endpoint* once, within its timeout whatever its check or the server does.

    *mask* hides secrets in what people will read, None: there are none; *beat* is what came of an endpoint that is
    heard and not asked; *companion* keeps what stays after the probe; *programs* runs what a check wants run;
    *workers* probes what is isolated, None: nothing is. Raises only `trio.Cancelled`, when we ourselves are cancelled.
    """
    if endpoint.isolated and workers is not None:
        return await workers.look(endpoint, clock=clock, mask=mask, beat=beat)
    probe = probe_class(
        net=net,
        clock=clock,
        expect=endpoint.expect,
        mentioned=endpoint.expect.names | endpoint.degraded.names,
        beat=beat,
        endpoint=endpoint.name,
        companion=companion,
        programs=programs,
    )
    began, stalled = clock.monotonic(), clock.stalled()
    answer, bug, ended, deadline_passed = await _contained(endpoint, probe, clock, net, began)
    await _unless_cancelled(probe)
    if deadline_passed and companion is not None:
        companion.let_go()  # what did not answer once is no use to the next probe
    phase, mask = probe.current_phase, probe.masking(mask)
    try:
        duration = max(0.0, probe.finish(began, ended))
        verdict = too_late(endpoint, probe, phase) if deadline_passed else _judged(answer, bug, phase)
        if deadline_passed:
            duration = max(duration, float(endpoint.timeout))
        elif verdict.status in (Status.UP, Status.DEGRADED):
            verdict = _expected(endpoint, probe, verdict, duration)
        if deadline_passed or timed(endpoint, verdict):
            verdict = unless_held_up(clock.stalled() - stalled + probe.held_up, duration, verdict, phase)
        verdict = inverted(verdict) if endpoint.invert else verdict
        return Observation(
            endpoint=endpoint.name,
            status=verdict.status,
            reason=readable(verdict.reason, mask),
            started_at=probe.started_at,
            duration=round(duration, 6),
            phases=_rounded(probe.phases),
            facts=kept(probe.facts, declared(endpoint.check), mask),
        )
    except Exception as exc:  # noqa: BLE001 - the boundary's other half: facts, phases and errors are the check's own
        text = f"the check crashed: what it left cannot be used: {typed(exc)}"
        reason = Reason(Code.CRASH, phase if isinstance(phase, str) else None, text)
        return bare(endpoint, reason, mask, started_at=probe.started_at, duration=clock.monotonic() - began)


def bare(
    endpoint: Endpoint, reason: Reason, mask: Mask | None, *, started_at: datetime, duration: float
) -> Observation:
    """An observation that has nothing but *reason* to tell."""
    return Observation(
        endpoint=endpoint.name,
        status=reason.code.status,
        reason=readable(reason, mask),
        started_at=started_at,
        duration=round(max(0.0, duration), 6),
    )


async def _contained(
    endpoint: Endpoint, probe: Probe, clock: Clock, net: Net, began: float
) -> tuple[object, BaseException | None, float, bool]:
    """Run the check: what it answered, what it raised, when it ended, and whether its deadline passed."""
    check = endpoint.check
    assert isinstance(check, Check)  # noqa: S101 - the config takes no other
    answer: object = None
    bug: BaseException | None = None
    ended: float | None = None

    async def contained() -> None:
        nonlocal answer, bug, ended
        try:
            answer = await check.probe(probe)
        # Cancelled, too: it may be an old one that the check had kept. Whether we are cancelled the caller asks.
        except BaseException as exc:  # noqa: BLE001 - a check may raise SystemExit
            bug = exc
        ended = clock.monotonic()  # not when we are woken: others are driven on before that

    deadline = began + endpoint.timeout
    try:
        if check.own_task:  # what it leaves behind, an open nursery or scope, goes with the task
            async with trio.open_nursery() as own:
                own.cancel_scope.deadline = deadline
                own.start_soon(contained)
        elif net.drive is not None and check._only_connects:  # noqa: SLF001 - no plugin's business
            await net.drive(contained(), timeout=endpoint.timeout, deadline=deadline)
        else:
            with trio.CancelScope(deadline=deadline):
                await contained()
    except BaseException as exc:  # noqa: BLE001 - what it started crashed, or Trio found something left open
        bug = exc
    if ended is None or check.own_task:  # what it left behind may have gone on
        ended = clock.monotonic()
    try:
        return answer, bug, ended, ended >= deadline
    finally:
        bug = None  # its traceback leads to a frame that sees this name: a circle for the garbage collector


async def _unless_cancelled(probe: Probe) -> None:
    """Ask whether we are cancelled ourselves: a check may have answered that with an error of its own."""
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
    except trio.Cancelled:
        probe.close()
        raise


def endpoint_in(frame: FrameType | None) -> tuple[str | None, list[FrameType]]:
    """Whose check runs in *frame*, or in what called it, and its frames, outermost first; None: nobody's, and all.

    For a thread that looks at what holds up the loop.
    """
    stack: list[FrameType] = []
    while frame is not None:
        if frame.f_globals is globals() and frame.f_code.co_name == "contained":
            return frame.f_locals["probe"].endpoint, stack[::-1]
        stack.append(frame)
        frame = frame.f_back
    return None, stack[::-1]


def _judged(answer: object, bug: BaseException | None, phase: str | None) -> Verdict:
    """What the check said: its verdict, the failure that the net reported, or else that it crashed."""
    if bug is not None:
        return _failure(bug, phase)
    match answer:
        case Verdict(status=Status(), reason=Reason(code=Code(), phase=str() | None, message=str())):
            return answer
        case Verdict():
            got = f"one with something else in it: {answer!r}"
        case _:
            got = type(answer).__name__
    return Verdict.unknown(f"expected the check to answer with a Verdict, got {got}", code=Code.CRASH, phase=phase)


def _failure(bug: BaseException, phase: str | None) -> Verdict:
    """Tell a failure of the endpoint that the net reported from a bug of the check."""
    found = list(leaves(bug))
    reasons = [reason_of(leaf) for leaf in found]
    for leaf, reason in zip(found, reasons, strict=True):
        if reason is None:
            text = f"the check crashed: {typed(leaf)}"
            return Verdict.unknown(text, code=Code.CRASH, phase=phase)
    first = next(reason for reason in reasons if reason is not None)
    return Verdict(first.code.status, Reason(first.code, first.phase or phase, first.message))


def too_late(endpoint: Endpoint, probe: Probe | None, phase: str | None) -> Verdict:
    """What it is that the deadline passed, of a *probe* if we know it."""
    if probe is not None and probe.own_trouble is not None:
        return Verdict.unknown(probe.own_trouble, phase=phase)
    during = f" (during {phase})" if phase else ""
    text = f"no answer within {seconds_text(endpoint.timeout)}{during}"
    return Verdict(Status.DOWN, Reason(Code.TIMEOUT, phase, text))


def timed(endpoint: Endpoint, verdict: Verdict) -> bool:
    """Can *verdict* be as bad as it is because of the time it took?"""
    if verdict.status not in (Status.DOWN, Status.DEGRADED):
        return False
    if verdict.reason.code is not Code.EXPECTATION:
        return verdict.reason.code in WAITED_FOR
    return not TIMES.isdisjoint(endpoint.expect.names | endpoint.degraded.names)


def unless_held_up(held_up: float, duration: float, verdict: Verdict, phase: str | None) -> Verdict:
    """*verdict*, unless the monitor itself lost more than a tenth of the *duration*: then it cannot tell."""
    if held_up <= duration / 10:
        return verdict
    text = f"the monitor was held up for {seconds_text(held_up)} during the probe"
    return Verdict.unknown(text, phase=phase)


def _expected(endpoint: Endpoint, probe: Probe, verdict: Verdict, duration: float) -> Verdict:
    """Hold the facts against `expect`, then against `degraded`."""
    if not endpoint.expect.sources and not endpoint.degraded.sources:
        return verdict
    facts = observed(probe.facts, probe.phases, duration)
    if message := endpoint.expect.first_false(facts):
        return Verdict.down(message)
    if verdict.status is Status.UP and (message := endpoint.degraded.first_false(facts)):
        return Verdict.degraded(message)
    return verdict


def inverted(verdict: Verdict) -> Verdict:
    """Of an endpoint that should not work. Working badly is working; what the monitor cannot tell stays so."""
    match verdict.status:
        case Status.UNKNOWN:
            return verdict
        case Status.DOWN:
            return Verdict.up()
        case Status.DEGRADED:
            return Verdict.down(f"expected it to fail (invert), it is degraded: {verdict.reason.message}")
        case Status.UP:
            return Verdict.down("expected it to fail (invert), it is up")


def _rounded(phases: Mapping[str, float]) -> dict[str, float]:
    for name in phases:
        if not isinstance(name, str):
            raise TypeError(f"a phase is called by a text, not by {type(name).__name__}")
    return {name: round(seconds, 6) for name, seconds in phases.items()}


def readable(reason: Reason, mask: Mask | None) -> Reason:
    """A reason fit for people: secrets masked, one line, bounded."""
    if not reason.message:
        return reason
    text = printable(reason.message if mask is None else mask.thoroughly(reason.message))
    return Reason(reason.code, reason.phase, text if len(text) <= 500 else text[:499] + "…")
