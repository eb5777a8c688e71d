"""The command line as a whole: help, versions, mistakes, and where output and errors go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from support.cli import PROGRAM, environment, monitor
from support.loopback import serve_http

from monitor.cli.root import COMMANDS


async def test_help_lists_every_command(tmp_path: Path) -> None:
    done = await monitor("--help", cwd=tmp_path)
    assert done.code == 0
    assert done.err == ""
    listed = done.out.split("Commands:\n")[1].split("\n")
    assert [line.split()[0] for line in listed if line.strip()] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_has_help_and_takes_a_config(command: str, tmp_path: Path) -> None:
    done = await monitor(command, "--help", cwd=tmp_path)
    assert done.code == 0
    assert f"Usage: monitor {command}" in done.out
    assert "--config FILE" in done.out


async def test_the_version(tmp_path: Path) -> None:
    done = await monitor("--version", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    name, version = done.out.split()
    assert name == "nursery-monitor"
    assert version[0].isdigit()


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["chek"], "error: No such command 'chek'. Did you mean 'check'?"),
        (["zzz"], "error: No such command 'zzz'."),
        (["--nonsense"], "error: No such option '--nonsense'."),
        (["check", "--nonsense"], "error: No such option '--nonsense'."),
        (["check", "--format"], "error: Option '--format' requires an argument."),
        (["check", "--format", "xml"], "error: Invalid value for '--format': expected one of text, json, nagios,"),
        (
            ["check", "--retry-until", "5", "https://127.0.0.1"],
            'error: Invalid value for \'--retry-until\': expected a duration such as "5s", got "5".',
        ),
        (
            ["check", "--timeout", "5", "https://127.0.0.1"],
            'error: Invalid value for \'--timeout\': expected a duration such as "5s", got "5".',
        ),
        (
            ["validate", "--config", ""],
            "error: Invalid value for '--config': expected the name of a file, got nothing.",
        ),
        (["validate", "surplus"], "error: Got unexpected extra argument (surplus)"),
        (
            ["demo", "--duration", "0s"],
            "error: Invalid value for '--duration': expected a duration such as \"5s\" above",
        ),
        (["run", "--listen", "nowhere"], "error: Invalid value for '--listen': expected"),
        (["import"], "error: Missing argument 'gatus|uptime-kuma|blackbox'. Choose from: gatus, uptime-kuma, blackbox"),
        (["run", "--log-level", "loud"], "error: Invalid value for '--log-level': 'loud' is not one of"),
        (["\x1b[31mred"], "error: No such command '\\x1b[31mred'."),
    ],
)
async def test_a_mistake_is_one_sentence_and_exit_code_3(args: list[str], error: str, tmp_path: Path) -> None:
    done = await monitor(*args, cwd=tmp_path)
    assert done.code == 3
    assert done.out == ""
    first, *hint = done.err.splitlines()
    assert first.startswith(error)
    assert all(line.startswith("Try 'monitor") for line in hint)


async def test_without_a_command_the_help_is_the_error(tmp_path: Path) -> None:
    done = await monitor(cwd=tmp_path)
    assert done.code == 3
    assert done.out == ""
    assert "Commands:" in done.err


@pytest.mark.parametrize("args", [["--help"], ["check", "--help"], ["--version"]])
async def test_help_loads_nothing_heavy(args: list[str], tmp_path: Path) -> None:
    assert not loaded(args, tmp_path) & {"trio", "httpx", "cel", "starlette", "rich", "cryptography", "sqlite3"}


async def test_validate_loads_neither_trio_nor_httpx(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[[endpoint]]\nname = "a"\nurl = "http://127.0.0.1/"\n')
    assert not loaded(["validate"], tmp_path) & {"trio", "httpx", "cel", "starlette", "rich", "sqlite3"}


async def test_a_check_loads_no_command_line_but_ours(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await nursery.start(serve_http, lambda _: (200, b"{}"))
    args = ["check", f"http://127.0.0.1:{port}/"]
    packages = await trio.to_thread.run_sync(loaded, args, tmp_path)
    assert "httpx" in packages
    assert not packages & {"rich", "pygments", "typer", "cel", "starlette", "sqlite3"}


def loaded(args: list[str], cwd: Path) -> set[str]:
    """The top-level packages that a successful run imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "monitor", *args],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}


def output_to(stdout: int, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *args], cwd=cwd, env=environment(), stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


def test_a_reader_that_is_gone_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = output_to(write, "--help", cwd=tmp_path)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_output_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = output_to(full.fileno(), "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, "error: [Errno 28] No space left on device\n")


def test_closed_standard_streams_are_survived(tmp_path: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *PROGRAM]
    assert subprocess.run([*closed, "--help"], cwd=tmp_path, env=environment(), check=False).returncode == 0
    assert subprocess.run([*closed, "nonsense"], cwd=tmp_path, env=environment(), check=False).returncode == 3


async def test_an_unexpected_failure_is_a_sentence_and_a_traceback_on_request(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import tomllib\ntomllib.loads = lambda *_: 1 / 0\n")
    (tmp_path / "config.toml").write_text("")
    short = await monitor("validate", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert short.code == 3
    assert short.err == "error: ZeroDivisionError: division by zero (a bug; MONITOR_DEBUG=1 shows where)\n"
    long = await monitor("validate", cwd=tmp_path, PYTHONPATH=str(tmp_path), MONITOR_DEBUG="1")
    assert long.code == 3
    assert long.err.startswith("Traceback (most recent call last)")
    assert long.err.endswith(short.err)
