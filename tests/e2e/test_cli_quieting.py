"""`monitor silence` and `monitor ack` against a running daemon, from outside."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest
from support.cli import monitor
from support.daemon import Daemon, daemon, until
from support.loopback import serve_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import trio

ADMIN = '[monitor.access]\nadmin_token = "${ADMIN:-}"\n'


class Target:
    """An HTTP service that can be broken."""

    def __init__(self) -> None:
        self.status = 200
        self.port = 0

    def config(self, directory: Path, more: str = "") -> None:
        (directory / "config.toml").write_text(
            f"""
            [monitor]
            listen = "127.0.0.1:0"
            {ADMIN}
            [defaults]
            interval = "200ms"
            retry_interval = "50ms"
            [[endpoint]]
            name = "shop"
            group = "web"
            url = "http://127.0.0.1:{self.port}/"
            {more}
            [[sink]]
            name = "log"
            type = "log"
            """
        )


@pytest.fixture
async def target(nursery: trio.Nursery) -> AsyncIterator[Target]:
    target = Target()
    target.port = await nursery.start(serve_http, lambda _: (target.status, b""))
    yield target
    nursery.cancel_scope.cancel()


async def outcome(running: Daemon, expected: str) -> None:
    """Wait until the latest transition is recorded as *expected*."""

    async def is_there() -> bool:
        transitions = (await running.get("/api/v1/transitions"))["transitions"]
        return bool(transitions) and f"{transitions[-1]['to']}:{transitions[-1]['alert']}" == expected

    await until(is_there, f"the latest transition is {expected}")


async def test_silenced_listed_ended_acknowledged(target: Target, tmp_path: Path) -> None:
    target.config(tmp_path)
    async with daemon(tmp_path, ADMIN="4dm1n-token") as running:

        async def run(*args: str) -> str:
            done = await monitor(*args, cwd=tmp_path, ADMIN="4dm1n-token", USER="ada", LOGNAME="ada")
            assert (done.code, done.err) == (0, "")
            return done.out

        await outcome(running, "up:policy")
        made = await run("silence", "group:web", "--for", "2h", "--comment", "new disks")
        assert re.search(r"^\S+ +group:web +\S+ \S+ UTC +ada +new disks$", made, re.MULTILINE)
        target.status = 503
        await outcome(running, "down:silence")
        (shown,) = (await running.get("/api/v1/endpoints"))["endpoints"]
        assert shown["flags"] == ["silenced"]

        (silence,) = json.loads(await run("silence", "--list", "--format", "json"))["silences"]
        assert (silence["target"], silence["active"]) == ("group:web", True)
        assert "(over)" in await run("silence", "--end", silence["id"])
        await outcome(running, "down:alerted")
        assert await run("silence", "--list") == "no silences\n"
        assert "group:web" in await run("silence", "--list", "--past")

        said = await run("ack", "shop", "--comment", "on it")
        assert said == f"shop: incident {shown['incident']['id']} is acknowledged\n"
        assert said == await run("ack", shown["incident"]["id"])
        (incident,) = (await running.get("/api/v1/incidents?open=true"))["incidents"]
        assert incident["acknowledged"]["by"] == "ada"
        await running.stop()
    async with daemon(tmp_path, ADMIN="4dm1n-token") as again:
        (shown,) = (await again.get("/api/v1/endpoints"))["endpoints"]
        assert shown["incident"]["acknowledged"]["by"] == "ada"
    assert "4dm1n" not in running.log


async def test_maintenance_in_the_config_holds_until_a_reload_takes_it_out(target: Target, tmp_path: Path) -> None:
    window = 'start = 2000-01-01T00:00:00\ntimezone = "Europe/Berlin"\nduration = "20000d"\n'
    target.config(tmp_path, f'[[maintenance]]\nendpoints = ["*"]\n{window}')
    async with daemon(tmp_path, ADMIN="4dm1n-token") as running:
        await outcome(running, "up:policy")
        target.status = 503
        await outcome(running, "down:maintenance")
        assert (await running.get("/api/v1/endpoints/shop"))["flags"] == ["maintenance"]
        target.config(tmp_path)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{running.url}/-/reload", headers={"authorization": "Bearer 4dm1n-token"})
        assert answer.json()["settings"] == ["maintenance"]
        await outcome(running, "down:alerted")


async def test_what_depends_on_what_is_down_is_held(target: Target, tmp_path: Path) -> None:
    edge = f'depends_on = ["edge"]\n[[endpoint]]\nname = "edge"\nurl = "http://127.0.0.1:{target.port}/"\n'
    target.config(tmp_path, edge)
    async with daemon(tmp_path) as running:
        await outcome(running, "up:policy")
        target.status = 503

        async def both_down() -> bool:
            endpoints = (await running.get("/api/v1/endpoints"))["endpoints"]
            return [each["state"] for each in endpoints] == ["down", "down"]

        await until(both_down, "both are down")
        told = {
            each["endpoint"]: each["alert"]
            for each in (await running.get("/api/v1/transitions"))["transitions"]
            if each["to"] == "down"
        }
        assert told == {"shop": "dependency", "edge": "alerted"}


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["silence"], "Expected a TARGET, or --list, or --end ID."),
        (["silence", "shop", "--list"], "Expected a TARGET, or --list, or --end ID."),
        (["silence", "shop"], "Missing option '--for': how long, such as 2h."),
        (["silence", "shop", "--for", "2"], 'Invalid value for \'--for\': expected a duration such as "5s", got "2".'),
        (["silence", "--list", "--for", "2h"], "--for and --comment go with a TARGET."),
        (["silence", "shop", "--for", "2h", "--past"], "--past goes with --list."),
        (["ack"], "Missing argument 'INCIDENT'."),
    ],
)
async def test_a_wrong_call_is_one_sentence(args: list[str], error: str, tmp_path: Path) -> None:
    done = await monitor(*args, cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines()[0] == f"error: {error}"


async def test_what_the_daemon_refuses_is_one_sentence(target: Target, tmp_path: Path) -> None:
    target.config(tmp_path)
    nobody = await monitor("silence", "shop", "--for", "2h", cwd=tmp_path, ADMIN="x-token")
    assert (nobody.code, nobody.out) == (3, "")
    assert re.fullmatch(r"error: no daemon runs in \S+ \(else say where it is with --url\)\n", nobody.err)
    async with daemon(tmp_path, ADMIN="4dm1n-token") as running:
        for args, token, error in (
            (["silence", "shpo", "--for", "2h"], "4dm1n-token", 'There is no endpoint "shpo", did you mean "shop"?'),
            (
                ["silence", "--end", "none"],
                "4dm1n-token",
                "There is no silence with this id.",
            ),
            (["ack", "none"], "4dm1n-token", "there is neither an open incident 'none' nor an endpoint of that name"),
            (["ack", "shop"], "4dm1n-token", "the endpoint 'shop' has no open incident"),
            (["ack", "shop"], "", "only an admin may change things: set admin_token in [monitor.access] of the config"),
            (["ack", "shop"], "wrong-token", "Only an admin may do this: send the admin_token of [monitor.access]."),
        ):
            done = await monitor(*args, "--url", running.url, cwd=tmp_path, ADMIN=token)
            assert (done.code, done.out, done.err) == (3, "", f"error: {error}\n")
