"""Results in Prometheus' text format, as for node_exporter's textfile collector: the names are those of `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.exposition import written
from monitor.gauges import of_observations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.model import Endpoint, Observation


def render(endpoints: Sequence[Endpoint], seen: Sequence[Observation]) -> str:
    """Render the samples of each endpoint; of one that is given twice, the last result counts."""
    results = {endpoint.name: (endpoint, each) for endpoint, each in zip(endpoints, seen, strict=True)}
    return written(of_observations(results.values())).decode().rstrip("\n")
