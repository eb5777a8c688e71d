"""check_http of the Nagios plugins: a process for each probe; what counts is the children's CPU time.

It speaks TLS but verifies no certificate: it has no option for that.
"""

from __future__ import annotations

import resource
import subprocess
from urllib.parse import urlsplit

from benchmarks.peers.common import ANSWER, arguments, cpu_seconds, report, warm_up

PROGRAM = "/usr/lib/nagios/plugins/check_http"


def probe_many(command: list[str], count: int) -> int:
    """Run *command* *count* times, one after the other; how often all was well."""
    return sum(subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0 for _ in range(count))


def main() -> None:
    """Probe and report."""
    task = arguments(__doc__)
    url = urlsplit(task.url)
    where = ["-I", url.hostname or "", "-p", str(url.port), "-u", url.path]
    secured = ["-S", "--sni", "-H", "localhost"] if url.scheme == "https" else []
    command = [PROGRAM, *where, *secured, "-e", " 200 ", "-s", ANSWER.decode(), "-t", "5"]
    probe_many(command, warm_up(task.count))
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    good = probe_many(command, task.count)
    report(count=task.count, good=good, cpu=cpu_seconds(resource.RUSAGE_CHILDREN) - before)


if __name__ == "__main__":
    main()
