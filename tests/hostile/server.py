"""The hostile servers, in a process of their own so that what they burn is not taken from the prober.

    python -m hostile.server DIRECTORY

writes `ca.pem` into the directory and one line of JSON to stdout, `{"name of a row": port}`; ends with its stdin.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from support.nameserver import NameServer

from hostile.rows import NAME_SERVER
from hostile.servers_tls import authority
from hostile.table import HEALTHY, ROWS
from monitor.limits import raise_descriptor_limit

if TYPE_CHECKING:
    from hostile.rows import Handler


async def serve(nursery: trio.Nursery, handler: Handler) -> int:
    """Serve *handler* on a free port of loopback; returns the port."""

    async def contained(stream: trio.SocketStream) -> None:
        try:
            await handler(stream)
        except Exception:  # noqa: BLE001 - a behaviour ends in whatever way its client makes it end
            pass
        finally:
            await trio.aclose_forcefully(stream)

    listeners = await nursery.start(partial(trio.serve_tcp, contained, 0, host="127.0.0.1", backlog=1024))
    return int(listeners[0].socket.getsockname()[1])


async def main(directory: Path) -> None:
    """Serve every row until stdin ends."""
    raise_descriptor_limit()
    authority().cert_pem.write_to_path(directory / "ca.pem")
    async with trio.open_nursery() as nursery:
        ports = {each.name: await serve(nursery, each.serve) for each in (*ROWS, HEALTHY)}
        ports[NAME_SERVER] = (await NameServer().start(nursery)).port
        print(json.dumps(ports), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
