"""`POST /-/reload` to a real daemon: what is taken over, what is refused, and nothing in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import trio
from support.daemon import daemon, until
from support.loopback import serve_http

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[monitor]
listen = "127.0.0.1:0"
watch = false
[monitor.access]
admin_token = "${{ADMIN}}"
[defaults]
interval = "1s"
{more}
[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{port}/"
"""


async def test_reload_over_http(tmp_path: Path, nursery: trio.Nursery) -> None:
    port = await nursery.start(serve_http, lambda _: (200, b"{}"))

    def config(more: str) -> None:
        (tmp_path / "config.toml").write_text(CONFIG.format(port=port, more=more))

    config("")
    async with daemon(tmp_path, ADMIN="4dm1n-secret") as running:
        async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=20) as client:
            assert (await client.post("/-/reload")).status_code == 403
            client.headers["authorization"] = "Bearer 4dm1n-secret"

            config('timeout = "1s"\n[[endpoint]]\nname = "new"\nurl = "http://127.0.0.1:1/"')
            answer = await client.post("/-/reload")
            assert answer.status_code == 200, answer.text
            assert answer.json()["endpoints"] == {"added": ["new"], "changed": ["shop"], "removed": []}

            config("timeout = 1\nintervall = 2")
            answer = await client.post("/-/reload")
            assert answer.status_code == 422
            assert answer.json()["errors"] == [
                'config.toml:9: defaults.timeout: expected a duration such as "5s", got 1',
                'config.toml:10: defaults.intervall: unknown key, did you mean "interval"?',
            ]
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.text.splitlines()[0]) == (200, "ready")
            assert "config.toml:9: defaults.timeout" in ready.text
            names = [each["name"] for each in (await client.get("/api/v1/endpoints")).json()["endpoints"]]
            assert names == ["new", "shop"], "the config before it is in force"

            # A hundred times the same, many at once (P10).
            config("")
            assert (await client.post("/-/reload")).json()["endpoints"]["removed"] == ["new"]

            async def up() -> bool:
                return await running.state("shop") == "up"

            await until(up, "the shop is up")
            before = await running.get("/api/v1/transitions")

            async def again() -> None:
                for _ in range(10):
                    answer = await client.post("/-/reload")
                    assert answer.json() == {
                        "endpoints": {"added": [], "changed": [], "removed": []},
                        "sinks": {"added": [], "changed": [], "removed": []},
                        "settings": [],
                    }

            async with trio.open_nursery() as many:
                for _ in range(10):
                    many.start_soon(again)
            assert await running.get("/api/v1/transitions") == before
            assert (await client.get("/readyz")).text == "ready\n"
        assert await running.stop() == 0
        assert "4dm1n-secret" not in running.log
    nursery.cancel_scope.cancel()
