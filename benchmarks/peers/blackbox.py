"""blackbox_exporter: its whole `/probe`, asked for by a driver on another core; what counts is the exporter's CPU."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from benchmarks.harness import cpu_of_process, free_port, pinned, server_core
from benchmarks.peers.common import Task, arguments, report, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "prometheus-blackbox-exporter"
CONFIG = """
modules:
  it:
    prober: http
    timeout: 5s
    http:
      preferred_ip_protocol: ip4
      valid_status_codes: [200]
      fail_if_body_not_matches_regexp: ["twenty bytes of text"]
      tls_config:
        ca_file: {ca_file}
"""
_PATIENCE = 10.0  # seconds until the exporter must listen


@contextlib.contextmanager
def exporter(task: Task) -> Iterator[tuple[int, int]]:
    """Run the exporter; give its process id and its port."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "blackbox.yml")
        config.write_text(CONFIG.format(ca_file=task.ca_file))
        port = free_port()
        command = [PROGRAM, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        process = subprocess.Popen(command)
        try:
            _wait_for(port)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


def probe_many(task: Task, port: int, count: int) -> int:
    """Ask for *count* probes over kept connections; how many were good."""
    tickets = iter(range(count))
    good = itertools.count()
    turn = threading.Lock()

    def worker() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while True:
            with turn:
                if next(tickets, None) is None:
                    break
            connection.request("GET", f"/probe?module=it&target={quote(task.url, safe='')}")
            if b"\nprobe_success 1\n" in connection.getresponse().read():
                next(good)
        connection.close()

    workers = [threading.Thread(target=worker) for _ in range(task.concurrency)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    return next(good)


def main() -> None:
    """Probe and report."""
    task = arguments(__doc__)
    with exporter(task) as (pid, port), pinned(server_core()):  # the exporter stays where this process was started
        probe_many(task, port, warm_up(task.count))
        before = cpu_of_process(pid)
        good = probe_many(task, port, task.count)
        report(count=task.count, good=good, cpu=cpu_of_process(pid) - before)


if __name__ == "__main__":
    main()
