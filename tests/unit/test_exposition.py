"""What Prometheus reads: the same bytes as those of prometheus_client, for whatever is in a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from monitor.exposition import OPENMETRICS, TEXT, media_type, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric as Family

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LABELS = st.dictionaries(st.sampled_from(["endpoint", "a", "Z_9", "_x", "queue.depth", "2nd"]), WORDS, max_size=4)
NUMBERS = st.one_of(st.floats(), st.booleans(), st.integers(-(10**18), 10**18))


class Known(Collector):
    """For prometheus_client to write."""

    def __init__(self, families: Sequence[Family]) -> None:
        self.families = families

    def collect(self) -> Iterator[Family]:
        yield from self.families


def family(kind: type[Family], name: str, doc: str, samples: list[tuple[dict[str, str], float]]) -> Family:
    made = kind(name, doc)  # type: ignore[call-arg]  # both take the same two
    for labels, value in samples:
        made.add_sample(f"{name}_total" if kind is CounterMetricFamily else name, labels, value)
    return made


FAMILIES = st.lists(
    st.builds(
        family,
        st.sampled_from([GaugeMetricFamily, CounterMetricFamily]),
        st.sampled_from(["probe_success", "monitor_probes", "x"]),
        WORDS,
        st.lists(st.tuples(LABELS, NUMBERS), max_size=4),
    ),
    max_size=4,
)


@given(FAMILIES)
def test_the_bytes_are_those_of_prometheus_client(families: list[Family]) -> None:
    for accept in ("*/*", "application/openmetrics-text; version=1.0.0"):
        encode, wanted = choose_encoder(accept)
        assert media_type(accept) == wanted
        assert written(families, wanted) == encode(Known(families))


def test_families_may_be_made_one_after_the_other() -> None:
    made = (family(GaugeMetricFamily, "x", "", [({"number": str(number)}, number)]) for number in range(100))
    lines = [line for line in written(made).decode().splitlines() if not line.startswith("#")]
    assert lines == [f'x{{number="{number}"}} {number}.0' for number in range(100)]


def test_samples_may_have_the_very_same_labels() -> None:
    same = {"endpoint": "shop"}
    found = written([family(GaugeMetricFamily, name, "", [(same, 1), (same, 2), ({}, 3)]) for name in ("x", "y")])
    assert found.count(b'{endpoint="shop"}') == 4


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("", TEXT),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;escaping=dots;q=0.6,text/plain;q=0.3", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4", TEXT),
    ],
)
def test_a_scraper_gets_what_it_asks_for(accept: str, given: str) -> None:
    assert media_type(accept) == given


def test_a_name_that_prometheus_would_not_take_has_underscores() -> None:
    assert written([family(GaugeMetricFamily, "queue.depth", "", [({"2nd-one": "x"}, 1)])]) == (
        b'# HELP queue_depth \n# TYPE queue_depth gauge\nqueue_depth{_nd_one="x"} 1.0\n'
    )


def test_half_a_character_that_a_server_sent_does_not_spoil_the_scrape() -> None:
    assert b'{proto="?"} 1.0' in written([family(GaugeMetricFamily, "x", "", [({"proto": "\ud800"}, 1)])])
