"""A file of the config changes under a real daemon, in each way files do; nobody signals anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import trio
from support.daemon import Daemon, daemon, until
from support.probes import serve

if TYPE_CHECKING:
    from pathlib import Path

MAIN = """
[monitor]
listen = "127.0.0.1:0"
include = ["{include}"]
[defaults]
interval = "1s"
timeout = "90s"
[[endpoint]]
name = "keep"
url = "http://127.0.0.1:{port}/"
"""
ONE = '[[endpoint]]\nname = "{name}"\nurl = "http://127.0.0.1:1/"\nenabled = {enabled}\n'
FAMILY = '[[endpoint]]\nname = "c"\ncheck = "tcp"\ntargets_file = "../sd.json"\n'


async def names(running: Daemon, *expected: str) -> None:
    async def there() -> bool:
        found = [each["name"] for each in (await running.get("/api/v1/endpoints"))["endpoints"]]
        return found == list(expected)

    await until(there, f"{expected} are watched; {running.log}")


async def gauge(running: Daemon, expected: int) -> None:
    async def so() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{running.url}/metrics")).text
        return f"monitor_config_last_reload_successful {expected}.0" in text

    await until(so, f"monitor_config_last_reload_successful is {expected}; {running.log}")


async def test_changed_files_are_taken_over(tmp_path: Path, nursery: trio.Nursery) -> None:
    asked, answered = 0, trio.Event()

    async def answer_late(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked += 1
        await answered.wait()
        await stream.send_all(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")

    port = await serve(nursery, answer_late)
    main, more = tmp_path / "config.toml", tmp_path / "conf.d"
    more.mkdir()
    main.write_text(MAIN.format(port=port, include="conf.d/*.toml"))
    async with daemon(tmp_path) as running:

        async def probed() -> bool:
            return asked == 1

        await until(probed, "a probe is under way")
        (more / "a.toml").write_text(ONE.format(name="a", enabled="true"))  # a new file
        await names(running, "keep", "a")
        (more / "a.new").write_text(ONE.format(name="b", enabled="true"))  # replaced, as editors do
        (more / "a.new").replace(more / "a.toml")
        await names(running, "keep", "b")

        # A mistake changes nothing, and stands in what leads to it: mending that is noticed as well.
        (tmp_path / "other").mkdir()
        (tmp_path / "other/c.toml").write_text(ONE.format(name="c", enabled='"yes"'))
        main.write_text(MAIN.format(port=port, include="other/*.toml"))
        await gauge(running, 0)
        await names(running, "keep", "b")
        assert "other/c.toml:4: endpoint[0].enabled: expected true or false" in running.log
        (tmp_path / "other/c.toml").write_text(ONE.format(name="c", enabled="true"))
        await names(running, "keep", "c")
        await gauge(running, 1)

        # A file of targets, broken and mended.
        (tmp_path / "sd.json").write_text('[{"targets": ["127.0.0.1:1"]}]')
        (tmp_path / "other/c.toml").write_text(FAMILY)
        await names(running, "keep", "c:127.0.0.1:1")
        (tmp_path / "sd.json").write_text('[{"targets": [')
        await gauge(running, 0)
        assert "sd.json:1: not valid JSON" in running.log
        await names(running, "keep", "c:127.0.0.1:1")
        (tmp_path / "sd.json").write_text('[{"targets": ["127.0.0.1:2"]}]')
        await names(running, "keep", "c:127.0.0.1:2")
        await gauge(running, 1)
        assert asked == 1

        # All the while the probe was under way, and it is the one that counts.
        answered.set()

        async def up() -> bool:
            return await running.state("keep") == "up"

        await until(up, "the first answer counts")
        assert " 1 changed" not in running.log
        assert await running.stop() == 0
    nursery.cancel_scope.cancel()
