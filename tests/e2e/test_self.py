"""The monitor watching itself, from outside: references and a sign of life over real loopback servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.daemon import daemon, until
from support.loopback import serve_http

if TYPE_CHECKING:
    from pathlib import Path

    import trio

CONFIG = """
[monitor]
listen = "127.0.0.1:0"
{monitor}
[defaults]
interval = "300ms"
retry_interval = "100ms"
timeout = "2s"
[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{target}/"
"""


class World:
    def __init__(self) -> None:
        self.works = True
        self.asked: list[str] = []

    def target(self, _: str) -> tuple[int, bytes]:
        return (200 if self.works else 503), b"{}"

    def other(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        return (404 if path == "/wrong" else 200), b"{}"


async def test_with_no_reference_there_is_no_down_and_with_one_there_is(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = World()
    target = await nursery.start(serve_http, world.target)
    other = await nursery.start(serve_http, world.other)

    def config(*reference: str) -> None:
        monitor = f"reference = {list(reference)}".replace("'", '"')
        (tmp_path / "config.toml").write_text(CONFIG.format(target=target, monitor=monitor))

    config("http://127.0.0.1:1/", "tcp://127.0.0.1:1")
    async with daemon(tmp_path) as running:

        async def state(wanted: str) -> None:
            async def is_it() -> bool:
                return await running.state("shop") == wanted

            await until(is_it, wanted)

        await state("up")
        world.works = False
        await state("unknown")
        seen = await running.get("/api/v1/endpoints/shop")
        assert seen["reason"]["message"].startswith(
            "no reference answers, the monitor's own network may be gone: http://127.0.0.1:1/: connection refused"
        )
        assert await running.stop() == 0

    config("tcp://127.0.0.1:1", f"http://127.0.0.1:{other}/wrong")
    async with daemon(tmp_path) as running:
        await state("down")
        assert world.asked[0] == "/wrong", "any answer will do"
        moves = (await running.get("/api/v1/transitions"))["transitions"]
        assert [(each["from"], each["to"]) for each in moves] == [("pending", "up"), ("up", "down")]
        assert await running.stop() == 0
    nursery.cancel_scope.cancel()


async def test_a_sign_of_life_is_sent_and_where_to_is_a_secret(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = World()
    target = await nursery.start(serve_http, world.target)
    other = await nursery.start(serve_http, world.other)
    url = f'dead_man = "http://user:pass-w0rd@127.0.0.1:{other}'
    (tmp_path / "config.toml").write_text(CONFIG.format(target=target, monitor=url + '/s3cret-path"'))
    async with daemon(tmp_path) as running:

        async def sent() -> bool:
            return world.asked == ["/s3cret-path"]

        await until(sent, "a sign of life")
        assert await running.stop() == 0
        assert "sign of life" not in running.log

    (tmp_path / "config.toml").write_text(CONFIG.format(target=target, monitor=url + '/wrong"'))
    async with daemon(tmp_path) as running:

        async def logged() -> bool:
            return "the sign of life is missing: HTTP 404" in running.log

        await until(logged, "that it could not be sent")
        assert await running.stop() == 0
        for secret in ("pass-w0rd", "/wrong"):
            assert secret not in running.log
    nursery.cancel_scope.cancel()
