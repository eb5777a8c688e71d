"""`http` in steps: one request after another in one visit, so that cookies and what was saved go along.

Every step is held against its own `expect`; the facts of the last are those of the endpoint. What was saved is kept
out of all that is told.

This module costs Trio and httpx, so `http` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx
import trio

from checks.http_steps import Between, filled
from checks.redirects import same_origin
from checks.signing import reason_in
from checks.visit import Visit
from monitor.api import Code, ProbeError, Reason, Verdict, one_line, shown

if TYPE_CHECKING:
    from checks.http import Http
    from checks.http_steps import Step
    from monitor.api import Addressing, Probe

_LONGEST = 16 * 1024  # characters of what is saved


async def walk(check: Http, probe: Probe, addressing: Addressing) -> Verdict:
    """Go through the steps of *check*."""
    walker = _Walker(check, probe, addressing)
    for number, step in enumerate(check.walk, 1):
        probe.facts["step"] = number
        called = f"step {number} ({step.request.name})" if step.request.name else f"step {number}"
        try:
            await walker.take(step)
        except (ProbeError, trio.BrokenResourceError) as exc:
            reason = reason_in(exc)
            if reason.code is Code.INTERNAL:
                raise
            raise ProbeError(
                Reason(reason.code, reason.phase or probe.current_phase, f"{called}: {reason.message}")
            ) from exc
    return check.verdict(probe)


class _Walker:
    def __init__(self, check: Http, probe: Probe, addressing: Addressing) -> None:
        self._check = check
        self._probe = probe
        self._visit = Visit(check, probe, addressing)
        self._saved: dict[str, str] = {}

    async def take(self, step: Step) -> None:
        """Take one step. Raises ProbeError for what is wrong with it."""
        probe, follow = self._probe, step.request.follow_redirects
        probe.phase(None)
        began, before = probe.monotonic(), dict(probe.phases)
        request = self._request(step)
        answer = await self._visit.get(request, follow=self._check.follow_redirects if follow is None else follow)
        try:
            self._check.note(probe, answer, self._visit)
            body = await answer.read()
        finally:
            answer.close()
        probe.phase(None)
        self._check.note_body(probe, body, step.wanted)
        found = {**probe.facts, "cookies": self._visit.cookies(request.url)}
        facts = step.facts(found, before, probe.phases, probe.monotonic() - began)
        if "status" not in step.expect.names and not 200 <= answer.status < 300:
            raise _disappointed(f"expected status 200-299, got {answer.status}", "processing")
        if message := step.expect.first_false(facts):
            raise _disappointed(message, None)
        self._save(step, facts)

    def _save(self, step: Step, facts: dict[str, Any]) -> None:
        for name, what in step.save.items():
            value = _between(what, facts["body"]) if isinstance(what, Between) else _value(what, facts)
            if value is None or len(value) > _LONGEST:
                got = "it is not there" if value is None else "it is too long"
                raise _disappointed(f"expected something to save as {name}, {got}", None)
            self._probe.conceal(value)
            self._saved[name] = value

    def _request(self, step: Step) -> httpx.Request:
        said, saved = step.request, self._saved
        url = self._check.home if said.url is None else _joined(self._check.home, filled(said.url, saved, _quoted))
        content, kind = None, None
        if said.json is not None:
            content, kind = json.dumps(filled(said.json, saved)), "application/json"
        elif said.form is not None:
            content, kind = urlencode(filled(said.form, saved)), "application/x-www-form-urlencoded"
        elif said.body is not None:
            content = filled(said.body, saved)
        headers = {name: filled(value, saved) for name, value in said.headers.items()}
        for name, value in headers.items():
            try:
                one_line(value)
            except ValueError as exc:
                raise _disappointed(f"header {name}: {exc}", None) from exc
        at_home = same_origin(self._check.home, url)
        return self._check.request_for(said.verb, url, headers, content, kind, at_home=at_home)


def _joined(home: httpx.URL, url: str) -> httpx.URL:
    try:
        joined = home.join(url).copy_with(fragment=None)
    except httpx.InvalidURL as exc:
        raise _disappointed(f"not a valid URL: {shown(url)}", None) from exc
    return joined


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _between(piece: Between, body: str) -> str | None:
    _, found, rest = body.partition(piece.after)
    value, end, _ = rest.partition(piece.before)
    return value if found and end else None


def _value(expression: Any, facts: dict[str, Any]) -> str | None:
    try:
        value = expression.value(facts)
    except ValueError as exc:
        raise _disappointed(str(exc), None) from exc
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case _:
            return None


def _disappointed(message: str, phase: str | None) -> ProbeError:
    return ProbeError(Reason(Code.EXPECTATION, phase, message))
