"""Families of metrics as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0.

prometheus_client makes the families, of gauges and counters, and could write them as well; but it looks at each label
of each sample anew: a thousand endpoints have eighty thousand, of which a few thousand differ, and that takes nearly
three times as long. A test holds what is written here to what it writes, byte by byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric as Family

TEXT = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"

_NOT_IN_A_NAME = re.compile(r"^[0-9]|[^a-zA-Z0-9_:]")
_NOT_IN_A_LABEL = re.compile(r"^[0-9]|[^a-zA-Z0-9_]")


def media_type(accept: str) -> str:
    """What a scraper gets that sends this `Accept`: `OPENMETRICS` or `TEXT`."""
    _, wanted = choose_encoder(accept)
    return OPENMETRICS if wanted.startswith("application/openmetrics-text") else TEXT


def written(families: Iterable[Family], media_type: str = TEXT) -> bytes:
    """Write *families*, gauges and counters; a name that Prometheus would not take gets underscores."""
    is_open = media_type == OPENMETRICS
    pairs = _Pairs()
    by_identity: dict[int, str] = {}  # many samples have the very same labels
    kept, lines = list(families), []  # kept to the end, so that an identity stays what it is
    for family in kept:
        name = _NOT_IN_A_NAME.sub("_", family.name)
        total = f"{name}_total" if family.type == "counter" else name
        doc = _escaped(family.documentation) if is_open else _without_breaks(family.documentation)
        lines.append(f"# HELP {name if is_open else total} {doc}\n# TYPE {name if is_open else total} {family.type}\n")
        for sample in family.samples:
            labels = by_identity.get(id(sample.labels))
            if labels is None:
                text = ",".join([pairs[each] for each in sorted(sample.labels.items())])
                labels = by_identity[id(sample.labels)] = f"{{{text}}}" if text else ""
            lines.append(f"{total}{labels} {floatToGoString(sample.value)}\n")  # type: ignore[no-untyped-call]
    if is_open:
        lines.append("# EOF\n")
    return "".join(lines).encode("utf-8", "replace")


class _Pairs(dict[tuple[str, str], str]):
    """Labels and their values as they are written, each made once."""

    def __missing__(self, pair: tuple[str, str]) -> str:
        name, value = pair
        text = self[pair] = f'{_NOT_IN_A_LABEL.sub("_", name)}="{_escaped(value)}"'
        return text


def _without_breaks(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _escaped(text: str) -> str:
    return _without_breaks(text).replace('"', r"\"")
