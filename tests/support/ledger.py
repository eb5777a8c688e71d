"""What sinks were told, held against what the daemon says it decided: promise P1, over any number of crashes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs
import trio

from support.loopback import serve_http
from support.probes import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SINKS = ("one", "two")


@attrs.define
class Ledger:
    """Targets that can be broken, and a receiver for two sinks that keeps what it takes."""

    status: int = 200  # of the endpoint `shop`
    statuses: dict[str, int] = attrs.field(factory=dict)  # of others, by name
    open: bool = True
    target: int = 0
    receiver: int = 0
    told: list[tuple[str, str, bytes]] = attrs.field(factory=list)  # sink, id, body

    async def receive(self, stream: trio.SocketStream) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = await stream.receive_some()
            if not more:
                return
            raw += more
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:])
        while len(body) < int(headers[b"content-length"]):
            more = await stream.receive_some()
            if not more:
                return
            body += more
        if self.open:
            self.told.append((lines[0].split()[1].decode().strip("/"), headers[b"webhook-id"].decode(), body))
        await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (204 if self.open else 503))

    def answer(self, path: str) -> tuple[int, bytes]:
        return self.statuses.get(path.strip("/"), self.status), b"{}"

    def configure(self, directory: Path, *, more: str = "") -> None:
        """Write a config with times short enough for a test; *more* goes to each endpoint."""
        endpoints = "".join(
            f'[[endpoint]]\nname = "{name}"\nurl = "http://127.0.0.1:{self.target}/{name}"\n{more}\n'
            for name in self.statuses or ("shop",)
        )
        sinks = "".join(
            f'[[sink]]\nname = "{name}"\ntype = "webhook"\nurl = "http://127.0.0.1:{self.receiver}/{name}"\n'
            for name in SINKS
        )
        (directory / "config.toml").write_text(
            '[monitor]\nlisten = "127.0.0.1:0"\n'
            '[defaults]\ninterval = "150ms"\nretry_interval = "50ms"\ntimeout = "2s"\n'
            "failure_threshold = 2\nsuccess_threshold = 1\n"
            f"{endpoints}\n{sinks}"
        )

    def words(self, sink: str) -> list[str]:
        """What *sink* was told, each alert once."""
        first = {
            ident: json.loads(body)["type"].removeprefix("alert.") for each, ident, body in self.told if each == sink
        }
        return list(first.values())

    @property
    def duplicates(self) -> int:
        """How many messages came that had come before."""
        return len(self.told) - len({(sink, ident) for sink, ident, _ in self.told})

    def hold_against(self, transitions: list[dict[str, Any]], data_dir: Path) -> None:
        """Every alerted transition was told to both sinks, in order, and a duplicate has the same id and body."""
        bodies: dict[str, set[bytes]] = defaultdict(set)
        for _, ident, body in self.told:
            bodies[ident].add(body)
        assert all(len(each) == 1 for each in bodies.values()), "an alert came with two bodies"
        alerted = [each for each in transitions if each["alert"] == "alerted"]
        for sink in SINKS:
            for name in sorted({each["endpoint"] for each in transitions}):
                wanted = [(each["incident"], each["to"]) for each in alerted if each["endpoint"] == name]
                first: dict[str, Any] = {}
                for each, ident, body in self.told:
                    data = json.loads(body)["data"]
                    if each == sink and data["endpoint"]["name"] == name:
                        first.setdefault(ident, data)
                told = [(data["incident"]["id"], data["to"]) for data in first.values()]
                assert told == wanted, f"{sink} was told {told} of {name}, and the transitions say {wanted}"
                sequence = [data["sequence"] for data in first.values()]
                assert sequence == list(range(1, len(sequence) + 1)), f"{sink} was told {sequence} of {name}"
        with contextlib.closing(sqlite3.connect(data_dir / "monitor.db")) as db:
            states = dict(db.execute("SELECT state, count(*) FROM deliveries GROUP BY state"))
        assert states == ({"delivered": len(SINKS) * len(alerted)} if alerted else {}), states


@contextlib.asynccontextmanager
async def ledger() -> AsyncIterator[Ledger]:
    """A target and a receiver on loopback, for as long as the block."""
    async with trio.open_nursery() as nursery:
        it = Ledger()
        it.target = await nursery.start(serve_http, it.answer)
        it.receiver = await serve(nursery, it.receive)
        yield it
        nursery.cancel_scope.cancel()
