"""Other processes, as checks and probes see them: programs, and what came of one; workers for isolated checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from monitor.core.quantities import ByteSize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.core.heartbeats import Beat
    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Clock, Mask

DEFAULT_MEMORY = ByteSize(512 * 1024**2)  # for one, with all that it starts
MOST_OUTPUT = 64 * 1024  # bytes that are kept of what a program prints


@attrs.frozen(kw_only=True)
class Ran:
    """What came of a program: its exit code, and the first 64 KiB of each of what it printed and complained of.

    *code* is minus the number of the signal where one ended it.
    """

    code: int
    out: bytes = b""
    err: bytes = b""


class Programs(Protocol):
    """Runs programs: `monitor.processes.starter.Processes` is the real thing."""

    async def run(self, command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None) -> Ran:
        """Run *command*; see `Probe.run`."""


class Workers(Protocol):
    """Probes endpoints in processes of their own: `monitor.isolation.workers.Workers` is the real thing."""

    async def look(self, endpoint: Endpoint, *, clock: Clock, mask: Mask | None, beat: Beat | None) -> Observation:
        """Probe *endpoint* once; see `probing.probe_once`, which is the one who asks."""
