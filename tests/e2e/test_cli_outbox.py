"""`monitor outbox` and `monitor test-alert` as processes: with a daemon, without one, and what they never show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from support.cli import monitor
from support.daemon import daemon
from support.receiver import Answer, receiver

if TYPE_CHECKING:
    from pathlib import Path

_CLOSED = 9  # "discard": nobody is there
CONFIG = """
[monitor]
listen = "127.0.0.1:0"

[monitor.access]
admin_token = "admin-token-1"

[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{closed}/"
interval = "200ms"
failure_threshold = 1

[[sink]]
name = "ops"
type = "webhook"
url = "http://127.0.0.1:{port}/T0KEN-in-a-path"
"""


async def dead(directory: Path, port: int) -> None:
    """A database with one dead `firing`: its receiver said 410."""
    (directory / "config.toml").write_text(CONFIG.format(port=port, closed=_CLOSED))
    async with daemon(directory) as running:
        with trio.fail_after(30):
            while not (await running.get("/api/v1/outbox"))["dead"]:
                await trio.sleep(0.05)


async def test_without_a_daemon_the_database_is_read_and_written(tmp_path):
    async with receiver(Answer(410)) as served:
        await dead(tmp_path, served.port)
        done = await monitor("outbox", cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        head, row, _, counts = done.lines
        assert head.split() == ["ID", "STATE", "SINK", "ENDPOINT", "ALERT", "MADE", "TRIES", "LAST", "ERROR"]
        assert row.split()[:5] == ["1", "dead", "ops", "shop", "firing"]
        assert row.endswith("HTTP 410: the receiver says it is gone for good")
        assert counts == "0 pending, 1 dead"
        assert "T0KEN" not in done.out

        seen = json.loads((await monitor("outbox", "list", "--format", "json", cwd=tmp_path)).out)
        assert [each["id"] for each in seen["deliveries"]] == [1]
        assert (await monitor("outbox", "list", "--state", "pending", cwd=tmp_path)).lines == ["0 pending, 1 dead"]

        done = await monitor("outbox", "retry", "7", cwd=tmp_path)
        assert (done.code, done.lines) == (3, ["0 deliveries put back", "7: not among the dead"])
        done = await monitor("outbox", "retry", "one", cwd=tmp_path)
        assert (done.code, done.out) == (3, "")
        assert 'expected an ID as `monitor outbox` lists them, such as 12, got "one".' in done.err
        done = await monitor("outbox", "retry", cwd=tmp_path)
        assert (done.code, done.lines) == (0, ["1 delivery put back"])
        async with daemon(tmp_path) as running:
            with trio.fail_after(30):
                while (await running.get("/api/v1/outbox"))["deliveries"]:
                    await trio.sleep(0.05)
    assert len({got.body for got in served.received}) == 1, "the very alert"
    assert len({got.headers["webhook-id"] for got in served.received}) == 1
    assert len(served.received) == 2


async def test_a_damaged_database_is_left_to_the_daemon(tmp_path):
    async with receiver(Answer(410)) as served:
        await dead(tmp_path, served.port)
    assert (await monitor("outbox", cwd=tmp_path)).code == 0  # which closes it: nothing is left in the log beside it
    database = tmp_path / "data" / "monitor.db"
    with database.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 40_960)
    for command in (["outbox"], ["outbox", "retry"]):
        done = await monitor(*command, cwd=tmp_path)
        assert (done.code, done.out) == (3, "")
        assert "damaged" in done.err
        assert len(done.err.splitlines()) == 1
    assert not list(database.parent.glob("monitor-damaged-*"))


async def test_a_running_daemon_is_asked(tmp_path):
    async with receiver(Answer(410)) as served:
        await dead(tmp_path, served.port)
        async with daemon(tmp_path):
            done = await monitor("outbox", "list", cwd=tmp_path)
            assert done.lines[-1] == "0 pending, 1 dead"
            done = await monitor("outbox", "retry", "1", "--format", "json", cwd=tmp_path)
            assert json.loads(done.out) == {"put_back": [1], "obsolete": [], "gone": [], "unknown": []}
            with trio.fail_after(30):
                while len(served.received) < 2:
                    await trio.sleep(0.05)


async def test_without_anything_it_says_so(tmp_path):
    (tmp_path / "config.toml").write_text("")
    done = await monitor("outbox", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert "no daemon runs, and there is no database in" in done.err
    done = await monitor("outbox", "--url", f"http://127.0.0.1:{_CLOSED}", cwd=tmp_path)
    assert done.code == 3
    assert "no daemon answers at" in done.err


SINKS = """
[[sink]]
name = "ops"
type = "webhook"
format = "slack"
url = "${HOOK}/T0KEN-in-a-path"

[[sink]]
name = "log"
type = "log"
"""


async def test_a_test_alert_says_what_came_of_it(tmp_path):
    (tmp_path / "config.toml").write_text(SINKS)
    async with receiver(Answer(200), Answer(403, body=b"no T0KEN")) as served:
        hook = f"http://127.0.0.1:{served.port}"
        done = await monitor("test-alert", "ops", cwd=tmp_path, HOOK=hook)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("ops (webhook): delivered: HTTP 200 (")
        done = await monitor("test-alert", "ops", cwd=tmp_path, HOOK=hook)
        assert done.code == 2
        assert done.out.startswith("ops (webhook): failed: HTTP 403 (")
        assert "T0KEN" not in done.out + done.err
    assert json.loads(served.received[0].body)["text"] == "A test alert"


async def test_a_test_alert_goes_through_every_sink(tmp_path):
    (tmp_path / "config.toml").write_text(SINKS)
    done = await monitor("test-alert", cwd=tmp_path, HOOK=f"http://127.0.0.1:{_CLOSED}")
    assert done.code == 2
    assert done.lines[0].startswith("ops (webhook): failed: connection refused")
    assert done.lines[1].startswith("log (log): delivered (")
    assert "alert.test monitor" in done.err


@pytest.mark.parametrize(
    ("config", "sink", "problem"),
    [("", [], "the config has no sinks"), (SINKS, ["op"], 'there is no sink "op", did you mean "ops"?')],
)
async def test_a_sink_that_is_not_there_is_an_error(tmp_path, config, sink, problem):
    (tmp_path / "config.toml").write_text(config)
    done = await monitor("test-alert", *sink, cwd=tmp_path, HOOK="http://127.0.0.1:1")
    assert (done.code, done.out) == (3, "")
    assert problem in done.err


async def test_an_open_outbox_over_http_holds_no_secret(tmp_path):
    async with receiver(Answer(410)) as served:
        await dead(tmp_path, served.port)
        async with daemon(tmp_path) as running, httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(running.url + "/api/v1/outbox")).text
    assert "T0KEN" not in text
    assert b"T0KEN" not in (tmp_path / "data" / "monitor.db").read_bytes()
