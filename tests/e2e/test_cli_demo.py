"""`monitor demo` as a newcomer sees it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio
from support.cli import killed, monitor, start

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_whole_tour_fits_into_a_minute(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    done = await monitor("demo", "--duration", "31s", cwd=tmp_path, TMPDIR=str(tmp_path / "tmp"))
    assert (done.code, done.err) == (0, "")
    alerts = [line.split("<- ")[1] for line in done.lines if "<- " in line]
    assert [alert.split()[:2] for alert in alerts] == [
        ["alert.firing", "shop"],
        ["alert.resolved", "shop"],
        ["alert.firing", "prices"],
        ["alert.resolved", "prices"],
    ]
    assert all(alert.endswith("(signature verified)") for alert in alerts)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


async def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    process = await start("demo", cwd=tmp_path, TMPDIR=str(tmp_path / "tmp"))
    assert process.stdout is not None
    assert process.stderr is not None
    seen = b""
    try:
        with trio.fail_after(60):
            async for chunk in process.stdout:
                seen += chunk
                if b"All is well." in chunk:
                    process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            assert await process.stderr.receive_some() == b""
    finally:
        await killed(process)
    assert b"The tour is over" in seen
    assert list((tmp_path / "tmp").iterdir()) == []
