"""`/probe`: blackbox_exporter's protocol. Prometheus names a target and a module, and gets what one probe found.

Ours differs in one thing: what the monitor itself could not tell (no descriptor, no DNS worker, a stall) is no
`probe_success 0`, which would be a false alert, but an answer 503: Prometheus counts the scrape as failed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
from starlette.responses import PlainTextResponse, Response

from monitor import exposition
from monitor.core.model import Status, timestamp
from monitor.core.quantities import seconds_text, shown
from monitor.core.text import printable
from monitor.gauges import of_observations
from monitor.web import asking, objects
from monitor.web.answers import failure, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric as Family
    from starlette.requests import Request

    from monitor.config.modules import Module
    from monitor.core.model import Endpoint, Observation
    from monitor.web import Face
    from monitor.web.access import Caller

USUAL = "http_2xx"  # the module, as in blackbox_exporter
PATIENCE = "x-prometheus-scrape-timeout-seconds"
_FOR_THE_WAY = 0.5  # seconds of Prometheus' patience that are left for the answer to get there, as in blackbox_exporter


@attrs.frozen
class Blackbox:
    """The route."""

    face: Face

    async def probe(self, request: Request, _caller: Caller) -> Response:
        """Probe once, and answer with its metrics, or with `debug=true` in words."""
        if not self.face.config.probe_api:
            return missing(request)
        module, endpoint = self._asked(request)
        debug = asking.flag(request, "debug")
        seen = await self.face.probe(endpoint)
        if seen is None:
            return failure(request, 503, "Too many targets are probed at the same time.")
        if debug:
            return PlainTextResponse(_in_words(module, endpoint, seen))
        if seen.status is Status.UNKNOWN:
            return failure(request, 503, f"The monitor could not tell: {seen.reason.message}.")
        media_type = exposition.media_type(request.headers.get("accept", ""))
        body = exposition.written(_families(endpoint, seen), media_type)
        return Response(body, headers={"content-type": media_type})

    def _asked(self, request: Request) -> tuple[Module, Endpoint]:
        """The module, and what it shall probe. Raises AskingError."""
        query = request.query_params
        module = self.face.config.modules.get(name := query.get("module") or USUAL)
        if module is None:
            raise asking.AskingError(f"There is no module {shown(name)}; [module.NAME] of the config makes one.")
        target = query.get("target")
        if not target:
            raise asking.AskingError("target is missing: what shall be probed.")
        timeout = min(module.timeout, _patience(request))
        try:
            return module, module.endpoint(target, hostname=query.get("hostname") or None, timeout=timeout)
        except ValueError as exc:
            raise asking.AskingError(f"target: {printable(str(exc))}.") from exc


def _patience(request: Request) -> float:
    """Seconds that the scraper waits for us, as far as it says so."""
    text = request.headers.get(PATIENCE)
    if text is None:
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise asking.AskingError(f"{PATIENCE} must be a number of seconds above zero.")
    return seconds - _FOR_THE_WAY if seconds > _FOR_THE_WAY else seconds


def _families(endpoint: Endpoint, seen: Observation) -> Iterator[Family]:
    """One observation as families of metrics, without labels for whose it is: Prometheus has its own."""
    return of_observations([(endpoint, seen)], lambda _: {})


def _in_words(module: Module, endpoint: Endpoint, seen: Observation) -> str:
    """What a person wants to know who wonders; of the module's options only which are set: they may be secret."""
    took = f"{seconds_text(seen.duration)} of {seconds_text(endpoint.timeout)}"
    lines = [
        f"{timestamp(seen.started_at)} {endpoint.kind} {endpoint.target}: {seen.status} after {took}",
        *([f"reason: {seen.reason.code}: {seen.reason.message}"] if seen.reason.message else []),
        *(f"phase {name}: {seconds_text(seconds)}" for name, seconds in seen.phases.items()),
        *(f"fact {name}: {objects.encode(value).decode()}" for name, value in seen.facts.items()),
        "",
        "Metrics that would have been returned:",
        exposition.written(_families(endpoint, seen)).decode(),
        "Module configuration:",
        f"[module.{module.name}]",
        f'check = "{module.kind}"',
        f'timeout = "{module.timeout:g}s"',
        *(f"{name} = {sources}" for name, sources in _conditions(module) if sources),
        *(f"{key} = …" for key in module.set_options),
    ]
    return "\n".join(printable(part) for line in lines for part in line.splitlines() or [""]) + "\n"


def _conditions(module: Module) -> Iterator[tuple[str, list[str]]]:
    for name in ("expect", "degraded"):
        yield name, list(getattr(module, name).sources)
