"""`monitor demo`: a tour on loopback. Two services that fail and recover, the real daemon, a webhook receiver.

Everything lives in one process and one nursery tree: the services around the daemon, so that they outlive it and
the last alerts find their receiver. Ports are free ones, the data a temporary directory; nothing is left behind.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio_websocket
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from monitor.config.load import load
from monitor.core.quantities import seconds_text
from monitor.core.text import printable
from monitor.daemon import PATIENCE, Daemon
from monitor.signals import stop_on_signals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.config import Config

    Say = Callable[[str], None]
    Answer = Callable[[dict[str, str], bytes], tuple[int, str]]

_LARGEST_REQUEST = 64 * 1024
_PATIENCE_WITH_CLIENTS = 5.0
_PAUSE = 6.0  # seconds from one turn of events to the next: time to see the last one confirmed
_CLIENT_TROUBLE = (
    trio.BrokenResourceError,
    trio_websocket.ConnectionClosed,
    trio_websocket.HandshakeError,
    ValueError,
    TypeError,
    KeyError,
)
_CONFIG = """
[monitor]
listen = "127.0.0.1:0"
data_dir = "data"

[defaults]
interval = "1s"
retry_interval = "1s"
timeout = "2s"
failure_threshold = 2
success_threshold = 2

[[endpoint]]
name = "shop"
url = "http://127.0.0.1:{shop}/health"
expect = ["status == 200", "json.database == 'ok'"]

[[endpoint]]
name = "prices"
url = "ws://127.0.0.1:{prices}/prices"
steps = [
  {{ send = '{{"op": "subscribe"}}' }},
  {{ expect = "json.type == 'subscribed'", within = "1s" }},
  {{ ping = true }},
]

[[sink]]
name = "receiver"
type = "webhook"
url = "http://127.0.0.1:{receiver}/alerts"
secret = "{secret}"
"""


@attrs.define
class Services:
    """What the tour switches off and on."""

    shop: bool = True
    prices: bool = True


def run(*, duration: float | None, say: Say) -> None:
    """Give the tour until Ctrl-C, or for *duration* seconds; *say* is told each line."""
    trio.run(_tour, duration, say)


async def _tour(duration: float | None, say: Say) -> None:
    began = trio.current_time()

    def tell(line: str) -> None:
        say(f"[{trio.current_time() - began:3.0f} s] {line}")

    services, secret = Services(), "whsec_" + base64.b64encode(os.urandom(32)).decode("ascii")
    with tempfile.TemporaryDirectory(prefix="nursery-monitor-demo-") as directory:
        async with trio.open_nursery() as nursery:
            ports = {
                "shop": await nursery.start(_serve_http, _shop(services)),
                "prices": await nursery.start(_serve, _prices(services)),
                "receiver": await nursery.start(_serve_http, _receiver(secret, tell)),
            }
            daemon = Daemon(_config(Path(directory), ports, secret))
            token = trio.lowlevel.current_trio_token()
            with stop_on_signals(lambda _: token.run_sync_soon(daemon.stop), patience=PATIENCE):
                await _narrated(daemon, services, ports, duration, say, tell)
            nursery.cancel_scope.cancel()
    say("The tour is over; what it stored is removed again.")


def _config(directory: Path, ports: dict[str, int], secret: str) -> Config:
    path = directory / "config.toml"
    path.write_text(_CONFIG.format(**ports, secret=secret))
    return load(path, environ={})


async def _narrated(
    daemon: Daemon, services: Services, ports: dict[str, int], duration: float | None, say: Say, tell: Say
) -> None:
    async with trio.open_nursery() as nursery:

        async def watched(*, task_status: trio.TaskStatus[str]) -> None:
            await daemon.serve(task_status=task_status)
            nursery.cancel_scope.cancel()

        page = await nursery.start(watched)
        say(
            f"This is Nursery Monitor, and everything it needs, on this machine alone. Ctrl-C ends the tour.\n\n"
            f"  the page        {page}  (open it, it is live)\n"
            f"  shop            http://127.0.0.1:{ports['shop']}/health, an HTTP service\n"
            f"  prices          ws://127.0.0.1:{ports['prices']}/prices, a WebSocket service\n"
            f"  a webhook       http://127.0.0.1:{ports['receiver']}/alerts, prints the alerts it gets\n\n"
            f"Both services are probed every second. Two failures in a row mean down, two good probes up again.\n"
        )
        nursery.start_soon(_events, services, tell)
        if duration is not None:
            await trio.sleep(duration)
            daemon.stop()


async def _events(services: Services, tell: Say) -> None:
    """Let the services fail and recover, over and over; say so, and what to expect."""
    tell(f"All is well. In {seconds_text(_PAUSE)} the shop will fail.")
    while True:
        await trio.sleep(_PAUSE)
        services.shop = False
        tell("The shop now answers 503. Its alert follows when the second probe has failed.")
        await trio.sleep(_PAUSE)
        services.shop = True
        tell("The shop is repaired. Two good probes, and the alert is resolved.")
        await trio.sleep(_PAUSE)
        services.prices = False
        tell("The price feed now hangs up on everybody who calls.")
        await trio.sleep(_PAUSE)
        services.prices = True
        tell("The price feed answers again.")
        await trio.sleep(_PAUSE)
        tell(f"That was all of it; it begins again in {seconds_text(_PAUSE)}. Ctrl-C ends the tour.")


# The services.


def _shop(services: Services) -> Answer:
    def answer(_: dict[str, str], __: bytes) -> tuple[int, str]:
        return (200, '{"database": "ok"}') if services.shop else (503, '{"database": "gone"}')

    return answer


def _prices(services: Services) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def converse(stream: trio.SocketStream) -> None:
        if not services.prices:
            return
        async with trio.open_nursery() as own:
            request = await trio_websocket.wrap_server_stream(own, stream)
            async with await request.accept() as connection:
                while True:
                    asked = json.loads(await connection.get_message())
                    await connection.send_message(json.dumps({"type": f"{asked['op']}d"}))

    return converse


def _receiver(secret: str, tell: Say) -> Answer:
    def answer(headers: dict[str, str], body: bytes) -> tuple[int, str]:
        try:
            alert = Verifier(secret).verify(body.decode(), headers)
        except (WebhookVerificationError, ValueError):
            tell("<- an alert whose signature is wrong")
            return 401, "{}"
        tell(f"<- {_sentence(alert)} (signature verified)")
        return 200, "{}"

    return answer


def _sentence(alert: Any) -> str:
    data = alert["data"]
    if data["endpoint"] is None:
        return f"{alert['type']}  the monitor itself: {printable(data['reason']['message'])}"
    name, after = data["endpoint"]["name"], data["to"]
    if alert["type"] == "alert.resolved":
        lasted = seconds_text(data["incident"]["duration"])
        return f"{alert['type']}  {name} is {after} again, after {lasted}"
    return f"{alert['type']}  {name} is {after}: {printable(data['reason']['message'])}"


# A server, as small as can be.


async def _serve(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on a free port of loopback, which is what the task is started with; a broken client harms nobody."""

    async def contained(stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(_PATIENCE_WITH_CLIENTS):
                async with stream:
                    await handler(stream)
        except* _CLIENT_TROUBLE:
            pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(contained, listeners)


async def _serve_http(answer: Answer, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
    async def exchange(stream: trio.SocketStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received or len(received) < _length(received):
            more = await stream.receive_some()
            received += more
            if not more or len(received) > _LARGEST_REQUEST:
                return
        head, _, body = received.partition(b"\r\n\r\n")
        status, text = answer(_headers(head), body)
        await stream.send_all(
            f"HTTP/1.1 {status} Demo\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            f"Connection: close\r\n\r\n{text}".encode()
        )

    await _serve(exchange, task_status=task_status)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _length(received: bytes) -> int:
    """How long the whole request is."""
    head, _, _ = received.partition(b"\r\n\r\n")
    return len(head) + 4 + int(_headers(head).get("content-length", "0"))
