"""A short share of `make hostile-clients`: every kind of hostile client at once against the real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hostile.clients import ATTACKS, attack, watched

if TYPE_CHECKING:
    from pathlib import Path


async def test_hostile_clients_harm_nobody_and_are_dropped(tmp_path: Path) -> None:
    async with watched(tmp_path, endpoints=40) as (running, port):
        report = await attack(port, list(ATTACKS), 25)
        assert report.wrong() == []
        assert all(sum(endings.values()) == 25 for endings in report.endings.values())
        assert report.answers, "somebody else asked meanwhile"
        assert "Traceback" not in running.log
        assert len(running.log.splitlines()) < 50, "hostile clients do not fill the log"
