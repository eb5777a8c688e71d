"""The product: an endpoint from a config file, probed by `probe_once` as the daemon and `monitor check` do.

So the figure holds everything a probe is: the deadline, a task of its own, phases, facts, the expectations, secrets
masked, the observation.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from benchmarks.peers.common import ANSWER, Task, arguments, measured, on_trio
from monitor.config.load import load
from monitor.limits import spare_what_is_loaded
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.core.model import Observation

CONFIG = """
[[endpoint]]
name = "it"
url = "{url}"
ca_file = "{ca_file}"
"""
_PHASES = {
    "http": ["resolve", "connect", "processing", "transfer"],
    "https": ["resolve", "connect", "tls", "processing", "transfer"],
    "ws": ["resolve", "connect", "handshake", "dialogue", "close"],
}


def configured(task: Task) -> Config:
    """The config of one endpoint."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config.toml")
        path.write_text(CONFIG.format(url=task.url, ca_file=Path(task.ca_file).resolve()))
        return load(path, environ=os.environ)


def is_good(seen: Observation, scheme: str) -> bool:
    """Is *seen* what a healthy target looks like, with its phases and facts? RuntimeError: it is not even up."""
    if seen.status != "up":
        raise RuntimeError(f"{scheme}: {seen.reason}")
    facts = seen.facts
    as_expected = facts["close_code"] == 1000 if scheme == "ws" else facts["body_size"] == len(ANSWER)
    return as_expected and list(seen.phases) == _PHASES[scheme]


async def main(task: Task) -> None:
    """Probe and report."""
    config = configured(task)
    (endpoint,) = config.enabled
    net, clock, scheme = SocketNet(), SystemClock(), task.url.split(":")[0]

    async def probe() -> bool:
        return is_good(await probe_once(endpoint, net=net, clock=clock, mask=config.masker or None), scheme)

    await probe()  # loads what is loaded by the first
    spare_what_is_loaded()  # as `monitor run` does once it has started
    await measured(task, probe, on_trio())


if __name__ == "__main__":
    trio.run(main, arguments(__doc__))
