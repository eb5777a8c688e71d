"""Runs the table: every hostile endpoint at once, beside healthy ones on their own schedule, and measures.

The prober is the real one: supervisor, probing, sockets. Only names are looked up by `servers_dns.Names`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio
from support.probes import endpoint

from checks.dns import Dns
from checks.grpc import Grpc
from checks.http import Http
from checks.tls import Tls
from checks.websocket import WebSocket
from hostile.rows import NAME_SERVER
from hostile.servers_dns import Names
from hostile.table import HEALTHY, ROWS
from monitor.companion import Companions
from monitor.limits import spare_what_is_loaded
from monitor.net.resolve import Resolver
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.supervisor import Supervisor
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hostile.rows import Row
    from monitor.core.model import Endpoint, Observation

KINDS = {
    **dict.fromkeys(("http", "https"), Http),
    **dict.fromkeys(("ws", "wss"), WebSocket),
    "tls": Tls,
    "grpc": Grpc,
    "dns": Dns,
}
_TESTS = Path(__file__).parents[1]


@attrs.frozen(kw_only=True)
class Servers:
    """The child process's ports, and the authority its certificates are from."""

    ports: dict[str, int]
    ca_file: Path

    def endpoint(self, row: Row, name: str = "", **settings: Any) -> Endpoint:
        """An endpoint that looks at *row*."""
        secure = {"ca_file": self.ca_file} if row.scheme in ("https", "wss", "tls") else {}
        kind: Any = KINDS[row.scheme]
        path = row.path if kind in (Http, WebSocket) else ""
        url = f"{row.scheme}://{row.host}:{self.ports[row.name]}{path}"
        if kind is Dns:
            url = f"dns://127.0.0.1:{self.ports[NAME_SERVER]}/{row.host}"
        options = dict(row.options)
        if by := options.get("dns_resolver"):
            options["dns_resolver"] = f"{by}://127.0.0.1:{self.ports[NAME_SERVER]}"
        if by := options.get("proxy"):
            options["proxy"] = f"{by}://127.0.0.1:{self.ports[row.name]}"
        check = kind(url=url, **secure, **options)
        return endpoint(check, name=name or row.name, expect=row.expect, **settings)


@contextlib.contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """The hostile servers, for as long as the block lasts."""
    path = os.pathsep.join([str(_TESTS), str(_TESTS.parent)])
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "hostile.server", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        try:
            yield Servers(ports=json.loads(process.stdout.readline()), ca_file=directory / "ca.pem")
        finally:
            process.kill()


@attrs.frozen
class Look:
    """One probe: what it said, and by how many seconds it began late and ended after its deadline."""

    observation: Observation
    lateness: float
    overrun: float


@attrs.frozen(kw_only=True)
class Leftovers:
    """What the process holds: growth over a run that is over means a leak."""

    descriptors: int
    tasks: int
    look_ups: int

    @classmethod
    def now(cls) -> Leftovers:
        """Count."""
        gc.collect()
        threads = [path.joinpath("comm").read_text() for path in Path("/proc/self/task").glob("*")]  # Linux alone
        return cls(
            descriptors=len(list(Path("/dev/fd").iterdir())),
            tasks=trio.lowlevel.current_statistics().tasks_living,
            look_ups=sum(name.startswith("dns:") for name in threads),
        )


@attrs.frozen(kw_only=True)
class Report:
    """What came of a run."""

    looks: dict[str, list[Look]]  # by the name of the row
    healthy: list[Look]
    before: Leftovers
    after: Leftovers

    @property
    def overruns(self) -> list[float]:
        """Of every probe, in order."""
        return sorted(look.overrun for looks in (*self.looks.values(), self.healthy) for look in looks)

    @property
    def lateness(self) -> list[float]:
        """Of the healthy, in order."""
        return sorted(look.lateness for look in self.healthy)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which *share* of the sorted *values* lie."""
    return values[min(len(values) - 1, int(share * len(values)))]


async def run(
    place: Servers, *, rounds: int, timeout: float, interval: float, healthy: int = 50, rows: Sequence[Row] = ROWS
) -> Report:
    """Probe everything until every row was looked at *rounds* times; the healthy go once a second."""
    names, clock = Names(), SystemClock()
    net, companions = SocketNet(Resolver(names.look_up)), Companions(clock)
    looks: dict[str, list[Look]] = {}
    overrun: dict[str, float] = {}
    enough = trio.Event()

    async def probe(watched: Endpoint) -> Observation:
        began = trio.current_time()
        observation = await probe_once(watched, net=net, clock=clock, mask=None, companion=companions.of(watched))
        overrun[watched.name] = max(0.0, trio.current_time() - began - watched.timeout)
        return observation

    async def record(watched: Endpoint, observation: Observation) -> bool:
        look = Look(observation, supervisor.checkers[watched.name].lag, overrun[watched.name])
        looks.setdefault(watched.name, []).append(look)
        if len(looks) == len(rows) + healthy and all(len(each) >= rounds for each in looks.values()):
            enough.set()
        return False

    await probe_once(place.endpoint(HEALTHY), net=net, clock=clock, mask=None)  # what comes with the first one stays
    before = Leftovers.now()
    async with trio.open_nursery() as nursery:
        slots = trio.CapacityLimiter(500)
        supervisor = Supervisor(nursery, probe=probe, record=record, slots=slots, beside=companions.beside)
        for each in rows:
            supervisor.start(place.endpoint(each, timeout=timeout, interval=interval))
        for number in range(healthy):
            one = attrs.evolve(HEALTHY, host=f"healthy-{number}.test")
            supervisor.start(place.endpoint(one, name=f"healthy {number}", timeout=timeout, interval=1.0))
        spare_what_is_loaded()  # as the daemon does
        with trio.fail_after(240 + 2 * rounds * interval):  # a checker that hangs must not hang the run
            await enough.wait()
        nursery.cancel_scope.cancel()
    names.release()
    after = await settled(before)
    good = [look for name, each in looks.items() if name.startswith("healthy ") for look in each]
    return Report(looks={each.name: looks[each.name] for each in rows}, healthy=good, before=before, after=after)


async def settled(before: Leftovers) -> Leftovers:
    """What is left once threads that were let go had a moment to end."""
    with trio.move_on_after(5):
        while Leftovers.now() != before:
            await trio.sleep(0.05)
    return Leftovers.now()
