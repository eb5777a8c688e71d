"""Observations as Prometheus gauges: blackbox_exporter's names, labels and units where the meaning is the same.

What is common to all checks is named here; a check's facts say which metrics they are.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily

from monitor.core.facts import declared
from monitor.core.model import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric as Family

    from monitor.core.facts import Metric
    from monitor.core.model import Endpoint, Observation

_UNUSABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
_SUCCESS = {Status.UP: 1, Status.DEGRADED: 1, Status.DOWN: 0}  # of `unknown` nothing is known


def labels_of(endpoint: Endpoint) -> dict[str, str]:
    """The labels that every sample of *endpoint* has."""
    return {"endpoint": endpoint.name, "group": endpoint.group or "", "check": endpoint.kind}


def of_observations(
    observations: Iterable[tuple[Endpoint, Observation]], labels_of: Callable[[Endpoint], dict[str, str]] = labels_of
) -> Iterator[Family]:
    """Every family that *observations* have samples of, once each; of an endpoint there is one at most."""
    families: dict[str, Family] = {}

    def add(name: str, doc: str, labels: dict[str, str], value: float) -> None:
        if name not in families:
            families[name] = GaugeMetricFamily(name, doc)
        families[name].add_sample(name, labels, value)

    for endpoint, last in observations:
        labels = labels_of(endpoint)
        if last.status in _SUCCESS:
            add("probe_success", "Whether the probe was a success.", labels, _SUCCESS[last.status])
        add("probe_duration_seconds", "How long the probe took to complete.", labels, last.duration)
        if "resolve" in last.phases:
            add("probe_dns_lookup_time_seconds", "Time taken by the DNS lookup.", labels, last.phases["resolve"])
        name = getattr(endpoint.check, "phases_metric", None) or "probe_phase_duration_seconds"
        for phase, seconds in last.phases.items():
            add(name, "Duration of the probe by phase.", {**labels, "phase": phase}, seconds)
        for metric, more, value in _of_facts(endpoint, last):
            add(metric.name, metric.doc, {**labels, **more} if more else labels, value)
    yield from families.values()


def _of_facts(endpoint: Endpoint, last: Observation) -> Iterator[tuple[Metric, dict[str, str], float]]:
    """The metrics that the facts of *last* are, as the check declares; what a plugin's cannot be is left out."""
    for name, fact in declared(endpoint.check).items():
        for metric in fact.metrics:
            value: Any = last.facts.get(name)
            if value is None:
                if metric.default is not None and last.status is not Status.UNKNOWN:
                    yield metric, {}, metric.default
                continue
            try:
                if metric.each and metric.label is not None:
                    yield from _of_items(metric, value)
                elif metric.label is not None:
                    yield metric, {metric.label: str(metric.of(value))}, 1
                else:
                    since = last.started_at.timestamp() if metric.moment else 0.0
                    yield metric, {}, since + float(metric.of(value))
            except _UNUSABLE:
                continue


def _of_items(metric: Metric, table: Any) -> Iterator[tuple[Metric, dict[str, str], float]]:
    """A sample for each item of *table*; one that has no number is left out."""
    for key, item in table.items():
        with suppress(*_UNUSABLE):
            unit = {} if metric.unit is None else {"unit": metric.unit(item)}
            yield metric, {str(metric.label): str(key), **unit}, float(metric.of(item))
