"""Configs of other monitors as ours: pure functions from their documents to our tables, and a list of what is left out.

gatus.py        config.yaml of Gatus
gatus_kinds.py  what its endpoints look at, by their URLs
conditions.py   its conditions as CEL
uptime_kuma.py  the backup of Uptime Kuma
blackbox.py     blackbox.yml of blackbox_exporter
ways.py         proxies, tokens and certificates
tables.py       what all of them need: names that can be, our tables as TOML

Nothing is dropped silently: what has no counterpart is named in `Imported.left_out`.
"""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Imported:
    """What became of another monitor's config."""

    endpoints: list[dict[str, Any]] = attrs.field(factory=list)
    sinks: list[dict[str, Any]] = attrs.field(factory=list)
    modules: dict[str, dict[str, Any]] = attrs.field(factory=dict)  # of `/probe`
    left_out: list[str] = attrs.field(factory=list)  # a sentence each
