"""`monitor run` as a process: the ready line, what takes precedence, refusals, signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from support.cli import monitor, rest
from support.daemon import PATIENCE, daemon

if TYPE_CHECKING:
    from pathlib import Path

QUIET = '[monitor]\nlisten = "127.0.0.1:0"\n'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_ready_then_served_then_stopped_by_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    async with daemon(tmp_path) as running:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{running.url}/healthz")).status_code == 200
        assert (tmp_path / "data" / "address").read_text() == f"{running.url}\n"
        assert await running.stop(number) == 0
        assert running.process.stdout is not None
        assert await rest(running.process.stdout) == b""
    assert (tmp_path / "data" / "monitor.db").is_file()
    assert not (tmp_path / "data" / "address").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_it_is_still_loading_is_a_clean_stop_too(number: signal.Signals, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    async with daemon(tmp_path, ready=False) as running:
        pipe = await being_read(tmp_path / "config.toml")
        running.process.send_signal(number)
        os.close(pipe)  # Python sees a signal after the read that it came just before, and so this one has an end
        assert await running.process.wait() == 0
        await running.ended.wait()
    assert running.log == ""


async def test_a_hangup_while_it_is_still_loading_reads_the_config_once_more(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    async with daemon(tmp_path, ready=False) as running:
        pipe = await being_read(tmp_path / "config.toml")
        running.process.send_signal(signal.SIGHUP)
        os.write(pipe, (QUIET + "watch = false\n").encode())
        os.close(pipe)
        await running.ready()
        os.close(await being_read(tmp_path / "config.toml"))
        assert await running.stop() == 0


async def being_read(fifo: Path) -> int:
    """The end of *fifo* to write to, once somebody has opened the other and waits."""
    with trio.fail_after(PATIENCE):
        while True:
            with contextlib.suppress(OSError):
                return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            await trio.sleep(0.01)


async def test_the_command_line_goes_before_the_config(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[monitor]\nlisten = "127.0.0.1:1"\ndata_dir = "not-this"\n')
    (tmp_path / "elsewhere").mkdir()
    options = ["--config", "../config.toml", "--listen", "[::1]:0" if socket.has_ipv6 else "127.0.0.2:0"]
    async with daemon(tmp_path / "elsewhere", *options, "--data-dir", "mine") as running:
        assert running.url.startswith("http://[::1]:" if socket.has_ipv6 else "http://127.0.0.2:")
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mine"]
    assert not (tmp_path / "not-this").exists()


async def test_logs_go_to_stderr_as_lines_of_json_where_asked(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    async with daemon(tmp_path, "--log-format", "json") as running:
        await running.stop()
    records = [json.loads(line) for line in running.log.splitlines()]
    assert any("stopp" in json.dumps(record) for record in records)


async def test_a_quiet_log_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    async with daemon(tmp_path, "--log-level", "error") as running:
        await running.stop()
    assert running.log == ""


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "config.toml").write_text(f'[monitor]\nlisten = "127.0.0.1:{port}"\n')
        await refused(tmp_path, str(port))


async def test_a_data_dir_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    (tmp_path / "data").write_text("a file stands in its place")
    await refused(tmp_path, "data")


async def test_a_database_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    (tmp_path / "data").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "monitor.db")) as database:
        database.execute("PRAGMA user_version = 9999")
        database.commit()
    await refused(tmp_path, "newer")


async def test_a_second_daemon_on_the_same_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    async with daemon(tmp_path) as running:
        await refused(tmp_path, str(running.process.pid))


async def test_an_open_address_without_access_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[monitor]\nlisten = "0.0.0.0:0"\n')
    await refused(tmp_path, "read_token")


async def test_no_directory_is_not_the_one_we_are_in(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(QUIET)
    done = await monitor("run", "--data-dir", "", cwd=tmp_path)
    assert (done.code, done.err.splitlines()[0]) == (
        3,
        "error: Invalid value for '--data-dir': expected a directory, got nothing.",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


async def refused(directory: Path, word: str) -> None:
    """`run` must not start, and say why in one sentence with *word* in it."""
    done = await monitor("run", cwd=directory)
    assert (done.code, done.out) == (3, "")
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.err
    assert word in errors[0]
    assert "Traceback" not in done.err
    assert "a bug" not in done.err
