"""Results in Prometheus' text format, as for node_exporter's textfile collector: the names are those of `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from monitor.gauges import of_observations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from monitor.core.model import Endpoint, Observation


def render(endpoints: Sequence[Endpoint], seen: Sequence[Observation]) -> str:
    """Render the samples of each endpoint; of one that is given twice, the last result counts."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Seen({endpoint.name: each for endpoint, each in zip(endpoints, seen, strict=True)}, endpoints))
    return generate_latest(registry).decode().rstrip("\n")


class _Seen(Collector):
    def __init__(self, seen: dict[str, Observation], endpoints: Sequence[Endpoint]) -> None:
        self._pairs = [(endpoint, seen[endpoint.name]) for endpoint in {each.name: each for each in endpoints}.values()]

    def collect(self) -> Iterator[Metric]:
        yield from of_observations(self._pairs)
