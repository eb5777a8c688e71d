"""`monitor status` in the words of the page, of what the API says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.cli.render.status import lines
from monitor.cli.terminal import Terminal
from monitor.core.model import timestamp

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


def endpoint(name: str, **settings: Any) -> dict[str, Any]:
    known = {"state": "up", "since": None, "latency": 0.084, "uptime": {"24h": 1.0}, "flags": [], "reason": None}
    return {"name": name, **known, **settings}


def shown(*endpoints: dict[str, Any]) -> list[str]:
    terminal = Terminal(unicode=True)
    return [terminal.line(each).rstrip() for each in lines(endpoints, NOW, terminal)]


def test_what_is_beside_the_state_is_said_as_on_the_page() -> None:
    first, counted, *_, quiet, held = shown(
        endpoint("shop", flags=["maintenance"]), endpoint("feed", flags=["suppressed", "silenced"])
    )
    assert first == "shop and feed are up"
    assert counted == "2 up, 1 in maintenance"
    assert quiet.endswith("[in maintenance]")
    assert held.endswith("[held back, silenced]")


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (9.82, "9 s"), (190.9, "3 min 10 s")])
def test_how_long_it_has_been_so_is_told_in_whole_seconds(seconds: float, text: str) -> None:
    line = shown(endpoint("shop", since=timestamp(NOW - timedelta(seconds=seconds))))[-1]
    assert f"shop      {text}" in line
