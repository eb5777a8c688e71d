"""requests on gevent: `requests.get`, which opens a fresh connection each time."""

from gevent import monkey

monkey.patch_all()

import itertools  # noqa: E402 - gevent patches first
from collections.abc import Callable  # noqa: E402 - as above

import gevent.pool  # noqa: E402 - as above
import requests  # noqa: E402 - as above

from benchmarks.peers.common import ANSWER, arguments, cpu_seconds, report, warm_up  # noqa: E402 - as above


def probe_many(probe: Callable[[], bool], count: int, concurrency: int) -> int:
    """Probe *count* times; how many were good."""
    tickets = iter(range(count))
    good = itertools.count()

    def worker() -> None:
        for _ in tickets:
            if probe():
                next(good)

    pool = gevent.pool.Pool(concurrency)
    for _ in range(concurrency):
        pool.spawn(worker)
    pool.join(raise_error=True)
    return next(good)


def main() -> None:
    """Probe and report."""
    task = arguments(__doc__)

    def probe() -> bool:
        answer = requests.get(task.url, verify=task.ca_file, timeout=5)
        return answer.status_code == 200 and answer.content == ANSWER

    probe_many(probe, warm_up(task.count), task.concurrency)
    before = cpu_seconds()
    good = probe_many(probe, task.count, task.concurrency)
    report(count=task.count, good=good, cpu=cpu_seconds() - before)


if __name__ == "__main__":
    main()
