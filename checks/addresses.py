"""`addresses = "all"`: every address of a name is looked at, side by side, and one verdict says which of them fail.

Each look is a probe within the probe, with facts and phases of its own; the endpoint's `expect` is held against each.
Those of the slowest that did well stand for all in the end, as the whole takes as long.

This module costs Trio and httpx, so `http` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from checks.signing import reason_in
from monitor.api import Code, Probe, ProbeError, Reason, Status, Verdict, seconds_text

if TYPE_CHECKING:
    from checks.http import Http

_MOST = 32
_UNDER_WAY = Reason(Code.TIMEOUT, None, "no answer yet")
_WHOLE = ("addresses", "failing")  # facts that no single look has
_TO_TELL = 0.25  # seconds kept at most, of what the deadline leaves, to say who did not answer


@attrs.define
class _Look:
    """At one address: what came of it, and after how many seconds."""

    ip: str
    part: Probe
    reason: Reason = _UNDER_WAY
    seconds: float = 0.0

    @property
    def is_bad(self) -> bool:
        """Does the endpoint fail there? Trouble of the monitor's own is none of its."""
        return self.reason.code.status is Status.DOWN

    async def take(self, check: Http) -> None:
        began = self.part.monotonic()
        try:
            verdict = await check.look(self.part, attrs.evolve(check.addressing, address=self.ip))
        except (ProbeError, trio.BrokenResourceError) as exc:
            reason = reason_in(exc)
        else:
            reason = Reason(Code.OK) if verdict.status in (Status.UP, Status.DEGRADED) else verdict.reason
        self.seconds = self.part.monotonic() - began
        self.part.phase(None)
        if reason.code is Code.OK and (complaint := self.part.complaint(self.seconds, but=_WHOLE)):
            reason = Reason(Code.EXPECTATION, None, complaint)
        self.reason = reason

    def give_up(self, seconds: float) -> None:
        """Its time is over, after *seconds*."""
        phase = self.part.current_phase
        self.part.phase(None)
        self.seconds = seconds
        during = f" (during {phase})" if phase else ""
        self.reason = Reason(Code.TIMEOUT, phase, f"no answer within {seconds_text(round(seconds, 1))}{during}")


async def every_address(check: Http, probe: Probe) -> Verdict:
    """Look at each address of the endpoint's host."""
    found = list(dict.fromkeys(await probe.addresses(check.home.host, addressing=check.addressing)))
    if len(found) > _MOST:
        text = f"expected a name with at most {_MOST} addresses, got {len(found)}"
        raise ProbeError(Reason(Code.LIMIT, "resolve", text))
    probe.phase(None)
    probe.facts["addresses"] = dict.fromkeys(found, _UNDER_WAY.message)
    looks = [_Look(ip, probe.aside()) for ip in found]
    began, left = probe.monotonic(), probe.time_left()
    with trio.move_on_after(left - min(_TO_TELL, left / 20)):  # else the deadline would hide who did not answer
        async with trio.open_nursery() as nursery:
            for look in looks:
                nursery.start_soon(look.take, check)
    for look in looks:
        if look.reason is _UNDER_WAY:
            look.give_up(probe.monotonic() - began)
    _note(probe, looks)
    return _verdict(check, probe, looks)


def _note(probe: Probe, looks: list[_Look]) -> None:
    """The facts of the whole: those of the slowest look that was good, else of the first, and what came of each."""
    good = [look for look in looks if look.reason.code is Code.OK]
    shown = max(good, key=lambda look: look.seconds) if good else looks[0]
    probe.facts |= shown.part.facts
    for phase, seconds in shown.part.phases.items():
        probe.phases[phase] = probe.phases.get(phase, 0.0) + seconds
    probe.facts["addresses"] = {look.ip: look.reason.message or "ok" for look in looks}
    probe.facts["failing"] = sum(look.is_bad for look in looks)
    expiries = [look.part.certificate_expires for look in looks if look.part.certificate_expires is not None]
    probe.certificate_expires = min(expiries, default=None)


def _verdict(check: Http, probe: Probe, looks: list[_Look]) -> Verdict:
    bad = [look for look in looks if look.is_bad]
    if bad and not probe.expects("failing"):
        why: dict[str, list[str]] = {}
        for look in bad:
            why.setdefault(look.reason.message, []).append(look.ip)
        details = "; ".join(f"{', '.join(ips)}: {message}" for message, ips in why.items())
        reason = bad[0].reason
        text = f"{len(bad)} of {len(looks)} addresses {'fails' if len(bad) == 1 else 'fail'}: {details}"
        return Verdict.down(text, code=reason.code, phase=reason.phase)
    if not bad and (unsure := next((look for look in looks if look.reason.code is not Code.OK), None)):
        return Verdict.unknown(unsure.reason.message, code=unsure.reason.code, phase=unsure.reason.phase)
    return check.verdict(probe)
