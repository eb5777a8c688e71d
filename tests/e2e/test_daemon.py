"""The whole path, from outside: a real process, a real target that breaks, a real webhook receiver.

The daemon is started, its target broken and mended, it is killed, stopped and started again; what counts is what
the receiver was told and what the API says.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import standardwebhooks
import trio
from support.cli import rest
from support.daemon import Daemon, daemon, until
from support.loopback import serve_http
from support.probes import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class World:
    """A target that can be broken and a receiver that can be closed, each on loopback."""

    def __init__(self) -> None:
        self.status = 200
        self.open = True
        self.target = 0
        self.receiver = 0
        self.tries: list[dict[str, Any]] = []

    @property
    def told(self) -> list[dict[str, Any]]:
        """The alerts that were taken, in the order they came; each once, as a kill before it is settled repeats it."""
        return [json.loads(body) for body in dict.fromkeys(each["body"] for each in self.tries if each["taken"])]

    @property
    def words(self) -> list[str]:
        return [document["type"].removeprefix("alert.") for document in self.told]

    async def receive(self, stream: trio.SocketStream) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += await stream.receive_some()
        head, _, body = raw.partition(b"\r\n\r\n")
        headers = {
            name.decode().lower(): value.decode().strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        while len(body) < int(headers["content-length"]):
            body += await stream.receive_some()
        standardwebhooks.Webhook(SECRET).verify(body, headers)
        self.tries.append({"taken": self.open, "body": body, "headers": headers, "document": json.loads(body)})
        await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (204 if self.open else 503))

    def config(self, directory: Path, *, endpoints: str | None = None, monitor: str = "") -> None:
        """Write the config: one endpoint `shop` unless told otherwise, times short."""
        shop = f'[[endpoint]]\nname = "shop"\ngroup = "web"\nurl = "http://127.0.0.1:{self.target}/health"\n'
        (directory / "config.toml").write_text(
            f"""
            [monitor]
            listen = "127.0.0.1:0"
            {monitor}
            [defaults]
            interval = "200ms"
            retry_interval = "50ms"
            timeout = "2s"
            {endpoints if endpoints is not None else shop}
            [[sink]]
            name = "ops"
            type = "webhook"
            url = "http://127.0.0.1:{self.receiver}/hook"
            secret = "{SECRET}"
            """
        )


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    world = World()
    world.target = await nursery.start(serve_http, lambda _: (world.status, b"{}"))
    world.receiver = await serve(nursery, world.receive)
    yield world
    nursery.cancel_scope.cancel()


async def up(running: Daemon, name: str = "shop") -> None:
    async def is_up() -> bool:
        return await running.state(name) == "up"

    await until(is_up, f"{name} is up")


async def told(world: World, *words: str) -> None:
    async def is_told() -> bool:
        return world.words == list(words)

    await until(is_told, f"{words}, but was told {world.words}")


async def test_down_killed_restarted_and_up_again(world: World, tmp_path: Path) -> None:
    world.config(tmp_path)
    async with daemon(tmp_path) as first:
        await up(first)
        world.status = 503
        await told(world, "firing")
        await first.crash()
    async with daemon(tmp_path) as second:
        assert await second.state("shop") == "down", "known from the store, before any probe"
        probed = (await second.get("/api/v1/endpoints/shop"))["observed_at"]

        async def probed_again() -> bool:
            return bool((await second.get("/api/v1/endpoints/shop"))["observed_at"] > probed)

        await until(probed_again, "the shop is probed after the restart")
        world.status = 200
        await told(world, "firing", "resolved")
        transitions = (await second.get("/api/v1/transitions"))["transitions"]
        assert await second.stop() == 0

    firing, resolved = (document["data"] for document in world.told)
    assert firing["endpoint"]["target"] == f"http://127.0.0.1:{world.target}/health"
    assert (firing["endpoint"]["name"], firing["endpoint"]["group"], firing["endpoint"]["check"]) == (
        "shop", "web", "http",
    )  # fmt: skip
    assert (firing["sequence"], resolved["sequence"]) == (1, 2)
    assert firing["reason"] == {
        "code": "expectation",
        "phase": "processing",
        "message": "expected status 200-299, got 503",
    }
    assert firing["incident"]["started_at"] == resolved["incident"]["started_at"]
    assert resolved["incident"]["resolved_at"] > resolved["incident"]["started_at"]
    assert 0 < firing["incident"]["duration"] < resolved["incident"]["duration"]
    assert [(each["from"], each["to"], each["alert"]) for each in transitions] == [
        ("pending", "up", "policy"),
        ("up", "down", "alerted"),
        ("down", "up", "alerted"),
    ]
    assert [each["id"] for each in transitions] == sorted(each["id"] for each in transitions)
    assert transitions[1]["incident"] == firing["incident"]["id"]


async def test_a_dead_receiver_gets_all_of_it_later_in_order(world: World, tmp_path: Path) -> None:
    world.config(tmp_path)
    world.open = False
    async with daemon(tmp_path) as first:
        await up(first)
        world.status = 503

        async def tried() -> bool:
            return bool(world.tries)

        await until(tried, "the receiver is tried")
        await first.crash()
    async with daemon(tmp_path) as second:
        world.status = 200
        await up(second)
        world.open = True
        await told(world, "firing", "resolved")
        assert await second.stop() == 0
    firing = [each for each in world.tries if each["document"]["type"] == "alert.firing"]
    assert len(firing) > 1
    assert len({each["body"] for each in firing}) == 1, "byte-identical at every try"
    assert len({each["headers"]["webhook-id"] for each in firing}) == 1


async def test_what_was_removed_while_stopped_is_resolved_once(world: World, tmp_path: Path) -> None:
    world.config(tmp_path)
    world.status = 503
    async with daemon(tmp_path) as first:
        await told(world, "firing")
        assert await first.stop() == 0
    world.config(tmp_path, endpoints="")
    for _ in range(2):
        async with daemon(tmp_path) as later:
            await told(world, "firing", "resolved")
            assert await later.stop(signal.SIGINT) == 0
    assert world.told[1]["data"]["to"] is None
    assert world.told[1]["data"]["reason"]["message"] == "no longer watched"
    assert world.told[1]["data"]["endpoint"]["group"] == "web"


def endpoint(name: str, port: int, more: str = "") -> str:
    return f'[[endpoint]]\nname = "{name}"\nurl = "http://127.0.0.1:{port}/{name}"\n{more}\n'


async def test_reload_is_all_or_nothing(world: World, tmp_path: Path) -> None:
    keep, change, leave = (endpoint(name, world.target) for name in ("keep", "change", "leave"))
    world.config(tmp_path, endpoints=keep + change + leave)
    async with daemon(tmp_path) as running:
        for name in ("keep", "change", "leave"):
            await up(running, name)
        before = await running.get("/api/v1/transitions")

        async def logged(text: str) -> None:
            async def seen() -> bool:
                return text in running.log

            await until(seen, f"{text!r} in {running.log}")

        # A bad config changes nothing, and is logged with its line.
        world.config(tmp_path, endpoints=keep + endpoint("new", world.target, 'timeout = "soon"'))
        running.process.send_signal(signal.SIGHUP)
        await logged("everything stays as it was")
        await logged('endpoint[1].timeout: expected a duration such as "5s", got "soon"')
        names = [each["name"] for each in (await running.get("/api/v1/endpoints"))["endpoints"]]
        assert names == ["keep", "change", "leave"]

        # So does one that wants a restart.
        world.config(tmp_path, endpoints=keep, monitor='data_dir = "elsewhere"')
        running.process.send_signal(signal.SIGHUP)
        await logged("a change of data_dir needs a restart")

        # A good one is applied: one new, one changed, one gone.
        changed = endpoint("change", world.target, 'timeout = "1s"')
        world.config(tmp_path, endpoints=keep + changed + endpoint("new", world.target))
        running.process.send_signal(signal.SIGHUP)
        await logged("reloaded: 1 new, 1 changed, 1 gone")
        await up(running, "new")
        names = [each["name"] for each in (await running.get("/api/v1/endpoints"))["endpoints"]]
        assert names == ["keep", "change", "new"]

        # And the same again is nothing.
        for count in range(1, 4):
            running.process.send_signal(signal.SIGHUP)

            async def unchanged(times: int = count) -> bool:
                return running.log.count("reloaded: 0 new, 0 changed, 0 gone") >= times

            await until(unchanged, "an unchanged config is reloaded")
        after = await running.get("/api/v1/transitions")
        added = after["transitions"][len(before["transitions"]) :]
        assert [(each["endpoint"], each["to"]) for each in added] == [("new", "up")]
        assert await running.stop() == 0
    assert world.told == []


CHECKS = """
import sys, time
import attrs, trio
from monitor.api import Check, Probe, Verdict

@attrs.frozen(kw_only=True)
class Blocks(Check):
    async def probe(self, probe: Probe) -> Verdict:
        time.sleep(60)

@attrs.frozen(kw_only=True)
class Clings(Check):
    async def probe(self, probe: Probe) -> Verdict:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

@attrs.frozen(kw_only=True)
class Talks(Check):
    async def probe(self, probe: Probe) -> Verdict:
        print("the password is sesame-open", "x" * 1000)
        print("a warning", file=sys.stderr)
        print("written to", sys.stderr.fileno())
        return Verdict.up()

@attrs.frozen(kw_only=True)
class Crashes(Check):
    async def probe(self, probe: Probe) -> Verdict:
        raise SystemExit(1)
"""
PLUGINS = """
[plugins.checks]
blocks = "my_checks.py:Blocks"
clings = "my_checks.py:Clings"
crashes = "my_checks.py:Crashes"
talks = "my_checks.py:Talks"
"""


def of_kind(kind: str) -> str:
    return f'[[endpoint]]\nname = "{kind}"\ncheck = "{kind}"\n'


@pytest.mark.parametrize("kind", ["blocks", "clings"])
async def test_a_check_that_will_not_stop_is_ended_by_force(world: World, tmp_path: Path, kind: str) -> None:
    (tmp_path / "my_checks.py").write_text(CHECKS)
    world.config(tmp_path, endpoints=PLUGINS + of_kind(kind))
    async with daemon(tmp_path) as running:
        await trio.sleep(0.5)  # by then its first probe is under way
        began = trio.current_time()
        code = await running.stop()
        assert code == 3
        assert trio.current_time() - began < 20, "bounded by the watchdog, not by the check"
        await running.ended.wait()
        assert "ended by force" in running.log
        assert ("time.sleep(60)" in running.log) == (kind == "blocks")


async def test_a_second_signal_ends_it_at_once(world: World, tmp_path: Path) -> None:
    (tmp_path / "my_checks.py").write_text(CHECKS)
    world.config(tmp_path, endpoints=PLUGINS + of_kind("clings"))
    async with daemon(tmp_path) as running:
        await trio.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)

        async def stopping() -> bool:
            return "stopping" in running.log

        await until(stopping, "it stops")
        assert await running.stop(signal.SIGINT) == 130


async def test_what_a_check_prints_is_logged_masked_and_waits_for_no_reader(world: World, tmp_path: Path) -> None:
    (tmp_path / "my_checks.py").write_text(CHECKS)
    shop = endpoint("shop", world.target) + 'headers = { Authorization = "sesame-open" }\n'
    world.config(tmp_path, endpoints=PLUGINS + of_kind("talks") + 'interval = "5ms"\n' + shop)
    async with daemon(tmp_path) as running:  # whoever reads stdout has stopped to, after the line that it is ready

        async def printed_much() -> bool:
            return running.log.count("INFO monitor.logs: printed: the password is *** xxxx") > 100

        await until(printed_much, "what is printed is in the log")
        await up(running)
        assert "WARNING monitor.logs: printed: a warning" in running.log
        assert "printed: written to 2" in running.log
        assert await running.stop() == 0
        assert running.process.stdout is not None
        assert await rest(running.process.stdout) == b""
    assert "sesame" not in running.log


async def test_a_check_that_exits_harms_nobody(world: World, tmp_path: Path) -> None:
    (tmp_path / "my_checks.py").write_text(CHECKS)
    world.config(tmp_path, endpoints=PLUGINS + of_kind("crashes") + endpoint("shop", world.target))
    async with daemon(tmp_path) as running:
        await up(running)

        async def shown_unknown() -> bool:
            return await running.state("crashes") == "unknown"

        await until(shown_unknown, "a check that only crashes is shown as unknown")
        seen = await running.get("/api/v1/endpoints/crashes")
        assert seen["reason"]["code"] == "crash"
        assert await running.stop() == 0
    assert world.told == []


async def test_a_client_of_the_live_feed_does_not_hold_up_the_stop(world: World, tmp_path: Path) -> None:
    world.config(tmp_path)
    async with daemon(tmp_path) as running:
        await up(running)
        host, _, port = running.url.removeprefix("http://").partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(
            b"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b"101" in await stream.receive_some()
        idle = await trio.open_tcp_stream(host, int(port))
        assert await running.stop() == 0
        await stream.aclose()
        await idle.aclose()


async def test_the_api_answers_while_targets_hang(world: World, tmp_path: Path, nursery: trio.Nursery) -> None:
    async def mute(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    port = await serve(nursery, mute)
    many = "".join(endpoint(f"mute-{number}", port) for number in range(100))
    world.config(tmp_path, endpoints=many + endpoint("shop", world.target))
    async with daemon(tmp_path) as running:
        await up(running)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{running.url}/readyz")).status_code == 200
        assert await running.stop() == 0
