"""One probe: what its CPU time is, beside the limit of the machine and beside the peers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import ROOT, Row, program, sample
from benchmarks.peers import blackbox, check_http

if TYPE_CHECKING:
    from benchmarks.harness import Sample
    from benchmarks.servers import Servers

CONCURRENCY = 20
OURS = "nursery-monitor"


def rows(scheme: str, servers: Servers, limit: Path | None, count: int) -> list[Row]:
    """Everyone who probes *scheme*; *limit* is the built C prober."""

    def python(name: str, module: str, *more: str) -> Row:
        command = program(f"peers.{module}", *_arguments(scheme, servers, count), *more)
        return Row(name, lambda: sample(command))

    ours = python(OURS, "ours")
    if scheme == "ws":
        return [ours, python("websockets", "websockets_visit"), python("trio-websocket", "trio_websocket_visit")]
    return [
        ours,
        _limit(scheme, servers, limit, count),
        python("aiohttp", "aiohttp_get"),
        python("aiohttp on uvloop", "aiohttp_get", "--loop", "uvloop"),
        python("httpx on Trio", "httpx_get"),
        python("requests on gevent", "gevent_get"),
        _blackbox(scheme, servers, count),
        _check_http(scheme, servers, max(20, count // 10)),
    ]


def _arguments(scheme: str, servers: Servers, count: int) -> tuple[object, ...]:
    return (
        servers.urls[scheme],
        *("--ca-file", servers.ca_file),
        *("--count", count),
        *("--concurrency", CONCURRENCY),
    )


def _limit(scheme: str, servers: Servers, limit: Path | None, count: int) -> Row:
    port, ca_file = (servers.https, [str(servers.ca_file)]) if scheme == "https" else (servers.http, [])

    def run() -> Sample:
        return sample([str(limit), str(port), str(count), str(CONCURRENCY), *ca_file])

    return Row("the limit (C)", run, None if limit else "needs gcc and libssl-dev")


def aiohttp(servers: Servers, *, count: int, rate: float = 0.0) -> Row:
    """Give aiohttp's plain GET, back to back or *rate* times a second."""
    command = program("peers.aiohttp_get", *_arguments("http", servers, count), "--rate", rate)
    return Row("aiohttp", lambda: sample(command))


def _blackbox(scheme: str, servers: Servers, count: int) -> Row:
    command = program("peers.blackbox", *_arguments(scheme, servers, count))
    missing = None if shutil.which(blackbox.PROGRAM) else "needs prometheus-blackbox-exporter"
    return Row("blackbox_exporter", lambda: sample(command), missing)


def _check_http(scheme: str, servers: Servers, count: int) -> Row:
    command = program("peers.check_http", *_arguments(scheme, servers, count))
    missing = None if Path(check_http.PROGRAM).exists() else "needs monitoring-plugins-basic"
    return Row("check_http", lambda: sample(command), missing)


def to_install() -> list[str]:
    """What is not installed, and how it would be."""
    wanted = {
        "gcc libssl-dev": shutil.which("cc") is not None and Path("/usr/include/openssl/ssl.h").exists(),
        "prometheus-blackbox-exporter": shutil.which(blackbox.PROGRAM) is not None,
        "monitoring-plugins-basic": Path(check_http.PROGRAM).exists(),
    }
    return [f"skipped without it: apt-get install {name}" for name, is_there in wanted.items() if not is_there]


def build_limit(directory: Path) -> Path | None:
    """Build the C prober in *directory*; None where there is no compiler or no OpenSSL to build with."""
    built, source = directory / "limit", ROOT / "benchmarks" / "limit.c"
    try:
        command = ["cc", "-O2", "-o", str(built), str(source), "-lssl", "-lcrypto"]
        done = subprocess.run(command, check=False, capture_output=True)
    except FileNotFoundError:
        return None
    return built if done.returncode == 0 else None
