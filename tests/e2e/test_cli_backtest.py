"""`monitor backtest` beside a real daemon: it reads what that one records, and changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.cli import monitor
from support.daemon import daemon, until
from support.loopback import serve_http

if TYPE_CHECKING:
    from pathlib import Path

    import trio

CONFIG = """
[monitor]
listen = "127.0.0.1:0"
[defaults]
interval = "200ms"
retry_interval = "100ms"
timeout = "2s"
failure_threshold = {threshold}
[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{port}/"
[[sink]]
name = "log"
type = "log"
"""


async def test_beside_a_running_daemon_and_without_it(tmp_path: Path, nursery: trio.Nursery) -> None:
    works = True
    port = await nursery.start(serve_http, lambda _: (200 if works else 503, b"{}"))
    (tmp_path / "config.toml").write_text(CONFIG.format(port=port, threshold=3))
    (tmp_path / "new.toml").write_text(CONFIG.format(port=port, threshold=1))
    async with daemon(tmp_path) as running:
        for works in (True, False, True):
            state = "up" if works else "down"

            async def is_it(wanted: str = state) -> bool:
                return await running.state("shop") == wanted

            await until(is_it, state)
        beside = await monitor("backtest", "--config", "config.toml", "--since", "1h", cwd=tmp_path)
        assert (beside.code, beside.err) == (0, "")
        assert beside.out.startswith("The same: 2 alerts, as sent.\n")
        assert await running.stop() == 0
    files = {each.name: each.read_bytes() for each in (tmp_path / "data").iterdir()}

    done = await monitor("backtest", "--config", "new.toml", "--format", "json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    firing, resolved = found["alerts"]
    assert (firing["type"], firing["from"], firing["to"]) == ("alert.firing", "up", "down")
    assert firing["sent"]["at"] > firing["would_be_sent"]["at"], "the first failure is enough for it"
    assert (resolved["type"], resolved["difference"]) == ("alert.resolved", "same")
    assert found["total"]["alerts"] == {"sent": 2, "would_be_sent": 2}
    assert {each.name: each.read_bytes() for each in (tmp_path / "data").iterdir()} == files
    nursery.cancel_scope.cancel()


async def test_mistakes_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[[endpoint]]\nname = "shop"\nurl = "https://shop.example.org/"\n')
    done = await monitor("backtest", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"error: there is no database {tmp_path}/data\n"
    (tmp_path / "other.db").write_bytes(b"nothing of ours, and long enough for SQLite to have a look at it" * 20)
    done = await monitor("backtest", "--database", "other.db", cwd=tmp_path)
    assert done.code == 3
    assert done.err == "error: cannot use the database other.db: it is not a database\n"
