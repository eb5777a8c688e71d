"""What a service manager is told: the real process, and a datagram socket in systemd's place (sd_notify(3))."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
from support.daemon import PATIENCE, daemon, until
from support.loopback import serve_http

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[monitor]
listen = "127.0.0.1:0"

[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{port}/"
interval = "1s"
"""
BLOCKING = """
import attrs, socket, time
from monitor.api import Check, Verdict, check_option

def say(where, what):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(what, where)

@attrs.frozen(kw_only=True)
class Blocking(Check):
    url: str = check_option(doc="whom to tell")

    async def probe(self, probe):
        say(self.url, b"TEST=begin")
        time.sleep(1)
        say(self.url, b"TEST=end")
        return Verdict.up()
"""


class Manager:
    """Takes what comes."""

    def __init__(self, path: Path) -> None:
        self.path = str(path / "notify")
        self.told: list[dict[str, str]] = []
        self._came = trio.Event()

    async def listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as listener:
            await listener.bind(self.path)
            task_status.started()
            while True:
                lines = (await listener.recv(65536)).decode().splitlines()
                self.told.append(dict(line.split("=", 1) for line in lines))
                self._came.set()

    def times(self, key: str) -> int:
        return sum(key in each for each in self.told)

    async def until(self, key: str, times: int = 1) -> None:
        with trio.fail_after(PATIENCE):
            while self.times(key) < times:
                self._came = trio.Event()
                await self._came.wait()


@pytest.fixture
async def manager(tmp_path: Path, nursery: trio.Nursery) -> Manager:
    listening = Manager(tmp_path)
    await nursery.start(listening.listen)
    return listening


async def test_a_life_as_a_service(tmp_path: Path, nursery: trio.Nursery, manager: Manager) -> None:
    port = await nursery.start(serve_http, lambda _: (200, b"{}"))
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(port=port))
    async with daemon(tmp_path, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="200000") as running:
        await manager.until("READY")
        assert manager.told[0] == {"READY": "1", "STATUS": "watching 1 endpoint"}
        await manager.until("WATCHDOG", 3)

        running.process.send_signal(signal.SIGHUP)
        await manager.until("READY", 2)
        begin = next(number for number, each in enumerate(manager.told) if "RELOADING" in each)
        assert int(manager.told[begin]["MONOTONIC_USEC"]) > 0
        assert "READY" in next(
            each for each in manager.told[begin:] if "RELOADING" not in each and "WATCHDOG" not in each
        )

        config.write_text("nonsense")
        running.process.send_signal(signal.SIGHUP)
        await manager.until("READY", 3)
        await manager.until("STATUS", 2)
        status = next(each["STATUS"] for each in manager.told[1:] if "STATUS" in each)
        assert status == "watching 1 endpoint; the config as it is now has 1 mistake, the one before is used"

        assert await running.stop() == 0
    last = [each for each in manager.told if "WATCHDOG" not in each][-1]
    assert last == {"STOPPING": "1", "STATUS": "stopping: SIGTERM"}
    after = manager.told[manager.told.index(last) + 1 :]
    assert all(each.keys() == {"WATCHDOG"} for each in after)


async def test_a_loop_that_does_not_come_round_is_not_fed(tmp_path: Path, manager: Manager) -> None:
    (tmp_path / "blocking.py").write_text(BLOCKING)
    (tmp_path / "config.toml").write_text(
        f"""
        [monitor]
        listen = "127.0.0.1:0"
        [plugins.checks]
        blocking = "blocking.py:Blocking"
        [[endpoint]]
        name = "it"
        check = "blocking"
        url = "{manager.path}"
        interval = "2s"
        """
    )
    async with daemon(tmp_path, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="200000") as running:
        await manager.until("TEST", 2)
        await manager.until("WATCHDOG", manager.times("WATCHDOG") + 1)
        assert await running.stop() == 0
    said = [next(iter(each.items())) for each in manager.told]
    begin, end = said.index(("TEST", "begin")), said.index(("TEST", "end"))
    assert end == begin + 1


@pytest.mark.parametrize("environment", [{"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
async def test_who_is_not_asked_to_feeds_nobody(tmp_path: Path, manager: Manager, environment: dict[str, str]) -> None:
    (tmp_path / "config.toml").write_text(CONFIG.format(port=1))
    async with daemon(tmp_path, NOTIFY_SOCKET=manager.path, **environment) as running:
        await manager.until("READY")
        assert await running.stop() == 0
    assert manager.times("WATCHDOG") == 0
    assert [next(iter(each)) for each in manager.told] == ["READY", "STOPPING"]


async def test_a_service_manager_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG.format(port=1))
    gone = str(tmp_path / "nobody")
    async with daemon(tmp_path, NOTIFY_SOCKET=gone, WATCHDOG_USEC="20000") as running:

        async def is_told() -> bool:
            return "the service manager could not be told" in running.log

        await until(is_told, "a word in the log")
        assert await running.stop() == 0
    assert running.log.count("the service manager could not be told") == 1
