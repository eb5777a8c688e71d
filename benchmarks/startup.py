"""What it costs to start: CPU time of one-shot commands, beside Python itself and httpx.

    python -m benchmarks.startup [--rounds N] [--importtime]

CPU time is user + system time of the child process, the median over rounds that alternate between all commands, so
that a machine that slows down slows all of them. `--importtime` shows what the imports of a check cost most.
"""

from __future__ import annotations

import argparse
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
CONFIG = """
[[endpoint]]
name = "local"
url = "{url}"
ca_file = "ca.pem"
[[sink]]
name = "log"
type = "log"
"""
MANY = 20_000
ONE_OF_MANY = """
[[endpoint]]
name = "endpoint {number}"
group = "group {group}"
url = "https://host-{number}.example.org/health"
expect = ["status == 200", "latency < duration('2s')"]
labels = {{ team = "team {group}" }}
"""
VALIDATE_MANY = f"monitor validate, {MANY:,}"
TARGETS = {"monitor check https://…": 0.5, "monitor --help": 0.2, "monitor validate": 0.2, VALIDATE_MANY: 2.0}


@contextmanager
def tls_server(directory: Path) -> Iterator[str]:
    """Serve HTTPS on loopback from a thread; yield its URL. Its authority is `ca.pem` in *directory*."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as stream:
                    stream.recv(65536)
                    stream.sendall(ANSWER)
            except OSError as exc:
                print(f"server: {exc}", file=sys.stderr)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        listener.close()


def cpu_seconds(command: list[str], directory: Path) -> float:
    """User and system time of one run, which must succeed."""
    environ = {**os.environ, "SSL_CERT_FILE": str(directory / "ca.pem")}
    process = subprocess.Popen(command, cwd=directory, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaint = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} left with {process.returncode}: {complaint}")
    return usage.ru_utime + usage.ru_stime


def measured(commands: dict[str, list[str]], rounds: int, directory: Path) -> dict[str, float]:
    """The median CPU time of each command, in seconds."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            spent = cpu_seconds(command, directory)
            if number > 0:  # the first round fills caches
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def table(medians: dict[str, float], base: str) -> str:
    """Times, the ratio to *base*, and the targets."""
    lines = [f"{'CPU time to start':<28} {'seconds':>8} {'ratio':>7}   target"]
    for name, seconds in medians.items():
        goal = TARGETS.get(name)
        verdict = "" if goal is None else f"< {goal} s: {'met' if seconds < goal else 'MISSED'}"
        lines.append(f"{name:<28} {seconds:>8.3f} {seconds / medians[base]:>6.1f}x   {verdict}".rstrip())
    return "\n".join(lines)


def slowest_imports(command: list[str], directory: Path) -> str:
    """The 25 modules whose own import took longest."""
    environ = {**os.environ, "SSL_CERT_FILE": str(directory / "ca.pem")}
    traced = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(traced, cwd=directory, env=environ, capture_output=True, text=True, check=True)
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line]
    spent = sorted(((int(own), name.strip()) for own, _, name in rows if own.strip().isdigit()), reverse=True)
    return "\n".join(f"{own:>8} µs  {name}" for own, name in spent[:25])


def measure(rounds: int) -> dict[str, float]:
    """The median CPU seconds of each command."""
    with prepared() as (commands, directory):
        return measured(commands, rounds, directory)


@contextmanager
def prepared() -> Iterator[tuple[dict[str, list[str]], Path]]:
    """Give the commands and the directory to run them in, while the server that one of them asks is there."""
    python, monitor = sys.executable, [sys.executable, "-m", "monitor"]
    with tempfile.TemporaryDirectory() as name, tls_server(Path(name)) as url:
        directory = Path(name)
        (directory / "config.toml").write_text(CONFIG.format(url=url))
        many = "".join(ONE_OF_MANY.format(number=number, group=number % 50) for number in range(MANY))
        (directory / "many.toml").write_text(many)
        commands = {
            "python -c pass": [python, "-c", "pass"],
            "python -c 'import httpx'": [python, "-c", "import httpx"],
            "monitor --help": [*monitor, "--help"],
            "monitor validate": [*monitor, "validate"],
            VALIDATE_MANY: [*monitor, "--config", "many.toml", "validate"],
            "monitor check https://…": [*monitor, "check", url],
        }
        yield commands, directory


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--importtime", action="store_true", help="show what the imports of a check cost")
    given = options.parse_args()
    if given.importtime:
        with prepared() as (commands, directory):
            print(slowest_imports(commands["monitor check https://…"], directory))
    else:
        print(table(measure(given.rounds), "python -c pass"))


if __name__ == "__main__":
    main()
