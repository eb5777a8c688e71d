"""`/metrics`: what is known, for Prometheus.

Of each endpoint's last observation: the names, labels and units of blackbox_exporter where the meaning is the same
(`probe_success`, `probe_duration_seconds`, …; a check's facts say which metrics they are). Of the monitor itself:
`monitor_…`. Everything is read when it is asked for, and written down in a thread: a thousand endpoints are some
twenty thousand lines, which shall not hold up a probe.
"""

from __future__ import annotations

import collections
import re
from importlib import metadata
from typing import TYPE_CHECKING

import attrs
import trio
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.responses import Response

from monitor import exposition, violations
from monitor.core.model import State, Status
from monitor.gauges import labels_of, of_observations
from monitor.store import Record
from monitor.web.objects import shown_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.core import Metric as Family
    from starlette.requests import Request

    from monitor.core.model import Endpoint
    from monitor.web import Face, Lateness
    from monitor.web.access import Caller

_NO_LABEL_CHARACTER = re.compile(r"[^a-zA-Z0-9_]")
_OWN_LABELS = frozenset({"endpoint", "group", "check"})
_RESULTS = ("delivered", "retry", "dead")
_AT_ONCE = 100  # endpoints looked at in one round of the loop


@attrs.frozen(kw_only=True)
class Snapshot:
    """What one scrape shows."""

    endpoints: tuple[tuple[Endpoint, Record, Sequence[str]], ...]  # with its flags
    sinks: tuple[str, ...]
    lateness: Mapping[str, Lateness]
    probes: Mapping[tuple[str, Status], int]
    deliveries: Mapping[tuple[str, str], int]
    dropped: int  # results
    violations: Mapping[str, int]  # by invariant
    stalls: Mapping[str, int]  # of the event loop, by the endpoint whose check did it
    gauges: Mapping[str, tuple[str, float]]  # of the monitor itself: name -> documentation, value


class Metrics:
    """The route."""

    def __init__(self, face: Face) -> None:
        """Show *face*."""
        self._face = face
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def scrape(self, request: Request, _caller: Caller) -> Response:
        """Everything, in the text format that the scraper asks for."""
        media_type = exposition.media_type(request.headers.get("accept", ""))
        snapshot = await self._snapshot()

        def written() -> bytes:
            own = ProcessCollector(registry=None)
            return exposition.written((*_Shown(snapshot).families(), *own.collect()), media_type)

        body = await trio.to_thread.run_sync(written, limiter=self._one_at_a_time)
        return Response(body, headers={"content-type": media_type})

    async def _snapshot(self) -> Snapshot:
        face = self._face
        letters = await face.store.letter_counts()
        config, records, tally = face.config, face.records(), face.tally
        endpoints = []
        for number, each in enumerate(config.enabled, start=1):
            endpoints.append((each, records.get(each.name) or Record(name=each.name), face.flags(each)))
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return Snapshot(
            endpoints=tuple(endpoints),
            sinks=tuple(each.name for each in config.sinks),
            lateness=dict(face.lateness()),
            probes=dict(tally.probes),
            deliveries=dict(tally.deliveries),
            dropped=face.store.dropped,
            violations=dict(violations.counts),
            stalls={"": 0, **tally.stalls},
            gauges={
                "monitor_endpoints": ("Endpoints that are watched.", len(endpoints)),
                "monitor_ready": ("Whether /readyz says yes.", face.not_ready() is None),
                "monitor_live_clients": ("Clients of the live feed.", face.feed.listeners),
                "monitor_held_connections": ("Connections that are held from one probe to the next.", face.staying),
                "monitor_config_last_reload_successful": (
                    "Whether the last reload of the config was a success.",
                    not face.reload_problems,
                ),
                "monitor_store_available": ("Whether the database can be written.", face.store.trouble is None),
                "monitor_outbox_pending": ("Deliveries that wait.", letters["pending"]),
                "monitor_outbox_dead": ("Deliveries that were given up, and can be put back.", letters["dead"]),
            },
        )


@attrs.frozen
class _Shown:
    """A snapshot as families of metrics."""

    snapshot: Snapshot

    def families(self) -> Iterator[Family]:
        """Give every family once, with all of its samples."""
        yield from self._of_the_monitor()
        yield from self._of_schedules()
        yield from self._of_states()
        probed = self.snapshot.endpoints
        yield from of_observations((endpoint, record.last) for endpoint, record, _ in probed if record.last is not None)

    def _of_the_monitor(self) -> Iterator[Family]:
        build = GaugeMetricFamily("monitor_build_info", "The version that runs.", labels=["version"])
        build.add_metric([metadata.version("nursery-monitor")], 1)
        yield build
        for name, (doc, value) in self.snapshot.gauges.items():
            yield GaugeMetricFamily(name, doc, value)
        deliveries = CounterMetricFamily(
            "monitor_deliveries", "Tries to deliver an alert, by what came of them.", labels=["sink", "result"]
        )
        # From zero: what begins at one is no increase to Prometheus.
        none = {(sink, result): 0 for sink in self.snapshot.sinks for result in _RESULTS}
        for key, count in {**none, **self.snapshot.deliveries}.items():
            deliveries.add_metric(key, count)
        yield deliveries
        dropped = CounterMetricFamily("monitor_results_dropped", "Results that were never written.")
        dropped.add_metric([], self.snapshot.dropped)
        yield dropped
        broken = CounterMetricFamily(
            "monitor_invariant_violations", "What must never happen, and did: a bug.", labels=["invariant"]
        )
        for name, count in self.snapshot.violations.items():
            broken.add_metric([name], count)
        yield broken
        stalls = CounterMetricFamily(
            "monitor_loop_stalls",
            "Times that the event loop did not come round for a second, by the endpoint whose check held it up.",
            labels=["endpoint"],
        )
        for name, count in self.snapshot.stalls.items():
            stalls.add_metric([name], count)
        yield stalls

    def _of_schedules(self) -> Iterator[Family]:
        probes = CounterMetricFamily("monitor_probes", "Probes made.", labels=["endpoint", "status"])
        for endpoint, _, _ in self.snapshot.endpoints:
            for status in Status:
                probes.add_metric((endpoint.name, str(status)), self.snapshot.probes.get((endpoint.name, status), 0))
        lag = GaugeMetricFamily("monitor_schedule_lag_seconds", "How late the latest probe began.", labels=["endpoint"])
        missed = CounterMetricFamily(
            "monitor_ticks_missed", "Slots of the schedule that passed unused.", labels=["endpoint"]
        )
        for name, lateness in self.snapshot.lateness.items():
            lag.add_metric([name], lateness.lag)
            missed.add_metric([name], lateness.missed)
        yield from (probes, lag, missed)

    def _of_states(self) -> Iterator[Family]:
        info = GaugeMetricFamily("monitor_endpoint_info", "An endpoint and its labels from the config.")
        state = GaugeMetricFamily("monitor_endpoint_state", "Whether the endpoint is in this state.")
        flag = GaugeMetricFamily("monitor_endpoint_flag", "What is so about the endpoint beside its state.")
        reason = GaugeMetricFamily("monitor_endpoint_reason", "Why the last probe was not a good one.")
        for endpoint, record, flags in self.snapshot.endpoints:
            labels = labels_of(endpoint)
            info.add_sample(info.name, {**_from_config(endpoint.labels), **labels}, 1)
            now = shown_state(endpoint, record)
            for each in State:
                state.add_sample(state.name, {**labels, "state": str(each)}, each is now)
            for name in flags:
                flag.add_sample(flag.name, {**labels, "flag": name}, 1)
            if record.last is not None and record.last.status is not Status.UP:
                why = record.last.reason
                reason.add_sample(reason.name, {**labels, "code": str(why.code), "phase": why.phase or ""}, 1)
        yield from (info, state, flag, reason)


def _from_config(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of the config under names that Prometheus takes, none of them twice, none of them ours."""
    if not labels:
        return {}
    named: dict[str, str] = {}
    seen: collections.Counter[str] = collections.Counter(_OWN_LABELS)
    for key, value in labels.items():
        name = _NO_LABEL_CHARACTER.sub("_", key)
        if not name or name[0].isdigit() or name.startswith("__") or name in _OWN_LABELS:
            name = f"label_{name}"
        seen[name] += 1
        named[name if seen[name] == 1 else f"{name}_{seen[name]}"] = value
    return named
